"""A plain socket without the detours of the general stream."""

import socket

import pytest
import trio
import trio.testing

from rt_proxy.session.direct import DirectListener, DirectStream, direct


async def socket_pair() -> tuple[DirectStream, DirectStream]:
    """Return two joined direct streams."""
    left, right = trio.socket.socketpair()
    return DirectStream(trio.SocketStream(left)), DirectStream(trio.SocketStream(right))


async def test_bytes_go_both_ways() -> None:
    """What is sent arrives, and an end is an end."""
    left, right = await socket_pair()
    async with left, right:
        await left.send_all(b"ping")
        assert await right.receive_some() == b"ping"
        await right.send_all(memoryview(b"pong"))
        assert await left.receive_some(2) == b"po"
        assert await left.receive_some(2) == b"ng"
        await left.send_eof()
        assert await right.receive_some() == b""


async def test_more_than_the_socket_takes() -> None:
    """What does not fit at once is sent when there is room, in order and once."""
    left, right = await socket_pair()
    data = bytes(range(256)) * 40_000
    received = bytearray()
    async with left, right, trio.open_nursery() as nursery:
        nursery.start_soon(left.send_all, data)
        while len(received) < len(data):
            received += await right.receive_some()
    assert received == data


async def test_receiving_waits() -> None:
    """Nothing comes back before something has come, and waiting can be cancelled safely."""
    left, right = await socket_pair()
    async with left, right:
        with trio.move_on_after(0.01) as scope:
            await right.receive_some()
        assert scope.cancelled_caught
        await left.send_all(b"late")
        assert await right.receive_some() == b"late"


async def test_a_peer_that_is_gone() -> None:
    """A send to a peer that has closed is a broken resource, not an error of the system."""
    left, right = await socket_pair()
    await right.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await left.send_all(b"x")
    await left.aclose()


async def test_a_reset() -> None:
    """A reset by the peer is a broken resource."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    near = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
    far = DirectStream(await listeners[0].accept())
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await near.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await far.receive_some()
    await far.aclose()
    await listeners[0].aclose()


async def test_a_closed_stream_uses_no_descriptor() -> None:
    """After closing, the number of its descriptor may be another's: it is not touched."""
    left, right = await socket_pair()
    number = left.socket.fileno()
    await left.aclose()
    other, peer = socket.socketpair()
    assert number in (other.fileno(), peer.fileno())  # taken over at once, as systems do
    with pytest.raises(trio.ClosedResourceError):
        await left.send_all(b"for nobody")
    with pytest.raises(trio.ClosedResourceError):
        await left.receive_some()
    for end in (other, peer):
        end.setblocking(False)
        with pytest.raises(BlockingIOError):
            end.recv(1)
    other.close()
    peer.close()
    await right.aclose()


async def test_closing_wakes_a_receiver() -> None:
    """Who waits for bytes learns that the stream was closed here."""
    left, right = await socket_pair()

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await left.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await left.aclose()
    await right.aclose()


async def test_only_plain_sockets_are_direct() -> None:
    """Any other stream stays what it is."""
    memory, _ = trio.testing.memory_stream_pair()
    assert direct(memory) is memory
    left, right = await socket_pair()
    assert direct(left) is left
    await left.aclose()
    await right.aclose()


async def test_listener() -> None:
    """A listener's streams are direct ones."""
    [plain] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with DirectListener(plain) as listener:
        assert listener.socket is plain.socket
        near = await trio.open_tcp_stream(*plain.socket.getsockname())
        async with near, await listener.accept() as far:
            assert isinstance(far, DirectStream)
