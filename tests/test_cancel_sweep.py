"""The cancel sweep: a visit that is cancelled at any moment leaves nothing behind.

The same visit is run again and again, cancelled one scheduler step later each time.
"""

import contextlib
from collections.abc import Awaitable, Callable
from random import Random

import kit
import pytest
import trio
from kit import Client, House, Upstream, open_house
from trio.testing import MockClock

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.settings import ChannelSettings
from rt_proxy.usage.record import UsageRecord, unknown_price

pytestmark = pytest.mark.log_says("session ended")


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.02)


#: What the two far ends do: they get the house, the client and how to wait for an upstream.
Play = Callable[[House, Client, trio.Nursery], Awaitable[None]]
_GONE = (AssertionError, trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel)


class _CancelAfter(trio.abc.Instrument):
    """Cancels a scope after a number of steps of any task."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.left = steps
        self.cancelled_at = 0.0
        self._scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count."""
        self.left -= 1
        if self.left == 0:
            self._scope.cancel()
            self.cancelled_at = trio.current_time()


class _Sweep:
    """One house, and what its dials gave (mutable: it is used for every run)."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.near: list[trio.abc.Stream] = []
        self.knocked = False
        dial, refresh = house.dial, house.tokens.refresh

        async def dial_and_keep(channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
            stream = await dial(channel, request)
            self.near.append(stream)
            return stream

        async def refresh_and_note() -> None:
            self.knocked = True
            await refresh()

        house.proxy._dial_tcp = dial_and_keep
        house.tokens.refresh = refresh_and_note  # type: ignore[method-assign]

    async def run(self, play: Play, steps: int, kind: str) -> bool:
        """Run a visit that is cancelled after so many steps; False: it was over before."""
        self.near.clear()
        self.house.records.clear()
        self.house.forget_dials()
        self.knocked = False
        tasks = trio.lowlevel.current_statistics().tasks_living
        far, near = await kit.stream_pair(kind)
        client = Client(far, near)
        scope = trio.CancelScope()
        watch = _CancelAfter(scope, steps)
        async with trio.open_nursery() as players:
            players.start_soon(self._play, play, client, players)
            trio.lowlevel.add_instrument(watch)
            with scope:
                await self.house.proxy.handle_stream(near)
            trio.lowlevel.remove_instrument(watch)
            if watch.left <= 0:
                assert trio.current_time() - watch.cancelled_at <= 0.5, "it took long to be cut"
            for stream in [near, *self.near]:
                await kit.assert_closed(stream)
            players.cancel_scope.cancel()
        await trio.aclose_forcefully(far)
        assert len(self.house.records) == self.knocked
        assert self.house.proxy.faults == 0
        assert self.house.proxy.sessions == 0
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        return watch.left <= 0

    async def _play(self, play: Play, client: Client, players: trio.Nursery) -> None:
        with contextlib.suppress(*_GONE):
            await play(self.house, client, players)


async def _far_end(peer: kit.Peer) -> None:
    with contextlib.suppress(*_GONE):
        await peer.farewell()


async def whole_session(house: House, client: Client, players: trio.Nursery) -> None:
    """Open, say events both ways, and leave."""
    await client.send_raw(kit.request_head(house.token))
    upstream = await house.upstream()
    players.start_soon(_far_end_after, upstream, upstream.accept(kit.created()))
    await client.read_101()
    await client.hear()
    await client.say({"type": "session.update", "session": {"model": kit.MODEL}})
    await client.say(kit.append(100_000))
    await client.send(kit.PING, b"?")
    await client.close(1000, b"bye")
    await client.farewell()


async def leaves_in_a_response(house: House, client: Client, players: trio.Nursery) -> None:
    """Open, hear the beginning of a response, and leave; the upstream tells what it cost."""
    await client.send_raw(kit.request_head(house.token))
    upstream = await house.upstream()
    await upstream.accept(kit.created())
    await client.read_101()
    await client.hear()
    await client.say({"type": "response.create"})
    await upstream.hear()
    await upstream.say(kit.response_created())
    await client.hear()
    await client.close(1000, b"bye")
    players.start_soon(_far_end, client)
    assert (await upstream.hear())["type"] == "response.cancel"
    await upstream.say(kit.response_done())
    await upstream.farewell()


async def _far_end_after(upstream: Upstream, first: Awaitable[Upstream]) -> None:
    with contextlib.suppress(*_GONE):
        await first
        await upstream.say(kit.response_created())
        await upstream.say(
            b'{"type":"response.output_audio.delta","delta":"' + b"A" * 99_999 + b'"}'
        )
        await upstream.send(kit.PING, b"!")
        await upstream.say(kit.response_done())
        await upstream.farewell()


async def second_channel(house: House, client: Client, players: trio.Nursery) -> None:
    """The first channel refuses, the second is slow to speak; the upstream ends the session."""
    await client.send_raw(kit.request_head(house.token))
    await (await house.upstream()).refuse(b"HTTP/1.1 503 No\r\n\r\n")
    await (await house.upstream()).accept(kit.error("server_error"))
    upstream = await (await house.upstream()).accept()
    await trio.sleep(1)
    await upstream.say(kit.created())
    await client.read_101()
    await upstream.close(1001)
    players.start_soon(_far_end, upstream)
    await client.farewell()


async def refused(house: House, client: Client, _players: trio.Nursery) -> None:
    """Be refused by an event and CLOSE."""
    await client.send_raw(kit.request_head("sk-rt-wrong"))
    await client.read_101()
    await client.farewell()


async def refused_by_http(house: House, client: Client, _players: trio.Nursery) -> None:
    """Be refused by a plain answer."""
    await client.send_raw(kit.request_head("sk-rt-wrong", target="/openai/v1/realtime"))
    await client.read_answer()
    await client.stream.aclose()


async def every_channel_fails(house: House, client: Client, players: trio.Nursery) -> None:
    """Have every channel fail after its upgrade."""
    await client.send_raw(kit.request_head(house.token))
    for _ in range(3):
        upstream = await (await house.upstream()).accept(kit.error("server_error"))
        players.start_soon(_far_end, upstream)
    await client.read_101()
    await client.farewell()


async def leaves_while_dialling(house: House, client: Client, players: trio.Nursery) -> None:
    """Leave while the upstream is silent."""
    await client.send_raw(kit.request_head(house.token))
    upstream = await (await house.upstream()).accept()
    players.start_soon(_far_end, upstream)
    await client.stream.aclose()


async def breaks_the_protocol(house: House, client: Client, players: trio.Nursery) -> None:
    """Break the framing in mid-session, with an upstream that does not answer the goodbye."""
    await client.send_raw(kit.request_head(house.token))
    await (await house.upstream()).accept(kit.created())
    await client.read_101()
    await client.send_raw(kit.frame(kit.TEXT, b"unmasked"))
    await client.farewell()


PLAYS = [
    whole_session,
    leaves_in_a_response,
    second_channel,
    refused,
    refused_by_http,
    every_channel_fails,
    leaves_while_dialling,
    breaks_the_protocol,
]


async def sweep_over(
    house: House, play: Play, monkeypatch: pytest.MonkeyPatch, *, kind: str, stride: int
) -> int:
    """Run a visit until it is over before it is cancelled, and return how many steps that took."""
    sweep = _Sweep(house)
    steps = 1
    while True:
        # The order of tasks in a step is by chance: the same chance for the same step.
        monkeypatch.setattr("trio._core._run._r", Random(steps))
        try:
            if not await sweep.run(play, steps, kind):
                break
        except BaseException as error:
            error.add_note(f"cancelled after {steps} steps of {play.__name__}")
            raise
        steps += stride
    house.records.clear()
    return steps


def channels_for(play: Play) -> list[ChannelSettings]:
    """Return as many channels as a play needs."""
    names = ("a",) if play in (whole_session, leaves_in_a_response) else ("a", "b", "c")
    return [kit.channel(name, priority=-index) for index, name in enumerate(names)]


@pytest.mark.log_says("is not known")
@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_cancelled_at_every_step(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, play: Play
) -> None:
    """Wherever a visit is cancelled: streams closed, one record, no error, no task, and soon.

    And a response is billed once, if it had begun.
    """
    records: list[UsageRecord] = []
    hooks = {"on_usage": records.append, "price": unknown_price}
    channels = channels_for(play)
    async with open_house(*channels, still_serves=False, hooks=hooks) as house:
        steps = await sweep_over(house, play, monkeypatch, kind="memory", stride=1)
        assert steps > 20
        sessions = [record.session_id for record in records]
        assert len(sessions) == len(set(sessions))
        assert bool(sessions) is (play in (whole_session, leaves_in_a_response))


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_cancelled_over_tls(
    socket_clock: MockClock, monkeypatch: pytest.MonkeyPatch, play: Play
) -> None:
    """The same over sockets and TLS on both sides, and no descriptor is left."""
    channels = channels_for(play)
    async with open_house(*channels, still_serves=False, upstream_kind="tls upstream") as house:
        await sweep_over(house, play, monkeypatch, kind="tls client", stride=13)
