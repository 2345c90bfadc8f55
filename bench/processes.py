"""A process of the bench: started on its core, read from outside, ended in any case."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

#: How long a process may take to end when asked, in seconds.
STOP_SECONDS = 10.0


class ProcessError(Exception):
    """A process of the bench did not start, or ended on its own."""


@attrs.frozen
class Memory:
    """Memory of a process in bytes: resident, its share of it, and what only it holds."""

    rss: int
    pss: int
    uss: int


class Child:
    """A running process of the bench."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._popen = popen
        self._proc = Path("/proc", str(popen.pid))
        self._log = log

    def cpu(self) -> float:
        """CPU time used so far, user and system, in seconds."""
        stat = (self._proc / "stat").read_text()
        after_name = stat.rpartition(")")[2].split()  # the name may hold anything, spaces too
        user, system = after_name[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> Memory:
        """Memory used now."""
        _, *lines = (self._proc / "smaps_rollup").read_text().splitlines()
        sizes = {name: int(kib) * 1024 for name, kib, _ in map(str.split, lines)}
        own = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
        return Memory(rss=sizes["Rss:"], pss=sizes["Pss:"], uss=own)

    def check(self, grace: float = 0.0) -> None:
        """Raise ProcessError if it has ended, or does so within `grace` seconds."""
        with suppress(subprocess.TimeoutExpired):
            status = self._popen.wait(grace)
            raise ProcessError(f"{self.name} ended with status {status}\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-15:])

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end when asked, and was killed", file=sys.stderr)
        finally:
            self._popen.kill()
            self._popen.wait()


@contextmanager
def run(name: str, command: Sequence[str], *, core: int, folder: Path) -> Iterator[Child]:
    """Run a command on a core, trusting the certificates of `folder`, which gets its log."""
    descriptor, log = tempfile.mkstemp(dir=folder, prefix=f"{name}-", suffix=".log")
    with os.fdopen(descriptor, "wb") as output:
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "SSL_CERT_FILE": str(folder / "ca.pem")},
            start_new_session=True,  # Ctrl-C is for the bench alone, which ends them in order
        )
    child = Child(name, popen, Path(log))
    try:
        os.sched_setaffinity(popen.pid, {core})
        yield child
    finally:
        child.stop()


def free_port() -> int:
    """A TCP port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
