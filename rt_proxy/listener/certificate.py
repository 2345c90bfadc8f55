"""Certificates in files: are they good, and the TLS context that is made of the listener's."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from rt_proxy.errors import ListenError
from rt_proxy.settings import TlsSettings

_MARKS = {"cert": b"-----BEGIN CERTIFICATE-----", "key": b"PRIVATE KEY-----"}


def server_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return the TLS context of a certificate.

    Raises:
        ListenError: A file cannot be read, or certificate and key do not belong together.
    """
    problems = list(certificate_problems(tls))
    if problems:
        raise ListenError("; ".join(problems))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(context, tls)
    return context


def load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    """Load a certificate and its key into a context.

    Raises:
        OSError: They cannot be read or used; ``certificate_problems`` says why.
    """
    # A password is never asked for: a server has nobody to type it.
    context.load_cert_chain(tls.cert, tls.key, password=lambda: "")


def certificate_problems(tls: TlsSettings, place: str = "listen.tls") -> Iterator[str]:
    """Yield what is wrong with the files, each as ``listen.tls.key: what is wrong``."""
    unusable = False
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        for problem in _pem_problems(path, _MARKS[name]):
            unusable = True
            yield f"{place}.{name}: {path} {problem}"
    if unusable:
        return
    try:
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield f"{place}.key: {tls.key} is not the key of the certificate"
        else:
            yield f"{place}: the certificate and key cannot be used: {error.reason or error}"


def upstream_file_problems(
    ca_file: Path | None, client_cert: TlsSettings | None, prefix: str = ""
) -> Iterator[str]:
    """Yield what is wrong with a channel's files, each as ``client_cert.key: what is wrong``.

    Args:
        ca_file: The channel's.
        client_cert: The channel's.
        prefix: Goes before each place, such as ``channels[1].``.
    """
    if ca_file is not None:
        for problem in _authority_problems(ca_file):
            yield f"{prefix}ca_file: {ca_file} {problem}"
    if client_cert is not None:
        yield from certificate_problems(client_cert, f"{prefix}client_cert")


def _authority_problems(path: Path) -> Iterator[str]:
    try:
        path.read_bytes()  # says more of a file that cannot be read than what follows
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        if error.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
            yield f"is no PEM file with {_MARKS['cert'].decode().strip('-')}"
        else:
            yield f"has a certificate that cannot be used: {error.reason or error}"
    except (OSError, ValueError) as error:
        yield _unreadable(error)


def _pem_problems(path: Path, mark: bytes) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        yield _unreadable(error)
        return
    if mark not in content:
        yield f"is no PEM file with {mark.decode().strip('-')}"
    elif b"ENCRYPTED" in content:
        yield "is encrypted; it is needed without a passphrase"


def _unreadable(error: OSError | ValueError) -> str:
    # A path that no file can have is a ValueError.
    why = error.strerror if isinstance(error, OSError) else None
    return f"cannot be read: {why or error}"
