"""``rt-proxy simulate`` as a process: its URL, its faults, its end."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import PATIENCE, Command, run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

Simulate = Callable[..., str]


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Simulate]:
    """Give ``simulate(*arguments)``, which starts the command and returns its URL."""
    started: list[Command] = []
    with ExitStack() as running:

        def start(*arguments: str) -> str:
            command = Command(tmp_path, "simulate", "--port", "0", *arguments)
            started.append(running.enter_context(command))
            return command.stdout.wait_for(r"^ws://127\.0\.0\.1:[1-9]\d*/v1\n")[0].strip()

        yield start
    for command in started:
        assert command.stderr.text == ""


@contextmanager
def session(url: str, **headers: str) -> Iterator[ClientConnection]:
    """Connect, and close in the end."""
    address = f"{url}/realtime?model=gpt-realtime-2.1"
    with connect(address, additional_headers=headers, open_timeout=PATIENCE) as connection:
        yield connection


def receive(connection: ClientConnection) -> dict[str, Any]:
    """Receive one event."""
    event: dict[str, Any] = json.loads(connection.recv(timeout=PATIENCE))
    return event


def close_code(connection: ClientConnection) -> int | None:
    """Hold that the connection ends now, and return its close code; None: it was dropped."""
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=PATIENCE)
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def greet(connection: ClientConnection) -> list[dict[str, Any]]:
    """Ask for a written answer, and return the events up to its end."""
    assert receive(connection)["type"] == "session.created"
    content = [{"type": "input_text", "text": "Hello"}]
    item = {"type": "message", "role": "user", "content": content}
    update = {"type": "realtime", "output_modalities": ["text"]}
    for event in (
        {"type": "session.update", "session": update},
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create"},
    ):
        connection.send(json.dumps(event))
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != "response.done":
        events.append(receive(connection))
    return events


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer any"}, {"api-key": "any"}])
def test_session(simulate: Simulate, headers: dict[str, str]) -> None:
    """Its URL is on stdout, and whoever connects there holds a turn, with any credential."""
    with session(simulate(), **headers) as connection:
        response = greet(connection)[-1]["response"]

    assert response["output"][0]["content"][0]["text"] == "You said: Hello"


BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.parametrize("headers", [{}, BETA])
def test_beta(simulate: Simulate, headers: dict[str, str]) -> None:
    """``--dialect beta`` is the old server: its session, its names, its order."""
    with session(simulate("--dialect", "beta"), **headers) as connection:
        opening = [receive(connection) for _ in range(2)]
        assert [event["type"] for event in opening] == ["session.created", "conversation.created"]
        assert opening[0]["session"]["modalities"] == ["text", "audio"]
        connection.send('{"type": "session.update", "session": {"type": "realtime"}}')
        assert receive(connection)["error"]["message"] == "Unknown parameter: 'session.type'."
        content = [{"type": "input_text", "text": "Hello"}]
        item = {"type": "message", "role": "user", "content": content}
        connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        wish = {"modalities": ["text"]}
        connection.send(json.dumps({"type": "response.create", "response": wish}))
        events = [receive(connection)]
        while events[-1]["type"] != "response.done":
            events.append(receive(connection))

    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["conversation.item.created", "response.created", "rate_limits.updated"]
    assert "response.text.delta" in kinds
    response = events[-1]["response"]
    assert response["output"][0]["content"] == [{"type": "text", "text": "You said: Hello"}]
    assert response["temperature"] == 0.8


def test_beta_is_over(simulate: Simulate) -> None:
    """Without it, a client that asks for Beta is told that there is none any more."""
    with session(simulate(), **BETA) as connection:
        assert receive(connection)["error"]["code"] == "beta_api_shape_disabled"
        assert close_code(connection) == 4000


def test_unknown_dialect(tmp_path: Path) -> None:
    """A dialect that it does not speak is a wrong argument."""
    outcome = run(tmp_path, "simulate", "--dialect", "gamma")

    assert outcome.returncode == 2
    assert "--dialect" in outcome.stderr


def test_pace(simulate: Simulate) -> None:
    """A pace makes an answer take its time."""
    with session(simulate("--pace", "1")) as connection:
        started = time.monotonic()
        events = greet(connection)

    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert time.monotonic() - started >= 0.04 * len(deltas)


def test_delay(simulate: Simulate) -> None:
    """``delay=S`` is silence before the first event."""
    started = time.monotonic()
    with session(simulate("--fault", "delay=0.3")) as connection:
        receive(connection)

    assert time.monotonic() - started >= 0.3


def test_stall(simulate: Simulate) -> None:
    """``stall`` is a first event and then no answer to anything, not even to a ping."""
    with session(simulate("--fault", "stall")) as connection:
        assert receive(connection)["type"] == "session.created"
        connection.send('{"type": "response.create"}')
        answered = connection.ping().wait(0.5)
        connection.socket.shutdown(socket.SHUT_RDWR)  # it would not answer our close either

    assert not answered


def test_drop(simulate: Simulate) -> None:
    """``drop=N`` is N events and then a connection that ends without a close frame."""
    with session(simulate("--fault", "drop=1")) as connection:
        assert receive(connection)["type"] == "session.created"
        assert close_code(connection) is None


def test_close(simulate: Simulate) -> None:
    """``close=CODE`` is a first event and then that close."""
    with session(simulate("--fault", "close=1011")) as connection:
        assert receive(connection)["type"] == "session.created"
        assert close_code(connection) == 1011


@pytest.mark.parametrize("status", [302, 503, 599])
def test_refuse(simulate: Simulate, status: int) -> None:
    """``refuse=STATUS`` is that status in place of the upgrade, also one without a name."""
    url = simulate("--fault", f"refuse={status}")
    for _ in range(2):  # it goes on serving
        with pytest.raises(InvalidStatus) as refused, session(url):
            pass
        assert refused.value.response.status_code == status


def test_error(simulate: Simulate) -> None:
    """``error=CODE`` is that error in place of the first event, then its close."""
    with session(simulate("--fault", "error=invalid_api_key")) as connection:
        event = receive(connection)
        assert (event["type"], event["error"]["code"]) == ("error", "invalid_api_key")
        assert close_code(connection) == 3000


def test_garbage(simulate: Simulate) -> None:
    """What is no HTTP is refused, and the next client is served."""
    url = simulate()
    host, port = re.findall(r"//(.+):(\d+)/", url)[0]
    with socket.create_connection((host, int(port)), PATIENCE) as stranger:
        stranger.sendall(b"\x16\x03\x01\x00\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400 ")
    with session(url) as connection:
        assert receive(connection)["type"] == "session.created"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop(tmp_path: Path, number: signal.Signals) -> None:
    """A signal stops it in the midst of a session, with status 0 and without a word."""
    with Command(tmp_path, "simulate", "--port", "0") as command:
        url = command.stdout.wait_for(r"ws://\S+")[0]
        with session(url) as connection:
            receive(connection)
            command.signal(number)
            close_code(connection)
        assert command.wait() == 0
    assert command.stderr.text == ""


def test_port_in_use(tmp_path: Path) -> None:
    """A port that is taken is one line with the address, and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run(tmp_path, "simulate", "--port", str(port))

    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"rt-proxy: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "give another --port\n"
    )


@pytest.mark.parametrize("fault", ["explode", "close=1006", "delay=long", "refuse=200"])
def test_unknown_fault(tmp_path: Path, fault: str) -> None:
    """A fault that it does not have is a wrong argument."""
    outcome = run(tmp_path, "simulate", "--fault", fault)

    assert outcome.returncode == 2
    assert "--fault" in outcome.stderr


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--port", "'abc' is not a valid whole number."),
        ("--pace", "'abc' is not a valid number."),
    ],
)
def test_no_number(tmp_path: Path, option: str, problem: str) -> None:
    """What is no number is refused in words for people."""
    outcome = run(tmp_path, "simulate", option, "abc")

    assert outcome.returncode == 2
    assert problem in outcome.stderr
