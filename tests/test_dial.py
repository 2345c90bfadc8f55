"""How upstreams are reached over TCP, proxies and TLS, and what is said when they are not."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import dialkit
import pytest
import trio
import trustme
from dialkit import Tunnels, channel, hang_up, request, say_hello, server, server_context
from trio.testing import MockClock

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.client import server_at, take_turn
from rt_proxy.clientturn import Question
from rt_proxy.listener.dial import TcpDial
from rt_proxy.listener.dialfailure import dial_failure
from rt_proxy.settings import TlsSettings
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import parse_fault

CHANNEL = channel()
AUTHORITY = trustme.CA()
#: An authority that the system does not know.
PRIVATE = trustme.CA()
LEAF = AUTHORITY.issue_cert("127.0.0.1", "::1", "up.test", "localhost")


@pytest.fixture(autouse=True)
def _authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make our authority the only one that the system trusts."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.05)


@pytest.fixture
def private_file(tmp_path: Path) -> Path:
    """The authority that the system does not know, in a file."""
    file = tmp_path / "private.pem"
    PRIVATE.cert_pem.write_to_path(str(file))
    return file


def speaking_tls(leaf: trustme.LeafCert = LEAF) -> dialkit.Handler:
    """Return a server with a certificate, that says hello."""
    return dialkit.speaking_tls(server_context(leaf))


def own_dial(**environ: str) -> TcpDial:
    """Return a dial that does not look at the environment of the tests."""
    return TcpDial(environ=environ)


async def heard(where: UpstreamRequest, of: Channel = CHANNEL, dial: TcpDial | None = None) -> str:
    """Dial, and return what the server says or why there is none."""
    try:
        stream = await (dial or own_dial())(of, where)
    except (OSError, trio.BrokenResourceError) as error:
        return dial_failure(error)
    try:
        return (await stream.receive_some()).decode()
    except trio.BrokenResourceError:
        return "(broken)"
    finally:
        await trio.aclose_forcefully(stream)


async def test_tcp() -> None:
    """Without TLS a plain connection is what comes out."""
    async with server(say_hello) as port:
        stream = await own_dial()(CHANNEL, request("127.0.0.1", port, tls=False))
        async with stream:
            assert isinstance(stream, trio.SocketStream)
            assert await stream.receive_some() == b"hello"


async def test_tls() -> None:
    """With TLS the certificate is held to the name and to the system's authorities."""
    dial = own_dial()
    async with server(speaking_tls()) as port:
        for _ in range(2):
            assert await heard(request("127.0.0.1", port, tls=True), dial=dial) == "hello"


async def test_no_tls() -> None:
    """A server that speaks plainly where TLS is due is told from one that is away."""
    async with server(say_hello) as port:
        told = await heard(request("127.0.0.1", port, tls=True))

    assert told.startswith("TLS: ")


async def test_hang_up() -> None:
    """A server that leaves during the handshake is told so."""
    async with server(hang_up) as port:
        told = await heard(request("127.0.0.1", port, tls=True))

    assert told == "hung up during the TLS handshake"


def unused_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def test_nobody_there() -> None:
    """A port where nobody listens refuses."""
    assert await heard(request("127.0.0.1", unused_port(), tls=False)) == "connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 70])
async def test_no_host(host: str) -> None:
    """A name that has no address, or can be none, is a failure like any other, not a fault."""
    assert await heard(request(host, 9, tls=False)) == "DNS: the host name is not known"


async def test_keepalive() -> None:
    """The system is asked to look after the connection, or not."""
    async with server(say_hello) as port:
        for seconds, idle in ((60, 60), (7, 7)):
            dial = TcpDial(keepalive=seconds, environ={})
            stream = await dial(CHANNEL, request("127.0.0.1", port, tls=False))
            async with stream:
                assert isinstance(stream, trio.SocketStream)
                assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
        stream = await TcpDial(keepalive=0, environ={})(
            CHANNEL, request("127.0.0.1", port, tls=False)
        )
        async with stream:
            assert isinstance(stream, trio.SocketStream)
            assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


class TestAddresses:
    """IPv6, and names with more than one address."""

    @pytest.mark.parametrize("tls", [True, False])
    async def test_ipv6(self, tls: bool) -> None:
        """An IPv6 address is dialled as it is, and a certificate may be for it."""
        async with server(speaking_tls() if tls else say_hello, host="::1") as port:
            assert await heard(request("::1", port, tls=tls)) == "hello"

    async def test_first_address_is_dead(self, socket_clock: MockClock) -> None:
        """A first address that does not answer costs a quarter of a second, and no more."""
        async with server(say_hello) as port:
            with deaf_at("127.0.0.2", port), resolving("up.test", "127.0.0.2", "127.0.0.1"):
                start = trio.current_time()
                assert await heard(request("up.test", port, tls=False)) == "hello"
                assert trio.current_time() - start == pytest.approx(0.25, abs=0.01)

    async def test_first_address_refuses(self, socket_clock: MockClock) -> None:
        """A first address that refuses costs nothing."""
        async with server(say_hello) as port:
            with resolving("up.test", "::1", "127.0.0.1"):
                start = trio.current_time()
                assert await heard(request("up.test", port, tls=False)) == "hello"
                assert trio.current_time() == start

    async def test_all_refuse(self) -> None:
        """Where every address refuses, it is said once."""
        port = unused_port()
        with resolving("up.test", "::1", "127.0.0.1", "127.0.0.2"):
            assert await heard(request("up.test", port, tls=False)) == "connection refused"


def resolving(name: str, *addresses: str) -> ExitStack:
    """Have a name resolved to addresses, in this order, as long as it is open."""

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, *_: object, **__: object):  # type: ignore[no-untyped-def]
            assert host == name.encode()
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 (address, port))
                for address in addresses
            ]  # fmt: skip

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError

    stack = ExitStack()
    before = trio.socket.set_custom_hostname_resolver(Resolver())
    stack.callback(trio.socket.set_custom_hostname_resolver, before)
    return stack


def deaf_at(address: str, port: int) -> ExitStack:
    """Listen so that nobody gets through: the queue of connections is full."""
    stack = ExitStack()
    deaf = stack.enter_context(socket.socket())
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deaf.bind((address, port))
    deaf.listen(0)
    while True:
        waiting = stack.enter_context(socket.socket())
        waiting.settimeout(0.1)
        try:
            waiting.connect((address, port))
        except TimeoutError:
            return stack


class TestCertificates:
    """Whom we believe, and who we are."""

    async def test_another_name(self) -> None:
        """A certificate for another name is no way in."""
        async with server(speaking_tls(AUTHORITY.issue_cert("other.test"))) as port:
            told = await heard(request("127.0.0.1", port, tls=True))

        assert told == "TLS: IP address mismatch"

    async def test_another_authority(self, private_file: Path) -> None:
        """A certificate of an authority that the system does not trust is no way in."""
        where = speaking_tls(PRIVATE.issue_cert("127.0.0.1"))
        async with server(where) as port:
            told = await heard(request("127.0.0.1", port, tls=True))
            trusted = await heard(
                request("127.0.0.1", port, tls=True), channel(ca_file=private_file)
            )

        assert told == "TLS: unable to get local issuer certificate"
        assert trusted == "hello"

    async def test_authority_of_the_channel_alone(self, private_file: Path) -> None:
        """With an authority of its own a channel does not trust those of the system."""
        async with server(speaking_tls()) as port:
            told = await heard(request("127.0.0.1", port, tls=True), channel(ca_file=private_file))

        assert told == "TLS: unable to get local issuer certificate"

    async def test_authority_and_another_name(self, private_file: Path) -> None:
        """A private authority is held to the name as well."""
        async with server(speaking_tls(PRIVATE.issue_cert("other.test"))) as port:
            told = await heard(request("127.0.0.1", port, tls=True), channel(ca_file=private_file))

        assert told == "TLS: IP address mismatch"

    async def test_expired(self) -> None:
        """A certificate of yesterday is no way in."""
        yesterday = datetime.now(UTC) - timedelta(days=1)
        leaf = AUTHORITY.issue_cert(
            "127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday
        )
        async with server(speaking_tls(leaf)) as port:
            assert await heard(request("127.0.0.1", port, tls=True)) == (
                "TLS: certificate has expired"
            )

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_client_certificate(self, tmp_path: Path, version: ssl.TLSVersion) -> None:
        """An upstream that demands a certificate is shown the channel's, and no other."""
        ours = write_leaf(tmp_path, PRIVATE)
        context = server_context(LEAF, clients_of=PRIVATE)
        context.minimum_version = context.maximum_version = version
        async with server(demanding(context)) as port:
            where = request("127.0.0.1", port, tls=True)
            assert await heard(where, channel(client_cert=ours)) == "hello"
            nobody = await heard(where)
            stranger = await heard(where, channel(client_cert=write_leaf(tmp_path, AUTHORITY)))

        for told in (nobody, stranger):
            # With TLS 1.3 a client is told that it is refused only when it goes on.
            hung_up = told in ("", "(broken)", "hung up during the TLS handshake")
            assert hung_up or told.startswith("TLS: ")

    async def test_renewed(self, tmp_path: Path, private_file: Path) -> None:
        """Files that are renewed are in force at the next dial."""
        dial, new = own_dial(), trustme.CA()
        of = channel(ca_file=private_file)
        async with server(speaking_tls(new.issue_cert("127.0.0.1"))) as port:
            where = request("127.0.0.1", port, tls=True)
            before = await heard(where, of, dial)
            new.cert_pem.write_to_path(str(tmp_path / "new.pem"))
            (tmp_path / "new.pem").replace(private_file)
            after = await heard(where, of, dial)

        assert before == "TLS: unable to get local issuer certificate"
        assert after == "hello"

    @pytest.mark.log_says("cannot be read: ")
    async def test_unreadable(self, tmp_path: Path) -> None:
        """Files that cannot be read are told, and do not matter where there is no TLS."""
        of = channel(ca_file=tmp_path / "none.pem")
        async with server(say_hello) as port:
            told = await heard(request("127.0.0.1", port, tls=True), of)
            plain = await heard(request("127.0.0.1", port, tls=False), of)

        assert told == "TLS: ca_file cannot be used"
        assert plain == "hello"


def write_leaf(folder: Path, authority: trustme.CA) -> TlsSettings:
    """Write a client's certificate and its key, both in one file."""
    file = folder / "client.pem"
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(str(file))
    return TlsSettings(cert=file, key=file)


def demanding(context: ssl.SSLContext) -> dialkit.Handler:
    """Return a server that says hello to clients with a certificate, and nothing to others."""
    speak = dialkit.speaking_tls(context)

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await speak(stream)
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)

    return handle


class TestProxy:
    """HTTP proxies on the way."""

    @pytest.mark.parametrize("tls", [True, False])
    async def test_to_a_name(self, tls: bool) -> None:
        """The proxy resolves the name, and the upstream's certificate is held to it."""
        async with proxied(speaking_tls() if tls else say_hello) as (port, tunnels):
            of = channel(proxy=f"http://127.0.0.1:{port}")
            assert await heard(request("up.test", 8443, tls=tls), of) == "hello"

        [[line, *_]] = tunnels.heads
        assert line == "CONNECT up.test:8443 HTTP/1.1"

    async def test_another_name(self) -> None:
        """A proxy that leads elsewhere is found out."""
        async with proxied(speaking_tls()) as (port, _):
            of = channel(proxy=f"http://127.0.0.1:{port}")
            told = await heard(request("other.test", 443, tls=True), of)

        assert told == "TLS: Hostname mismatch"

    async def test_files_of_the_channel(self, tmp_path: Path, private_file: Path) -> None:
        """Authority and client certificate are for the upstream at the far end."""
        context = server_context(PRIVATE.issue_cert("up.test"), clients_of=PRIVATE)
        async with proxied(demanding(context)) as (port, _):
            of = channel(
                ca_file=private_file,
                client_cert=write_leaf(tmp_path, PRIVATE),
                proxy=f"http://127.0.0.1:{port}",
            )
            assert await heard(request("up.test", 443, tls=True), of) == "hello"

    @pytest.mark.parametrize("tls", [True, False])
    async def test_by_tls(self, tls: bool) -> None:
        """A proxy may be behind TLS itself; what is inside of it may be too."""
        handle = speaking_tls() if tls else say_hello
        async with proxied(handle, tls=server_context(LEAF)) as (port, _):
            of = channel(proxy=f"https://127.0.0.1:{port}")
            assert await heard(request("up.test", 443, tls=tls), of) == "hello"

    async def test_by_tls_of_another_authority(self) -> None:
        """A proxy behind TLS is verified by what the system trusts, and told from the upstream."""
        context = server_context(PRIVATE.issue_cert("127.0.0.1"))
        async with proxied(demanding(context)) as (_, tunnels), server(demanding(context)) as port:
            of = channel(proxy=f"https://127.0.0.1:{port}")
            told = await heard(request("up.test", 443, tls=False), of)

        assert told == "proxy: TLS: unable to get local issuer certificate"
        assert tunnels.heads == []

    @pytest.mark.parametrize("tls", [True, False])
    async def test_credentials(self, tls: bool) -> None:
        """Credentials are shown; a proxy that wants others is told by its status alone."""
        handle = speaking_tls() if tls else say_hello
        async with proxied(handle, credentials="user:p@ss") as (port, _):
            where = request("up.test", 443, tls=tls)
            good = channel(proxy=f"http://user:p%40ss@127.0.0.1:{port}")
            bad = channel(proxy=f"http://user:hush@127.0.0.1:{port}")
            assert await heard(where, good) == "hello"
            assert await heard(where, bad) == "proxy: HTTP 407"

    async def test_not_there(self) -> None:
        """A proxy that cannot be reached is told from an upstream that cannot."""
        away = channel(proxy=f"http://user:hush@127.0.0.1:{unused_port()}")
        unknown = channel(proxy="http://no-such-host.invalid:3128")
        where = request("up.test", 443, tls=True)

        assert await heard(where, away) == "proxy: connection refused"
        assert await heard(where, unknown) == "proxy: DNS: the host name is not known"

    async def test_hangs_up(self) -> None:
        """A proxy that leaves without an answer is told."""
        async with server(hang_up) as port:
            of = channel(proxy=f"http://127.0.0.1:{port}")
            assert await heard(request("up.test", 443, tls=True), of) == "proxy: hung up"

    async def test_impossible_name(self) -> None:
        """A name that no certificate can have is told, though the proxy took it."""
        async with proxied(say_hello) as (port, _):
            of = channel(proxy=f"http://127.0.0.1:{port}")
            assert await heard(request(".test", 443, tls=True), of) == (
                "TLS: no certificate can have this host name"
            )
            assert (await heard(request("a" * 300, 443, tls=True), of)).startswith("TLS: ")

    async def test_wrong_setting(self) -> None:
        """What is no proxy is told and not repeated."""
        told = await heard(request("up.test", 443, tls=True), channel(proxy="hush"))

        assert told == "proxy: the setting must start with http:// or https://"

    async def test_hangs(self, socket_clock: MockClock) -> None:
        """A proxy that never answers is left at the caller's deadline."""
        left = trio.Event()

        async def never_answer(stream: trio.SocketStream) -> None:
            async with stream:
                while await stream.receive_some():
                    pass
                left.set()

        async with server(never_answer) as port:
            of = channel(proxy=f"http://127.0.0.1:{port}")
            start = trio.current_time()
            with trio.move_on_after(5) as deadline:
                await own_dial()(of, request("up.test", 443, tls=True))
            assert trio.current_time() - start == 5
            await left.wait()

        assert deadline.cancelled_caught


class TestEnvironment:
    """The proxies of the environment."""

    async def test_by_mapping(self) -> None:
        """An upstream elsewhere is reached through them, but for exceptions; one here never is."""
        async with proxied(speaking_tls()) as (port, tunnels), server(speaking_tls()) as here:
            url = f"http://127.0.0.1:{port}"
            dial = own_dial(HTTPS_PROXY=url, NO_PROXY=".invalid")
            assert await heard(request("up.test", 443, tls=True), dial=dial) == "hello"
            assert await heard(request("127.0.0.1", here, tls=True), dial=dial) == "hello"
            assert await heard(request("up.invalid", 443, tls=True), dial=dial) == (
                "DNS: the host name is not known"
            )
        assert len(tunnels.heads) == 1

    async def test_of_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a mapping it is the environment of the process."""
        for name in ("https_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with proxied(speaking_tls()) as (port, _):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            where = request("up.test", 443, tls=True)
            assert await heard(where, dial=TcpDial()) == "hello"

    async def test_of_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client's whole turn goes through the proxy of the environment."""
        for name in ("http_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

        async def simulate(stream: trio.SocketStream) -> None:
            await serve_simulated(stream, parse_fault("delay=0"))

        async with proxied(simulate) as (port, tunnels):
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            question = Question("Hello", spoken=False)
            reply = await take_turn(server_at("http://up.test/v1"), question, model="any")

        assert reply.problems == ()
        assert [head[0] for head in tunnels.heads] == ["CONNECT up.test:80 HTTP/1.1"]

    async def test_wrong(self) -> None:
        """A proxy of another kind is told by its variable, and not gone around."""
        told = await heard(
            request("up.test", 443, tls=True), dial=own_dial(ALL_PROXY="socks5://u:hush@a.test")
        )

        assert told == "proxy: ALL_PROXY must start with http:// or https://"


@asynccontextmanager
async def proxied(
    handle: dialkit.Handler, credentials: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Tunnels]]:
    """Serve an upstream with an HTTP proxy in front of it; give the proxy's port, and the proxy."""
    async with server(handle) as upstream:
        tunnels = Tunnels(upstream, credentials, tls)
        async with server(tunnels) as port:
            yield port, tunnels


class Sockets(trio.abc.SocketFactory):
    """Makes the sockets of the dials, and keeps them (mutable)."""

    def __init__(self) -> None:
        self.made: list[trio.socket.SocketType] = []

    def socket(self, *how: int) -> trio.socket.SocketType:
        """Make a socket."""
        self.made.append(trio.socket.from_stdlib_socket(socket.socket(*how)))
        return self.made[-1]

    def all_closed(self) -> bool:
        """Whether none is open."""
        return all(made.fileno() < 0 for made in self.made)


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after a number of steps of any task (mutable: it counts)."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count."""
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


@pytest.mark.parametrize("way", ["tcp", "tls", "proxy", "tls in tls"])
async def test_cancelled_anywhere(way: str) -> None:
    """A dial that is cancelled at any of its steps leaves no socket open."""
    tls = server_context(LEAF) if way == "tls in tls" else None
    quiet = demanding(server_context(LEAF))
    async with proxied(say_hello if way == "tcp" else quiet, tls=tls) as (port, tunnels):
        scheme = "https" if tls else "http"
        of = (
            channel(proxy=f"{scheme}://127.0.0.1:{port}")
            if way in ("proxy", "tls in tls")
            else CHANNEL
        )
        where = request("127.0.0.1", tunnels.port, tls=way != "tcp")
        dial = own_dial()
        await trio.aclose_forcefully(await dial(of, where))
        for steps in count(1):
            if not await cancelled_dial(dial, of, where, steps):
                break

    assert steps > 3


async def cancelled_dial(dial: TcpDial, of: Channel, where: UpstreamRequest, steps: int) -> bool:
    """Dial, cancelled after so many steps; False: it was done before."""
    sockets, scope = Sockets(), trio.CancelScope()
    watch = CancelAfter(scope, steps)
    stream = None
    before = trio.socket.set_custom_socket_factory(sockets)
    trio.lowlevel.add_instrument(watch)
    try:
        with scope:
            stream = await dial(of, where)
    finally:
        trio.lowlevel.remove_instrument(watch)
        trio.socket.set_custom_socket_factory(before)
    if stream is not None:
        await trio.aclose_forcefully(stream)
    with trio.fail_after(dialkit.PATIENCE):
        while not sockets.all_closed():
            await trio.lowlevel.checkpoint()
    return stream is None
