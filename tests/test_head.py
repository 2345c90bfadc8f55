"""Facts about reading the HTTP head."""

import h11
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_one_way_pair

from rt_proxy.listener.head import Opened, read_head
from rt_proxy.realtime.refusals import Refusal

HEAD = (
    b"GET /v1/realtime?model=m HTTP/1.1\r\n"
    b"Host: localhost\r\n"
    b"AUTHORIZATION:  Bearer sk-rt-secret \r\n"
    b"X-Name: caf\xe9\r\n"
    b"\r\n"
)


class Pieces(trio.abc.ReceiveStream):
    """A stream that gives bytes in chosen pieces, then EOF or a breakage."""

    def __init__(self, pieces: list[bytes], *, breaks: bool = False) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.breaks = breaks
        self.taken = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give the next piece, or the part of it that was asked for."""
        await trio.lowlevel.checkpoint()
        if not self.pieces:
            if self.breaks:
                raise trio.BrokenResourceError
            return b""
        piece = self.pieces.pop(0)
        if max_bytes is not None and len(piece) > max_bytes:
            self.pieces.insert(0, piece[max_bytes:])
            piece = piece[:max_bytes]
        self.taken += len(piece)
        return piece

    async def aclose(self) -> None:
        """Nothing is to be closed."""
        await trio.lowlevel.checkpoint()


async def read(data: bytes, limit: int = 1000) -> Opened | Refusal | None:
    """Read a head that comes in one piece, then EOF."""
    return await read_head(Pieces([data]), limit)


async def opened(data: bytes, limit: int = 1000) -> Opened:
    """Read a good head."""
    result = await read(data, limit)
    assert isinstance(result, Opened), result
    return result


async def status(data: bytes, limit: int = 1000) -> int:
    """Read a bad head and return the status of its refusal."""
    result = await read(data, limit)
    assert isinstance(result, Refusal), result
    return result.status


async def test_good_head() -> None:
    """Method, target, version and headers come as sent, the names in lower case."""
    result = await opened(HEAD)
    assert result.rest == b""
    head = result.head
    assert (head.method, head.target) == ("GET", "/v1/realtime?model=m")
    assert head.http_version == "1.1"
    assert head.headers == (
        (b"host", b"localhost"),
        (b"authorization", b"Bearer sk-rt-secret"),
        (b"x-name", b"caf\xe9"),
    )


async def test_byte_by_byte() -> None:
    """A head that comes byte by byte is the same head."""
    pieces = [HEAD[i : i + 1] for i in range(len(HEAD))]
    assert await read_head(Pieces(pieces), 1000) == await opened(HEAD)


async def test_rest() -> None:
    """What came after the head is handed on untouched, frames and bodies alike."""
    assert (await opened(HEAD + b"\x81\x00\x00\r\n\r\n")).rest == b"\x81\x00\x00\r\n\r\n"
    upgrade = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert (await opened(upgrade + b"\x89\x00")).rest == b"\x89\x00"
    post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
    assert (await opened(post + b"hello")).rest == b"hello"


async def test_body_is_not_waited_for() -> None:
    """A head is given as soon as it is complete, though its body never comes."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    send, receive = memory_stream_one_way_pair()
    await send.send_all(head)
    assert isinstance(await read_head(receive, 1000), Opened)


@pytest.mark.parametrize("rest", [b"", b"x" * 5000])
async def test_limit_is_exact(rest: bytes) -> None:
    """A head of exactly the limit is read, whatever follows; one byte more is 431."""
    assert (await opened(HEAD + rest, len(HEAD))).head.method == "GET"
    assert await status(HEAD + rest, len(HEAD) - 1) == 431


async def test_limit_of_a_head_without_end() -> None:
    """An endless head is 431 as soon as the limit is passed, and no more is taken."""
    stream = Pieces([b"GET / HTTP/1.1\r\nX: "] + [b"a" * 100] * 10_000)
    result = await read_head(stream, 1000)
    assert isinstance(result, Refusal)
    assert result.status == 431
    assert "1000" in result.message
    assert "limits.head_bytes" in result.message
    assert stream.taken == 1001


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00" * 50,
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
async def test_garbage(data: bytes) -> None:
    """What is no well-formed head is 400."""
    assert await status(data) == 400


async def test_tls_on_a_plain_port_is_told_at_once() -> None:
    """A TLS hello is refused by its first byte, without waiting for more."""
    send, receive = memory_stream_one_way_pair()
    await send.send_all(b"\x16\x03\x01")
    refusal = await read_head(receive, 1000)
    assert isinstance(refusal, Refusal)
    assert "speaks TLS (https, wss); this port does not" in refusal.message


async def test_other_versions() -> None:
    """HTTP/1.0 is read, and HTTP/2 is 505."""
    assert (await opened(b"GET / HTTP/1.0\r\n\r\n")).head.http_version == "1.0"
    assert await status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


async def test_left_without_a_word() -> None:
    """A client that leaves before its first byte gets no answer."""
    assert await read(b"") is None


async def test_end_in_the_middle() -> None:
    """A client that stops sending in mid-head may still read, and gets 400."""
    assert await status(HEAD[:-2]) == 400


@pytest.mark.parametrize("pieces", [[], [HEAD[:10]]])
async def test_broken_stream(pieces: list[bytes]) -> None:
    """A broken stream is a client that left."""
    assert await read_head(Pieces(pieces, breaks=True), 1000) is None


async def test_secrets_are_not_quoted() -> None:
    """Neither a refusal nor a repr quotes the head."""
    bad = await read(HEAD.replace(b"Host: localhost", b"sk-rt-secret"))
    assert isinstance(bad, Refusal)
    assert b"secret" not in bad.body()
    assert "secret" not in repr(await opened(HEAD + b"secret"))


async def test_cancelling(autojump_clock: trio.testing.MockClock) -> None:
    """A deadline around it ends the wait and leaves the stream open for an answer."""
    send: MemorySendStream
    receive: MemoryReceiveStream
    send, receive = memory_stream_one_way_pair()
    await send.send_all(HEAD[:10])
    with trio.move_on_after(10) as scope:
        await read_head(receive, 1000)
    assert scope.cancelled_caught
    await send.send_all(b"more")
    assert await receive.receive_some() == b"more"


@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [b"GET / HTTP/1.1\r\n", b"Host: h\r\n", b"\r\n", b"Content-Length: ", b"\n"]
        ),
        max_size=12,
    ),
    st.integers(1, 100),
)
def test_whatever_arrives(pieces: list[bytes], limit: int) -> None:
    """Any bytes in any pieces give a head within the limit, a refusal or None."""

    async def main() -> None:
        whole = await read_head(Pieces([b"".join(pieces)]), limit)
        stream = Pieces(pieces)
        result = await read_head(stream, limit)
        assert result is None or isinstance(result, (Opened, Refusal))
        assert stream.taken <= limit + 1
        if isinstance(result, Opened):
            assert isinstance(whole, Opened)
            assert whole.head == result.head

    trio.run(main)


@pytest.mark.parametrize("sizes", [(9_000,), (1_000, 8_000)])
async def test_what_takes_a_parser_long_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    """White space before a byte that no head may have makes h11 look at it again and again."""
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX:" + b" " * 8_000 + b"\x0b\r\n\r\n"
    fed = bytearray()
    receive_data = h11.Connection.receive_data

    def feed(self: h11.Connection, data: bytes) -> None:
        fed.extend(data)
        receive_data(self, data)

    monkeypatch.setattr(h11.Connection, "receive_data", feed)
    send, receive = memory_stream_one_way_pair()

    async def drip() -> None:
        position = 0
        for size in sizes:
            await send.send_all(head[position : position + size])
            position += size
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        refusal = await read_head(receive, 16_384)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "bad_request"
    assert b"\x0b" not in fed
