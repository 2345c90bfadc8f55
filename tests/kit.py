"""What the tests of whole sessions share: raw peers, a scripted upstream, and a house around them.

A ``Peer`` speaks WebSocket frames that are built and read here, apart from the code
under test, so that it can break every rule. ``open_house`` opens a proxy whose
upstreams are peers too; when it is left it checks what must hold after every visit,
whatever happened in it.
"""

import base64
import functools
import hashlib
import json
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest
import trio
import trustme
from trio.testing import lockstep_stream_pair, memory_stream_pair

from rt_proxy import MemoryTokenStore, Proxy, SessionRecord, Settings, open_proxy
from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.settings import ChannelSettings, Limits, ListenSettings, Timeouts

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MODEL = "gpt-realtime"
UPSTREAM_MODEL = "gpt-realtime-upstream"
KEY = base64.b64encode(b"sixteen bytes ok").decode()
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: Longer than every deadline of the default settings; on Trio's clock.
LONG = 600


def created(model: str = UPSTREAM_MODEL) -> dict[str, Any]:
    """Return a good first event."""
    session = {"id": "sess_1", "object": "realtime.session", "type": "realtime", "model": model}
    return {"type": "session.created", "event_id": "event_1", "session": session}


def response_created(id_: str = "resp_1") -> dict[str, Any]:
    """Return the event that opens a response."""
    return {"type": "response.created", "response": {"id": id_, "status": "in_progress"}}


def response_done(id_: str = "resp_1") -> dict[str, Any]:
    """Return the event that ends a response, with what it cost."""
    usage = {"total_tokens": 30, "input_tokens": 10, "output_tokens": 20}
    return {"type": "response.done", "response": {"id": id_, "status": "done", "usage": usage}}


def error(code: str, message: str = "upstream's own words") -> dict[str, Any]:
    """Return an ``error`` event."""
    return {"type": "error", "error": {"type": "server_error", "code": code, "message": message}}


def append(size: int) -> bytes:
    """Return an ``input_audio_buffer.append`` of about ``size`` bytes."""
    return b'{"type":"input_audio_buffer.append","audio":"' + b"A" * size + b'"}'


class Frame(NamedTuple):
    """A frame as it was on the wire, its payload unmasked."""

    fin: bool
    opcode: int
    payload: bytes
    key: bytes | None


class Farewell(NamedTuple):
    """How a connection ended, seen by a peer: the events before, then CLOSE; None: no CLOSE."""

    events: list[dict[str, Any]]
    code: int | None
    reason: str

    @property
    def error_code(self) -> str | None:
        """The code of the ``error`` event that came last before the end."""
        if not self.events or self.events[-1]["type"] != "error":
            return None
        return str(self.events[-1]["error"]["code"])

    @property
    def told(self) -> tuple[str | None, int | None, str]:
        """What the peer was told: error code, close code, close reason."""
        return self.error_code, self.code, self.reason


def apply_mask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask a payload (RFC 6455, 5.3)."""
    keys = key * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(keys[: len(payload)], "big")
    return number.to_bytes(len(payload), "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    key: bytes | None = None,
    fin: bool = True,
    reserved: int = 0,
    length: int | None = None,
    length_size: int | None = None,
) -> bytes:
    """Build a frame, a wrong one where the arguments say so.

    ``length`` is what the header claims, and ``length_size`` in how many bytes.
    """
    claimed = len(payload) if length is None else length
    size = length_size
    if size is None:
        size = 0 if claimed < 126 else 2 if claimed < 65_536 else 8
    short = {0: claimed, 2: 126, 8: 127}[size]
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    head = bytes([first, (0 if key is None else 0x80) | short])
    head += claimed.to_bytes(size, "big") if size else b""
    return head + payload if key is None else head + key + apply_mask(payload, key)


def close_payload(code: int, reason: bytes = b"") -> bytes:
    """Return the payload of a CLOSE frame."""
    return code.to_bytes(2, "big") + reason


class Peer:
    """The far end of a connection: a client of the proxy, or an upstream (mutable: it reads on)."""

    def __init__(self, stream: trio.abc.Stream, *, masks: bool) -> None:
        self.stream = stream
        self.key = b"\x11\x22\x33\x44" if masks else None
        self.frames: list[Frame] = []
        self._unread = bytearray()
        self._sending = trio.Lock()

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        async with self._sending:
            await self.stream.send_all(data)

    async def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame, masked as this side must."""
        await self.send_raw(frame(opcode, payload, key=self.key, fin=fin))

    async def say(self, event: Mapping[str, Any] | bytes) -> None:
        """Send an event."""
        await self.send(TEXT, event if isinstance(event, bytes) else json.dumps(event).encode())

    async def close(self, code: int | None = 1000, reason: bytes = b"") -> None:
        """Send CLOSE."""
        await self.send(CLOSE, b"" if code is None else close_payload(code, reason))

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some(65_536)
        except trio.BrokenResourceError:
            return False
        self._unread += data
        return bool(data)

    async def _take(self, count: int) -> bytes | None:
        while len(self._unread) < count:
            if not await self._more():
                return None
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def read_head(self) -> bytes:
        """Read an HTTP head, with its empty line."""
        while b"\r\n\r\n" not in self._unread:
            assert await self._more(), f"no head came, only {bytes(self._unread)!r}"
        return await self._take(self._unread.index(b"\r\n\r\n") + 4) or b""

    async def read_answer(self) -> tuple[int, dict[bytes, bytes], dict[str, Any]]:
        """Read a whole HTTP answer: status, headers and the ``error`` of its JSON body."""
        head = await self.read_head()
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:] if line)
        body = await self._take(int(headers[b"content-length"])) or b""
        return int(lines[0].split()[1]), headers, json.loads(body).get("error", {})

    async def receive(self) -> Frame | None:
        """Read one frame; None: the other side is gone. Every rule of RFC 6455, 5.2 is checked."""
        head = await self._take(2)
        if head is None:
            return None
        first, second = head
        assert not first & 0x70, "reserved bits"
        length = second & 0x7F
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self._take(size) or b"", "big")
            assert length >= (126 if size == 2 else 65_536), "not the shortest length"
        masked = bool(second & 0x80)
        assert masked is (self.key is None), "a client masks, a server does not"
        key = await self._take(4) if masked else None
        payload = await self._take(length)
        if payload is None:
            return None
        if key is not None:
            payload = apply_mask(payload, key)
        whole = Frame(first >= 0x80, first & 0x0F, payload, key)
        assert whole.opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        assert whole.opcode < CLOSE or (whole.fin and length <= 125)
        self.frames.append(whole)
        return whole

    async def receive_message(self) -> Frame | None:
        """Read one message, or a control frame but ping, which is answered; None: gone."""
        opcode, payload = None, b""
        while (part := await self.receive()) is not None:
            if part.opcode == PING:
                await self.send(PONG, part.payload)
            elif part.opcode >= CLOSE:
                if part.opcode == CLOSE or opcode is None:
                    return part
            else:
                assert (part.opcode == CONTINUATION) is (opcode is not None), "fragments mixed up"
                opcode = part.opcode if opcode is None else opcode
                payload += part.payload
                if part.fin:
                    return Frame(True, opcode, payload, part.key)
        return None

    async def hear(self) -> dict[str, Any]:
        """Read the next event."""
        message = await self.receive_message()
        assert message is not None, "the connection ended"
        assert message.opcode == TEXT, message
        event = json.loads(message.payload)
        assert isinstance(event, dict)
        return event

    async def farewell(self, *, answer: bool = True) -> Farewell:
        """Read to the end, answering pings and, if told so, CLOSE; then close the stream."""
        events: list[dict[str, Any]] = []
        code: int | None = None
        reason = ""
        try:
            while (message := await self.receive_message()) is not None:
                if message.opcode == TEXT:
                    assert code is None, "data after CLOSE"
                    events.append(json.loads(message.payload))
                elif message.opcode == CLOSE:
                    assert code is None, "a second CLOSE"
                    code = int.from_bytes(message.payload[:2], "big") if message.payload else 1005
                    reason = message.payload[2:].decode()
                    if answer:
                        await self.send(CLOSE, message.payload)
        except trio.BrokenResourceError:
            pass
        await trio.aclose_forcefully(self.stream)
        return Farewell(events, code, reason)


class Client(Peer):
    """A client of the proxy, and the visit that it is."""

    def __init__(self, stream: trio.abc.Stream, near: trio.abc.Stream) -> None:
        super().__init__(stream, masks=True)
        #: The proxy's end.
        self.near = near
        self.over = trio.Event()

    async def read_101(self) -> bytes:
        """Read the answer to the upgrade and check it (RFC 6455, 4.2.2)."""
        head = await self.read_head()
        assert head.startswith(b"HTTP/1.1 101"), head
        accept = base64.b64encode(hashlib.sha1(KEY.encode() + _GUID).digest())
        assert b"sec-websocket-accept: " + accept.lower() in head.lower()
        return head


class Upstream(Peer):
    """The upstream of one dial."""

    def __init__(self, stream: trio.abc.Stream, channel: Channel, request: UpstreamRequest) -> None:
        super().__init__(stream, masks=False)
        self.channel = channel
        self.request = request
        self.head = b""

    async def accept(self, *first: Mapping[str, Any]) -> "Upstream":
        """Read the upgrade, answer 101, and say the first events, all in one send."""
        self.head = await self.read_head()
        await self.send_raw(self.answer_101() + b"".join(_text(event) for event in first))
        return self

    def answer_101(self) -> bytes:
        """Return the 101 that belongs to the request."""
        key = next(
            line.split(b": ", 1)[1]
            for line in self.head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def refuse(self, answer: bytes) -> None:
        """Read the upgrade and answer it with something else, then hang up."""
        self.head = await self.read_head()
        await self.send_raw(answer)
        await self.stream.aclose()


def _text(event: Mapping[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(event).encode())


def request_head(
    token: str | None,
    *extra: str,
    target: str = f"/v1/realtime?model={MODEL}",
    without: Sequence[str] = (),
) -> bytes:
    """Return the head of a good upgrade, with more lines and without some."""
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: proxy.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
    ]
    lines = [line for line in lines if line.partition(":")[0] not in without]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join([*lines, *extra]) + "\r\n\r\n").encode("latin-1")


async def tcp_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return both ends of a TCP connection, with small buffers."""
    with trio.CancelScope(shield=True):  # else half a pair could be lost
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with listener:
            far = trio.socket.socket()
            for option in (trio.socket.SO_RCVBUF, trio.socket.SO_SNDBUF):
                far.setsockopt(trio.socket.SOL_SOCKET, option, 16_384)
                listener.socket.setsockopt(trio.socket.SOL_SOCKET, option, 16_384)
            await far.connect(listener.socket.getsockname())
            return trio.SocketStream(far), await listener.accept()


@functools.cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a client and of a server that it trusts."""
    authority = trustme.CA()
    client, server = (
        ssl.create_default_context(),
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
    )
    authority.configure_trust(client)
    authority.issue_cert("proxy.test").configure_cert(server)
    return client, server


async def tls_pair(*, proxy_is_server: bool) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return both ends of a TLS connection over TCP; hands are shaken by whoever is first."""
    far, near = await tcp_pair()
    client, server = tls_contexts()
    ends = [
        trio.SSLStream(
            stream,
            server if is_server else client,
            server_hostname=None if is_server else "proxy.test",
            server_side=is_server,
            https_compatible=True,
        )
        for stream, is_server in ((far, not proxy_is_server), (near, proxy_is_server))
    ]
    return ends[0], ends[1]


async def stream_pair(kind: str) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return both ends of a new connection: in ``memory``, ``lockstep``, ``tcp`` or TLS."""
    match kind:
        case "memory":
            return memory_stream_pair()
        case "lockstep":
            return lockstep_stream_pair()
        case "tcp":
            return await tcp_pair()
        case "tls client" | "tls upstream":
            return await tls_pair(proxy_is_server=kind == "tls client")
    raise AssertionError(kind)


class _Errors(logging.Handler):
    """Gathers what is logged at ERROR."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, with its traceback."""
        self.lines.append(logging.Formatter().format(record))


@contextmanager
def errors_logged() -> Iterator[list[str]]:
    """Gather what is logged at ERROR inside, and keep it from everyone who was here before."""
    errors = _Errors()
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [errors]
    try:
        yield errors.lines
    finally:
        root.handlers[:] = before


DialFault = Callable[[Channel, UpstreamRequest], Awaitable[trio.abc.Stream]]


class House:
    """A proxy, those who visit it and those it dials (mutable: it counts them)."""

    def __init__(self, nursery: trio.Nursery, upstream_kind: str) -> None:
        self.proxy: Proxy
        self.records: list[SessionRecord] = []
        self.tokens = MemoryTokenStore()
        token, secret = self.tokens.add("tester", now=datetime.now(UTC))
        self.token_id = token.id
        self.token = secret.reveal()
        self.clients: list[Client] = []
        #: Visits that end without a record: plain pages, and visitors that never said a word.
        self.silent_visits = 0
        #: By the name of a channel: what its dial does instead.
        self.dial_faults: dict[str, DialFault] = {}
        self._nursery = nursery
        self._upstream_kind = upstream_kind
        #: The upstreams' ends of all dials.
        self.far_ends: list[trio.abc.Stream] = []
        self.forget_dials()

    def forget_dials(self) -> None:
        """Forget the upstreams that nobody waited for."""
        self._dialled, self._upstreams = trio.open_memory_channel[Upstream](100)

    async def dial(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Be the proxy's dialer: a new connection, whose other end ``upstream`` gives."""
        if channel.name in self.dial_faults:
            return await self.dial_faults[channel.name](channel, request)
        far, near = await stream_pair(self._upstream_kind)
        self.far_ends.append(far)
        self._dialled.send_nowait(Upstream(far, channel, request))
        return near

    async def upstream(self) -> Upstream:
        """Wait for the next dial and return its far end, before the upgrade."""
        with trio.fail_after(LONG):
            return await self._upstreams.receive()

    async def visit(self, kind: str = "memory") -> Client:
        """Connect, and say nothing."""
        far, near = await stream_pair(kind)
        client = Client(far, near)
        self.clients.append(client)
        self._nursery.start_soon(self._receive, client)
        return client

    async def _receive(self, client: Client) -> None:
        try:
            await self.proxy.handle_stream(client.near)
        finally:
            client.over.set()

    async def knock(self, *extra: str, kind: str = "memory", **head: Any) -> Client:
        """Connect and ask for an upgrade."""
        client = await self.visit(kind)
        await client.send_raw(request_head(head.pop("token", self.token), *extra, **head))
        return client

    async def open(
        self, *extra: str, kind: str = "memory", first: Mapping[str, Any] | None = None, **head: Any
    ) -> tuple[Client, Upstream]:
        """Open a whole session: the client has read its 101 and ``session.created``."""
        client = await self.knock(*extra, kind=kind, **head)
        upstream = await self.upstream()
        await upstream.accept(created() if first is None else first)
        await client.read_101()
        assert (await client.hear())["type"] == "session.created"
        return client, upstream

    async def record(self) -> SessionRecord:
        """Wait until the last visit is over and return its record."""
        with trio.fail_after(LONG):
            await self.clients[-1].over.wait()
        return self.records[-1]

    async def serve_well(self) -> None:
        """Check that a good client is served: events both ways and an orderly end."""
        client, upstream = await self.open()
        await client.say({"type": "response.create"})
        assert await upstream.hear() == {"type": "response.create"}
        await upstream.say(response_created())
        assert await client.hear() == response_created()
        await client.close(1000, b"bye")
        goodbyes = await farewells(client, upstream)
        assert [goodbye.told for goodbye in goodbyes] == [(None, 1000, "bye")] * 2
        assert (await self.record()).ending == "client_closed"

    async def check(self, before: "_Open", *, still_serves: bool) -> None:
        """Check what must hold when everybody has left."""
        for client in self.clients:
            with trio.fail_after(LONG):
                await client.over.wait()
        if still_serves:
            with trio.fail_after(LONG):
                await self.serve_well()
        assert len(self.records) == len(self.clients) - self.silent_visits
        assert self.proxy.faults == 0
        assert self.proxy.sessions == 0
        for client in self.clients:
            await assert_closed(client.near)
            await trio.aclose_forcefully(client.stream)
        for far in self.far_ends:
            await trio.aclose_forcefully(far)
        await trio.testing.wait_all_tasks_blocked()
        self._upstreams.close()
        after = _Open.now()
        assert (after.tasks, after.descriptors) == (before.tasks, before.descriptors)


async def assert_closed(stream: trio.abc.Stream) -> None:
    """Check that a stream was closed at this end."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some(1)


@attrs.frozen
class _Open:
    """How many tasks and descriptors there are."""

    tasks: int
    descriptors: int

    @classmethod
    def now(cls) -> "_Open":
        tasks = trio.lowlevel.current_statistics().tasks_living
        return cls(tasks, len(list(Path("/proc/self/fd").iterdir())))


async def farewells(*peers: Peer, within: float = LONG) -> list[Farewell]:
    """Read all peers to their end, at the same time, and return what each was told."""
    found: dict[int, Farewell] = {}

    async def read(index: int, peer: Peer) -> None:
        found[index] = await peer.farewell()

    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            for index, peer in enumerate(peers):
                nursery.start_soon(read, index, peer)
    return [found[index] for index in range(len(peers))]


def channel(name: str = "main", **fields: Any) -> ChannelSettings:
    """Return a channel that leads to a loopback address without TLS."""
    given = {
        "provider": "compatible",
        "models": {MODEL: UPSTREAM_MODEL},
        "base_url": "ws://127.0.0.1:9/v1",
        "auth": "none",
    }
    return ChannelSettings(name, **{**given, **fields})


@asynccontextmanager
async def open_house(
    *channels: ChannelSettings,
    upstream_kind: str = "memory",
    still_serves: bool = True,
    limits: Mapping[str, Any] | None = None,
    timeouts: Mapping[str, Any] | None = None,
    listen: Mapping[str, Any] | None = None,
    hooks: Mapping[str, Any] | None = None,
    **fields: Any,
) -> AsyncIterator[House]:
    """Open a proxy, and check when the block is left that nothing is left of its visitors.

    ``hooks`` are further arguments of ``open_proxy``, such as ``on_usage``.
    """
    settings = Settings(
        channels=channels or (channel(),),
        limits=Limits(**(limits or {})),
        timeouts=Timeouts(**(timeouts or {})),
        listen=ListenSettings(**(listen or {})),
        **fields,
    )
    with errors_logged() as errors:
        async with trio.open_nursery() as nursery:
            house = House(nursery, upstream_kind)
            async with open_proxy(
                settings,
                tokens=house.tokens,
                dial=house.dial,
                on_session_end=house.records.append,
                **(hooks or {}),
            ) as proxy:
                house.proxy = proxy
                await trio.testing.wait_all_tasks_blocked()
                before = _Open.now()
                yield house
                await house.check(before, still_serves=still_serves)
    assert errors == [], "\n".join(errors)


def tomorrow() -> datetime:
    """Return a moment that is not near."""
    return datetime.now(UTC) + timedelta(days=1)


def reset(stream: trio.SocketStream) -> None:
    """Close a socket with a reset instead of a FIN."""
    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
    stream.socket.close()


def resident_bytes() -> int:
    """Return how much memory the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
