"""Server events as Beta named and shaped them.

Pure: one event in, as the dialogue says it (GA), and what the old server sent
instead, or nothing. Written from the old API reference, and on purpose without
``realtime/dialects``: the translation there is tried against this one.
"""

from collections.abc import Callable
from typing import Any

from rt_proxy.simulator import betasession
from rt_proxy.simulator.events import Event

#: What the old server did not say.
_UNSAID = frozenset(("conversation.item.done",))
_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
_PARTS = {"output_text": "text", "output_audio": "audio"}
_COMPLETED = "conversation.item.input_audio_transcription.completed"


def show(said: Event) -> Event | None:
    """Return an event of the dialogue as Beta sends it; None: it does not.

    The event that is given is not changed.
    """
    kind = said["type"]
    if kind in _UNSAID:
        return None
    shown = {**said, "type": _NAMES.get(kind, kind)}
    if kind in ("session.created", "session.updated"):
        return _session_event(shown)
    if kind == "error":
        return {**shown, "error": _error(shown["error"])}
    for field, shape in _SHAPES.items():
        if field in shown:
            shown[field] = shape(shown[field])
    for field in _LATER.get(kind, ()):
        del shown[field]
    return shown


def _session_event(shown: Event) -> Event:
    session = shown["session"]
    prefix = "transcription_" if session["type"] == "transcription" else ""
    return {**shown, "type": prefix + shown["type"], "session": betasession.shown(session)}


def _error(error: dict[str, Any]) -> dict[str, Any]:
    param = error["param"]
    return {**error, "param": None if param is None else betasession.field(param)}


def _item(item: dict[str, Any]) -> dict[str, Any]:
    shown = {"id": item["id"], "object": "realtime.item", **item}
    if item["type"] == "function_call_output":
        del shown["status"]
    if "content" in item:
        shown["content"] = [_part(part) for part in item["content"]]
    return shown


def _part(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "type": _PARTS.get(part["type"], part["type"])}


def _response(response: dict[str, Any]) -> dict[str, Any]:
    same = {
        field: value
        for field, value in response.items()
        if field not in ("output_modalities", "audio")
    }
    output = response["audio"]["output"]
    return {
        **same,
        "output": [_item(item) for item in response["output"]],
        "modalities": betasession.shown_modalities(response["output_modalities"]),
        "voice": output["voice"],
        "output_audio_format": betasession.shown_format(output["format"]),
        "usage": None if response["usage"] is None else _usage(response["usage"]),
    }


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    given = usage["input_token_details"]
    names = ("cached_tokens", "text_tokens", "audio_tokens")
    return {**usage, "input_token_details": {name: given[name] for name in names}}


_SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "item": _item,
    "response": _response,
}
#: Fields that came after Beta.
_LATER = {
    "response.function_call_arguments.done": ("name",),
    _COMPLETED: ("usage",),
}
