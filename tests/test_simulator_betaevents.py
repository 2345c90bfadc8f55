"""Server events in the names and shapes of Beta."""

import copy
from typing import Any

import pytest

from rt_proxy.simulator.betaevents import show
from rt_proxy.simulator.betasession import fresh_session
from rt_proxy.simulator.events import Event, EventRefused, error, event


def _shown(kind: str, **fields: Any) -> Event:
    """Return an event as Beta sends it, and hold that showing it changes nothing."""
    said = event(kind, **fields)
    before = copy.deepcopy(said)
    shown = show(said)
    assert shown is not None
    assert said == before
    assert shown["event_id"] == said["event_id"]
    assert list(shown)[:2] == ["type", "event_id"]
    return shown


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("response.output_text.delta", "response.text.delta"),
        ("response.output_text.done", "response.text.done"),
        ("response.output_audio.delta", "response.audio.delta"),
        ("response.output_audio.done", "response.audio.done"),
        ("response.output_audio_transcript.delta", "response.audio_transcript.delta"),
        ("response.output_audio_transcript.done", "response.audio_transcript.done"),
        ("input_audio_buffer.committed", "input_audio_buffer.committed"),
        ("rate_limits.updated", "rate_limits.updated"),
        ("conversation.created", "conversation.created"),
    ],
)
def test_events_have_their_old_names(kind: str, name: str) -> None:
    """The deltas of an answer had other names; the rest had the names of today."""
    assert _shown(kind, delta="x")["type"] == name


def test_an_item_is_announced_once() -> None:
    """It is created when it is added, and nothing is said when it is done."""
    item = {"id": "item_1", "type": "function_call", "status": "in_progress"}
    shown = _shown("conversation.item.added", previous_item_id=None, item=item)
    assert shown["type"] == "conversation.item.created"
    assert shown["previous_item_id"] is None
    assert show(event("conversation.item.done", item=item)) is None


def test_items_have_an_object_and_the_old_parts() -> None:
    """Each item says what it is; the assistant's parts are ``text`` and ``audio``."""
    parts = [{"type": "output_text", "text": "x"}, {"type": "output_audio", "transcript": "y"}]
    item = {"id": "i", "type": "message", "status": "completed", "role": "assistant"}
    shown = _shown("response.output_item.done", item={**item, "content": parts})["item"]
    assert shown == {
        **item,
        "object": "realtime.item",
        "content": [{"type": "text", "text": "x"}, {"type": "audio", "transcript": "y"}],
    }


def test_an_output_has_no_status() -> None:
    """The output of a function had none."""
    item = {"id": "i", "type": "function_call_output", "status": "completed", "output": "1"}
    shown = _shown("conversation.item.retrieved", item=item)["item"]
    assert set(shown) == {"id", "object", "type", "output"}


def test_fields_of_later_years_are_left_out() -> None:
    """A call's end did not name the function, and a transcript had no usage."""
    done = _shown("response.function_call_arguments.done", name="f", arguments="{}")
    kind = "conversation.item.input_audio_transcription.completed"
    assert "name" not in done
    assert "usage" not in _shown(kind, transcript="x", usage={})


@pytest.mark.parametrize("usage", [None, {}])
def test_a_response_is_flat(usage: dict[str, Any] | None) -> None:
    """Modalities, voice and format stand at the top, and the usage is that of early Beta."""
    cached = {"text_tokens": 1, "audio_tokens": 0, "image_tokens": 0}
    details = {"text_tokens": 2, "audio_tokens": 3, "image_tokens": 0, "cached_tokens": 1}
    full = {"total_tokens": 9, "output_token_details": {"text_tokens": 4, "audio_tokens": 0}}
    response = {
        "id": "resp_1",
        "object": "realtime.response",
        "status": "completed",
        "output": [{"id": "i", "type": "message", "content": []}],
        "conversation_id": None,
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "ash"}},
        "temperature": 0.8,
        "usage": None
        if usage is None
        else {**full, "input_token_details": {**details, "cached_tokens_details": cached}},
    }
    assert _shown("response.done", response=response)["response"] == {
        "id": "resp_1",
        "object": "realtime.response",
        "status": "completed",
        "output": [{"id": "i", "object": "realtime.item", "type": "message", "content": []}],
        "conversation_id": None,
        "modalities": ["text", "audio"],
        "max_output_tokens": "inf",
        "voice": "ash",
        "output_audio_format": "g711_ulaw",
        "temperature": 0.8,
        "usage": None
        if usage is None
        else {
            **full,
            "input_token_details": {"cached_tokens": 1, "text_tokens": 2, "audio_tokens": 3},
        },
    }


@pytest.mark.parametrize("what", ["created", "updated"])
def test_each_kind_of_session_has_events_of_its_own(what: str) -> None:
    """A transcription session has its own names, and neither shows a type."""
    speaks = _shown(f"session.{what}", session=fresh_session("m", 7))
    transcribes = _shown(f"session.{what}", session=fresh_session(None, 7))
    assert speaks["type"] == f"session.{what}"
    assert transcribes["type"] == f"transcription_session.{what}"
    assert "type" not in {**speaks["session"], **transcribes["session"]}


def test_errors_name_the_fields_of_beta() -> None:
    """The path of a field at fault is the flat one; an error without one has none."""
    refused = EventRefused("cannot_update_voice", "No.", "session.audio.output.voice")
    shown = show(error(refused, "mine"))
    assert shown is not None
    assert shown["error"] == {
        "type": "invalid_request_error",
        "code": "cannot_update_voice",
        "message": "No.",
        "param": "session.voice",
        "event_id": "mine",
    }
    plain = show(error(EventRefused("x", "No."), None))
    assert plain is not None
    assert plain["error"]["param"] is None
