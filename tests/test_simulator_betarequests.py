"""The checks of what a client of Beta sends."""

from typing import Any

import pytest

from rt_proxy.simulator import requests
from rt_proxy.simulator.betarequests import REALTIME_EVENTS, TRANSCRIPTION_EVENTS
from rt_proxy.simulator.events import EventRefused


def _item(**fields: Any) -> dict[str, Any]:
    event = {"type": "conversation.item.create", "item": fields}
    item: dict[str, Any] = REALTIME_EVENTS["conversation.item.create"](event, "")["item"]
    return item


def _message(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def _response(**fields: Any) -> dict[str, Any]:
    event = {"type": "response.create", "response": fields}
    response: dict[str, Any] = REALTIME_EVENTS["response.create"](event, "")["response"]
    return response


_TEXT = {"type": "input_text", "text": "x"}
_AUDIO = {"type": "input_audio", "audio": "AAAA"}


def test_the_documented_events_are_known() -> None:
    """All client events of Beta over a WebSocket; a transcription session has fewer."""
    update = "transcription_session.update"
    assert set(REALTIME_EVENTS) == {*requests.REALTIME_EVENTS, update}
    assert set(TRANSCRIPTION_EVENTS) == {*requests.TRANSCRIPTION_EVENTS, update}


@pytest.mark.parametrize(
    ("events", "kind", "words"),
    [
        (REALTIME_EVENTS, "transcription_session.update", "a transcription session update"),
        (TRANSCRIPTION_EVENTS, "session.update", "a realtime session update"),
    ],
)
def test_a_session_is_updated_by_its_own_event(
    events: dict[str, Any], kind: str, words: str
) -> None:
    """The update event of the other kind of session is refused."""
    with pytest.raises(EventRefused) as caught:
        events[kind]({"type": kind, "session": {}}, "")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "type")
    assert words in caught.value.message


@pytest.mark.parametrize(
    "item",
    [
        {**_message("user", _TEXT, _AUDIO), "id": "mine", "object": "realtime.item"},
        {**_message("system", _TEXT), "status": "incomplete"},
        {"type": "function_call", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ],
)
def test_items_are_taken(item: dict[str, Any]) -> None:
    """Every kind of item passes, with what Beta allows in it."""
    assert _item(**item)["type"] == item["type"]


def test_the_assistants_text_is_kept_as_ga_has_it() -> None:
    """A ``text`` part becomes what the dialogue calls it."""
    item = _item(**_message("assistant", {"type": "text", "text": "x"}))
    assert item["content"] == [{"type": "output_text", "text": "x"}]


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (_message("user", {"type": "input_image"}), "invalid_value", "item.content[0].type"),
        (_message("user", {"type": "text"}), "invalid_value", "item.content[0].type"),
        (_message("user", {"type": "item_reference"}), "invalid_value", "item.content[0].type"),
        (_message("system", _AUDIO), "invalid_value", "item.content[0].type"),
        (_message("assistant", {"type": "text"}), "missing_required_parameter",
         "item.content[0].text"),
        (_message("tool"), "invalid_value", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "item_reference", "id": "x"}, "invalid_value", "item.type"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        ({"type": "function_call_output", "call_id": "c", "output": "1", "status": "completed"},
         "unknown_parameter", "item.status"),
        ({**_message("user", _TEXT), "id": "x" * 33}, "string_above_max_length", "item.id"),
        ({**_message("user", _TEXT), "phase": "x"}, "unknown_parameter", "item.phase"),
    ],
)  # fmt: skip
def test_items_are_refused(item: dict[str, Any], code: str, param: str) -> None:
    """What is no item of Beta is refused by its path."""
    with pytest.raises(EventRefused) as caught:
        _item(**item)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("kind", ["output_text", "output_audio", "input_text", "audio"])
def test_the_assistant_has_text_only(kind: str) -> None:
    """A part of another type is refused in the words of the old server."""
    with pytest.raises(EventRefused) as caught:
        _item(**_message("assistant", {"type": kind, "text": "x"}))
    assert caught.value.message == f"Invalid value: '{kind}'. Value must be 'text'."
    assert caught.value.param == "item.content[0].type"


def test_a_response_is_kept_as_ga_has_it() -> None:
    """Every field passes, and each is where the dialogue looks for it."""
    kept = _response(
        modalities=["audio", "text"],
        instructions="x",
        voice="ash",
        output_audio_format="g711_ulaw",
        tools=[{"type": "function", "name": "f"}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        temperature=0.7,
        conversation="none",
        metadata={"a": "b"},
        prompt={"id": "p"},
        input=[],
    )
    assert kept == {
        "output_modalities": ["audio"],
        "instructions": "x",
        "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}},
        "tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "function", "name": "f"},
        "temperature": 0.7,
        "conversation": "none",
        "metadata": {"a": "b"},
        "prompt": {"id": "p"},
        "input": [],
    }


@pytest.mark.parametrize("name", ["max_response_output_tokens", "max_output_tokens"])
def test_the_limit_of_a_response_has_two_names(name: str) -> None:
    """The SDK's name and the reference's are both taken."""
    assert _response(**{name: 5}) == {"max_output_tokens": 5}


@pytest.mark.parametrize("response", [None, {}])
def test_a_response_needs_nothing(response: dict[str, Any] | None) -> None:
    """No wishes at all are fine."""
    event = {"type": "response.create", "response": response}
    assert REALTIME_EVENTS["response.create"](event, "")["response"] == response


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"output_modalities": ["text"]}, "unknown_parameter", "response.output_modalities"),
        ({"audio": {}}, "unknown_parameter", "response.audio"),
        ({"speed": 1}, "unknown_parameter", "response.speed"),
        ({"reasoning": {}}, "unknown_parameter", "response.reasoning"),
        ({"parallel_tool_calls": True}, "unknown_parameter", "response.parallel_tool_calls"),
        ({"modalities": ["audio"]}, "invalid_value", "response.modalities"),
        ({"voice": "cedar"}, "invalid_value", "response.voice"),
        ({"temperature": 2}, "decimal_above_max_value", "response.temperature"),
        ({"output_audio_format": "mp3"}, "invalid_value", "response.output_audio_format"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "response.max_output_tokens"),
        (
            {"input": [_message("assistant", {"type": "output_text", "text": "x"})]},
            "invalid_value",
            "response.input[0].content[0].type",
        ),
        (
            {"input": [_message("user", {"type": "item_reference"})]},
            "missing_required_parameter",
            "response.input[0].content[0].id",
        ),
        ({"input": {}}, "invalid_type", "response.input"),
    ],
)
def test_a_wrong_response_is_refused(response: dict[str, Any], code: str, param: str) -> None:
    """What is no wish of Beta is refused by its path."""
    with pytest.raises(EventRefused) as caught:
        _response(**response)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_references_stand_for_items() -> None:
    """A reference is an item of its own, whether it stands beside items or inside of one."""
    inside = _message("user", _TEXT, {"type": "item_reference", "id": "b"}, _TEXT, _TEXT)
    kept = _response(input=[{"type": "item_reference", "id": "a"}, {**inside, "id": "mine"}])
    assert kept["input"] == [
        {"type": "item_reference", "id": "a", "path": "response.input[0].id"},
        {**_message("user", _TEXT), "id": None},
        {"type": "item_reference", "id": "b", "path": "response.input[1].content[1].id"},
        {**_message("user", _TEXT, _TEXT), "id": None},
    ]


def test_an_item_without_references_is_one() -> None:
    """Also one without any content, and a call."""
    items = [_message("user"), {"type": "function_call", "name": "f", "arguments": ""}]
    assert _response(input=items)["input"] == items
