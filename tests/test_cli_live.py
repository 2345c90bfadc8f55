"""``rt-proxy check --live``: which channels work, how fast, and why not the others."""

import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from commands import PATIENCE, Command

from rt_proxy import Settings
from rt_proxy.cli.check import check
from rt_proxy.cli.live import Progress
from rt_proxy.livecheck import LiveResult, Times, probes
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import Fault

SIMULATOR = '[[channels]]\nname = "good"\nprovider = "simulator"\nmodels = { "a" = "far-a" }\n'
NUMBER = re.compile(r"\d+ ms")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def channel(name: str, port: int, *lines: str) -> str:
    """Return the lines of a channel of a server on this machine."""
    own = ('auth = "none"',) if not any("api_key" in line for line in lines) else ()
    head = f'[[channels]]\nname = "{name}"\nprovider = "compatible"\nmodels = ["a"]\n'
    return head + "\n".join((f'base_url = "ws://127.0.0.1:{port}/v1"', *own, *lines)) + "\n"


def run(config: str, *arguments: str) -> Result:
    """Run ``rt-proxy check --live`` with a config file."""
    Path("config.toml").write_text(config)
    result = CliRunner().invoke(check, ["--live", *arguments])
    assert "sk-hush" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def described(config: str, *arguments: str) -> list[dict[str, Any]]:
    """Run it with ``--json``, and return what it printed."""
    value = json.loads(run(config, "--json", *arguments).stdout)
    assert isinstance(value, list)
    return value


@contextmanager
def serving(fault: Fault, dialect: Dialect = Dialect.GA) -> Iterator[int]:
    """Serve a simulated provider in a thread of its own, and give the port."""
    started = threading.Event()
    found: list[Any] = []

    async def serve() -> None:
        handler = partial(serve_simulated, fault=fault, dialect=dialect)
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
            found[:] = (
                listener.socket.getsockname()[1], trio.lowlevel.current_trio_token(), nursery
            )  # fmt: skip
            started.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert started.wait(PATIENCE)
    port, token, nursery = found
    try:
        yield port
    finally:
        token.run_sync_soon(nursery.cancel_scope.cancel)
        thread.join(PATIENCE)


@pytest.fixture
def silent() -> Iterator[int]:
    """Give the port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_good() -> None:
    """A table on stdout, a line for each result on stderr, and status 0."""
    result = run(SIMULATOR)
    head, line = result.stdout.splitlines()

    assert head.split("  ")[0] == "STATE"
    assert re.fullmatch(r"ok +good +\d+ ms +\d+ ms +\d+ ms +\d+ ms +far-a +ga", line)
    assert re.fullmatch(r"good: ok, \d+ ms to session\.created\n", result.stderr)
    assert result.exit_code == 0


def test_lines_up(silent: int) -> None:
    """Every column begins, or ends, where its header does."""
    config = "[timeouts]\ndial = 0.2\n" + channel("a-channel-with-a-long-name", silent)
    head, *lines = run(config + SIMULATOR).stdout.splitlines()

    for line in lines:
        for name in ("CHANNEL", "MODEL THERE", "DIALECT"):
            assert line[head.index(name) - 1] == " "
            assert line[head.index(name)] != " "
        end = head.index("TOTAL") + len("TOTAL")
        assert line[:end].endswith(" ms")


def test_failures(silent: int) -> None:
    """Each failure is told in the words of the gate, and the status is 1."""
    config = "[timeouts]\ndial = 1\nfirst_event = 1\n" + SIMULATOR
    config += channel("hangs", silent) + channel("closed", 1)
    config += SIMULATOR.replace("good", "late") + 'fault = "delay=9"\n'
    config += SIMULATOR.replace("good", "full") + 'fault = "refuse=429"\n'
    result = run(config)
    remarks = {line.split()[1]: line.rpartition("  ")[2] for line in result.stdout.splitlines()[2:]}

    assert remarks == {
        "hangs": "no connection within 1 s",
        "closed": "connection refused",
        "late": "no first event within 1 s",
        "full": "HTTP 429",
    }
    assert "closed: failed, connection refused\n" in result.stderr
    assert len(result.stderr.splitlines()) == 5, "nothing else is logged"
    assert result.exit_code == 1


def test_json() -> None:
    """An array in the order of the config, with times in milliseconds and what was shown."""
    good, bad = described(SIMULATOR + channel("closed", 1))
    times = {name: good.pop(name) for name in list(good) if name.endswith("_ms")}

    assert good == {
        "channel": "good",
        "provider": "simulator",
        "key": 1,
        "keys": 1,
        "ok": True,
        "failure": None,
        "intent": "realtime",
        "model": "a",
        "upstream_model": "far-a",
        "shown_model": "far-a",
        "dialect": "ga",
        "shown_dialect": "ga",
        "first_event": "session.created",
    }
    assert list(times) == ["connect_ms", "upgrade_ms", "first_event_ms", "total_ms"]
    assert all(0 <= time < 60_000 for time in times.values())
    assert (bad["ok"], bad["failure"]) == (False, "connection refused")
    assert (bad["connect_ms"], bad["shown_dialect"], bad["first_event"]) == (None, None, None)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_no_secrets(json_too: list[str]) -> None:
    """Several keys are told by their numbers; no key, header or query is in any output."""
    with serving(Fault(refuse=401)) as port:
        config = channel(
            "c", port, 'api_keys = ["sk-hush-1", "sk-hush-2"]', 'headers = { "X-A" = "sk-hush" }'
        ).replace("/v1", "/v1?key=sk-hush")
        result = run(config, *json_too)

    assert result.exit_code == 1
    assert "c (key 1 of 2): failed, HTTP 401\n" in result.stderr
    assert "c (key 2 of 2): failed, HTTP 401\n" in result.stderr
    if json_too:
        rows = json.loads(result.stdout)
        assert [(row["key"], row["keys"]) for row in rows] == [(1, 2), (2, 2)]


def test_wrong_dialect() -> None:
    """A session of the other dialect is opened; what to set is told beside it."""
    with serving(Fault(), Dialect.BETA) as port:
        config = channel("c", port)
        result = run(config)
        [row] = described(config)

    assert 'it speaks the BETA dialect: set dialect = "beta"' in result.stdout
    assert (row["dialect"], row["shown_dialect"], row["ok"]) == ("ga", "beta", True)
    assert result.exit_code == 0


def test_model() -> None:
    """A channel for any model needs one, from the option or the config."""
    config = SIMULATOR.replace('{ "a" = "far-a" }', '["*"]')
    failed = run(config)

    assert failed.exit_code == 1
    assert "cannot be tried without a model: give --model NAME" in failed.stdout
    assert [row["upstream_model"] for row in described(config, "--model", "x")] == ["x"]
    assert described(f'default_model = "y"\n{config}')[0]["model"] == "y"


def test_a_model_that_nobody_serves() -> None:
    """A model that no channel serves is no question to any of them."""
    result = run(SIMULATOR, "--model", "nosuch")

    assert result.stderr.startswith("rt-proxy: no channel serves the model 'nosuch'")
    assert (result.exit_code, result.stdout) == (1, "")


def test_transcription() -> None:
    """Transcription sessions are tried where they may go."""
    other = SIMULATOR.replace("good", "other") + "transcription = false\n"
    result = run(SIMULATOR + other, "--transcription")

    assert "a transcription session" in result.stdout
    assert "other" not in result.output
    assert result.exit_code == 0


def test_nobody_transcribes() -> None:
    """Where no channel takes transcription sessions there is nothing to try."""
    result = run(SIMULATOR + "transcription = false\n", "--transcription")

    assert result.stderr.startswith("rt-proxy: no channel takes transcription sessions")
    assert (result.exit_code, result.stdout) == (1, "")


def test_no_first_event() -> None:
    """A channel that is not waited for is told as that."""
    result = run(SIMULATOR + "first_event = false\n")

    assert "no first event is waited for" in result.stdout
    assert re.fullmatch(r"good: ok, \d+ ms to the upgrade\n", result.stderr)


def test_a_wrong_config() -> None:
    """Nothing is dialled with a config that is wrong."""
    result = run(SIMULATOR + "weight = 0\n")

    assert result.stderr.startswith("config.toml: channels[0].weight: ")
    assert result.exit_code == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupted(tmp_path: Path, silent: int, as_json: bool) -> None:
    """Ctrl-C ends it cleanly: what is there is printed, and what is not is named."""
    (tmp_path / "config.toml").write_text(SIMULATOR + channel("hangs", silent))
    with Command(tmp_path, "check", "--live", *(["--json"] if as_json else [])) as command:
        command.stderr.wait_for("good: ok")
        command.signal(signal.SIGINT)
        status = command.wait()

    assert status == 130
    assert command.stderr.text.endswith("rt-proxy: stopped by Ctrl-C; not finished: hangs\n")
    if as_json:
        assert [row["channel"] for row in json.loads(command.stdout.text)] == ["good"]
    else:
        assert len(command.stdout.text.splitlines()) == 2


def test_on_a_terminal(tmp_path: Path, silent: int) -> None:
    """On a terminal one line says how far it is, is taken away, and the table has colours."""
    config = "[timeouts]\ndial = 0.5\n" + SIMULATOR + channel("hangs", silent)
    (tmp_path / "config.toml").write_text(config)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "rt_proxy", "check", "--live"],
        cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        try:
            while data := os.read(ours, 65_536):
                said += data
        except OSError:  # the other side is closed
            pass
        os.close(ours)
        assert process.wait(PATIENCE) == 1
    progress, _, table = said.decode().rpartition("\x1b[K")

    assert re.search(r"\r1 of 2 done, 0\.\d s, waiting for hangs\x1b\[K", progress)
    assert progress.endswith("\r"), "the line is taken away"
    assert "\x1b[32mok " in table
    assert "\x1b[31mfailed " in table


class TestProgress:
    """The words on stderr."""

    def test_narrow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line never takes more than a terminal has, so that it can be written over."""
        monkeypatch.setenv("COLUMNS", "40")
        channels = [ChannelSettings(f"通道{index}", "simulator", ["a"]) for index in range(30)]
        stream = io.StringIO()
        progress = Progress(probes(Settings(tuple(channels))), stream, on_terminal=True)

        async def tick() -> None:
            with trio.move_on_after(0.05):
                await progress.tick()
            progress.end()

        trio.run(tick)
        first, last, _ = stream.getvalue().split("\x1b[K")

        assert first.startswith("\r0 of 30 done, 0.0 s, waiting for ")
        assert first.endswith("...")
        assert last == "\r"

    def test_no_terminal(self) -> None:
        """Where nothing can be written over, each result has its line."""
        stream = io.StringIO()
        [probe] = probes(Settings((ChannelSettings("c", "simulator", ["a"]),)))
        progress = Progress([probe], stream, on_terminal=False)
        progress.note(LiveResult(probe, Times(total=0.0123), "HTTP 500"))
        trio.run(progress.tick)
        progress.end()

        assert stream.getvalue() == "c: failed, HTTP 500\n"
        assert progress.waiting == []
