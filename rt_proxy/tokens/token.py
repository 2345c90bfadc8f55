"""The token as a value, its secret and the secret's hash, and lifetimes such as ``30d``.

Pure: nothing here reads a file or a clock.
"""

import hashlib
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import get_args

import attrs

from rt_proxy.fieldtypes import wrong_types
from rt_proxy.settings import Budget, ClientDialect, ScopeLimits, Secret
from rt_proxy.settingsrules import HIGHEST_LIMIT, budget_problems

NAME_LENGTH = 64
#: In ``Token.models``, as in a channel's: every model.
ANY_MODEL = "*"

_NO_LIMITS: Mapping[str, float] = MappingProxyType({})
_LIMIT_NAMES = tuple(field.name for field in attrs.fields(ScopeLimits))
_HASH = re.compile(r"[0-9a-f]{64}")
_DURATION = re.compile(r"([0-9]{1,9})([wdhms])")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_LONGEST = timedelta(days=36_500)


@attrs.frozen
class Token:
    """What lets a client in. It holds the hash of its secret, never the secret.

    Attributes:
        id: Such as ``tok_9f86d081884c``; it is what logs show.
        name: The operator's word for it; no two tokens share a name.
        sha256: The SHA-256 of the secret, 64 lower-case hexadecimal digits.
        created: When it was made, UTC.
        expires: From when on it no longer lets anybody in, UTC; None: never.
        disabled: Revoked; the row stays, so that the name is not given out again.
        models: The models it may use; empty: any.
        default_model: The model of a client that names none; None: the proxy's own.
        client_dialect: The dialect of its clients; None: as the proxy has it.
        channels: The channels it may use, by name; empty: any.
        transcription_channel: The channel of its transcription sessions; None: as the proxy has it.
        limits: Its own limits, by their names in ``ScopeLimits``; what is absent is as the
            proxy has it.
        budget: What may be spent with it; None: as much as the proxy may spend.
    """

    id: str
    name: str
    sha256: str = attrs.field(repr=False)
    created: datetime
    expires: datetime | None = None
    disabled: bool = False
    models: tuple[str, ...] = ()
    default_model: str | None = None
    client_dialect: ClientDialect | None = None
    channels: tuple[str, ...] = ()
    transcription_channel: str | None = None
    limits: Mapping[str, float] = attrs.field(default=_NO_LIMITS, hash=False)
    budget: Budget | None = None

    def allows(self, model: str) -> bool:
        """Say whether the token may use a model, by the name that clients give it."""
        return self.allows_any or model in self.models

    @property
    def allows_any(self) -> bool:
        """Whether it may use every model."""
        return not self.models or ANY_MODEL in self.models


def new_id() -> str:
    """Return a fresh token id."""
    return "tok_" + secrets.token_hex(6)


def new_secret() -> Secret:
    """Return a fresh secret: 256 random bits, legal in a header, a subprotocol and a URL."""
    return Secret("sk-rt-" + secrets.token_urlsafe(32))


def hash_secret(secret: Secret) -> str:
    """Return what is kept of a secret: its SHA-256 in hexadecimal digits.

    A plain hash is enough: nobody can guess 256 random bits, slow hashing or not.
    Any text has a hash, also one that no client could have been given.
    """
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def as_utc(moment: datetime) -> datetime:
    """Return the moment in UTC.

    Raises:
        ValueError: It has no offset, so nobody knows which moment it is.
    """
    if moment.tzinfo is None:
        raise ValueError("must have an offset, such as the Z of 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC)


def parse_duration(text: str) -> timedelta:
    """Return the lifetime that ``2w``, ``30d``, ``12h``, ``90m`` or ``45s`` names.

    Raises:
        ValueError: The text is no such lifetime.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 2w, 30d, 12h, 90m or 45s")
    number, unit = match.groups()
    duration = timedelta(**{_UNITS[unit]: int(number)})
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"{text!r} must be more than 0 and at most {_LONGEST.days}d")
    return duration


def name_problem(name: str) -> str | None:
    """Return why a text cannot be the name of a token, or None if it can."""
    if not name or name != name.strip():
        return "must not be empty, nor begin or end with a space"
    if len(name) > NAME_LENGTH:
        return f"must have at most {NAME_LENGTH} characters, not {len(name)}"
    if not name.isprintable():
        return "must have no control characters or line breaks"
    if name.startswith("-"):
        return "must not begin with '-', or it would be read as an option"
    return None


def models_problem(models: tuple[str, ...], default_model: str | None) -> str | None:
    """Return why these cannot be the models and the default model of a token, or None."""
    names = models if default_model is None else (*models, default_model)
    if not all(name and name.isprintable() for name in names):
        return "a model's name must not be empty, and must have no control characters"
    if default_model is None or not models or ANY_MODEL in models or default_model in models:
        return None
    return f"the default model {default_model!r} is not among the models {', '.join(models)}"


def channels_problem(channels: tuple[str, ...]) -> str | None:
    """Return why these cannot be the names of channels, or None if they can."""
    if all(name and name.isprintable() for name in channels):
        return None
    return "a channel's name must not be empty, and must have no control characters"


def client_dialect_problem(client_dialect: str | None) -> str | None:
    """Return why this cannot be the dialect of a token's clients, or None if it can."""
    choices = get_args(ClientDialect)
    if client_dialect is None or client_dialect in choices:
        return None
    return f"must be one of {', '.join(map(repr, choices))}"


def limits_problem(limits: Mapping[str, float]) -> str | None:
    """Return why these cannot be the limits of a token, or None if they can."""
    unknown = [str(name) for name in limits if name not in _LIMIT_NAMES]
    if unknown:
        names = ", ".join(name if name and name.isprintable() else repr(name) for name in unknown)
        return f"{names} is no limit; known here: {', '.join(_LIMIT_NAMES)}"
    for name, limit in limits.items():
        whole = name != "session_seconds"
        kinds, highest = ((int,), HIGHEST_LIMIT) if whole else ((int, float), sys.float_info.max)
        if isinstance(limit, bool) or not isinstance(limit, kinds) or not 0 <= limit <= highest:
            most = f", at most {highest}" if whole else ""
            return f"{name} must be a {'whole ' if whole else ''}number, 0 (no limit) or more{most}"
    return None


def _budget_problems(budget: Budget) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a budget, also one that was made by hand."""
    if not isinstance(budget, Budget):
        yield "budget", f"must be a Budget, not {type(budget).__name__}"
        return
    # The rules rely on the types.
    wrong = [line.partition(": ") for line in wrong_types(budget)]
    found = [(field, reason) for field, _, reason in wrong] or budget_problems(budget)
    yield from ((f"budget.{field}", reason) for field, reason in found)


def problems(token: Token) -> list[tuple[str, str]]:
    """Return what is wrong with a token taken alone, as pairs of field and reason."""
    found = {
        "id": None if token.id and token.id.isprintable() else "must not be empty",
        "name": name_problem(token.name),
        "sha256": None if _HASH.fullmatch(token.sha256) else "must be 64 digits 0-9 a-f",
        "models": models_problem(token.models, token.default_model),
        "client_dialect": client_dialect_problem(token.client_dialect),
        "channels": channels_problem(token.channels),
        "limits": limits_problem(token.limits),
        "transcription_channel": channels_problem(
            () if token.transcription_channel is None else (token.transcription_channel,)
        ),
    }
    return [
        *((field, reason) for field, reason in found.items() if reason is not None),
        *(() if token.budget is None else _budget_problems(token.budget)),
    ]
