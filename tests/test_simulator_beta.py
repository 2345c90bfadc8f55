"""Whole conversations in Beta: what the old server took, and what it sent in which order.

Every event that comes is held to the types of the official SDK's Beta, and to
the fields that Beta had: no name of GA may be among them.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from rt_proxy.simulator.audio import PCM, PCMU
from rt_proxy.simulator.betarequests import REALTIME_EVENTS
from rt_proxy.simulator.dialogue import Dialogue
from rt_proxy.simulator.events import Event, write
from rt_proxy.simulator.manners import BETA

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_MODEL = "gpt-4o-realtime-preview"
_NOISE = PCM.encode([8000, -8000] * 6000)  # 500 ms
_SILENCE = bytes(24_000)  # 500 ms

_NAMES = frozenset({
    "error",
    "session.created",
    "session.updated",
    "transcription_session.created",
    "transcription_session.updated",
    "conversation.created",
    "conversation.item.created",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "rate_limits.updated",
    "response.created",
    "response.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.text.delta",
    "response.text.done",
    "response.audio.delta",
    "response.audio.done",
    "response.audio_transcript.delta",
    "response.audio_transcript.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
})  # fmt: skip
#: What the old server sent beyond the SDK's types.
_FURTHER = {
    "Session": {"object", "expires_at", "prompt", "include"},
    "TranscriptionSession": {
        "id", "object", "expires_at", "input_audio_noise_reduction", "include",
    },
    "TurnDetection": {"idle_timeout_ms"},
}  # fmt: skip


def _valid(event: Event) -> Event:
    """Hold an event to the types, and to the fields, of Beta."""
    assert event["type"] in _NAMES
    json.loads(write(event))
    told = json.loads(json.dumps(event))
    kind = told["type"]
    if kind.startswith("transcription_session."):
        told["type"] = "transcription_session.updated"
        # The types want what only REST answers have, and models by name.
        told["session"]["client_secret"] = {"value": "", "expires_at": 0}
        (told["session"]["input_audio_transcription"] or {}).pop("model", None)
    elif kind.startswith("session."):
        told["session"]["model"] = _MODEL
        if isinstance(told["session"]["tool_choice"], dict):
            told["session"]["tool_choice"] = "auto"  # The types have only strings.
    elif kind.endswith("transcription.completed"):
        assert "usage" not in told
        told["usage"] = {"type": "duration", "seconds": 0.0}
    for name, further in _beyond(_ADAPTER.validate_python(told, strict=True)):
        assert further <= _FURTHER.get(name, set())
    return event


def _beyond(value: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield the fields that each part of an event has beyond its type."""
    if isinstance(value, list):
        for member in value:
            yield from _beyond(member)
    elif isinstance(value, BaseModel):
        yield type(value).__name__, set(value.model_extra or {})
        for field in type(value).model_fields:
            yield from _beyond(getattr(value, field))


def _begun(model: str | None = _MODEL, **change: Any) -> Dialogue:
    """Begin a session, with some settings."""
    dialogue = Dialogue(model, 7, BETA)
    if change:
        kind = "session.update" if model else "transcription_session.update"
        (told,) = _tell(dialogue, kind, session=change)
        assert told["type"] == f"{kind}d"
    return dialogue


def _tell(dialogue: Dialogue, type: str, **fields: Any) -> list[Event]:  # noqa: A002 - as the API
    frame = json.dumps({"type": type, **fields})
    return [_valid(event) for event in dialogue.hear(frame)]


def _rest(dialogue: Dialogue) -> list[Event]:
    return [_valid(event) for event in iter(dialogue.advance, None)]


def _respond(dialogue: Dialogue, **wish: Any) -> list[Event]:
    assert _tell(dialogue, "response.create", response=wish) == []
    return _rest(dialogue)


def _say(dialogue: Dialogue, text: str) -> Event:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    (created,) = _tell(dialogue, "conversation.item.create", item=item)
    return created


def _append(dialogue: Dialogue, audio: bytes) -> list[Event]:
    return _tell(dialogue, "input_audio_buffer.append", audio=base64.b64encode(audio).decode())


def _kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def _order(events: list[Event]) -> list[str]:
    """Return the types in order, with each run of one type as one."""
    return [kind for kind, _ in itertools.groupby(_kinds(events))]


def _error(events: list[Event]) -> tuple[str, str | None]:
    (error,) = events
    return error["error"]["code"], error["error"]["param"]


def test_a_session_opens_with_its_conversation() -> None:
    """The session comes first and the conversation next, whose id the responses have."""
    dialogue = _begun()
    created = _valid(dialogue.opening())
    (conversation,) = map(_valid, dialogue.introduction())
    assert created["type"] == "session.created"
    assert (created["session"]["model"], created["session"]["expires_at"]) == (_MODEL, 7)
    assert conversation["type"] == "conversation.created"
    assert conversation["conversation"]["object"] == "realtime.conversation"
    response = _respond(dialogue)[0]["response"]
    assert response["conversation_id"] == conversation["conversation"]["id"]


def test_a_text_turn() -> None:
    """Each item is created once, the limits come at the beginning, and the usage is early."""
    dialogue = _begun(modalities=["text"])
    asked = _say(dialogue, "Hello")
    assert asked["type"] == "conversation.item.created"
    assert asked["previous_item_id"] is None
    assert asked["item"]["object"] == "realtime.item"
    events = _respond(dialogue)
    assert _order(events) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    created, done = events[0]["response"], events[-1]["response"]
    assert events[3]["previous_item_id"] == asked["item"]["id"]
    assert (events[3]["item"]["status"], events[3]["item"]["content"]) == ("in_progress", [])
    assert created["usage"] is None
    assert done["output"][0]["content"] == [{"type": "text", "text": "You said: Hello"}]
    assert done["modalities"] == ["text"]
    assert set(done["usage"]["input_token_details"]) == {
        "cached_tokens",
        "text_tokens",
        "audio_tokens",
    }


def test_the_limits_count_what_is_reserved() -> None:
    """At the beginning of a response the tokens that it may use are taken off."""
    dialogue = _begun()
    few = _respond(dialogue, max_response_output_tokens=1)[1]["rate_limits"][0]
    many = _respond(dialogue, max_response_output_tokens=1001)[1]["rate_limits"][0]
    assert few["remaining"] - many["remaining"] >= 1000


def test_an_audio_turn() -> None:
    """Transcript and audio come interleaved; the response shows its flat settings."""
    dialogue = _begun(temperature=0.6)
    _say(dialogue, "Hello")
    events = _respond(dialogue, voice="verse", output_audio_format="g711_ulaw", temperature=1.1)
    assert [kind for kind in _order(events) if not kind.endswith("delta")] == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    deltas = [kind for kind in _order(events) if kind.endswith("delta")]
    assert deltas[:4] == ["response.audio_transcript.delta", "response.audio.delta"] * 2
    response = events[-1]["response"]
    for shown in (events[0]["response"], response):
        assert shown["modalities"] == ["text", "audio"]
        assert (shown["voice"], shown["output_audio_format"]) == ("verse", "g711_ulaw")
        assert (shown["temperature"], shown["max_output_tokens"]) == (1.1, "inf")
    assert response["output"][0]["content"] == [{"type": "audio", "transcript": "You said: Hello"}]
    assert _respond(dialogue)[0]["response"]["temperature"] == 0.6


def test_a_client_commits_by_itself() -> None:
    """A committed buffer is one item, and no response comes until it is asked for."""
    dialogue = _begun(turn_detection=None, input_audio_format="g711_ulaw")
    assert _error(_tell(dialogue, "input_audio_buffer.commit")) == (
        "input_audio_buffer_commit_empty",
        None,
    )
    _append(dialogue, PCMU.encode([8000, -8000] * 2000))
    committed, created = _tell(dialogue, "input_audio_buffer.commit")
    assert committed["type"] == "input_audio_buffer.committed"
    assert (created["type"], created["previous_item_id"]) == ("conversation.item.created", None)
    assert created["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert created["item"]["id"] == committed["item_id"]
    assert not dialogue.is_speaking
    assert _respond(dialogue)[3]["previous_item_id"] == committed["item_id"]
    assert _kinds(_tell(dialogue, "input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


def test_speech_is_answered() -> None:
    """Voice activity makes an item and a response, all in the old order."""
    dialogue = _begun()
    assert _kinds(_append(dialogue, _NOISE + _SILENCE)) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
    ]
    assert _rest(dialogue)[-1]["response"]["status"] == "completed"


def test_speech_interrupts() -> None:
    """Speech cancels the response in progress, which then ends as it always does."""
    dialogue = _begun()
    _tell(dialogue, "response.create")
    said = [_valid(event) for event in itertools.islice(iter(dialogue.advance, None), 9)]
    assert _kinds(said)[-1].endswith("delta")
    events = _append(dialogue, _NOISE)
    assert _kinds(events) == [
        "input_audio_buffer.speech_started",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    response = events[-1]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert _rest(dialogue) == []


@pytest.mark.parametrize("taken", range(12))
def test_a_cancelled_response_keeps_the_order(taken: int) -> None:
    """Cancelled after any event, the limits still come second and the end last."""
    dialogue = _begun(modalities=["text"])
    _tell(dialogue, "response.create")
    before = [_valid(event) for event in itertools.islice(iter(dialogue.advance, None), taken)]
    events = before + _tell(dialogue, "response.cancel")
    assert _kinds(events)[:2] == ["response.created", "rate_limits.updated"]
    assert _kinds(events)[-1] == "response.done"
    assert events[-1]["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "client_cancelled",
    }
    assert _error(_tell(dialogue, "response.cancel")) == ("response_cancel_not_active", None)


def test_a_function_turn() -> None:
    """The end of the arguments does not name the function, and its output has no status."""
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    choice = {"type": "function", "function": {"name": "get_weather"}}
    dialogue = _begun(tools=[tool], tool_choice=choice, modalities=["text"])
    events = _respond(dialogue)
    assert _order(events) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.created",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.done",
    ]
    done = events[-3]
    call = events[-1]["response"]["output"][0]
    assert set(done) == {
        "type", "event_id", "response_id", "item_id", "output_index", "call_id", "arguments",
    }  # fmt: skip
    assert (call["name"], call["object"]) == ("get_weather", "realtime.item")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    (created,) = _tell(dialogue, "conversation.item.create", item=output)
    assert "status" not in created["item"]
    assert created["previous_item_id"] == call["id"]
    answer = _respond(dialogue, tool_choice="none")[-1]["response"]["output"][0]
    assert answer["content"] == [{"type": "text", "text": "The tool says: sunny"}]


def test_a_response_out_of_band() -> None:
    """It creates no item in the conversation, and reads the input that it is given."""
    dialogue = _begun(modalities=["text"])
    known = _say(dialogue, "from the conversation")["item"]["id"]
    content = [{"type": "item_reference", "id": known}]
    message = {"type": "message", "role": "user", "content": content}
    for read in (message, {"type": "item_reference", "id": known}):
        events = _respond(dialogue, conversation="none", metadata={"a": "b"}, input=[read])
        assert not any(kind.startswith("conversation.") for kind in _kinds(events))
        response = events[-1]["response"]
        assert response["conversation_id"] is None
        assert response["metadata"] == {"a": "b"}
        assert response["output"][0]["content"][0]["text"] == "You said: from the conversation"


def test_an_unknown_reference_is_refused_where_it_stands() -> None:
    """The path leads to the reference, also to one in the midst of a message."""
    content = [{"type": "input_text", "text": "x"}, {"type": "item_reference", "id": "nobody"}]
    message = {"type": "message", "role": "user", "content": content}
    refused = _tell(_begun(), "response.create", response={"input": [message]})
    assert _error(refused) == ("invalid_value", "response.input[0].content[1].id")


def test_items_can_be_retrieved_truncated_and_deleted() -> None:
    """A retrieved item carries its audio, in the old parts."""
    dialogue = _begun()
    item_id = _respond(dialogue)[-1]["response"]["output"][0]["id"]
    place = {"item_id": item_id, "content_index": 0}
    (cut,) = _tell(dialogue, "conversation.item.truncate", **place, audio_end_ms=500)
    assert cut["type"] == "conversation.item.truncated"
    (retrieved,) = _tell(dialogue, "conversation.item.retrieve", item_id=item_id)
    (part,) = retrieved["item"]["content"]
    assert (retrieved["item"]["object"], part["type"]) == ("realtime.item", "audio")
    assert PCM.milliseconds(len(base64.b64decode(part["audio"]))) == 500
    (deleted,) = _tell(dialogue, "conversation.item.delete", item_id=item_id)
    assert deleted["type"] == "conversation.item.deleted"
    missing = _tell(dialogue, "conversation.item.retrieve", item_id=item_id)
    assert _error(missing) == ("item_retrieve_invalid_item_id", "item_id")


@pytest.mark.parametrize(("model", "deltas"), [("whisper-1", False), ("gpt-4o-transcribe", True)])
def test_speech_is_transcribed(model: str, deltas: bool) -> None:
    """The transcript has no usage, and whisper-1 gives it without deltas."""
    dialogue = _begun(turn_detection=None, input_audio_transcription={"model": model})
    _append(dialogue, _NOISE)
    kinds = _order(_tell(dialogue, "input_audio_buffer.commit"))
    kind = "conversation.item.input_audio_transcription"
    assert kinds == [
        "input_audio_buffer.committed",
        "conversation.item.created",
        *([f"{kind}.delta"] if deltas else []),
        f"{kind}.completed",
    ]


def test_a_transcription_session() -> None:
    """It has its own first event and its own update, transcribes, and never answers."""
    created = _valid(_begun(None).opening())
    assert created["type"] == "transcription_session.created"
    assert list(_begun(None).introduction()) == []
    dialogue = _begun(None, input_audio_transcription={"model": "gpt-4o-mini-transcribe"})
    kinds = _order(_append(dialogue, _NOISE + _SILENCE))
    assert kinds[:4] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
    ]
    assert kinds[-1] == "conversation.item.input_audio_transcription.completed"
    assert not dialogue.is_speaking
    assert _error(_tell(dialogue, "response.create")) == ("invalid_value", "type")
    assert _error(_tell(dialogue, "session.update", session={})) == ("invalid_value", "type")


def test_the_voice_is_fixed_by_the_first_audio() -> None:
    """After an answer in audio another voice is refused, by the flat path."""
    dialogue = _begun(modalities=["text"])
    _respond(dialogue)
    assert _kinds(_tell(dialogue, "session.update", session={"voice": "ash"})) == [
        "session.updated"
    ]
    _respond(dialogue, modalities=["audio", "text"])
    refused = _tell(dialogue, "session.update", session={"voice": "echo"}, event_id="mine")
    assert _error(refused) == ("cannot_update_voice", "session.voice")
    assert refused[0]["error"]["event_id"] == "mine"


def test_an_update_of_ga_applies_nothing() -> None:
    """What a client of today sends is refused as a whole."""
    dialogue = _begun()
    change = {"instructions": "x", "type": "realtime", "audio": {"output": {"voice": "ash"}}}
    refused = _tell(dialogue, "session.update", session=change)
    assert _error(refused) == ("unknown_parameter", "session.type")
    assert refused[0]["error"]["message"] == "Unknown parameter: 'session.type'."
    (updated,) = _tell(dialogue, "session.update", session={})
    assert (updated["session"]["instructions"], updated["session"]["voice"]) == ("", "alloy")


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("no json", "invalid_json", None),
        (b"\0", "invalid_event", None),
        ('{"type":5}', "invalid_value", "type"),
        ('{"type":"session.update"}', "missing_required_parameter", "session"),
        ('{"type":"session.update","session":[]}', "invalid_type", "session"),
    ],
)
def test_a_bad_frame_is_one_error(frame: str | bytes, code: str, param: str | None) -> None:
    """What is no event of Beta is answered with one error and changes nothing."""
    assert _error([_valid(event) for event in _begun().hear(frame)]) == (code, param)


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """The message lists the events of Beta."""
    (error,) = _tell(_begun(), "session.close")
    assert all(f"'{name}'" in error["error"]["message"] for name in REALTIME_EVENTS)


_WORDS = st.sampled_from([
    "message", "user", "assistant", "input_text", "input_audio", "item_reference", "text", "audio",
    "function_call", "function_call_output", "server_vad", "pcm16", "g711_ulaw", "none", "auto",
    "root", "AAAA", "ash", "function", "realtime", "output_text", "a", "",
])  # fmt: skip
_KEYS = st.sampled_from([
    "type", "event_id", "session", "item", "item_id", "response", "audio", "input", "modalities",
    "voice", "tools", "tool_choice", "name", "function", "parameters", "role", "content", "text",
    "id", "call_id", "arguments", "output", "turn_detection", "input_audio_transcription",
    "input_audio_format", "output_audio_format", "temperature", "max_response_output_tokens",
    "previous_item_id", "content_index", "audio_end_ms", "response_id", "conversation", "metadata",
    "model", "instructions", "include", "tracing", "prompt", "status", "x",
])  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=20,
)
_EVENTS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(list(REALTIME_EVENTS)) | _VALUES,
    st.dictionaries(_KEYS, _VALUES, max_size=6),
)


def _hold(dialogue: Dialogue, values: list[Any]) -> None:
    """Tell a dialogue all this, and hold every event that comes to Beta."""
    for value in values:
        for event in dialogue.hear(json.dumps(value)):
            _valid(event)
        for _ in range(5):
            if (said := dialogue.advance()) is not None:
                _valid(said)
    _rest(dialogue)


@settings(max_examples=80)
@given(st.lists(_EVENTS | _VALUES, max_size=8), st.booleans())
def test_nothing_a_client_sends_raises(values: list[Any], transcribes: bool) -> None:
    """Arbitrary values as events give valid events of Beta, never an exception."""
    _hold(Dialogue(None if transcribes else _MODEL, 1, BETA), values)


_SESSION = {
    "modalities": ["audio", "text"],
    "voice": "ash",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "temperature": 0.7,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.5},
    "speed": 1.0,
}
_ITEM = {
    "type": "message",
    "id": "item_1",
    "role": "user",
    "content": [{"type": "input_text", "text": "f"}, {"type": "input_audio", "audio": "AAAA"}],
}
_REFERRING = {**_ITEM, "content": [*_ITEM["content"], {"type": "item_reference", "id": "item_1"}]}
_OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "1"}
_GOOD = [
    {"type": "session.update", "session": _SESSION},
    {"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}},
    {"type": "conversation.item.create", "item": _ITEM, "previous_item_id": "root"},
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
    },
    {"type": "conversation.item.create", "item": _OUTPUT},
    {"type": "response.create", "response": {"conversation": "none", "input": [_REFERRING]}},
    {"type": "response.create", "response": {"max_output_tokens": 5, "metadata": {"a": "b"}}},
    {"type": "response.create", "response": {"modalities": ["text"], "temperature": 1}},
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(_NOISE[:8000]).decode()},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {
        "type": "conversation.item.truncate",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": 5,
    },
    {"type": "input_audio_buffer.commit"},
    {"type": "response.cancel", "event_id": "e"},
]


@st.composite
def _nearly_good(draw: st.DrawFn) -> Any:
    """A good event in which one value, anywhere, is replaced by an arbitrary one."""
    event = json.loads(json.dumps(draw(st.sampled_from(_GOOD))))
    node = event
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        inner = node[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
            node[key] = draw(_VALUES)
            return event
        node = inner


@settings(max_examples=120)
@given(st.lists(st.sampled_from(_GOOD) | _nearly_good(), max_size=10), st.booleans())
def test_nearly_good_events_never_raise(values: list[Any], transcribes: bool) -> None:
    """Good events with one wrong value give valid events of Beta too, in any order."""
    _hold(Dialogue(None if transcribes else _MODEL, 1, BETA), values)
