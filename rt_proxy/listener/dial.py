"""Connects to an upstream: TCP, through an HTTP proxy where there is one, and TLS."""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.channels.proxyurl import ProxyUrl
from rt_proxy.listener.connectproxy import ask_for_tunnel
from rt_proxy.listener.dialfailure import DialError, dial_failure
from rt_proxy.listener.keepalive import keep_alive
from rt_proxy.listener.proxyroute import proxy_for
from rt_proxy.listener.upstreamtls import UpstreamTls
from rt_proxy.session.direct import direct
from rt_proxy.settings import Timeouts


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
    """Connects over TCP, several addresses in parallel (RFC 8305); verifies certificates.

    Channels may have authorities, a client certificate and a proxy of their own
    (mutable: what is made of the certificates is kept).
    """

    def __init__(
        self,
        *,
        keepalive: float = Timeouts().tcp_keepalive,
        environ: Mapping[str, str] | None = None,
        system: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to dial.

        Args:
            keepalive: The silence after which the system probes a connection, in seconds; 0: never.
            environ: Where ``HTTPS_PROXY`` and its like are looked up; None: the process's own.
            system: Verifies upstreams without a ``ca_file``; None: by what the system trusts.
        """
        self._keepalive = keepalive
        self._environ = os.environ if environ is None else environ
        self._tls = UpstreamTls(system)

    async def __call__(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Connect to the host and port of a request. Cancelling closes what was opened."""
        context = self._tls.context(channel) if request.tls else None
        try:
            proxy = proxy_for(channel, request, self._environ)
        except ValueError as error:
            raise DialError(f"proxy: {error}") from None
        if proxy is None:
            stream = await self._connect(request.host, request.port)
        else:
            stream = await self._tunnel(proxy, request)
        return stream if context is None else await _secure(stream, context, request.host)

    async def _connect(self, host: str, port: int) -> trio.abc.Stream:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except UnicodeError:  # from IDNA
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
        async with _closed_on_failure(stream):
            keep_alive(stream.socket, self._keepalive)
        return stream

    async def _tunnel(self, proxy: ProxyUrl, request: UpstreamRequest) -> trio.abc.Stream:
        try:
            stream = await self._connect(proxy.host, proxy.port)
            if proxy.tls:
                stream = await _secure(stream, self._tls.system, proxy.host)
        except (OSError, trio.BrokenResourceError) as error:
            raise DialError(f"proxy: {dial_failure(error)}") from None
        async with _closed_on_failure(stream):
            why = await ask_for_tunnel(stream, proxy, request.host, request.port)
            if why is not None:
                raise DialError(f"proxy: {why}")
        return stream


async def _secure(stream: trio.abc.Stream, context: ssl.SSLContext, host: str) -> trio.abc.Stream:
    """Shake hands by TLS on a stream, which is closed if that fails."""
    async with _closed_on_failure(stream):
        try:
            tls = trio.SSLStream(
                direct(stream), context, server_hostname=host, https_compatible=True
            )
        except ValueError:  # from IDNA, where a proxy took the name
            raise DialError("TLS: no certificate can have this host name") from None
        await tls.do_handshake()
    return tls


@asynccontextmanager
async def _closed_on_failure(stream: trio.abc.Stream) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
