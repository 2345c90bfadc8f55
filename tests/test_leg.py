"""Facts about one WebSocket side: reading, events between messages, and the goodbye."""

import kit
import pytest
import trio
from kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from trio.testing import MockClock

from rt_proxy.realtime.closing import Side
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Close, Control, Fault, Message
from rt_proxy.session.leg import Leg
from rt_proxy.session.wire import Wire

KEY = b"\x01\x02\x03\x04"


class Engine:
    """An engine that keeps what it is given, and sends CLOSE as the real one does."""

    def __init__(self, wire: Wire) -> None:
        self.taken: list[bytes] = []
        self.peer_closed = trio.Event()
        self._wire = wire

    async def take(self, frame: bytes) -> None:
        """Keep a control frame."""
        self.taken.append(frame)
        if not frame or frame[0] & 0x0F == CLOSE:
            self.peer_closed.set()
        await trio.lowlevel.checkpoint()

    async def close(self, code: int, reason: str) -> None:
        """Send CLOSE and wait for the peer's."""
        await self._wire.send(frame(CLOSE, close_payload(code, reason.encode())))
        await self.peer_closed.wait()


async def make_leg(kind: str = "memory", *, unread: bytes = b"") -> tuple[Leg, kit.Peer, Engine]:
    """Return a client leg, the client at its other end, and its engine."""
    far, near = await kit.stream_pair(kind)
    wire = Wire(near)
    engine = Engine(wire)
    frames = FrameReader(masked=True, message_bytes=10_000_000, parsed_bytes=10_000_000)
    leg = Leg(Side.CLIENT, wire, engine, frames, masks=False, unread=unread)
    return leg, kit.Peer(far, masks=True), engine


async def test_read_message(autojump_clock: MockClock) -> None:
    """Messages come whole, pings go to the engine on the way, and CLOSE is told."""
    leg, peer, engine = await make_leg()
    ping = frame(PING, b"p", key=KEY)
    await peer.send_raw(
        ping
        + frame(TEXT, b"one", key=KEY)
        + frame(TEXT, b"t", key=KEY, fin=False)
        + ping
        + frame(CONTINUATION, b"wo", key=KEY)
    )
    await peer.close(4000, b"bye")
    seen = [await leg.read_message() for _ in range(3)]
    assert [piece.payload for piece in seen if isinstance(piece, Message)] == [b"one", b"two"]
    assert isinstance(seen[2], Close)
    assert (seen[2].code, seen[2].reason) == (4000, "bye")
    assert engine.taken == [ping, ping]


async def test_read_message_and_the_end() -> None:
    """A peer that is gone is None, one that breaks the framing a fault."""
    leg, peer, _ = await make_leg()
    await peer.send_raw(frame(TEXT, b"unmasked"))
    assert isinstance(await leg.read_message(), Fault)
    await peer.stream.aclose()
    assert await leg.read_message() is None


async def test_pieces_after_a_message_stay() -> None:
    """What came with a message that was read is given next; a piece put back goes before it."""
    leg, peer, _ = await make_leg()
    await peer.send_raw(frame(TEXT, b"one", key=KEY) + frame(BINARY, b"two", key=KEY))
    one = await leg.read_message()
    assert isinstance(one, Message)
    leg.put_back(one)
    assert await leg.read_message() is one
    two = await leg.read_message()
    assert isinstance(two, Message)
    assert two.payload == b"two"


async def test_pieces_put_back_come_first() -> None:
    """Several pieces that are put back are given in their order, before what is unread."""
    leg, peer, _ = await make_leg()
    texts = (b"one", b"two", b"three")
    await peer.send_raw(b"".join(frame(TEXT, text, key=KEY) for text in texts))
    one, two, three = [await leg.read_message() for _ in texts]
    assert isinstance(one, Message)
    assert isinstance(two, Message)
    assert isinstance(three, Message)
    leg.put_back(three)
    leg.put_back(one, two)
    assert [await leg.read_message() for _ in texts] == [one, two, three]


@pytest.mark.parametrize("size", [100, 1_000, 90_000])
async def test_the_rest_of_a_frame_is_read_at_once(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where little is to be read at once, the rest of a frame is, and nothing behind it."""
    leg, peer, _ = await make_leg()
    leg.read_bytes = 64
    await peer.send_raw(frame(TEXT, b"x" * size, key=KEY) + frame(TEXT, b"y", key=KEY) * 100)
    reads: list[int] = []
    receive = Wire.receive

    async def counted(wire: Wire, most: int) -> bytes:
        data = await receive(wire, most)
        reads.append(len(data))
        return data

    monkeypatch.setattr(Wire, "receive", counted)
    message = await leg.read_message()
    assert getattr(message, "payload", None) == b"x" * size
    assert len(reads) <= 3 + size // 65_536
    assert sum(reads) < len(frame(TEXT, b"x" * size, key=KEY)) + 64


async def test_unread_bytes_come_first() -> None:
    """Bytes that came with the upgrade are the first to be read."""
    far, near = await kit.stream_pair("memory")
    wire = Wire(near)
    frames = FrameReader(masked=True, message_bytes=1_000, parsed_bytes=1_000)
    early = frame(TEXT, b"early", key=KEY)
    leg = Leg(Side.CLIENT, wire, Engine(wire), frames, masks=False, unread=early)
    message = await leg.read_message()
    assert isinstance(message, Message)
    assert message.payload == b"early"
    await far.aclose()


async def test_only_the_last_ping_is_answered_by_its_pong() -> None:
    """A pong counts only with the payload of the last ping (RFC 6455, 5.5.3)."""
    leg, peer, _ = await make_leg()
    await leg.ping(b"one")
    assert leg.awaits_pong
    assert await peer.receive() == (True, PING, b"one", None)
    await leg.take_control(Control(PONG, b"other", b""))
    assert leg.awaits_pong
    await leg.take_control(Control(PONG, b"one", b""))
    assert not leg.awaits_pong
    await leg.ping(b"two")
    leg.forget_ping()
    assert not leg.awaits_pong


async def test_an_event_waits_for_the_end_of_a_message(autojump_clock: MockClock) -> None:
    """An event of ours is never sent into a message that has begun."""
    leg, peer, _ = await make_leg()
    await leg.send(frame(TEXT, b"a", fin=False), message_open=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leg.send_event, b'{"type":"error"}')
        await trio.sleep(1)
        await leg.send(frame(CONTINUATION, b"b", fin=False), message_open=True)
        await trio.sleep(1)
        await leg.send(frame(CONTINUATION, b"c"))
    seen = [await peer.receive() for _ in range(4)]
    assert [part.payload for part in seen if part] == [b"a", b"b", b"c", b'{"type":"error"}']


async def test_goodbye(autojump_clock: MockClock) -> None:
    """The event, CLOSE, and then all is thrown away until the peer's CLOSE; then it is closed."""
    leg, peer, _ = await make_leg()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: leg.close(4409, "why", event=b'{"type":"error"}'))
        assert await peer.hear() == {"type": "error"}
        close = await peer.receive()
        assert close is not None
        assert close.payload == close_payload(4409, b"why")
        for _ in range(10):
            await peer.say(kit.append(100_000))
        await peer.close(4409)
    assert await peer.receive() is None
    assert trio.current_time() == 0


async def test_goodbye_in_the_middle_of_a_message(autojump_clock: MockClock) -> None:
    """Where a message is open, CLOSE is sent without the event."""
    leg, peer, _ = await make_leg()
    await leg.send(frame(TEXT, b"a", fin=False), message_open=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: leg.close(1011, "", event=b'{"type":"error"}'))
        assert (await peer.receive() or ())[1] == TEXT
        assert (await peer.receive() or ())[1] == CLOSE
        await peer.stream.aclose()


@pytest.mark.parametrize("size", [500, 300_000, 5_000_000])
async def test_goodbye_to_a_peer_in_mid_frame(autojump_clock: MockClock, size: int) -> None:
    """The rest of a frame that had begun to arrive is not taken for a CLOSE, nor the reverse."""
    leg, peer, engine = await make_leg()
    whole = frame(TEXT, b"\x88\x00" * size, key=KEY)
    await peer.send_raw(whole[: len(whole) // 2])
    with trio.move_on_after(1):
        await leg.read()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: leg.close(1001, ""))
        await peer.send_raw(whole[len(whole) // 2 :])
        await trio.sleep(1)
        assert not engine.peer_closed.is_set()
        await peer.close(1001)
    assert trio.current_time() == 2


async def test_goodbye_to_a_peer_that_closed_first(autojump_clock: MockClock) -> None:
    """The engine gets the peer's CLOSE, to answer it; nothing else is awaited."""
    leg, peer, engine = await make_leg()
    await peer.close(1000)
    close = await leg.read_message()
    assert isinstance(close, Close)
    await leg.close(1000, "", event=b'{"type":"error"}')
    assert engine.taken == [close.raw]
    assert (await peer.receive() or ())[1] == CLOSE
    assert await peer.receive() is None


async def test_goodbye_on_a_tainted_wire(autojump_clock: MockClock) -> None:
    """A wire with half a frame on it is cut and nothing more is written."""
    leg, peer, engine = await make_leg("lockstep")
    with trio.move_on_after(1):
        await leg.send(frame(TEXT, b"x" * 1_000))
    await leg.close(1011, "", event=b"{}")
    assert engine.taken == []
    rest = [part async for part in peer.stream]
    assert b"".join(rest) in (b"", frame(TEXT, b"x" * 1_000))


async def test_goodbye_to_nobody(autojump_clock: MockClock) -> None:
    """A peer that is gone is no error, and takes no time."""
    leg, peer, _ = await make_leg()
    await peer.stream.aclose()
    await leg.close(1011, "", event=b"{}")
    assert trio.current_time() == 0


async def test_goodbye_cancelled(autojump_clock: MockClock) -> None:
    """The caller's deadline ends a goodbye that the peer does not answer, and cuts."""
    leg, peer, _ = await make_leg()
    with trio.move_on_after(2):
        await leg.close(1001, "")
    assert (await peer.receive() or ())[1] == CLOSE
    assert await peer.receive() is None
    assert trio.current_time() == 2


@pytest.mark.parametrize("size", [100, 70_000])
async def test_goodbye_to_a_peer_whose_early_frame_was_never_read(
    autojump_clock: MockClock, size: int
) -> None:
    """Half a frame that came with the upgrade is read on, and the CLOSE behind it is seen."""
    whole = frame(TEXT, b"\x88\x00" * size, key=KEY)
    leg, peer, engine = await make_leg(unread=whole[:50])
    with trio.fail_after(kit.LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: leg.close(3000, ""))
            await peer.send_raw(whole[50:])
            await trio.testing.wait_all_tasks_blocked()
            assert not engine.peer_closed.is_set()
            await peer.close(1000)
    assert engine.taken == [frame(CLOSE, close_payload(1000), key=peer.key)]
    assert trio.current_time() == 0


async def test_goodbye_to_a_peer_whose_early_close_was_never_read(
    autojump_clock: MockClock,
) -> None:
    """A CLOSE that came with the upgrade is the peer's CLOSE: no other is waited for."""
    early = frame(CLOSE, close_payload(1000), key=KEY)
    leg, peer, engine = await make_leg(unread=frame(TEXT, b"a", key=KEY) + early)
    with trio.fail_after(kit.LONG):
        await leg.close(3000, "")
    assert engine.taken == [early]
    assert (await peer.receive() or ())[1] == CLOSE
    assert trio.current_time() == 0


async def test_goodbye_to_a_peer_that_broke_the_protocol(autojump_clock: MockClock) -> None:
    """What it says cannot be understood any more; it is waited for a quarter of a second."""
    leg, peer, _ = await make_leg()
    await peer.send_raw(frame(TEXT, b"unmasked"))
    assert isinstance(await leg.read_message(), Fault)
    with trio.fail_after(kit.LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: leg.close(1002, "", event=b'{"type":"error"}'))
            assert await peer.hear() == {"type": "error"}
            assert (await peer.receive() or ())[1] == CLOSE
            await peer.close(1002)
    assert trio.current_time() == 0.25
