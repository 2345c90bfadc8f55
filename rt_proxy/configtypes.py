"""What a value in the config file may be: strict types, names of models, secrets, headers.

The environment variables and the files that hold the providers' keys are read here.
No message repeats a value, for it may be a secret in the wrong place: a message says what
belongs there, and names at most the environment variable or the file that is meant.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn

from rt_proxy.settings import CloseMeaning, PriceSettings, PriceTable, Secret
from rt_proxy.tomlvalues import exactly, toml_name

_KEY_TEXT = re.compile(r"[\x21-\x7e]+")
#: The value of a header may have spaces inside (RFC 9110, 5.5).
_HEADER_TEXT = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_CLOSE_CODE = re.compile(r"[1-9][0-9]{3}", re.ASCII)
# A key that was pasted where its name belongs must not be repeated in a message.
_SURELY_A_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
#: How other programs write the name of a variable in a text.
_NAMED_IN_TEXT = re.compile(r"\$\{?([A-Z_][A-Z0-9_]*)\}?|env:([A-Z_][A-Z0-9_]*)")
_PERHAPS_A_KEY = re.compile(r"sk-.*|[A-Za-z0-9_-]{32,}")


def strict_converter(folder: Path, environ: Mapping[str, str]) -> Converter:
    """Make a converter that takes every value as it is, or not at all.

    cattrs converts by nature ("8080" and true become numbers, a string becomes an array of
    letters), so each type that the settings use has a hook here.
    """
    converter = Converter()
    converter.register_structure_hook(bool, lambda value, _: exactly(bool, value))
    converter.register_structure_hook(int, lambda value, _: exactly(int, value))
    converter.register_structure_hook(str, lambda value, _: exactly(str, value))
    converter.register_structure_hook(float, lambda value, _: _finite(value))
    converter.register_structure_hook(Decimal, lambda value, _: _exact_amount(value))
    converter.register_structure_hook(date, lambda value, _: exactly(date, value))
    converter.register_structure_hook(Path, lambda value, _: folder / _read_path(value))
    converter.register_structure_hook(
        Secret, lambda value, _: _read_secret(value, folder, environ, "the key", _KEY_TEXT)
    )
    converter.register_structure_hook(
        _HeaderValue,
        lambda value, _: _read_secret(value, folder, environ, "the value", _HEADER_TEXT),
    )

    @converter.register_structure_hook_factory(attrs.has)
    def table(kind: Any) -> Any:
        read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)
        return lambda value, _: read(exactly(dict, value), kind)

    @converter.register_structure_hook_factory(_is_made_from(tuple))
    def array(kind: Any) -> Any:
        items: Any = list
        items = items[get_args(kind)[0]]
        read = converter.get_structure_hook(items)

        def read_all(value: Any, _: object) -> Any:
            if type(value) is dict and attrs.has(get_args(kind)[0]):
                raise TypeError("must be an array of tables: write [[ ]] around its name, not [ ]")
            return tuple(read(exactly(list, value), items))

        return read_all

    @converter.register_structure_hook_factory(_is_made_from(Mapping))
    def mapping(kind: Any) -> Any:
        items: Any = dict
        items = items[get_args(kind)]
        read = converter.get_structure_hook(items)
        return lambda value, _: MappingProxyType(read(exactly(dict, value), items))

    @converter.register_structure_hook_factory(_is_made_from(Literal))
    def choice(kind: Any) -> Any:
        return lambda value, _: _one_of(get_args(kind), value)

    # The one mapping of names: the names of the models of a channel.
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[str, str], lambda value, _: _read_models(value)
    )
    # The one mapping of numbers, which are text as the keys of TOML.
    meanings: Any = Mapping[str, CloseMeaning]
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[int, CloseMeaning],
        lambda value, _: _by_number(converter.structure(value, meanings)),
    )
    # The one mapping of tables or arrays of them: what models cost.
    table_or_tables: Any = Mapping[str, _Times]
    times: Any = tuple[PriceSettings, ...]
    converter.register_structure_hook_func(
        lambda kind: kind == PriceTable,
        lambda value, _: converter.structure(value, table_or_tables),
    )
    converter.register_structure_hook(
        _Times,
        lambda value, _: (
            converter.structure(value, times)
            if type(value) is list
            else (converter.structure(value, PriceSettings),)
        ),
    )
    # The one mapping of secrets: the headers of a channel.
    headers: Any = Mapping[str, _HeaderValue]
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[str, Secret],
        lambda value, _: converter.structure(value, headers),
    )
    return converter


class _HeaderValue(Secret):
    """The value of a header, as cattrs is asked for it; what it makes is a ``Secret``."""


class _Times:
    """The prices of one model, as cattrs is asked for them; what it makes is a tuple."""


def _is_made_from(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError(f"must be a number, not {toml_name(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _exact_amount(value: object) -> Decimal:
    """Return an amount of money as it was written, to the last digit."""
    _finite(value)
    return Decimal(cast("int | Decimal", value))


def _read_path(value: object) -> Path:
    text = exactly(str, value)
    if not text:
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not have a null character")
    return Path(text)


def _one_of(choices: tuple[str, ...], value: object) -> str:
    text = exactly(str, value)
    if text not in choices:
        near = difflib.get_close_matches(text.lower(), choices, n=1)
        hint = f"; did you mean {json.dumps(near[0])}?" if near else ""
        raise ValueError(f"must be one of {', '.join(map(json.dumps, choices))}{hint}")
    return text


def _read_models(value: object) -> Mapping[str, str]:
    if type(value) is list and all(type(name) is str for name in value):
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"has {', '.join(map(json.dumps, twice))} more than once")
        return MappingProxyType({name: name for name in value})
    if type(value) is dict and all(type(name) is str for name in value.values()):
        return MappingProxyType(value)
    raise ValueError('must be an array of names, or a table of alias = "the name upstream"')


def _by_number(meanings: Mapping[str, CloseMeaning]) -> Mapping[int, CloseMeaning]:
    wrong = [json.dumps(code) for code in meanings if not _CLOSE_CODE.fullmatch(code)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is no close code; write a number such as 4001")
    return MappingProxyType({int(code): meaning for code, meaning in meanings.items()})


def _read_secret(
    value: object, folder: Path, environ: Mapping[str, str], what: str, legal: re.Pattern[str]
) -> Secret:
    match value:
        case str():
            if named := _NAMED_IN_TEXT.fullmatch(value):
                name = named[1] or named[2]
                raise ValueError(f'is no key: write {{ env = "{name}" }} for the variable {name}')
            secret, source = value, what
        case {"env": str(name), **rest} if not rest:
            secret, source = _from_environment(name, environ)
        case {"file": str(name), **rest} if not rest:
            secret, source = _from_file(name, folder)
        case _:
            raise ValueError('must be a string, { env = "NAME" } or { file = "path" }')
    if not secret:
        raise ValueError(f"{source} is empty")
    if not legal.fullmatch(secret):
        raise ValueError(f"{source} has characters that an HTTP header cannot carry")
    return Secret(secret)


def _from_environment(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    shown = f"environment variable {name}"
    if not _SURELY_A_VARIABLE.fullmatch(name):
        shown = "the environment variable of env (not shown: it may be a key)"
    if name not in environ:
        raise ValueError(f"{shown} is not set")
    return environ[name], shown


def _from_file(name: str, folder: Path) -> tuple[str, str]:
    path = folder / name
    shown = f"file {path}"
    if _PERHAPS_A_KEY.fullmatch(name):
        shown = "the path of file (not shown: it may be a key)"
    if path.is_fifo() or path.is_char_device():  # these would keep whoever reads them
        raise ValueError(f"{shown} cannot be read: it is no file")
    try:
        content = path.read_bytes().decode("latin-1")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise ValueError(f"{shown} cannot be read: {reason}") from None
    return content.rstrip("\r\n"), shown
