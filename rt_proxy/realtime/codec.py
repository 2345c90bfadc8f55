"""JSON text to event values, and small edits that leave every other byte alone.

The one door of cattrs for events. Nothing here raises for what a peer sent:
what cannot be read is None, and goes on for the other side to judge.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from rt_proxy.realtime.events import EVENT_CLASSES, ServerEvent

#: What the JSON library raises for text that is malformed, too deep or not UTF-8.
_MALFORMED = (ValueError, RecursionError)
#: Text of more bytes than this is parsed with the garbage collector held.
_LARGE = 65_536


def _int_or_zero(value: object, _: type) -> int:
    return value if type(value) is int else 0


def _str_or_none(value: object, _: type) -> str | None:
    return value if type(value) is str else None


def _make_converter() -> cattrs.Converter:
    """Make a converter that never coerces; cattrs alone would take ``true`` for 1.

    A member of the wrong kind counts as absent: a ``null`` among the token counts
    must not hide that a response has ended.
    """
    converter = cattrs.Converter(detailed_validation=False)

    def object_hook(cls: type[Any]) -> Callable[[object, type], Any]:
        structure = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=False)
        return lambda value, _: structure(value if isinstance(value, dict) else {}, cls)

    converter.register_structure_hook(int, _int_or_zero)
    converter.register_structure_hook(str, _str_or_none)
    converter.register_structure_hook_factory(attrs.has, object_hook)
    return converter


_CONVERTER = _make_converter()


def parse_object(payload: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a message, or None where it is none or malformed."""
    try:
        with _unhurried() if len(payload) > _LARGE else nullcontext():
            value = json.loads(payload.decode())
    except _MALFORMED:
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def _unhurried() -> Iterator[None]:
    """Keep the garbage collector from running while a large value grows.

    It would look at all of the value again and again: four megabytes of nested
    lists take five times as long with it, and meanwhile every session waits.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def structure_event(event: dict[str, Any]) -> ServerEvent | None:
    """Return a server event that is read on its way as a value, or None for any other."""
    type_ = event.get("type")
    event_class = EVENT_CLASSES.get(type_) if isinstance(type_, str) else None
    if event_class is None:
        return None
    try:
        return _CONVERTER.structure(event, event_class)
    except KeyError:  # the object that the event is about is missing
        return None


_WHITE_SPACE = " \t\r\n"
_raw_decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode


def _skip_space(text: str, position: int) -> int:
    while text[position] in _WHITE_SPACE:
        position += 1
    return position


def _members(text: str, position: int) -> Iterator[tuple[str, int, int]]:
    """Yield each key of the JSON object at ``position`` with the span of its value.

    The text has been parsed before, so that its shape can be relied on.
    """
    position = _skip_space(text, position + 1)
    while text[position] != "}":
        key, position = _raw_decode(text, position)
        position = _skip_space(text, _skip_space(text, position) + 1)
        _, end = _raw_decode(text, position)
        yield key, position, end
        position = _skip_space(text, end)
        if text[position] == ",":
            position = _skip_space(text, position + 1)


def replace_member(payload: bytes, path: tuple[str, str], value: str) -> bytes:
    """Put a string in place of a member two levels deep; every other byte stays.

    Where a key stands twice, each of its values is replaced, so that it does not
    matter which one a parser prefers.

    Args:
        payload: A JSON object that ``parse_object`` could read.
        path: Such as ``("session", "model")``.
        value: The new string.
    """
    try:
        text = payload.decode()
        return _replaced(text, path, json.dumps(value)).encode()
    except _MALFORMED:
        return payload


def _replaced(text: str, path: tuple[str, str], replacement: str) -> str:
    outer, inner = path
    spans = [
        (start, end)
        for key, object_start, _ in _members(text, _skip_space(text, 0))
        if key == outer and text[object_start] == "{"
        for name, start, end in _members(text, object_start)
        if name == inner
    ]
    for start, end in reversed(spans):
        text = text[:start] + replacement + text[end:]
    return text
