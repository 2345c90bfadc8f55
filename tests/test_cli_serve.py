"""``rt-proxy serve`` as a process: the first token, signals, exit statuses, the log."""

import json
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from commands import PATIENCE, SIMULATOR, Command, Served, run
from conftest import Serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

DRAIN_NOW = "[timeouts]\ndrain = 0.2\n\n"


@contextmanager
def session(
    served: Served, token: str = "", ssl: ssl.SSLContext | None = None
) -> Iterator[ClientConnection]:
    """Hold a session that has begun."""
    headers = {"Authorization": f"Bearer {token or served.token}"}
    with connect(
        served.websocket_url,
        additional_headers=headers,
        open_timeout=PATIENCE,
        ssl=ssl,
        max_queue=None,  # what a test does not read must not keep a CLOSE from being answered
    ) as connection:
        assert receive(connection)["type"] == "session.created"
        yield connection


def receive(connection: ClientConnection) -> dict[str, Any]:
    """Receive one event."""
    event: dict[str, Any] = json.loads(connection.recv(timeout=PATIENCE))
    return event


def farewell(connection: ClientConnection) -> tuple[dict[str, Any], int]:
    """Receive to the end; return the last event and the close code."""
    event: dict[str, Any] = {}
    with suppress(ConnectionClosed):
        while True:
            event = receive(connection)
    assert connection.close_code is not None
    return event, connection.close_code


def ask(connection: ClientConnection, words: int) -> None:
    """Ask for a text of so many words, and wait until it has begun."""
    content = [{"type": "input_text", "text": "word " * words}]
    for event in (
        {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": content},
        },
        {"type": "response.create"},
    ):
        connection.send(json.dumps(event))
    while receive(connection)["type"] != "response.output_text.delta":
        pass


def get(served: Served, path: str, token: str = "") -> tuple[int, Any]:
    """Get a page; return its status and JSON."""
    request = urllib.request.Request(
        served.address + path, headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def models(served: Served) -> list[str]:
    """Return the models on offer."""
    _, page = get(served, "/v1/models", served.token)
    return [model["id"] for model in page["data"]]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[str]:
    """The config of a channel whose responses take their time."""
    folder = tmp_path / "simulator"
    folder.mkdir()
    with Command(folder, "simulate", "--port", "0", "--pace", "10") as simulator:
        url = simulator.stdout.wait_for(r"ws://\S+")[0]
        channel = f'provider = "compatible"\nbase_url = "{url}"\nauth = "none"'
        yield SIMULATOR.replace('provider = "simulator"', channel)


# The first token


def test_first_token(serve: Serve) -> None:
    """Where there is no token one is made, shown once, on stderr, and it works at once."""
    served = serve()
    with session(served):
        pass
    assert served.stop() == 0

    line = f'RT_PROXY_TOKEN={served.token} rt-proxy say "Hello" --url {served.url}\n'
    assert served.stdout.text == ""
    assert line in served.stderr.text
    assert served.stderr.text.count(served.token) == 1
    tokens = served.folder / "tokens.toml"
    assert served.token not in tokens.read_text()
    assert tokens.stat().st_mode & 0o777 == 0o600


def test_second_start(serve: Serve) -> None:
    """Where there is a token none is made, and the one that is there works."""
    first = serve()
    assert first.stop() == 0

    again = serve()

    assert again.token == ""
    with session(again, first.token):
        pass


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain(serve: Serve, number: signal.Signals) -> None:
    """A signal asks a quiet session to leave, and with it gone the status is 0."""
    served = serve()
    with session(served) as connection:
        served.signal(number)
        event, code = farewell(connection)

    assert (event["error"]["code"], code) == ("drain", 1001)
    assert served.wait() == 0
    assert "ending=drain" in served.stderr.text


def test_drain_lets_a_response_finish(serve: Serve, slow: str) -> None:
    """A session in the midst of a response may have it to the end before it leaves."""
    served = serve(slow)
    kinds = []
    with session(served) as connection:
        ask(connection, words=2)
        served.signal(signal.SIGTERM)
        while (event := receive(connection))["type"] != "error":
            kinds.append(event["type"])
        _, code = farewell(connection)

    assert "response.done" in kinds
    assert (event["error"]["code"], code) == ("drain", 1001)
    assert served.wait() == 0


def test_drain_has_a_deadline(serve: Serve, slow: str) -> None:
    """What has not left in time is told to go, and the status says that it was not clean."""
    served = serve(DRAIN_NOW + slow)
    with session(served) as connection:
        ask(connection, words=70)
        served.signal(signal.SIGTERM)
        event, code = farewell(connection)

    assert (event["error"]["code"], code) == ("drain", 1001)
    assert served.wait() == 3


@pytest.mark.log_says("cutting")
def test_second_signal(serve: Serve, slow: str) -> None:
    """While draining no newcomer is let in; a second signal cuts what is left, with status 3."""
    served = serve(slow)
    with session(served) as connection:
        ask(connection, words=70)
        served.signal(signal.SIGTERM)
        served.stderr.wait_for("draining")
        with pytest.raises(InvalidStatus) as refused, session(served):
            pass
        readiness, _ = get(served, "/readyz")
        health, _ = get(served, "/healthz")
        served.signal(signal.SIGTERM)
        event, code = farewell(connection)

    assert refused.value.response.status_code == 503
    assert "Retry-After" in refused.value.response.headers
    assert (readiness, health) == (503, 200)
    assert (event["error"]["code"], code) == ("cut", 1001)
    assert served.wait() == 3


def test_session_that_ends_in_a_drain(serve: Serve, slow: str) -> None:
    """A client that hangs up in the midst of its response has left by itself: status 0."""
    served = serve(slow)
    with session(served) as connection:
        ask(connection, words=70)
        served.signal(signal.SIGTERM)
        served.stderr.wait_for("draining")

    assert served.wait() == 0


@pytest.mark.log_says("cutting")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_many_signals(serve: Serve, slow: str, number: signal.Signals) -> None:
    """However often it is told to stop, up to its last moment, the status says that it cut."""
    served = serve(slow)
    with session(served) as connection:
        ask(connection, words=70)
        storm(served, number)

    assert served.wait() == 3
    assert "Traceback" not in served.stderr.text


def storm(served: Served, number: signal.Signals) -> None:
    """Send a signal some hundred times a second until the process has ended."""
    for _ in range(1000 * PATIENCE):
        with suppress(subprocess.TimeoutExpired):
            served.process.wait(0.001)
            return
        served.signal(number)
    pytest.fail("it did not end")


def test_many_reloads(serve: Serve) -> None:
    """Reloads without end, before, during and after the drain, disturb nobody."""
    served = serve()
    with session(served) as connection:
        for _ in range(20):
            served.signal(signal.SIGHUP)
        ask(connection, words=1)
        served.signal(signal.SIGTERM)
        storm(served, signal.SIGHUP)

    assert served.wait() == 0
    assert "reloaded" in served.stderr.text


@contextmanager
def opening(serve: Serve) -> Iterator[tuple[Served, socket.socket, list[str]]]:
    """Have a client whose upstream has been dialled and says nothing yet; how it ends is noted."""
    ended: list[str] = []

    def visit() -> None:
        try:
            with session(served):
                ended.append("let in")
        except InvalidStatus as refused:
            ended.append(str(refused.response.status_code))
        except AssertionError:
            ended.append("refused")

    with socket.create_server(("127.0.0.1", 0)) as upstream:
        url = f"ws://127.0.0.1:{upstream.getsockname()[1]}"
        channel = f'provider = "compatible"\nbase_url = "{url}"\nauth = "none"'
        served = serve(SIMULATOR.replace('provider = "simulator"', channel))
        client = threading.Thread(target=visit)
        client.start()
        upstream.settimeout(PATIENCE)
        dialled, _ = upstream.accept()
        with dialled:
            yield served, dialled, ended
        client.join(PATIENCE)


@pytest.mark.log_says("session ended", "channel")
def test_drain_of_an_opening(serve: Serve) -> None:
    """A client whose upstream is being opened is waited for; it fails by itself, status 0."""
    with opening(serve) as (served, dialled, ended):
        served.signal(signal.SIGTERM)
        served.stderr.wait_for("draining")
        dialled.close()
        assert served.wait() == 0

    assert ended == ["refused"]


@pytest.mark.log_says("cutting", "session ended")
def test_cut_of_an_opening(serve: Serve) -> None:
    """A client whose upstream is being opened is told 503 when it is cut, status 3."""
    with opening(serve) as (served, _, ended):
        served.signal(signal.SIGTERM)
        served.stderr.wait_for("draining")
        served.signal(signal.SIGINT)
        assert served.wait() == 3

    assert ended == ["503"]


def test_restart_after_a_kill(serve: Serve) -> None:
    """After kill -9 in the midst of a session the same command starts on the same port."""
    killed = serve()
    port = killed.address.rpartition(":")[2]
    with session(killed) as connection:
        killed.signal(signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=PATIENCE)
    assert killed.wait() == -signal.SIGKILL

    again = serve(SIMULATOR.replace("port = 0", f"port = {port}"))

    assert again.address == killed.address
    with session(again, killed.token):
        pass


# Reloading


def test_reload(serve: Serve) -> None:
    """SIGHUP puts the file in force for newcomers; a session that lives goes on."""
    served = serve(SIMULATOR.replace('"*"', '"gpt-realtime-2.1"'))
    with session(served) as connection:
        served.config.write_text(SIMULATOR.replace('"*"', '"another"'))
        served.signal(signal.SIGHUP)
        served.stderr.wait_for("reloaded")
        ask(connection, words=1)

    assert models(served) == ["another"]
    assert served.stop() == 0


@pytest.mark.log_says("not reloaded")
def test_reload_of_a_bad_file(serve: Serve) -> None:
    """A file with mistakes changes nothing, and the log names each of them in a record."""
    served = serve(SIMULATOR.replace('"*"', '"gpt-realtime-2.1"'))
    served.config.write_text('[[channels]]\nname = "x"\nprovider = "nobody"\n')
    served.signal(signal.SIGHUP)
    served.stderr.wait_for(r"not reloaded.*channels\[0\]\.models.*\n.*not reloaded.*provider.*\n")

    assert models(served) == ["gpt-realtime-2.1"]
    with session(served):
        pass


def test_change_of_the_file(serve: Serve) -> None:
    """A change of the file is taken up without a signal, and the log says what differs."""
    served = serve(SIMULATOR.replace('"*"', '"gpt-realtime-2.1"'))
    with session(served) as connection:
        new = served.config.with_name("new.toml")
        new.write_text(SIMULATOR.replace('"*"', '"another"') + "\n[timeouts]\ndrain = 30\n")
        new.replace(served.config)
        told = served.stderr.wait_for("reloaded.*\n")[0]
        ask(connection, words=1)

    assert "channels[simulator].models.another added" in told
    assert "timeouts.drain: 20 -> 30" in told
    assert models(served) == ["another"]


@pytest.mark.parametrize("how", ["signal", "by itself"])
def test_renewed_certificate(serve: Serve, tmp_path: Path, how: str) -> None:
    """A renewed certificate is shown to newcomers, and a session that lives goes on."""
    old, new = trustme.CA(), trustme.CA()
    issue(old, tmp_path)
    tls = 'tls = { cert = "cert.pem", key = "key.pem" }'
    served = serve(SIMULATOR.replace("port = 0", f"port = 0\n{tls}"))
    with session(served, ssl=trusting(old)) as connection:
        issue(new, tmp_path)
        if how == "signal":
            served.signal(signal.SIGHUP)
        told = served.stderr.wait_for("reloaded.*\n")[0]
        with session(served, ssl=trusting(new)):
            pass
        with pytest.raises(ssl.SSLCertVerificationError), session(served, ssl=trusting(old)):
            pass
        ask(connection, words=1)

    assert f"{tmp_path}/cert.pem; {tmp_path}/key.pem" in told


@pytest.mark.log_says("not reloaded")
def test_broken_certificate(serve: Serve, tmp_path: Path) -> None:
    """A certificate whose key does not fit is told of, and newcomers are shown the old one."""
    authority = trustme.CA()
    issue(authority, tmp_path)
    tls = 'tls = { cert = "cert.pem", key = "key.pem" }'
    served = serve(SIMULATOR.replace("port = 0", f"port = 0\n{tls}"))
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    served.stderr.wait_for(r"not reloaded.*listen\.tls\.key.* is not the key of the certificate")

    with session(served, ssl=trusting(authority)):
        pass


def issue(authority: trustme.CA, folder: Path) -> None:
    """Write a certificate for this machine, and its key."""
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client has that trusts one authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.mark.log_says("change only at a restart")
def test_reload_cannot_move_the_listener(serve: Serve) -> None:
    """A new port is told to need a restart, again at each reload; what else is new is in force."""
    served = serve()
    served.config.write_text(SIMULATOR.replace("port = 0", "port = 1").replace('"*"', '"another"'))
    for times in (1, 2):
        served.signal(signal.SIGHUP)
        served.stderr.wait_for(f"(?s)(change only at a restart.*reloaded.*){{{times}}}")

    assert models(served) == ["another"]


def test_reload_of_what_is_not_bound(serve: Serve) -> None:
    """Origins take effect without a restart, and nobody is told to restart."""
    served = serve()
    served.config.write_text(SIMULATOR.replace("port = 0", "port = 0\norigins = []"))
    served.signal(signal.SIGHUP)
    served.stderr.wait_for("reloaded")

    origin = Origin("https://app.example.com")
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(served.websocket_url, origin=origin, open_timeout=PATIENCE),
    ):
        pass

    assert refused.value.response.status_code == 403


# Tokens of a running proxy


def test_revoked_token(serve: Serve) -> None:
    """Revoking a token ends its session, with the cause, and lets nobody in any more."""
    served = serve()
    with session(served) as connection:
        assert run(served.folder, "token", "revoke", "first").returncode == 0
        event, code = farewell(connection)
    with connect(f"{served.websocket_url}&token={served.token}") as connection:
        refusal, refused = farewell(connection)

    assert (event["error"]["code"], code) == ("token_revoked", 3000)
    assert (refusal["error"]["code"], refused) == ("invalid_api_key", 3000)
    assert "ending=token_revoked" in served.stderr.text


def test_new_token(serve: Serve) -> None:
    """A token works on the next connection after it was made."""
    served = serve()
    made = run(served.folder, "token", "add", "alice")

    with session(served, made.stdout.strip()):
        pass


# The log


def test_json_log(serve: Serve) -> None:
    """With ``format = "json"`` every record is one object a line, and holds no secret."""
    folder = serve().folder
    token = run(folder, "token", "add", "alice").stdout.strip()
    served = serve('log = { format = "json" }\n' + SIMULATOR)
    with session(served, token):
        pass
    assert served.stop() == 0

    records = [json.loads(line) for line in served.stderr.text.splitlines()]
    ended = next(record for record in records if record["message"] == "session ended")
    assert [record["message"] for record in records] == [
        "listening",
        "session ended",
        "draining",
        "stopped",
    ]
    assert (ended["token_name"], ended["channel"]) == ("alice", "simulator")
    assert (ended["ended_by"], ended["close_code"]) == ("client", 1000)
    assert token not in served.stderr.text


def test_query_is_not_logged(serve: Serve) -> None:
    """A token in the query of a good or a bad request stands in no line of the log."""
    served = serve('log = { level = "debug" }\n' + SIMULATOR)
    for query in (f"&token={served.token}", "&token=sk-guess"):
        with connect(served.websocket_url + query) as connection:
            receive(connection)
    get(served, f"/v1/models?token={served.token}")
    assert served.stop() == 0

    assert served.stderr.text.count(served.token) == 1
    assert "sk-guess" not in served.stderr.text


# What it cannot do


def cannot(folder: Path, config: str) -> list[str]:
    """Start where it cannot be, and return the lines on stderr."""
    (folder / "config.toml").write_text(config)
    outcome = run(folder, "serve")
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    return outcome.stderr.splitlines()


@pytest.mark.log_says("session ended")
def test_a_name_that_hangs(
    serve: Serve, simulated: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many clients on a channel whose host is never found keep nobody from the next channel."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\n"
        "look_up = socket.getaddrinfo\n"
        "def getaddrinfo(host, *more):\n"
        "    time.sleep(600 if host == b'slow.test' else 0)\n"
        "    return look_up(host, *more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    good = simulated.url.replace("127.0.0.1", "localhost")
    channel = '\n[[channels]]\nname = "{}"\nprovider = "compatible"\nmodels = ["*"]\n'
    served = serve(
        "[listen]\nport = 0\n[timeouts]\ndial = 5\n"
        + channel.format("slow")
        + 'priority = 1\nbase_url = "ws://slow.test/v1"\nauth = "none"\n'
        + channel.format("good")
        + f'base_url = "{good}"\napi_key = "{simulated.token}"\n'
    )

    def come_in(_: int) -> None:
        with session(served):
            pass

    with ThreadPoolExecutor(60) as clients:
        assert list(clients.map(come_in, range(60))) == [None] * 60
    assert served.stop() == 0


def test_port_in_use(tmp_path: Path) -> None:
    """A port that is taken is one line with the address, and no token is made."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        lines = cannot(tmp_path, SIMULATOR.replace("port = 0", f"port = {port}"))

    [line] = lines
    assert line == (
        f"rt-proxy: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop what listens there, or change listen.port"
    )
    assert not (tmp_path / "tokens.toml").exists()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
def test_no_such_host(tmp_path: Path, host: str) -> None:
    """A host that cannot be looked up, or is none, is one line with its name."""
    (line,) = cannot(tmp_path, SIMULATOR.replace("port = 0", f'port = 0\nhost = "{host}"'))

    assert line.startswith(f"rt-proxy: cannot listen on {host}:0: ")


def test_missing_certificate(tmp_path: Path) -> None:
    """A certificate that cannot be read is one line with its path and the key's."""
    tls = 'tls = { cert = "cert.pem", key = "key.pem" }'
    (line,) = cannot(tmp_path, SIMULATOR.replace("port = 0", f"port = 0\n{tls}"))

    missing = "cannot be read: No such file or directory"
    assert line == (
        f"rt-proxy: listen.tls.cert: {tmp_path}/cert.pem {missing}; "
        f"listen.tls.key: {tmp_path}/key.pem {missing}"
    )


def test_wrong_key(tmp_path: Path) -> None:
    """A key that is not the certificate's is one line with its path."""
    authority = trustme.CA()
    ours, other = (authority.issue_cert("localhost") for _ in range(2))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    other.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    tls = 'tls = { cert = "cert.pem", key = "key.pem" }'
    (line,) = cannot(tmp_path, SIMULATOR.replace("port = 0", f"port = 0\n{tls}"))

    assert f"{tmp_path}/key.pem is not the key of the certificate" in line


@pytest.mark.parametrize("file", ["absent/tokens.toml", "/proc/tokens.toml"])
def test_unwritable_token_folder(tmp_path: Path, file: str) -> None:
    """A token file that cannot be written is one line with its path, after which it stops."""
    (line,) = cannot(tmp_path, SIMULATOR + f'\n[tokens]\nfile = "{file}"\n')

    assert line.startswith(f"rt-proxy: {tmp_path / file}: cannot be written: ")


def test_broken_token_file(tmp_path: Path) -> None:
    """A token file that is no TOML is one line with its path; it is left as it is."""
    (tmp_path / "tokens.toml").write_text("tokens = [")
    (line,) = cannot(tmp_path, SIMULATOR)

    assert line.startswith(f"rt-proxy: {tmp_path}/tokens.toml: is not valid TOML")
    assert (tmp_path / "tokens.toml").read_text() == "tokens = ["


def test_mistakes_in_the_config(tmp_path: Path) -> None:
    """Every mistake is told at once, a line each, with its place in the file."""
    lines = cannot(tmp_path, SIMULATOR.replace("port = 0", 'port = "8080"\ncolour = 1'))

    assert len(lines) == 2
    assert all(line.startswith("config.toml: listen.") for line in lines)


def test_missing_config(tmp_path: Path) -> None:
    """Without a config file there is one line that names it."""
    outcome = run(tmp_path, "serve")

    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("config.toml: ")
