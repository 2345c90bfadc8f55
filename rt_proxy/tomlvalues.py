"""TOML values, taken as they are or not at all: nothing here converts, guesses or reads a file.

And what is wrong with a text that is no TOML, in words that name no Python type.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Context, Decimal
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")

#: How ``tomllib`` shows the name of a table: as the tuple that it is to Python.
_TUPLE = re.compile(r"""\((['"].*['"]),?\)""")

#: Reads what TOML calls a float, for money is meant to the last digit. An exponent that no Decimal
#: can have makes a NaN, which is refused in its place, and no exception of another kind.
exact_number = partial(Decimal, context=Context(traps=[]))

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_TOML_NAMES: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    Decimal: "a float",
    date: "a date",
    str: "a string",
    list: "an array",
    dict: "a table",
    datetime: "a date and time",
}


def toml_name(value: object) -> str:
    """Return how TOML calls the type of a value."""
    return _TOML_NAMES.get(type(value), "a date or time")


def toml_key(key: str) -> str:
    """Return a key as TOML writes it, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def exactly(kind: type[_T], value: object) -> _T:
    """Return a value of exactly this type; ``true`` is no integer.

    Raises:
        TypeError: It is of another type; the message names both, and never the value.
    """
    if type(value) is not kind:
        raise TypeError(f"must be {_TOML_NAMES[kind]}, not {toml_name(value)}")
    return value


def syntax_problem(error: ValueError) -> str:
    """Return what ``tomllib`` says is wrong with a text; tables are named as in TOML."""
    problem = _TUPLE.sub(lambda match: f"[{_dotted(match[1])}]", str(error))
    return f"is not valid TOML: {problem}"


def _dotted(keys: str) -> str:
    return ".".join(key.strip("'\"") for key in keys.split(", "))
