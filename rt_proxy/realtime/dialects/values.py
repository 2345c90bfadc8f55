"""Values that the two dialects write differently: modalities, audio formats, voices, tool choices.

Each function takes a value as JSON text and returns it in the other dialect; one
that has no form there, or that it does not know, is returned as it is.
"""

import json

from rt_proxy.realtime.dialects.members import without
from rt_proxy.realtime.jsontext import (
    edit_object,
    read_elements,
    read_members,
    read_string,
    write_object,
    write_string,
)

_FORMATS_TO_GA = {
    "pcm16": '{"type":"audio/pcm","rate":24000}',
    "g711_ulaw": '{"type":"audio/pcmu"}',
    "g711_alaw": '{"type":"audio/pcma"}',
    # What Qwen calls it.
    "pcm24": '{"type":"audio/pcm","rate":24000}',
    "pcm": '{"type":"audio/pcm","rate":24000}',
}
#: The GA format as a value -> its Beta name. G.711 has one rate, whoever names it.
_FORMATS_TO_BETA = (
    ({"type": "audio/pcm"}, "pcm16"),
    ({"type": "audio/pcm", "rate": 24000}, "pcm16"),
    ({"type": "audio/pcmu"}, "g711_ulaw"),
    ({"type": "audio/pcmu", "rate": 8000}, "g711_ulaw"),
    ({"type": "audio/pcma"}, "g711_alaw"),
    ({"type": "audio/pcma", "rate": 8000}, "g711_alaw"),
)
#: The GA types whose rate is not named (API reference, ``audio/pcmu``).
_WITHOUT_RATE = ("audio/pcmu", "audio/pcma")


def format_to_ga(value: str) -> str:
    """Turn ``pcm16`` into ``{"type": "audio/pcm", "rate": 24000}``, and so on."""
    name = read_string(value)
    if name is not None:
        return _FORMATS_TO_GA.get(name, value)
    members = read_members(value) or {}
    if read_string(members.get("type")) in _WITHOUT_RATE:
        return edit_object(value, lambda inner: without(inner, "rate"))
    return value


def has_ga_form(name: str, value: str) -> bool:
    """Whether a flat field has a form in GA; strict clients of GA refuse an event without it."""
    if name in ("input_audio_format", "output_audio_format"):
        return value == "null" or read_members(format_to_ga(value)) is not None
    return name != "voice" or read_members(value) is None or "id" in (read_members(value) or {})


def format_to_beta(value: str) -> str:
    """Turn ``{"type": "audio/pcm", ...}`` into ``pcm16``; another rate or type has no name."""
    if read_members(value) is None:
        return value
    written = json.loads(value, parse_int=_small_int)
    return next((write_string(name) for form, name in _FORMATS_TO_BETA if form == written), value)


def _small_int(digits: str) -> int | str:
    """Read what a rate can be; a longer number is none."""
    return int(digits) if len(digits) < 8 else digits


def modalities_to_ga(value: str) -> str:
    """Turn ``["text", "audio"]`` into ``["audio"]``: the spoken answer has its transcript."""
    named = read_elements(value)
    if named is not None and "audio" in map(read_string, named):
        return '["audio"]'
    return value


def modalities_to_beta(value: str) -> str:
    """Turn ``["audio"]`` into ``["text", "audio"]``, which it always meant."""
    named = read_elements(value)
    if named is not None and "audio" in map(read_string, named):
        return '["text","audio"]'
    return value


def voice_to_beta(value: str) -> str:
    """Turn ``{"id": "voice_..."}`` into the id."""
    members = read_members(value)
    if members is not None and members.keys() == {"id"} and read_string(members["id"]) is not None:
        return members["id"]
    return value


def tool_choice_to_ga(value: str) -> str:
    """Turn ``{"type": "function", "function": {"name": ...}}`` into its flat form.

    Beta took both forms; GA takes the flat one only.
    """
    members = read_members(value) or {}
    function = read_members(members.get("function", "null"))
    if function is None or read_string(members.get("type")) != "function":
        return value
    return write_object(without(members, "function") | function)
