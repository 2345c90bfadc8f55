"""TCP keepalive: the system itself looks after connections on which nothing moves."""

import math
import socket

import trio

_TCP = (socket.AF_INET, socket.AF_INET6)
_PROBES = 4
#: What Linux takes at most, in seconds.
_LONGEST = 32_767


def keep_alive(sock: trio.socket.SocketType, seconds: float) -> None:
    """Have the system probe a quiet TCP connection; sockets of other kinds are left as they are.

    On Linux the connections that a listening socket accepts have what the listener has.

    Args:
        sock: Connected or listening.
        seconds: Of silence, until the first probe. A peer that answers none is given up
            after about as long again, and after 4 seconds at least. 0: nothing is set.
    """
    if not seconds or sock.family not in _TCP:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _whole(seconds)),
        ("TCP_KEEPINTVL", _whole(seconds / _PROBES)),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):  # not every system has a word for each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _whole(seconds: float) -> int:
    return min(max(math.ceil(seconds), 1), _LONGEST)
