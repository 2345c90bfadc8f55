"""The config file: TOML in, ``Settings`` out, or every problem at once.

Here is the way from the file to the values, past every mistake; what one value may be is
told in ``configtypes.py``, and what providers differ in by ``channels.problems``.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError

from rt_proxy.channels import problems as channel_problems
from rt_proxy.configtypes import strict_converter
from rt_proxy.errors import SettingsError
from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    Provider,
    Settings,
    TokensSettings,
    UsageSettings,
)
from rt_proxy.settingsrules import check
from rt_proxy.simulator.faults import fault_problem
from rt_proxy.tomlvalues import exact_number, syntax_problem, toml_key

_Place = tuple[str | int, ...]
_T = TypeVar("_T")


def load_settings(
    path: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
    *,
    inspect: Callable[[Settings], Iterable[str]] = lambda _settings: (),
) -> Settings:
    """Read a config file.

    Args:
        path: The TOML file. Paths in it are relative to its folder, and absolute in the result.
        environ: Where ``api_key = { env = "NAME" }`` looks; None: the process environment.
        inspect: Finds more problems, each as ``place: what is wrong``; they are told along with
            the others. It also gets settings that have problems already, as far as they go.

    Raises:
        SettingsError: The file cannot be read, or is wrong; every problem is named, in the order
            of the file.
    """
    document = _read_document(path)
    document.setdefault("channels", [])
    places = list(_places(document, ()))
    folder = Path(path).absolute().parent
    converter = strict_converter(folder, os.environ if environ is None else environ)
    settings, mistakes = _structure(converter, document, Settings)
    problems = [_line(mistake) for mistake in mistakes]
    if settings is not None:
        problems += _broken_rules(settings, problems)
        settings = _with_absolute_paths(settings, folder)
        marred = set(map(_place_of, problems))
        problems += [more for more in inspect(settings) if _place_of(more) not in marred]
    if settings is None or problems:
        raise SettingsError(os.fspath(path), _in_order(problems, places))
    return settings


def load_tokens_settings(path: str | os.PathLike[str]) -> TokensSettings:
    """Read the ``[tokens]`` section of a config file; nothing else in it is looked at.

    Raises:
        SettingsError: The file cannot be read, or the section is wrong; every problem is named.
    """
    folder = Path(path).absolute().parent
    settings = _read_section(path, "tokens")
    return TokensSettings(file=folder / settings.tokens.file)


def load_usage_settings(path: str | os.PathLike[str]) -> UsageSettings | None:
    """Read the ``[usage]`` section of a config file; None: it has none.

    Raises:
        SettingsError: The file cannot be read, or the section is wrong; every problem is named.
    """
    usage = _read_section(path, "usage").usage
    folder = Path(path).absolute().parent
    return None if usage is None else attrs.evolve(usage, file=folder / usage.file)


def load_budget(path: str | os.PathLike[str]) -> Budget | None:
    """Read the ``[budget]`` section of a config file; None: it has none.

    Raises:
        SettingsError: The file cannot be read, or the section is wrong; every problem is named.
    """
    return _read_section(path, "budget").budget


def _read_section(path: str | os.PathLike[str], name: str) -> "_OneSection":
    document = _read_document(path)
    section = {name: document[name]} if name in document else {}
    converter = strict_converter(Path(path).absolute().parent, {})
    settings, mistakes = _structure(converter, section, _OneSection)
    if settings is None or mistakes:
        raise SettingsError(os.fspath(path), [_line(mistake) for mistake in mistakes])
    return settings


@attrs.frozen
class _OneSection:
    tokens: TokensSettings = attrs.field(factory=TokensSettings)
    usage: UsageSettings | None = None
    budget: Budget | None = None


def _with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    """Take what no ``Path`` was read for from the folder: defaults, and programs in it."""
    usage = settings.usage
    return attrs.evolve(
        settings,
        channels=tuple(_with_absolute_program(channel, folder) for channel in settings.channels),
        tokens=attrs.evolve(settings.tokens, file=folder / settings.tokens.file),
        usage=None if usage is None else attrs.evolve(usage, file=folder / usage.file),
    )


def _with_absolute_program(channel: ChannelSettings, folder: Path) -> ChannelSettings:
    source = channel.api_key_from
    if source is None or not source.command or "/" not in source.command[0]:
        return channel
    program, *arguments = source.command
    source = attrs.evolve(source, command=(str(folder / program), *arguments))
    return attrs.evolve(channel, api_key_from=source)


# --- from bytes to a document -------------------------------------------------------------


def _read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    source = os.fspath(path)
    try:
        return _parse_toml(Path(path).read_bytes())
    except FileNotFoundError:
        problem = (
            "there is no such file; make one with rt-proxy init DIR, "
            "or name another with --config FILE"
        )
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError as error:
        problem = str(error)
    raise SettingsError(source, [problem])


def _parse_toml(content: bytes) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 text, in line {line}") from None
    try:
        return tomllib.loads(text, parse_float=exact_number)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        where = f"at line {line}, column {column}, the end of the file"
        problem = syntax_problem(error).replace("at end of document", where)
        raise ValueError(problem) from None


# --- from a document to values, past every mistake ----------------------------------------


@attrs.frozen
class _Mistake:
    place: _Place
    message: str


def _structure(
    converter: Converter, document: dict[str, Any], kind: type[_T]
) -> tuple[_T | None, list[_Mistake]]:
    """Structure a document as far as it goes, and name what is wrong in it.

    A mistake must not hide the rules that are broken elsewhere: what cannot be read is left
    out, or something harmless stands in for it, and the rest is structured again.
    """
    try:
        return converter.structure(document, kind), []
    except ClassValidationError as error:
        mistakes = list(_mistakes(error, ()))
    for mistake in mistakes:
        _mend(document, mistake.place)
    try:
        return converter.structure(document, kind), mistakes
    except ClassValidationError:
        return None, mistakes


def _mend(document: dict[str, Any], place: _Place) -> None:
    holder: Any = document
    for step in place[:-1]:
        holder = holder[step]
    stand_in = _stand_in(place)
    if stand_in is None:
        holder.pop(place[-1], None)
    else:
        holder[place[-1]] = stand_in


def _stand_in(place: _Place) -> object | None:
    """Return what breaks no rule at a place that must not be empty; None: it may be."""
    match place:
        case ("channels",):
            return []
        case ("channels", int()):
            return {"name": _dotted(place), "provider": "simulator", "models": ["*"]}
        case ("channels", int(), "name"):
            return _dotted(place)
        case ("channels", int(), "provider"):
            return "simulator"
        case ("channels", int(), "models"):
            return ["*"]
        case ("listen", "tls", "cert" | "key") | ("channels", int(), "client_cert", "cert" | "key"):
            return "unread.pem"
        case ("channels", int(), "api_keys", int()) | ("channels", int(), "api_key_from", "file"):
            return "unread"
        case ("channels", int(), "api_key_from"):
            return {"file": "unread"}
        case ("channels", int(), "api_key_from", "command"):
            return ["unread"]
        case ("budget", "usd" | "tokens"):
            return 0
        case (*_, "prices", str(), int(index)):
            return {"valid_from": date.fromordinal(index + 1)}
        case (*_, "prices", str(), int(index), "valid_from"):
            return date.fromordinal(index + 1)  # not the same as that of another price
        case (*_, int()):
            return ""
        case _:
            return None


def _broken_rules(settings: Settings, mistakes: Sequence[str]) -> list[str]:
    """Return the broken rules at places that have no mistake already."""
    marred = {_place_of(mistake) for mistake in mistakes}
    rules = [rule for rule in check(settings) if _place_of(rule) not in marred]
    marred.update(map(_place_of, rules))
    for index, channel in enumerate(settings.channels):
        place = f"channels[{index}]"
        has_provider = not marred & {place, f"{place}.provider"}
        rules += [
            f"{place}.{field}: {message}"
            for field, message in _broken_channel_rules(channel, has_provider=has_provider)
            if f"{place}.{field}" not in marred
        ]
    return rules


def _broken_channel_rules(channel: ChannelSettings, *, has_provider: bool) -> list[tuple[str, str]]:
    """Return the broken rules of a channel; without a provider those that all of them have."""
    providers = [channel.provider] if has_provider else get_args(Provider)
    first, *others = [
        [*channel_problems(variant), *_broken_fault(variant)]
        for variant in (attrs.evolve(channel, provider=provider) for provider in providers)
    ]
    return [problem for problem in first if all(problem in other for other in others)]


def _broken_fault(channel: ChannelSettings) -> Iterator[tuple[str, str]]:
    problem = fault_problem(channel.fault) if channel.provider == "simulator" else None
    if problem is not None:
        yield "fault", problem


def _mistakes(error: Exception, place: _Place) -> Iterator[_Mistake]:
    """Walk the tree of exceptions that cattrs raises, and name each leaf with its place."""
    if isinstance(error, ClassValidationError):
        of_fields, others = error.group_exceptions()
        for inner, note in of_fields:
            yield from _mistakes(inner, (*place, note.name))
        for inner in others:
            yield from _mistakes(inner, place)
    elif isinstance(error, IterableValidationError):
        for inner, element in error.group_exceptions()[0]:
            yield from _mistakes(inner, (*place, element.index))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields):
            yield _Mistake((*place, key), f"unknown setting; {_meant(key, known, place)}")
    elif isinstance(error, KeyError):
        yield _Mistake(place, "is required")
    else:
        yield _Mistake(place, str(error))


def _line(mistake: _Mistake) -> str:
    return f"{_dotted(mistake.place)}: {mistake.message}"


def _place_of(line: str) -> str:
    return line.partition(": ")[0]


def _dotted(place: _Place) -> str:
    """Write a place as TOML does: ``channels[1].api_key``, ``prices."a.b".text_in``."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = toml_key(step)
            text += f".{key}" if text else key
    return text


def _places(value: object, place: _Place) -> Iterator[str]:
    """Yield the places of a document in the order of the file."""
    if place:
        yield _dotted(place)
    match value:
        case dict():
            steps: Iterable[tuple[str | int, object]] = value.items()
        case list():
            steps = enumerate(value)
        case _:
            return
    for step, inner in steps:
        yield from _places(inner, (*place, step))


def _in_order(problems: Sequence[str], places: Sequence[str]) -> list[str]:
    """Sort problems by their places in the file; what is missing comes where it belongs."""
    ranks = {place: rank for rank, place in enumerate(places)}

    def rank(problem: str) -> int:
        place = _place_of(problem)
        while place and place not in ranks:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return ranks.get(place, len(places))

    return sorted(problems, key=rank)


def _meant(text: str, known: Sequence[str], place: _Place) -> str:
    if place and text in (field.name for field in attrs.fields(Settings)):
        return "it belongs at the top of the file, before the first [section]"
    near = difflib.get_close_matches(text.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
