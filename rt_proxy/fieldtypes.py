"""Whether a value and all that is in it is of the types that its attrs class says.

For values that were made by hand, in a program that no type checker looked at. Nothing here
converts or knows what the values mean, and no message repeats one, for it may be a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import attrs

_MONEY = Decimal.__name__


def wrong_types(value: attrs.AttrsInstance) -> Iterator[str]:
    """Yield each field of a wrong type, at any depth, as ``place: what it must be``."""
    return _of_fields(value, "")


def _of_fields(value: Any, prefix: str) -> Iterator[str]:
    for field in attrs.fields(type(value)):
        yield from _wrong(getattr(value, field.name), field.type, f"{prefix}{field.alias}")


def _wrong(value: object, kind: Any, place: str) -> Iterator[str]:
    origin, arguments = get_origin(kind), get_args(kind)
    if NoneType in arguments:  # ``X | None``: no other union is used
        if value is not None:
            yield from _wrong(value, arguments[0], place)
    elif origin is Literal:
        if value not in arguments:
            yield f"{place}: must be one of {', '.join(map(repr, arguments))}"
    elif origin is tuple:
        if isinstance(value, Sequence) and not isinstance(value, str):
            for index, item in enumerate(value):
                yield from _wrong(item, arguments[0], f"{place}[{index}]")
        else:
            yield _must_be("a tuple", place, value)
    elif origin is Mapping:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _wrong(key, arguments[0], place)
                yield from _wrong(item, arguments[1], f'{place}."{key}"')
        else:
            yield _must_be("a mapping", place, value)
    elif not _is_a(kind, value):
        yield _must_be(kind.__name__, place, value)
    elif attrs.has(kind):
        yield from _of_fields(value, f"{place}.")


def _is_a(kind: type, value: object) -> bool:
    """Tell whether a value is of a type; a whole number is a float too.

    No bool is either, and a moment is no day, although Python has them so.
    """
    if isinstance(value, bool | datetime):
        return kind is type(value)
    return isinstance(value, (int, float) if kind is float else kind)


def _must_be(wanted: str, place: str, value: object) -> str:
    hint = '; an exact amount is an int, or such as Decimal("0.10")' if wanted == _MONEY else ""
    return f"{place}: must be {wanted}, not {type(value).__name__}{hint}"
