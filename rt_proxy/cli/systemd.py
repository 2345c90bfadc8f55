"""What systemd wants of a service: to be told of its states; and the listeners it hands over.

By the protocols of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). Without
their environment variables nothing happens. The variables are taken out of the
environment, for they are not meant for the programs that we start.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping

import trio

from rt_proxy.errors import ListenError

#: Nobody hands over more sockets than a number of so many digits says.
_MOST_DIGITS = 6
#: The first descriptor that is handed over.
_FIRST = 3
#: How often it is looked whether the status has changed, in seconds.
_STATUS_PAUSE = 1.0
#: How long a change of state may wait for a manager that is behind, in seconds.
_PATIENCE = 0.1
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class ServiceManager:
    """The one who started us, where it wants to know how we are (mutable: what was told last).

    No failure to tell it anything comes out of here.
    """

    def __init__(self, address: str = "", watchdog: float = 0) -> None:
        """Take the address and the patience of a manager.

        Args:
            address: A path, or ``@`` and an abstract name; empty: there is nobody to tell.
            watchdog: After so many seconds without a sign of life we are killed; 0: never.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._status = ""
        self._stopping = False

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str], pid: int) -> "ServiceManager":
        """Return the manager that the environment names; the variables are removed."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        is_ours = environ.pop("WATCHDOG_PID", str(pid)) == str(pid)
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, int(microseconds) / 1e6 if is_ours and _is_number(microseconds) else 0)

    def ready(self) -> None:
        """Tell that we serve, at the start and after each reload."""
        if not self._stopping:
            self._tell("READY=1", patience=_PATIENCE)

    def reloading(self) -> None:
        """Tell that the settings are being read; ``ready`` tells that this is over."""
        if not self._stopping:
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", patience=_PATIENCE)

    def stopping(self, seconds: float) -> None:
        """Tell that we stop, and ask for the time that it takes at most; the last state."""
        self._stopping = True
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", patience=_PATIENCE)

    async def keep_informed(self, status: Callable[[], str]) -> None:
        """Give signs of life, and tell the status when it changes; never returns.

        A sign of life comes from a task of the loop that serves, so it proves that this is
        not stuck. Cancelling is safe.

        Args:
            status: Says in a line how we are.
        """
        if not self._address:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_status, status)
            if self._watchdog:
                nursery.start_soon(self._give_signs_of_life)

    async def _keep_status(self, status: Callable[[], str]) -> None:
        while True:
            now = status()
            if now != self._status and self._tell(f"STATUS={now}"):
                self._status = now
            await trio.sleep(_STATUS_PAUSE)

    async def _give_signs_of_life(self) -> None:
        while True:
            self._tell("WATCHDOG=1")
            await trio.sleep(self._watchdog / 2)

    def _tell(self, *lines: str, patience: float = 0) -> bool:
        """Send one message; return whether it was taken."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patience)
                sender.sendto("\n".join(lines).encode(), os.fsencode(self._address))
        except OSError:
            return False
        return True


def passed_sockets(environ: MutableMapping[str, str], pid: int) -> list[socket.socket]:
    """Return the listening sockets that were handed over; the variables are removed.

    Raises:
        ListenError: What was handed over cannot be listened on.
    """
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    if environ.pop("LISTEN_PID", "") != str(pid):
        return []
    if not _is_number(count) or len(count) > _MOST_DIGITS:
        raise ListenError("LISTEN_FDS: is no number of sockets")
    return list(_listening(range(_FIRST, _FIRST + int(count)), names))


def _listening(descriptors: range, names: list[str]) -> Iterator[socket.socket]:
    for index, descriptor in enumerate(descriptors):
        name = f" ({names[index]})" if index < len(names) and names[index] else ""
        where = f"LISTEN_FDS: descriptor {descriptor}{name}"
        try:
            os.set_inheritable(descriptor, False)
            passed = socket.socket(fileno=descriptor)
        except OSError as error:
            raise ListenError(f"{where} is no socket: {error.strerror}") from error
        if passed.type != socket.SOCK_STREAM or passed.family not in _FAMILIES:
            raise ListenError(f"{where} is no TCP or Unix stream socket")
        if not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"{where} does not listen; a socket unit needs Accept=no")
        yield passed


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
