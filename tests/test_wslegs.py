"""Facts about opening legs: both handshakes, pings, and an engine that cannot harm anybody."""

import kit
import pytest
import trio
from kit import CLOSE, PING, PONG, TEXT, close_payload, frame
from trio.testing import MockClock

from rt_proxy.realtime.closing import Side
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Message
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import UpgradeFailedError, accept_leg, open_leg


def reader(*, masked: bool) -> FrameReader:
    """Return a reader that gives every message."""
    return FrameReader(masked=masked, message_bytes=1_000_000, parsed_bytes=1_000_000)


async def accepted(
    room: trio.Nursery, *, subprotocol: str | None = None, unread: bytes = b""
) -> tuple[Leg, kit.Client, bytes]:
    """Accept a client, and return its leg, the client, and the head of the answer."""
    far, near = await kit.stream_pair("memory")
    client = kit.Client(far, near)
    leg = await accept_leg(
        room,
        near,
        key=kit.KEY,
        subprotocol=subprotocol,
        frames=reader(masked=True),
        unread=unread,
    )
    return leg, client, await client.read_101()


async def opened(room: trio.Nursery, *lines: tuple[bytes, bytes]) -> tuple[Leg, kit.Upstream]:
    """Open a leg to an upstream, and return both."""
    far, near = await kit.stream_pair("memory")
    upstream = kit.Upstream(far, None, None)  # type: ignore[arg-type]
    legs: list[Leg] = []

    async def connect() -> None:
        legs.append(
            await open_leg(
                room,
                near,
                host="voice.example",
                resource="/v1/realtime?model=x",
                headers=lines,
                frames=reader(masked=False),
            )
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        await upstream.accept()
    return legs[0], upstream


@pytest.mark.parametrize("subprotocol", [None, "realtime"])
async def test_the_answer_to_a_client(subprotocol: str | None) -> None:
    """The 101 belongs to the key, echoes the subprotocol, and negotiates no extension."""
    async with trio.open_nursery() as room:
        leg, _, head = await accepted(room, subprotocol=subprotocol)
        assert leg.side is Side.CLIENT
        assert (b"sec-websocket-protocol: realtime" in head.lower()) is bool(subprotocol)
        assert b"extensions" not in head.lower()
        await leg.wire.cut()
        room.cancel_scope.cancel()


async def test_the_request_to_an_upstream() -> None:
    """The upgrade has our headers, a fresh key, and no extension."""
    async with trio.open_nursery() as room:
        leg, upstream = await opened(room, (b"api-key", b"sk-up"))
        _, other = await opened(room)
        assert leg.side is Side.UPSTREAM
        assert upstream.head.startswith(b"GET /v1/realtime?model=x HTTP/1.1\r\n")
        head = upstream.head.lower()
        assert b"host: voice.example\r\n" in head
        assert b"api-key: sk-up\r\n" in head
        assert b"extensions" not in head
        assert upstream.answer_101() != other.answer_101()
        room.cancel_scope.cancel()


async def test_early_frames_are_the_first_to_be_read() -> None:
    """What came with the head, on either side, is not lost."""
    early = frame(TEXT, b"early", key=b"abcd")
    async with trio.open_nursery() as room:
        leg, _, _ = await accepted(room, unread=early)
        message = await leg.read_message()
        assert isinstance(message, Message)
        assert message.payload == b"early"
        room.cancel_scope.cancel()


@pytest.mark.parametrize("side", list(Side)[:2])
async def test_pings_are_answered(side: Side) -> None:
    """A ping gets its pong while the leg is read, masked as that side must."""
    async with trio.open_nursery() as room:
        leg, peer = (await accepted(room))[:2] if side is Side.CLIENT else await opened(room)
        room.start_soon(leg.read_message)
        for payload in (b"", b"a", b"b" * 125):
            await peer.send(PING, payload)
            pong = await peer.receive()
            assert pong is not None
            assert (pong.opcode, pong.payload) == (PONG, payload)
        room.cancel_scope.cancel()


@pytest.mark.parametrize("side", list(Side)[:2])
async def test_our_goodbye(autojump_clock: MockClock, side: Side) -> None:
    """CLOSE, the peer's CLOSE, and the stream is closed, all at once."""
    async with trio.open_nursery() as room:
        leg, peer = (await accepted(room))[:2] if side is Side.CLIENT else await opened(room)
        room.start_soon(lambda: leg.close(4408, "client_idle"))
        close = await peer.receive()
        assert close is not None
        assert close.payload == close_payload(4408, b"client_idle")
        await peer.send(CLOSE, close.payload)
        assert await peer.receive() is None
        room.cancel_scope.cancel()
    assert trio.current_time() == 0


@pytest.mark.parametrize("side", list(Side)[:2])
async def test_a_ping_after_our_close(autojump_clock: MockClock, side: Side) -> None:
    """A ping that arrives after our CLOSE harms nobody and is not answered."""
    async with trio.open_nursery() as room:
        leg, peer = (await accepted(room))[:2] if side is Side.CLIENT else await opened(room)
        room.start_soon(lambda: leg.close(1001, "drain"))
        close = await peer.receive()
        assert close is not None
        await peer.send(PING, b"too late")
        await trio.sleep(1)
        await peer.send(CLOSE, close.payload)
        assert await peer.receive() is None
        room.cancel_scope.cancel()


@pytest.mark.parametrize("side", list(Side)[:2])
@pytest.mark.parametrize("code", [1000, 1014, 4999, None])
async def test_the_peers_goodbye(autojump_clock: MockClock, side: Side, code: int | None) -> None:
    """A CLOSE of the peer's is answered, whatever its code, and nothing is waited for."""
    async with trio.open_nursery() as room:
        leg, peer = (await accepted(room))[:2] if side is Side.CLIENT else await opened(room)
        await peer.close(code)
        await leg.read_message()
        await leg.close(code or 1000, "")
        close = await peer.receive()
        assert close is not None
        assert close.opcode == CLOSE
        assert await peer.receive() is None
        room.cancel_scope.cancel()
    assert trio.current_time() == 0


async def test_an_engine_that_fails_stays_in_its_leg(autojump_clock: MockClock) -> None:
    """Whatever the library makes of a frame, no exception reaches the nursery."""
    async with trio.open_nursery() as room:
        leg, client, _ = await accepted(room)
        for nonsense in (frame(CLOSE, b"\x00", key=b"abcd"), frame(PING, b"unmasked"), b"\xff" * 9):
            await leg._engine.take(nonsense)
        await leg._engine.take(b"")
        with trio.move_on_after(1):
            await leg.close(1002, "")
        await client.stream.aclose()
        room.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\nhalf a body", 401),
        (b"HTTP/1.1 101 X\r\n\r\n", 101),
        (b"\r\n", None),
        (b"", None),
    ],
)
async def test_an_upgrade_that_fails(
    autojump_clock: MockClock, answer: bytes, status: int | None
) -> None:
    """A refusal is an exception of ours at once, with its status; siblings are unharmed."""
    far, near = await kit.stream_pair("memory")
    async with trio.open_nursery() as room:
        await far.send_all(answer)
        if not answer:
            assert isinstance(far, trio.StapledStream)
            await far.send_eof()
        with pytest.raises(UpgradeFailedError) as caught:
            await open_leg(
                room, near, host="x", resource="/", headers=[], frames=reader(masked=False)
            )
        assert caught.value.status == status
        await trio.testing.wait_all_tasks_blocked()
        assert not room.child_tasks
    assert trio.current_time() == 0


async def test_a_cancelled_upgrade(autojump_clock: MockClock) -> None:
    """An upstream that never answers is left without a task."""
    _, near = await kit.stream_pair("memory")
    async with trio.open_nursery() as room:
        with trio.move_on_after(3) as scope:
            await open_leg(
                room, near, host="x", resource="/", headers=[], frames=reader(masked=False)
            )
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert not room.child_tasks


async def test_a_client_that_left(autojump_clock: MockClock) -> None:
    """A client that is gone before the 101 is a broken stream."""
    far, near = await kit.stream_pair("memory")
    await far.aclose()
    async with trio.open_nursery() as room:
        with pytest.raises(trio.BrokenResourceError):
            await accept_leg(room, near, key=kit.KEY, subprotocol=None, frames=reader(masked=True))
