"""The rules across the settings: what makes them wrong although each value is of its type.

Only what needs no knowledge of a provider; ``rt_proxy.channels.problems`` has the rest.
"""

import ipaddress
import sys
import zoneinfo
from collections.abc import Iterable, Iterator
from decimal import Decimal
from urllib.parse import urlsplit

import attrs

from rt_proxy.fieldtypes import wrong_types
from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    HealthSettings,
    Limits,
    ListenSettings,
    PriceSettings,
    PriceTable,
    ScopeLimits,
    Settings,
    Timeouts,
    UsageSettings,
)

#: Seconds. A stuck send leaves an upstream's pings unanswered, and they come every 20 seconds.
_LONGEST_SEND_STALL = 15
#: With these no sum of money or tokens can grow beyond what the ledger can hold.
_HIGHEST_PRICE = 1_000_000
#: After the point: so sums stay exact, and an amount such as 1e-99999999 is not written out.
_MOST_DIGITS = 30
_NO_PRICE = (
    f"must be an amount in USD, from 0 to {_HIGHEST_PRICE}, with at most {_MOST_DIGITS} digits "
    "after the point"
)
#: A budget of a month must find all of it in the ledger.
_FEWEST_DAYS = 32
_MOST_DAYS = 36_500
_LONGEST_RESERVE = 3_600
_MOST_TOKENS = 10**15
#: Of every limit that is a number of things or of bytes: rates are reckoned in floats.
HIGHEST_LIMIT = 10**15
_AMOUNTS = [field.name for field in attrs.fields(PriceSettings) if field.name != "valid_from"]
#: The limits of a proxy that 0 switches off.
_COUNTS = (
    "sessions",
    "sessions_per_address",
    "sessions_per_minute",
    "client_events_per_second",
    "client_bytes_per_second",
    "upstream_events_per_second",
    "upstream_bytes_per_second",
)


def check(settings: Settings) -> list[str]:
    """Return every rule that the settings break, each as ``place: what is wrong``."""
    # The rules below rely on the types, which settings that were made by hand may not have.
    return list(wrong_types(settings)) or [
        *_wrong_channels(settings.channels),
        *_wrong_default_model(settings),
        *_wrong_listen(settings.listen),
        *_wrong_limits(settings.limits),
        *_wrong_health(settings.health),
        *_wrong_transcription_channel(settings),
        *_wrong_timeouts(settings.timeouts),
        *_wrong_usage(settings.usage),
        *_wrong_budget(settings.budget),
        *_wrong_prices("prices", settings.prices),
        *(
            problem
            for index, channel in enumerate(settings.channels)
            for problem in _wrong_prices(f"channels[{index}].prices", channel.prices)
        ),
    ]


def _wrong_channels(channels: tuple[ChannelSettings, ...]) -> Iterator[str]:
    if not channels:
        yield "channels: there is none; at least one [[channels]] is needed"
    first_of_name: dict[str, int] = {}
    for index, channel in enumerate(channels):
        first = first_of_name.setdefault(channel.name, index)
        if first != index:
            yield f"channels[{index}].name: is the name of channels[{first}] too"
        if not _is_word(channel.name):
            yield f"channels[{index}].name: must be a visible text without spaces"


def _wrong_default_model(settings: Settings) -> Iterator[str]:
    model = settings.default_model
    if model is None:
        return
    if model == "*" or not _is_word(model):
        yield "default_model: must be the name of one model"
    elif settings.channels and not any(
        model in channel.models or "*" in channel.models for channel in settings.channels
    ):
        yield "default_model: no channel serves this model; add it to the models of one"


def _wrong_listen(listen: ListenSettings) -> Iterator[str]:
    if not _is_word(listen.host):
        yield "listen.host: must be a host name or an address; 0.0.0.0 and :: mean every one"
    if not 0 <= listen.port <= 65_535:
        yield "listen.port: must be from 0 (any free port) to 65535"
    for index, origin in enumerate(listen.origins or ()):
        if not _is_origin(origin):
            yield (
                f"listen.origins[{index}]: must be what a browser sends, such as "
                "https://app.example.com, without a path"
            )
    for index, network in enumerate(listen.trusted_proxies):
        if not _is_network(network):
            yield (
                f"listen.trusted_proxies[{index}]: must be an address or a network, "
                "such as 127.0.0.1 or 10.0.0.0/8"
            )


def _wrong_limits(limits: Limits) -> Iterator[str]:
    yield from _wrong_counts("limits", limits, _COUNTS)
    for name in ("per_token", "per_address"):
        yield from _wrong_scope(f"limits.{name}", getattr(limits, name))
    for name in ("head_bytes", "message_bytes", "parsed_bytes"):
        if not 1 <= getattr(limits, name) <= HIGHEST_LIMIT:
            yield f"limits.{name}: must be at least 1 and at most {HIGHEST_LIMIT}"
    if limits.parsed_bytes > limits.message_bytes:
        yield f"limits.parsed_bytes: must not exceed message_bytes, {limits.message_bytes}"
    if limits.sessions_per_address and limits.per_address.sessions:
        yield "limits.per_address.sessions: is the same as sessions_per_address; set one of them"


def _wrong_scope(place: str, limits: ScopeLimits) -> Iterator[str]:
    names = (field.name for field in attrs.fields(ScopeLimits) if field.name != "session_seconds")
    yield from _wrong_counts(place, limits, names)
    if not _is_amount(limits.session_seconds):
        yield f"{place}.session_seconds: must be a number of seconds, 0 or more"


def _wrong_counts(place: str, limits: Limits | ScopeLimits, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if getattr(limits, name) < 0:
            yield f"{place}.{name}: must not be negative; 0 switches it off"
        elif getattr(limits, name) > HIGHEST_LIMIT:
            yield f"{place}.{name}: must not exceed {HIGHEST_LIMIT}"


def _wrong_health(health: HealthSettings) -> Iterator[str]:
    for field in attrs.fields(HealthSettings):
        if not _is_amount(getattr(health, field.name)):
            yield f"health.{field.name}: must be a number of seconds, 0 or more"
    if _is_amount(health.cooldown) and health.cooldown > health.max_cooldown:
        yield f"health.cooldown: must not exceed max_cooldown, {health.max_cooldown:g}"


def _wrong_transcription_channel(settings: Settings) -> Iterator[str]:
    wanted = settings.transcription_channel
    if wanted is not None and wanted not in [channel.name for channel in settings.channels]:
        yield "transcription_channel: there is no channel of this name"
    for index, channel in enumerate(settings.channels):
        if channel.name == wanted and channel.transcription is False:
            yield f"transcription_channel: channels[{index}] of this name has transcription = false"


def _wrong_timeouts(timeouts: Timeouts) -> Iterator[str]:
    for field in attrs.fields(Timeouts):
        if not _is_amount(getattr(timeouts, field.name)):
            yield f"timeouts.{field.name}: must be a number of seconds, 0 or more"
    if timeouts.send_stall > _LONGEST_SEND_STALL:
        yield (
            f"timeouts.send_stall: must not exceed {_LONGEST_SEND_STALL}, "
            "for upstreams ping every 20 seconds"
        )


def _wrong_usage(usage: UsageSettings | None) -> Iterator[str]:
    if usage is None:
        return
    for name in ("sync", "reserve"):
        if not _is_amount(getattr(usage, name)):
            yield f"usage.{name}: must be a number of seconds, 0 or more"
    if usage.keep_days != 0 and usage.keep_days < _FEWEST_DAYS:
        yield f"usage.keep_days: must be 0 (keep all) or at least {_FEWEST_DAYS}, a month and a day"
    if usage.keep_days > _MOST_DAYS:
        yield f"usage.keep_days: must not exceed {_MOST_DAYS}, a century; 0 keeps all"
    if usage.reserve > _LONGEST_RESERVE:
        yield f"usage.reserve: must not exceed {_LONGEST_RESERVE}, an hour"
    problem = time_zone_problem(usage.time_zone)
    if problem is not None:
        yield f"usage.time_zone: {problem}"


def _wrong_budget(budget: Budget | None) -> Iterator[str]:
    if budget is not None:
        yield from (f"budget.{field}: {problem}" for field, problem in budget_problems(budget))


def budget_problems(budget: Budget) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a budget, as pairs of field and reason."""
    if budget.usd is None and budget.tokens is None:
        yield "usd", "is required, or tokens: a budget has an amount"
    if budget.usd is not None and not _is_price(budget.usd):
        yield "usd", _NO_PRICE
    if budget.tokens is not None and not 0 <= budget.tokens <= _MOST_TOKENS:
        yield "tokens", f"must be from 0 to {_MOST_TOKENS}"
    if not 0 <= budget.warn_percent <= 100:
        yield "warn_percent", "must be from 0 (no warning) to 100"
    problem = None if budget.time_zone is None else time_zone_problem(budget.time_zone)
    if problem is not None:
        yield "time_zone", problem


def time_zone_problem(name: str) -> str | None:
    """Return why a text names no time zone; None: it does."""
    if name == "UTC":  # needs no data base of zones
        return None
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return (
            "must be a time zone that this host knows, such as Europe/Berlin; UTC is always "
            "known, the others are in the system's package tzdata"
        )
    return None


def _wrong_prices(place: str, prices: PriceTable) -> Iterator[str]:
    for model, times in prices.items():
        for price in times:
            for name in _AMOUNTS:
                amount = getattr(price, name)
                if amount is not None and not _is_price(amount):
                    yield f'{place}."{model}".{name}: {_NO_PRICE}'
        starts = [price.valid_from for price in times]
        if len(set(starts)) < len(starts):
            yield f'{place}."{model}": has two prices with the same valid_from'


def _is_price(amount: Decimal) -> bool:
    if not amount.is_finite() or not 0 <= amount <= _HIGHEST_PRICE:
        return False
    return -int(amount.as_tuple().exponent) <= _MOST_DIGITS


def _is_word(text: str) -> bool:
    """Tell whether a text can stand in a log line or a host name as one word."""
    return text.isprintable() and len(text.split()) == 1 and text == text.strip()


def _is_amount(number: float) -> bool:
    # A whole number can be made by hand that no float can hold; no comparison minds its size.
    return 0 <= number <= sys.float_info.max


def _is_origin(text: str) -> bool:
    """Tell whether a browser can send this as ``Origin`` (RFC 6454, section 6.2)."""
    if text == "null":  # a sandboxed page, or one from a file
        return True
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # raises if the port is no number
    except ValueError:
        return False
    whole = f"{parts.scheme}://{parts.netloc}"
    return bool(host) and text.lower() == whole.lower() and "@" not in text and _is_word(text)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
