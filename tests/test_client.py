"""The client over real sockets: against the simulator, through a proxy, and against bad servers."""

import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kit
import pytest
import trio
import trustme
from trio.testing import MockClock

import rt_proxy
from rt_proxy.client import server_at, take_turn
from rt_proxy.clientturn import Question, Reply
from rt_proxy.listener.dial import TcpDial
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings, ListenSettings, Secret, Settings, TlsSettings
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import parse_fault

MODEL = "gpt-realtime-2.1"
CHUNKED = b'1e\r\n{"error":{"code":"too_fast"}}\r\n\r\n0\r\n\r\n'
Handler = Callable[[trio.SocketStream], Awaitable[None]]


async def listen(nursery: trio.Nursery, handler: Handler) -> str:
    """Serve a handler on a free port and return its URL."""
    listeners = await nursery.start(trio.serve_tcp, handler, 0)
    port = listeners[0].socket.getsockname()[1]
    return f"ws://127.0.0.1:{port}/v1"


async def simulate(
    nursery: trio.Nursery, fault: str | None = None, dialect: Dialect = Dialect.GA
) -> str:
    """Serve the simulator on a free port and return its URL."""

    async def handler(stream: trio.SocketStream) -> None:
        parsed = parse_fault(fault) if fault else parse_fault("delay=0")
        await serve_simulated(stream, parsed, dialect=dialect)

    return await listen(nursery, handler)


async def ask(url: str, question: Question | None = None, **more: Any) -> Reply:
    """Take a turn of at most ten seconds."""
    token = more.pop("token", None)
    given = {"model": MODEL, "seconds": 10, **more}
    return await take_turn(server_at(url, token), question or Question("Hello"), **given)


def proxy_settings(**fields: Any) -> Settings:
    """Return the settings of a proxy with a simulator behind it."""
    simulator = ChannelSettings(
        "simulator", "simulator", {"*": "*"}, fault=fields.pop("fault", None)
    )
    fields.setdefault("listen", ListenSettings(port=0))
    return Settings(channels=(simulator,), **fields)


async def serve_proxy(
    nursery: trio.Nursery, settings: Settings
) -> tuple[str, Secret, list[rt_proxy.SessionRecord]]:
    """Serve a proxy; return its URL, a good token, and where its records go."""
    tokens = rt_proxy.MemoryTokenStore()
    _, secret = tokens.add("tester", now=datetime.now(UTC))
    records: list[rt_proxy.SessionRecord] = []

    async def serve(task_status: trio.TaskStatus[rt_proxy.Proxy]) -> None:
        await rt_proxy.serve(
            settings, tokens=tokens, on_session_end=records.append, task_status=task_status
        )

    proxy = await nursery.start(serve)
    return f"{proxy.addresses[0]}/v1", secret, records


async def test_simulator() -> None:
    """A turn with the simulator gives words, sound, usage and times."""
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        reply = await ask(await simulate(nursery), hear=heard.append)
        nursery.cancel_scope.cancel()

    assert reply.completed
    assert reply.problems == ()
    assert "".join(heard) == "You said: Hello"
    assert len(reply.audio) == reply.audio_bytes > 24_000
    assert reply.usage is not None
    assert reply.usage["output_tokens"] > 0
    times = reply.times
    assert times.session_created is not None
    assert times.first_audio is not None
    assert 0 < times.session_created < times.first_audio < times.total


async def test_the_simulator_of_the_beta() -> None:
    """A turn with a server of the Beta is the same."""
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        reply = await ask(await simulate(nursery, dialect=Dialect.BETA), hear=heard.append)
        nursery.cancel_scope.cancel()

    assert reply.problems == ()
    assert "".join(heard) == "You said: Hello"
    assert len(reply.audio) == reply.audio_bytes > 24_000


async def test_a_token_of_the_beta() -> None:
    """A turn through a proxy whose clients are all of the Beta is the same, too."""
    async with trio.open_nursery() as nursery:
        url, secret, records = await serve_proxy(nursery, proxy_settings(client_dialect="beta"))
        reply = await ask(url, token=secret)
        nursery.cancel_scope.cancel()

    assert reply.completed
    assert reply.audio_bytes > 24_000
    assert records[0].dialect == "beta"


async def test_a_server_that_is_silent_until_spoken_to(autojump_clock: MockClock) -> None:
    """A server that says nothing first is asked all the same, after a second."""

    class Silent:
        """Leads to a server that upgrades, and answers the first event with a close."""

        async def __call__(
            self, _channel: rt_proxy.Channel, _request: rt_proxy.UpstreamRequest
        ) -> trio.abc.Stream:
            far, near = await kit.stream_pair("memory")
            upstreams.send_nowait(kit.Upstream(far, _channel, _request))
            return near

    upstreams, dialled = trio.open_memory_channel[kit.Upstream](1)
    replies: list[Reply] = []

    async def run() -> None:
        replies.append(await ask("ws://h/v1", dial=Silent()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        upstream = await (await dialled.receive()).accept()
        began = trio.current_time()
        assert (await upstream.hear())["type"] == "session.update"
        assert trio.current_time() - began == pytest.approx(1)
        await kit.farewells(upstream)
    assert not replies[0].completed


async def test_through_a_proxy() -> None:
    """A turn through a proxy ends in order: the record has the response and a clean close."""
    async with trio.open_nursery() as nursery:
        url, secret, records = await serve_proxy(nursery, proxy_settings())
        reply = await ask(url, token=secret)
        nursery.cancel_scope.cancel()

    assert reply.completed
    assert [(record.ending, record.close_code) for record in records] == [("client_closed", 1000)]
    assert records[0].responses == 1
    assert reply.usage is not None
    assert records[0].usage["output_tokens"] == reply.usage["output_tokens"]


async def test_text_answer_through_a_proxy() -> None:
    """An answer that is wanted as text comes as text."""
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        url, secret, _ = await serve_proxy(nursery, proxy_settings())
        question = Question("Hello", spoken=False)
        reply = await ask(url, question, token=secret, hear=heard.append)
        nursery.cancel_scope.cancel()

    assert reply.completed
    assert "".join(heard) == "You said: Hello"
    assert reply.audio_bytes == 0


async def test_over_tls(tmp_path: Path) -> None:
    """A server behind TLS is reached by https, and its certificate is verified."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(cert)
    leaf.private_key_pem.write_to_path(key)
    settings = proxy_settings(listen=ListenSettings(port=0, tls=TlsSettings(cert, key)))
    trusting = TcpDial(system=trusting_context(authority))
    async with trio.open_nursery() as nursery:
        url, secret, _ = await serve_proxy(nursery, settings)
        reply = await ask(url, token=secret, dial=trusting)
        stranger = await ask(url, token=secret)
        without_tls = await ask(url.replace("https", "http"), token=secret)
        nursery.cancel_scope.cancel()

    assert url.startswith("https://")
    assert reply.completed
    assert "TLS: " in stranger.problems[0]
    assert without_tls.problems[0].endswith("; does the server speak https (wss)?")


async def test_tls_where_there_is_none() -> None:
    """A server without TLS that is asked for it is told of in plain words."""
    async with trio.open_nursery() as nursery:
        reply = await ask((await simulate(nursery)).replace("ws:", "wss:"))
        nursery.cancel_scope.cancel()

    assert reply.problems[0].endswith(
        ": no TLS could be agreed on; does the server speak http (ws)?"
    )


def trusting_context(authority: trustme.CA) -> ssl.SSLContext:
    """Return a client's context that trusts one authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_bad_token_by_event() -> None:
    """A refusal in the event form is told by its code, its close code and its reason."""
    async with trio.open_nursery() as nursery:
        url, _, _ = await serve_proxy(nursery, proxy_settings())
        reply = await ask(url, token=Secret("sk-rt-wrong"))
        nursery.cancel_scope.cancel()

    assert not reply.completed
    assert reply.problems == (
        "error invalid_api_key: The token is not known here.",
        "closed by the server with code 3000 (invalid_request_error.invalid_api_key)",
    )


async def test_bad_token_by_http() -> None:
    """A refusal in the HTTP form is told by its status, its code and its message."""
    async with trio.open_nursery() as nursery:
        url, _, _ = await serve_proxy(nursery, proxy_settings(refusals="http"))
        reply = await ask(url, token=Secret("sk-rt-wrong"))
        nursery.cancel_scope.cancel()

    assert reply.problems == ("refused: HTTP 401 invalid_api_key: The token is not known here.",)


async def test_no_token() -> None:
    """Without a token none is sent, and the server says what it wants."""
    async with trio.open_nursery() as nursery:
        url, _, _ = await serve_proxy(nursery, proxy_settings())
        reply = await ask(url)
        nursery.cancel_scope.cancel()

    assert reply.problems[0].startswith("error invalid_api_key: No token was given")


@pytest.mark.log_says("session ended")
async def test_drop_during_the_response() -> None:
    """What came before the upstream was lost is kept, and the proxy's words are told."""
    async with trio.open_nursery() as nursery:
        url, secret, _ = await serve_proxy(nursery, proxy_settings(fault="drop=12"))
        reply = await ask(url, token=secret)
        nursery.cancel_scope.cancel()

    assert not reply.completed
    assert reply.audio_bytes > 0
    assert reply.problems == (
        "error upstream_lost: The upstream's connection ended without a close frame.",
        "closed by the server with code 1011 (upstream_lost)",
    )


@pytest.mark.parametrize(
    ("fault", "problems"),
    [
        ("drop=12", ("the connection ended without a close frame",)),
        ("refuse=503", ("refused: HTTP 503 simulated_fault: Simulated fault: refuse=503.",)),
    ],
)
async def test_faults_of_a_server(fault: str, problems: tuple[str, ...]) -> None:
    """A server that hangs up or refuses is told in one line."""
    async with trio.open_nursery() as nursery:
        reply = await ask(await simulate(nursery, fault))
        nursery.cancel_scope.cancel()

    assert not reply.completed
    assert reply.problems == problems


@pytest.mark.parametrize(("fault", "code"), [("close=1013", "1013"), ("error=x_y", "x_y")])
async def test_faults_with_a_code(fault: str, code: str) -> None:
    """A code that the server gave is in what is told."""
    async with trio.open_nursery() as nursery:
        reply = await ask(await simulate(nursery, fault))
        nursery.cancel_scope.cancel()

    assert not reply.completed
    assert code in " ".join(reply.problems)


async def test_unknown_host() -> None:
    """A host that does not exist is told with its name (one that needs no network to know)."""
    reply = await ask("ws://no..such.host:8080/v1")

    assert len(reply.problems) == 1
    assert reply.problems[0].startswith("cannot connect to no..such.host port 8080: ")


async def test_wrong_port() -> None:
    """A port that nobody listens on is told."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()

    reply = await ask(f"http://127.0.0.1:{port}/v1")

    assert reply.problems == (f"cannot connect to 127.0.0.1 port {port}: connection refused",)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            "refused: the answer is not HTTP; does the server speak https (wss)?",
        ),
        (b"", "refused: the connection was closed; does the server speak https (wss)?"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "refused: HTTP 404"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "refused: HTTP 302"),
        (
            b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n%s" % CHUNKED,
            "refused: HTTP 429 too_fast",
        ),
    ],
)
async def test_no_websocket(answer: bytes, problem: str) -> None:
    """A server that is no Realtime server is told by what it answered."""

    async def handler(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        reply = await ask(await listen(nursery, handler))
        nursery.cancel_scope.cancel()

    assert reply.problems == (problem,)


async def test_timeouts(autojump_clock: trio.testing.MockClock) -> None:
    """A turn ends in time, and says what it had waited for."""
    problems = []
    for fault in ("delay=100", "stall"):
        async with trio.open_nursery() as nursery:
            near, far = trio.testing.memory_stream_pair()

            async def dial(*_: object, stream: trio.abc.Stream = near) -> trio.abc.Stream:
                return stream

            nursery.start_soon(serve_simulated, far, parse_fault(fault))
            reply = await ask("ws://simulator/v1", dial=dial)
            problems.append(reply.problems[-1])
            nursery.cancel_scope.cancel()

    assert problems[0] == "timed out: no session.created within 10 s"
    assert problems[1].startswith("timed out: ")
    assert problems[1].endswith(" within 10 s")


async def test_connecting_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """A server that cannot be reached ends the turn in time."""

    async def dial(*_: object) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    reply = await ask("ws://simulator/v1", dial=dial)

    assert reply.problems == ("timed out: no connection within 10 s",)
    assert reply.times.total == 10


async def test_cancelling_closes_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelling a turn leaves nothing open."""
    near, far = trio.testing.memory_stream_pair()

    async def dial(*_: object) -> trio.abc.Stream:
        return near

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_simulated, far, parse_fault("stall"))
        with trio.move_on_after(5):
            await ask("ws://simulator/v1", dial=dial)
        nursery.cancel_scope.cancel()

    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some(1)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://proxy.test/v1", "/v1/realtime?model=a%2Fb"),
        ("http://proxy.test/v1/", "/v1/realtime?model=a%2Fb"),
        ("ws://proxy.test?x=1", "/realtime?x=1&model=a%2Fb"),
    ],
)
async def test_target_and_token(url: str, target: str) -> None:
    """The path is extended as SDKs do it, a query is kept, and the token is a bearer's."""
    heads: list[bytes] = []

    async def dial(*_: object) -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()

        async def read() -> None:
            heads.append(bytes(await far.receive_some(65_536)))
            await far.aclose()

        nursery.start_soon(read)
        return near

    async with trio.open_nursery() as nursery:
        await ask(url, model="a/b", token=Secret("tok"), dial=dial)

    assert heads[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())
    assert b"\r\nauthorization: bearer tok\r\n" in heads[0].lower()
    assert b"\r\nhost: proxy.test\r\n" in heads[0].lower()


@pytest.mark.parametrize(
    ("url", "token", "problem"),
    [
        ("ftp://x/v1", None, "the URL must start with https://, http://, wss:// or ws://"),
        ("proxy.test:8080", None, "the URL must start with https://, http://, wss:// or ws://"),
        ("http://", None, "the URL has no host"),
        ("http://x/v1", Secret("two words"), "the token must be ASCII characters without spaces"),
    ],
)
def test_what_cannot_be_a_server(url: str, token: Secret | None, problem: str) -> None:
    """A wrong URL or token is a clear error that repeats neither."""
    with pytest.raises(ValueError, match=problem) as caught:
        server_at(url, token)

    assert url not in str(caught.value)
    assert "two words" not in str(caught.value)
