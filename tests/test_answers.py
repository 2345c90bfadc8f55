"""Facts about sending an answer to a client that may not be listening."""

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from rt_proxy.listener.answers import send_answer


class FullDuplexOnly(trio.abc.Stream):
    """A stream that, like TLS, cannot close one direction alone."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send through the inner stream."""
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for the inner stream."""
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive through the inner stream."""
        return bytes(await self.stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self.stream.aclose()


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Read to the end."""
    return b"".join([chunk async for chunk in stream])


async def test_client_reads_to_the_end_at_once(autojump_clock: MockClock) -> None:
    """A client that reads to the end of the connection need not wait for the linger."""
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_answer, server, b"answer", 2)
        assert await receive_all(client) == b"answer"
        await client.aclose()
    assert trio.current_time() == 0
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_client_that_never_leaves(autojump_clock: MockClock) -> None:
    """A client that keeps the connection is cut when the time is up."""
    client, server = memory_stream_pair()
    await send_answer(server, b"answer", 2)
    assert trio.current_time() == 2
    assert await receive_all(client) == b"answer"


async def test_client_that_keeps_streaming(autojump_clock: MockClock) -> None:
    """What the client still sends is thrown away until it stops."""
    client, server = memory_stream_pair()

    async def stream() -> None:
        for _ in range(10):
            await client.send_all(b"x" * 100_000)
            await trio.sleep(0.1)
        await client.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream)
        await send_answer(server, b"answer", 2)
        assert trio.current_time() == pytest.approx(1)


async def test_client_that_does_not_read(autojump_clock: MockClock) -> None:
    """A send that is not taken is bounded by the same time, and the stream closed."""
    _client, server = memory_stream_pair()
    server.send_stream.send_all_hook = trio.sleep_forever
    await send_answer(server, b"answer", 2)
    assert trio.current_time() == 2
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_stream_that_cannot_half_close(autojump_clock: MockClock) -> None:
    """Where one direction alone cannot be closed, none is until the client leaves."""
    client, server = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_answer, FullDuplexOnly(server), b"answer", 2)
        assert await client.receive_some() == b"answer"
        await client.aclose()
    assert trio.current_time() == 0


async def test_client_that_has_gone() -> None:
    """A broken or closed stream raises nothing and ends closed."""
    client, server = memory_stream_pair()
    await client.aclose()
    await send_answer(server, b"answer", 2)
    await send_answer(server, b"answer", 2)
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_cancelling_closes(autojump_clock: MockClock) -> None:
    """Cancelled, it closes the stream at once and lets the cancellation through."""
    client, server = memory_stream_pair()
    with trio.move_on_after(1) as scope:
        await send_answer(server, b"answer", 60)
    assert scope.cancelled_caught
    assert trio.current_time() == 1
    assert await receive_all(client) == b"answer"
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_real_socket_survives_a_streaming_client() -> None:
    """Over TCP a client gets the whole answer though megabytes of its own are unread."""
    answer = b"a" * 2_000
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    with trio.fail_after(10):
        async with listener, trio.open_nursery() as nursery:
            client = await trio.open_tcp_stream("127.0.0.1", port)
            server = await listener.accept()
            nursery.start_soon(send_answer, server, answer, 10)
            async with client:
                await client.send_all(b"x" * 5_000_000)
                assert await receive_all(client) == answer
