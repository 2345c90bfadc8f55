"""Listeners: addresses, and what goes on when they are closed."""

import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from commands import PATIENCE, SIMULATOR
from conftest import Serve
from openai import DefaultHttpxClient, OpenAI

from rt_proxy.errors import ListenError
from rt_proxy.listener.listen import (
    addresses_of,
    doors,
    open_listeners,
    peer_address,
    probe_when_silent,
    serve_listeners,
)
from rt_proxy.session.direct import direct
from rt_proxy.settings import ListenSettings, TlsSettings

ANY_PORT = ListenSettings(port=0)
AUTHORITY = trustme.CA()


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    """A certificate for localhost and its key, in files."""
    files = TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    leaf = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(files.cert))
    leaf.private_key_pem.write_to_path(str(files.key))
    return files


async def addresses(settings: ListenSettings, *, tls: bool = False) -> tuple[str, ...]:
    """Return where the listeners of these settings are reached."""
    listeners = await open_listeners(settings)
    found = addresses_of(listeners, tls=tls)
    for listener in listeners:
        await listener.aclose()
    return found


# Addresses


async def test_any_free_port() -> None:
    """With port 0 the address names the port that was found."""
    (address,) = await addresses(ANY_PORT)

    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", address)


async def test_ipv6() -> None:
    """An IPv6 address stands in brackets."""
    (address,) = await addresses(ListenSettings(host="::1", port=0))

    assert re.fullmatch(r"http://\[::1\]:[1-9]\d*", address)


async def test_tls_address() -> None:
    """With a certificate the address is https."""
    (address,) = await addresses(ANY_PORT, tls=True)

    assert address.startswith("https://127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "address"), [("{}/rt.sock", "unix:{}/rt.sock"), ("\0rt-{}", "unix:@rt-{}")]
)
async def test_unix_address(tmp_path: Path, name: str, address: str) -> None:
    """A Unix socket that was handed over is told by its path, an abstract one with @."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name.format(tmp_path))
        listening.listen()
        async with trio.SocketListener(trio.socket.from_stdlib_socket(listening)) as listener:
            assert addresses_of([listener], tls=False) == (address.format(tmp_path),)


async def test_port_in_use() -> None:
    """A port that is taken is an error with the address and the reason."""
    (first,) = await open_listeners(ANY_PORT)
    async with first:
        (taken,) = addresses_of([first], tls=False)
        port = int(taken.rpartition(":")[2])
        with pytest.raises(ListenError) as caught:
            await open_listeners(ListenSettings(port=port))

    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop what listens there, or change listen.port"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 70])
async def test_no_host(host: str) -> None:
    """A name that has no address, or can be none, is an error with the name."""
    with pytest.raises(ListenError, match=re.escape(f"cannot listen on {host}:0: ")):
        await open_listeners(ListenSettings(host=host, port=0))


# Serving


async def test_closing_the_listeners_leaves_the_visitors() -> None:
    """Who is in stays in when no more are let in."""
    came = trio.Event()
    go_on = trio.Event()

    async def echo(stream: trio.abc.Stream) -> None:
        came.set()
        await go_on.wait()
        await stream.send_all(await stream.receive_some())
        await stream.aclose()

    (listener,) = await open_listeners(ANY_PORT)
    port = int(addresses_of([listener], tls=False)[0].rpartition(":")[2])
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as visitors:
            async with trio.open_nursery() as entrance:
                entrance.start_soon(serve_listeners, doors([listener], None), visitors, echo)
                visitor = await trio.open_tcp_stream("127.0.0.1", port)
                await came.wait()
                entrance.cancel_scope.cancel()
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
            go_on.set()
            await visitor.send_all(b"still here")
            assert await visitor.receive_some() == b"still here"
            await visitor.aclose()


# What is asked of a connection


@asynccontextmanager
async def connection() -> AsyncIterator[trio.SocketStream]:
    """Give a TCP connection as it is accepted."""
    (listener,) = await open_listeners(ANY_PORT)
    async with listener:
        port = listener.socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port), await listener.accept() as stream:
            yield stream


def idle_time(stream: trio.SocketStream) -> int:
    """Return after how long the system probes a connection; 0: never."""
    probes = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) if probes else 0


@pytest.mark.parametrize(("seconds", "idle"), [(60, 60), (0.5, 1), (0, 0)])
async def test_probes(seconds: float, idle: int) -> None:
    """A silent TCP client is probed as set, on whatever streams its connection lies."""
    async with connection() as stream:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        probe_when_silent(trio.SSLStream(direct(stream), context, server_side=True), seconds)

        assert idle_time(stream) == idle


async def test_nothing_to_probe() -> None:
    """A stream that is closed, is no TCP connection or no socket at all is left alone."""
    async with connection() as stream:
        await stream.aclose()
        probe_when_silent(stream, 60)
    near, far = socket.socketpair()
    with near, far:
        unix = trio.SocketStream(trio.socket.from_stdlib_socket(near))
        probe_when_silent(unix, 60)
        assert not idle_time_is_set(unix)
        assert peer_address(unix) is None
    memory, _ = trio.testing.memory_stream_pair()
    probe_when_silent(memory, 60)


def idle_time_is_set(stream: trio.SocketStream) -> bool:
    """Whether the system was asked to probe."""
    return bool(stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_tls_with_a_real_client(serve: Serve, tls: TlsSettings) -> None:
    """Over TLS a client that verifies the certificate gets pages and sessions.

    One that speaks plainly on that port gets nothing, and disturbs nobody.
    """
    lines = f'host = "localhost"\nport = 0\ntls = {{ cert = "{tls.cert}", key = "{tls.key}" }}'
    served = serve(SIMULATOR.replace("port = 0", lines))
    port = int(served.address.rpartition(":")[2])
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    options: Any = {"ssl": context}

    plain = trio.run(_speak_plainly, port)
    with (
        DefaultHttpxClient(verify=context) as http,
        OpenAI(
            api_key=served.token, base_url=f"https://localhost:{port}/v1", http_client=http
        ) as client,
    ):
        listed = client.models.list()
        with client.realtime.connect(
            model="gpt-realtime-2.1", websocket_connection_options=options
        ) as connection:
            first = connection.recv()

    assert plain == b""
    assert listed.object == "list"
    assert first.type == "session.created"
    assert f"--url https://localhost:{port}/v1\n" in served.stderr.text


async def _speak_plainly(port: int) -> bytes:
    with trio.fail_after(PATIENCE):
        stream = await trio.open_tcp_stream("localhost", port)
        async with stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                return bytes(await stream.receive_some())
            except trio.BrokenResourceError:
                return b""
