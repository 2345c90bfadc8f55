"""Runs the real command in a process of its own, as an operator would."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

#: How long any one thing may take on a slow and busy machine, in seconds.
PATIENCE = 60

#: The command as it is installed for the tests.
PACKAGE = (sys.executable, "-m", "rt_proxy")

#: A config that needs no key and no network.
SIMULATOR = """\
[listen]
port = 0

[[channels]]
name = "simulator"
provider = "simulator"
models = ["*"]
"""


class Output:
    """What a process writes to one pipe, gathered line by line as it comes."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What came so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until a pattern is found in what came so far, and return the first match."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._find(pattern), PATIENCE)
            match = self._find(pattern)
        assert match, f"{pattern!r} did not come, but:\n{self.text}"
        return match

    def close(self) -> None:
        """Read to the end, which the end of the process brings, and close the pipe."""
        self._reader.join(PATIENCE)
        self._pipe.close()

    def _find(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, "".join(self._lines))

    def _read(self) -> None:
        for line in self._pipe:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Command:
    """``rt-proxy`` at work in a folder; leaving the block kills it."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: Sequence[str] = PACKAGE,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*program, *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Output(self.process.stdout)
        self.stderr = Output(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end, with all output read, and return the exit status."""
        status = self.process.wait(PATIENCE)
        self.stdout.close()
        self.stderr.close()
        return status


class Served(Command):
    """``rt-proxy serve`` with a config of its own, listening and with a first token.

    Attributes:
        address: Where it listens, such as ``http://127.0.0.1:40000``.
        token: The secret of the token that it made; empty where one was there already.
    """

    def __init__(
        self,
        folder: Path,
        config: str = SIMULATOR,
        *,
        program: Sequence[str] = PACKAGE,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(config)
        super().__init__(folder, "serve", program=program, env=env)
        try:
            listening = self.stderr.wait_for(r"listening.*?(https?://[^\s\",]+)")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.address = listening[1]
        made = re.search(r"RT_PROXY_TOKEN=(\S+)", self.stderr.text)
        self.token = made[1] if made else ""

    @property
    def url(self) -> str:
        """The base URL for clients of the API."""
        return f"{self.address}/v1"

    @property
    def websocket_url(self) -> str:
        """The address of a session with a model."""
        return f"ws{self.address.removeprefix('http')}/v1/realtime?model=gpt-realtime-2.1"

    def stop(self) -> int:
        """Ask it to stop, and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``rt-proxy`` to its end."""
    return subprocess.run(
        [*PACKAGE, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
