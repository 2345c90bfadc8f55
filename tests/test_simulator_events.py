"""Reading and writing events as JSON text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.simulator.events import EventRefused, error, event, read, write

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, categories=["L", "N", "P", "Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


def test_type_stands_first_and_ids_differ() -> None:
    """A server event begins with its type, then its id, and no id is used twice."""
    first, second = event("a.b", x=1), event("a.b", x=1)
    assert list(first) == ["type", "event_id", "x"]
    assert first["event_id"] != second["event_id"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ('{"type":NaN}', "invalid_json"),
        ('{"type":"x","n":1e999}', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ('{"type":' + "[" * 100 + "]" * 100 + "}", "invalid_json"),
        ('{"type":' + "1" * 10_000 + "}", "invalid_json"),
        ('{"type":"x","x":[' + "[]," * 60_000 + "[]]}", "invalid_json"),
        ("[]", "invalid_event"),
        ("null", "invalid_event"),
        ("{}", "invalid_event"),
        (b'{"type":"x"}', "invalid_event"),
    ],
)
def test_what_is_no_event_is_refused(frame: str | bytes, code: str) -> None:
    """Bad JSON is invalid_json; no object, no type and binary frames are invalid_event."""
    with pytest.raises(EventRefused) as caught:
        read(frame)
    assert caught.value.code == code


def test_an_error_names_the_clients_event() -> None:
    """``error.event_id`` is the client's own, and null if it gave none."""
    refused = EventRefused("invalid_value", "No.", "session.type")
    assert error(refused, "mine")["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_value",
        "message": "No.",
        "param": "session.type",
        "event_id": "mine",
    }
    assert error(refused, None)["error"]["event_id"] is None


def test_a_refusal_never_carries_much_of_the_clients_text() -> None:
    """A megabyte in a field's name does not come back as a megabyte."""
    refused = EventRefused("unknown_parameter", "x" * 10**6, "y" * 10**6)
    assert len(write(error(refused, None))) < 2000


@given(_JSON)
def test_written_events_are_valid_unicode_json(value: object) -> None:
    """Whatever came from a client leaves as JSON in valid UTF-8, half surrogates included."""
    text = write(event("x", value=value))
    json.loads(text.encode())
