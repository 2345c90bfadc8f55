"""JSON text, read as values, or taken apart one level at a time.

What is taken apart and put together again keeps every member that nobody looked
at as the text that it was: numbers to the last digit, strings with their escapes.
Nothing here raises for what a peer sent but where a function says so: what cannot
be read is None.
"""

import gc
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from json.encoder import encode_basestring_ascii
from typing import Any

#: The members of an object: key -> the text of its value. Of a key that stands twice, the last.
Members = dict[str, str]

#: Text of more bytes than this is parsed with the garbage collector held.
_LARGE = 65_536
#: Text with more than this beside its strings is not taken apart; in bytes, and one for a string.
_MOST_STRUCTURE = 131_072
#: A string, also one that never ends. Nothing is given back once it was taken (possessive): else
#: each quote of a string without an end would have all that follows it looked at again.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_WHITE_SPACE = " \t\r\n"
#: A member whose key has no escapes and whose value is a short string without them, or a scalar.
_PLAIN_MEMBER = re.compile(
    r'"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*("[^"\\]{0,1000}"|[-0-9tfn][^,}\]\s]*)'
)

#: Finds where a value ends; what the value is does not matter, nor how long its numbers are.
_raw_decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    parse_int=str, parse_float=str
).raw_decode


def parse_object(payload: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a message, or None where it is none or malformed.

    An integer of more digits than Python reads becomes infinite.
    """
    try:
        with unhurried(payload):
            value = _loads(payload.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer is too long for Python, and legal JSON
        return json.loads(text, parse_int=_any_int)


def _any_int(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:
        return math.copysign(math.inf, -1 if digits[0] == "-" else 1)


@contextmanager
def unhurried(payload: bytes) -> Iterator[None]:
    """Keep the garbage collector from running while large values grow.

    It would look at all of the value again and again: four megabytes of nested
    lists take five times as long with it, and meanwhile every session waits.
    """
    was_enabled = gc.isenabled() and len(payload) > _LARGE
    if not was_enabled:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def is_intricate(payload: bytes) -> bool:
    """Tell whether a message has so much beside its strings that it takes long to take apart.

    A long recording is one string; it is members and elements that cost time, and
    nobody needs so many.
    """
    if len(payload) <= _MOST_STRUCTURE:
        return False
    structure = position = 0
    for string in _STRING.finditer(payload):
        structure += string.start() - position + 1  # each string is work too
        if structure > _MOST_STRUCTURE:
            return True
        position = string.end()
    return structure + len(payload) - position > _MOST_STRUCTURE


# The functions below take text that ``parse_object`` could read, or a part of it that is a value,
# without white space around it but for that of the whole message.


def read_members(text: str) -> Members | None:
    """Return the members of an object; None: the text is another value."""
    start = _skip_space(text, 0)
    if text[start] != "{":
        return None
    return {key: text[begin:end] for key, begin, end in _members(text, start)}


def read_elements(text: str) -> list[str] | None:
    """Return the texts of the elements of an array; None: the text is another value."""
    position = _skip_space(text, 0)
    if text[position] != "[":
        return None
    elements = []
    position = _skip_space(text, position + 1)
    while text[position] != "]":
        end = _value_end(text, position)
        elements.append(text[position:end])
        position = _next(text, end)
    return elements


def read_string(text: str | None) -> str | None:
    """Return a string; None: the text is another value, or there is none."""
    if text is None or not text.startswith('"'):
        return None
    return str(json.loads(text)) if "\\" in text else text[1:-1]


def write_object(members: Members) -> str:
    """Return the text of an object."""
    return "{" + ",".join(f"{write_string(key)}:{value}" for key, value in members.items()) + "}"


def write_array(elements: Sequence[str]) -> str:
    """Return the text of an array."""
    return "[" + ",".join(elements) + "]"


def write_string(value: str) -> str:
    """Return the text of a string."""
    return encode_basestring_ascii(value)


def edit_object(text: str, edit: Callable[[Members], Members]) -> str:
    """Return an object as an edit leaves it.

    The text itself is returned where it is another value, or nothing changed.
    """
    members = read_members(text)
    if members is None:
        return text
    edited = edit(dict(members))
    return text if edited == members else write_object(edited)


def edit_array(text: str, edit: Callable[[str], str]) -> str:
    """Return an array with each element as an edit leaves it.

    The text itself is returned where it is another value, or nothing changed.
    """
    elements = read_elements(text)
    if elements is None:
        return text
    edited = [edit(element) for element in elements]
    return text if edited == elements else write_array(edited)


def replace_member(text: str, path: tuple[str, str], value: str) -> str:
    """Put a string in place of a member two levels deep; every other character stays.

    Where a key stands twice, each of its values is replaced, so that it does not
    matter which one a parser prefers.

    Args:
        text: A JSON object.
        path: Such as ``("session", "model")``.
        value: The new string.
    """
    outer, inner = path
    try:
        spans = [
            (start, end)
            for key, object_start, _ in _members(text, _skip_space(text, 0))
            if key == outer and text[object_start] == "{"
            for name, start, end in _members(text, object_start)
            if name == inner
        ]
    except RecursionError:  # nested as deep as could just be read
        return text
    pieces: list[str] = []
    copied = 0
    for start, end in spans:
        pieces += text[copied:start], write_string(value)
        copied = end
    return "".join((*pieces, text[copied:]))


def _members(text: str, position: int) -> Iterator[tuple[str, int, int]]:
    """Yield each key of the JSON object at ``position`` with the span of its value."""
    position = _skip_space(text, position + 1)
    while text[position] != "}":
        plain = _PLAIN_MEMBER.match(text, position)
        if plain is not None:
            key = plain[1]
            begin, end = plain.span(2)
        else:
            end = _value_end(text, position)
            key = read_string(text[position:end]) or ""
            begin = _skip_space(text, _skip_space(text, end) + 1)
            end = _value_end(text, begin)
        yield key, begin, end
        position = _next(text, end)


def _skip_space(text: str, position: int) -> int:
    while text[position] in _WHITE_SPACE:
        position += 1
    return position


def _next(text: str, position: int) -> int:
    """Return where the next member or element begins, or the closing bracket stands."""
    position = _skip_space(text, position)
    return _skip_space(text, position + 1) if text[position] == "," else position


def _value_end(text: str, position: int) -> int:
    """Return where a value ends; a long string, such as audio, is not copied for that."""
    if text[position] == '"':
        end = text.find('"', position + 1)
        if text.find("\\", position, end) < 0:
            return end + 1
    return _raw_decode(text, position)[1]
