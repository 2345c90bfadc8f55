"""Asking an HTTP proxy for a tunnel, over real connections."""

import pytest
import trio
from dialkit import PATIENCE, Handler, Tunnels, answering, hang_up, say_hello, server
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from rt_proxy.channels.proxyurl import ProxyUrl
from rt_proxy.listener.connectproxy import ask_for_tunnel

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def proxy_at(port: int, credentials: str = "") -> ProxyUrl:
    """Return a proxy on this machine."""
    return ProxyUrl.parse(f"http://{credentials}127.0.0.1:{port}")


async def verdict(handle: Handler) -> str | None:
    """Ask a proxy for a tunnel, and return why there is none."""
    async with server(handle) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        return await ask_for_tunnel(stream, proxy_at(port), "up.test", 443)


@pytest.mark.parametrize(
    ("host", "target"), [("up.test", "up.test:443"), ("fd00::1", "[fd00::1]:443")]
)
async def test_tunnel(host: str, target: str) -> None:
    """The proxy is told where to, and then the stream leads there."""
    async with server(say_hello) as upstream:
        tunnels = Tunnels(upstream)
        async with server(tunnels) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await ask_for_tunnel(stream, proxy_at(port), host, 443) is None
            assert await stream.receive_some() == b"hello"

    assert tunnels.heads == [
        [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: rt-proxy"]
    ]


@pytest.mark.parametrize(
    ("shown", "told"),
    [("user:p%40ss@", None), ("user:hush@", "HTTP 407"), ("", "HTTP 407")],
)
async def test_credentials(shown: str, told: str | None) -> None:
    """A proxy that asks for credentials is shown them, and a refusal is told as its status."""
    async with server(hang_up) as upstream:
        tunnels = Tunnels(upstream, credentials="user:p@ss")
        async with server(tunnels) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
            assert await ask_for_tunnel(stream, proxy_at(port, shown), "up.test", 443) == told


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([OPEN], None),
        ([b"HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n"], None),
        ([b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n"], None),
        ([b"HTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"], None),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", OPEN], None),
        ([bytes([byte]) for byte in OPEN], None),
        ([b"HTTP/1.1 403 Our secret words\r\n\r\n"], "HTTP 403"),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test\r\n\r\n"], "HTTP 302"),
        ([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nour words"], "HTTP 502"),
        ([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], "its answer is not HTTP"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], "its answer is not HTTP"),
        ([b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n"], "its answer is not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], "its answer is not HTTP"),
        ([OPEN + b"early"], "data came through it before anything was sent"),
        ([], "hung up"),
        ([OPEN[:20]], "hung up"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], "hung up"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 11_000 + b"\r\n"],
         "its answer is longer than 16384 bytes"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 65_536], "its answer is longer than 16384 bytes"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 3_000, "its answer is longer than 16384 bytes"),
    ],
)  # fmt: skip
async def test_answers(parts: list[bytes], told: str | None) -> None:
    """Every answer is taken for what it is, and none of the proxy's words are repeated."""
    assert await verdict(answering(*parts, stay=told is None or "longer" in told)) == told


@pytest.mark.parametrize("size", [16_384, 16_385])
async def test_longest_head(size: int) -> None:
    """A head of 16 KiB is taken, and one more byte is not."""
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n"
    answer = start + b"y" * (size - len(start) - len(end)) + end
    told = await verdict(answering(answer, stay=True))

    assert told == (None if size == 16_384 else "its answer is longer than 16384 bytes")


async def test_reset() -> None:
    """A proxy that is gone before it is asked is one that hung up."""
    ours, theirs = memory_stream_pair()
    await theirs.aclose()

    assert await ask_for_tunnel(ours, proxy_at(1), "up.test", 443) == "hung up"


async def test_cancelled() -> None:
    """A proxy that says nothing is waited for until the caller has enough."""
    asked = trio.Event()

    async def never_answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            asked.set()
            await stream.receive_some()

    async with server(never_answer) as port, trio.open_nursery() as nursery:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        nursery.start_soon(ask_for_tunnel, stream, proxy_at(port), "up.test", 443)
        await asked.wait()
        nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(b"HTTP/1.1 200 ".__add__))
def test_any_answer(answer: bytes) -> None:
    """Whatever a proxy answers is a value, never an exception."""

    async def ask() -> str | None:
        ours, theirs = memory_stream_pair()
        await theirs.send_all(answer)
        await theirs.send_eof()
        with trio.fail_after(PATIENCE):
            return await ask_for_tunnel(ours, proxy_at(1), "up.test", 443)

    assert trio.run(ask) is None or isinstance(trio.run(ask), str)
