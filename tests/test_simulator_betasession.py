"""The flat session object and its strict update."""

from typing import Any

import pytest

from rt_proxy.simulator.betasession import VOICES, checked, field, fresh_session, shown
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.session import updated

_TURNS = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}


def _updated(kept: dict[str, Any], /, *, has_spoken: bool = False, **asked: Any) -> dict[str, Any]:
    """Return the session as it is kept after an update."""
    return updated(kept, asked, has_spoken=has_spoken, check=checked)


def _shown(model: str | None = "m", /, **asked: Any) -> dict[str, Any]:
    """Return a fresh session as it is shown after an update."""
    return shown(_updated(fresh_session(model, 7), **asked))


def _refused(model: str | None = "m", /, **asked: Any) -> EventRefused:
    with pytest.raises(EventRefused) as caught:
        _shown(model, **asked)
    return caught.value


def test_a_fresh_session() -> None:
    """It is flat, has no type, and shows the defaults of the old server."""
    session = shown(fresh_session("m", 7))
    assert session.pop("id").startswith("sess_")
    assert session == {
        "object": "realtime.session",
        "expires_at": 7,
        "model": "m",
        "modalities": ["text", "audio"],
        "instructions": "",
        "voice": "alloy",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "input_audio_noise_reduction": None,
        "turn_detection": {**_TURNS, "create_response": True, "interrupt_response": True},
        "tools": [],
        "tool_choice": "auto",
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "speed": 1.0,
        "tracing": None,
    }


def test_a_fresh_transcription_session() -> None:
    """It has what belongs to the input, and neither a model nor answers."""
    session = shown(fresh_session(None, 7))
    assert session.pop("id").startswith("sess_")
    assert session == {
        "object": "realtime.transcription_session",
        "expires_at": 7,
        "input_audio_format": "pcm16",
        "input_audio_transcription": None,
        "input_audio_noise_reduction": None,
        "turn_detection": _TURNS,
        "include": None,
    }


_EVERYTHING: dict[str, Any] = {
    "model": "m",
    "modalities": ["text"],
    "instructions": "Hi",
    "voice": "verse",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "x"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": False,
        "interrupt_response": False,
    },
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {}}],
    "tool_choice": {"type": "function", "name": "f"},
    "temperature": 1.2,
    "max_response_output_tokens": 4096,
    "speed": 1.5,
    "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}},
    "prompt": {"id": "p", "version": "1", "variables": {"a": "b"}},
    "include": ["item.input_audio_transcription.logprobs"],
}


def test_everything_that_can_be_set_is_shown_as_it_was_set() -> None:
    """One update with every field passes, the late ones too, and comes back flat."""
    session = _shown(**_EVERYTHING)
    assert {name: session[name] for name in _EVERYTHING} == _EVERYTHING
    assert set(session) - set(_EVERYTHING) == {"id", "object", "expires_at"}


def test_a_transcription_session_can_be_set() -> None:
    """Its own fields pass; modalities are taken and mean nothing there."""
    own = {
        "input_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "gpt-4o-transcribe"},
        "input_audio_noise_reduction": {"type": "far_field"},
        "turn_detection": None,
        "include": ["item.input_audio_transcription.logprobs"],
    }
    session = _shown(None, modalities=["text"], **own)
    assert {name: session[name] for name in own} == own
    assert "modalities" not in session


def test_an_update_merges_field_by_field() -> None:
    """What is not named stays, and a named object replaces the whole one before it."""
    before = _updated(fresh_session("m", 7), voice="ash", input_audio_format="g711_ulaw")
    after = shown(_updated(before, turn_detection={"type": "server_vad", "threshold": 0.9}))
    again = shown(_updated(before, temperature=0.6))
    assert (after["voice"], after["input_audio_format"]) == ("ash", "g711_ulaw")
    assert after["turn_detection"]["threshold"] == 0.9
    assert after["turn_detection"]["silence_duration_ms"] == 200
    assert after["temperature"] == 0.8
    assert again == {**shown(before), "temperature": 0.6}


def test_null_clears_or_puts_the_default_back() -> None:
    """Null switches off what can be off, and else brings the default back."""
    kept = _updated(fresh_session("m", 7), **{**_EVERYTHING, "tracing": None})
    cleared = shown(_updated(kept, **dict.fromkeys(set(_EVERYTHING) - {"model"})))
    fresh = shown(fresh_session("m", 7))
    assert cleared == {**fresh, "id": cleared["id"], "turn_detection": None}


def test_an_idle_timeout_is_shown_once_it_is_set() -> None:
    """Beta's turn detection has ``idle_timeout_ms`` only where somebody asked for it."""
    turns = {"type": "server_vad", "idle_timeout_ms": 5000}
    assert _shown(turn_detection=turns)["turn_detection"]["idle_timeout_ms"] == 5000


@pytest.mark.parametrize("named", [["text", "audio"], ["audio", "text"]])
def test_audio_comes_with_text(named: list[str]) -> None:
    """Both orders are one combination, which is shown in one order."""
    assert _shown(modalities=named)["modalities"] == ["text", "audio"]
    assert _shown(modalities=["text"])["modalities"] == ["text"]


@pytest.mark.parametrize("named", [["audio"], [], ["text", "text"], ["video"]])
def test_other_modalities_are_refused_in_the_words_of_the_old_server(named: list[str]) -> None:
    """Audio alone is none of the supported combinations."""
    refused = _refused(modalities=named)
    assert (refused.code, refused.param) == ("invalid_value", "session.modalities")
    assert refused.message == (
        f"Invalid modalities: {named}. Supported combinations are: ['text'] and ['audio', 'text']."
    )


@pytest.mark.parametrize("name", [
    "type", "output_modalities", "audio", "max_output_tokens", "reasoning", "parallel_tool_calls",
    "truncation", "id", "object", "expires_at", "client_secret",
])  # fmt: skip
def test_fields_that_are_not_of_beta_are_unknown(name: str) -> None:
    """A field of GA, or of the server alone, refuses the update by its path."""
    refused = _refused(**{name: "x"})
    assert (refused.code, refused.param) == ("unknown_parameter", f"session.{name}")
    assert refused.message == f"Unknown parameter: 'session.{name}'."


@pytest.mark.parametrize(
    "name", ["type", "audio", "voice", "instructions", "temperature", "model", "tools"]
)
def test_a_transcription_session_has_only_its_own_fields(name: str) -> None:
    """What belongs to answers is unknown there."""
    refused = _refused(None, **{name: "x"})
    assert (refused.code, refused.param) == ("unknown_parameter", f"session.{name}")


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"voice": "marin"}, "invalid_value", "session.voice"),
        ({"voice": {"id": "voice_1"}}, "invalid_type", "session.voice"),
        ({"temperature": 0.5}, "decimal_below_min_value", "session.temperature"),
        ({"temperature": 1.3}, "decimal_above_max_value", "session.temperature"),
        ({"temperature": "hot"}, "invalid_type", "session.temperature"),
        ({"speed": 0.1}, "decimal_below_min_value", "session.speed"),
        ({"input_audio_format": "audio/pcm"}, "invalid_value", "session.input_audio_format"),
        (
            {"output_audio_format": {"type": "audio/pcm", "rate": 24000}},
            "invalid_type",
            "session.output_audio_format",
        ),
        (
            {"input_audio_noise_reduction": {"type": "near_field", "strength": 1}},
            "unknown_parameter",
            "session.input_audio_noise_reduction.strength",
        ),
        (
            {"input_audio_transcription": {"model": "whisper-1", "delay": "low"}},
            "unknown_parameter",
            "session.input_audio_transcription.delay",
        ),
        ({"turn_detection": {}}, "missing_required_parameter", "session.turn_detection.type"),
        (
            {"turn_detection": {"type": "server_vad", "eagerness": "low"}},
            "unknown_parameter",
            "session.turn_detection.eagerness",
        ),
        (
            {"max_response_output_tokens": 4097},
            "integer_above_max_value",
            "session.max_response_output_tokens",
        ),
        (
            {"max_response_output_tokens": "many"},
            "invalid_value",
            "session.max_response_output_tokens",
        ),
        ({"tools": [{"type": "mcp"}]}, "invalid_value", "session.tools[0].type"),
        ({"tool_choice": "f"}, "invalid_value", "session.tool_choice"),
        (
            {"tool_choice": {"type": "function"}},
            "missing_required_parameter",
            "session.tool_choice.name",
        ),
        (
            {"tool_choice": {"type": "function", "function": {}}},
            "missing_required_parameter",
            "session.tool_choice.function.name",
        ),
        (
            {"tool_choice": {"type": "function", "name": "f", "function": {"name": "f"}}},
            "unknown_parameter",
            "session.tool_choice.name",
        ),
        ({"model": "other"}, "immutable_field_update", "session.model"),
        ({"include": ["all"]}, "invalid_value", "session.include[0]"),
        ({"prompt": {}}, "missing_required_parameter", "session.prompt.id"),
    ],
)
def test_wrong_values_are_refused_by_the_path_of_beta(
    asked: dict[str, Any], code: str, param: str
) -> None:
    """A value that the old server would not take refuses the update, by the flat path."""
    refused = _refused(**asked)
    assert (refused.code, refused.param) == (code, param)


@pytest.mark.parametrize("voice", VOICES)
def test_beta_has_eight_voices(voice: str) -> None:
    """Each of them can be chosen."""
    assert len(VOICES) == 8
    assert _shown(voice=voice)["voice"] == voice


@pytest.mark.parametrize(
    "choice", [{"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}]
)
def test_a_tool_can_be_chosen_in_both_forms(choice: dict[str, Any]) -> None:
    """The flat form and the one of the chat API are one choice."""
    assert _shown(tool_choice=choice)["tool_choice"] == {"type": "function", "name": "f"}


def test_what_is_fixed_is_kept_by_the_path_of_ga() -> None:
    """The voice that was heard is refused by its place, which has a name in Beta."""
    with pytest.raises(EventRefused) as caught:
        _updated(fresh_session("m", 7), has_spoken=True, voice="ash")
    assert caught.value.code == "cannot_update_voice"
    assert field(str(caught.value.param)) == "session.voice"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("session.audio.input.turn_detection", "session.turn_detection"),
        ("session.tracing", "session.tracing"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("item.id", "item.id"),
        ("response.input[0].id", "response.input[0].id"),
    ],
)
def test_a_place_has_a_name_in_beta(path: str, name: str) -> None:
    """A path that Beta has under another name is translated; the others stay."""
    assert field(path) == name
