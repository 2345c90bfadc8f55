"""Connects to an upstream: TCP, and TLS with the system's certificates."""

import os
import socket
import ssl
from typing import Protocol

import trio

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.session.direct import direct


class Dial(Protocol):
    """How an upstream is reached; embedders may bring their own."""

    async def __call__(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Connect, TLS included, and return the stream; the WebSocket upgrade is not its task.

        The caller sets the deadline. Cancelling must leave nothing open.

        Raises:
            OSError: The upstream cannot be reached, or its certificate is not good.
            trio.BrokenResourceError: It hung up during the TLS handshake.
        """


class TcpDial:
    """Connects over TCP, several addresses in parallel (RFC 8305); verifies certificates."""

    def __init__(self) -> None:
        self._ssl_context: ssl.SSLContext | None = None

    async def __call__(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Connect to the host and port of a request. Cancelling closes what was opened."""
        try:
            stream = await trio.open_tcp_stream(request.host, request.port)
        except UnicodeError:  # from IDNA
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
        if not request.tls:
            return stream
        # Made once, at the first need: loading the system's certificates takes long.
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        tls = trio.SSLStream(
            direct(stream), self._ssl_context, server_hostname=request.host, https_compatible=True
        )
        try:
            await tls.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(tls)
            raise
        return tls


def dial_failure(error: OSError | trio.BrokenResourceError) -> str:
    """Say in a few words why a dial failed: no address, no secret, nothing of the upstream's."""
    match _root_of(error):
        case ssl.SSLCertVerificationError(verify_message=why):
            return f"TLS: {why}"
        case ssl.SSLError(reason=why):
            return f"TLS: {why or 'the handshake failed'}"
        case socket.gaierror():
            return "DNS: the host name is not known"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case trio.BrokenResourceError():
            return "hung up during the TLS handshake"
        case _:
            return "cannot connect"


def _root_of(error: BaseException) -> BaseException:
    """Return what a failure came from; of several addresses that failed, the first."""
    while error.__cause__ is not None:
        error = error.__cause__
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    return error
