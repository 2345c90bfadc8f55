"""Facts about looking host names up: one that hangs does not keep the others."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from rt_proxy.listener.resolver import HostResolver

PATIENCE = 10
#: More than Trio runs threads at once.
MANY = 60


class SlowSystem:
    """A system whose lookups of one name hang until they are let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()

    def getaddrinfo(self, host: bytes, port: int, *_: Any) -> list[Any]:
        """Look a name up, as ``socket.getaddrinfo`` does."""
        if host == b"slow.test":
            self.asked += 1
            self.go.wait(PATIENCE)
        if host == b"unknown.test":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSystem]:
    """Put a slow system in place, and let its threads end."""
    slow = SlowSystem()
    monkeypatch.setattr(socket, "getaddrinfo", slow.getaddrinfo)
    yield slow
    slow.go.set()


async def test_a_name_that_hangs_keeps_no_other(system: SlowSystem) -> None:
    """Lookups that were given up hold up their own name only, in a few threads."""
    resolver = HostResolver()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(resolver.getaddrinfo, b"slow.test", 80)
            while system.asked < 8:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel("the dial has timed out")
        [(*_, address)] = await resolver.getaddrinfo(b"fast.test", 443)

    assert address == ("127.0.0.1", 443)
    assert system.asked == 8


async def test_a_name_that_is_not_known(system: SlowSystem) -> None:
    """What the system raises comes out."""
    del system
    with pytest.raises(socket.gaierror):
        await HostResolver().getaddrinfo(b"unknown.test", 443)


async def test_an_address() -> None:
    """An address can be looked up as well."""
    told = await HostResolver().getnameinfo(
        ("127.0.0.1", 443), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    )

    assert told == ("127.0.0.1", "443")
