"""What is said of a dial that failed."""

import errno
import socket
import ssl

import pytest
import trio

from rt_proxy.listener.dialfailure import DialError, dial_failure


def caused(error: BaseException, by: BaseException) -> BaseException:
    """Return an exception with its cause."""
    error.__cause__ = by
    return error


NO_TLS = "TLS: what answers there speaks no TLS, as behind http:// and ws://"


def tls_error(kind: type[ssl.SSLError], **facts: str | None) -> ssl.SSLError:
    """Return an error of OpenSSL, which sets its facts from outside."""
    error = kind(1, "[SSL] 10.0.0.1 said hush")
    for name, value in facts.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DialError("proxy: HTTP 407"), "proxy: HTTP 407"),
        (socket.gaierror(socket.EAI_NONAME, "hush"), "DNS: the host name is not known"),
        (OSError(errno.ECONNREFUSED, "10.0.0.1 hush"), "connection refused"),
        (OSError("10.0.0.1 hush"), "cannot connect"),
        (trio.BrokenResourceError("hush"), "hung up during the TLS handshake"),
        (tls_error(ssl.SSLError, reason="WRONG_VERSION_NUMBER"), NO_TLS),
        (tls_error(ssl.SSLError, reason="BAD_RECORD_MAC"), "TLS: BAD_RECORD_MAC"),
        (tls_error(ssl.SSLError, reason=None), "TLS: the handshake failed"),
        (
            tls_error(ssl.SSLCertVerificationError, verify_message="certificate has expired"),
            "TLS: certificate has expired",
        ),
    ],
)
def test_words(error: OSError | trio.BrokenResourceError, told: str) -> None:
    """Each failure has its words, as it is and as the cause of another."""
    group = BaseExceptionGroup("all failed", [error, OSError(errno.ENETUNREACH, "hush")])

    assert dial_failure(error) == told
    assert dial_failure(caused(OSError("hush"), error)) == told  # type: ignore[arg-type]
    assert dial_failure(caused(OSError("hush"), group)) == told  # type: ignore[arg-type]
