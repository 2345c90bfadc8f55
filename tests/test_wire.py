"""Facts about the stream of a leg: whole frames, pieces, taint, and times."""

import kit
import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from rt_proxy.session.wire import Wire


class Counted(trio.abc.Stream):
    """A stream that keeps what each ``send_all`` was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it, in two steps."""
        self.sent.append(bytes(data))
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Return."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for nothing."""
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        """Do nothing."""


async def test_pieces() -> None:
    """A send goes out in pieces of at most 64 KiB, in order and complete."""
    stream = Counted()
    data = bytes(range(256)) * 600
    await Wire(stream).send(data)
    assert [len(piece) for piece in stream.sent] == [65_536, 65_536, 22_528]
    assert b"".join(stream.sent) == data


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_no_more_is_read_than_wanted(kind: str) -> None:
    """A bound holds for what is read at once; the rest is read later."""
    far, near = await kit.stream_pair(kind)
    wire = Wire(near)
    await far.send_all(b"x" * 1_000)
    assert len(await wire.receive(64)) == 64
    assert len(await wire.receive()) == 936
    await far.aclose()
    await wire.cut()


async def test_sends_do_not_mix() -> None:
    """Two tasks that send at once each get their whole bytes out in a row."""
    stream = Counted()
    wire = Wire(stream)
    async with trio.open_nursery() as nursery:
        for letter in (b"a", b"b", b"c"):
            nursery.start_soon(wire.send, letter * 200_000)
    whole = b"".join(stream.sent)
    runs = [whole[start : start + 200_000] for start in range(0, 600_000, 200_000)]
    assert all(len(set(run)) == 1 for run in runs)


async def test_a_cancelled_send_taints(autojump_clock: MockClock) -> None:
    """After an interrupted send nothing is written any more, for half a frame is on the wire."""
    near, far = lockstep_stream_pair()
    wire = Wire(near)
    with trio.move_on_after(1):
        await wire.send(b"x" * 100)
    assert wire.tainted
    assert wire.sending_since is None
    with pytest.raises(trio.BrokenResourceError):
        await wire.send(b"y")
    await wire.cut()
    assert b"y" not in b"".join([chunk async for chunk in far])


async def test_a_send_cancelled_in_the_queue_does_not_taint(autojump_clock: MockClock) -> None:
    """A send that has not begun may be cancelled: the one under way ends well."""
    near, far = lockstep_stream_pair()
    wire = Wire(near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, b"first")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await wire.send(b"second")
        assert await far.receive_some() == b"first"
    assert not wire.tainted


async def test_sending_since_is_the_time_of_the_piece(autojump_clock: MockClock) -> None:
    """The clock of a send begins anew with each piece that was taken."""
    near, far = lockstep_stream_pair()
    wire = Wire(near)
    assert wire.sending_since is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, b"x" * 100_000)
        await trio.sleep(5)
        assert wire.sending_since == 0
        await far.receive_some()
        await trio.sleep(1)
        assert wire.sending_since == 5
        await far.receive_some()
    assert wire.sending_since is None


async def test_receiving_since(autojump_clock: MockClock) -> None:
    """It is known since when somebody waits for bytes, and that nobody does."""
    near, far = memory_stream_pair()
    wire = Wire(near)
    assert wire.receiving_since is None
    async with trio.open_nursery() as nursery:
        await trio.sleep(3)
        nursery.start_soon(wire.receive)
        await trio.sleep(2)
        assert wire.receiving_since == 3
        await far.send_all(b"x")
    assert wire.receiving_since is None


async def test_cancelled_receive_loses_nothing() -> None:
    """What arrives after a cancelled receive is given by the next one."""
    near, far = memory_stream_pair()
    wire = Wire(near)
    with trio.move_on_after(0):
        await wire.receive()
    await far.send_all(b"kept")
    assert await wire.receive() == b"kept"


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_every_end_is_an_eof(kind: str) -> None:
    """A peer that leaves, and a stream that was cut, are both ``b""``; a send to them is broken."""
    far, near = await kit.stream_pair(kind)
    wire = Wire(near)
    await far.aclose()
    assert await wire.receive() == b""
    if kind == "tcp":  # the first send only calls forth the reset
        await wire.send(b"x")
        await trio.sleep(0.05)
    with pytest.raises(trio.BrokenResourceError):
        await wire.send(b"x")
    await wire.cut()
    assert await wire.receive() == b""
    with pytest.raises(trio.BrokenResourceError):
        await wire.send(b"x")


async def test_a_reset_is_an_eof() -> None:
    """A connection that was reset is ``b""`` too."""
    far, near = await kit.tcp_pair()
    kit.reset(far)
    wire = Wire(near)
    assert await wire.receive() == b""
    await wire.cut()


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_cut_ends_what_is_under_way(kind: str) -> None:
    """Cutting wakes a reader and closes the stream, even where the caller is cancelled."""
    far, near = await kit.stream_pair(kind)
    wire = Wire(near)
    got: list[bytes] = []

    async def read() -> None:
        got.append(await wire.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await wire.cut()
    assert got == [b""]
    assert await far.receive_some(1) == b""
    await far.aclose()


async def test_wait_sent(autojump_clock: MockClock) -> None:
    """It returns when the sends begun before have ended, and at once where there is none."""
    near, far = lockstep_stream_pair()
    wire = Wire(near)
    await wire.wait_sent()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, b"one")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wire.send, b"two")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as patience:
            await wire.wait_sent()
        assert patience.cancelled_caught
        nursery.start_soon(far.receive_some)
        await trio.sleep(1)
        nursery.start_soon(far.receive_some)
        await wire.wait_sent()
        assert trio.current_time() == 2


async def test_a_tcp_send_larger_than_the_buffers() -> None:
    """What the kernel does not take at once follows, complete and in order."""
    far, near = await kit.tcp_pair()
    wire = Wire(near)
    data = bytes(range(256)) * 4_000
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, data)
        while len(received) < len(data):
            received += await far.receive_some()
    assert bytes(received) == data
    await wire.cut()
    await far.aclose()
