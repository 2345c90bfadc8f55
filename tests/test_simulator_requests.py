"""The checks of client events."""

from typing import Any

import pytest

from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.requests import REALTIME_EVENTS, TRANSCRIPTION_EVENTS


def test_the_documented_events_are_known() -> None:
    """All client events of the API but those of WebRTC; fewer in a transcription session."""
    assert set(REALTIME_EVENTS) == {
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "conversation.item.create",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "conversation.item.delete",
        "response.create",
        "response.cancel",
    }
    assert "response.create" not in TRANSCRIPTION_EVENTS


@pytest.mark.parametrize(
    "response",
    [
        None,
        {},
        {"conversation": "none", "input": [], "metadata": {"a": "b"}},
        {"input": [{"type": "item_reference", "id": "item_1"}]},
        {"audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}}},
        {"output_modalities": ["text"], "instructions": "x", "max_output_tokens": "inf"},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": False, "prompt": None},
    ],
)
def test_a_response_may_be_asked_for(response: dict[str, Any] | None) -> None:
    """Every documented field of ``response.create`` passes."""
    check = REALTIME_EVENTS["response.create"]
    assert check({"type": "response.create", "event_id": "e", "response": response}, "")


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.create", "event_id": 5}, "invalid_type", "event_id"),
        ({"type": "response.create", "foo": 5}, "unknown_parameter", "foo"),
        (
            {"type": "response.create", "response": {"modalities": ["text"]}},
            "unknown_parameter",
            "response.modalities",
        ),
        (
            {"type": "response.create", "response": {"voice": "ash"}},
            "unknown_parameter",
            "response.voice",
        ),
        (
            {"type": "response.create", "response": {"audio": {"output": {"speed": 1}}}},
            "unknown_parameter",
            "response.audio.output.speed",
        ),
        (
            {"type": "response.create", "response": {"metadata": {"a": "b" * 513}}},
            "string_above_max_length",
            "response.metadata.a",
        ),
        (
            {"type": "response.create", "response": {"input": [{"type": "x"}]}},
            "invalid_value",
            "response.input[0].type",
        ),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
        ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0},
            "missing_required_parameter",
            "audio_end_ms",
        ),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
    ],
)
def test_a_wrong_event_is_refused(event: dict[str, Any], code: str, param: str) -> None:
    """Unknown and missing fields are refused by their path."""
    with pytest.raises(EventRefused) as caught:
        REALTIME_EVENTS[event["type"]](event, "")
    assert (caught.value.code, caught.value.param) == (code, param)
