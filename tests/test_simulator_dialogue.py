"""The conversation as a state machine."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from rt_proxy.simulator import dialogue as dialogue_module
from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.dialogue import Dialogue
from rt_proxy.simulator.events import Event, write
from rt_proxy.simulator.requests import REALTIME_EVENTS

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_NOISE = PCM.encode([8000, -8000] * 6000)  # 500 ms
_SILENCE = bytes(24_000)  # 500 ms


def _valid(event: Event) -> Event:
    _ADAPTER.validate_python(event, strict=True)
    json.loads(write(event))
    return event


def _tell(dialogue: Dialogue, type: str, **fields: Any) -> list[Event]:  # noqa: A002 - as the API
    frame = json.dumps({"type": type, **fields})
    return [_valid(event) for event in dialogue.hear(frame)]


def _rest(dialogue: Dialogue) -> list[Event]:
    events = []
    while (event := dialogue.advance()) is not None:
        events.append(_valid(event))
    return events


def _kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def _say(dialogue: Dialogue, text: str) -> list[Event]:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return _tell(dialogue, "conversation.item.create", item=item)


def _append(dialogue: Dialogue, audio: bytes) -> list[Event]:
    return _tell(dialogue, "input_audio_buffer.append", audio=base64.b64encode(audio).decode())


def _configured(**change: Any) -> Dialogue:
    dialogue = Dialogue("m", 1)
    (told,) = _tell(dialogue, "session.update", session={"type": "realtime", **change})
    assert told["type"] == "session.updated"
    return dialogue


def _input(**change: Any) -> dict[str, Any]:
    return {"audio": {"input": change}}


def _code(events: list[Event]) -> str:
    (error,) = events
    return str(error["error"]["code"])


def test_the_session_comes_first() -> None:
    """``session.created`` shows the model, or a transcription session without one."""
    assert _valid(Dialogue("m", 7).opening())["session"]["model"] == "m"
    transcribes = _valid(Dialogue(None, 7).opening())["session"]
    assert transcribes["type"] == "transcription"
    assert transcribes["expires_at"] == 7


def test_a_text_turn_goes_round() -> None:
    """An item is announced twice, and a response answers it."""
    dialogue = _configured(output_modalities=["text"])
    added, done = _say(dialogue, "Hello")
    assert _kinds([added, done]) == ["conversation.item.added", "conversation.item.done"]
    assert added["item"] == done["item"]
    assert _tell(dialogue, "response.create") == []
    events = _rest(dialogue)
    assert events[2]["previous_item_id"] == added["item"]["id"]
    assert events[-2]["response"]["output"][0]["content"][0]["text"] == "You said: Hello"
    assert not dialogue.is_speaking


def test_later_turns_find_the_earlier_ones_in_the_cache() -> None:
    """The second response reads the first turn from the cache."""
    dialogue = _configured(output_modalities=["text"])
    _say(dialogue, "Hello there")
    _tell(dialogue, "response.create")
    first = _rest(dialogue)[-2]["response"]["usage"]
    _say(dialogue, "And again")
    _tell(dialogue, "response.create")
    second = _rest(dialogue)[-2]["response"]["usage"]
    assert first["input_token_details"]["cached_tokens"] == 0
    assert 0 < second["input_token_details"]["cached_tokens"] == first["input_tokens"]
    assert second["input_tokens"] > first["input_tokens"] + first["output_tokens"]


def test_one_response_at_a_time() -> None:
    """A second one in the conversation is refused and names the first; then it may come."""
    dialogue = Dialogue("m", 1)
    _tell(dialogue, "response.create")
    created = dialogue.advance()
    assert created is not None
    refused = _tell(dialogue, "response.create", event_id="mine")
    assert _code(refused) == "conversation_already_has_active_response"
    assert created["response"]["id"] in refused[0]["error"]["message"]
    assert refused[0]["error"]["event_id"] == "mine"
    while (said := dialogue.advance()) is not None and said["type"] != "response.done":
        pass
    assert _tell(dialogue, "response.create") == []
    assert _kinds(_rest(dialogue))[-1] == "rate_limits.updated"


def test_responses_run_alongside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out-of-band responses go on at the same time, up to a bound."""
    monkeypatch.setattr(dialogue_module, "MOST_TURNS_ALONGSIDE", 2)
    dialogue = Dialogue("m", 1)
    alongside = {"conversation": "none", "output_modalities": ["text"]}
    _tell(dialogue, "response.create")
    for _ in range(2):
        assert _tell(dialogue, "response.create", response=alongside) == []
    assert _code(_tell(dialogue, "response.create", response=alongside)) == "rate_limit_exceeded"
    events = _rest(dialogue)
    assert _kinds(events[:3]) == ["response.created"] * 3
    assert _kinds(events).count("response.done") == 3
    assert len({event["response_id"] for event in events if "response_id" in event}) == 3


def test_a_response_reads_the_input_that_it_is_given() -> None:
    """Given items and references replace the conversation; an empty list is an empty context."""
    dialogue = Dialogue("m", 1)
    item_id = _say(dialogue, "from the conversation")[0]["item"]["id"]

    def answer(given: list[dict[str, Any]]) -> str:
        wish = {"conversation": "none", "output_modalities": ["text"], "input": given}
        assert _tell(dialogue, "response.create", response=wish) == []
        return str(_rest(dialogue)[-2]["response"]["output"][0]["content"][0]["text"])

    content = [{"type": "input_text", "text": "from the input"}]
    assert answer([]).startswith("Hello, I am")
    assert answer([{"type": "item_reference", "id": item_id}]).endswith("from the conversation")
    assert answer([{"type": "message", "role": "user", "content": content}]).endswith("the input")
    wish = {"input": [{"type": "item_reference", "id": "nobody"}]}
    refused = _tell(dialogue, "response.create", response=wish)
    assert refused[0]["error"]["param"] == "response.input[0].id"


def test_a_response_can_be_cancelled() -> None:
    """Cancelling ends it with what was said; without one it is the documented error."""
    dialogue = Dialogue("m", 1)
    assert _code(_tell(dialogue, "response.cancel")) == "response_cancel_not_active"
    _say(dialogue, "Hello")
    _tell(dialogue, "response.create")
    for _ in range(10):
        dialogue.advance()
    events = _tell(dialogue, "response.cancel")
    response = events[-2]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] > 0
    assert _rest(dialogue) == []


def test_a_response_is_cancelled_by_its_id() -> None:
    """An id picks one of several; an unknown one finds none."""
    dialogue = Dialogue("m", 1)
    _tell(dialogue, "response.create", response={"conversation": "none"})
    created = dialogue.advance()
    assert created is not None
    assert _code(_tell(dialogue, "response.cancel")) == "response_cancel_not_active"
    assert (
        _code(_tell(dialogue, "response.cancel", response_id="x")) == "response_cancel_not_active"
    )
    events = _tell(dialogue, "response.cancel", response_id=created["response"]["id"])
    assert events[-2]["response"]["status"] == "cancelled"


def test_speech_makes_an_item_and_a_response() -> None:
    """Voice activity commits the turn under the announced id, and an answer follows."""
    dialogue = Dialogue("m", 1)
    events = _append(dialogue, _NOISE + _SILENCE)
    assert _kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (0, 700)
    named = [event.get("item_id") or event["item"]["id"] for event in events]
    assert len(set(named)) == 1
    response = _rest(dialogue)[-2]["response"]
    assert response["output"][0]["content"][0]["transcript"] == "I heard you for 0.7 seconds."
    assert response["usage"]["input_token_details"]["audio_tokens"] == 7


def test_speech_interrupts_a_response() -> None:
    """Speech cancels the response in progress, with its reason, and is then answered."""
    dialogue = Dialogue("m", 1)
    _tell(dialogue, "response.create")
    for _ in range(8):
        dialogue.advance()
    events = _append(dialogue, _NOISE)
    done = next(event for event in events if event["type"] == "response.done")
    assert _kinds(events)[0] == "input_audio_buffer.speech_started"
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    _append(dialogue, _SILENCE)
    assert _rest(dialogue)[-2]["response"]["status"] == "completed"


def test_speech_neither_interrupts_nor_answers_when_told_so() -> None:
    """``interrupt_response`` and ``create_response`` false leave both to the client."""
    settings_ = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    dialogue = _configured(**_input(turn_detection=settings_))
    _tell(dialogue, "response.create")
    dialogue.advance()
    assert "response.done" not in _kinds(_append(dialogue, _NOISE + _SILENCE))
    assert _rest(dialogue)[-2]["response"]["status"] == "completed"
    assert _append(dialogue, _NOISE + _SILENCE)
    assert not dialogue.is_speaking


def test_a_client_may_commit_by_itself() -> None:
    """Without turn detection a commit makes the item and no response."""
    dialogue = _configured(**_input(turn_detection=None))
    assert _code(_tell(dialogue, "input_audio_buffer.commit")) == "input_audio_buffer_commit_empty"
    assert _append(dialogue, _NOISE) == []
    events = _tell(dialogue, "input_audio_buffer.commit")
    assert _kinds(events) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert not dialogue.is_speaking
    _append(dialogue, _NOISE)
    assert _kinds(_tell(dialogue, "input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert _code(_tell(dialogue, "input_audio_buffer.commit")) == "input_audio_buffer_commit_empty"


def test_a_commit_in_the_middle_of_speech_keeps_the_announced_id() -> None:
    """The item of a turn has the id that ``speech_started`` gave."""
    dialogue = Dialogue("m", 1)
    (started,) = _append(dialogue, _NOISE)
    committed = _tell(dialogue, "input_audio_buffer.commit")[0]
    assert committed["item_id"] == started["item_id"]


def test_speech_is_transcribed_when_it_is_asked_for() -> None:
    """Transcription events follow the item, and the item then has the transcript."""
    dialogue = _configured(**_input(turn_detection=None, transcription={"model": "whisper-1"}))
    _append(dialogue, _NOISE)
    events = _tell(dialogue, "input_audio_buffer.commit")
    completed = events[-1]
    assert completed["transcript"] == "I spoke for 0.5 seconds."
    assert completed["usage"] == {"type": "duration", "seconds": 0.5}
    (retrieved,) = _tell(dialogue, "conversation.item.retrieve", item_id=completed["item_id"])
    part = retrieved["item"]["content"][0]
    assert part["transcript"] == completed["transcript"]
    assert base64.b64decode(part["audio"]) == _NOISE


def test_a_transcription_session_transcribes_and_never_answers() -> None:
    """Speech is committed and transcribed in the documented order, and no response comes."""
    dialogue = Dialogue(None, 1)
    session = {"type": "transcription", **_input(transcription={"model": "gpt-4o-transcribe"})}
    _tell(dialogue, "session.update", session=session)
    kinds = _kinds(_append(dialogue, _NOISE + _SILENCE))
    assert kinds[2:5] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert kinds[-1] == "conversation.item.input_audio_transcription.completed"
    assert not dialogue.is_speaking
    assert _code(_tell(dialogue, "response.create")) == "invalid_value"


def test_spoken_answers_can_be_retrieved_and_truncated() -> None:
    """The assistant's item has its audio until it is cut."""
    dialogue = Dialogue("m", 1)
    _tell(dialogue, "response.create")
    item_id = _rest(dialogue)[-2]["response"]["output"][0]["id"]
    place = {"item_id": item_id, "content_index": 0}
    cut = _tell(dialogue, "conversation.item.truncate", **place, audio_end_ms=500)
    assert _kinds(cut) == ["conversation.item.truncated"]
    (retrieved,) = _tell(dialogue, "conversation.item.retrieve", item_id=item_id)
    audio = base64.b64decode(retrieved["item"]["content"][0]["audio"])
    assert PCM.milliseconds(len(audio)) == 500
    assert PCM.loudness(audio) > 0.02
    deleted = _tell(dialogue, "conversation.item.delete", item_id=item_id)
    assert deleted[0]["item_id"] == item_id


def test_the_voice_is_fixed_by_the_first_audio() -> None:
    """After an answer in audio the voice cannot change; after one in text it can."""
    dialogue = _configured(output_modalities=["text"])
    _tell(dialogue, "response.create")
    _rest(dialogue)
    change = {"type": "realtime", "audio": {"output": {"voice": "ash"}}}
    assert _kinds(_tell(dialogue, "session.update", session=change)) == ["session.updated"]
    _tell(dialogue, "response.create", response={"output_modalities": ["audio"]})
    _rest(dialogue)
    change["audio"] = {"output": {"voice": "echo"}}
    assert _code(_tell(dialogue, "session.update", session=change)) == "cannot_update_voice"


def test_a_function_is_called_and_its_output_told() -> None:
    """The call, the client's output for it, and the answer that tells it."""
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    dialogue = _configured(output_modalities=["text"], tools=[tool])
    _say(dialogue, "How is the weather?")
    _tell(dialogue, "response.create")
    call = _rest(dialogue)[-2]["response"]["output"][0]
    assert (call["type"], call["name"]) == ("function_call", "get_weather")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    _tell(dialogue, "conversation.item.create", item=output)
    _tell(dialogue, "response.create")
    answer = _rest(dialogue)[-2]["response"]["output"][0]
    assert answer["content"][0]["text"] == "The tool says: sunny"


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        ("no json", "invalid_json", None),
        (b"\0", "invalid_event", None),
        ('{"event_id":"e"}', "invalid_event", None),
        ('{"type":"x.y"}', "invalid_value", "type"),
        ('{"type":5}', "invalid_value", "type"),
        ('{"type":"output_audio_buffer.clear"}', "invalid_value", "type"),
    ],
)
def test_a_bad_frame_is_one_error(frame: str | bytes, code: str, param: str | None) -> None:
    """What is no known event is answered with one error and changes nothing."""
    (error,) = map(_valid, Dialogue("m", 1).hear(frame))
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """The message lists the supported types."""
    (error,) = Dialogue("m", 1).hear('{"type":"session.close"}')
    assert all(f"'{name}'" in error["error"]["message"] for name in REALTIME_EVENTS)


_WORDS = st.sampled_from([
    "realtime", "message", "user", "assistant", "input_text", "input_audio", "item_reference",
    "function_call", "function_call_output", "server_vad", "audio/pcmu", "text", "audio", "none",
    "auto", "root", "AAAA", "ash", "function", "a", "",
])  # fmt: skip
_KEYS = st.sampled_from([
    "type", "event_id", "session", "item", "item_id", "response", "audio", "input", "output",
    "format", "voice", "tools", "tool_choice", "name", "parameters", "role", "content", "text",
    "id", "call_id", "arguments", "turn_detection", "transcription", "output_modalities",
    "previous_item_id", "content_index", "audio_end_ms", "response_id", "conversation", "metadata",
    "model", "rate", "max_output_tokens", "instructions", "include", "tracing", "prompt", "x",
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


@settings(max_examples=80)
@given(st.lists(_EVENTS | _VALUES, max_size=8), st.booleans())
def test_nothing_a_client_sends_raises(values: list[Any], transcribes: bool) -> None:
    """Arbitrary values as events give valid events, never an exception."""
    dialogue = Dialogue(None if transcribes else "m", 1)
    for value in values:
        for event in dialogue.hear(json.dumps(value)):
            _valid(event)
        for _ in range(5):
            dialogue.advance()
    _rest(dialogue)


_SESSION = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "f"},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "ash", "speed": 1.0},
    },
}
_ITEM = {
    "type": "message",
    "id": "item_1",
    "role": "user",
    "content": [{"type": "input_text", "text": "f"}, {"type": "input_audio", "audio": "AAAA"}],
}
_GOOD = [
    {"type": "session.update", "session": _SESSION},
    {"type": "conversation.item.create", "item": _ITEM, "previous_item_id": "root"},
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
    },
    {"type": "response.create", "response": {"conversation": "none", "input": [_ITEM]}},
    {"type": "response.create", "response": {"max_output_tokens": 5, "metadata": {"a": "b"}}},
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


@settings(max_examples=80)
@given(st.lists(st.sampled_from(_GOOD) | _nearly_good(), max_size=10))
def test_nearly_good_events_never_raise(values: list[Any]) -> None:
    """Good events with one wrong value give valid events too, in any order."""
    dialogue = Dialogue("m", 1)
    for value in values:
        for event in dialogue.hear(json.dumps(value)):
            _valid(event)
        for _ in range(5):
            if (said := dialogue.advance()) is not None:
                _valid(said)
    _rest(dialogue)
