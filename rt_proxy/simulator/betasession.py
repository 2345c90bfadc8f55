"""The flat session object of Beta: its fields, what they may hold, and how they are shown.

Pure. A session is kept in the shape of GA, with ``temperature`` beside it; here
each flat field is checked by Beta's own rules and put in its place, and taken
from there again. MCP tools are not simulated and are refused.
"""

from typing import Any

from rt_proxy.simulator import session as ga
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.schema import (
    Check,
    array,
    choice,
    clearable,
    either,
    integer,
    nullable,
    number,
    shape,
    string,
)

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse")
_TEMPERATURE = 0.8
_FORMATS: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {kept["type"]: name for name, kept in _FORMATS.items()}
#: Field of Beta -> where it is kept, if it is not at the top under the same name.
_PLACES = {
    "modalities": ("output_modalities",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "max_response_output_tokens": ("max_output_tokens",),
}
_FIELDS = {".".join(("session", *place)): f"session.{name}" for name, place in _PLACES.items()}


def _audio_format(value: Any, path: str) -> dict[str, Any]:
    return _FORMATS[choice(*_FORMATS)(value, path)]


def _modalities(value: Any, path: str) -> list[str]:
    named: list[str] = array(string(64), longest=16)(value, path)
    if sorted(named) not in (["text"], ["audio", "text"]):
        raise EventRefused(
            "invalid_value",
            f"Invalid modalities: {named}. "
            "Supported combinations are: ['text'] and ['audio', 'text'].",
            path,
        )
    return ["audio"] if "audio" in named else ["text"]


def _output_limit(value: Any, path: str) -> int | str:
    if isinstance(value, str):
        return str(choice("inf")(value, path))
    limit: int = integer(1, 4096)(value, path)
    return limit


_flat_tool = shape({"type": choice("function"), "name": string(64)}, required=("type", "name"))
_nested_tool = shape(
    {
        "type": choice("function"),
        "function": shape({"name": string(64)}, required=("name",)),
    },
    required=("type", "function"),
)


def _named_tool(value: Any, path: str) -> dict[str, Any]:
    if "function" not in value:
        flat: dict[str, Any] = _flat_tool(value, path)
        return flat
    return {"type": "function", "name": _nested_tool(value, path)["function"]["name"]}


voice = clearable(choice(*VOICES), "alloy")
modalities = clearable(_modalities, ["audio"])
audio_format = clearable(_audio_format, _FORMATS["pcm16"])
output_limit = clearable(_output_limit, "inf")
temperature = clearable(number(0.6, 1.2), _TEMPERATURE)
tool_choice = clearable(either(choice("auto", "none", "required"), _named_tool), "auto")

_INPUT: dict[str, Check] = {
    "input_audio_format": audio_format,
    "input_audio_transcription": nullable(
        shape(
            {
                "model": nullable(string(256)),
                "language": nullable(string(64)),
                "prompt": nullable(string(65536)),
            }
        )
    ),
    "input_audio_noise_reduction": nullable(shape({"type": choice("near_field", "far_field")})),
    "turn_detection": ga.turn_detection,
    "include": ga.include,
}
_UPDATES = {
    "realtime": shape(
        {
            **_INPUT,
            "model": string(256),
            "modalities": modalities,
            "instructions": ga.instructions,
            "voice": voice,
            "output_audio_format": audio_format,
            "tools": ga.tools,
            "tool_choice": tool_choice,
            "temperature": temperature,
            "max_response_output_tokens": output_limit,
            "speed": clearable(number(0.25, 1.5), 1.0),
            "tracing": ga.tracing,
            "prompt": ga.prompt,
        }
    ),
    # The types of the time have modalities here too, though nothing is ever answered.
    "transcription": shape({**_INPUT, "modalities": modalities}),
}


def fresh_session(model: str | None, expires_at: int) -> dict[str, Any]:
    """Return a fresh session as it is kept; without a model it is a transcription session."""
    session = ga.fresh_session(model, expires_at)
    return session if model is None else {**session, "temperature": _TEMPERATURE}


def checked(session_type: str, request: Any) -> dict[str, Any]:
    """Return what a flat session asks for, each field in its place, or raise ``EventRefused``."""
    asked = _UPDATES[session_type](request, "session")
    if session_type == "transcription":
        asked.pop("modalities", None)
    return placed(asked)


def placed(flat: dict[str, Any]) -> dict[str, Any]:
    """Return checked flat fields, each in its place."""
    kept: dict[str, Any] = {}
    for name, value in flat.items():
        *rooms, last = _PLACES.get(name, (name,))
        inner = kept
        for room in rooms:
            inner = inner.setdefault(room, {})
        inner[last] = value
    return kept


def field(path: str) -> str:
    """Return how Beta calls a field that is kept at this path, such as ``session.voice``."""
    return _FIELDS.get(path, path)


def shown(session: dict[str, Any]) -> dict[str, Any]:
    """Return a session as Beta shows it."""
    if session["type"] == "transcription":
        return _shown_transcription(session)
    output = session["audio"]["output"]
    flat = {
        "id": session["id"],
        "object": session["object"],
        "expires_at": session["expires_at"],
        "model": session["model"],
        "modalities": shown_modalities(session["output_modalities"]),
        "instructions": session["instructions"],
        "voice": output["voice"],
        "output_audio_format": shown_format(output["format"]),
        **_shown_input(session),
        "tools": session["tools"],
        "tool_choice": session["tool_choice"],
        "temperature": session["temperature"],
        "max_response_output_tokens": session["max_output_tokens"],
        "speed": output["speed"],
        "tracing": session["tracing"],
    }
    late = {name: session[name] for name in ("prompt", "include") if session[name] is not None}
    return {**flat, **late}


def _shown_transcription(session: dict[str, Any]) -> dict[str, Any]:
    flat = {
        "id": session["id"],
        "object": session["object"],
        "expires_at": session["expires_at"],
        **_shown_input(session),
        "include": session["include"],
    }
    if flat["turn_detection"] is not None:
        for wish in ("create_response", "interrupt_response"):
            flat["turn_detection"].pop(wish)
    return flat


def _shown_input(session: dict[str, Any]) -> dict[str, Any]:
    settings = session["audio"]["input"]
    turns = settings["turn_detection"]
    if turns is not None:
        turns = {key: value for key, value in turns.items() if value is not None}
    return {
        "input_audio_format": shown_format(settings["format"]),
        "input_audio_transcription": settings["transcription"],
        "input_audio_noise_reduction": settings["noise_reduction"],
        "turn_detection": turns,
    }


def shown_modalities(output_modalities: list[str]) -> list[str]:
    """Return what Beta calls an answer in audio, or in text."""
    return ["text", "audio"] if output_modalities == ["audio"] else ["text"]


def shown_format(audio_format: dict[str, Any]) -> str:
    """Return what Beta calls an audio format."""
    return _FORMAT_NAMES[audio_format["type"]]
