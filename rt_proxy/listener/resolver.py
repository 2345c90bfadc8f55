"""Looks host names up without letting one slow name keep the others waiting.

A lookup cannot be cancelled: its thread goes on until the system gives up, and in Trio all
threads share one limit. Here each name has a small limit of its own.
"""

import socket
from typing import Any

import trio

#: Lookups of one name at once; more wait, and their dial's deadline runs.
_AT_ONCE = 8


class HostResolver(trio.abc.HostnameResolver):
    """Asks the system, for each host in a few threads at most.

    Mutable: it keeps a limiter for each host, of which there are as many as the settings name.
    """

    def __init__(self) -> None:
        self._limiters: dict[bytes | None, trio.CapacityLimiter] = {}

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name is Trio's
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look a host up. Cancelling stops the waiting; the thread ends when the system does.

        Raises:
            socket.gaierror: It is not known, or the system cannot say.
        """
        limiter = self._limiters.setdefault(host, trio.CapacityLimiter(_AT_ONCE))
        return await trio.to_thread.run_sync(
            socket.getaddrinfo,
            host,
            port,
            family,
            type,
            proto,
            flags,
            abandon_on_cancel=True,
            limiter=limiter,
        )

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        """Look an address up. Cancelling stops the waiting, as above.

        Raises:
            socket.gaierror: It is not known, or the system cannot say.
        """
        return await trio.to_thread.run_sync(
            socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True
        )
