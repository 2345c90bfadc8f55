"""What a client of Beta may send: the check of every client event.

Values only. A check holds a client to Beta's own shapes, as strictly as the old
server did, and returns the fields in the shape in which they are kept (GA).
"""

import itertools
from collections.abc import Iterator
from typing import Any

from rt_proxy.simulator import requests
from rt_proxy.simulator.betasession import (
    audio_format,
    modalities,
    output_limit,
    placed,
    temperature,
    tool_choice,
    voice,
)
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.requests import client_event
from rt_proxy.simulator.schema import (
    Check,
    anything,
    array,
    audio,
    by,
    choice,
    clearable,
    join,
    nullable,
    shape,
    string,
    strings,
)
from rt_proxy.simulator.session import instructions, prompt, tools

_COMMON: dict[str, Check] = {
    "type": anything,
    "id": nullable(string(32)),
    "object": nullable(choice("realtime.item")),
}
_STATUS = {"status": nullable(choice("completed", "incomplete", "in_progress"))}

_INPUT_TEXT = shape({"type": anything, "text": string()}, required=("text",))
_INPUT_AUDIO = shape(
    {"type": anything, "audio": audio, "transcript": nullable(string())}, required=("audio",)
)


def _text(value: Any, path: str) -> dict[str, Any]:
    return {**_INPUT_TEXT(value, path), "type": "output_text"}


def _reference(value: Any, path: str) -> dict[str, Any]:
    fields = shape({"type": anything, "id": string(64)}, required=("id",))(value, path)
    return {**fields, "path": join(path, "id")}


#: Role -> the parts that a message of it may have.
_PARTS: dict[str, dict[str, Check]] = {
    "system": {"input_text": _INPUT_TEXT},
    "user": {"input_text": _INPUT_TEXT, "input_audio": _INPUT_AUDIO},
    "assistant": {"text": _text},
}


def _message(**further_parts: Check) -> Check:
    common = {**_COMMON, **_STATUS, "role": anything}
    return by(
        "role",
        {
            role: shape(
                {
                    **common,
                    "content": array(by("type", {**parts, **further_parts}), longest=64),
                },
                required=("content",),
            )
            for role, parts in _PARTS.items()
        },
    )


_CALLS = {
    "function_call": shape(
        {
            **_COMMON,
            **_STATUS,
            "name": string(64),
            "arguments": string(),
            "call_id": nullable(string(64)),
        },
        required=("name", "arguments"),
    ),
    "function_call_output": shape(
        {**_COMMON, "call_id": string(64), "output": string()},
        required=("call_id", "output"),
    ),
}
_ITEM = by("type", {"message": _message(), **_CALLS})
_INPUT_ITEM = by(
    "type",
    {
        "message": _message(item_reference=_reference),
        **_CALLS,
        "item_reference": _reference,
    },
)


def _input(value: Any, path: str) -> list[dict[str, Any]]:
    items = array(_INPUT_ITEM)(value, path)
    return [piece for item in items for piece in _pieces(item)]


def _pieces(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an item, or one with references in its content as items and references in order."""
    parts = item.get("content", [])
    if not any(map(_refers, parts)):
        yield item
        return
    for refers, run in itertools.groupby(parts, key=_refers):
        if refers:
            yield from run
        else:
            yield {**item, "id": None, "content": list(run)}


def _refers(part: dict[str, Any]) -> bool:
    return bool(part["type"] == "item_reference")


_RESPONSE = shape(
    {
        "modalities": modalities,
        "instructions": instructions,
        "voice": voice,
        "output_audio_format": audio_format,
        "tools": tools,
        "tool_choice": tool_choice,
        "temperature": temperature,
        "max_response_output_tokens": output_limit,
        "max_output_tokens": output_limit,
        "conversation": clearable(choice("auto", "none"), "auto"),
        "input": nullable(_input),
        "metadata": nullable(strings(16, 64, 512)),
        "prompt": prompt,
    }
)


def _response(value: Any, path: str) -> dict[str, Any]:
    return placed(_RESPONSE(value, path))


def _other_session(wanted: str, present: str) -> Check:
    """Refuse the update event of the other kind of session."""

    def check(value: Any, path: str) -> Any:
        raise EventRefused(
            "invalid_value",
            f"Passing a {wanted} session update event to a {present} session is not allowed.",
            join(path, "type"),
        )

    return check


_UPDATE = client_event("session", session=anything)

#: Type -> check, of the events of a transcription session.
TRANSCRIPTION_EVENTS: dict[str, Check] = {
    **requests.TRANSCRIPTION_EVENTS,
    "session.update": _other_session("realtime", "transcription"),
    "transcription_session.update": _UPDATE,
}

#: Type -> check, of the events of a speech-to-speech session.
REALTIME_EVENTS: dict[str, Check] = {
    **requests.REALTIME_EVENTS,
    "session.update": _UPDATE,
    "transcription_session.update": _other_session("transcription", "realtime"),
    "conversation.item.create": client_event(
        "item", item=_ITEM, previous_item_id=nullable(string(64))
    ),
    "response.create": client_event(response=nullable(_response)),
}
