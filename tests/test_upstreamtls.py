"""The TLS contexts of channels: made once, made anew when a file changes, kept when it breaks."""

import os
import ssl
from pathlib import Path

import pytest
import trustme
from dialkit import channel

from rt_proxy.channels import Channel
from rt_proxy.listener.dialfailure import DialError
from rt_proxy.listener.upstreamtls import UpstreamTls
from rt_proxy.settings import TlsSettings


def write_authority(path: Path) -> Path:
    """Write a new authority."""
    path.unlink(missing_ok=True)
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The file of an authority."""
    return write_authority(tmp_path / "ca.pem")


@pytest.fixture
def client_cert(tmp_path: Path) -> TlsSettings:
    """A certificate and its key, in files."""
    files = TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem")
    leaf = trustme.CA().issue_cert("client.test")
    leaf.cert_chain_pems[0].write_to_path(str(files.cert))
    leaf.private_key_pem.write_to_path(str(files.key))
    return files


def failure(tls: UpstreamTls, of: Channel) -> str:
    """Return what is said of a channel that cannot be dialled."""
    with pytest.raises(DialError) as caught:
        tls.context(of)
    return caught.value.why


def test_system() -> None:
    """Channels without files share the context that trusts what the system does."""
    tls = UpstreamTls()

    assert tls.context(channel()) is tls.context(channel()) is tls.system
    assert tls.system.verify_mode is ssl.CERT_REQUIRED
    assert tls.system.check_hostname


def test_given() -> None:
    """A context that was given takes the place of the system's."""
    context = ssl.create_default_context()

    assert UpstreamTls(context).context(channel()) is context


def test_authority(authority: Path) -> None:
    """An authority of the channel's takes the place of the system's; names are still verified."""
    context = UpstreamTls().context(channel(ca_file=authority))

    assert context.cert_store_stats()["x509_ca"] == 1
    assert context.check_hostname


def test_client_certificate(client_cert: TlsSettings) -> None:
    """With a client certificate alone, upstreams are verified as without."""
    tls = UpstreamTls()
    context = tls.context(channel(client_cert=client_cert))

    assert context.cert_store_stats() == tls.system.cert_store_stats()
    assert context is not tls.system


def test_kept(authority: Path, client_cert: TlsSettings) -> None:
    """While the files stay as they are, so does the context, and channels share it."""
    tls = UpstreamTls()
    both = channel(ca_file=authority, client_cert=client_cert)

    assert tls.context(both) is tls.context(channel(ca_file=authority, client_cert=client_cert))
    assert tls.context(both) is not tls.context(channel(ca_file=authority))


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_touched(authority: Path, client_cert: TlsSettings, name: str) -> None:
    """A file that was written again is read again."""
    tls = UpstreamTls()
    both = channel(ca_file=authority, client_cert=client_cert)
    first = tls.context(both)
    os.utime(authority.with_name(name), (1, 1))

    assert tls.context(both) is not first


def test_renewed(authority: Path) -> None:
    """A new authority is the one that counts."""
    tls = UpstreamTls()
    first = tls.context(channel(ca_file=authority)).get_ca_certs()
    write_authority(authority)

    assert tls.context(channel(ca_file=authority)).get_ca_certs() != first


@pytest.mark.log_says("No such file or directory")
def test_missing(tmp_path: Path) -> None:
    """A file that is not there is said to be of no use, without its path; the log has that."""
    assert failure(UpstreamTls(), channel(ca_file=tmp_path / "ca.pem")) == (
        "TLS: ca_file cannot be used"
    )


@pytest.mark.log_says("channel up: ")
def test_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells it once, with the path, until the file changes; then it is tried again."""
    tls, path = UpstreamTls(), tmp_path / "ca.pem"
    of = channel(ca_file=path)
    for _ in range(3):
        failure(tls, of)
    path.write_text("hello")
    for _ in range(3):
        failure(tls, of)
    write_authority(path)

    assert tls.context(of).cert_store_stats()["x509_ca"] == 1
    assert caplog.messages == [
        f"channel up: ca_file: {path} cannot be read: No such file or directory",
        f"channel up: ca_file: {path} is no PEM file with BEGIN CERTIFICATE",
    ]


@pytest.mark.log_says("is not the key of the certificate")
def test_half_renewed(client_cert: TlsSettings, caplog: pytest.LogCaptureFixture) -> None:
    """While a renewal has written one file of two, the pair before it stays in force."""
    tls = UpstreamTls()
    of = channel(client_cert=client_cert)
    first = tls.context(of)
    leaf = trustme.CA().issue_cert("client.test")
    leaf.cert_chain_pems[0].write_to_path(str(client_cert.cert))
    between = [tls.context(of) for _ in range(2)]
    leaf.private_key_pem.write_to_path(str(client_cert.key))

    assert between == [first, first]
    assert tls.context(of) is not first
    [message] = caplog.messages
    assert message.endswith("; what was read before stays in force")


@pytest.mark.log_says("is not the key of the certificate")
def test_other_key(client_cert: TlsSettings) -> None:
    """A key of another certificate is named as what is of no use."""
    trustme.CA().issue_cert("x.test").private_key_pem.write_to_path(str(client_cert.key))

    assert failure(UpstreamTls(), channel(client_cert=client_cert)) == (
        "TLS: client_cert.key cannot be used"
    )


@pytest.mark.log_says("cannot be read: ")
def test_impossible_path() -> None:
    """A path that no file can have is a failure like any other."""
    assert failure(UpstreamTls(), channel(ca_file=Path("a\0b"))) == "TLS: ca_file cannot be used"


@pytest.mark.log_says("its files changed while they were read")
def test_mended_meanwhile(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is good again when it is asked why it is not, is tried again at the next dial."""
    with monkeypatch.context() as broken:
        broken.setattr(ssl, "create_default_context", _raise)
        tls = UpstreamTls()
        why = failure(tls, channel(ca_file=authority))
    write_authority(authority)

    assert why == "TLS: its files changed while they were read cannot be used"
    assert tls.context(channel(ca_file=authority))


def _raise(**_how: object) -> ssl.SSLContext:
    raise OSError("gone")
