"""What differs between two settings, in words that may stand in a log.

Pure: two values in, texts out. A value is shown only where its type, or the list below,
says that it cannot be a secret; of all others it is said that they changed, and no more.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import attrs

from rt_proxy.settings import ChannelSettings, Secret, Settings
from rt_proxy.tomlvalues import toml_key

#: Fields of text that are no secrets; what is not here is not shown, new fields included.
_OPEN_TEXTS = frozenset({
    "api_version", "default_model", "drop_fields", "fault", "host", "model_parameter", "models",
    "origins", "session_parameter", "time_zone", "transcription_channel", "trusted_proxies",
})  # fmt: skip
#: Of these only the origin is shown: a key may stand in the rest.
_URLS = frozenset({"base_url", "endpoint"})
_OPEN_TYPES = (bool, int, float, Decimal, date, Path, NoneType)


def changes(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return what differs, a text each, in the order of the settings.

    Such as ``timeouts.drain: 20 -> 30``, ``channels[openai].api_key changed`` and
    ``channels[reserve] added``; channels are told by their names.
    """
    return tuple(_between_fields("", old, new))


def needs_restart(bound: Settings, now: Settings) -> tuple[str, ...]:
    """Return the places that differ from what the proxy was started with and cannot follow."""
    differs = {
        "listen.host": bound.listen.host != now.listen.host,
        "listen.port": bound.listen.port != now.listen.port,
        "listen.tls": (bound.listen.tls is None) != (now.listen.tls is None),
        "usage": (bound.usage is None) != (now.usage is None),
    }
    if bound.usage is not None and now.usage is not None:
        for name in ("file", "sync", "keep_days"):
            differs[f"usage.{name}"] = getattr(bound.usage, name) != getattr(now.usage, name)
    return tuple(place for place, is_other in differs.items() if is_other)


def _between_fields(place: str, old: Any, new: Any) -> Iterator[str]:
    for field in attrs.fields(type(new)):
        inner = f"{place}.{field.name}" if place else field.name
        before, after = getattr(old, field.name), getattr(new, field.name)
        if inner == "channels":
            yield from _between_channels(before, after)
        else:
            yield from _between(inner, before, after, field)


def _between(place: str, old: Any, new: Any, field: "attrs.Attribute[Any]") -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _between_mappings(place, old, new, field)
    elif old == new:
        return
    elif _is_group(old) and type(old) is type(new):
        yield from _between_fields(place, old, new)
    else:
        shown = (_shown(old, field), _shown(new, field))
        if None in shown or shown[0] == shown[1]:
            yield f"{place} {_what_happened(old, new)}"
        else:
            yield f"{place}: {shown[0]} -> {shown[1]}"


def _between_mappings(
    place: str, old: Mapping[str, Any], new: Mapping[str, Any], field: "attrs.Attribute[Any]"
) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        inner = f"{place}.{toml_key(str(key))}"
        if key in old and key in new:
            yield from _between(inner, old[key], new[key], field)
        else:
            yield f"{inner} {'added' if key in new else 'removed'}"
    yield from _order(place, list(old), list(new))


def _between_channels(
    old: Sequence[ChannelSettings], new: Sequence[ChannelSettings]
) -> Iterator[str]:
    before = {channel.name: channel for channel in old}
    after = {channel.name: channel for channel in new}
    for name in dict.fromkeys([*before, *after]):
        place = f"channels[{name}]"
        if name in before and name in after:
            yield from _between_fields(place, before[name], after[name])
        else:
            yield f"{place} {'added' if name in after else 'removed'}"
    yield from _order("channels", list(before), list(after))


def _order(place: str, old: list[str], new: list[str]) -> Iterator[str]:
    """Tell of an order that changed among those that stayed; it decides on the default model."""
    if [key for key in old if key in new] != [key for key in new if key in old]:
        yield f"{place}: order changed"


def _is_group(value: object) -> bool:
    """Tell whether a value is a table of settings of its own; a secret has no parts."""
    return attrs.has(type(value)) and not isinstance(value, Secret)


def _what_happened(old: object, new: object) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    return "changed"


def _shown(value: object, field: "attrs.Attribute[Any]") -> str | None:
    """Return a value as TOML writes it; None: it might be a secret."""
    if field.name in _URLS:
        return "not set" if value is None else _origin(str(value))
    if field.name in _OPEN_TEXTS or _is_open(field.type):
        return _literal(value)
    return None


def _is_open(kind: Any) -> bool:
    """Tell whether every value of a type is a number, a switch, a path or a word of a list."""
    if kind in _OPEN_TYPES or get_origin(kind) is Literal:
        return True
    parts = [part for part in get_args(kind) if part is not ...]
    return bool(parts) and all(map(_is_open, parts))


def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" if port is None else f"{parts.scheme}://{name}:{port}"


def _literal(value: object) -> str | None:
    match value:
        case None:
            return "not set"
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case float() if value.is_integer():
            return str(int(value))
        case int() | float() | date():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case Path():
            return json.dumps(str(value), ensure_ascii=False)
        case tuple() | list():
            items = [_literal(item) for item in value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
    return None
