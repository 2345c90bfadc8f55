"""The certificate of the listener: is it good, and the TLS context that is made of it."""

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
    _load(context, tls)
    return context


def certificate_problems(tls: TlsSettings) -> Iterator[str]:
    """Yield what is wrong with the files, each as ``listen.tls.key: what is wrong``."""
    unusable = False
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        for problem in _pem_problems(path, _MARKS[name]):
            unusable = True
            yield f"listen.tls.{name}: {path} {problem}"
    if unusable:
        return
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield f"listen.tls.key: {tls.key} is not the key of the certificate"
        else:
            yield f"listen.tls: the certificate and key cannot be used: {error.reason or error}"


def _load(context: ssl.SSLContext, tls: TlsSettings) -> None:
    # A password is never asked for: a server has nobody to type it.
    context.load_cert_chain(tls.cert, tls.key, password=lambda: "")


def _pem_problems(path: Path, mark: bytes) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        yield f"cannot be read: {error.strerror}"
        return
    if mark not in content:
        yield f"is no PEM file with {mark.decode().strip('-')}"
    elif b"ENCRYPTED" in content:
        yield "is encrypted; it is needed without a passphrase"
