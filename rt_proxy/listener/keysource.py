"""Where a key comes from that changes by itself: the command is run, or the file is read.

What comes out is a key, or an error in plain words that repeats nothing of it.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from rt_proxy.settings import KeySource, Secret

_KEY_TEXT = re.compile(rb"[\x21-\x7e]+")
#: Tokens have some kilobytes at most.
_MOST_BYTES = 16_384
#: How long what a command printed is read for after its end, in seconds.
_GRACE = 0.2
#: How long fetching a key may take, in seconds.
_FETCH_SECONDS = 15.0


class KeyUnavailableError(Exception):
    """A channel has no key to use now; the text says why, and holds no secret."""


async def fetch_key(source: KeySource, *, seconds: float = _FETCH_SECONDS) -> Secret:
    """Run the command, or read the file, that a key comes from.

    Cancelling kills the command, with what it started.

    Args:
        source: The command or the file.
        seconds: How long it may take.

    Raises:
        KeyUnavailableError: There is no key to be had.
    """
    with trio.move_on_after(seconds):
        if source.command is not None:
            return _as_key("its command", await _printed_by(source.command))
        if source.file is not None:
            return _as_key("its file", await _content_of(source.file))
    what = "command" if source.command is not None else "file"
    raise KeyUnavailableError(f"its {what} did not give a key within {seconds:g} s")


async def _printed_by(command: Sequence[str]) -> bytes:
    """Return what a command prints, up to a little more than a key can have."""
    printed = bytearray()
    start = partial(
        trio.run_process,
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        deliver_cancel=_kill,
        start_new_session=True,
    )
    process: Any = None
    problem = ""
    try:
        async with trio.open_nursery() as nursery:
            try:
                process = await nursery.start(start)
            except OSError as error:
                problem = f"its command cannot be started: {_words(error)}"
            else:
                reading = trio.CancelScope()
                nursery.start_soon(_stop_after, process, reading)
                with reading:
                    await _read_all(process.stdout, printed)
                if len(printed) > _MOST_BYTES:
                    nursery.cancel_scope.cancel()
    finally:
        if process is not None:
            _kill_group(process)
    if problem:
        raise KeyUnavailableError(problem)
    if process.returncode and len(printed) <= _MOST_BYTES:
        raise KeyUnavailableError(f"its command {_ended(process.returncode)}")
    return bytes(printed)


async def _read_all(stream: trio.abc.ReceiveStream, into: bytearray) -> None:
    async with stream:
        while len(into) <= _MOST_BYTES:
            more = await stream.receive_some(_MOST_BYTES + 1 - len(into))
            if not more:
                return
            into += more


async def _stop_after(process: trio.Process, reading: trio.CancelScope) -> None:
    """Stop reading soon after a command has ended; what it left behind may hold its output open."""
    await process.wait()
    await trio.sleep(_GRACE)
    reading.cancel("the command has ended")


async def _kill(process: trio.Process) -> None:
    _kill_group(process)


def _kill_group(process: trio.Process) -> None:
    # The whole group, which start_new_session made: a script would leave its children behind.
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _ended(status: int) -> str:
    return f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"


async def _content_of(path: Path) -> bytes:
    try:
        # Abandoned: a pipe or a dead network drive in the place of the file may never answer.
        return await trio.to_thread.run_sync(_read, path, abandon_on_cancel=True)
    except OSError as error:
        raise KeyUnavailableError(f"its file cannot be read: {_words(error)}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _words(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()


def _as_key(what: str, content: bytes) -> Secret:
    if len(content) > _MOST_BYTES:
        raise KeyUnavailableError(f"{what} gives more than {_MOST_BYTES} bytes")
    key = content.strip()
    if not key:
        raise KeyUnavailableError(f"{what} gives no key, it is empty")
    if not _KEY_TEXT.fullmatch(key):
        raise KeyUnavailableError(f"{what} gives something else than a key alone")
    return Secret(key.decode("ascii"))
