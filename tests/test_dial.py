"""How upstreams are reached over TCP and TLS, and what is said when they are not."""

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from rt_proxy import Settings
from rt_proxy.channels import UpstreamRequest, make_channels
from rt_proxy.listener.dial import TcpDial, dial_failure
from rt_proxy.settings import ChannelSettings

PATIENCE = 60
[CHANNEL] = make_channels(Settings(channels=(ChannelSettings("s", "simulator", {"*": "*"}),)))
AUTHORITY = trustme.CA()

Handler = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(autouse=True)
def _authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make our authority the only one that the system trusts."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def request(host: str, port: int, *, tls: bool) -> UpstreamRequest:
    """Return a request to an address."""
    return UpstreamRequest(tls, host, port, host, "/", ())


def speaking_tls(name: str, authority: trustme.CA = AUTHORITY) -> Handler:
    """Return a server with a certificate for a name, that says hello."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)

    async def handle(stream: trio.SocketStream) -> None:
        async with trio.SSLStream(
            stream, context, server_side=True, https_compatible=True
        ) as secure:
            try:
                await secure.send_all(b"hello")
            except trio.BrokenResourceError:
                return  # it was hung up on, as some tests will have it

    return handle


async def say_hello(stream: trio.SocketStream) -> None:
    """Be a server that speaks plainly."""
    async with stream:
        await stream.send_all(b"hello")


async def hang_up(stream: trio.SocketStream) -> None:
    """Be a server that leaves in the midst of the handshake."""
    async with stream:
        await stream.receive_some()


@asynccontextmanager
async def server(handle: Handler) -> AsyncIterator[int]:
    """Serve on this machine, and give the port."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
            [listener] = await nursery.start(serve)
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


async def failure(host: str, port: int, *, tls: bool) -> str:
    """Dial where it must fail, and return what is said of it."""
    try:
        stream = await TcpDial()(CHANNEL, request(host, port, tls=tls))
    except (OSError, trio.BrokenResourceError) as error:
        return dial_failure(error)
    await trio.aclose_forcefully(stream)
    return "it did not fail"


async def test_tcp() -> None:
    """Without TLS a plain connection is what comes out."""
    async with server(say_hello) as port:
        stream = await TcpDial()(CHANNEL, request("127.0.0.1", port, tls=False))
        async with stream:
            assert await stream.receive_some() == b"hello"


async def test_tls() -> None:
    """With TLS the certificate is held to the name and to the system's authorities."""
    dial = TcpDial()
    async with server(speaking_tls("127.0.0.1")) as port:
        for _ in range(2):
            stream = await dial(CHANNEL, request("127.0.0.1", port, tls=True))
            async with stream:
                assert await stream.receive_some() == b"hello"


async def test_certificate_of_another_name() -> None:
    """A certificate for another name is no way in."""
    async with server(speaking_tls("up.test")) as port:
        told = await failure("127.0.0.1", port, tls=True)

    assert told.startswith("TLS: IP address mismatch")


async def test_certificate_of_another_authority() -> None:
    """A certificate that the system does not trust is no way in."""
    async with server(speaking_tls("127.0.0.1", trustme.CA())) as port:
        told = await failure("127.0.0.1", port, tls=True)

    assert told == "TLS: unable to get local issuer certificate"


async def test_no_tls() -> None:
    """A server that speaks plainly where TLS is due is told from one that is away."""
    async with server(say_hello) as port:
        told = await failure("127.0.0.1", port, tls=True)

    assert told.startswith("TLS: ")


async def test_hang_up() -> None:
    """A server that leaves during the handshake is told so."""
    async with server(hang_up) as port:
        told = await failure("127.0.0.1", port, tls=True)

    assert told in ("hung up during the TLS handshake", "TLS: UNEXPECTED_EOF_WHILE_READING")


async def test_nobody_there() -> None:
    """A port where nobody listens refuses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert await failure("127.0.0.1", port, tls=False) == "connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 70])
async def test_no_host(host: str) -> None:
    """A name that has no address, or can be none, is a failure like any other, not a fault."""
    assert await failure(host, 9, tls=False) == "DNS: the host name is not known"


async def test_cancelled_in_the_handshake() -> None:
    """A dial that is cancelled while TLS is being agreed leaves no connection open."""
    hung_up = trio.Event()

    async def never_answer(stream: trio.SocketStream) -> None:
        async with stream:
            while await stream.receive_some():
                dialling.cancel()
            hung_up.set()

    async with server(never_answer) as port:
        with trio.CancelScope() as dialling:
            await TcpDial()(CHANNEL, request("127.0.0.1", port, tls=True))
        await hung_up.wait()

    assert dialling.cancelled_caught
