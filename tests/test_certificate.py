"""Certificates in files: good, or wrong in a way that is said."""

import ssl
from pathlib import Path

import pytest
import trustme

from rt_proxy.errors import ListenError
from rt_proxy.listener.certificate import (
    certificate_problems,
    load_certificate,
    server_context,
    upstream_file_problems,
)
from rt_proxy.settings import TlsSettings

AUTHORITY = trustme.CA()
#: A private key under the password "hush".
LOCKED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBT4ooRLJayEBRi/8Qy
QkZlAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQSP3xK/f2Ih/0P/Rc
v0B4KASBkCebgD47kpWw0rZ4HqG8aWnPvkNJomHft7/pS4VcZ1x1shUPi+x2mtU4
EYm7Gg6GxEE9bbqCDzcIZCIorvGCP7qfeIrk8/PTlAby6NtZzkKG8cLlbtgvJ1+b
Otgas6d+WhZnwgrch4zSD0wz0HVqHm3ezQLajCvSmjflZqK5xIzXYwHmvYuqSJA6
vM9p/PbJdg==
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    """A certificate for localhost and its key, in files."""
    files = TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    leaf = AUTHORITY.issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(str(files.cert))
    leaf.private_key_pem.write_to_path(str(files.key))
    return files


def problem_of(tls: TlsSettings) -> str:
    """Return the one problem of a certificate; the listener's error says the same."""
    (problem,) = certificate_problems(tls)
    with pytest.raises(ListenError) as caught:
        server_context(tls)
    assert str(caught.value) == problem
    return problem


def test_good(tls: TlsSettings) -> None:
    """A certificate and its key make a context, and no problem."""
    assert list(certificate_problems(tls)) == []
    assert isinstance(server_context(tls), ssl.SSLContext)


def test_unreadable(tls: TlsSettings) -> None:
    """A file that is not there is named, with its place in the settings."""
    tls.key.unlink()

    assert problem_of(tls) == (
        f"listen.tls.key: {tls.key} cannot be read: No such file or directory"
    )


def test_both_unreadable(tls: TlsSettings) -> None:
    """Two problems are told at once."""
    tls.key.unlink()
    tls.cert.unlink()

    assert [problem.partition(":")[0] for problem in certificate_problems(tls)] == [
        "listen.tls.cert",
        "listen.tls.key",
    ]


@pytest.mark.parametrize("broken", ["cert", "key"])
def test_no_pem(tls: TlsSettings, broken: str) -> None:
    """A file of another kind is named, and what it should hold."""
    path = getattr(tls, broken)
    path.write_text("hello")

    assert problem_of(tls).startswith(f"listen.tls.{broken}: {path} is no PEM file with ")


def test_broken_pem(tls: TlsSettings) -> None:
    """A file that only looks like a certificate is said to be unusable."""
    tls.cert.write_text("-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n")

    assert problem_of(tls).startswith("listen.tls: the certificate and key cannot be used: ")


def test_key_of_another(tls: TlsSettings) -> None:
    """A key of another certificate is named."""
    AUTHORITY.issue_cert("localhost").private_key_pem.write_to_path(str(tls.key))

    assert problem_of(tls) == f"listen.tls.key: {tls.key} is not the key of the certificate"


def test_key_with_a_password(tls: TlsSettings) -> None:
    """A key with a password is a problem, and nobody is asked on the terminal."""
    tls.key.write_text(LOCKED_KEY)

    assert "is encrypted; it is needed without a passphrase" in problem_of(tls)


def test_impossible_path(tls: TlsSettings) -> None:
    """A path that no file can have is one that cannot be read."""
    wrong = TlsSettings(cert=tls.cert, key=Path("a\0b"))

    assert "cannot be read: " in problem_of(wrong)


def test_load_bad(tls: TlsSettings) -> None:
    """What has a problem cannot be loaded, which is told as an OSError."""
    tls.key.write_text(LOCKED_KEY)
    with pytest.raises(OSError):  # noqa: PT011 - its text is OpenSSL's
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


class TestUpstreamFiles:
    """The files of a channel."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Path:
        """The file of an authority."""
        path = tmp_path / "ca.pem"
        AUTHORITY.cert_pem.write_to_path(str(path))
        return path

    def test_none(self) -> None:
        """A channel without files has no problem with them."""
        assert list(upstream_file_problems(None, None)) == []

    def test_good(self, tls: TlsSettings, authority: Path) -> None:
        """An authority, or several, and a certificate with its key are no problem."""
        authority.write_bytes(authority.read_bytes() + trustme.CA().cert_pem.bytes())

        assert list(upstream_file_problems(authority, tls)) == []

    def test_all_at_once(self, tmp_path: Path) -> None:
        """Every file that is not there is told, with its place."""
        none = tmp_path / "none.pem"
        problems = upstream_file_problems(none, TlsSettings(none, none), "channels[1].")

        assert list(problems) == [
            f"channels[1].{field}: {none} cannot be read: No such file or directory"
            for field in ("ca_file", "client_cert.cert", "client_cert.key")
        ]

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "is no PEM file with BEGIN CERTIFICATE"),
            (b"\x30\x82", "is no PEM file with BEGIN CERTIFICATE"),
            (AUTHORITY.private_key_pem.bytes(), "is no PEM file with BEGIN CERTIFICATE"),
            (
                ssl.DER_cert_to_PEM_cert(b"nonsense").encode(),
                "has a certificate that cannot be used: ",
            ),
        ],
    )
    def test_bad_authority(self, authority: Path, content: bytes, problem: str) -> None:
        """A file without a certificate, or with a broken one, is told."""
        authority.write_bytes(content)
        [told] = upstream_file_problems(authority, None)

        assert told.startswith(f"ca_file: {authority} {problem}")

    def test_folder(self, tmp_path: Path) -> None:
        """A folder is no file."""
        assert list(upstream_file_problems(tmp_path, None)) == [
            f"ca_file: {tmp_path} cannot be read: Is a directory"
        ]

    def test_other_key(self, tls: TlsSettings) -> None:
        """A key of another certificate is named."""
        AUTHORITY.issue_cert("localhost").private_key_pem.write_to_path(str(tls.key))

        assert list(upstream_file_problems(None, tls)) == [
            f"client_cert.key: {tls.key} is not the key of the certificate"
        ]
