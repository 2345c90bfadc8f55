"""Where a key comes from that changes by itself: real commands and real files."""

import os
import sys
from pathlib import Path

import pytest
import trio

from rt_proxy.listener.keysource import KeyUnavailableError, fetch_key
from rt_proxy.settings import KeySource, Secret


def python(code: str) -> KeySource:
    """Return a command that runs a line of Python."""
    return KeySource(command=(sys.executable, "-c", code))


async def failure(source: KeySource, *, seconds: float = 20) -> str:
    """Return why there is no key, and hold that nothing of what was printed is in it."""
    with trio.fail_after(15), pytest.raises(KeyUnavailableError) as caught:
        await fetch_key(source, seconds=seconds)
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    return str(caught.value)


async def test_command() -> None:
    """What a command prints is the key, without the line end; what it says on stderr is not."""
    source = python("import sys; print('hush', file=sys.stderr); print('a.b-c')")

    assert await fetch_key(source) == Secret("a.b-c")


async def test_command_has_no_shell_and_no_input() -> None:
    """Arguments arrive as they are, and there is nothing to read."""
    code = "import sys; print(sys.argv[1] + repr(sys.stdin.read()))"
    source = KeySource(command=(sys.executable, "-c", code, "$HOME;x"))

    assert await fetch_key(source) == Secret("$HOME;x''")


async def test_command_has_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command finds the environment of the proxy, where its own credentials may be."""
    monkeypatch.setenv("WHO_AM_I", "somebody")

    assert await fetch_key(KeySource(command=("printenv", "WHO_AM_I"))) == Secret("somebody")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('hush'); raise SystemExit(3)", "its command ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "its command was ended by signal 9"),
        ("", "its command gives no key, it is empty"),
        ("print()", "its command gives no key, it is empty"),
        ("print('hush hush')", "its command gives something else than a key alone"),
        ("print('hush'); print('hush')", "its command gives something else than a key alone"),
        ("print('hush\\0')", "its command gives something else than a key alone"),
        ("print('h\\u00fcsh')", "its command gives something else than a key alone"),
        ('print(\'{"accessToken": "hush"}\')', "its command gives something else than a key"),
        ("print('hush' * 5000)", "its command gives more than 16384 bytes"),
        ("print('hush' * 10_000_000)", "its command gives more than 16384 bytes"),
    ],
)
async def test_commands_without_a_key(code: str, why: str) -> None:
    """A command that fails, or prints something else than a key, is told in plain words."""
    assert why in await failure(python(code))


async def test_endless_output() -> None:
    """A command that prints without end is stopped at the most that a key can have."""
    assert await failure(KeySource(command=("yes", "hush"))) == (
        "its command gives more than 16384 bytes"
    )


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (None, "its command cannot be started: no such file or directory"),
        (0o600, "its command cannot be started: permission denied"),
        (0o700, "its command cannot be started: exec format error"),
    ],
)
async def test_commands_that_cannot_start(tmp_path: Path, mode: int | None, why: str) -> None:
    """No program, or one that the system does not run, is told in the system's words."""
    path = tmp_path / "program"
    if mode is not None:
        path.write_bytes(b"hush")
        path.chmod(mode)

    assert await failure(KeySource(command=(str(path),))) == why


async def test_a_command_that_hangs(tmp_path: Path) -> None:
    """A command that does not end is killed at the deadline, and so is what it started."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nsleep 1000 &\necho $! > $0.pid\nwait\n")
    script.chmod(0o700)

    why = await failure(KeySource(command=(str(script),)), seconds=1)

    assert why == "its command did not give a key within 1 s"
    await gone(int((tmp_path / "script.pid").read_text()))


async def test_a_command_that_leaves_a_child_behind(tmp_path: Path) -> None:
    """What was printed is the key, and the child that holds the output open is killed."""
    script = f"sleep 600 & echo $! > {tmp_path}/child; echo sk-hush"
    with trio.fail_after(10):
        key = await fetch_key(KeySource(command=("sh", "-c", script)))

    assert key == Secret("sk-hush")
    await gone(int((tmp_path / "child").read_text()))


async def test_cancelling_kills_the_command(tmp_path: Path) -> None:
    """A command does not outlive the session that it was run for."""
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fetch_key, python(code))
            while not (mark.exists() and mark.read_text()):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    await gone(int(mark.read_text()))


async def gone(pid: int) -> None:
    """Wait until a process is no more, or only waits for whoever adopted it to look."""
    with trio.fail_after(5):
        while True:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                return
            if state == "Z":
                return
            await trio.sleep(0.01)


async def test_file(tmp_path: Path) -> None:
    """The content of the file of this moment is the key, without its line end."""
    path = tmp_path / "token"
    path.write_text("first\r\n")
    assert await fetch_key(KeySource(file=path)) == Secret("first")

    (tmp_path / "next").write_text("second")
    (tmp_path / "next").replace(path)
    assert await fetch_key(KeySource(file=path)) == Secret("second")


async def test_files_without_a_key(tmp_path: Path) -> None:
    """A file that is not there, or holds something else than a key, is told in plain words."""
    source = KeySource(file=tmp_path / "token")
    assert await failure(source) == "its file cannot be read: no such file or directory"
    assert await failure(KeySource(file=tmp_path)) == "its file cannot be read: is a directory"
    (tmp_path / "token").write_text("\n")
    assert await failure(source) == "its file gives no key, it is empty"
    (tmp_path / "token").write_text("hush\nhush\n")
    assert await failure(source) == "its file gives something else than a key alone"
    (tmp_path / "token").write_text("hush" * 5000)
    assert await failure(source) == "its file gives more than 16384 bytes"


async def test_a_file_that_never_answers(tmp_path: Path) -> None:
    """A pipe in the place of the file costs the deadline, and no more."""
    os.mkfifo(tmp_path / "pipe")

    why = await failure(KeySource(file=tmp_path / "pipe"), seconds=0.2)

    assert why == "its file did not give a key within 0.2 s"
    with (tmp_path / "pipe").open("w"):  # lets the abandoned thread go
        pass
