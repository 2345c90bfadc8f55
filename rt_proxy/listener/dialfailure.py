"""Why a dial failed, in words that may be told to a client."""

import os
import socket
import ssl

import trio

#: In what OpenSSL says of a certificate that is another host's, here follows our host's name.
_NAME_FOLLOWS = ", certificate is not valid for"


class DialError(OSError):
    """An upstream cannot be dialled.

    Attributes:
        why: In a few words: no address, no secret, no path, nothing of the upstream's.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def dial_failure(error: OSError | trio.BrokenResourceError) -> str:
    """Say in a few words why a dial failed: no address, no secret, nothing of the upstream's."""
    match _root_of(error):
        case DialError(why=why):
            return why
        case ssl.SSLCertVerificationError(verify_message=why):
            return f"TLS: {why.partition(_NAME_FOLLOWS)[0]}"
        case trio.BrokenResourceError() | ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "hung up during the TLS handshake"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return "TLS: what answers there speaks no TLS, as behind http:// and ws://"
        case ssl.SSLError(reason=why):
            return f"TLS: {why or 'the handshake failed'}"
        case socket.gaierror():
            return "DNS: the host name is not known"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            return "cannot connect"


def _root_of(error: BaseException) -> BaseException:
    """Return what a failure came from; of several addresses that failed, the first."""
    while error.__cause__ is not None:
        error = error.__cause__
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    return error
