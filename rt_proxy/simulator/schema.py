"""Checks for the fields of client events, put together from small functions.

A check takes a value and its path and returns the value as it is kept, or
raises ``EventRefused`` in the words of the API. Nothing here knows a field.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from rt_proxy.simulator.events import EventRefused

Check = Callable[[Any, str], Any]

LONGEST_STRING = 1_000_000
#: The largest audio of one event, in bytes (API reference, ``input_audio_buffer.append``).
LONGEST_AUDIO = 15 * 1024 * 1024
_SHOWN = 100


def string(longest: int = LONGEST_STRING) -> Check:
    """Accept a string of at most ``longest`` characters."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if len(value) > longest:
            raise EventRefused(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{longest}, but got a string with length {len(value)} instead.",
                path,
            )
        return value

    return check


def choice(*values: str) -> Check:
    """Accept one of these strings."""

    def check(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if value not in values:
            raise EventRefused("invalid_value", unsupported(value, values), path)
        return value

    return check


def boolean(value: Any, path: str) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)
    return value


def integer(lowest: int, highest: int) -> Check:
    """Accept a whole number of this range."""

    def check(value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(path, "an integer", value)
        _in_range("integer", value, path, lowest, highest)
        return value

    return check


def number(lowest: float, highest: float) -> Check:
    """Accept a number of this range."""

    def check(value: Any, path: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong_type(path, "a number", value)
        _in_range("decimal", value, path, lowest, highest)
        return value

    return check


def audio(value: Any, path: str) -> bytes:
    """Accept base64 of at most 15 MiB of audio, and return the bytes."""
    text = string(LONGEST_AUDIO // 3 * 4 + 4)(value, path)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EventRefused(
            "invalid_value", f"Invalid '{path}': expected base64 encoded audio.", path
        ) from None


def anything(value: Any, path: str) -> Any:
    """Accept any value."""
    return value


def mapping(value: Any, path: str) -> dict[str, Any]:
    """Accept an object with any content."""
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object", value)
    return value


def array(of: Check, longest: int = 128) -> Check:
    """Accept a list of at most ``longest`` members that pass ``of``."""

    def check(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        if len(value) > longest:
            raise EventRefused(
                "array_above_max_length",
                f"Invalid '{path}': array too long. Expected an array with maximum length "
                f"{longest}, but got an array with length {len(value)} instead.",
                path,
            )
        return [of(member, f"{path}[{index}]") for index, member in enumerate(value)]

    return check


def strings(keys: int, longest_key: int, longest_value: int) -> Check:
    """Accept an object of at most so many strings, such as ``metadata``."""
    member = string(longest_value)

    def check(value: Any, path: str) -> dict[str, str]:
        pairs = mapping(value, path)
        if len(pairs) > keys:
            raise EventRefused(
                "object_above_max_properties",
                f"Invalid '{path}': too many properties. Expected at most {keys}.",
                path,
            )
        for key in pairs:
            string(longest_key)(key, path)
        return {key: member(text, join(path, key)) for key, text in pairs.items()}

    return check


def nullable(inner: Check) -> Check:
    """Accept null, which is kept, or what ``inner`` accepts."""
    return lambda value, path: None if value is None else inner(value, path)


def clearable(inner: Check, cleared: Any) -> Check:
    """Accept null, which puts ``cleared`` back, or what ``inner`` accepts."""
    return lambda value, path: cleared if value is None else inner(value, path)


def either(of_strings: Check, of_objects: Check) -> Check:
    """Accept a string or an object, each by its own check."""
    return lambda value, path: (of_objects if isinstance(value, dict) else of_strings)(value, path)


def shape(fields: Mapping[str, Check], *, required: tuple[str, ...] = (), **defaults: Any) -> Check:
    """Accept an object of exactly these fields; ``defaults`` fill what is missing."""

    def check(value: Any, path: str) -> dict[str, Any]:
        members = mapping(value, path)
        for key in required:
            if key not in members:
                raise missing(join(path, key))
        for key in members:
            if key not in fields:
                where = join(path, key)
                raise EventRefused(
                    "unknown_parameter", f"Unknown parameter: '{where[:_SHOWN]}'.", where
                )
        kept = {key: fields[key](member, join(path, key)) for key, member in members.items()}
        return {**defaults, **kept}

    return check


def by(key: str, variants: Mapping[str, Check]) -> Check:
    """Accept an object whose field ``key`` says which check it must pass."""
    names = choice(*variants)

    def check(value: Any, path: str) -> dict[str, Any]:
        members = mapping(value, path)
        if key not in members:
            raise missing(join(path, key))
        variant = variants[names(members[key], join(path, key))]
        kept: dict[str, Any] = variant(members, path)
        return kept

    return check


def missing(path: str) -> EventRefused:
    """Return the refusal of an object that lacks a field."""
    return EventRefused(
        "missing_required_parameter", f"Missing required parameter: '{path}'.", path
    )


def unsupported(value: str, values: tuple[str, ...]) -> str:
    """Return the sentence that says which values are supported."""
    quoted = [f"'{name}'" for name in values]
    comma = "," if len(quoted) > 2 else ""
    listed = f"{', '.join(quoted[:-1])}{comma} and {quoted[-1]}" if quoted[1:] else quoted[0]
    supported = f"Supported values are: {listed}." if quoted[1:] else f"Value must be {listed}."
    return f"Invalid value: '{value[:_SHOWN]}'. {supported}"


def join(path: str, key: str) -> str:
    """Return the path of a member."""
    return f"{path}.{key}" if path else key


def _in_range(kind: str, value: float, path: str, lowest: float, highest: float) -> None:
    if value < lowest:
        code, word, sign, bound = f"{kind}_below_min_value", "below minimum", ">=", lowest
    elif value > highest:
        code, word, sign, bound = f"{kind}_above_max_value", "above maximum", "<=", highest
    else:
        return
    raise EventRefused(
        code,
        f"Invalid '{path}': {kind} {word} value. "
        f"Expected a value {sign} {bound}, but got {value} instead.",
        path,
    )


def _wrong_type(path: str, expected: str, value: Any) -> EventRefused:
    names = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
        list: "an array",
        dict: "an object",
    }
    actual = names.get(type(value), "null")
    return EventRefused(
        "invalid_type",
        f"Invalid type for '{path}': expected {expected}, but got {actual} instead.",
        path,
    )
