"""Facts about each way in which a real upstream fails an opening: the next channel serves.

Sockets, TLS and name resolution are real, and so is the clock, but where a whole
minute has to pass. What is bad is the channel ``bad``, tried first.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import failing
import kit
import pytest
import trio
import trustme
from dialkit import server, server_context
from kit import channel, farewells, open_house
from trio.testing import MockClock

from rt_proxy.listener.dial import TcpDial
from rt_proxy.settings import HealthSettings, Secret

pytestmark = pytest.mark.log_says("session ended", "channel bad: its key is refused")

#: Deadlines of a channel that says nothing, in seconds; the only time that really passes.
SHORT = 0.5
KEY = "sk-provider-bad"

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)

Handler = Callable[[trio.SocketStream], Awaitable[None]]


def over_tls(behave: failing.Behaviour, leaf: trustme.LeafCert) -> Handler:
    """Return a server behind TLS."""

    async def handle(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, server_context(leaf), server_side=True, https_compatible=True)
        await tls.do_handshake()
        await behave(tls)

    return handle


async def resets(stream: trio.SocketStream) -> None:
    """Reset the connection when the upgrade has come."""
    await kit.Peer(stream, masks=False).read_head()
    kit.reset(stream)


async def upgrades_and_resets(stream: trio.SocketStream) -> None:
    """Answer 101, and reset the connection."""
    await failing.upgrades()(stream)
    kit.reset(stream)


async def hangs_up_at_once(stream: trio.SocketStream) -> None:
    """Leave before a word was said."""
    await stream.aclose()


def guarded(handle: Handler) -> Handler:
    """Let a server be hung up on."""

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await handle(stream)
        await trio.aclose_forcefully(stream)

    return serve


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    """Give a port where nobody listens, and keep it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def blackhole() -> AsyncIterator[int]:
    """Give a port where nobody answers: its queue is full, and nothing is taken from it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for one in waiting:
                one.close()


@attrs.frozen
class Kind:
    """A way to fail, as it is on the wire.

    Attributes:
        why: How it is told.
        handle: What the server does; None: see ``place``.
        place: Where the channel leads, in place of a server.
        url: The channel's URL.
        fields: Of the channel.
    """

    why: str
    handle: Handler | None = None
    place: Callable[[], Any] | None = None
    url: str = "ws://127.0.0.1:{port}/v1"
    fields: dict[str, Any] = attrs.field(factory=dict)


def codes() -> list[tuple[str, int | None]]:
    """Return the codes of protocol, "Codes seen" and "Failures at connect time"."""
    closing_with_4000 = "beta_api_shape_disabled invalid_beta missing_model invalid_model"
    staying = (
        "insufficient_quota unknown_parameter missing_required_parameter invalid_value "
        "invalid_type integer_below_min_value string_above_max_length invalid_json invalid_event "
        "conversation_already_has_active_response response_cancel_not_active "
        "input_audio_buffer_commit_empty item_delete_invalid_item_id immutable_field_update "
        "cannot_update_voice rate_limit_exceeded inference_rate_limit_exceeded"
    )
    return [
        ("invalid_api_key", 3000),
        ("model_not_found", 4004),
        ("credit_balance_exhausted", 1013),
        ("session_expired", 1001),
        ("server_error", 1011),
        *((code, 4000) for code in closing_with_4000.split()),
        *((code, None) for code in staying.split()),
    ]


TLS_URL = "wss://localhost:{port}/v1"
STATUSES = (200, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 407, 408, 409, 410, 413, 418,
            421, 426, 429, 451, 500, 501, 502, 503, 504, 529, 599)  # fmt: skip

KINDS = {
    "refused": Kind("connection refused", place=nobody),
    "blackhole": Kind(f"no connection within {SHORT} s", place=blackhole),
    "unknown name": Kind(
        "DNS: the host name is not known", place=nobody, url="wss://upstream.invalid/v1"
    ),
    "not a name": Kind(
        "DNS: the host name is not known", place=nobody, url=f"wss://{'a' * 70}.test/v1"
    ),
    "plain on the TLS port": Kind(
        "TLS: what answers there speaks no TLS, as behind http:// and ws://",
        failing.speaks_something_else,
        url=TLS_URL,
    ),
    "unknown authority": Kind(
        "TLS: unable to get local issuer certificate",
        over_tls(failing.serves, trustme.CA().issue_cert("localhost")),
        url=TLS_URL,
    ),
    "certificate of another": Kind(
        "TLS: Hostname mismatch",
        over_tls(failing.serves, AUTHORITY.issue_cert("other.example")),
        url=TLS_URL,
    ),
    "hangs up in the TLS handshake": Kind(
        "hung up during the TLS handshake", hangs_up_at_once, url=TLS_URL
    ),
    "silent in the TLS handshake": Kind(
        f"no connection within {SHORT} s", failing.stays_silent, url=TLS_URL
    ),
    "silent behind TLS": Kind(
        f"no connection within {SHORT} s",
        over_tls(failing.stays_silent, AUTHORITY.issue_cert("localhost")),
        url=TLS_URL,
    ),
    "never answers": Kind(f"no connection within {SHORT} s", failing.stays_silent),
    "hangs up": Kind("the connection was closed", failing.hangs_up),
    "hangs up at once": Kind("the connection was closed", hangs_up_at_once),
    "resets": Kind("the connection was closed", resets),
    "not HTTP": Kind("the answer is not HTTP", failing.speaks_something_else),
    **{
        f"status {status}": Kind(f"HTTP {status}", failing.answers(f"{status} Word"))
        for status in STATUSES
    },
    **{
        f"error {code}": Kind(f"error {code}", failing.event(code, close_code))
        for code, close_code in codes()
    },
    "error without a code": Kind(
        "error without a known code", failing.event("The key sk-upstream-secret is wrong")
    ),
    **{
        f"close {code}": Kind(f"closed with {code} before the first event", failing.closes(code))
        for code in (1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000, 4004)
    },
    "gone after 101": Kind("hung up before the first event", failing.upgrades()),
    "reset after 101": Kind("hung up before the first event", upgrades_and_resets),
    "silent after 101": Kind(
        f"no first event within {SHORT} s", failing.upgrades(stays=True)
    ),
    "broken frame": Kind("broke the protocol: protocol_error", failing.upgrades(b"\xff\xff")),
}  # fmt: skip


@asynccontextmanager
async def standing(kind: Kind) -> AsyncIterator[str]:
    """Let a bad upstream stand, and give its URL."""
    place = kind.place or partial(server, guarded(kind.handle or failing.stays_silent))
    async with place() as port:
        yield kind.url.format(port=port)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
async def test_the_next_channel_serves(caplog: pytest.LogCaptureFixture, kind: Kind) -> None:
    """The client gets the session of the next channel, and the record says what the first did."""
    timeouts = {"dial": SHORT, "first_event": SHORT} if f"{SHORT} s" in kind.why else {}
    with failing.listened_to(caplog) as log:
        async with standing(kind) as url, server(guarded(failing.serves)) as port:
            bad = channel("bad", priority=1, base_url=url, auth="bearer", api_key=Secret(KEY))
            good = channel("good", base_url=f"ws://127.0.0.1:{port}/v1")
            async with open_house(bad, good, timeouts=timeouts, still_serves=False) as house:
                dial = TcpDial(environ={}, system=TRUSTING)
                house.dial_faults = {"bad": dial, "good": dial}
                seen = await failing.use(await house.knock(kind="tcp"))
                record = await house.record()
                assert record.channel == "good"
                [attempt] = record.attempts
                assert attempt.startswith(f"bad: {kind.why}")
                assert record.opening is not None
                assert record.opening < 5
    text = seen.decode("latin-1") + "\n".join(log)
    for word in (*failing.OWN_WORDS.split(", "), KEY):
        assert word not in text
    assert attempt in text


#: What is told as it is, and not as a fault of the channel (``test_faulty_upstreams.py``).
_PASSED_ON = "error model_not_found"


@pytest.mark.parametrize("name", [name for name in KINDS if name != _PASSED_ON])
async def test_the_only_channel(name: str) -> None:
    """Where there is no other, the refusal names the cause, and nothing of the upstream's."""
    kind = KINDS[name]
    timeouts = {"dial": SHORT, "first_event": SHORT} if f"{SHORT} s" in kind.why else {}
    async with standing(kind) as url:
        bad = channel("bad", base_url=url, auth="bearer", api_key=Secret(KEY))
        async with open_house(bad, timeouts=timeouts, still_serves=False) as house:
            house.dial_faults = {"bad": TcpDial(environ={}, system=TRUSTING)}
            client = await house.knock(kind="tcp")
            await client.read_101()
            told = await client.farewell()
            assert told.told == ("upstream_unavailable", 1013, "server_error.upstream_unavailable")
            message = told.events[0]["error"]["message"]
            assert message.startswith(f"No channel could serve. bad: {kind.why}")
            for word in (*failing.OWN_WORDS.split(", "), KEY, "127.0.0.1"):
                assert word not in message


async def test_a_redirect_is_not_followed() -> None:
    """A 302, as Azure may send, is a failure; where it points to is never asked."""
    asked: list[trio.SocketStream] = []

    async def elsewhere(stream: trio.SocketStream) -> None:
        asked.append(stream)
        await failing.serves(stream)

    async with server(guarded(elsewhere)) as port:
        location = f"Location: http://127.0.0.1:{port}/openai/v1/realtime"
        redirects = failing.answers("302 Found", location)
        leaf = AUTHORITY.issue_cert("localhost")
        async with server(guarded(over_tls(redirects, leaf))) as bad_port:
            azure = channel(
                "bad",
                provider="azure",
                endpoint=f"https://localhost:{bad_port}",
                base_url=None,
                auth=None,
                api_key=Secret(KEY),
                priority=1,
            )
            async with open_house(azure, channel("good"), still_serves=False) as house:
                house.dial_faults = {"bad": TcpDial(environ={}, system=TRUSTING)}
                client, upstream = await house.open()
                await client.close()
                await farewells(client, upstream)
                assert (await house.record()).attempts == ("bad: HTTP 302",)
    assert asked == []


class SlowResolver(trio.abc.HostnameResolver):
    """A resolver that knows one slow name."""

    async def getaddrinfo(self, host: bytes | None, *rest: Any, **more: Any) -> Any:
        """Take a minute."""
        assert host == b"slow.example"
        await trio.sleep(60)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def getnameinfo(self, *_: Any) -> Any:
        """Not asked for."""
        raise AssertionError


async def test_slow_name_resolution(autojump_clock: MockClock) -> None:
    """A name that takes long is given up after ``dial`` seconds, and is then known for it."""
    trio.socket.set_custom_hostname_resolver(SlowResolver())
    bad = channel("bad", priority=1, base_url="ws://slow.example/v1")
    health = HealthSettings(cooldown=60)
    async with open_house(bad, channel("good"), health=health, still_serves=False) as house:
        house.dial_faults["bad"] = TcpDial(environ={})
        for attempts in (("bad: no connection within 5 s",), ()):
            client, upstream = await house.open()
            await client.close()
            await farewells(client, upstream)
            record = await house.record()
            assert record.attempts == attempts
            assert record.opening == pytest.approx(5 if attempts else 0, abs=0.1)


async def test_accepts_and_dies_after_a_second(autojump_clock: MockClock) -> None:
    """An upstream that takes the upgrade and dies a second later, without a word, has failed."""

    async def dies(stream: trio.abc.Stream) -> None:
        await failing.upgrades()(stream)
        await trio.sleep(1)

    bad = channel("bad", priority=1)
    async with open_house(bad, channel("good"), still_serves=False) as house:
        network = failing.Network(house, "bad", "good")
        network.ways["bad"] = failing.Way("", dies)
        await failing.use(await house.knock())
        record = await house.record()
        assert record.attempts == ("bad: hung up before the first event",)
        assert record.opening == pytest.approx(1, abs=0.3)
        await failing.use(await house.knock())
        assert network.dials == ["bad", "good", "good"]
