"""Text to events and back; the one door of cattrs for events.

Nothing is lost on the way: what a class has no field for, or what is of another kind
than its field, is kept beside the fields. And nothing is coerced, as cattrs alone
would do: ``true`` is not 1, 1.0 is no integer, and "7" is no number.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
import cattrs

from rt_proxy.errors import EventError
from rt_proxy.realtime.events import EVENT_CLASSES, Event
from rt_proxy.realtime.events.base import (
    MISSING,
    ApiObject,
    JsonValue,
    Missing,
    UnknownEvent,
    freeze,
)

#: Takes a frozen JSON value, and the type that cattrs asks for, which the hook knows already.
_Hook = Callable[[Any, Any], Any]

#: Which kinds of frozen JSON values a simple type takes.
_KINDS: Final[Mapping[type, tuple[type, ...]]] = {
    str: (str,),
    int: (int,),
    float: (float, int),
    bool: (bool,),
    NoneType: (NoneType,),
}


class _WrongKindError(Exception):
    """A value is of another kind than its place asks for."""


def parse(text: str | bytes) -> Event:
    """Return an event, of a client or a server, as a value.

    An event of an unknown type, or one in which a required field is absent or wrong,
    is an ``UnknownEvent``; so this holds for whatever a peer may send. Numbers are as
    Python reads them: integers are exact, other numbers have the precision of a float.

    Args:
        text: One message; bytes must be UTF-8.

    Raises:
        EventError: It is no JSON object with a string ``type``, or holds what Python
            cannot hold: too many levels, too many digits, a number beyond every float.
    """
    members = _load(text)
    if not isinstance(members, Mapping):
        raise EventError("an event must be a JSON object")
    type_ = members.get("type")
    if not isinstance(type_, str):
        raise EventError('an event must have a "type" that is a string')
    event_class: type[Any] = EVENT_CLASSES.get(type_, UnknownEvent)
    event: Event
    try:
        event = _CONVERTER.structure(members, event_class)
    except _WrongKindError:
        event = _CONVERTER.structure(members, UnknownEvent)
    return event


def dump(event: Event) -> str:
    """Return the text of an event; what was parsed comes out as the same JSON value.

    Raises:
        EventError: It holds what JSON has no form for.
    """
    try:
        return json.dumps(event, default=_members, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise EventError(f"an event cannot be written as JSON: {error}") from error


def _load(text: str | bytes) -> JsonValue:
    """Return a frozen JSON value, or say in an EventError why there is none."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        return freeze(json.loads(decoded, parse_float=_float, parse_constant=_refuse))
    except EventError:
        raise
    except UnicodeDecodeError as error:
        raise EventError(f"an event must be UTF-8: {error.reason} at {error.start}") from None
    except json.JSONDecodeError as error:
        raise EventError(f"an event must be JSON: {error}") from None
    except RecursionError:
        raise EventError("an event must not be nested so deeply") from None
    except ValueError:
        raise EventError("an event must not have integers of more digits than fit") from None


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise EventError("an event must not have numbers beyond the range of a float")
    return number


def _refuse(constant: str) -> float:
    raise EventError(f"an event must be JSON, which has no {constant}")


def _members(value: object) -> dict[str, object]:
    """Return what the JSON library cannot write, one level of it, as a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, ApiObject):
        raise TypeError(f"{type(value).__name__} is no JSON value")
    members = {"type": getattr(value, "type", MISSING)}
    for field in attrs.fields(type(value)):
        members[field.name] = getattr(value, field.name)
    del members["extra"]
    present = {name: one for name, one in members.items() if one is not MISSING}
    return {**present, **{name: one for name, one in value.extra.items() if name not in present}}


def _make_converter() -> cattrs.Converter:
    """Make a converter that takes frozen JSON values, each for what it is or not at all."""
    converter = cattrs.Converter()

    def when(matches: Callable[[Any], bool], make_hook: Callable[..., _Hook]) -> None:
        converter.register_structure_hook_factory(
            matches, lambda shape: make_hook(shape, converter)
        )

    for shape, kinds in _KINDS.items():
        converter.register_structure_hook(shape, _simple_hook(kinds))
    when(lambda shape: shape is object, _any_hook)
    when(lambda shape: get_origin(shape) is Literal, _literal_hook)
    when(lambda shape: get_origin(shape) is tuple, _array_hook)
    when(lambda shape: get_origin(shape) is Mapping, _mapping_hook)
    when(lambda shape: get_origin(shape) in (Union, UnionType), _union_hook)
    when(attrs.has, _object_hook)
    return converter


def _any_hook(*_: object) -> _Hook:
    return lambda value, _: value


def _simple_hook(kinds: tuple[type, ...]) -> _Hook:
    def take(value: object, _: object) -> object:
        if type(value) in kinds:
            return value
        raise _WrongKindError

    return take


def _literal_hook(shape: Any, _: cattrs.Converter) -> _Hook:
    texts = frozenset(get_args(shape))

    def take(value: object, _: object) -> object:
        if type(value) is str and value in texts:
            return value
        raise _WrongKindError

    return take


def _array_hook(shape: Any, converter: cattrs.Converter) -> _Hook:
    element = get_args(shape)[0]
    take_element = converter.get_structure_hook(element)

    def take(value: object, _: object) -> object:
        if type(value) is not tuple:
            raise _WrongKindError
        return tuple(take_element(one, element) for one in value)

    return take


def _mapping_hook(shape: Any, converter: cattrs.Converter) -> _Hook:
    member = get_args(shape)[1]
    take_member = converter.get_structure_hook(member)

    def take(value: object, _: object) -> object:
        if type(value) is not MappingProxyType:
            raise _WrongKindError
        for one in value.values():
            take_member(one, member)
        return value

    return take


def _union_hook(shape: Any, converter: cattrs.Converter) -> _Hook:
    """Make a hook that takes the first member of a union which the value is good for."""
    choices: defaultdict[type, list[tuple[Callable[[Any], bool], _Hook]]] = defaultdict(list)
    for choice in get_args(shape):
        if choice is not Missing:
            for kind in _kinds_of(choice):
                choices[kind].append((_test_of(choice), converter.get_structure_hook(choice)))

    def take(value: Any, _: object) -> object:
        for may_fit, hook in choices.get(type(value), ()):
            if may_fit(value):
                with suppress(_WrongKindError):
                    return hook(value, shape)
        raise _WrongKindError

    return take


def _test_of(choice: Any) -> Callable[[Any], bool]:
    """Return a quick test whether a value may be good for a member of a union."""
    own_type = _own_type(choice)
    if own_type is not None:
        return lambda members: members.get("type") == own_type
    return getattr(choice, "fits", lambda _: True)


def _own_type(shape: Any) -> str | None:
    """Return the ``type`` that all objects of a class have; None: they have none in common."""
    own_type = getattr(shape, "type", None)
    return own_type if isinstance(own_type, str) else None


def _kinds_of(shape: Any) -> tuple[type, ...]:
    """Return which kinds of frozen JSON values may be good for a type."""
    origin = get_origin(shape)
    if origin is Literal:
        return (str,)
    if origin is tuple:
        return (tuple,)
    return _KINDS.get(shape, (MappingProxyType,))


def _object_hook(shape: type[ApiObject], converter: cattrs.Converter) -> _Hook:
    """Make a hook that fills the fields of a class, and keeps all else as ``extra``."""
    fields = [
        (
            field.name,
            field.default is attrs.NOTHING,
            converter.get_structure_hook(field.type),
            field.type,
        )
        for field in attrs.fields(shape)
        if field.name != "extra"
    ]
    own_type = _own_type(shape)

    def take(value: Any, _: object) -> ApiObject:
        if type(value) is not MappingProxyType:
            raise _WrongKindError
        extra = dict(value)
        if own_type is not None and extra.pop("type", None) != own_type:
            raise _WrongKindError
        known = {}
        for name, required, hook, field_type in fields:
            if name in extra:
                try:
                    known[name] = hook(extra[name], field_type)
                except _WrongKindError:
                    if required:
                        raise
                else:
                    del extra[name]
            elif required:
                raise _WrongKindError
        return shape(**known, extra=MappingProxyType(extra)) if extra else shape(**known)

    return take


_CONVERTER: Final = _make_converter()
