"""The examples for operators, with the real programs: what stands in front, container, service."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
import trustme
from commands import PACKAGE, PATIENCE, SIMULATOR, Served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

EXAMPLES = Path(__file__).parent.parent / "examples"
CONFIG = SIMULATOR.replace("port = 0", 'port = 0\ntrusted_proxies = ["127.0.0.1"]')

Front = Callable[[int, Path, Path], AbstractContextManager[int]]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(port: int, output: Path, *command: str | Path) -> Iterator[int]:
    """Run a server until the block is left; yield its port when it listens.

    Args:
        port: Where it listens.
        output: The file for what it says.
        command: The server.
    """
    with output.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        assert process.poll() is None, output.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Replace what the example has by what the test has; each must be there."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(behind: int, certificate: Path, folder: Path) -> Iterator[int]:
    """Run nginx with the example."""
    port = free_port()
    text = replaced(
        (EXAMPLES / "nginx.conf").read_text(),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("    listen [::]:443 ssl;\n", ""),
        ("/var/log/nginx/rt-proxy.error.log", f"{folder}/error.log"),
        ("/etc/ssl/realtime.example.com.pem", str(certificate)),
        ("/etc/ssl/private/realtime.example.com.key", str(certificate)),
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"events {{}}\nhttp {{\n{temporary}{text}}}\n"
    )
    with running(
        port, folder / "said", "nginx", "-p", folder, "-c", folder / "nginx.conf"
    ) as listening:
        yield listening


@contextmanager
def haproxy(behind: int, certificate: Path, folder: Path) -> Iterator[int]:
    """Run HAProxy with the example."""
    port = free_port()
    text = replaced(
        (EXAMPLES / "haproxy.cfg").read_text(),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("bind :::443 v4v6", f"bind 127.0.0.1:{port}"),
        ("/etc/ssl/private/realtime.example.com.pem", str(certificate)),
    )
    (folder / "haproxy.cfg").write_text(text)
    with running(
        port, folder / "said", "haproxy", "-db", "-f", folder / "haproxy.cfg"
    ) as listening:
        yield listening


@contextmanager
def caddy(behind: int, certificate: Path, folder: Path) -> Iterator[int]:
    """Run Caddy with the example."""
    port = free_port()
    site = f"https://127.0.0.1:{port} {{\n\ttls {certificate} {certificate}"
    text = replaced(
        (EXAMPLES / "Caddyfile").read_text(),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("{\n\t# Errors", "{\n\tadmin off\n\tauto_https off\n\t# Errors"),
        ("realtime.example.com {", site),
    )
    told = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"[0-9]+", told)[:2]))
    if version < (2, 7):  # it came with that
        text = replaced(text, ("stream_close_delay 4000s", ""))
    (folder / "Caddyfile").write_text(text)
    command = ("caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile")
    with running(port, folder / "said", *command) as listening:
        yield listening


FRONTS = [
    pytest.param(
        front,
        id=name,
        marks=pytest.mark.skipif(
            shutil.which(name) is None and not Path(f"/usr/sbin/{name}").exists(),
            reason=f"there is no {name} here",
        ),
    )
    for name, front in (("nginx", nginx), ("haproxy", haproxy), ("caddy", caddy))
]


@pytest.fixture
def authority() -> trustme.CA:
    """A private authority."""
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """A context that trusts it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> Path:
    """A certificate with its key, in one file."""
    path = tmp_path / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return path


class Visitors:
    """Clients that come through a front."""

    def __init__(self, served: Served, port: int, context: ssl.SSLContext) -> None:
        self._served, self._port, self._context = served, port, context

    def open(self, address: str) -> AbstractContextManager[ClientConnection]:
        """Open a session from an address of this machine."""
        near = socket.create_connection(
            ("127.0.0.1", self._port), PATIENCE, source_address=(address, 0)
        )
        return connect(
            f"wss://127.0.0.1:{self._port}/v1/realtime?model=gpt-realtime-2.1",
            sock=near,
            ssl=self._context,
            ping_interval=None,
            open_timeout=PATIENCE,
            additional_headers={
                "Authorization": f"Bearer {self._served.token}",
                "X-Forwarded-For": "203.0.113.7",  # what clients say of themselves
            },
        )


def hear(client: ClientConnection) -> str:
    """Return the type of the next event."""
    return str(json.loads(client.recv(PATIENCE))["type"])


@pytest.mark.parametrize("front", FRONTS)
def test_sessions_through_a_front(
    front: Front, tmp_path: Path, certificate: Path, context: ssl.SSLContext
) -> None:
    """Sessions open, events and closes pass, and each client has its own address."""
    config = CONFIG + "[limits]\nsessions_per_address = 1\n"
    with Served(tmp_path, config) as served:
        behind = int(served.address.rpartition(":")[2])
        with front(behind, certificate, tmp_path) as port:
            visitors = Visitors(served, port, context)
            with visitors.open("127.0.0.2") as first:
                assert hear(first) == "session.created"
                with pytest.raises(InvalidStatus) as refused, visitors.open("127.0.0.2"):
                    pass
                assert refused.value.response.status_code == 429
                assert b"rate_limit_exceeded" in refused.value.response.body
                with visitors.open("127.0.0.3") as second:
                    assert hear(second) == "session.created"
                    text = "A" * 300_000
                    second.send(json.dumps({"type": "input_audio_buffer.append", "audio": text}))
                    second.send(json.dumps({"type": "input_audio_buffer.clear"}))
                    assert hear(second) == "input_audio_buffer.cleared"
                    served.signal(signal.SIGTERM)
                    assert hear(second) == "error"
                    with pytest.raises(Exception, match="1001"):
                        second.recv(PATIENCE)
            assert served.wait() == 0
        told = re.findall(r"address=(\S+)", served.stderr.text)
        assert set(told) == {"127.0.0.2", "127.0.0.3"}


@pytest.mark.parametrize("front", FRONTS)
def test_no_token_in_the_log_of_a_front(
    front: Front, tmp_path: Path, certificate: Path, context: ssl.SSLContext
) -> None:
    """While rt-proxy is down its clients' tokens are in no log of what stands in front."""
    secrets = [f"sk-rt-secret-{number}" for number in range(4)]
    with front(free_port(), certificate, tmp_path) as port:
        request = urllib.request.Request(
            f"https://127.0.0.1:{port}/v1/realtime?token={secrets[0]}",
            headers={
                "Authorization": f"Bearer {secrets[1]}",
                "Api-Key": secrets[2],
                "Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{secrets[3]}",
            },
        )
        with pytest.raises(HTTPError) as failed:
            urllib.request.urlopen(request, context=context, timeout=PATIENCE)
        with failed.value:
            assert failed.value.code in (502, 503)
    logs = [tmp_path / "said", *tmp_path.glob("*.log")]
    assert not [log for log in logs if "sk-rt-secret" in log.read_text()]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx here")
def test_silence_through_nginx(tmp_path: Path, certificate: Path, context: ssl.SSLContext) -> None:
    """A session in which nobody says anything outlives the 60 s that nginx gives by itself."""
    with Served(tmp_path, CONFIG + "[timeouts]\nping_interval = 0\n") as served:
        behind = int(served.address.rpartition(":")[2])
        with nginx(behind, certificate, tmp_path) as port:
            visitors = Visitors(served, port, context)
            with visitors.open("127.0.0.2") as client:
                assert hear(client) == "session.created"
                with pytest.raises(TimeoutError):
                    client.recv(65)
                client.send(json.dumps({"type": "input_audio_buffer.clear"}))
                assert hear(client) == "input_audio_buffer.cleared"


# The executable and the container


def test_the_head_is_sound() -> None:
    """A linter of shell scripts has nothing to say of what unpacks the executable."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    head = EXAMPLES.parent / "packaging" / "head.sh"
    done = subprocess.run([shellcheck, head], capture_output=True, text=True, check=False)
    # Only -O and the like are beyond POSIX, and are in dash, bash and busybox.
    assert (done.returncode, done.stdout) == (0, "")


def test_the_containerfile_is_sound() -> None:
    """A linter of such files has nothing to say."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("there is no hadolint for this machine")
    done = subprocess.run(
        [hadolint, EXAMPLES / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_container_runs(tmp_path: Path) -> None:
    """As the first process of its world, as in a container, it still obeys its signals."""
    words = (EXAMPLES / "Containerfile").read_text()
    [entry] = re.findall(r"(?m)^ENTRYPOINT (.*)$", words)
    [command] = re.findall(r"(?m)^CMD (.*)$", words)
    assert [*json.loads(entry), *json.loads(command)] == ["rt-proxy", "serve"]
    first = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child", *PACKAGE)
    with Served(tmp_path, SIMULATOR, program=first) as served:
        [health] = re.findall(r"(?m)^ +CMD (.*)$", words)
        check = json.loads(health.replace("8080", served.address.rpartition(":")[2]))
        check[0] = sys.executable
        assert subprocess.run(check, check=False, capture_output=True).returncode == 0
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
        process = int(children.read_text())
        served.config.write_text(SIMULATOR + "[timeouts]\ndrain = 7\n")
        os.kill(process, signal.SIGHUP)
        served.stderr.wait_for("reloaded.*timeouts.drain")
        os.kill(process, signal.SIGTERM)
        assert served.wait() == 0


# The service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_the_service_is_hardened() -> None:
    """The service is exposed to as little as one that serves the network can be (0 to 100)."""
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=true", "--threshold=14"),
            str(EXAMPLES / "rt-proxy.service"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
