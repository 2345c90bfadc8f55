"""A certificate that is renewed while the listener lives, seen by clients that verify it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from commands import PATIENCE

from rt_proxy.errors import ListenError
from rt_proxy.listener.livecertificate import LiveCertificate, TlsListener
from rt_proxy.settings import TlsSettings

OLD, NEW = trustme.CA(), trustme.CA()


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    """Where the certificate and its key are."""
    return TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")


def issue(tls: TlsSettings, authority: trustme.CA) -> None:
    """Write a certificate for localhost and its key."""
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(str(tls.cert))
    leaf.private_key_pem.write_to_path(str(tls.key))


class Entrance:
    """A listener with TLS that sends back what it gets."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, trusted: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
        """Shake hands as a client that trusts one authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusted.configure_trust(context)
        stream = await trio.open_ssl_over_tcp_stream(
            "localhost", self.port, ssl_context=context, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def refuses(self, trusted: trustme.CA) -> bool:
        """Whether a client that trusts this authority alone is not content."""
        try:
            stream = await self.connect(trusted)
        except trio.BrokenResourceError:
            return True
        await stream.aclose()
        return False


async def echo(stream: trio.abc.Stream) -> None:
    """Send back what comes; a client that does not trust us hangs up."""
    try:
        while data := await stream.receive_some():
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def answers(stream: trio.abc.Stream) -> bool:
    """Whether a connection is alive."""
    await stream.send_all(b"still here")
    return bytes(await stream.receive_some()) == b"still here"


@asynccontextmanager
async def entrance(certificate: LiveCertificate) -> AsyncIterator[Entrance]:
    """Listen with a certificate."""
    (listener,) = await trio.open_tcp_listeners(0, host="localhost")
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, echo, [TlsListener(listener, certificate)])
            yield Entrance(listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()


async def test_renewal(tls: TlsSettings) -> None:
    """Newcomers are shown the new certificate; a connection that lives goes on."""
    issue(tls, OLD)
    certificate = LiveCertificate(tls)
    async with entrance(certificate) as door, await door.connect(OLD) as old:
        issue(tls, NEW)
        assert await door.refuses(NEW)  # nobody has looked at the files yet
        certificate.renew(tls)
        async with await door.connect(NEW) as new:
            assert await answers(new)
        assert await door.refuses(OLD)
        assert await answers(old)


async def test_other_files(tls: TlsSettings, tmp_path: Path) -> None:
    """The renewed certificate may be in other files."""
    issue(tls, OLD)
    certificate = LiveCertificate(tls)
    other = TlsSettings(cert=tmp_path / "other.pem", key=tmp_path / "other.key")
    issue(other, NEW)
    async with entrance(certificate) as door:
        certificate.renew(other)
        async with await door.connect(NEW) as new:
            assert await answers(new)


async def test_broken_renewal(tls: TlsSettings) -> None:
    """A key of another certificate is an error, and the pair in use stays in use, whole."""
    issue(tls, OLD)
    certificate = LiveCertificate(tls)
    async with entrance(certificate) as door:
        NEW.issue_cert("localhost").private_key_pem.write_to_path(str(tls.key))
        with pytest.raises(ListenError, match="is not the key of the certificate"):
            certificate.renew(tls)
        async with await door.connect(OLD) as stream:
            assert await answers(stream)


def test_files_replaced_meanwhile(tls: TlsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are replaced between the look and the reading are an error like any other."""
    issue(tls, OLD)

    def replaced(_tls: TlsSettings) -> ssl.SSLContext:
        raise ssl.SSLError(1, "KEY_VALUES_MISMATCH")

    monkeypatch.setattr("rt_proxy.listener.livecertificate.server_context", replaced)
    with pytest.raises(ListenError, match=r"listen\.tls: the files cannot be used: "):
        LiveCertificate(tls)
