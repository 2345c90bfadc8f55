"""Facts about the plain HTTP pages and how answers are written."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import h11
import pytest

from rt_proxy.channels import ChannelState
from rt_proxy.listener.pages import (
    Answer,
    health_answer,
    models_answer,
    readiness_answer,
    refusal_answer,
    refuse_page,
    render,
    usage_answer,
)
from rt_proxy.realtime.hello import RequestHead
from rt_proxy.realtime.refusals import (
    Refusal,
    http_only,
    invalid_api_key,
    model_unknown,
    rate_limit_exceeded,
)
from rt_proxy.settings import Budget
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.ledger import Spent

CHANNEL = ChannelState("c", "cooling", 2, 1, "HTTP 500", 4)


def parse(data: bytes, method: str = "GET") -> tuple[h11.Response, bytes]:
    """Read an answer as a client does, up to the end of the connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    client.receive_data(data)
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return response, body


def error(answer: Answer) -> dict[str, object]:
    """Return the error of an answer, checking that it has the API's form."""
    body = json.loads(answer.body)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    return dict(body["error"])


def test_healthz() -> None:
    """Whoever asks learns that the process is well."""
    answer = health_answer()
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok"}


def test_readyz() -> None:
    """Readiness is 200, or 503 in the form of every HTTP error."""
    answer = readiness_answer(None, is_ready=True)
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready"})
    answer = readiness_answer(None, is_ready=False)
    assert answer.status == 503
    assert error(answer)["type"] == "server_error"


def test_readyz_with_a_token() -> None:
    """Whoever may come in learns how the channels do, and whether it is ready as before."""
    channel = {"name": "c", "state": "cooling", "sessions": 2, "failures": 1}
    channel |= {"why": "HTTP 500", "seconds": 4}
    answer = readiness_answer([CHANNEL], is_ready=True)
    assert (answer.status, json.loads(answer.body)) == (
        200,
        {"status": "ready", "channels": [channel]},
    )
    answer = readiness_answer([CHANNEL], is_ready=False)
    assert answer.status == 503
    body = json.loads(answer.body)
    assert (body["channels"], body["error"]["code"]) == ([channel], "not_ready")


def test_models() -> None:
    """A token sees the list of its models in the API's form."""
    answer = models_answer(["gpt-realtime-2.1", "caf\u00e9"])
    assert answer.status == 200
    listed = json.loads(answer.body)
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["gpt-realtime-2.1", "caf\u00e9"]
    assert {model["object"] for model in listed["data"]} == {"model"}


def test_a_challenge() -> None:
    """A 401 has the challenge that HTTP asks for."""
    answer = refusal_answer(invalid_api_key("No token."))
    assert answer.status == 401
    assert error(answer)["code"] == "invalid_api_key"
    assert ("WWW-Authenticate", "Bearer") in answer.headers


def test_usage() -> None:
    """Money is told as text, to the last digit, and what has no limit or no end as null."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    spent = Spent(nano_usd=1_234_567_891, tokens=42)
    budget = Budget(usd=Decimal("1.50"), per="day")
    state = BudgetState("alice", budget, moment, moment + timedelta(days=1), spent)
    answer = usage_answer("tok_1", "alice", since=moment, spent=spent, state=state)
    assert json.loads(answer.body) == {
        "object": "usage",
        "token": {"id": "tok_1", "name": "alice"},
        "this_month": {"start": "2026-11-01T00:00:00Z", "usd": "1.234567891", "tokens": 42},
        "budget": {
            "per": "day",
            "start": "2026-11-01T00:00:00Z",
            "end": "2026-11-02T00:00:00Z",
            "usd": "1.50",
            "usd_spent": "1.234567891",
            "usd_left": "0.265432109",
            "tokens": None,
            "tokens_spent": 42,
            "tokens_left": None,
        },
    }


def test_usage_without_a_budget() -> None:
    """A token that has no budget is told so."""
    answer = usage_answer("tok_1", "alice", since=None, spent=Spent(), state=None)
    assert json.loads(answer.body)["budget"] is None


@pytest.mark.parametrize("target", ["/", "*", "/v1", "/healthz/", "/v1/chat/completions", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths(target: str, method: str) -> None:
    """Any other path is 404 for any method."""
    refusal = refuse_page(RequestHead(method, target, ()))
    assert refusal is not None
    assert (refusal.status, refusal.type) == (404, "invalid_request_error")


@pytest.mark.parametrize("target", ["/healthz?x=1", "/readyz", "/v1/models", "/v1/usage"])
def test_methods(target: str) -> None:
    """A page is read by GET and HEAD; another method is 405 and says so."""
    assert refuse_page(RequestHead("GET", target, ())) is None
    assert refuse_page(RequestHead("HEAD", target, ())) is None
    refusal = refuse_page(RequestHead("POST", target, ()))
    assert refusal is not None
    assert refusal.status == 405
    assert ("Allow", "GET, HEAD") in refusal.headers


@pytest.mark.parametrize(
    "refusal",
    [
        invalid_api_key("No token."),
        model_unknown("gpt\u00e9\n"),
        rate_limit_exceeded("Too many sessions.", 7),
    ],
)
def test_refusals(refusal: Refusal) -> None:
    """A refusal is told with its status, its headers and the error body."""
    answer = refusal_answer(refusal)
    assert answer.status == refusal.status
    assert answer.body == refusal.body()
    assert set(refusal.headers) <= set(answer.headers)
    assert error(answer)["message"] == refusal.message


def test_render() -> None:
    """An answer is whole HTTP: its length is right, nobody keeps it, the connection ends."""
    response, body = parse(render(Answer(200, b'{"a": "\xc3\xa9"}', (("X-More", "1"),))))
    assert response.status_code == 200
    assert response.reason == b"OK"
    assert body == b'{"a": "\xc3\xa9"}'
    assert dict(response.headers) == {
        b"content-type": b"application/json",
        b"content-length": b"11",
        b"cache-control": b"no-store",
        b"connection": b"close",
        b"x-more": b"1",
    }


def test_render_head_only() -> None:
    """The answer to HEAD has the headers of the answer to GET, and no body."""
    answer = health_answer()
    head = render(answer, head_only=True)
    assert head + answer.body == render(answer)
    response, body = parse(head, "HEAD")
    assert (b"content-length", str(len(answer.body)).encode()) in list(response.headers)
    assert body == b""


def test_render_upgrade_required() -> None:
    """A 426 lists its Upgrade header in Connection, as RFC 9110 7.8 asks."""
    refusal = http_only(426, "upgrade_required", "Use WebSocket.", ("Upgrade", "websocket"))
    response, _ = parse(render(refusal_answer(refusal)))
    headers = dict(response.headers)
    assert headers[b"upgrade"] == b"websocket"
    assert headers[b"connection"] == b"Upgrade, close"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 426, 429, 431, 503, 505])
def test_render_statuses(status: int) -> None:
    """Every status in use has its phrase and can be read back."""
    response, _ = parse(render(Answer(status, b"{}")))
    assert response.status_code == status
    assert response.reason
