"""Connects to an upstream: TCP, and TLS with the system's certificates."""

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
        stream = await trio.open_tcp_stream(request.host, request.port)
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
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'handshake failed'}"
    if isinstance(cause, socket.gaierror):
        return "DNS: no such host"
    if isinstance(cause, ConnectionRefusedError) or "refused" in str(cause):
        return "connection refused"
    if isinstance(error, trio.BrokenResourceError):
        return "hung up during the TLS handshake"
    return "cannot connect"
