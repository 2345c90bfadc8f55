"""What is answered: a friendly echo, or a call of the tool that was asked for.

Pure: the context in, a value out. No language model lives here, only enough
sense that a client sees text, calls and arguments of the right shape.
"""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

import attrs

from rt_proxy.simulator.items import Item

_ECHOED = 400
#: A tool is looked for in so much of what was said, in characters.
_MOST_ASKED = 4_000
_DEEPEST = 6
_MOST_PROPERTIES = 32
#: Words of a tool's name that a person who wants it need not say.
_SMALL_WORDS = frozenset(
    ("a", "an", "the", "of", "for", "to", "in", "by", "get", "set", "do", "run", "make", "show",
     "fetch", "find", "lookup", "look", "up", "call", "use", "tool", "function", "query", "read")
)  # fmt: skip
_EXAMPLES = {
    "city": "Paris",
    "location": "Paris",
    "country": "France",
    "name": "Ada",
    "email": "ada@example.com",
    "date": "2026-01-31",
    "time": "12:00",
    "url": "https://example.com",
    "unit": "celsius",
    "timezone": "Europe/Paris",
    "currency": "EUR",
    "phone": "+15550100",
}
_FORMATS = {
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@attrs.frozen
class Say:
    """Answer with words, spoken or written."""

    text: str


@attrs.frozen
class Call:
    """Call a tool.

    Attributes:
        name: The tool's name.
        arguments: A JSON object, as text.
    """

    name: str
    arguments: str


def answer(
    context: Sequence[Item],
    *,
    wish: str,
    tools: Sequence[dict[str, Any]],
    tool_choice: str | dict[str, Any],
) -> Say | Call:
    """Return the answer to the last item of the context.

    Args:
        context: The items that the model would read, oldest first.
        wish: What this one response was told to do; said when nobody spoke.
        tools: The function tools on offer.
        tool_choice: ``auto``, ``none``, ``required`` or ``{"name": ...}``.
    """
    last = context[-1] if context else None
    tool = _chosen(tools, tool_choice, _asked(last, wish))
    if tool is not None:
        arguments = _arguments(tool.get("parameters"))
        return Call(tool["name"], json.dumps(arguments, ensure_ascii=False))
    return Say(_words(last, context, wish))


def heard(milliseconds: int) -> str:
    """Return the transcript of a user's speech: how long it was is all we know."""
    return f"I spoke for {milliseconds / 1000:.1f} seconds."


def _asked(last: Item | None, wish: str) -> str:
    """Return what is asked for just now; when a tool has answered, no tool is asked for."""
    if last is None or last.fields.get("role") == "assistant":
        return wish
    if last.fields["type"] != "message":
        return ""
    return f"{last.text[:_MOST_ASKED]} {wish[:_MOST_ASKED]}"


def _chosen(
    tools: Sequence[dict[str, Any]], tool_choice: str | dict[str, Any], asked: str
) -> dict[str, Any] | None:
    if isinstance(tool_choice, dict):
        return next((tool for tool in tools if tool["name"] == tool_choice["name"]), None)
    if tool_choice == "none":
        return None
    asked = asked.lower()
    words = frozenset(re.findall(r"\w+", asked))
    wanted = next((tool for tool in tools if _wants(asked, words, tool["name"])), None)
    if wanted is None and tool_choice == "required" and tools:
        return tools[0]
    return wanted


def _wants(asked: str, words: frozenset[str], name: str) -> bool:
    """Whether a text asks for a tool: by its name, or by the words that make up the name."""
    if name and name.lower() in asked:
        return True
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    telling = {part.lower() for part in parts} - _SMALL_WORDS
    return bool(telling) and telling <= words


def _words(last: Item | None, context: Sequence[Item], wish: str) -> str:
    if last is not None and last.fields["type"] == "function_call_output":
        return f"The tool says: {_short(last.fields['output'])}"
    user = next((item for item in reversed(context) if item.fields.get("role") == "user"), None)
    if user is None:
        if wish:
            return f"I was told: {_short(wish)}"
        return "Hello, I am the simulator. Say something and I will say it back."
    if user.sounds and not user.text:
        seconds = sum(sound.milliseconds for sound in user.sounds.values()) / 1000
        return f"I heard you for {seconds:.1f} seconds."
    return f"You said: {_short(user.text)}" if user.text else "I see. Tell me more."


def _short(text: str) -> str:
    return text if len(text) <= _ECHOED else text[: _ECHOED - 3] + "..."


def _arguments(schema: Any) -> dict[str, Any]:
    value = _plausible(schema if isinstance(schema, dict) else {}, "", _DEEPEST)
    return value if isinstance(value, dict) else {}


def _plausible(schema: Any, name: str, deepest: int) -> Any:
    """Return a value that fits a JSON schema, as far as simple schemas go."""
    if not isinstance(schema, dict):
        return name
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _plausible(schema[key][0], name, deepest) if deepest else None
    return _of_kind(_kind(schema), schema, name, deepest)


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "string"
    return kind if isinstance(kind, str) else "string"


def _of_kind(kind: str, schema: dict[str, Any], name: str, deepest: int) -> Any:
    if kind == "object":
        return _properties(schema, deepest)
    if kind == "array":
        items = schema.get("items")
        return [_plausible(items, name, deepest - 1)] if deepest and items else []
    if kind in ("integer", "number"):
        lowest = schema.get("minimum", 1)
        numeric = isinstance(lowest, int | float) and not isinstance(lowest, bool)
        return lowest if numeric else 1
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return _text(schema, name)


def _properties(schema: dict[str, Any], deepest: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not deepest:
        return {}
    shown = itertools.islice(properties.items(), _MOST_PROPERTIES)
    return {name: _plausible(inner, name, deepest - 1) for name, inner in shown}


def _text(schema: dict[str, Any], name: str) -> str:
    wanted = schema.get("format")
    if isinstance(wanted, str) and wanted in _FORMATS:
        return _FORMATS[wanted]
    telling = (text for word, text in _EXAMPLES.items() if word in name.lower())
    return next(telling, name or "example")
