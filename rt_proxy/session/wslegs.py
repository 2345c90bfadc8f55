"""Opens legs: the one door of trio-websocket.

trio-websocket holds both handshakes, answers pings and runs the closing
handshake of a leg. It does not see the stream but a *tap* on it, which gets the
HTTP head and later control frames only; data frames stay with the leg, which
passes them on untouched. That is several times cheaper than messages through
the library, and what a peer does cannot reach a nursery: the library's reader
runs under a guard.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import trio
import trio_websocket

from rt_proxy.realtime.closing import Side
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import CLOSE, FIN
from rt_proxy.realtime.upgrade import NotUpgraded, Upgraded, read_upgrade
from rt_proxy.session.leg import Leg
from rt_proxy.session.wire import Wire

_logger = logging.getLogger("rt_proxy.session")


class UpgradeFailedError(Exception):
    """An upstream did not become a WebSocket.

    Attributes:
        status: Its HTTP status, where it had one.
        retry_after: In how many seconds to come again, where it said so.
    """

    def __init__(
        self, why: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after = retry_after


class _Tap(trio.abc.Stream):
    """What trio-websocket takes for the stream of a leg."""

    def __init__(self, wire: Wire, head: bytes = b"") -> None:
        self._wire = wire
        self._head = head
        self._to_engine, self._inbox = trio.open_memory_channel[bytes](0)
        #: Our CLOSE is on the wire, or never will be.
        self.close_sent = trio.Event()

    async def feed(self, data: bytes) -> None:
        """Hand bytes to the engine, once it is ready for them; ``b""`` is an EOF."""
        try:
            await self._to_engine.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()

    def finish(self) -> None:
        """The engine has ended, or must: it gets an EOF, and nobody waits for it any more."""
        self._to_engine.close()
        self._inbox.close()
        self.close_sent.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            await trio.lowlevel.checkpoint()
            return head
        try:
            return await self._inbox.receive()
        except trio.EndOfChannel:
            return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._wire.send(bytes(data))
        if data[0] == FIN | CLOSE:
            self.close_sent.set()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """End the engine's reading; the stream itself belongs to the leg."""
        self._to_engine.close()
        await trio.lowlevel.checkpoint()


class _Guard:
    """Stands in for the nursery in which trio-websocket starts its reader.

    Theory: the reader handles what a peer sends, so it cannot fail.
    Practice: it raises for a bad accept header, a ping after our close, and
    more; in a shared nursery that would take the session's siblings with it.
    """

    def __init__(self, nursery: trio.Nursery, tap: _Tap) -> None:
        self._nursery = nursery
        self._tap = tap
        self.on_end: Callable[[], None] = lambda: None

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Start the reader, as a nursery would."""
        self._nursery.start_soon(self._run, reader)

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            await reader()
        except Exception as error:  # noqa: BLE001 - whatever a peer's bytes raise stays in the leg
            _logger.debug("the control engine of a leg ended: %r", error)
        finally:
            self._tap.finish()
            self.on_end()

    def as_nursery(self) -> trio.Nursery:
        """Return the guard under the type that trio-websocket asks for."""
        return cast("trio.Nursery", self)


class _Engine:
    """trio-websocket at work on one leg."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, tap: _Tap) -> None:
        self._connection = connection
        self._tap = tap

    async def take(self, frame: bytes) -> None:
        await self._tap.feed(frame)

    async def close(self, code: int, reason: str) -> None:
        await self._connection.aclose(code, reason or None)
        await self._tap.close_sent.wait()


def _accept_head(key: str, subprotocol: str | None) -> bytes:
    """Build the head that the engine sees: nothing of the client's own but its key."""
    lines = [
        "GET / HTTP/1.1",
        "Host: rt-proxy",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def accept_leg(
    room: trio.Nursery,
    stream: trio.abc.Stream,
    *,
    key: str,
    subprotocol: str | None,
    frames: FrameReader,
    unread: bytes = b"",
) -> Leg:
    """Send our 101 to a client whose request has been read and judged.

    Cancelling leaves the stream tainted; it still belongs to the caller until
    the leg is returned.

    Args:
        room: The nursery that the leg's engine lives in.
        stream: The client's stream.
        key: The client's ``Sec-WebSocket-Key``, checked.
        subprotocol: What to echo; it must have been offered.
        frames: The reader of what the client sends.
        unread: What the client sent after its request.

    Raises:
        trio.BrokenResourceError: The client is gone.
    """
    wire = Wire(stream)
    tap = _Tap(wire, _accept_head(key, subprotocol))
    guard = _Guard(room, tap)
    try:
        request = await trio_websocket.wrap_server_stream(guard.as_nursery(), tap)
        connection = await request.accept(subprotocol=subprotocol)
    except trio_websocket.ConnectionClosed as closed:
        tap.finish()
        raise trio.BrokenResourceError("the client left during the upgrade") from closed
    except BaseException:
        tap.finish()
        raise
    engine = _Engine(connection, tap)
    return Leg(Side.CLIENT, wire, engine, frames, masks=False, unread=unread)


async def open_leg(
    room: trio.Nursery,
    stream: trio.abc.Stream,
    *,
    host: str,
    resource: str,
    headers: Sequence[tuple[bytes, bytes]],
    frames: FrameReader,
) -> Leg:
    """Upgrade a connected stream to a WebSocket, as its client.

    Without a deadline of its own: the caller sets it. Cancelling leaves the
    stream tainted; it still belongs to the caller until the leg is returned.

    Args:
        room: The nursery that the leg's engine lives in.
        stream: A stream to the upstream, TLS included.
        host: The ``Host`` header.
        resource: Path and query.
        headers: Further headers.
        frames: The reader of what the upstream sends.

    Raises:
        UpgradeFailedError: The upstream refused, hung up, or does not speak HTTP.
    """
    wire = Wire(stream)
    tap = _Tap(wire)
    guard = _Guard(room, tap)
    answers: list[Upgraded | NotUpgraded] = []
    connection = None
    try:
        async with trio.open_nursery() as opening:
            guard.on_end = lambda: opening.cancel_scope.cancel("the engine ended")
            opening.start_soon(_feed_upgrade, wire, tap, answers, opening.cancel_scope)
            connection = await trio_websocket.wrap_client_stream(
                guard.as_nursery(), cast("trio.SocketStream", tap), host, resource,
                extra_headers=list(headers),
            )  # fmt: skip
        guard.on_end = lambda: None
        answer = answers[0] if answers else NotUpgraded(None, "the connection was closed")
        if isinstance(answer, NotUpgraded):
            raise UpgradeFailedError(answer.why, answer.status, answer.retry_after)
        if connection is None:
            raise UpgradeFailedError("the 101 answer is not valid", 101)
    except BaseException:
        tap.finish()
        raise
    engine = _Engine(connection, tap)
    return Leg(Side.UPSTREAM, wire, engine, frames, masks=True, unread=answer.rest)


async def _feed_upgrade(
    wire: Wire, tap: _Tap, answers: list[Upgraded | NotUpgraded], opening: trio.CancelScope
) -> None:
    """Read the upstream's answer; the engine sees it only if it is a 101."""
    data = b""
    while True:
        chunk = await wire.receive()
        data += chunk
        answer = read_upgrade(data, at_end=not chunk)
        if answer is None and chunk:
            continue
        answer = answer or NotUpgraded(None, "the connection was closed")
        answers.append(answer)
        if isinstance(answer, NotUpgraded):
            opening.cancel("the upstream refused")
        else:
            await tap.feed(answer.head)
        return
