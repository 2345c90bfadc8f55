"""The executable: built for real, and run where there is no Python."""

import json
import os
import platform
import re
import shutil
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import trustme
from commands import PACKAGE, PATIENCE, SIMULATOR, Command, Served
from openai import OpenAI
from test_cli_systemd import Activated, Inbox, address, inbox
from test_deployment import free_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

__all__ = ["address", "inbox"]  # fixtures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),
]

ROOT = Path(__file__).parent.parent
MODEL = "gpt-realtime-2.1"
#: What the head needs of a host, and every host has.
TOOLS = (
    *("sh", "cat", "chmod", "find", "gzip", "head", "id", "ls", "mkdir", "mv", "readlink", "rm"),
    *("rmdir", "tail", "tar", "wc"),
)
IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
#: Runs a command with its own mounts; who is not root is it in a user namespace.
OWN_MOUNTS = ("unshare", "--mount") if IS_ROOT else ("unshare", "--mount", "--map-root-user")


@pytest.fixture(scope="module")
def executable() -> Iterator[Path]:
    """The executable, built by the command of the README, where every user may read it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = folder / "rt-proxy"
        build = [sys.executable, "packaging/build.py", "--output", str(made)]
        done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def run(
    executable: Path, *arguments: str, unpack_in: Path, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run the executable to its end, unpacked in a folder."""
    return subprocess.run(
        [executable, *arguments],
        env={"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(unpack_in)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **more,
    )


def unpacked(folder: Path) -> list[str]:
    """Return the names of all that is in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


# Where there is no Python


def needed_libraries(*programs: Path) -> set[Path]:
    """Return the libraries of the host that programs are linked with."""
    found: set[Path] = set()
    for program in programs:
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
        found |= {Path(path) for path in re.findall(r"(/\S+) \(0x", told.stdout)}
    return found


@pytest.fixture
def root(executable: Path, tmp_path: Path) -> Path:
    """A root folder with the tools of any host, the executable, and nothing else."""
    root = tmp_path / "root"
    tools = [Path(shutil.which(tool) or "") for tool in TOOLS]
    scratch = tmp_path / "scratch"
    assert run(executable, "--version", unpack_in=scratch).returncode == 0
    [program] = scratch.iterdir()
    linked = needed_libraries(*tools, program / "rt-proxy", *program.rglob("*.so*"))
    libraries = {path for path in linked if not path.is_relative_to(program)}
    for path in (*tools, *libraries):
        place = root / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    for name in ("bin", "usr/bin", "dev", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to(shutil.which("sh") or "")
    (root / "dev/null").touch()
    shutil.copy(executable, root / "usr/bin/rt-proxy")
    assert not [path for path in root.rglob("*") if "python" in path.name]
    return root


def inside(root: Path) -> tuple[str, ...]:
    """Return the command that runs the executable with a root folder as its whole world."""
    how = ("chroot",) if IS_ROOT else ("unshare", "--map-root-user", "--root")
    return (*how, str(root), "/usr/bin/rt-proxy")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private authority."""
    return trustme.CA()


def config_with_tls(folder: Path, authority: trustme.CA) -> str:
    """Write a certificate into a folder, and return a config that uses it."""
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return SIMULATOR + '[listen.tls]\ncert = "cert.pem"\nkey = "key.pem"\n'


def context_of(authority: trustme.CA) -> ssl.SSLContext:
    """Return a context that trusts an authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def page(served: Served, context: ssl.SSLContext, path: str, token: str) -> tuple[int, Any]:
    """Get a page; return its status and what it says."""
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(served.address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=PATIENCE) as answer:
            return answer.status, _read(answer.read())
    except HTTPError as error:
        with error:
            return error.code, _read(error.read())


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def answers_of(served: Served, context: ssl.SSLContext) -> list[Any]:
    """Return what a proxy answers: its pages, a refusal, and a session of the real client."""
    told: list[Any] = [
        page(served, context, path, token)
        for path in ("/healthz", "/readyz", "/v1/models", "/nothing")
        for token in (served.token, "wrong")
    ]
    options: Any = {"ssl": context}
    with (
        OpenAI(api_key=served.token, base_url=served.url, timeout=PATIENCE) as client,
        client.realtime.connect(model=MODEL, websocket_connection_options=options) as connection,
    ):
        session: Any = {"type": "realtime", "output_modalities": ["text"]}
        connection.session.update(session=session)
        content: Any = [{"type": "input_text", "text": "Hello there"}]
        item: Any = {"type": "message", "role": "user", "content": content}
        connection.conversation.item.create(item=item)
        connection.response.create()
        for event in connection:
            told.append(event.to_dict(mode="json"))
            if event.type == "response.done":
                break
    return [_without_chance(one) for one in told]


def _without_chance(thing: Any) -> Any:
    """Return an answer without ids and times, which are never the same twice."""
    text = re.sub(r"\b([a-z]+)_[A-Za-z0-9]{8,}\b", r"\1_x", json.dumps(thing))
    return json.loads(re.sub(r"\b1[0-9]{9}\b", "0", text))


def test_where_there_is_no_python(root: Path, tmp_path: Path, authority: trustme.CA) -> None:
    """It serves over TLS as the installed package does, reloads and drains."""
    context = context_of(authority)
    here = tmp_path / "package"
    here.mkdir()
    with Served(here, config_with_tls(here, authority)) as package:
        expected = answers_of(package, context)
        assert package.stop() == 0
    with Served(root, config_with_tls(root, authority), program=inside(root)) as served:
        assert answers_of(served, context) == expected
        assert len(expected) > 15
        served.config.write_text(served.config.read_text() + "[timeouts]\ndrain = 7\n")
        served.signal(signal.SIGHUP)
        served.stderr.wait_for("reloaded.*timeouts.drain")
        address = f"wss{served.url.removeprefix('https')}/realtime?model={MODEL}"
        headers = {"Authorization": f"Bearer {served.token}"}
        with connect(
            address, ssl=context, additional_headers=headers, open_timeout=PATIENCE
        ) as client:
            assert json.loads(client.recv(PATIENCE))["type"] == "session.created"
            served.signal(signal.SIGTERM)
            assert json.loads(client.recv(PATIENCE))["error"]["code"] == "drain"
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert served.wait() == 0


def test_every_command_is_there(root: Path) -> None:
    """Each command runs, with its data; the version has the commit."""

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [*inside(root), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = command("--version")
    assert re.fullmatch(r"rt-proxy [0-9.]+(\+g[0-9a-f]{12}(\.changed)?)?\n", said)
    if commit.returncode == 0:
        assert commit.stdout.strip() in said
    command("init", "/proxy")
    config = ("--config", "/proxy/config.toml")
    assert ": ok, 1 channel" in command("check", *config)
    assert "sk-rt-" in command("token", "add", "alice", *config)
    for name in re.findall(r"(?m)^  ([a-z]+)  ", command("--help")):
        assert "Usage: rt-proxy" in command(name, "--help")
    [program] = (root / "var/cache/rt-proxy").iterdir()
    licenses = {path.name.partition("-")[0] for path in (program / "licenses").iterdir()}
    assert {"rt_proxy", "trio", "attrs", "click", "python"} <= licenses
    told = [
        path.name
        for path in program.rglob("*")
        if path.is_file() and str(ROOT).encode() in path.read_bytes()
    ]
    assert told == [], "they tell where it was built"


def test_trusts_whom_the_host_trusts(root: Path, authority: trustme.CA) -> None:
    """An authority in the trust store of the host is trusted, wherever the host keeps it."""
    served_config = config_with_tls(root, authority)
    with Served(root, served_config, program=inside(root)) as served:
        (root / "client.toml").write_text(
            "[tokens]\nfile = 'other.toml'\n"
            "[[channels]]\nname = 'far'\nprovider = 'compatible'\n"
            f"base_url = '{served.url}'\napi_key = '{served.token}'\nmodels = ['{MODEL}']\n"
        )
        check = [*inside(root), "check", "--live", "--config", "/client.toml"]
        before = subprocess.run(check, capture_output=True, text=True, check=False)
        assert before.returncode == 1
        assert "certificate" in before.stdout + before.stderr
        store = root / "etc/pki/tls/certs/ca-bundle.crt"
        store.parent.mkdir(parents=True)
        authority.cert_pem.write_to_path(store)
        after = subprocess.run(check, capture_output=True, text=True, check=False)
        assert after.returncode == 0, after.stdout + after.stderr


# On any host


def test_killed(executable: Path, tmp_path: Path) -> None:
    """Killed, it is gone at once and leaves nothing that grows; then it starts again."""
    folder = tmp_path / "own"
    env = {"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(folder)}
    ports = []
    for _ in range(3):
        with Served(tmp_path, program=(str(executable),), env=env) as served:
            process = Path(f"/proc/{served.process.pid}/exe").resolve()
            assert process.name == "rt-proxy", "it has taken the place of the script"
            ports.append(int(served.address.rpartition(":")[2]))
            served.process.kill()
            assert served.wait() == -signal.SIGKILL
            with pytest.raises(ConnectionRefusedError), socket.socket() as probe:
                probe.connect(("127.0.0.1", ports[-1]))
        assert len(unpacked(folder)) == 1
    left = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with Served(tmp_path, program=(str(executable),), env=env) as served:
        assert served.stop() == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == left


def test_a_supervisor(
    executable: Path, tmp_path: Path, inbox: Inbox, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the process that was started: it takes a listener, and tells when it is ready."""
    monkeypatch.setenv("RT_PROXY_UNPACK_IN", str(tmp_path / "own"))
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    (tmp_path / "config.toml").write_text(SIMULATOR)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Activated(tmp_path, listener, program=(str(executable),)) as activated,
    ):
        inbox.wait_for("READY=1")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert answer.status == 200
        activated.signal(signal.SIGTERM)
        inbox.wait_for("STOPPING=1")
        assert activated.wait() == 0


def test_started_twice_at_once(executable: Path, tmp_path: Path) -> None:
    """Whoever is first unpacks, the others find it, and no half of it is ever run."""
    folder = tmp_path / "own"
    env = {"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(folder)}
    commands = [
        Command(tmp_path, "--version", program=(str(executable),), env=env) for _ in range(12)
    ]
    assert [command.wait() for command in commands] == [0] * 12
    assert {command.stdout.text.partition(" ")[0] for command in commands} == {"rt-proxy"}
    assert {command.stderr.text for command in commands} == {""}
    assert len(unpacked(folder)) == 1


@needs_root
def test_another_user(executable: Path, tmp_path: Path) -> None:
    """Another user has an own copy, without a home, started from where nobody may write."""
    executable.parent.chmod(0o555)
    mounted = (*OWN_MOUNTS, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        done = subprocess.run(
            [*mounted, executable, "--version"],
            env={"PATH": os.environ["PATH"], "TMPDIR": name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert unpacked(folder) == ["rt-proxy-65534"]
        mine = (folder / "rt-proxy-65534").stat()
        assert (mine.st_uid, stat.S_IMODE(mine.st_mode)) == (65534, 0o700)
        refused = run(executable, "--version", unpack_in=folder / "rt-proxy-65534")
        assert refused.returncode == 1
        assert "rt-proxy-65534 belongs to another user" in refused.stderr


def test_where_others_may_write(executable: Path, tmp_path: Path) -> None:
    """Where somebody else could put another program in its place it is not unpacked, nor run."""
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    inner = open_folder / "inner"
    assert run(executable, "--version", unpack_in=inner).returncode == 0
    (tmp_path / "link").symlink_to(inner)
    assert run(executable, "--version", unpack_in=tmp_path / "link").returncode == 0
    open_folder.chmod(0o777)
    for folder in (open_folder, inner, tmp_path / "link"):
        done = run(executable, "--version", unpack_in=folder)
        assert done.returncode == 1
        assert f"{open_folder} may be written by others" in done.stderr
    open_folder.chmod(0o1777)  # as /tmp
    assert run(executable, "--version", unpack_in=inner).returncode == 0
    assert run(executable, "--version", unpack_in=open_folder).returncode == 1


def test_where_old_files_are_removed(executable: Path, tmp_path: Path) -> None:
    """A copy in a folder for temporary files of which a part was removed is unpacked anew."""
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "RT_PROXY_UNPACK_IN": ""}
    env["CACHE_DIRECTORY"] = str(tmp_path / "cache")

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [executable, "--version"], env=env, capture_output=True, text=True, check=False
        )

    assert start().returncode == 0
    [program] = (tmp_path / "cache").iterdir()
    [gone] = program.rglob("_ssl.*.so")
    gone.unlink()
    done = start()
    assert done.returncode == 0, done.stderr
    assert gone.exists()


@pytest.mark.parametrize("name", ["sp  ace", "st*r", "q'u\"ote", "-x"])
def test_any_folder(executable: Path, tmp_path: Path, name: str) -> None:
    """Whatever a folder is called, it is that one, and it is unpacked there once."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / name).mkdir()
    own = shutil.copy(executable, tmp_path / name / "rt-proxy")
    for _ in range(2):
        done = run(Path(own), "--version", unpack_in=tmp_path / name / "own", cwd=here)
        assert done.returncode == 0, done.stderr
    assert unpacked(tmp_path) == sorted(["here", name])
    assert unpacked(here) == []
    shutil.copytree(tmp_path / name / "own", here / "relative")
    refused = run(executable, "--version", unpack_in=Path("relative"), cwd=here)
    assert "no absolute path" in refused.stderr


@pytest.mark.parametrize("size", [100, 4_000, 1_000_000, -1])
def test_a_copy_that_is_not_whole(executable: Path, tmp_path: Path, size: int) -> None:
    """Half a file does nothing, and says what to do where it can say anything."""
    part = tmp_path / "rt-proxy"
    part.write_bytes(executable.read_bytes()[:size])
    part.chmod(0o755)
    whole = tmp_path / "whole"
    assert run(executable, "--version", unpack_in=whole).returncode == 0
    for folder in (tmp_path / "own", whole):
        done = run(part, "--version", unpack_in=folder)
        assert done.returncode != 0
        assert size in (100, 4_000) or "is incomplete or damaged; copy it again" in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_copy_that_is_damaged(executable: Path, tmp_path: Path) -> None:
    """One bit that is not as it was is found before anything is unpacked."""
    data = bytearray(executable.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "rt-proxy"
    damaged.write_bytes(data)
    damaged.chmod(0o755)
    done = run(damaged, "--version", unpack_in=tmp_path / "own")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert not (tmp_path / "own").exists()


def test_killed_while_it_unpacks_in_a_container(executable: Path, tmp_path: Path) -> None:
    """In a container it is process 1 each time, and what a killed one left is not its own."""
    folder = tmp_path / "own"
    assert run(executable, "--version", unpack_in=folder).returncode == 0
    [program] = folder.iterdir()
    program.rename(folder / f".{program.name}.1")
    first = (*("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"), executable)
    done = subprocess.run(
        [*first, "--version"],
        env={"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert unpacked(folder) == [program.name]


def test_an_access_list(executable: Path, tmp_path: Path) -> None:
    """A folder that others may write to by an access control list is refused."""
    folder = tmp_path / "own"
    folder.mkdir()
    # Version 2; the owner and user 1234 rwx, the group ---, the mask rwx, others ---.
    entries = ((1, 7, -1), (2, 7, 1234), (4, 0, -1), (16, 7, -1), (32, 0, -1))
    rules = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", rules)
    except OSError:
        pytest.skip("this file system has no access control lists")
    done = run(executable, "--version", unpack_in=folder)
    assert done.returncode == 1
    assert "own may be written by others" in done.stderr


def test_called_as(executable: Path, tmp_path: Path) -> None:
    """What it tells to paste is the file that was started; the umask is as it was."""
    own = tmp_path / "own"
    told = run(executable, "init", "proxy", unpack_in=own, cwd=tmp_path)
    assert f"{executable} serve" in told.stdout + told.stderr
    assert str(own) not in told.stdout + told.stderr
    env = {"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(own)}
    with Served(
        tmp_path, program=("sh", "-c", 'umask 027; exec "$0" "$@"', str(executable)), env=env
    ) as served:
        assert "Umask:\t0027" in Path(f"/proc/{served.process.pid}/status").read_text()
        assert served.stop() == 0


def test_nothing_is_open(executable: Path, tmp_path: Path) -> None:
    """Without stdin, stdout and stderr it serves all the same."""
    (tmp_path / "config.toml").write_text(SIMULATOR.replace("port = 0", f"port = {free_port()}"))
    env = {"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(tmp_path / "own")}
    port = tomllib.loads((tmp_path / "config.toml").read_text())["listen"]["port"]
    command = ["sh", "-c", 'exec "$0" serve <&- >&- 2>&-', executable]
    process = subprocess.Popen(command, cwd=tmp_path, env=env)
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize(
    ("options", "why"),
    [("noexec", "noexec"), ("size=2m", "No space left"), ("ro", "Read-only file system")],
)
def test_where_it_cannot_unpack(executable: Path, tmp_path: Path, options: str, why: str) -> None:
    """It says which folders it tried, why that failed and what to do, and leaves nothing."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    script = (
        f'mount -t tmpfs -o {options} none "$1" && {{ "$0" --version; status=$?; '
        'ls -A "$1"; exit $status; }'
    )
    done = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, executable, folder],
        env={"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(folder / "own")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"{folder}/own: " in done.stderr
    assert why in done.stderr
    assert "RT_PROXY_UNPACK_IN=" in done.stderr
    assert done.stdout in ("", "own\n")
    assert "Traceback" not in done.stderr


def test_a_folder_that_will_not_do(executable: Path, tmp_path: Path) -> None:
    """Where one folder will not do the next one is taken."""
    file = tmp_path / "file"
    file.touch()
    done = subprocess.run(
        [executable, "--version"],
        env={
            "PATH": os.environ["PATH"],
            "CACHE_DIRECTORY": str(file / "cache"),
            "HOME": str(file),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_host_that_it_was_not_built_for(executable: Path, tmp_path: Path) -> None:
    """What cannot run says so once, with what it was built for, and leaves nothing.

    Too little memory stands for another C library, which no host can be made to have.
    """
    starve = ("sh", "-c", 'ulimit -v 18000; exec "$0" "$@"')
    done = subprocess.run(
        [*starve, executable, "--version"],
        env={"PATH": os.environ["PATH"], "RT_PROXY_UNPACK_IN": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "rt-proxy: it does not run on this host: " in done.stderr
    machine = f"Linux on {platform.machine()}"
    assert f"It was built for {machine}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sweeps(executable: Path, tmp_path: Path) -> None:
    """What killed starts and other versions left goes; a version that runs stays."""
    folder = tmp_path / "own"
    folder.mkdir()
    process = subprocess.Popen(["sleep", "600"])
    killed = subprocess.Popen(["true"])
    killed.wait()
    ours = ("rt-proxy-0.0.9-old", "rt-proxy-0.0.8-running", f".rt-proxy-x.{killed.pid}")
    theirs = ("rt-proxy-data", "rt-proxy-1", f".rt-proxy-y.{killed.pid}")
    for name in (*ours, *theirs, f".rt-proxy-x.{process.pid}"):
        (folder / name).mkdir()
        (folder / name / ("tokens.toml" if name in theirs else "unpacked-by-rt-proxy")).touch()
    (folder / f".rt-proxy-z.{killed.pid}").mkdir()
    sleep = shutil.copy(Path(shutil.which("sleep") or ""), folder / "rt-proxy-0.0.8-running/it")
    running = subprocess.Popen([sleep, "600"])
    try:
        (tmp_path / "link").symlink_to(folder)
        assert run(executable, "--version", unpack_in=tmp_path / "link").returncode == 0
        stays = {*theirs, "rt-proxy-0.0.8-running", f".rt-proxy-x.{process.pid}"}
        left = unpacked(folder)
        assert stays < set(left)
        assert len(left) == len(stays) + 1
    finally:
        for one in (process, running):
            one.kill()
            one.wait()


def test_what_it_starts_has_its_own_environment(executable: Path, tmp_path: Path) -> None:
    """A program that fetches a key gets the libraries of the host, not those in here."""
    (tmp_path / "config.toml").write_text(
        "[[channels]]\nname = 'far'\nprovider = 'compatible'\n"
        f"base_url = 'http://127.0.0.1:9/v1'\nmodels = ['{MODEL}']\n"
        "[channels.api_key_from]\n"
        "command = ['sh', '-c', 'env > environment; echo key']\n"
    )
    own = tmp_path / "own"
    done = run(executable, "check", "--live", unpack_in=own, cwd=tmp_path)
    assert "far" in done.stdout + done.stderr
    given = (tmp_path / "environment").read_text()
    assert "RT_PROXY_UNPACK_IN" in given
    assert "LD_LIBRARY_PATH" not in given
    assert "_PYI" not in given


def test_the_same_as_the_package(executable: Path, tmp_path: Path) -> None:
    """A wrong argument and a wrong config are told in the same words, with the same status."""
    for arguments in (("serve", "--nothing"), ("serve", "--config", "none.toml"), ("frob",)):
        expected = subprocess.run(
            [*PACKAGE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        done = run(executable, *arguments, unpack_in=tmp_path / "own", cwd=tmp_path)
        assert done.returncode == expected.returncode != 0
        assert done.stderr.replace("rt-proxy", "X") == expected.stderr.replace(
            "python -m rt_proxy", "X"
        ).replace("rt-proxy", "X")
