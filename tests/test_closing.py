"""Facts about the endings: what each side is told, and what passes from one to the other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime import closing, refusals
from rt_proxy.realtime.closing import (
    FIXED_ENDINGS,
    Ending,
    Side,
    client_closed,
    cut_reason,
    fault_ending,
    refused,
    upstream_closed,
)
from rt_proxy.realtime.frames import Fault, FaultKind, is_legal_close_code

CLIENT, UPSTREAM, PROXY = Side.CLIENT, Side.UPSTREAM, Side.PROXY

#: word, who ended it, what the client is told, what the upstream is told.
TABLE = [
    ("client_idle", CLIENT, 4408, 1000),
    ("upstream_idle", UPSTREAM, 1011, 1001),
    ("upstream_pong_timeout", UPSTREAM, 1011, 1001),
    ("upstream_stalled", UPSTREAM, 1011, 1001),
    ("upstream_lost", UPSTREAM, 1011, 1001),
    ("upstream_frame_stalled", UPSTREAM, 1011, 1001),
    ("client_stalled", CLIENT, 4409, 1000),
    ("client_pong_timeout", CLIENT, 1001, 1000),
    ("client_lost", CLIENT, 1001, 1000),
    ("client_frame_stalled", CLIENT, 1001, 1000),
    ("session_expired", PROXY, 1001, 1000),
    ("session_expired", UPSTREAM, 1001, 1000),
    ("drain", PROXY, 1001, 1000),
    ("token_revoked", PROXY, 3000, 1000),
    ("token_expired", PROXY, 3000, 1000),
    ("budget_spent", PROXY, 4003, 1000),
    ("model_changed", PROXY, 4004, 1000),
    ("cut", PROXY, 1001, 1000),
    ("internal_error", PROXY, 1011, 1000),
]


@pytest.mark.parametrize(("word", "side", "client_code", "upstream_code"), TABLE)
def test_the_table(word: str, side: Side, client_code: int, upstream_code: int) -> None:
    """Each ending tells each side its code; the word is the log's word and the reason."""
    (ending,) = [ending for ending in FIXED_ENDINGS if (ending.word, ending.side) == (word, side)]
    assert (ending.client_code, ending.upstream_code) == (client_code, upstream_code)
    assert ending.reason == word


def test_the_table_is_whole() -> None:
    """No ending is missing in the table, and no two of one side share a word."""
    assert sorted(ending.word for ending in FIXED_ENDINGS) == sorted(row[0] for row in TABLE)
    module_endings = [thing for thing in vars(closing).values() if isinstance(thing, Ending)]
    assert len(module_endings) == len(FIXED_ENDINGS)


@pytest.mark.parametrize("ending", FIXED_ENDINGS, ids=lambda ending: ending.word)
def test_an_ending_says_why(ending: Ending) -> None:
    """Each ending of ours has an error event with its word as the code, and a sentence.

    The one of a budget has the type and the code that clients know from the provider.
    """
    payload = ending.event()
    assert payload is not None
    event = json.loads(payload)
    assert event["type"] == "error"
    assert event["error"]["message"].endswith(".")
    if ending.word == "budget_spent":
        assert (event["error"]["type"], event["error"]["code"]) == ("insufficient_quota",) * 2
        return
    assert event["error"]["code"] == ending.word
    expired = ending.word == "session_expired"  # as the provider itself tells of it
    at_fault = ending.side is UPSTREAM and not expired
    at_fault = at_fault or ending.word in ("drain", "cut", "internal_error")
    assert event["error"]["type"] == ("server_error" if at_fault else "invalid_request_error")


@pytest.mark.parametrize("code", [1002, 1007])
def test_a_clients_fault(code: int) -> None:
    """A client that breaks the protocol is told how, 1002 or 1007; the upstream gets 1000."""
    ending = fault_ending(CLIENT, Fault(FaultKind.PROTOCOL, code, "No."))
    assert ending == Ending(
        CLIENT, "protocol_error", code, 1000, "protocol_error", "invalid_request_error", "No."
    )


@pytest.mark.parametrize("code", [1002, 1007])
def test_an_upstreams_fault(code: int) -> None:
    """An upstream that breaks the protocol is told how; its client did nothing and gets 1011."""
    ending = fault_ending(UPSTREAM, Fault(FaultKind.PROTOCOL, code, "No."))
    assert ending == Ending(
        UPSTREAM, "protocol_error", 1011, code, "protocol_error", "server_error", "No."
    )


@pytest.mark.parametrize(
    ("side", "type_"), [(CLIENT, "invalid_request_error"), (UPSTREAM, "server_error")]
)
def test_too_big(side: Side, type_: str) -> None:
    """A message that is too big ends with 1009 for the client and 1000 for the upstream."""
    ending = fault_ending(side, Fault(FaultKind.TOO_BIG, 1009, "Too big."))
    assert ending == Ending(
        side, "message_too_big", 1009, 1000, "message_too_big", type_, "Too big."
    )


PASSING = {1000, 1001, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_every_code_of_an_upstream() -> None:
    """Legal codes reach the client; all others, 1002, 1005 and 1006 among them, become 1011."""
    for code in range(5_001):
        ending = upstream_closed(code, "why")
        told = code if code in PASSING else 1011
        assert (ending.side, ending.word) == (UPSTREAM, "upstream_closed")
        assert (ending.client_code, ending.reason) == (told, "why")
        assert ending.upstream_code == (code if code in PASSING else 1000)
        assert is_legal_close_code(ending.client_code)
        assert is_legal_close_code(ending.upstream_code)


def test_every_code_of_a_client() -> None:
    """Legal codes reach the upstream; all others become 1000."""
    for code in range(5_001):
        ending = client_closed(code, "why")
        told = code if code in PASSING else 1000
        assert (ending.side, ending.word) == (CLIENT, "client_closed")
        assert (ending.client_code, ending.upstream_code, ending.reason) == (told, told, "why")
        assert is_legal_close_code(told)


def test_a_close_is_relayed_without_an_event() -> None:
    """Nothing is invented: who closes has said all there is to say."""
    assert upstream_closed(1000, "").event() is None
    assert client_closed(1000, "").event() is None


def test_a_code_that_was_changed_has_a_reason() -> None:
    """A client that gets 1011 in place of another code learns where it came from."""
    assert upstream_closed(1006, "").reason == "upstream_closed"
    assert upstream_closed(1000, "").reason == ""


@given(st.text(max_size=200))
def test_reasons_are_cut_between_characters(reason: str) -> None:
    """A reason is the longest start of itself that fits into 123 bytes (RFC 6455, 5.5)."""
    short = cut_reason(reason)
    assert reason.startswith(short)
    assert len(short.encode()) <= 123
    if short != reason:
        assert len(reason[: len(short) + 1].encode()) > 123


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("a" * 123, 123), ("a" * 124, 123), ("ö" * 62, 61), ("a" + "ö" * 61, 62), ("🎙" * 40, 30)],
)
def test_reasons_at_the_border(reason: str, kept: int) -> None:
    """Exactly 123 bytes stay; a character that would cross the border goes."""
    assert cut_reason(reason) == reason[:kept]
    for ending in (client_closed(1000, reason), upstream_closed(1000, reason)):
        assert ending.reason == reason[:kept]


def test_a_refusal_in_its_event_form() -> None:
    """A refused client gets the refusal's close code, and ``<type>.<code>`` as the reason.

    Its event is the refusal's own, sent before: the ending has none.
    """
    ending = refused(refusals.upstream_unavailable("a: 503"))
    assert ending == Ending(
        PROXY, "upstream_unavailable", 1013, 1000, "server_error.upstream_unavailable"
    )
    assert ending.event() is None


def test_a_refusal_that_has_no_event_form() -> None:
    """A refusal of the HTTP form alone cannot end a WebSocket."""
    with pytest.raises(ValueError, match="head_timeout"):
        refused(refusals.head_timeout())


def test_words_for_the_log() -> None:
    """A side is its name."""
    assert [str(side) for side in Side] == ["client", "upstream", "proxy"]
