"""Every code block of docs/embedding.md is run, and does what the page says."""

import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

import rt_proxy
from rt_proxy.client import server_at, take_turn
from rt_proxy.clientturn import Question, Reply
from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    ListenSettings,
    Secret,
    Settings,
    TokensSettings,
)
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import Fault

DOC = (Path(__file__).parent.parent / "docs" / "embedding.md").read_text()
SECTIONS = DOC.split("\n## ")[1:]
MODEL = "gpt-realtime-2.1"
CONFIG = """
[listen]
port = 0

[[channels]]
name = "simulator"
provider = "simulator"
models = ["*"]
"""


def run_block(heading: str) -> dict[str, Any]:
    """Run the one code block under a heading, and return what it defined."""
    [section] = [section for section in SECTIONS if section.startswith(f"{heading}\n")]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(compile(code, heading, "exec"), names)
    return names


def settings(**fields: Any) -> Settings:
    """Return settings with a simulator behind them."""
    channel = ChannelSettings("simulator", "simulator", {"*": "*"})
    return Settings(channels=(channel,), **{"listen": ListenSettings(port=0), **fields})


def one_token() -> tuple[rt_proxy.MemoryTokenStore, Secret]:
    """Return a store with one token, and its secret."""
    tokens = rt_proxy.MemoryTokenStore()
    _, secret = tokens.add("alice", now=datetime.now(UTC))
    return tokens, secret


async def ask(url: str, secret: Secret, **more: Any) -> Reply:
    """Take a turn as a client."""
    question = Question("Hello", spoken=False)
    return await take_turn(server_at(url, secret), question, model=MODEL, seconds=10, **more)


@asynccontextmanager
async def visited(**fields: Any) -> AsyncIterator[Any]:
    """Open a proxy and give a dialer that leads a client into it."""
    given = fields.pop("settings", settings())
    async with trio.open_nursery() as nursery, rt_proxy.open_proxy(given, **fields) as proxy:

        async def dial(*_: object) -> trio.abc.Stream:
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(proxy.handle_stream, far)
            return near

        yield dial


def test_every_block_is_run_here() -> None:
    """No code block stands under a heading that this module does not run."""
    with_code = {section.split("\n")[0] for section in SECTIONS if "```python" in section}

    assert with_code == set(re.findall(r'run_block\("(.*?)"\)', Path(__file__).read_text()))


async def test_serve_where_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first program makes a token, serves, tells its URL, drains and comes to its end."""
    (tmp_path / "config.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    main = run_block("Serve where the settings say")["main"]

    with trio.fail_after(10):
        await main()

    told = r"a new token: (sk-rt-\S+)\nclients connect to http://127\.0\.0\.1:\d+/v1\n"
    [secret] = re.fullmatch(told, capsys.readouterr().out).groups()  # type: ignore[union-attr]
    assert rt_proxy.FileTokenStore("tokens.toml").authenticate(Secret(secret))


async def test_settings_without_a_file() -> None:
    """The settings are good, and neither they nor their channel show the key."""
    made = run_block("Settings without a file")["make_settings"]("sk-hush")

    assert "hush" not in repr(made)
    async with rt_proxy.open_proxy(made, tokens=one_token()[0]) as proxy:
        assert proxy.addresses == ()


async def test_wrong_settings_raise() -> None:
    """Wrong settings raise, bare, when a proxy is opened with them."""
    with pytest.raises(rt_proxy.SettingsError) as caught:
        async with rt_proxy.open_proxy(Settings(channels=())):
            pass

    assert caught.value.problems


async def test_own_listener() -> None:
    """A client that comes in by the program's own listener is served."""
    serve_here = run_block("Your own listener")["serve_here"]
    tokens, secret = one_token()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_here, settings(), tokens)
        reply = await ask(f"ws://127.0.0.1:{port}/v1", secret)
        nursery.cancel_scope.cancel()

    assert reply.completed


async def test_tokens_in_memory() -> None:
    """Each name has a token whose secret lets in."""
    tokens, secrets = run_block("Tokens in memory")["tokens_for"]("alice", "bob")
    async with visited(tokens=tokens) as dial:
        replies = [await ask("ws://proxy/v1", secrets[name], dial=dial) for name in secrets]

    assert [reply.completed for reply in replies] == [True, True]


async def test_own_users(autojump_clock: trio.testing.MockClock) -> None:
    """An account lets in, a stranger is refused, and a session ends when its account is gone."""
    accounts = run_block("Your own users")["Accounts"]({"s3cret": "alice"}, datetime.now(UTC))
    store: rt_proxy.TokenStore = accounts
    records: list[rt_proxy.SessionRecord] = []
    stalled = ChannelSettings("simulator", "simulator", {"*": "*"}, fault="stall")
    async with visited(
        settings=Settings(channels=(stalled,)), tokens=store, on_session_end=records.append
    ) as dial:
        stranger = await ask("ws://proxy/v1", Secret("guess"), dial=dial)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask_and_forget, dial)
            await trio.sleep(3)
            accounts.names.clear()

    assert stranger.problems[0].startswith("error invalid_api_key")
    assert [record.ending for record in records] == ["invalid_api_key", "token_revoked"]
    assert records[1].token_name == "alice"


async def _ask_and_forget(dial: Any) -> None:
    await ask("ws://proxy/v1", Secret("s3cret"), dial=dial)


async def test_own_dialer(tmp_path: Path) -> None:
    """An upstream is reached over a socket file, which only the program's dialer knows."""
    path = str(tmp_path / "upstream")
    dialer: rt_proxy.Dial = run_block("Your own dialer")["LocalDial"](path)
    upstream = ChannelSettings(
        "local", "compatible", {"*": "*"}, base_url="ws://nowhere.invalid/v1", auth="none"
    )
    tokens, secret = one_token()
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    await socket.bind(path)
    socket.listen()
    async with trio.open_nursery() as nursery:

        async def simulate() -> None:
            accepted, _ = await socket.accept()
            await serve_simulated(trio.SocketStream(accepted), Fault())

        nursery.start_soon(simulate)
        async with visited(
            settings=Settings(channels=(upstream,)), tokens=tokens, dial=dialer
        ) as dial:
            reply = await ask("ws://proxy/v1", secret, dial=dial)
        nursery.cancel_scope.cancel()
    socket.close()

    assert reply.completed


async def test_end_of_each_session() -> None:
    """The hook gets the record of a session, with what its responses cost."""
    meter = run_block("The end of each session")["Meter"]()
    tokens, secret = one_token()
    async with visited(tokens=tokens, on_session_end=meter) as dial:
        reply = await ask("ws://proxy/v1", secret, dial=dial)

    assert reply.usage is not None
    assert meter.tokens == {"alice": reply.usage["total_tokens"]}


@pytest.mark.log_says("1 % of the budget of token alice")
async def test_what_each_response_costs() -> None:
    """The hooks get each record and the warning, and the price function is asked."""
    names = run_block("What each response costs")
    bookkeeper = names["Bookkeeper"]()
    tokens = rt_proxy.MemoryTokenStore()
    budget = Budget(usd=Decimal("0.001"), warn_percent=1)
    _, secret = tokens.add("alice", now=datetime.now(UTC), budget=budget)
    hooks = {"on_usage": bookkeeper.on_usage, "on_budget_warning": bookkeeper.on_budget_warning}
    async with visited(tokens=tokens, price=names["price"], **hooks) as dial:
        reply = await ask("ws://proxy/v1", secret, dial=dial)

    assert reply.usage is not None
    cost = reply.usage["total_tokens"] * Decimal("0.00001")
    assert bookkeeper.spent == {"alice": cost}
    assert bookkeeper.warnings == ["alice: 0.00 USD left"]


async def test_your_own_ledger() -> None:
    """The ledger gets what is spent before the block is left, and is asked what was before."""
    ledger = run_block("Your own ledger")["ListLedger"]()
    tokens = rt_proxy.MemoryTokenStore()
    budget = Budget(usd=Decimal(1), warn_percent=0)
    token, secret = tokens.add("alice", now=datetime.now(UTC), budget=budget)
    for count in (1, 2):
        async with visited(tokens=tokens, ledger=ledger) as dial:
            await ask("ws://proxy/v1", secret, dial=dial)
        assert len(ledger.rows) == count
    spent = await ledger.spent(token.id, None)
    assert spent.tokens == sum(row.tokens.total for row in ledger.rows.values())


def test_events() -> None:
    """Events are made and dumped, parsed and told apart, unknown ones included."""
    names = run_block("Events")
    done = {"type": "response.done", "event_id": "e", "response": {"usage": {"total_tokens": 9}}}
    error = {"type": "error", "error": {"type": "server_error", "message": "oops"}}

    assert json.loads(names["be_patient"](800)) == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 800}}
            },
        },
    }
    assert names["tell"](json.dumps(done)) == "9 tokens"
    assert names["tell"](json.dumps(error)) == "server_error: oops"
    assert names["tell"]('{"type":"response.created"}') == "response.created"
    assert names["tell"]('{"type":"session.closed","reason":"x"}') == "session.closed"


async def test_two_proxies(tmp_path: Path) -> None:
    """Two proxies in one program serve clients of their own, each from its own token file."""
    serve_two = run_block("Two proxies in one program")["serve_two"]
    both = []
    for name in ("inside", "outside"):
        file = tmp_path / f"{name}.toml"
        _, secret = rt_proxy.FileTokenStore(file).add("alice", now=datetime.now(UTC))
        both.append((settings(tokens=TokensSettings(file)), secret))
    (inside, key), (outside, other_key) = both
    async with trio.open_nursery() as nursery:
        first, second = await nursery.start(serve_two, inside, outside)
        replies = [
            await ask(f"{proxy.addresses[0]}/v1", secret)
            for proxy in (first, second)
            for secret in (key, other_key)
        ]
        nursery.cancel_scope.cancel()

    assert [reply.completed for reply in replies] == [True, False, False, True]


def test_exceptions_come_in_groups(tmp_path: Path) -> None:
    """A port that is in use is caught with a star, and told."""
    run = run_block("Exceptions")["run"]
    printed = io.StringIO()

    async def occupied() -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        async with listener:
            taken = settings(
                listen=ListenSettings(port=port), tokens=TokensSettings(tmp_path / "tokens.toml")
            )
            with redirect_stdout(printed):
                await trio.to_thread.run_sync(run, taken)

    trio.run(occupied)

    assert printed.getvalue().startswith("cannot serve: cannot listen on 127.0.0.1:")
    assert len(printed.getvalue().splitlines()) == 1


async def test_cancelling_cuts(autojump_clock: trio.testing.MockClock) -> None:
    """Leaving the block of open_proxy tells the client why, and each session has its record."""
    tokens, secret = one_token()
    records: list[rt_proxy.SessionRecord] = []
    replies: list[Reply] = []
    stalled = ChannelSettings("simulator", "simulator", {"*": "*"}, fault="stall")
    near, far = trio.testing.memory_stream_pair()

    async def dial(*_: object) -> trio.abc.Stream:
        return near

    async def client() -> None:
        replies.append(await ask("ws://proxy/v1", secret, dial=dial))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        async with rt_proxy.open_proxy(
            Settings(channels=(stalled,)), tokens=tokens, on_session_end=records.append
        ) as proxy:
            with trio.move_on_after(5):
                await proxy.handle_stream(far)

    assert [record.ending for record in records] == ["cut"]
    assert replies[0].problems[-1] == "closed by the server with code 1001 (cut)"
