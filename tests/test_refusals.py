"""Facts about refusals, in both forms in which a client may be told."""

import json

import attrs
import pytest

from rt_proxy.realtime import refusals
from rt_proxy.realtime.closing import cut_reason
from rt_proxy.realtime.frames import is_legal_close_code
from rt_proxy.realtime.refusals import Refusal

INVALID = "invalid_request_error"
LIMIT = "rate_limit_error"
SERVER = "server_error"

#: The refusal, its type, code, close code and HTTP status.
BOTH_FORMS = [
    (refusals.invalid_api_key("No token."), INVALID, "invalid_api_key", 3000, 401),
    (refusals.model_unknown("m"), INVALID, "model_not_found", 4004, 404),
    (refusals.model_not_allowed("m"), INVALID, "model_not_found", 4004, 403),
    (refusals.invalid_intent("x"), INVALID, "invalid_intent", 4000, 400),
    (refusals.missing_model(), INVALID, "missing_model", 4000, 400),
    (refusals.rate_limit_exceeded("Slow.", 7), LIMIT, "rate_limit_exceeded", 1013, 429),
    (refusals.upstream_unavailable("a: 1"), SERVER, "upstream_unavailable", 1013, 503),
]
#: The refusal, its type, code and HTTP status.
HTTP_ONLY = [
    (refusals.bad_request("No."), INVALID, "bad_request", 400),
    (refusals.http_only(404, "not_found", "No."), INVALID, "not_found", 404),
    (refusals.head_timeout(), INVALID, "head_timeout", 408),
    (refusals.origin_not_allowed(), INVALID, "origin_not_allowed", 403),
    (refusals.at_capacity(5), SERVER, "at_capacity", 503),
    (refusals.too_many_from_address(5), LIMIT, "rate_limit_exceeded", 429),
    (refusals.draining(5), SERVER, "drain", 503),
]
ALL = [row[0] for row in BOTH_FORMS + HTTP_ONLY]


@pytest.mark.parametrize(("refusal", "type_", "code", "close_code", "status"), BOTH_FORMS)
def test_both_forms(refusal: Refusal, type_: str, code: str, close_code: int, status: int) -> None:
    """Type, code, close code and status are those of the public table."""
    assert (refusal.type, refusal.code) == (type_, code)
    assert (refusal.close_code, refusal.status) == (close_code, status)
    assert refusal.close_reason == f"{type_}.{code}"
    assert cut_reason(refusal.close_reason) == refusal.close_reason
    assert is_legal_close_code(close_code)


@pytest.mark.parametrize(("refusal", "type_", "code", "status"), HTTP_ONLY)
def test_http_form_only(refusal: Refusal, type_: str, code: str, status: int) -> None:
    """What is refused before anything of the session is known has no event form."""
    assert (refusal.type, refusal.code, refusal.status) == (type_, code, status)
    assert refusal.close_code is None


@pytest.mark.parametrize("refusal", ALL, ids=lambda refusal: refusal.code)
def test_the_body_of_the_http_form(refusal: Refusal) -> None:
    """The body is one JSON object, ``error``, with four members, and ends with a new line."""
    assert refusal.body().endswith(b"\n")
    assert json.loads(refusal.body()) == {
        "error": {
            "message": refusal.message,
            "type": refusal.type,
            "param": refusal.param,
            "code": refusal.code,
        }
    }


@pytest.mark.parametrize("refusal", ALL, ids=lambda refusal: refusal.code)
def test_the_event(refusal: Refusal) -> None:
    """The event is an ``error`` event as the API sends it."""
    event = json.loads(refusal.event())
    assert event.pop("event_id").startswith("event_")
    assert event == {
        "type": "error",
        "error": {
            "type": refusal.type,
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": None,
        },
    }


@pytest.mark.parametrize("refusal", ALL, ids=lambda refusal: refusal.code)
def test_a_message_is_a_sentence(refusal: Refusal) -> None:
    """People can read why; a sentence of the caller's own stays as it is."""
    assert refusal.message.endswith((".", "a: 1", ")."))


@pytest.mark.parametrize(
    "refusal",
    [
        refusals.rate_limit_exceeded("Slow.", 5),
        refusals.at_capacity(5),
        refusals.too_many_from_address(5),
        refusals.draining(5),
    ],
)
def test_who_may_come_back(refusal: Refusal) -> None:
    """A refusal that passes with time says when to come back, in seconds."""
    assert refusal.headers == (("Retry-After", "5"),)


def test_further_headers() -> None:
    """An HTTP refusal has the headers that it was given, in order."""
    refusal = refusals.http_only(426, "x", "No.", ("Upgrade", "websocket"), ("A", "b"))
    assert refusal.headers == (("Upgrade", "websocket"), ("A", "b"))


@pytest.mark.parametrize(
    ("refusal", "param"),
    [
        (refusals.model_unknown("m"), "model"),
        (refusals.model_not_allowed("m"), "model"),
        (refusals.missing_model(), "model"),
        (refusals.invalid_intent("x"), "intent"),
        (refusals.invalid_api_key("No."), None),
    ],
)
def test_the_param_at_fault(refusal: Refusal, param: str | None) -> None:
    """A refusal names the query item that is wrong."""
    assert refusal.param == param


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "ä\ud800", "x" * 100])
def test_a_hostile_name_stays_text(name: str) -> None:
    """What a client wrote is shown escaped: it can break neither JSON nor a line of the log."""
    refusal = refusals.model_unknown(name)
    assert repr(name) in json.loads(refusal.body())["error"]["message"]
    assert b"\r" not in refusal.body()
    assert "\n" not in refusal.message
    assert refusal.event().isascii()


def test_an_error_event_names_the_clients_event() -> None:
    """An error about a client's event has that event's id, and a fresh one of its own."""
    payload = refusals.error_event("t", "c", "m", param="p", client_event_id="mine")
    event = json.loads(payload)
    assert event["error"] == {
        "type": "t",
        "code": "c",
        "message": "m",
        "param": "p",
        "event_id": "mine",
    }
    assert payload.startswith(b'{"type":"error","event_id":"event_')


def test_event_ids_are_never_used_twice() -> None:
    """Each event of ours has its own id."""
    assert len({refusals.new_event_id() for _ in range(100)}) == 100


def test_a_refusal_is_a_value() -> None:
    """Two refusals for the same reason are equal, and none can be changed."""
    assert refusals.missing_model() == refusals.missing_model()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        refusals.missing_model().status = 200  # type: ignore[misc]  # that it fails is the point
