"""Upstreams and HTTP proxies on this machine, for the tests of what is dialled."""

import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import trio
import trustme

from rt_proxy import Settings
from rt_proxy.channels import Channel, UpstreamRequest, make_channels
from rt_proxy.settings import ChannelSettings, Secret, TlsSettings

PATIENCE = 60
Handler = Callable[[trio.SocketStream], Awaitable[None]]


def channel(
    *,
    ca_file: Path | None = None,
    client_cert: TlsSettings | None = None,
    proxy: str | None = None,
) -> Channel:
    """Return a channel with files and a proxy of its own."""
    settings = ChannelSettings(
        "up",
        "compatible",
        models=["*"],
        base_url="https://up.test",
        auth="none",
    )
    [made] = make_channels(Settings(channels=(settings,)))
    return attrs.evolve(
        made,
        ca_file=ca_file,
        client_cert=client_cert,
        proxy=None if proxy is None else Secret(proxy),
    )


def request(host: str, port: int, *, tls: bool) -> UpstreamRequest:
    """Return a request to an address."""
    return UpstreamRequest(tls, host, port, host, "/", ())


@asynccontextmanager
async def server(handle: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve on this machine, and give the port."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, handle, 0, host=host)
            [listener] = await nursery.start(serve)
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


def server_context(leaf: trustme.LeafCert, clients_of: trustme.CA | None = None) -> ssl.SSLContext:
    """Return a server's context; with an authority, it demands a certificate of clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    if clients_of is not None:
        clients_of.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def speaking_tls(context: ssl.SSLContext) -> Handler:
    """Return a server that says hello by TLS."""

    async def handle(stream: trio.SocketStream) -> None:
        async with trio.SSLStream(
            stream, context, server_side=True, https_compatible=True
        ) as secure:
            with suppress(trio.BrokenResourceError):  # it was hung up on, as some tests have it
                await secure.send_all(b"hello")

    return handle


async def say_hello(stream: trio.SocketStream) -> None:
    """Be a server that speaks plainly."""
    async with stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"hello")


async def hang_up(stream: trio.SocketStream) -> None:
    """Be a server that leaves as soon as it is spoken to."""
    async with stream:
        await stream.receive_some()


def answering(*parts: bytes, stay: bool = False) -> Handler:
    """Return a proxy that gives an answer of its own to whatever it is asked.

    Args:
        parts: The answer; each part is sent by itself.
        stay: Whether it stays until it is left.
    """

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                for part in parts:
                    await stream.send_all(part)
                while stay and await stream.receive_some():
                    pass

    return handle


@attrs.define
class Tunnels:
    """An HTTP proxy that makes tunnels (mutable: it remembers what it was asked).

    Attributes:
        port: On this machine, where every tunnel leads to.
        credentials: What must be shown, as ``user:password``.
        tls: With it the proxy itself is behind TLS.
        heads: The lines of each request.
    """

    port: int
    credentials: str | None = None
    tls: ssl.SSLContext | None = None
    heads: list[Sequence[str]] = attrs.field(factory=list)

    async def __call__(self, stream: trio.abc.Stream) -> None:
        """Serve one connection."""
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        async with stream:
            with suppress(trio.BrokenResourceError):
                await self._serve(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await stream.receive_some()
            if not data:
                return
            head += data
        lines = head.decode("ascii").split("\r\n")[:-2]
        self.heads.append(lines)
        if self.credentials is not None:
            basic = base64.b64encode(self.credentials.encode()).decode()
            if f"proxy-authorization: Basic {basic}".lower() not in map(str.lower, lines):
                await stream.send_all(b"HTTP/1.1 407 No secrets here\r\nContent-Length: 0\r\n\r\n")
                return
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as upstream:
            await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_copy, stream, upstream, nursery.cancel_scope)
                nursery.start_soon(_copy, upstream, stream, nursery.cancel_scope)


async def _copy(source: trio.abc.Stream, sink: trio.abc.Stream, both: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await sink.send_all(data)
    both.cancel()
