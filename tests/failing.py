"""Upstreams that fail in every way, and good ones, for the tests of failover and health.

A ``Behaviour`` is what the far end of one connection does; it serves over memory
streams, and over real sockets too. A ``Network`` says what each channel's dial meets,
and counts the dials; ``served``, ``refusal`` and ``status_of`` are one visit each.
What bad upstreams say in their own words is in ``OWN_WORDS``: none of it may reach a
client or a log.
"""

import json
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import attrs
import kit
import pytest
import trio
from kit import CLOSE, TEXT, channel, close_payload, frame, open_house
from trio.testing import memory_stream_pair

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.settings import ChannelSettings, HealthSettings, Secret, Settings

Behaviour = Callable[[trio.abc.Stream], Awaitable[None]]

#: The key of every channel that has one begins so.
KEY_START = "sk-provider-"
OWN_WORDS = "upstream's own words, sk-upstream-secret, https://inner.example"

_HELLO = {"type": "response.create"}


class Far(kit.Upstream):
    """The far end of a connection whose request nobody looks at."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        kit.Peer.__init__(self, stream, masks=False)
        self.head = b""


async def _read_on(far: kit.Peer) -> None:
    """Read until the other side is gone."""
    with suppress(trio.BrokenResourceError):
        while await far.stream.receive_some(65_536):
            pass


async def stays_silent(stream: trio.abc.Stream) -> None:
    """Take what comes, and say nothing."""
    await _read_on(kit.Peer(stream, masks=False))


async def hangs_up(stream: trio.abc.Stream) -> None:
    """Leave as soon as the upgrade has come."""
    await kit.Peer(stream, masks=False).read_head()


def answers(status: str, *headers: str) -> Behaviour:
    """Answer the upgrade by HTTP, with a body that nobody may see."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(OWN_WORDS)}"]
    answer = ("\r\n".join(lines) + "\r\n\r\n" + OWN_WORDS).encode()

    async def behave(stream: trio.abc.Stream) -> None:
        far = kit.Peer(stream, masks=False)
        await far.read_head()
        await far.send_raw(answer)
        await _read_on(far)

    return behave


async def speaks_something_else(stream: trio.abc.Stream) -> None:
    """Speak another protocol."""
    await stream.send_all(f"SSH-2.0 {OWN_WORDS}\r\n".encode())
    await stays_silent(stream)


def upgrades(*sent: bytes, stays: bool = False) -> Behaviour:
    """Answer 101, send these bytes, and leave, or stay until it is left."""

    async def behave(stream: trio.abc.Stream) -> None:
        far = await Far(stream).accept()
        for data in sent:
            await far.send_raw(data)
        if stays:
            await _read_on(far)

    return behave


def event(code: str, close_code: int | None = None) -> Behaviour:
    """Say an ``error`` first event, then CLOSE, as OpenAI does, where it has a code."""
    said = frame(TEXT, json.dumps(kit.error(code, OWN_WORDS)).encode())
    reason = f"invalid_request_error.{code}".encode()
    closing = b"" if close_code is None else frame(CLOSE, close_payload(close_code, reason))
    return upgrades(said + closing, stays=True)


def closes(code: int) -> Behaviour:
    """Close before the first event."""
    return upgrades(frame(CLOSE, close_payload(code, OWN_WORDS.encode())), stays=True)


async def serves(stream: trio.abc.Stream) -> None:
    """Be a good upstream: each event that comes is answered by ``response.created``."""
    far = await Far(stream).accept(kit.created())
    with suppress(trio.BrokenResourceError):
        while (message := await far.receive_message()) is not None and message.opcode != CLOSE:
            assert json.loads(message.payload) == _HELLO
            await far.say(kit.response_created())
        if message is not None:
            await far.send(CLOSE, message.payload)


async def use(client: kit.Client) -> bytes:
    """Hold a whole good session as a client, and return all that the client has seen of it."""
    with trio.fail_after(kit.LONG):
        seen = await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        await client.say(_HELLO)
        assert await client.hear() == kit.response_created()
        await client.close(1000, b"bye")
        assert (await client.farewell()).told == (None, 1000, "bye")
        await client.over.wait()
    return seen + b"".join(part.payload for part in client.frames)


def raises(error: Exception) -> Callable[[], Awaitable[None]]:
    """Fail the dial itself."""

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    return fail


@attrs.frozen
class Way:
    """One way to fail: what the dial or the far end does, and how it is told.

    Attributes:
        why: How it is told.
        behave: What the far end does.
        dial: What the dial does before there is a far end.
        seconds: How long it takes until it is noticed, with the default deadlines.
    """

    why: str
    behave: Behaviour = stays_silent
    dial: Callable[[], Awaitable[None]] | None = None
    seconds: float = 0


_CERTIFICATE = ssl.SSLCertVerificationError(1, OWN_WORDS)
_CERTIFICATE.verify_message = "self-signed certificate"
_REFUSED = ConnectionRefusedError(111, OWN_WORDS)
_UNKNOWN = socket.gaierror(socket.EAI_NONAME, OWN_WORDS)

WAYS = {
    "refused": Way("connection refused", dial=raises(_REFUSED)),
    "dns": Way("DNS: the host name is not known", dial=raises(_UNKNOWN)),
    "tls": Way("TLS: self-signed certificate", dial=raises(_CERTIFICATE)),
    "blackhole": Way("no connection within 5 s", dial=trio.sleep_forever, seconds=5),
    "no answer": Way("no connection within 5 s", stays_silent, seconds=5),
    "status": Way("HTTP 503", answers("503 Unavailable")),
    "redirect": Way("HTTP 302", answers("302 Found", "Location: https://inner.example/")),
    "error event": Way("error server_error", event("server_error")),
    "close": Way("closed with 1011 before the first event", closes(1011)),
    "no first event": Way("no first event within 5 s", upgrades(stays=True), seconds=5),
}


class Network:
    """What the dials of a house meet (mutable: behaviours change, dials are counted).

    Attributes:
        ways: By the name of a channel: how it fails; others serve well.
        dials: The names of the channels that were dialled, in order.
        keys: The keys that came with the dials, in order.
    """

    def __init__(self, house: kit.House, *names: str) -> None:
        self.ways: dict[str, Way] = {}
        self.dials: list[str] = []
        self.keys: list[str] = []
        self._nursery = house._nursery
        house.dial_faults = dict.fromkeys(names, self._dial)

    def count(self, name: str) -> int:
        """Return how often a channel was dialled since the last look at it."""
        count = self.dials.count(name)
        self.dials = [other for other in self.dials if other != name]
        return count

    async def _dial(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        self.dials.append(channel.name)
        self.keys += _keys(request)
        way = self.ways.get(channel.name)
        if way is not None and way.dial is not None:
            await way.dial()
        far, near = memory_stream_pair()
        self._nursery.start_soon(self._behave, serves if way is None else way.behave, far)
        return near

    async def _behave(self, behave: Behaviour, far: trio.abc.Stream) -> None:
        try:
            with suppress(trio.BrokenResourceError):
                await behave(far)
        finally:
            await trio.aclose_forcefully(far)


def _keys(request: UpstreamRequest) -> Iterator[str]:
    for name, value in request.header_bytes():
        if name.lower() in (b"authorization", b"api-key"):
            yield value.decode().removeprefix("Bearer ")


@contextmanager
def listened_to(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Gather what rt_proxy logs inside, from INFO on, with all fields."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = getattr(record, "fields", None)
            lines.append(record.getMessage() + (f" {fields}" if fields else ""))

    logger, handler = logging.getLogger("rt_proxy"), Lines()
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "rt_proxy"):
            yield lines
    finally:
        logger.removeHandler(handler)


FAILS = Way("HTTP 500", answers("500 Sorry"))
REFUSES_KEY = Way("HTTP 401", answers("401 Unauthorized"))
#: Chance adds up to a quarter to a cooldown.
MOST = 1.25


def a_and_b(**a: Any) -> list[ChannelSettings]:
    """Return two channels; ``a`` comes first, with these fields."""
    return [channel("a", priority=1, **a), channel("b")]


def keyed(*keys: str) -> dict[str, Any]:
    """Return the fields of a channel with keys."""
    return {"auth": "bearer", "api_keys": tuple(Secret(KEY_START + key) for key in keys)}


house_of = partial(
    open_house, still_serves=False, health=HealthSettings(cooldown=10, max_cooldown=40)
)


async def served(house: kit.House) -> tuple[str, ...]:
    """Be served once, and return which channel it was, after the ones that failed before."""
    await use(await house.knock())
    record = await house.record()
    return (*record.attempts, record.channel or "")


async def status_of(house: kit.House, path: str = "/readyz") -> int:
    """Return the status of a page."""
    house.silent_visits += 1
    client = await house.visit()
    await client.send_raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    status, _, _ = await client.read_answer()
    await client.stream.aclose()
    await client.over.wait()
    return status


async def refusal(house: kit.House) -> tuple[int, int | None, str]:
    """Be refused by HTTP, and return status, ``Retry-After`` and message."""
    client = await house.knock(target=f"/openai/v1/realtime?model={kit.MODEL}")
    status, headers, error = await client.read_answer()
    await client.stream.aclose()
    await client.over.wait()
    after = headers.get(b"retry-after")
    return status, None if after is None else int(after), error["message"]


def settings_with(house: kit.House, channels: list[ChannelSettings] | None = None) -> Settings:
    """Return the settings in force, with other channels where given."""
    settings = house.proxy._house.settings
    return attrs.evolve(settings, channels=tuple(channels or settings.channels))


def refusing(network: Network, *refused: str) -> Way:
    """Return an upstream that refuses some of the keys."""

    async def behave(stream: trio.abc.Stream) -> None:
        key = network.keys[-1].removeprefix(KEY_START)
        await (REFUSES_KEY.behave if key in refused else serves)(stream)

    return Way("", behave)
