"""Facts about the deadlines of a session: each ends it in time, and none before its time."""

import math
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import kit
import pytest
import trio
from kit import CLOSE, CONTINUATION, PING, PONG, TEXT, farewells, frame, open_house
from trio.testing import MockClock, wait_all_tasks_blocked

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.session.watchdog import Watchdog
from rt_proxy.settings import Timeouts

pytestmark = pytest.mark.log_says("session ended")

DELTA = {"type": "response.output_audio.delta", "delta": "AAAA"}
DELTA_START = b'{"type":"response.output_audio.delta","delta":"'
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}
OFF = dict.fromkeys(
    ["client_idle", "upstream_idle", "ping_interval", "pong", "send_stall", "frame_stall"], 0
)


async def repeat(peer: kit.Peer, event: Mapping[str, str], times: int, every: float) -> None:
    """Say an event again and again."""
    for _ in range(times):
        await trio.sleep(every)
        await peer.say(event)


async def test_client_idle(autojump_clock: MockClock) -> None:
    """A client that sends no event for ``client_idle`` seconds gets 4408; pongs do not count."""
    async with open_house(timeouts={"client_idle": 90}) as house:
        client, upstream = await house.open()
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("client_idle", 4408, "client_idle")
        assert upstream_told.told == (None, 1000, "client_idle")
        assert trio.current_time() == 90
        record = await house.record()
        assert (record.ending, record.ended_by, record.close_code) == (
            "client_idle",
            "client",
            4408,
        )


async def test_client_idle_counts_from_the_last_event(autojump_clock: MockClock) -> None:
    """Each event of the client gives it all of ``client_idle`` again; the upstream's do not."""
    async with open_house(timeouts={"client_idle": 50}) as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(repeat, client, APPEND, 10, 40)
            nursery.start_soon(repeat, upstream, {"type": "rate_limits.updated"}, 40, 10)
            told, _ = await farewells(client, upstream)
        assert told.reason == "client_idle"
        assert trio.current_time() == 450


async def test_client_idle_counts_from_the_end_of_a_response(autojump_clock: MockClock) -> None:
    """A client that listens is not idle: its time begins when the response has ended."""
    async with open_house(timeouts={"client_idle": 50}) as house:
        client, upstream = await house.open()

        async def respond() -> None:
            await trio.sleep(10)
            await upstream.say(kit.response_created())
            await repeat(upstream, DELTA, 5, 37)
            await upstream.say(kit.response_done())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond)
            told, _ = await farewells(client, upstream)
        assert told.reason == "client_idle"
        assert trio.current_time() == pytest.approx(10 + 5 * 37 + 50)


async def test_a_quiet_call_is_healthy(autojump_clock: MockClock) -> None:
    """Without a response in progress an upstream may be silent for an hour."""
    async with open_house() as house:
        client, upstream = await house.open()

        async def leave() -> None:
            await trio.sleep(3_000)
            await client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            told, _ = await farewells(client, upstream, within=4_000)
        assert told.code == 1000
        assert trio.current_time() == 3_000


async def test_upstream_idle_counts_from_the_last_event(autojump_clock: MockClock) -> None:
    """An upstream that goes on with its response is not idle; pongs do not make it so."""
    async with open_house() as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            await upstream.say(kit.response_created())
            nursery.start_soon(repeat, upstream, DELTA, 5, 50)
            nursery.start_soon(repeat, client, APPEND, 50, 5)
            told, upstream_told = await farewells(client, upstream)
        assert told.told == ("upstream_idle", 1011, "upstream_idle")
        assert upstream_told.told == (None, 1001, "upstream_idle")
        assert trio.current_time() == 5 * 50 + 60


async def test_a_response_that_ended_is_over(autojump_clock: MockClock) -> None:
    """After ``response.done`` silence is no fault, nor while another response goes on elsewhere."""
    async with open_house() as house:
        client, upstream = await house.open()

        async def respond() -> None:
            await upstream.say(kit.response_created("a"))
            await upstream.say(kit.response_created("b"))
            await upstream.say(kit.response_done("a"))
            await trio.sleep(59)
            await upstream.say(kit.response_done("b"))
            await trio.sleep(300)
            await client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond)
            told, _ = await farewells(client, upstream)
        assert told.code == 1000


async def test_session_expired(autojump_clock: MockClock) -> None:
    """A session may last ``session`` seconds, busy or not; then it is told 1001."""
    async with open_house(timeouts={"session": 100}) as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(repeat, client, APPEND, 30, 3)
            told, upstream_told = await farewells(client, upstream)
        assert told.told == ("session_expired", 1001, "session_expired")
        assert upstream_told.told == (None, 1000, "session_expired")
        assert trio.current_time() == 100


def expiring(seconds: float, type_: str = "session.created") -> dict[str, Any]:
    """Return an event that shows how long the upstream will keep the session."""
    event = {**kit.created(), "type": type_}
    return {**event, "session": {**event["session"], "expires_at": int(time.time() + seconds)}}


@pytest.mark.parametrize("busy", [False, True])
async def test_ends_before_the_upstream_does(autojump_clock: MockClock, *, busy: bool) -> None:
    """A session ends ``before_expiry`` before the upstream's end, with a response or without."""
    async with open_house(timeouts={**OFF, "before_expiry": 10}) as house:
        client, upstream = await house.open(first=expiring(100))
        if busy:
            await upstream.say(kit.response_created())
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("session_expired", 1001, "session_expired")
        assert told.events[-1]["error"]["type"] == "invalid_request_error"
        assert "of the upstream" in told.events[-1]["error"]["message"]
        assert upstream_told.told == (None, 1000, "session_expired")
        assert trio.current_time() == pytest.approx(90, abs=1.5)
        record = await house.record()
        assert (record.ending, record.ended_by) == ("session_expired", "upstream")


async def test_an_expiry_that_is_shown_late(autojump_clock: MockClock) -> None:
    """A later event may bring the end nearer; the client sees the time as it was shown."""
    async with open_house(timeouts={**OFF, "before_expiry": 5}) as house:
        client, upstream = await house.open(first=expiring(3_000))
        await trio.sleep(50)
        updated = expiring(60, "session.updated")
        await upstream.say(updated)
        told, _ = await farewells(client, upstream)
        assert told.events[0]["session"]["expires_at"] == updated["session"]["expires_at"]
        assert told.reason == "session_expired"
        assert trio.current_time() == pytest.approx(50 + 55, abs=1.5)


async def test_our_own_cap_comes_first(autojump_clock: MockClock) -> None:
    """Which limit it was is told: the shorter one."""
    async with open_house(timeouts={"session": 50}) as house:
        client, upstream = await house.open(first=expiring(100))
        told, _ = await farewells(client, upstream)
        assert "of this proxy" in told.events[-1]["error"]["message"]
        assert trio.current_time() == 50
        assert (await house.record()).ended_by == "proxy"


async def test_the_upstreams_own_end_is_relayed(autojump_clock: MockClock) -> None:
    """With ``before_expiry`` at 0 the upstream ends the session, and its words go on."""
    async with open_house(timeouts={"before_expiry": 0}) as house:
        client, upstream = await house.open(first=expiring(100))

        async def expire() -> None:
            await trio.sleep(100)
            await upstream.say(kit.error("session_expired", "60 minutes"))
            await upstream.close(1001, b"Your session hit the maximum duration of 60 minutes.")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expire)
            told, _ = await farewells(client, upstream)
        assert told.error_code == "session_expired"
        assert (told.code, told.reason[:12]) == (1001, "Your session")
        assert (await house.record()).ending == "upstream_closed"


def quiet_leg(side: Side) -> Any:
    """Return what a watchdog sees of a leg on which nothing happens."""
    wire = SimpleNamespace(sending_since=None, receiving_since=0.0)

    async def ping(_payload: bytes) -> None:
        await trio.lowlevel.checkpoint()

    return SimpleNamespace(
        side=side,
        wire=wire,
        data_at=0.0,
        mid_frame=False,
        mid_message=False,
        message_open=False,
        awaits_pong=False,
        ping=ping,
    )


class Wall:
    """A wall clock that can be set (mutable)."""

    def __init__(self) -> None:
        self.offset = 1_789_728_574.5

    def __call__(self) -> float:
        """Tell the Unix time."""
        return trio.current_time() + self.offset

    def after(self, seconds: float) -> int:
        """Return when so many seconds have passed, as an upstream tells it."""
        return math.ceil(self() + seconds)


def watching(wall: Wall, leg: Any = None, **timeouts: float) -> Watchdog:
    """Return a watchdog over two legs, with a cap of an hour and no other limit of ours."""
    client, upstream = leg or quiet_leg(Side.CLIENT), quiet_leg(Side.UPSTREAM)
    limits = {**OFF, "session": 3_600, "before_expiry": 10, **timeouts}
    return Watchdog(client, upstream, Timeouts(**limits), quiet_since=lambda: None, wall_clock=wall)


async def test_an_expiry_on_the_wall_clock(autojump_clock: MockClock) -> None:
    """It is translated when it is shown; what the wall clock does after that changes nothing."""
    wall = Wall()
    watchdog = watching(wall)
    expires_at = wall.after(100)
    watchdog.note_expiry(None)
    watchdog.note_expiry(expires_at)
    for offset in (-5_000, 5_000, 50):
        wall.offset += offset
        watchdog.note_expiry(expires_at)
    assert await watchdog.run() is closing.UPSTREAM_EXPIRES
    assert trio.current_time() == 90.5


async def test_an_expiry_while_the_watchdog_sleeps(autojump_clock: MockClock) -> None:
    """A nearer end wakes it, a later one lets it sleep on."""
    wall = Wall()
    watchdog = watching(wall, session=0)

    async def show() -> None:
        await trio.sleep(10)
        watchdog.note_expiry(wall.after(50))
        await trio.sleep(10)
        watchdog.note_expiry(wall.after(200))
        await trio.sleep(100)
        watchdog.note_expiry(wall.after(20))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(show)
        assert await watchdog.run() is closing.UPSTREAM_EXPIRES
    assert trio.current_time() == 130.5


async def test_an_expiry_while_a_ping_is_sent(autojump_clock: MockClock) -> None:
    """What is shown while the watchdog is not asleep counts as well."""
    wall = Wall()
    leg = quiet_leg(Side.CLIENT)

    async def ping(_payload: bytes) -> None:
        watchdog.note_expiry(wall.after(15))
        await trio.sleep(1)

    leg.ping = ping
    watchdog = watching(wall, leg, ping_interval=100)
    assert await watchdog.run() is closing.UPSTREAM_EXPIRES
    assert trio.current_time() == 105.5


@pytest.mark.parametrize(
    "ahead", [-1_789_728_574, -(10**30), -3_600, -1, 0, 1, 9, 8 * 24 * 3_600, 10**12, 10**400]
)
async def test_an_expiry_that_makes_no_sense(autojump_clock: MockClock, ahead: int) -> None:
    """What has passed, is nearer than ``before_expiry`` or far away, ends nothing."""
    wall = Wall()
    watchdog = watching(wall)
    watchdog.note_expiry(wall.after(0) + ahead)
    assert await watchdog.run() is closing.SESSION_EXPIRED
    assert trio.current_time() == 3_600


async def test_no_sense_after_sense(autojump_clock: MockClock) -> None:
    """What makes no sense does not undo what did."""
    wall = Wall()
    watchdog = watching(wall)
    watchdog.note_expiry(wall.after(100))
    watchdog.note_expiry(0)
    assert await watchdog.run() is closing.UPSTREAM_EXPIRES
    assert trio.current_time() == 90.5


async def test_an_expiry_that_is_not_looked_at(autojump_clock: MockClock) -> None:
    """At 0 the limit is off."""
    wall = Wall()
    watchdog = watching(wall, before_expiry=0)
    watchdog.note_expiry(wall.after(100))
    assert await watchdog.run() is closing.SESSION_EXPIRED


async def test_all_deadlines_off(autojump_clock: MockClock) -> None:
    """With every deadline at 0 a session lives, and nothing of ours is sent in it."""
    async with open_house(timeouts=OFF) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()
        half = frame(TEXT, kit.append(1_000))[:50]
        await upstream.send_raw(half)
        await trio.sleep(3_000)
        seen = (len(client.frames), len(upstream.frames))
        await client.close()
        await farewells(client, upstream)
        assert seen == (2, 0)
        assert [part.opcode for part in upstream.frames] == [CLOSE]


@pytest.mark.parametrize(("interval", "pong"), [(20, 20), (5, 20), (30, 10)])
async def test_pings_keep_their_interval(
    autojump_clock: MockClock, interval: float, pong: float
) -> None:
    """Both legs are pinged every ``ping_interval`` seconds, each ping with its own payload."""
    async with open_house(timeouts={"ping_interval": interval, "pong": pong}) as house:
        client, upstream = await house.open()

        async def leave() -> None:
            await trio.sleep(interval * 10 + 1)
            await client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            told, _ = await farewells(client, upstream)
        assert told.code == 1000
        for peer in (client, upstream):
            pings = [part.payload for part in peer.frames if part.opcode == PING]
            assert len(pings) == len(set(pings)) == 10


async def test_a_wrong_pong_is_none(autojump_clock: MockClock) -> None:
    """Only the payload of our last ping answers it."""
    async with open_house() as house:
        client, upstream = await house.open()

        async def answer_wrongly() -> None:
            for _ in range(39):
                await trio.sleep(1)
                await client.send(PONG, b"wrong")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_wrongly)
            assert (await upstream.farewell()).reason == "client_pong_timeout"
        assert trio.current_time() == 40


async def test_client_pong_timeout_tells_who_can_read(autojump_clock: MockClock) -> None:
    """A client that reads but never answers a ping is told 1001 with its error event."""
    async with open_house() as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.farewell)
            while (part := await client.receive()) is not None and part.opcode != CLOSE:
                pass
        assert part is not None
        assert part.payload == kit.close_payload(1001, b"client_pong_timeout")
        assert b'"client_pong_timeout"' in client.frames[-2].payload


async def test_no_ping_to_a_leg_that_is_not_read(autojump_clock: MockClock) -> None:
    """While a stuck client keeps us from reading the upstream, the upstream is not to blame."""
    timeouts = {"ping_interval": 1, "pong": 1, "send_stall": 15}
    async with open_house(timeouts=timeouts) as house:
        client, upstream = await house.open(kind="lockstep")

        async def flood() -> None:
            for _ in range(50):
                await upstream.say({**DELTA, "delta": "A" * 60_000})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(10)
            for _ in range(50):
                assert await client.hear()
            nursery.start_soon(client.close)
            told, upstream_told = await farewells(client, upstream)
        assert (told.code, upstream_told.code) == (1000, 1000)


async def test_a_slow_reader_lives(autojump_clock: MockClock) -> None:
    """``send_stall`` is about pieces: a client that takes one now and then keeps its session."""
    async with open_house(timeouts={"ping_interval": 0, "frame_stall": 0}) as house:
        client, upstream = await house.open(kind="lockstep")
        size = 1_000_000

        async def flood() -> None:
            await upstream.say({**DELTA, "delta": "A" * size})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            taken = 0
            while taken < size:
                await trio.sleep(9)
                taken += len(await client.stream.receive_some(65_546))
            nursery.start_soon(client.close)
            await farewells(upstream)
        assert trio.current_time() > 100
        assert (await house.record()).ending == "client_closed"
        await client.stream.aclose()


async def test_a_frame_in_drips_arrives(autojump_clock: MockClock) -> None:
    """``frame_stall`` is about silence: a frame that goes on arriving, however slowly, is whole."""
    async with open_house(timeouts={"ping_interval": 0}) as house:
        client, upstream = await house.open()

        async def drip() -> None:
            for byte in frame(TEXT, b'{"type":"response.cancel"}', key=client.key):
                await trio.sleep(25)
                await client.send_raw(bytes([byte]))
            await client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            _, seen = await farewells(client, upstream, within=10_000)
        assert seen.events == [{"type": "response.cancel"}]


#: How events begin that pass unread, and that are read whole.
OPEN_MESSAGES = [
    ("client", kit.append(100)),
    ("client", b'{"type":"session.update","session":{'),
    ("upstream", DELTA_START),
    ("upstream", b'{"type":"response.done","response":{'),
]


@pytest.mark.parametrize(("silent", "start"), OPEN_MESSAGES)
async def test_a_message_that_is_left_open(
    autojump_clock: MockClock, silent: str, start: bytes
) -> None:
    """``frame_stall`` goes for the rest of a message too: whole frames and pongs do not end it."""
    async with open_house() as house:
        client, upstream = await house.open()
        source = client if silent == "client" else upstream
        await trio.sleep(7)
        await source.send(TEXT, start, fin=False)
        await trio.sleep(9)
        await source.send(CONTINUATION, b" ", fin=False)
        told, upstream_told = await farewells(client, upstream)
        assert told.reason == upstream_told.reason == f"{silent}_frame_stalled"
        assert trio.current_time() == 7 + 9 + 30


async def test_a_message_that_is_left_open_while_an_answer_waits(
    autojump_clock: MockClock,
) -> None:
    """An event of ours that waits for the end of the upstream's message does not hide it."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.send(TEXT, DELTA_START, fin=False)
        await client.say({"type": "session.update", "session": {"model": "another"}})
        told: list[kit.Farewell] = []

        async def end() -> None:
            told.append(await upstream.farewell())

        with trio.fail_after(kit.LONG):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end)
                while (part := await client.receive()) is not None and part.opcode != CLOSE:
                    assert part.opcode in (TEXT, PING)
                assert part is not None
                assert part.payload == kit.close_payload(1011, b"upstream_frame_stalled")
                await client.send(CLOSE, part.payload)
        assert told[0].told == (None, 1001, "upstream_frame_stalled")
        assert trio.current_time() == 30


@pytest.mark.parametrize(
    ("slow", "start", "end"),
    [
        ("client", kit.append(9), b""),
        ("client", b'{"type":"session.update"', b"}"),
        ("upstream", DELTA_START, b'"}'),
        ("upstream", b'{"type":"session.updated"', b"}"),
    ],
)
async def test_fragments_that_keep_coming(
    autojump_clock: MockClock, slow: str, start: bytes, end: bytes
) -> None:
    """A message may take as long as it likes while its fragments come within ``frame_stall``."""
    async with open_house() as house:
        client, upstream = await house.open()
        source = client if slow == "client" else upstream

        async def drip() -> None:
            await source.send(TEXT, start, fin=False)
            for _ in range(10):
                await trio.sleep(29)
                await source.send(CONTINUATION, b" ", fin=False)
            await source.send(CONTINUATION, end)
            await client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            told, upstream_told = await farewells(client, upstream)
        assert (told.code, upstream_told.code) == (1000, 1000)
        assert trio.current_time() == 290


async def test_pings_that_need_no_pong(autojump_clock: MockClock) -> None:
    """With ``pong`` at 0 the pings go on though nobody answers them, and so does the session."""
    async with open_house(timeouts={"ping_interval": 20, "pong": 0}) as house:
        client, upstream = await house.open()

        async def gather(peer: kit.Peer) -> None:
            while (part := await peer.receive()) is not None and part.opcode != CLOSE:
                pass
            await peer.stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(gather, client)
            nursery.start_soon(gather, upstream)
            await trio.sleep(201)
            for peer in (client, upstream):
                assert sum(part.opcode == PING for part in peer.frames) == 10
            await client.close()
        assert (await house.record()).ending == "client_closed"


async def test_a_process_that_stood_still(mock_clock: MockClock) -> None:
    """Where the watchdog wakes late, what came meanwhile is read before a peer is judged."""
    client, upstream = quiet_leg(Side.CLIENT), quiet_leg(Side.UPSTREAM)
    timeouts = Timeouts(ping_interval=0, client_idle=15, session=0)
    watchdog = Watchdog(client, upstream, timeouts, quiet_since=lambda: 0.0)
    endings: list[Ending] = []

    async def watch() -> None:
        endings.append(await watchdog.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        mock_clock.jump(60)  # as after SIGSTOP and SIGCONT
        await wait_all_tasks_blocked()
        assert endings == []
        client.data_at = 60.0  # what had come meanwhile is read
        mock_clock.jump(2)
        await wait_all_tasks_blocked()
        assert endings == []
        for _ in range(13):  # and silence counts from then on
            assert endings == []
            mock_clock.jump(1)
            await wait_all_tasks_blocked()
    assert endings == [closing.CLIENT_IDLE]


async def test_a_process_that_stood_still_and_a_peer_that_is_silent(mock_clock: MockClock) -> None:
    """A peer of whom nothing came is judged two seconds later."""
    legs = quiet_leg(Side.CLIENT), quiet_leg(Side.UPSTREAM)
    timeouts = Timeouts(ping_interval=0, client_idle=15, session=0)
    endings: list[Ending] = []

    async def watch() -> None:
        endings.append(await Watchdog(*legs, timeouts, quiet_since=lambda: 0.0).run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        mock_clock.jump(60)
        await wait_all_tasks_blocked()
        assert endings == []
        mock_clock.jump(2)
        await wait_all_tasks_blocked()
    assert endings == [closing.CLIENT_IDLE]
