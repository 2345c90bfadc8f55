"""Facts about the door: who is let in, how refusals look in both forms, and what goes upstream."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import kit
import pytest
import trio
from kit import MODEL, channel, farewells, open_house
from trio.testing import MockClock

from rt_proxy.settings import Secret

OTHER = "gpt-realtime-mini"

# why, target, token, status, type, code, close code
REFUSALS: list[tuple[str, str, str | None, int, str, str, int]] = [
    ("no token", f"?model={MODEL}", None, 401, "invalid_request_error", "invalid_api_key", 3000),
    ("bad", f"?model={MODEL}", "sk-x", 401, "invalid_request_error", "invalid_api_key", 3000),
    ("disabled", f"?model={MODEL}", "off", 401, "invalid_request_error", "invalid_api_key", 3000),
    ("expired", f"?model={MODEL}", "old", 401, "invalid_request_error", "invalid_api_key", 3000),
    ("unknown", "?model=no-such", "good", 404, "invalid_request_error", "model_not_found", 4004),
    ("forbidden", f"?model={OTHER}", "few", 403, "invalid_request_error", "model_not_found", 4004),
    (
        "intent",
        f"?model={MODEL}&intent=dance",
        "good",
        400,
        "invalid_request_error",
        "invalid_intent",
        4000,
    ),
]


def secrets_of(house: kit.House) -> dict[str | None, str | None]:
    """Make tokens of every kind, and return their secrets by kind."""
    now = datetime.now(UTC)
    _, off = house.tokens.add("off", now=now)
    house.tokens.revoke("off")
    _, old = house.tokens.add("old", now=now, expires=now)
    _, few = house.tokens.add("few", now=now, models=[MODEL])
    return {
        None: None,
        "sk-x": "sk-x",
        "good": house.token,
        "off": off.reveal(),
        "old": old.reveal(),
        "few": few.reveal(),
    }


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal[0] for refusal in REFUSALS])
@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/v1/realtime/", "/realtime/"])
async def test_refusals_as_events(
    autojump_clock: MockClock, path: str, refusal: tuple[Any, ...]
) -> None:
    """A refusal is a 101, one ``error`` event, and a CLOSE whose reason is ``type.code``."""
    _, query, token, _, type_, code, close_code = refusal
    async with open_house(channel(models={MODEL: "up", OTHER: "up"}), still_serves=False) as house:
        secret = secrets_of(house)[token]
        client = await house.knock(token=secret, target=path + query)
        await client.read_101()
        told = await client.farewell()
        assert told.told == (code, close_code, f"{type_}.{code}")
        [event] = told.events
        assert event["error"]["type"] == type_
        assert event["event_id"]
        assert secret is None or secret not in json.dumps(event)
        record = await house.record()
        assert (record.ended_by, record.ending, record.close_code) == ("proxy", code, close_code)


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal[0] for refusal in REFUSALS])
@pytest.mark.parametrize(
    ("path", "refusals"),
    [
        ("/openai/v1/realtime", "event"),
        ("/openai/realtime", "event"),
        ("/v1/realtime", "http"),
        ("/realtime/", "http"),
    ],
)
async def test_refusals_by_http(
    autojump_clock: MockClock, path: str, refusals: str, refusal: tuple[Any, ...]
) -> None:
    """On the Azure paths, and everywhere with ``refusals = "http"``, the HTTP form is sent."""
    _, query, token, status, type_, code, _ = refusal
    channels = [channel(models={MODEL: "up", OTHER: "up"})]
    async with open_house(*channels, still_serves=False, refusals=refusals) as house:
        secret = secrets_of(house)[token]
        client = await house.knock(token=secret, target=path + query)
        answer, _, error = await client.read_answer()
        assert (answer, error["type"], error["code"]) == (status, type_, code)
        assert set(error) == {"message", "type", "param", "code"}
        await client.stream.aclose()
        record = await house.record()
        assert (record.ending, record.close_code) == (code, None)


@pytest.mark.parametrize("refusals", ["event", "http"])
async def test_missing_model(autojump_clock: MockClock, refusals: str) -> None:
    """Where nobody names a model and no channel has a name but ``*``: ``missing_model``."""
    async with open_house(
        channel(models={"*": "*"}), still_serves=False, refusals=refusals
    ) as house:
        client = await house.knock(target="/v1/realtime")
        if refusals == "http":
            status, _, error = await client.read_answer()
            assert (status, error["code"]) == (400, "missing_model")
            await client.stream.aclose()
            return
        await client.read_101()
        told = await client.farewell()
        assert told.told == ("missing_model", 4000, "invalid_request_error.missing_model")


@pytest.mark.log_says("session ended")
@pytest.mark.parametrize("path", ["/openai/v1/realtime", "/v1/realtime"])
async def test_upstream_unavailable_by_http(autojump_clock: MockClock, path: str) -> None:
    """If every channel failed the HTTP form is a 503."""
    refusals = "event" if "openai" in path else "http"
    async with open_house(refusals=refusals) as house:
        client = await house.knock(target=f"{path}?model={MODEL}")
        await (await house.upstream()).refuse(b"HTTP/1.1 401 No\r\n\r\n")
        status, _, error = await client.read_answer()
        assert (status, error["type"], error["code"]) == (
            503,
            "server_error",
            "upstream_unavailable",
        )
        assert error["message"] == "No channel could serve. main: HTTP 401."
        await client.stream.aclose()


async def test_capacity(autojump_clock: MockClock) -> None:
    """Over ``sessions`` a newcomer gets a 503 with ``Retry-After``, before any dial."""
    async with open_house(limits={"sessions": 1}) as house:
        client, upstream = await house.open()
        late = await house.knock(token="sk-rt-wrong")
        status, headers, error = await late.read_answer()
        assert (status, error["code"]) == (503, "at_capacity")
        assert int(headers[b"retry-after"]) > 0
        await late.stream.aclose()
        await client.close()
        await farewells(client, upstream)


async def test_an_opening_takes_a_seat(autojump_clock: MockClock) -> None:
    """Clients whose upstream is being dialled count too."""
    async with open_house(limits={"sessions": 1}) as house:
        client = await house.knock()
        upstream = await house.upstream()
        late = await house.knock()
        assert (await late.read_answer())[0] == 503
        await late.stream.aclose()
        await client.stream.aclose()
        await client.over.wait()
        await upstream.stream.aclose()


async def test_one_address(autojump_clock: MockClock) -> None:
    """Over ``sessions_per_address`` a newcomer gets a 429; who it is a trusted proxy may say."""
    listen = {"trusted_proxies": ("127.0.0.1",)}
    async with open_house(limits={"sessions_per_address": 1}, listen=listen) as house:
        first, upstream = await house.open("X-Forwarded-For: 10.1.1.1", kind="tcp")
        late = await house.knock("X-Forwarded-For: 10.9.9.9, 10.1.1.1", kind="tcp")
        status, headers, error = await late.read_answer()
        assert (status, error["code"]) == (429, "rate_limit_exceeded")
        assert int(headers[b"retry-after"]) > 0
        await late.stream.aclose()
        other, other_upstream = await house.open("X-Forwarded-For: 10.1.1.2", kind="tcp")
        for peer in (first, other):
            await peer.close()
        await farewells(first, upstream, other, other_upstream)
        assert {record.address for record in house.records} == {"10.1.1.1", "10.1.1.2"}


async def test_origins(autojump_clock: MockClock) -> None:
    """A browser's page that is not listed gets a 403, before its token is looked at."""
    async with open_house(listen={"origins": ("https://app.example",)}) as house:
        client = await house.knock("Origin: https://evil.example", token="sk-rt-wrong")
        status, _, error = await client.read_answer()
        assert (status, error["code"]) == (403, "origin_not_allowed")
        await client.stream.aclose()
        client, upstream = await house.open("Origin: https://app.example")
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    ("offers", "echo"),
    [
        (["realtime", "openai-insecure-api-key.{token}", "openai-beta.realtime-v1"], b"realtime"),
        (["realtime", "openai-insecure-api-key.{token}"], b"realtime"),
        (["openai-insecure-api-key.{token}"], None),
        (["REALTIME", "openai-insecure-api-key.{token}"], None),
    ],
)
async def test_the_subprotocol(
    autojump_clock: MockClock, offers: Sequence[str], echo: bytes | None
) -> None:
    """``realtime`` is echoed if it was offered, and a credential never is."""
    async with open_house() as house:
        line = "Sec-WebSocket-Protocol: " + ", ".join(offers).replace("{token}", house.token)
        client = await house.knock(line, token=None)
        upstream = await (await house.upstream()).accept(kit.created())
        head = await client.read_101()
        assert house.token.encode() not in head
        assert (b"sec-websocket-protocol: realtime" in head.lower()) is (echo is not None)
        await client.close()
        await farewells(client, upstream)
        assert house.token.encode() not in upstream.head
        assert b"sec-websocket-protocol" not in upstream.head.lower()


@pytest.mark.parametrize(
    "credential",
    [
        "Authorization: bEaReR   {token}  ",
        "api-key: {token}",
        "X-Api-Key: {token}",
        "Sec-WebSocket-Protocol: openai-insecure-api-key.{token}",
        "?token={token}",
        "?api-key={token}",
        "?api_key={token}",
    ],
)
async def test_every_credential(autojump_clock: MockClock, credential: str) -> None:
    """A token is taken wherever a client can put it, and is never sent upstream."""
    async with open_house() as house:
        credential = credential.replace("{token}", house.token)
        lines = [] if credential.startswith("?") else [credential]
        target = "/v1/realtime" + (credential if not lines else "")
        client, upstream = await house.open(*lines, token=None, target=target)
        await client.close()
        await farewells(client, upstream)
        assert house.token.encode() not in upstream.head
        assert house.token not in str(house.records)


async def test_the_first_credential_decides(autojump_clock: MockClock) -> None:
    """A wrong credential is not made good by another one."""
    async with open_house() as house:
        client = await house.knock(f"api-key: {house.token}", token="sk-rt-wrong")
        await client.read_101()
        assert (await client.farewell()).code == 3000


@pytest.mark.parametrize(
    ("settings", "auth_line"),
    [
        ({}, None),
        ({"auth": "bearer", "api_key": Secret("sk-up")}, b"authorization: bearer sk-up"),
        ({"auth": "api-key", "api_key": Secret("sk-up")}, b"api-key: sk-up"),
    ],
)
async def test_what_goes_upstream(
    autojump_clock: MockClock, settings: dict[str, Any], auth_line: bytes | None
) -> None:
    """The upstream's request is made anew: nothing of the client's but the model, by its alias."""
    async with open_house(channel(base_url="ws://127.0.0.1:9/v1?a=b", **settings)) as house:
        client, upstream = await house.open(
            "Cookie: session=1",
            "X-Secret: yes",
            "User-Agent: browser",
            "OpenAI-Organization: org",
            "X-Forwarded-For: 1.2.3.4",
            "Sec-WebSocket-Extensions: permessage-deflate",
            target=f"/v1/realtime?model={MODEL}&secret=1&token=sk-other",
        )
        await client.close()
        await farewells(client, upstream)
        request, *lines = upstream.head.rstrip().split(b"\r\n")
        assert request == f"GET /v1/realtime?a=b&model={kit.UPSTREAM_MODEL} HTTP/1.1".encode()
        names = {line.split(b":")[0].lower() for line in lines}
        expected = {b"host", b"upgrade", b"connection", b"user-agent"}
        expected |= {b"sec-websocket-key", b"sec-websocket-version"}
        if auth_line is not None:
            assert auth_line in upstream.head.lower()
            expected |= {auth_line.split(b":")[0]}
        assert names == expected
        assert kit.KEY.encode() not in upstream.head


@pytest.mark.parametrize("lines", [(), ("OpenAI-Beta: realtime=v1",)])
@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_the_beta_header_is_for_beta_channels(
    autojump_clock: MockClock, dialect: str, lines: Sequence[str]
) -> None:
    """``OpenAI-Beta: realtime=v1`` goes to Beta channels, whatever the client has sent."""
    async with open_house(channel(dialect=dialect), still_serves=dialect == "ga") as house:
        first = {"type": "session.created", "session": {"id": "sess_1"}}
        client, upstream = await house.open(*lines, first=first)
        assert (b"openai-beta: realtime=v1" in upstream.head.lower()) is (dialect == "beta")
        await client.close()
        await farewells(client, upstream)


async def test_the_record_tells_the_dialects(autojump_clock: MockClock) -> None:
    """A record has the dialect that the client has shown, and that of the channel."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say({"type": "session.update", "session": {"voice": "alloy"}})
        assert (await upstream.hear())["session"]["type"] == "realtime"
        await client.close()
        await farewells(client, upstream)
        [record] = house.records
        assert (record.dialect, record.upstream_dialect) == ("beta", "ga")


async def test_a_transcription_session(autojump_clock: MockClock) -> None:
    """``intent=transcription`` goes upstream without a model."""
    async with open_house() as house:
        client, upstream = await house.open(target="/v1/realtime?intent=transcription")
        await client.close()
        await farewells(client, upstream)
        assert upstream.head.startswith(b"GET /v1/realtime?intent=transcription HTTP/1.1\r\n")
        record = await house.record()
        assert (record.model, record.upstream_model) == (None, None)


async def test_the_default_models(autojump_clock: MockClock) -> None:
    """The token's default goes before the settings', and that before the first channel's."""
    channels = [channel("low", priority=1), channel("high", models={OTHER: OTHER}, priority=2)]
    async with open_house(*channels, still_serves=False) as house:
        client, upstream = await house.open(target="/v1/realtime", first=kit.created(OTHER))
        assert upstream.channel.name == "high"
        _, secret = house.tokens.add("own", now=datetime.now(UTC), default_model=MODEL)
        other, other_upstream = await house.open(target="/v1/realtime", token=secret.reveal())
        assert other_upstream.channel.name == "low"
        for peer in (client, other):
            await peer.close()
        await farewells(client, upstream, other, other_upstream)


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/healthz", "GET", 200),
        ("/readyz", "GET", 200),
        ("/readyz", "HEAD", 200),
        ("/healthz", "POST", 405),
        ("/nowhere", "GET", 404),
        ("/v1/models", "GET", 401),
    ],
)
async def test_pages(autojump_clock: MockClock, target: str, method: str, status: int) -> None:
    """Plain requests beside the Realtime addresses are answered without a record."""
    async with open_house() as house:
        house.silent_visits = 1
        client = await house.visit()
        await client.send_raw(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await client.read_head()
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        await client.stream.aclose()


async def test_models_of_a_token(autojump_clock: MockClock) -> None:
    """``/v1/models`` lists what the token may use."""
    async with open_house(channel(models={MODEL: "a", OTHER: "b"})) as house:
        house.silent_visits = 2
        _, few = house.tokens.add("few", now=datetime.now(UTC), models=[OTHER])
        seen = []
        for secret in (house.token, few.reveal()):
            client = await house.visit()
            line = f"GET /v1/models HTTP/1.1\r\nHost: x\r\napi-key: {secret}\r\n\r\n"
            await client.send_raw(line.encode())
            head = await client.read_head()
            assert head.startswith(b"HTTP/1.1 200 ")
            body = b"".join([chunk async for chunk in client.stream])
            seen.append([model["id"] for model in json.loads(bytes(client._unread) + body)["data"]])
        assert seen == [[MODEL, OTHER], [OTHER]]


async def test_how_the_channels_of_a_token_do(autojump_clock: MockClock) -> None:
    """``/readyz`` tells a token how its channels do, and nobody else."""
    async with open_house(channel("a"), channel("b")) as house:
        house.silent_visits = 3
        house.proxy._health.note_failure("a", "HTTP 500", trio.current_time(), retry_after=60)
        _, only_b = house.tokens.add("only b", now=datetime.now(UTC), channels=["b"])
        seen = []
        for secret in (house.token, only_b.reveal(), "sk-wrong"):
            client = await house.visit()
            line = f"GET /readyz HTTP/1.1\r\nHost: x\r\napi-key: {secret}\r\n\r\n"
            await client.send_raw(line.encode())
            head = await client.read_head()
            assert head.startswith(b"HTTP/1.1 200 ")
            body = b"".join([chunk async for chunk in client.stream])
            told = json.loads(bytes(client._unread) + body).get("channels", [])
            seen.append([(one["name"], one["state"], one["seconds"]) for one in told])
        assert seen == [[("a", "left_alone", 60), ("b", "well", None)], [("b", "well", None)], []]


async def test_readiness_while_draining(autojump_clock: MockClock) -> None:
    """A draining proxy is alive and not ready."""
    async with open_house(still_serves=False) as house:
        house.silent_visits = 1
        await house.proxy.drain(1)
        client = await house.visit()
        await client.send_raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 503 ")
        await client.stream.aclose()


@pytest.mark.log_says("a session failed by a fault of rt-proxy itself")
async def test_a_fault_of_ours(autojump_clock: MockClock) -> None:
    """An exception of ours drops its own visitor, once logged and counted, and nobody else."""
    async with open_house() as house:

        async def broken(_channel: object, _request: object) -> trio.abc.Stream:
            raise ZeroDivisionError

        other, other_upstream = await house.open()
        house.dial_faults["main"] = broken
        with kit.errors_logged() as errors:
            client = await house.knock()
            status, _, body = await client.read_answer()
            assert (status, body["code"]) == (500, "internal_error")
            await client.over.wait()
        assert house.records[-1].ending == "internal_error"
        assert house.records[-1].close_code is None
        assert len(errors) == 1
        assert "ZeroDivisionError" in errors[0]
        assert house.token not in errors[0]
        assert house.proxy.faults == 1
        house.proxy._gate.faults = 0
        house.dial_faults.clear()
        await other.close()
        await farewells(other, other_upstream)


@pytest.mark.log_says("on_session_end raised")
async def test_an_embedder_whose_hook_fails(autojump_clock: MockClock) -> None:
    """A hook that raises is logged, and the session ends as it would have."""
    async with open_house() as house:
        client, upstream = await house.open()
        append = house.records.append

        def fail(record: Any) -> None:
            append(record)
            raise ZeroDivisionError

        house.proxy._on_session_end = fail
        with kit.errors_logged() as errors:
            await client.close()
            told, _ = await farewells(client, upstream)
            await client.over.wait()
        assert told.code == 1000
        assert len(errors) == 1
        house.proxy._on_session_end = append


# Clients that are cut, that leave or that say too much before they are answered.


async def test_cut_while_dialling(autojump_clock: MockClock) -> None:
    """A client that is cut before its 101 reads a 503 that tells it to come again."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        await upstream.read_head()
        [visit] = house.proxy._visits
        visit.cancel()
        status, headers, error = await client.read_answer()
        assert (status, error["code"]) == (503, "at_capacity")
        assert int(headers[b"retry-after"]) > 0
        assert await upstream.receive() is None
        record = await house.record()
        assert (record.ending, record.ended_by, record.close_code) == ("cut", "proxy", None)
        assert trio.current_time() <= 0.25


async def test_leaving_while_dialling(autojump_clock: MockClock) -> None:
    """A client that leaves before its 101 was told no close code, and the record has none."""
    async with open_house() as house:
        client = await house.knock()
        await (await house.upstream()).read_head()
        await client.stream.aclose()
        record = await house.record()
        assert (record.ending, record.close_code) == ("client_lost", None)


@pytest.mark.parametrize("early", ["nothing", "frame", "half a frame", "large frame", "CLOSE"])
async def test_refused_with_frames_behind_the_head(autojump_clock: MockClock, early: str) -> None:
    """What a refused client said too early, and what is left of it, does not hold the goodbye."""
    async with open_house() as house:
        client = await house.visit()
        size = 70_000 if early == "large frame" else 100
        whole = kit.frame(kit.TEXT, kit.append(size), key=client.key)
        close = kit.frame(kit.CLOSE, kit.close_payload(1000), key=client.key)
        said, rest = {
            "nothing": (b"", close),
            "frame": (whole, close),
            "half a frame": (whole[:50], whole[50:] + close),
            "large frame": (whole[:50], whole[50:] + close),
            "CLOSE": (close, b""),
        }[early]
        await client.send_raw(kit.request_head("sk-rt-wrong") + said)
        await client.read_101()
        await client.send_raw(rest)
        told = await client.farewell(answer=False)
        assert told.told[:2] == ("invalid_api_key", 3000)
        await house.record()
        assert trio.current_time() == 0


@pytest.mark.parametrize("target", [f"/v1/realtime?model={MODEL}", "/healthz", "/nowhere"])
async def test_head_has_no_body(autojump_clock: MockClock, target: str) -> None:
    """The answer to HEAD is a head, a refusal too (RFC 9110, 9.3.2)."""
    async with open_house() as house:
        house.silent_visits = int("realtime" not in target)
        client = await house.visit()
        await client.send_raw(f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await client.read_head()
        assert b"content-length: " in head.lower()
        assert await client.receive() is None
        await client.stream.aclose()


# Visitors without a seat.


@pytest.mark.log_says("too many visitors without a session")
async def test_silent_visitors_do_not_shut_out_others(autojump_clock: MockClock) -> None:
    """However many say nothing, newcomers are served at once; the oldest go, no session does."""
    async with open_house(limits={"sessions": 10}) as house:
        client, upstream = await house.open()
        silent = []
        for _ in range(250):
            silent.append(await house.visit())
            await trio.testing.wait_all_tasks_blocked()
        gone = [visitor.over.is_set() for visitor in silent]
        assert gone == [True] * 50 + [False] * 200
        asking = await house.visit()
        await asking.send_raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await asking.read_answer())[0] == 200
        await asking.stream.aclose()
        other, other_upstream = await house.open()
        for peer in (client, other):
            await peer.say({"type": "response.cancel"})
        for far_end in (upstream, other_upstream):
            assert await far_end.hear() == {"type": "response.cancel"}
        assert trio.current_time() == 0
        for peer in (client, other):
            await peer.close()
        await farewells(client, upstream, other, other_upstream)
        for visitor in silent:
            await visitor.stream.aclose()
        house.silent_visits = 251


@pytest.mark.parametrize("said", [b"", b"GET /v1/realtime HTTP/1.1\r\nHost:"])
async def test_a_visitor_that_was_silent_too_long(autojump_clock: MockClock, said: bytes) -> None:
    """After the deadline of the head a visitor is answered, and soon gone, though it stays."""
    async with open_house() as house:
        client = await house.visit()
        if said:
            await client.send_raw(said)
        await client.over.wait()
        assert 10 <= trio.current_time() <= 10.25
        assert (await client.read_answer())[0] == 408
        assert (await house.record()).ending == "head_timeout"


def test_the_key_is_sixteen_bytes() -> None:
    """The tests' own key is what RFC 6455, 4.1 asks for."""
    assert len(base64.b64decode(kit.KEY)) == 16


async def test_a_token_that_is_revoked_while_an_upstream_is_opened(
    autojump_clock: MockClock,
) -> None:
    """Its client gets no session, and nothing that it has sent goes upstream."""
    async with open_house(still_serves=False) as house:
        client = await house.knock()
        await client.say({"type": "response.create"})
        upstream = await house.upstream()
        house.tokens.revoke("tester")
        await upstream.accept(kit.created())
        await client.read_101()
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("invalid_api_key", 3000, "invalid_request_error.invalid_api_key")
        assert told.events[0]["error"]["message"] == "The token was revoked."
        assert upstream_told.events == []
        assert (await house.record()).ending == "invalid_api_key"
