"""What a service manager is told and hands over, on real sockets and by the real command."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import pytest
import trio
from commands import PACKAGE, PATIENCE, SIMULATOR, Command, Output, run
from conftest import Serve
from trio.testing import MockClock
from websockets.sync.client import connect, unix_connect

from rt_proxy.cli.systemd import ServiceManager, passed_sockets
from rt_proxy.errors import ListenError

EXAMPLES = Path(__file__).parent.parent / "examples"
PID = 4711


class Inbox:
    """Where a service manager gets its messages."""

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._socket.settimeout(PATIENCE)
        self._waiting: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def receive(self) -> list[str]:
        """Wait for a message; return its lines."""
        return self._socket.recv(4096).decode().splitlines()

    def wait_for(self, line: str) -> list[str]:
        """Wait for a message that begins with a line, and take it out."""
        deadline = time.monotonic() + PATIENCE  # signs of life come all the while
        while not (found := [message for message in self._waiting if message[0] == line]):
            assert time.monotonic() < deadline, f"{line} did not come"
            self._waiting.append(self.receive())
        self._waiting.remove(found[0])
        return found[0]

    def pending(self) -> list[list[str]]:
        """Return the messages that came so far."""
        messages = []
        self._socket.settimeout(0)
        try:
            while True:
                messages.append(self.receive())
        except BlockingIOError:
            return messages
        finally:
            self._socket.settimeout(PATIENCE)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    """A manager's socket, of which ``notify`` is the name."""
    with Inbox(str(tmp_path / "notify")) as made:
        yield made


@pytest.fixture
def address(tmp_path: Path) -> str:
    """The name of the manager's socket."""
    return str(tmp_path / "notify")


# What the environment says


def manager(**environ: str) -> tuple[ServiceManager, dict[str, str]]:
    """Return the manager of an environment, and what is left of that."""
    left = dict(environ)
    return ServiceManager.from_environment(left, PID), left


def test_variables_are_taken_out(address: str) -> None:
    """What is meant for us is not passed on to the programs that we start."""
    _, left = manager(NOTIFY_SOCKET=address, WATCHDOG_USEC="1", WATCHDOG_PID="1", PATH="/bin")

    assert left == {"PATH": "/bin"}


def test_abstract_address() -> None:
    """A name that begins with @ is an abstract one."""
    name = f"rt-proxy-test-{os.getpid()}"
    with Inbox(f"\0{name}") as inbox:
        manager(NOTIFY_SOCKET=f"@{name}")[0].ready()

        assert inbox.receive() == ["READY=1"]


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "vsock:2:1", "/" + "a" * 200, "@"])
async def test_nobody_listens(name: str, autojump_clock: MockClock) -> None:
    """Without a manager, or with one that cannot be reached, nothing happens."""
    silent, _ = manager(NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000")
    silent.ready()
    silent.reloading()
    silent.stopping(20)
    with trio.move_on_after(10):
        await silent.keep_informed(lambda: "well")


async def test_inbox_that_is_full(inbox: Inbox, address: str, autojump_clock: MockClock) -> None:
    """A manager that does not read holds nobody up, and later gets the status all the same."""
    busy, _ = manager(NOTIFY_SOCKET=address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"NOISE=1", address)
    with trio.move_on_after(5):
        await busy.keep_informed(lambda: "well")
    assert ["STATUS=well"] not in inbox.pending()
    with trio.move_on_after(5):
        await busy.keep_informed(lambda: "well")

    assert inbox.pending() == [["STATUS=well"]]


# What is told


def test_states(inbox: Inbox, address: str) -> None:
    """Ready, reloading with the time, stopping with the time that it takes; then no more."""
    ours, _ = manager(NOTIFY_SOCKET=address)
    before = time.monotonic_ns() // 1000
    ours.ready()
    ours.reloading()
    ours.ready()
    ours.stopping(22.5)
    ours.reloading()
    ours.ready()

    ready, reloading, again, stopping = inbox.pending()
    assert (ready, again) == (["READY=1"], ["READY=1"])
    assert reloading[0] == "RELOADING=1"
    microseconds = int(reloading[1].removeprefix("MONOTONIC_USEC="))
    assert before <= microseconds <= time.monotonic_ns() // 1000
    assert stopping == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=22500000"]


async def test_status(inbox: Inbox, address: str, autojump_clock: MockClock) -> None:
    """The status is told when it changes, and only then."""
    ours, _ = manager(NOTIFY_SOCKET=address)
    now = "1 session"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.keep_informed, lambda: now)
        await trio.sleep(10)
        now = "2 sessions"
        await trio.sleep(10)
        nursery.cancel_scope.cancel()

    assert inbox.pending() == [["STATUS=1 session"], ["STATUS=2 sessions"]]


@pytest.mark.parametrize(
    ("microseconds", "pid", "signs"),
    [
        ("30000000", None, 4),
        ("30000000", str(PID), 4),
        ("30000000", "1", 0),
        ("0", None, 0),
        ("soon", None, 0),
    ],
)
async def test_signs_of_life(
    inbox: Inbox,
    address: str,
    autojump_clock: MockClock,
    microseconds: str,
    pid: str | None,
    signs: int,
) -> None:
    """Signs of life come at half the time that is allowed, if they are asked of us."""
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": microseconds}
    if pid is not None:
        environ["WATCHDOG_PID"] = pid
    ours, _ = manager(**environ)
    with trio.move_on_after(59):
        await ours.keep_informed(lambda: "")

    assert inbox.pending().count(["WATCHDOG=1"]) == signs


# What is handed over


@pytest.mark.parametrize("pid", ["", "1"])
def test_sockets_of_others(pid: str) -> None:
    """Sockets that are meant for another process are not taken; the variables go all the same."""
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": pid, "LISTEN_FDNAMES": "x", "PATH": "/bin"}

    assert passed_sockets(environ, PID) == []
    assert environ == {"PATH": "/bin"}


def test_no_sockets() -> None:
    """Nothing that is handed over is nothing."""
    assert passed_sockets({}, PID) == []
    assert passed_sockets({"LISTEN_FDS": "0", "LISTEN_PID": str(PID)}, PID) == []


def test_no_number() -> None:
    """A count that is no number is a mistake that is told."""
    with pytest.raises(ListenError, match="LISTEN_FDS: is no number of sockets"):
        passed_sockets({"LISTEN_FDS": "many", "LISTEN_PID": str(PID)}, PID)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ("open(os.devnull)", "is no socket: Socket operation on non-socket"),
        ("socket.socket(type=socket.SOCK_DGRAM)", "is no TCP or Unix stream socket"),
        ("socket.socket()", "does not listen; a socket unit needs Accept=no"),
    ],
)
def test_wrong_sockets(made: str, problem: str) -> None:
    """What cannot be listened on is a mistake that is told, with the name it was given."""
    code = (
        "import os, socket\n"
        "from rt_proxy.cli.systemd import passed_sockets\n"
        f"made = {made}\n"
        "os.dup2(made.fileno(), 3)\n"
        "passed_sockets({'LISTEN_FDS': '1', 'LISTEN_PID': '7', 'LISTEN_FDNAMES': 'web'}, 7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert f"ListenError: LISTEN_FDS: descriptor 3 (web) {problem}\n" in done.stderr


def test_not_passed_on() -> None:
    """Sockets that were handed over are not inherited by the programs that we start."""
    code = (
        "import os, socket\n"
        "from rt_proxy.cli.systemd import passed_sockets\n"
        "made = socket.create_server(('127.0.0.1', 0))\n"
        "os.dup2(made.fileno(), 3)\n"
        "os.set_inheritable(3, True)\n"
        "[passed] = passed_sockets({'LISTEN_FDS': '1', 'LISTEN_PID': '7'}, 7)\n"
        "assert passed.fileno() == 3 and not os.get_inheritable(3)\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=True)


# The real command


class Activated(Command):
    """``rt-proxy serve`` with sockets handed over, as systemd does it."""

    STARTER = (
        "import os, sys\n"
        "count = int(sys.argv[1])\n"
        "for index, passed in enumerate(map(int, sys.argv[2:2 + count])):\n"
        "    os.dup2(passed, 100 + index)\n"
        "for index in range(count):\n"
        "    os.dup2(100 + index, 3 + index)\n"
        "    os.close(100 + index)\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': str(count)}\n"
        "program = [*sys.argv[2 + count:], 'serve']\n"
        "os.execv(program[0], program)\n"
    )

    def __init__(
        self, folder: Path, *sockets: socket.socket, program: Sequence[str] = PACKAGE
    ) -> None:
        self.folder = folder
        descriptors = [passed.fileno() for passed in sockets]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", self.STARTER, str(len(sockets))),
                *map(str, descriptors),
                *program,
            ],
            cwd=folder,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Output(self.process.stdout)
        self.stderr = Output(self.process.stderr)


def test_life_of_a_service(
    serve: Serve, inbox: Inbox, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command tells of each state, how many are here, and that it lives."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    served = serve()
    inbox.wait_for("READY=1")
    inbox.wait_for("WATCHDOG=1")
    inbox.wait_for("STATUS=0 sessions")
    with connect(
        served.websocket_url,
        additional_headers={"Authorization": f"Bearer {served.token}"},
        open_timeout=PATIENCE,
    ):
        inbox.wait_for("STATUS=1 session")
    served.signal(signal.SIGHUP)
    assert inbox.wait_for("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
    inbox.wait_for("READY=1")
    inbox.wait_for("WATCHDOG=1")
    served.signal(signal.SIGTERM)
    # The drain of 20 s, the goodbyes of 2 s, the last usage in 3 s, and 10 s to write it.
    assert inbox.wait_for("STOPPING=1") == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000"]
    assert served.wait() == 0


@pytest.mark.log_says("not reloaded")
def test_status_of_a_bad_file(
    serve: Serve, inbox: Inbox, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload of a bad file is over, too; the status says that the files are wrong."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    served = serve()
    inbox.wait_for("READY=1")
    served.config.write_text("nonsense")
    served.signal(signal.SIGHUP)
    inbox.wait_for("RELOADING=1")
    inbox.wait_for("READY=1")
    inbox.wait_for("STATUS=0 sessions; the config files are wrong, see the log")


def test_activation(tmp_path: Path) -> None:
    """Sockets that are handed over are listened on in place of host and port, and outlive us."""
    (tmp_path / "config.toml").write_text(SIMULATOR.replace("port = 0", "port = 1"))
    token = run(tmp_path, "token", "add", "alice").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    path = str(tmp_path / "rt.sock")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        port = tcp.getsockname()[1]
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=x"
        for _ in range(2):  # who comes in between waits for the next one
            with Activated(tmp_path, tcp, unix) as served:
                told = served.stderr.wait_for(r"listening.*")[0]
                with connect(url, additional_headers=headers, open_timeout=PATIENCE) as one:
                    assert "session.created" in str(one.recv(PATIENCE))
                with unix_connect(
                    path, url, additional_headers=headers, open_timeout=PATIENCE
                ) as other:
                    assert "session.created" in str(other.recv(PATIENCE))
                served.signal(signal.SIGTERM)
                assert served.wait() == 0
                assert "ERROR" not in served.stderr.text
            assert f"http://127.0.0.1:{port}" in told
            assert f"unix:{path}" in told


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_first_token_with_activation(tmp_path: Path, kind: str) -> None:
    """The line to paste has the URL of the socket that was handed over, where it has one."""
    (tmp_path / "config.toml").write_text(SIMULATOR)
    with ExitStack() as stack:
        if kind == "tcp":
            listening = stack.enter_context(socket.create_server(("0.0.0.0", 0)))
            end = f" --url http://127.0.0.1:{listening.getsockname()[1]}/v1"
        else:
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(tmp_path / "rt.sock"))
            listening.listen()
            end = ""
        served = stack.enter_context(Activated(tmp_path, listening))
        line = served.stderr.wait_for(r"RT_PROXY_TOKEN=\S+ rt-proxy say \"Hello\"(.*)\n")

    assert line[1] == end


def test_wrong_activation(tmp_path: Path) -> None:
    """What cannot be listened on is one line, and the exit status of a mistake."""
    (tmp_path / "config.toml").write_text(SIMULATOR)
    with socket.socket() as idle, Activated(tmp_path, idle) as served:
        assert served.wait() == 1

    assert served.stderr.text == (
        "rt-proxy: LISTEN_FDS: descriptor 3 does not listen; a socket unit needs Accept=no\n"
    )


# The units


def directives(name: str) -> dict[str, str]:
    """Return what a unit sets."""
    text = (EXAMPLES / name).read_text()
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))


def test_unit() -> None:
    """The unit has what the command can do, and does not restart what no restart mends."""
    unit = directives("rt-proxy.service")

    assert unit["Type"] == "notify"
    assert unit["ExecStart"].endswith("rt-proxy serve --config /etc/rt-proxy/config.toml")
    assert unit["RestartPreventExitStatus"].split() == ["1", "2", "243"]
    assert unit["ExecPaths"] == f"/var/cache/{unit['CacheDirectory']}"
    assert int(unit["TimeoutStopSec"]) > 20 + 2 + 5
    # The limits of descriptors are read and raised at the start.
    assert "@resources" not in unit["SystemCallFilter"]
    assert {"DynamicUser", "StateDirectory", "NoNewPrivileges", "WatchdogSec"} <= set(unit)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_units_are_understood(tmp_path: Path) -> None:
    """No fault is found in the units by systemd itself."""
    service = (EXAMPLES / "rt-proxy.service").read_text()
    (tmp_path / "rt-proxy.service").write_text(
        service.replace("/usr/local/bin/rt-proxy", sys.executable)
    )
    shutil.copy(EXAMPLES / "rt-proxy.socket", tmp_path)
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            str(tmp_path / "rt-proxy.service"),
            str(tmp_path / "rt-proxy.socket"),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    ours = [line for line in done.stderr.splitlines() if "rt-proxy" in line]
    assert ours == []
