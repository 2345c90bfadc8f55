"""What an embedder gets: ``serve``, ``open_proxy``, and what is never done behind its back."""

import logging
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import kit
import pytest
import trio
import trustme
from kit import Client, farewells, open_house, request_head
from trio.testing import MockClock, memory_stream_pair

import rt_proxy
from rt_proxy import (
    FileTokenStore,
    ListenError,
    MemoryTokenStore,
    Proxy,
    SessionRecord,
    Settings,
    SettingsError,
    TokenStoreError,
    open_proxy,
)
from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.settings import ChannelSettings, ListenSettings, TlsSettings, TokensSettings

PATIENCE = 60
SIMULATOR = ChannelSettings("simulator", "simulator", {"*": "*"})
SIMULATED = Settings(channels=(SIMULATOR,), listen=ListenSettings(port=0))


def one_token(**fields: Any) -> tuple[MemoryTokenStore, str]:
    """Return a store with one token, and its secret."""
    store = MemoryTokenStore()
    _, secret = store.add("tester", now=datetime.now(UTC), **fields)
    return store, secret.reveal()


async def connect(proxy: Proxy) -> Client:
    """Connect over TCP to a proxy that listens."""
    host, _, port = proxy.addresses[0].removeprefix("http://").rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    return Client(stream, stream)


async def page(client: Client, path: str, token: str = "") -> tuple[int, Any]:
    """Ask for a page; return its status and its error."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    await client.send_raw(head.encode())
    status, _, error = await client.read_answer()
    await client.stream.aclose()
    return status, error


async def begin(client: Client, token: str) -> None:
    """Open a session and read its first event."""
    await client.send_raw(request_head(token))
    await client.read_101()
    assert (await client.hear())["type"] == "session.created"


@asynccontextmanager
async def visitor(proxy: Proxy) -> AsyncIterator[Client]:
    """Give a proxy one end of a memory stream, and the other to the test."""
    far, near = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proxy.handle_stream, near)
        yield Client(far, near)
        await far.aclose()


# serve


async def test_serve() -> None:
    """``nursery.start`` returns when the proxy listens; ``serve`` returns when it has drained."""
    tokens, token = one_token()
    records: list[SessionRecord] = []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[Proxy]) -> None:
                await rt_proxy.serve(
                    SIMULATED,
                    tokens=tokens,
                    on_session_end=records.append,
                    task_status=task_status,
                )

            proxy: Proxy = await nursery.start(serve)
            client = await connect(proxy)
            await begin(client, token)
            sessions = proxy.sessions
            async with trio.open_nursery() as farewell:
                farewell.start_soon(farewells, client)
                assert await proxy.drain(seconds=PATIENCE)
        with pytest.raises(OSError, match="all attempts to connect"):
            await connect(proxy)

    assert sessions == 1
    assert [(record.ending, record.token_name) for record in records] == [("drain", "tester")]


async def test_serve_with_the_token_file(tmp_path: Path) -> None:
    """With no store given the token file of the settings decides who comes in."""
    file = tmp_path / "tokens.toml"
    _, secret = rt_proxy.FileTokenStore(file).add("alice", now=datetime.now(UTC))
    settings = attrs.evolve(SIMULATED, tokens=TokensSettings(file))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            proxy: Proxy = await nursery.start(rt_proxy.serve, settings)
            good, _ = await page(await connect(proxy), "/v1/models", secret.reveal())
            bad, _ = await page(await connect(proxy), "/v1/models", "sk-wrong")
            nursery.cancel_scope.cancel()

    assert (good, bad) == (200, 401)


async def test_serve_raises_as_it_is(tmp_path: Path) -> None:
    """What keeps a proxy from starting comes out of ``nursery.start`` as one plain exception."""
    file = tmp_path / "tokens.toml"
    file.write_text("tokens = [")
    broken = {
        SettingsError: attrs.evolve(SIMULATED, channels=()),
        TokenStoreError: attrs.evolve(SIMULATED, tokens=TokensSettings(file)),
        ListenError: attrs.evolve(SIMULATED, listen=ListenSettings(host="a..b")),
    }
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for kind, settings in broken.items():
                with pytest.raises(kind):
                    await nursery.start(rt_proxy.serve, settings)


async def test_drain_ends_serve_whoever_lingers() -> None:
    """A visitor that says nothing does not keep a drained proxy from coming to its end."""
    with trio.fail_after(PATIENCE), trio.move_on_after(PATIENCE) as scope:
        settings = attrs.evolve(SIMULATED, timeouts=rt_proxy.settings.Timeouts(head=0))
        async with trio.open_nursery() as nursery:
            proxy: Proxy = await nursery.start(rt_proxy.serve, settings)
            silent = await connect(proxy)
            async with silent.stream:
                status, _ = await page(await connect(proxy), "/healthz")
                await proxy.drain()
                assert not await silent.stream.receive_some()

    assert status == 200
    assert not scope.cancelled_caught


async def test_serve_on_listeners_of_others(tmp_path: Path) -> None:
    """Listeners that are handed over are used in place of host and port, and closed in the end."""
    path = str(tmp_path / "rt.sock")
    settings = attrs.evolve(SIMULATED, listen=ListenSettings(host="not.looked.at.invalid"))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen()
    [tcp] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    given = [tcp, trio.SocketListener(trio.socket.from_stdlib_socket(unix))]
    tokens, token = one_token()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[Proxy]) -> None:
                await rt_proxy.serve(
                    settings, tokens=tokens, listeners=given, task_status=task_status
                )

            proxy: Proxy = await nursery.start(serve)
            assert proxy.addresses[0].startswith("http://127.0.0.1:")
            assert proxy.addresses[1:] == (f"unix:{path}",)
            stream = await trio.open_unix_socket(path)
            for client in (await connect(proxy), Client(stream, stream)):
                assert (await page(client, "/v1/models", token))[0] == 200
            assert await proxy.drain()

    assert [listener.socket.fileno() for listener in given] == [-1, -1]


async def test_listeners_are_closed_where_nothing_starts(tmp_path: Path) -> None:
    """Listeners that were handed over are closed, too, where the certificate cannot be used."""
    tls = TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem")
    settings = attrs.evolve(SIMULATED, listen=ListenSettings(tls=tls))
    given = await trio.open_tcp_listeners(0, host="127.0.0.1")

    with pytest.raises(ListenError, match=r"listen\.tls\.cert"):
        await rt_proxy.serve(settings, listeners=given)

    assert given[0].socket.fileno() == -1


async def test_silent_connections_are_probed() -> None:
    """The system probes the connection of a client that is silent, as the settings say."""
    tokens, token = one_token()
    settings = attrs.evolve(SIMULATED, timeouts=rt_proxy.settings.Timeouts(tcp_keepalive=77))
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(PATIENCE):
        async with (
            listener,
            open_proxy(settings, tokens=tokens) as proxy,
            trio.open_nursery() as nursery,
        ):
            far = await trio.open_tcp_stream(*listener.socket.getsockname())
            near = await listener.accept()
            nursery.start_soon(proxy.handle_stream, near)
            await begin(Client(far, far), token)
            idle = near.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            await far.aclose()

    assert idle == 77


# open_proxy


async def test_memory_stream() -> None:
    """A proxy that listens nowhere serves any stream it is given, and closes it."""
    tokens, token = one_token()
    with trio.fail_after(PATIENCE):
        async with open_proxy(SIMULATED, tokens=tokens) as proxy, visitor(proxy) as client:
            assert proxy.addresses == ()
            await begin(client, token)
            await client.close(1000, b"bye")
            goodbye = await client.farewell()

    assert (goodbye.code, goodbye.reason) == (1000, "bye")


async def test_open_proxy_raises_as_it_is(tmp_path: Path) -> None:
    """Wrong settings and a broken token file come out as plain exceptions."""
    file = tmp_path / "tokens.toml"
    file.write_text("tokens = [")
    with pytest.raises(SettingsError, match="channels: there is none"):
        async with open_proxy(Settings(channels=())):
            pass
    with pytest.raises(TokenStoreError, match="is not valid TOML"):
        async with open_proxy(attrs.evolve(SIMULATED, tokens=TokensSettings(file))):
            pass


@pytest.mark.log_says("session ended")
async def test_own_dialer(autojump_clock: MockClock) -> None:
    """A dialer is asked for each upstream but the simulator, and told the channel and request."""
    asked: list[tuple[str, str, int, bool]] = []

    async def dial(channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        asked.append((channel.name, request.host, request.port, request.tls))
        raise OSError("no way")

    tokens, token = one_token()
    remote = ChannelSettings(
        "remote", "compatible", {"*": "*"}, base_url="wss://up.test:444/v1", auth="none"
    )
    settings = attrs.evolve(SIMULATED, channels=(attrs.evolve(remote, priority=1), SIMULATOR))
    async with (
        open_proxy(settings, tokens=tokens, dial=dial) as proxy,
        visitor(proxy) as client,
    ):
        await begin(client, token)

    assert asked == [("remote", "up.test", 444, True)]


@pytest.mark.log_says("on_session_end raised")
async def test_hook_that_raises() -> None:
    """A hook that raises is logged; the client is told as ever and the next one is served."""
    tokens, token = one_token()

    def hook(record: SessionRecord) -> None:
        raise RuntimeError(record.ending)

    async with open_proxy(SIMULATED, tokens=tokens, on_session_end=hook) as proxy:
        for _ in range(2):
            async with visitor(proxy) as client:
                await begin(client, token)
                await client.close(1000, b"bye")
                assert (await client.farewell()).code == 1000
        assert proxy.faults == 0


async def test_leaving_cuts() -> None:
    """Leaving the block cuts what is left, wherever it runs; the client is still told why."""
    tokens, token = one_token()
    records: list[SessionRecord] = []
    far, near = memory_stream_pair()
    client = Client(far, near)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            hook = records.append
            async with open_proxy(SIMULATED, tokens=tokens, on_session_end=hook) as proxy:
                nursery.start_soon(proxy.handle_stream, near)
                await begin(client, token)
        goodbye = await client.farewell()

    assert goodbye.told == ("cut", 1001, "cut")
    assert [record.ending for record in records] == ["cut"]


async def test_two_proxies() -> None:
    """Two proxies in one process share nothing: not tokens, not sessions, not the drain."""
    (ours, token), (theirs, other) = one_token(), one_token()
    with trio.fail_after(PATIENCE):
        async with (
            open_proxy(SIMULATED, tokens=ours) as one,
            open_proxy(SIMULATED, tokens=theirs) as two,
            visitor(one) as client,
        ):
            await begin(client, token)
            assert (one.sessions, two.sessions) == (1, 0)
            assert await two.drain()
            for proxy, secret, status in ((one, other, 401), (two, other, 200)):
                async with visitor(proxy) as asking:
                    assert (await page(asking, "/v1/models", secret))[0] == status
            for proxy, status in ((one, 200), (two, 503)):
                async with visitor(proxy) as asking:
                    assert (await page(asking, "/readyz"))[0] == status


async def test_behind_nobodys_back(capfd: pytest.CaptureFixture[str]) -> None:
    """A proxy at work starts no threads, takes no signals, sets up no logging, prints nothing."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def surroundings() -> tuple[Any, ...]:
        loggers = logging.getLogger(), logging.getLogger("rt_proxy")
        return (
            [thread for thread in threading.enumerate() if "Trio" not in thread.name],
            [signal.getsignal(number) for number in signals],
            [(logger.level, logger.handlers[:], logger.propagate) for logger in loggers],
        )

    before = surroundings()
    tokens, token = one_token()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[Proxy]) -> None:
                await rt_proxy.serve(SIMULATED, tokens=tokens, task_status=task_status)

            proxy: Proxy = await nursery.start(serve)
            client = await connect(proxy)
            await begin(client, token)
            during = surroundings()
            await client.stream.aclose()
            nursery.cancel_scope.cancel()

    assert during == before
    assert surroundings() == before
    assert capfd.readouterr() == ("", "")


# Reloading


async def test_reload(autojump_clock: MockClock) -> None:
    """Newcomers get the new settings; a session that lives keeps what it came into."""
    tokens, token = one_token()
    narrow = attrs.evolve(SIMULATOR, models={"new": "new"})
    async with open_proxy(SIMULATED, tokens=tokens) as proxy, visitor(proxy) as old:
        await begin(old, token)
        proxy.reload(attrs.evolve(SIMULATED, channels=(narrow,)))
        async with visitor(proxy) as newcomer:
            await newcomer.send_raw(request_head(token))
            await newcomer.read_101()
            goodbye = await newcomer.farewell()
        await old.say({"type": "session.update", "session": {"type": "realtime"}})
        assert (await old.hear())["type"] == "session.updated"

    assert goodbye.told == ("model_not_found", 4004, "invalid_request_error.model_not_found")


async def test_reload_of_the_keepalive() -> None:
    """The connection to an upstream is probed as the settings say that are in force."""
    [upstream] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = upstream.socket.getsockname()[1]
    channel = ChannelSettings(
        "real", "compatible", {"*": "*"}, base_url=f"ws://127.0.0.1:{port}/v1", auth="none"
    )
    settings = Settings(channels=(channel,))
    timeouts = rt_proxy.settings.Timeouts(tcp_keepalive=33)
    tokens, token = one_token()
    with trio.fail_after(PATIENCE):
        async with upstream, open_proxy(settings, tokens=tokens) as proxy:
            proxy.reload(attrs.evolve(settings, timeouts=timeouts))
            async with visitor(proxy) as client:
                await client.send_raw(request_head(token))
                async with await upstream.accept() as ours:
                    await ours.receive_some()
                    assert probed_after(port) == 33


def probed_after(port: int) -> int:
    """Return the keepalive of our connection to a port of this machine, in seconds."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.fromfd(int(entry.name), socket.AF_INET, socket.SOCK_STREAM) as ours:
                if ours.getpeername() == ("127.0.0.1", port):
                    return ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        except OSError:
            continue  # no socket, or not connected
    raise AssertionError("there is no such connection")


async def test_reload_of_wrong_settings() -> None:
    """Wrong settings are an error, and the old ones stay in force."""
    tokens, token = one_token()
    async with open_proxy(SIMULATED, tokens=tokens) as proxy:
        with pytest.raises(SettingsError):
            proxy.reload(Settings(channels=()))
        async with visitor(proxy) as client:
            await begin(client, token)


async def test_reload_with_another_token_file(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A session lives on by the file that let it in, and ends when its token is revoked there."""
    old, new = (FileTokenStore(tmp_path / name) for name in ("old.toml", "new.toml"))
    now = datetime.now(UTC)
    _, secret = old.add("alice", now=now)
    _, newcomers = new.add("bob", now=now)
    before, after = (
        attrs.evolve(SIMULATED, tokens=TokensSettings(store.path)) for store in (old, new)
    )
    async with open_proxy(before) as proxy, visitor(proxy) as client:
        await begin(client, secret.reveal())
        proxy.reload(after)
        await trio.sleep(5)
        await client.say({"type": "session.update", "session": {"type": "realtime"}})
        assert (await client.hear())["type"] == "session.updated"
        async with visitor(proxy) as asking:
            assert (await page(asking, "/v1/models", secret.reveal()))[0] == 401
        async with visitor(proxy) as asking:
            assert (await page(asking, "/v1/models", newcomers.reveal()))[0] == 200
        old.revoke("alice")
        with trio.fail_after(2):
            goodbye = await client.farewell()

    assert goodbye.told == ("token_revoked", 3000, "token_revoked")


class Authority:
    """Issues certificates for localhost, and connects as a client that trusts it alone."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def issue(self, tls: TlsSettings) -> None:
        """Write a certificate and its key."""
        leaf = self._authority.issue_cert("127.0.0.1")
        leaf.cert_chain_pems[0].write_to_path(str(tls.cert))
        leaf.private_key_pem.write_to_path(str(tls.key))

    async def connect(self, proxy: Proxy) -> Client:
        """Connect and shake hands."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        host, _, port = proxy.addresses[0].removeprefix("https://").rpartition(":")
        stream = await trio.open_ssl_over_tcp_stream(
            host, int(port), ssl_context=context, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return Client(stream, stream)


async def test_reload_renews_the_certificate(tmp_path: Path) -> None:
    """Newcomers are shown the new certificate, and a session that lives goes on.

    One that cannot be used is an error, and then nothing of the reload is in force.
    """
    tls = TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem")
    settings = attrs.evolve(SIMULATED, listen=ListenSettings(port=0, tls=tls))
    narrow = attrs.evolve(settings, channels=(attrs.evolve(SIMULATOR, models={"new": "new"}),))
    old, new = Authority(), Authority()
    old.issue(tls)
    tokens, token = one_token()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[Proxy]) -> None:
                await rt_proxy.serve(settings, tokens=tokens, task_status=task_status)

            proxy: Proxy = await nursery.start(serve)
            lives = await old.connect(proxy)
            await begin(lives, token)
            tls.key.write_text("nonsense")
            with pytest.raises(ListenError, match=r"listen\.tls\.key"):
                proxy.reload(narrow)
            await begin(another := await old.connect(proxy), token)
            new.issue(tls)
            proxy.reload(settings)
            await begin(newcomer := await new.connect(proxy), token)
            with pytest.raises(trio.BrokenResourceError):
                await old.connect(proxy)
            await lives.say({"type": "session.update", "session": {"type": "realtime"}})
            assert (await lives.hear())["type"] == "session.updated"
            for client in (lives, another, newcomer):
                await trio.aclose_forcefully(client.stream)
            nursery.cancel_scope.cancel()


# Draining


async def test_drain_asks_the_quiet_to_leave(autojump_clock: MockClock) -> None:
    """A session without a response in progress is told at once; the drain was clean."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.proxy.drain)
            goodbyes = await farewells(client, upstream)

    assert [goodbye.told for goodbye in goodbyes] == [
        ("drain", 1001, "drain"),
        (None, 1000, "drain"),
    ]


async def test_drain_waits_for_a_response(autojump_clock: MockClock) -> None:
    """A session with a response in progress is told when that is done."""
    clean = []
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()

        async def drain() -> None:
            clean.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await trio.sleep(10)
            await upstream.say(kit.response_done())
            goodbye, _ = await farewells(client, upstream)

    assert [event["type"] for event in goodbye.events] == ["response.done", "error"]
    assert goodbye.code == 1001
    assert clean == [True]


async def test_drain_comes_to_an_end(autojump_clock: MockClock) -> None:
    """What has not left when time is up is ended; the drain was not clean."""
    clean = []
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()
        started = trio.current_time()

        async def drain() -> None:
            clean.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            goodbye, _ = await farewells(client, upstream)
            took = trio.current_time() - started

    assert goodbye.code == 1001
    assert 20 <= took < 21
    assert clean == [False]


async def test_drain_lets_nobody_in(autojump_clock: MockClock) -> None:
    """While draining, and after it, newcomers get 503 with ``Retry-After``; health is well."""
    async with open_house(still_serves=False) as house:
        await house.proxy.drain()
        client = await house.knock()
        status, headers, error = await client.read_answer()
        await client.stream.aclose()
        await client.over.wait()
        assert (await page(await house.visit(), "/healthz"))[0] == 200
        assert (await page(await house.visit(), "/readyz"))[0] == 503
        house.silent_visits = 2

    assert (status, error["code"]) == (503, "drain")
    assert b"retry-after" in headers


async def test_drain_awaits_openings(autojump_clock: MockClock) -> None:
    """A client whose upstream is being opened is let in, and asked to leave when it is quiet."""
    clean = []
    async with open_house(still_serves=False) as house:
        client = await house.knock()
        upstream = await house.upstream()

        async def drain() -> None:
            clean.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await trio.sleep(1)
            await upstream.accept(kit.created())
            await client.read_101()
            goodbye, _ = await farewells(client, upstream)

    assert [event["type"] for event in goodbye.events] == ["session.created", "error"]
    assert goodbye.told == ("drain", 1001, "drain")
    assert clean == [True]


async def test_drain_of_who_leaves_by_itself(autojump_clock: MockClock) -> None:
    """A client that leaves in the midst of its response has left by itself; the drain is clean."""
    clean = []
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()

        async def drain() -> None:
            clean.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await trio.sleep(1)
            await client.close(1000, b"bye")
            goodbye, _ = await farewells(client, upstream)

    assert goodbye.code == 1000
    assert clean == [True]


async def test_reload_in_a_drain(autojump_clock: MockClock) -> None:
    """A reload does not end a drain: newcomers are refused as before."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.proxy.drain)
            await trio.sleep(1)
            house.proxy.reload(SIMULATED)
            refused = await house.knock()
            status, _, error = await refused.read_answer()
            await refused.stream.aclose()
            await upstream.say(kit.response_done())
            goodbye, _ = await farewells(client, upstream)

    assert (status, error["code"]) == (503, "drain")
    assert goodbye.code == 1001
