"""The session's settings: their shape, their defaults and ``session.update``.

Pure: an update makes a new session or is refused as a whole. The shapes are
those of the API reference (GA); MCP tools are not simulated and are refused.
"""

from collections.abc import Callable
from typing import Any

from rt_proxy.simulator.events import EventRefused, new_id
from rt_proxy.simulator.schema import (
    Check,
    anything,
    array,
    boolean,
    by,
    choice,
    clearable,
    either,
    integer,
    mapping,
    missing,
    nullable,
    number,
    shape,
    string,
    strings,
)

VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
#: Transcription models that decide about turns by themselves.
_STREAMING_TRANSCRIBERS = ("gpt-realtime-whisper", "gpt-live-transcribe")

_PCM = {"type": "audio/pcm", "rate": 24000}

audio_format = clearable(
    by(
        "type",
        {
            "audio/pcm": shape(
                {"type": anything, "rate": integer(24000, 24000)}, type="audio/pcm", rate=24000
            ),
            "audio/pcmu": shape({"type": anything}),
            "audio/pcma": shape({"type": anything}),
        },
    ),
    _PCM,
)

voice = clearable(
    either(choice(*VOICES), shape({"id": string(256)}, required=("id",))),
    "alloy",
)


def _modalities(value: Any, path: str) -> list[str]:
    named: list[str] = array(string(64), longest=16)(value, path)
    if named not in (["text"], ["audio"]):
        raise EventRefused(
            "invalid_value",
            f"Invalid modalities: {named}. Supported combinations are: ['text'] and ['audio'].",
            path,
        )
    return named


def _output_limit(value: Any, path: str) -> int | str:
    if isinstance(value, str):
        return str(choice("inf")(value, path))
    limit: int = integer(1, 32_000)(value, path)
    return limit


output_modalities = clearable(_modalities, ["audio"])
max_output_tokens = clearable(_output_limit, "inf")
instructions = clearable(string(), "")
tools = clearable(
    array(
        by(
            "type",
            {
                "function": shape(
                    {
                        "type": anything,
                        "name": string(64),
                        "description": nullable(string()),
                        "parameters": nullable(mapping),
                    },
                    required=("name",),
                )
            },
        )
    ),
    [],
)
tool_choice = clearable(
    either(
        choice("auto", "none", "required"),
        shape({"type": choice("function"), "name": string(64)}, required=("type", "name")),
    ),
    "auto",
)
reasoning = nullable(shape({"effort": choice("minimal", "low", "medium", "high", "xhigh")}))
prompt = nullable(
    shape(
        {
            "id": string(256),
            "version": nullable(string(256)),
            "variables": nullable(strings(64, 256, 65536)),
        },
        required=("id",),
    )
)

turn_detection = nullable(
    by(
        "type",
        {
            "server_vad": shape(
                {
                    "type": anything,
                    "threshold": clearable(number(0, 1), 0.5),
                    "prefix_padding_ms": clearable(integer(0, 10_000), 300),
                    "silence_duration_ms": clearable(integer(0, 10_000), 200),
                    "idle_timeout_ms": nullable(integer(5000, 30_000)),
                    "create_response": clearable(boolean, True),
                    "interrupt_response": clearable(boolean, True),
                },
                type="server_vad",
                threshold=0.5,
                prefix_padding_ms=300,
                silence_duration_ms=200,
                idle_timeout_ms=None,
                create_response=True,
                interrupt_response=True,
            ),
            "semantic_vad": shape(
                {
                    "type": anything,
                    "eagerness": clearable(choice("low", "medium", "high", "auto"), "auto"),
                    "create_response": clearable(boolean, True),
                    "interrupt_response": clearable(boolean, True),
                },
                type="semantic_vad",
                eagerness="auto",
                create_response=True,
                interrupt_response=True,
            ),
        },
    )
)
_audio_input = shape(
    {
        "format": audio_format,
        "transcription": nullable(
            shape(
                {
                    "model": nullable(string(256)),
                    "language": nullable(string(64)),
                    "languages": nullable(array(string(64))),
                    "keywords": nullable(array(string(256))),
                    "prompt": nullable(string(65536)),
                    "delay": nullable(choice("minimal", "low", "medium", "high", "xhigh")),
                }
            )
        ),
        "noise_reduction": nullable(
            shape({"type": choice("near_field", "far_field"), "strength": nullable(number(0, 1))})
        ),
        "turn_detection": turn_detection,
    }
)
_audio_output = shape(
    {"format": audio_format, "voice": voice, "speed": clearable(number(0.25, 1.5), 1.0)}
)
include = nullable(array(choice("item.input_audio_transcription.logprobs"), longest=1))
_truncation = clearable(
    either(
        choice("auto", "disabled"),
        shape(
            {
                "type": choice("retention_ratio"),
                "retention_ratio": number(0, 1),
                "token_limits": nullable(
                    shape({"post_instructions": nullable(integer(0, 10_000_000))})
                ),
            },
            required=("type", "retention_ratio"),
        ),
    ),
    "auto",
)
tracing = nullable(
    either(
        choice("auto"),
        shape(
            {
                "workflow_name": nullable(string(1024)),
                "group_id": nullable(string(1024)),
                "metadata": anything,
            }
        ),
    )
)

_UPDATES: dict[str, Check] = {
    "realtime": shape(
        {
            "type": anything,
            "model": string(256),
            "output_modalities": output_modalities,
            "instructions": instructions,
            "audio": clearable(
                shape(
                    {"input": clearable(_audio_input, {}), "output": clearable(_audio_output, {})}
                ),
                {},
            ),
            "tools": tools,
            "tool_choice": tool_choice,
            "parallel_tool_calls": nullable(boolean),
            "reasoning": reasoning,
            "max_output_tokens": max_output_tokens,
            "truncation": _truncation,
            "tracing": tracing,
            "prompt": prompt,
            "include": include,
        }
    ),
    "transcription": shape(
        {
            "type": anything,
            "audio": clearable(shape({"input": clearable(_audio_input, {})}), {}),
            "include": include,
        }
    ),
}


def fresh_session(model: str | None, expires_at: int) -> dict[str, Any]:
    """Return a fresh session; without a model it is a transcription session."""
    if model is None:
        return transcription_session(expires_at)
    return realtime_session(model, expires_at)


def realtime_session(model: str, expires_at: int) -> dict[str, Any]:
    """Return a fresh speech-to-speech session; ``expires_at`` in Unix seconds."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": new_id("sess"),
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "audio": {
            "input": _fresh_input(),
            "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }


def transcription_session(expires_at: int) -> dict[str, Any]:
    """Return a fresh transcription session; ``expires_at`` in Unix seconds."""
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": new_id("sess"),
        "expires_at": expires_at,
        "audio": {"input": _fresh_input()},
        "include": None,
    }


def checked(session_type: str, request: Any) -> dict[str, Any]:
    """Return the fields that a ``session.update`` asks for, or raise ``EventRefused``."""
    fields = mapping(request, "session")
    if "type" not in fields:
        raise missing("session.type")
    wanted = choice("realtime", "transcription")(fields["type"], "session.type")
    if wanted != session_type:
        raise EventRefused(
            "invalid_value",
            f"Passing a {wanted} session update event to a {session_type} session is not allowed.",
            "session.type",
        )
    change: dict[str, Any] = _UPDATES[wanted](fields, "session")
    return change


def updated(
    session: dict[str, Any],
    request: Any,
    *,
    has_spoken: bool,
    check: Callable[[str, Any], dict[str, Any]] = checked,
) -> dict[str, Any]:
    """Return the session with the requested fields merged in.

    Args:
        session: The session as it is; it is not changed.
        request: The ``session`` of a ``session.update``, not checked yet.
        has_spoken: The model has answered in audio, so its voice is fixed.
        check: Takes the session's type and the request, and returns the fields to merge.

    Raises:
        EventRefused: Any of it is wrong; then nothing applies.
    """
    change = check(session["type"], request)
    _hold_fixed(session, change, has_spoken=has_spoken)
    audio = {
        part: {**settings, **change.get("audio", {}).get(part, {})}
        for part, settings in session["audio"].items()
    }
    merged = {**session, **change, "audio": audio}
    _hold_together(merged)
    return merged


def _hold_fixed(session: dict[str, Any], change: dict[str, Any], *, has_spoken: bool) -> None:
    """Refuse a change of what cannot change any more."""
    if change.get("model", session.get("model")) != session.get("model"):
        raise EventRefused(
            "immutable_field_update",
            f"The model of a session cannot be changed; it is '{session['model']}'.",
            "session.model",
        )
    traced = session.get("tracing")
    if traced is not None and change.get("tracing", traced) != traced:
        raise EventRefused(
            "immutable_field_update",
            "Tracing cannot be changed once it is set.",
            "session.tracing",
        )
    output = change.get("audio", {}).get("output", {})
    if has_spoken and "voice" in output and output["voice"] != session["audio"]["output"]["voice"]:
        raise EventRefused(
            "cannot_update_voice",
            "Cannot update a conversation's voice if assistant audio is present.",
            "session.audio.output.voice",
        )


def _hold_together(session: dict[str, Any]) -> None:
    """Refuse fields that are each right but do not fit one another."""
    audio_input = session["audio"]["input"]
    model = (audio_input["transcription"] or {}).get("model")
    if (
        session["type"] == "transcription"
        and model in _STREAMING_TRANSCRIBERS
        and audio_input["turn_detection"] is not None
    ):
        raise EventRefused(
            "invalid_value",
            f"Turn detection must be null for the transcription model '{model}'.",
            "session.audio.input.turn_detection",
        )


def _fresh_input() -> dict[str, Any]:
    return {
        "format": _PCM,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": turn_detection({"type": "server_vad"}, ""),
    }
