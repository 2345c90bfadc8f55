"""TCP keepalive: what the system is asked for, on real sockets."""

import socket
from pathlib import Path

import pytest
import trio

from rt_proxy.listener.keepalive import keep_alive

OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
)


def options(sock: trio.socket.SocketType) -> list[int]:
    """Return whether a socket is kept alive, after which silence, how often, how many times."""
    return [sock.getsockopt(level, option) for level, option in OPTIONS]


@pytest.mark.parametrize(
    ("seconds", "idle", "interval"),
    [(60, 60, 15), (0.5, 1, 1), (4, 4, 1), (90.5, 91, 23), (1e9, 32_767, 32_767)],
)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_on(family: socket.AddressFamily, seconds: float, idle: int, interval: int) -> None:
    """After the silence come four probes, which together take as long again."""
    with trio.socket.socket(family) as sock:
        keep_alive(sock, seconds)

        assert options(sock) == [1, idle, interval, 4]


async def test_off() -> None:
    """With 0 the socket stays as the system made it."""
    with trio.socket.socket() as sock:
        before = options(sock)
        keep_alive(sock, 0)

        assert options(sock) == before
        assert before[0] == 0


async def test_other_sockets() -> None:
    """A socket that is not TCP's is left alone."""
    with trio.socket.socket(socket.AF_UNIX) as sock:
        keep_alive(sock, 60)

        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a promise of Linux")
async def test_accepted() -> None:
    """What a listener has, the connections have that it accepts."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        keep_alive(listener.socket, 60)
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port), await listener.accept() as near:
            assert options(near.socket) == [1, 60, 15, 4]
