"""What all events, and the objects inside them, have in common.

A field that was absent is ``MISSING``, which is not the same as ``None``, JSON's
``null``: in a ``session.update`` the one leaves a value alone, the other clears it.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self, TypeAlias

import attrs

from rt_proxy.errors import EventError

#: Any JSON value, frozen: arrays are tuples, objects are mappings that cannot be changed.
JsonValue: TypeAlias = object
#: A JSON object whose members nobody here knows, frozen as well.
JsonObject: TypeAlias = Mapping[str, object]

#: How deep values may be nested, in levels; a JSON Schema of 40 is a large one.
MOST_LEVELS: Final = 100


class Missing(enum.Enum):
    """The type of ``MISSING``; its truth value is False, as that of ``None`` is."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"


#: The value of a field that is not there; compare with ``is``.
MISSING: Final = Missing.MISSING

_NOTHING: Final[JsonObject] = MappingProxyType({})


def freeze(value: object, levels: int = MOST_LEVELS) -> JsonValue:
    """Return a JSON value in which nothing can be changed.

    Raises:
        EventError: It is nested deeper than so many levels.
    """
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        raise EventError(f"an event must not be nested deeper than {MOST_LEVELS} levels")
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(one, levels - 1) for key, one in value.items()})
    return tuple(freeze(one, levels - 1) for one in value)


@attrs.frozen(kw_only=True)
class ApiObject:
    """An object of the API as a frozen value.

    Lists and dicts that are given to a constructor are frozen, too.

    Attributes:
        extra: What came under names that the class does not have, and what came under
            a name of its own but is of another kind; then that field is ``MISSING``.
    """

    extra: JsonObject = _NOTHING

    def __init_subclass__(cls) -> None:
        # attrs writes a __repr__ for every class that has none in its own body.
        cls.__repr__ = ApiObject.__repr__  # type: ignore[method-assign]

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if type(value) in (list, dict):
                object.__setattr__(self, field.name, freeze(value))

    def __repr__(self) -> str:
        """Show the fields that are there, but for secrets and audio.

        Of ``extra`` only the names are shown: what nobody knows may be a secret.
        """
        shown = [
            f"{field.name}={value!r}"
            for field in attrs.fields(type(self))
            if field.repr
            and field.name != "extra"
            and (value := getattr(self, field.name)) is not MISSING
        ]
        if self.extra:
            shown.append(f"extra={{{', '.join(map(repr, self.extra))}}}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __deepcopy__(self, memo: object) -> Self:
        """Return the value itself: nothing in it can change."""
        return self

    @classmethod
    def fits(cls, members: JsonObject) -> bool:
        """Whether an object may be one of these, where more than ``type`` must tell."""
        return True


@attrs.frozen(kw_only=True)
class Unknown(ApiObject):
    """An object that is none of those the API reference has in this place.

    Its ``type`` is not known, or a field that this type requires is absent or wrong.

    Attributes:
        type: Its type, if it has one; all else is in ``extra``.
    """

    type: str | Missing = MISSING


@attrs.frozen(kw_only=True)
class UnknownEvent(ApiObject):
    """An event of a type that is not in the API reference, or one of which too little is right.

    Attributes:
        type: Its type; all else is in ``extra``.
    """

    type: str
