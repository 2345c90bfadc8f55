"""Facts about one direction of a session: what goes on, as what, and what ends it."""

from collections.abc import Callable
from typing import Any

import kit
import pytest
import trio
from kit import BINARY, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from trio.testing import MockClock

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.conversation import Answer, Forward, Replace, Verdict
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.session.bucket import Bucket
from rt_proxy.session.leg import Leg
from rt_proxy.session.pace import Pace
from rt_proxy.session.pump import Pump
from rt_proxy.session.wire import Wire

KEY = b"\x01\x02\x03\x04"
READ = b'{"read":'


class Engine:
    """An engine that does nothing."""

    async def take(self, frame: bytes) -> None:
        """Take it."""
        await trio.lowlevel.checkpoint()

    async def close(self, code: int, reason: str) -> None:
        """Do nothing."""
        await trio.lowlevel.checkpoint()


class SlowEngine(Engine):
    """An engine that needs seconds for a frame (mutable: it keeps what it took)."""

    def __init__(self, seconds: float = 5) -> None:
        self.seconds = seconds
        self.taken: list[bytes] = []

    async def take(self, frame: bytes) -> None:
        """Take it, in a while."""
        await trio.sleep(self.seconds)
        self.taken.append(frame)


class Lane:
    """A pump from a client to an upstream, with both far ends (mutable: it runs)."""

    def __init__(self, client: kit.Peer, upstream: kit.Peer, pump: Pump) -> None:
        self.client = client
        self.upstream = upstream
        self.pump = pump
        self.ending: Ending | None = None

    async def run(self) -> None:
        """Run the pump to its end."""
        self.ending = await self.pump.run()


class Feeding:
    """A frame reader whose bytes are counted."""

    def __init__(self, feed: Callable[[bytes], Any], reader: FrameReader) -> None:
        self.feed = feed
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


async def make_lane(
    decide: Callable[[bytes], Verdict] = lambda _payload: Forward(),
    kind: str = "memory",
    pace: Pace | None = None,
) -> Lane:
    """Return a lane that reads the messages that start with ``READ``."""
    client_far, client_near = await kit.stream_pair("memory")
    upstream_far, upstream_near = await kit.stream_pair(kind)
    frames = FrameReader(
        masked=True,
        needs_reading=lambda start, _enough: start.startswith(READ),
        message_bytes=1_000_000,
        parsed_bytes=1_000_000,
    )
    upstream_frames = FrameReader(masked=False, message_bytes=1_000, parsed_bytes=1_000)
    source = Leg(Side.CLIENT, Wire(client_near), Engine(), frames, masks=False)
    sink = Leg(Side.UPSTREAM, Wire(upstream_near), Engine(), upstream_frames, masks=True)
    return Lane(
        kit.Client(client_far, client_near),
        kit.Upstream(upstream_far, None, None),  # type: ignore[arg-type]
        Pump(source, sink, decide, pace),
    )


async def test_neighbours_leave_in_one_send() -> None:
    """Frames that came together and are not read go on as they are, in one piece."""
    lane = await make_lane()
    together = b"".join(frame(TEXT, b"%d" % number, key=KEY) for number in range(100))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.send_raw(together)
        assert await lane.upstream.stream.receive_some() == together
        nursery.cancel_scope.cancel()
    assert (lane.pump.tally.events, lane.pump.tally.bytes) == (100, len(together))


async def test_verdicts(autojump_clock: MockClock) -> None:
    """A message that is read goes on, is replaced by any number of others, or is answered."""
    verdicts: list[Verdict] = [
        Forward(),
        Replace((b"in", b"its", b"place")),
        Replace(()),
        Answer(b'{"type":"error"}'),
    ]
    payloads: list[bytes] = []

    def decide(payload: bytes) -> Verdict:
        payloads.append(payload)
        return verdicts[len(payloads) - 1]

    lane = await make_lane(decide)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        sent = [b"a", READ + b"1}", b"b", READ + b"2}", READ + b"3}", READ + b"4}", b"c"]
        await lane.client.send_raw(b"".join(frame(TEXT, text, key=KEY) for text in sent))
        seen = [(await lane.upstream.receive() or ())[2] for _ in range(7)]
        assert seen == [b"a", READ + b"1}", b"b", b"in", b"its", b"place", b"c"]
        assert await lane.client.hear() == {"type": "error"}
        nursery.cancel_scope.cancel()
    assert payloads == [sent[1], *sent[3:6]]
    assert lane.pump.tally.events == 7


async def test_a_verdict_that_ends_the_session() -> None:
    """What came before goes out, what came after does not."""
    lane = await make_lane(lambda _payload: closing.MODEL_CHANGED)
    await lane.client.send_raw(
        frame(TEXT, b"a", key=KEY) + frame(TEXT, READ, key=KEY) + frame(TEXT, b"b", key=KEY)
    )
    await lane.run()
    assert lane.ending is closing.MODEL_CHANGED
    assert await lane.upstream.stream.receive_some() == frame(TEXT, b"a", key=KEY)


@pytest.mark.parametrize(
    ("last", "word", "told"),
    [
        (frame(8, close_payload(4001, b"x"), key=KEY), "client_closed", 4001),
        (frame(TEXT, b"unmasked"), "protocol_error", 1000),
        (frame(BINARY, b"", key=KEY, length=2_000_000), "message_too_big", 1000),
    ],
)
async def test_endings(last: bytes, word: str, told: int) -> None:
    """CLOSE and faults end the pump after what came before them."""
    lane = await make_lane()
    await lane.client.send_raw(frame(TEXT, b"a", key=KEY) + last)
    await lane.run()
    assert lane.ending is not None
    assert (lane.ending.word, lane.ending.side, lane.ending.upstream_code) == (
        word,
        Side.CLIENT,
        told,
    )
    assert await lane.upstream.stream.receive_some() == frame(TEXT, b"a", key=KEY)


async def test_a_side_that_is_gone() -> None:
    """The end of either side is told apart."""
    lane = await make_lane()
    await lane.client.stream.aclose()
    await lane.run()
    assert lane.ending is closing.CLIENT_LOST
    lane = await make_lane()
    await lane.upstream.stream.aclose()
    await lane.client.say(b"a")
    await lane.run()
    assert lane.ending is closing.UPSTREAM_LOST


async def test_pongs_are_not_relayed() -> None:
    """Control frames are a leg's own (RFC 6455, 5.5)."""
    lane = await make_lane()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.send(PONG, b"x")
        await lane.client.say(b"a")
        assert (await lane.upstream.receive() or ())[2] == b"a"
        nursery.cancel_scope.cancel()


async def test_back_pressure(autojump_clock: MockClock) -> None:
    """While a send is under way nothing more is read."""
    lane = await make_lane(kind="lockstep")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.say(b"one")
        await trio.testing.wait_all_tasks_blocked()
        assert lane.pump._source.wire.receiving_since is None
        await lane.client.say(b"two")
        assert (await lane.upstream.receive() or ())[2] == b"one"
        await trio.testing.wait_all_tasks_blocked()
        assert (await lane.upstream.receive() or ())[2] == b"two"
        nursery.cancel_scope.cancel()


async def test_a_stopped_pump_sends_no_more(autojump_clock: MockClock) -> None:
    """Once stopped, a pump finishes its send and begins no other: no wire is tainted."""
    lane = await make_lane(kind="lockstep")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.say(b"one")
        await trio.testing.wait_all_tasks_blocked()
        await lane.client.say(b"two")
        lane.pump.stopped = True
        assert (await lane.upstream.receive() or ())[2] == b"one"
    assert lane.ending is None
    assert not lane.pump._sink.wire.tainted


async def test_an_open_message_is_known(autojump_clock: MockClock) -> None:
    """The sink knows whether the last message has ended, for events of our own."""
    lane = await make_lane()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.send(BINARY, b"a", fin=False)
        await trio.testing.wait_all_tasks_blocked()
        assert lane.pump._sink.message_open
        await lane.client.send(CONTINUATION, b"b")
        await trio.testing.wait_all_tasks_blocked()
        assert not lane.pump._sink.message_open
        nursery.cancel_scope.cancel()


async def test_what_came_before_a_ping_does_not_wait_for_the_engine(
    autojump_clock: MockClock,
) -> None:
    """An engine that is slow to take a ping holds no event that came before it."""
    lane = await make_lane()
    engine = SlowEngine()
    lane.pump._source._engine = engine
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        ping = frame(PING, b"?", key=KEY)
        await lane.client.send_raw(frame(TEXT, b"a", key=KEY) + ping + frame(TEXT, b"b", key=KEY))
        assert (await lane.upstream.receive() or ())[2] == b"a"
        assert trio.current_time() == 0
        assert (await lane.upstream.receive() or ())[2] == b"b"
        assert trio.current_time() == 5
        nursery.cancel_scope.cancel()
    assert engine.taken == [ping]


@pytest.mark.parametrize("end", ["cancelled", "stopped", "verdict"])
async def test_what_was_not_relayed_is_put_back(autojump_clock: MockClock, end: str) -> None:
    """Whatever ends it, the pieces that it has not come to are read next, in their order."""
    verdict = closing.MODEL_CHANGED if end == "verdict" else Answer(b"{}")
    lane = await make_lane(lambda _payload: verdict, kind="lockstep")
    texts = [b"a", READ + b"1}", READ + b"2}", b"b", READ + b"3}"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.run)
        await lane.client.send_raw(b"".join(frame(TEXT, text, key=KEY) for text in texts))
        await trio.testing.wait_all_tasks_blocked()  # in the send of the first one
        if end == "cancelled":
            nursery.cancel_scope.cancel()
        else:
            lane.pump.stopped = end == "stopped"
            assert await lane.upstream.receive() is not None
    source = lane.pump._source
    with trio.fail_after(1):
        payloads = [getattr(piece, "payload", None) for piece in await source.read()]
    assert payloads == [READ + b"2}", None, READ + b"3}"]


class TestPace:
    """What a rate changes."""

    @staticmethod
    async def make(rate: float, *, refuses: bool = False, sizes: bool = False) -> Lane:
        """Return a lane of so many events, or bytes, a second."""
        buckets = [Bucket("the limit", rate=rate, capacity=rate, now=trio.current_time())]
        pace = Pace([], buckets, refuses=refuses) if sizes else Pace(buckets, [], refuses=refuses)
        return await make_lane(pace=pace)

    async def test_no_longer_than_ten_seconds(self, autojump_clock: MockClock) -> None:
        """However much is owed, an upstream is read again after ten seconds, and then a little."""
        lane = await self.make(1_000, sizes=True)
        source = lane.pump._source
        source.side = Side.UPSTREAM
        wire = source.wire
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 60_000)
            await lane.upstream.receive()
            assert source.read_bytes == 1_000
            await trio.sleep(9.9)
            assert wire.receiving_since is None
            await trio.sleep(0.2)
            assert (wire.receiving_since, source.read_bytes) == (10, 64)
            await trio.sleep(60)
            await lane.client.say(b"x")
            await lane.upstream.receive()
            await trio.testing.wait_all_tasks_blocked()
            assert source.read_bytes == 1_000
            nursery.cancel_scope.cancel()

    async def test_what_is_read_is_slowed_down_too(self, autojump_clock: MockClock) -> None:
        """An event that somebody looks at counts like one that passes unread."""
        lane = await self.make(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            for _ in range(8):
                await lane.client.say(READ + b"1}")
                assert await lane.upstream.receive() is not None
            assert 2 <= trio.current_time() <= 3.5
            nursery.cancel_scope.cancel()

    async def test_afterwards_all_is_read(self, autojump_clock: MockClock) -> None:
        """Who reads the leg when the pump has ended reads as much at once as ever."""
        lane = await self.make(1)
        await lane.client.close()
        await lane.run()
        assert lane.pump._source.read_bytes == 65_536

    async def test_pings_count(self, autojump_clock: MockClock) -> None:
        """A flood of pings is held to the rate of bytes, though none of them goes on."""
        lane = await self.make(100, sizes=True)
        engine = lane.pump._source._engine = SlowEngine(seconds=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            for _ in range(100):
                await lane.client.send(PING, b"1234")
            with trio.move_on_after(5):
                while len(engine.taken) < 100:
                    await trio.sleep(0.1)
            assert 50 <= len(engine.taken) <= 70
            nursery.cancel_scope.cancel()

    async def test_who_is_refused_is_not_slowed_down(self, autojump_clock: MockClock) -> None:
        """Bytes beyond the rate are refused event by event, and no time passes."""
        lane = await self.make(100, sizes=True, refuses=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            for number in range(5):
                await lane.client.say(READ + b'"%d%b"}' % (number, b"x" * 120))
                if number == 0:
                    assert await lane.upstream.receive() is not None
                else:
                    assert (await lane.client.hear())["error"]["code"] == "rate_limit_exceeded"
            assert trio.current_time() == 0
            nursery.cancel_scope.cancel()

    async def test_a_client_is_held_until_nothing_is_owed(self, autojump_clock: MockClock) -> None:
        """What came too early waits, however long; a ping before it is answered meanwhile."""
        lane = await self.make(100, sizes=True)
        engine = lane.pump._source._engine = SlowEngine(seconds=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            await lane.client.send(PING, b"?")
            await lane.client.say(b"y")
            await trio.sleep(11)
            assert len(engine.taken) == 1
            frames = await lane.upstream.receive()
            assert frames is not None
            assert frames.payload == b"y"
            assert trio.current_time() == pytest.approx(49, abs=1)
            nursery.cancel_scope.cancel()

    async def test_not_for_ever(self, autojump_clock: MockClock) -> None:
        """After ten minutes a message goes all the same, whatever is owed."""
        lane = await self.make(1, sizes=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            await lane.client.say(b"y")
            assert await lane.upstream.receive() is not None
            assert trio.current_time() == pytest.approx(600, abs=1)
            nursery.cancel_scope.cancel()

    @pytest.mark.parametrize("how", ["close", "gone", "fault"])
    async def test_its_end_is_seen(self, autojump_clock: MockClock, how: str) -> None:
        """Where a client leaves that is held what it has said goes on, and nobody waits for it."""
        lane = await self.make(1, sizes=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            await lane.client.say(b"y")
            await trio.sleep(5)
            match how:
                case "close":
                    await lane.client.close(4000)
                case "gone":
                    await trio.aclose_forcefully(lane.client.stream)
                case _:
                    await lane.client.send_raw(b"\xff" * 20)
            held = await lane.upstream.receive()
        assert held is not None
        assert held.payload == b"y"
        assert trio.current_time() == 5
        assert lane.ending is not None

    async def test_pings_are_answered_while_it_is_held(self, autojump_clock: MockClock) -> None:
        """A client that pings is not kept waiting, also behind a second of events."""
        lane = await self.make(100, sizes=True)
        engine = lane.pump._source._engine = SlowEngine(seconds=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            for _ in range(50):
                await lane.client.say(b"y" * 600)
            for _ in range(10):
                await lane.client.send(PING, b"?")
            await trio.sleep(2.5)
            assert len(engine.taken) == 3, "one in a second"
            nursery.cancel_scope.cancel()

    async def test_a_pong_behind_what_is_held(self, autojump_clock: MockClock) -> None:
        """A pong, or a ping, that came in one piece with an event that is held is seen at once."""
        lane = await self.make(1_000, sizes=True)
        source = lane.pump._source
        engine = source._engine = SlowEngine(seconds=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 60_000)
            await lane.upstream.receive()
            await source.ping(b"here?")
            await lane.client.send_raw(
                frame(TEXT, b"y", key=KEY)
                + frame(PONG, b"here?", key=KEY)
                + frame(PING, b"and you?", key=KEY)
                + frame(TEXT, b"z", key=KEY)
            )
            await trio.sleep(2)
            assert not source.awaits_pong
            assert len(engine.taken) == 1
            for expected in (b"y", b"z"):
                held = await lane.upstream.receive()
                assert held is not None
                assert held.payload == expected
            assert 55 <= trio.current_time() <= 65
            nursery.cancel_scope.cancel()

    async def test_no_more_is_read_ahead_than_64_kib(self, autojump_clock: MockClock) -> None:
        """A client that sends on and on while it is held fills no memory."""
        lane = await self.make(10, sizes=True)
        sent = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            read = lane.pump._source._frames.feed
            seen = 0

            def counted(data: bytes) -> Any:
                nonlocal seen
                seen += len(data)
                return read(data)

            lane.pump._source._frames = Feeding(counted, lane.pump._source._frames)
            with trio.move_on_after(60):
                while sent < 10_000:
                    await lane.client.say(b"y" * 100)
                    sent += 1
            assert 60_000 <= seen <= 67_000
            nursery.cancel_scope.cancel()

    async def test_small_events_behind_a_large_one(self, autojump_clock: MockClock) -> None:
        """What follows a large event is not read, and so not passed on, together with it."""
        lane = await self.make(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            large = frame(TEXT, b"x" * 90_000, key=KEY)
            small = frame(TEXT, b"{}", key=KEY) * 3_000
            nursery.start_soon(lane.client.send_raw, large + small)
            heard = 0
            with trio.move_on_after(60):
                while await lane.upstream.receive_message() is not None:
                    heard += 1
            assert 50 <= heard <= 75
            nursery.cancel_scope.cancel()

    async def test_what_is_held_is_put_back(self, autojump_clock: MockClock) -> None:
        """A message that still waits when the pump is cancelled is read next."""
        lane = await self.make(100, sizes=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await lane.client.say(b"x" * 5_000)
            await lane.upstream.receive()
            await lane.client.say(READ + b"1}")
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
        with trio.fail_after(1):
            [held] = await lane.pump._source.read()
        assert getattr(held, "payload", None) == READ + b"1}"

    async def test_a_large_message_leaves_in_few_frames(self, autojump_clock: MockClock) -> None:
        """Where few events are allowed, one that is large is not cut into a thousand."""
        lane = await self.make(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            nursery.start_soon(lane.client.say, b"x" * 900_000)
            assert await lane.upstream.receive_message() is not None
            assert len(lane.upstream.frames) <= 900_000 / 65_536 + 3
            nursery.cancel_scope.cancel()
