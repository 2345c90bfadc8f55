"""The session object and its strict update."""

from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from rt_proxy.simulator.events import EventRefused, event
from rt_proxy.simulator.session import (
    fresh_session,
    realtime_session,
    transcription_session,
    updated,
)

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


_TYPE = {"type": "realtime"}


def _input(**change: Any) -> dict[str, Any]:
    return {**_TYPE, "audio": {"input": change}}


def _fresh() -> dict[str, Any]:
    return realtime_session("gpt-realtime-2.1", 1_800_000_000)


def _valid(session: dict[str, Any]) -> dict[str, Any]:
    _ADAPTER.validate_python(event("session.updated", session=session), strict=True)
    return session


def _update(session: dict[str, Any], *, has_spoken: bool = False, **change: Any) -> dict[str, Any]:
    request = {"type": session["type"], **change}
    return _valid(updated(session, request, has_spoken=has_spoken))


@pytest.mark.parametrize("session", [_fresh(), transcription_session(1_800_000_000)])
def test_a_fresh_session_is_valid(session: dict[str, Any]) -> None:
    """The types of the official SDK accept both kinds of session."""
    _valid(session)


def test_the_model_makes_the_session() -> None:
    """With a model it speaks, without one it transcribes."""
    assert fresh_session("m", 1)["model"] == "m"
    assert fresh_session(None, 1)["type"] == "transcription"


def test_another_check_may_hold_the_request() -> None:
    """An update merges what its check makes of the request."""
    after = updated(
        _fresh(), "Be kind.", has_spoken=False, check=lambda _, request: {"instructions": request}
    )
    assert after["instructions"] == "Be kind."


def test_an_update_merges_and_leaves_the_rest() -> None:
    """What is not named stays, on every level; the old session is not changed."""
    before = _fresh()
    after = _update(
        before, instructions="Be kind.", audio={"input": {"transcription": {"model": "whisper-1"}}}
    )
    assert before == {**_fresh(), "id": before["id"]}
    assert after["instructions"] == "Be kind."
    assert after["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    assert after["audio"]["input"]["turn_detection"] == before["audio"]["input"]["turn_detection"]
    assert after["audio"]["output"] == before["audio"]["output"]


def test_everything_that_can_be_set_can_be_set() -> None:
    """One update with every field passes and is valid when it is sent back."""
    after = _update(
        _fresh(),
        model="gpt-realtime-2.1",
        output_modalities=["text"],
        instructions="Hi",
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
            }
        ],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=True,
        reasoning={"effort": "low"},
        max_output_tokens=100,
        truncation={
            "type": "retention_ratio",
            "retention_ratio": 0.5,
            "token_limits": {"post_instructions": 10},
        },
        tracing={"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}},
        prompt={"id": "p", "version": "1", "variables": {"a": "b"}},
        include=["item.input_audio_transcription.logprobs"],
        audio={
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-transcribe", "language": "en", "delay": "low"},
                "noise_reduction": {"type": "near_field", "strength": 0.5},
                "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_1"}, "speed": 1.5},
        },
    )
    assert after["audio"]["input"]["turn_detection"]["create_response"] is True
    assert after["audio"]["output"]["voice"] == {"id": "voice_1"}


def test_null_and_empty_clear() -> None:
    """Null and empty values clear a field or put its default back."""
    changed = _update(
        _fresh(), instructions="x", max_output_tokens=5, audio={"output": {"voice": "ash"}}
    )
    cleared = _update(
        changed,
        instructions="",
        tools=[],
        max_output_tokens=None,
        audio={"input": {"turn_detection": None, "transcription": None}, "output": None},
    )
    assert cleared["instructions"] == ""
    assert cleared["max_output_tokens"] == "inf"
    assert cleared["audio"]["input"]["turn_detection"] is None
    assert cleared["audio"]["output"]["voice"] == "ash"


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        (None, "invalid_type", "session"),
        ({}, "missing_required_parameter", "session.type"),
        ({"modalities": ["text"]}, "missing_required_parameter", "session.type"),
        ({"type": "other"}, "invalid_value", "session.type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({**_TYPE, "modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({**_TYPE, "voice": "ash"}, "unknown_parameter", "session.voice"),
        ({**_TYPE, "temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({**_TYPE, "id": "sess_1"}, "unknown_parameter", "session.id"),
        (
            _input(input_audio_noise_reduction=None),
            "unknown_parameter",
            "session.audio.input.input_audio_noise_reduction",
        ),
        (
            {**_TYPE, "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            _input(format={"type": "audio/pcm", "rate": 16000}),
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            _input(format={"type": "audio/pcmu", "rate": 8000}),
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        ({**_TYPE, "instructions": 5}, "invalid_type", "session.instructions"),
        ({**_TYPE, "model": "other"}, "immutable_field_update", "session.model"),
        (
            {**_TYPE, "tools": [{"type": "mcp", "server_label": "x"}]},
            "invalid_value",
            "session.tools[0].type",
        ),
        (
            {**_TYPE, "max_output_tokens": 0},
            "integer_below_min_value",
            "session.max_output_tokens",
        ),
        (
            {**_TYPE, "max_output_tokens": "many"},
            "invalid_value",
            "session.max_output_tokens",
        ),
        (
            {**_TYPE, "audio": {"output": {"voice": "bob"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {**_TYPE, "audio": {"output": {"speed": 3}}},
            "decimal_above_max_value",
            "session.audio.output.speed",
        ),
        (
            {**_TYPE, "instructions": "x", "audio": {"input": {"turn_detection": {}}}},
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
    ],
)
def test_a_wrong_update_is_refused_as_a_whole(request_: Any, code: str, param: str) -> None:
    """Anything unknown or wrong refuses the update, by its path, and applies nothing."""
    session = _fresh()
    before = {**session}
    with pytest.raises(EventRefused) as caught:
        updated(session, request_, has_spoken=False)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert session == before


def test_wrong_modalities_are_explained_in_the_documented_words() -> None:
    """The message for both modalities at once is the API's own."""
    with pytest.raises(EventRefused) as caught:
        _update(_fresh(), output_modalities=["text", "audio"])
    assert caught.value.message == (
        "Invalid modalities: ['text', 'audio']. Supported combinations are: ['text'] and ['audio']."
    )


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    """After the first audio another voice is refused; the same one is tolerated."""
    session = _fresh()
    assert _update(session, audio={"output": {"voice": "ash"}})["audio"]["output"]["voice"] == "ash"
    _update(session, has_spoken=True, audio={"output": {"voice": "alloy"}})
    with pytest.raises(EventRefused) as caught:
        _update(session, has_spoken=True, audio={"output": {"voice": "ash"}})
    assert caught.value.code == "cannot_update_voice"


def test_tracing_is_fixed_once_it_is_set() -> None:
    """Tracing can be set once, and the same again."""
    traced = _update(_fresh(), tracing="auto")
    _update(traced, tracing="auto")
    with pytest.raises(EventRefused) as caught:
        _update(traced, tracing=None)
    assert caught.value.param == "session.tracing"


def test_a_transcription_session_has_only_its_own_fields() -> None:
    """Input and include can be set; what belongs to answers is unknown there."""
    session = transcription_session(1)
    after = _update(
        session,
        audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
        include=["item.input_audio_transcription.logprobs"],
    )
    assert after["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}
    with pytest.raises(EventRefused) as caught:
        _update(session, instructions="x")
    assert caught.value.param == "session.instructions"


def test_a_streaming_transcriber_wants_no_turn_detection() -> None:
    """gpt-realtime-whisper is refused until turn detection is null."""
    session = transcription_session(1)
    whisper = {"transcription": {"model": "gpt-realtime-whisper"}}
    with pytest.raises(EventRefused) as caught:
        _update(session, audio={"input": whisper})
    assert caught.value.param == "session.audio.input.turn_detection"
    _update(session, audio={"input": {**whisper, "turn_detection": None}})
