"""Facts about opening an upstream: one channel after the other, and what is said of failures."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs
import kit
import pytest
import trio
from trio.testing import MockClock

from rt_proxy.channels import Channel, Choice, Health, UpstreamRequest, make_channels
from rt_proxy.listener.admission import Ticket
from rt_proxy.listener.failure import Failure
from rt_proxy.listener.house import House
from rt_proxy.listener.keys import Keys
from rt_proxy.listener.opening import Upstream, UpstreamOpener
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.frames import Message
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import HealthSettings, Settings, Timeouts
from rt_proxy.tokens.store import MemoryTokenStore
from rt_proxy.tokens.token import Token


class Far:
    """A dialer that gives its far ends (mutable: it counts dials)."""

    def __init__(self) -> None:
        self.near: list[trio.abc.Stream] = []
        self.dialled, self.upstreams = trio.open_memory_channel[kit.Upstream](10)

    async def __call__(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Dial."""
        far, near = await kit.stream_pair("memory")
        self.near.append(near)
        self.dialled.send_nowait(kit.Upstream(far, channel, request))
        return near

    async def all_closed(self) -> bool:
        """Tell whether every stream that was dialled has been closed by us."""
        for near in self.near:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some(1)
        return True


def ticket(*names: str, first_event: bool = True) -> Ticket:
    """Return a ticket for channels of these names, in this order."""
    channels = [kit.channel(name, first_event=first_event) for name in names]
    hello = Hello("/v1/realtime", False, Dialect.GA, kit.MODEL, None, None, False, kit.KEY)
    token = Token("tok_1", "tester", "0" * 64, datetime.now(UTC))
    made = make_channels(Settings(channels=tuple(channels)))
    choice = Choice(tuple(made), {})
    return Ticket(hello, token, kit.MODEL, None, choice)


def opener(room: trio.Nursery, dial: Far, timeouts: Timeouts | None = None) -> UpstreamOpener:
    """Return an opener."""
    house = House(
        settings=Settings(channels=(), timeouts=timeouts or Timeouts()),
        channels=(),
        trusted_proxies=(),
        tokens=MemoryTokenStore(),
        dial=dial,
        keys=Keys(),
        health=Health(HealthSettings(), Random(1)),
    )
    return UpstreamOpener(room, house)


@pytest.mark.parametrize(
    ("dialect", "session", "warned"),
    [
        ("ga", {"modalities": ["text"], "voice": "x"}, True),
        ("beta", {"type": "realtime", "audio": {}}, True),
        ("ga", {"voice": "x", "turn_detection": None, "instructions": ""}, False),
        ("ga", {"type": "realtime", "audio": {}}, False),
        ("beta", {"modalities": ["text"]}, False),
        ("ga", {"id": "sess_1"}, False),
    ],
)
@pytest.mark.log_says("its upstream speaks the")
async def test_a_channel_of_the_wrong_dialect(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    dialect: str,
    session: dict[str, Any],
    warned: bool,
) -> None:
    """An upstream that shows another dialect than its channel has is warned of."""
    dial = Far()
    async with trio.open_nursery() as room:
        given = ticket(kit.MODEL)
        channels = make_channels(Settings(channels=(kit.channel("a", dialect=dialect),)))
        opening = opener(room, dial)
        room.start_soon(opening.open, attrs.evolve(given, choice=Choice(tuple(channels), {})))
        await (await dial.upstreams.receive()).accept(
            {"type": "session.created", "session": session}
        )
        await trio.testing.wait_all_tasks_blocked()
        room.cancel_scope.cancel()
    other = "BETA" if dialect == "ga" else "GA"
    said = f"channel a: its upstream speaks the {other} dialect" in caplog.text
    assert said is warned


async def test_the_first_good_channel(autojump_clock: MockClock) -> None:
    """The channels are tried in order; the first event of the good one is there to be read."""
    dial = Far()
    async with trio.open_nursery() as room:
        opening = opener(room, dial)
        outcomes: list[Upstream | Refusal] = []

        async def run() -> None:
            outcomes.append(await opening.open(ticket("a", "b", "c")))

        room.start_soon(run)
        await (await dial.upstreams.receive()).refuse(b"HTTP/1.1 500 X\r\n\r\n")
        upstream = await dial.upstreams.receive()
        await upstream.accept(kit.created(), kit.response_created())
        await trio.testing.wait_all_tasks_blocked()
        [outcome] = outcomes
        assert isinstance(outcome, Upstream)
        assert outcome.channel.name == "b"
        assert opening.failures == [Failure("a", "HTTP 500", status=500)]
        [first, *_] = await outcome.leg.read()
        assert isinstance(first, Message)
        assert b"session.created" in first.payload
        assert dial.upstreams.statistics().current_buffer_used == 0
        await outcome.leg.wire.cut()
        room.cancel_scope.cancel()
    assert await dial.all_closed()


async def test_no_first_event(autojump_clock: MockClock) -> None:
    """A channel that speaks when spoken to is good as soon as it is upgraded."""
    dial = Far()
    async with trio.open_nursery() as room:
        room.start_soon(lambda: accept_next(dial))
        outcome = await opener(room, dial).open(ticket("a", first_event=False))
        assert isinstance(outcome, Upstream)
        await outcome.leg.wire.cut()
        room.cancel_scope.cancel()
    assert trio.current_time() == 0


async def accept_next(dial: Far) -> None:
    """Upgrade the next dial."""
    await (await dial.upstreams.receive()).accept()


@pytest.mark.parametrize("after", [0, 1, 4])
async def test_cancelled(autojump_clock: MockClock, after: float) -> None:
    """Cancelling closes whatever was opened, wherever the opening was."""
    dial = Far()
    async with trio.open_nursery() as room:

        async def upstream() -> None:
            far = await dial.upstreams.receive()
            await trio.sleep(2)
            await far.accept()

        room.start_soon(upstream)
        with trio.move_on_after(after) as scope:
            await opener(room, dial).open(ticket("a"))
        assert scope.cancelled_caught
        assert await dial.all_closed()
        room.cancel_scope.cancel()


async def test_opening_deadline(autojump_clock: MockClock) -> None:
    """The deadline of all channels goes over that of each; it names the one being tried."""
    dial = Far()
    async with trio.open_nursery() as room:
        opening = opener(room, dial, Timeouts(dial=5, opening=12))
        outcome = await opening.open(ticket("a", "b", "c", "d"))
        assert isinstance(outcome, Refusal)
        assert outcome.code == "upstream_unavailable"
        assert [(failure.channel, failure.timeout) for failure in opening.failures] == [
            ("a", None),
            ("b", None),
            ("c", "opening_timeout"),
        ]
    assert trio.current_time() == 12
    assert await dial.all_closed()


async def test_deadlines_that_are_off(autojump_clock: MockClock) -> None:
    """A deadline of 0 is none."""
    dial = Far()
    async with trio.open_nursery() as room:

        async def upstream() -> None:
            far = await dial.upstreams.receive()
            await trio.sleep(1_000)
            await far.accept()
            await trio.sleep(1_000)
            await far.say(kit.created())

        room.start_soon(upstream)
        opening = opener(room, dial, Timeouts(dial=0, first_event=0, opening=0))
        outcome = await opening.open(ticket("a"))
        assert isinstance(outcome, Upstream)
        await outcome.leg.wire.cut()
        room.cancel_scope.cancel()
    assert trio.current_time() == 2_000


def test_a_failure_in_words() -> None:
    """A failure names its channel."""
    assert str(Failure("azure-east", "HTTP 401")) == "azure-east: HTTP 401"


async def test_upstreams_that_failed_are_told(autojump_clock: MockClock) -> None:
    """An upstream that was upgraded and is not wanted gets a CLOSE, not just an end."""
    dial = Far()
    async with trio.open_nursery() as room:

        async def upstream() -> None:
            far = await dial.upstreams.receive()
            await far.accept(kit.error("server_error"))
            assert (await far.farewell()).code == 1000

        room.start_soon(upstream)
        assert isinstance(await opener(room, dial).open(ticket("a")), Refusal)
    assert await dial.all_closed()
