"""What a record costs: which prices hold for it, and the sum that follows from them.

Decisions and exact arithmetic in Decimals and integers; no float is ever money here. Nothing
awaits, reads a clock or the config; the figures for everybody are in ``publicprices.py``.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from fractions import Fraction

import attrs

from rt_proxy.realtime.counts import Tokens
from rt_proxy.settings import PriceSettings, PriceTable
from rt_proxy.usage.publicprices import PUBLIC_PRICES
from rt_proxy.usage.record import NANO_USD_PER_USD, UsageRecord

_logger = logging.getLogger("rt_proxy.usage")

#: So many digits that no sum of tokens at a price of the settings is rounded before its end.
_EXACT = Context(prec=60)
_MILLISECONDS_PER_MINUTE = 60_000
#: The power of ten in "USD per million tokens".
_MILLION = 6
#: A ledger holds sums of 64 bits.
_MOST_NANO_USD = 2**63 - 1

_COUNTS = tuple(field.name for field in attrs.fields(Tokens))
_AMOUNTS = (*_COUNTS, "per_minute_in")
#: What is billed as what where it has no price of its own.
_UNCACHED = {
    "text_cached_in": "text_in",
    "audio_cached_in": "audio_in",
    "image_cached_in": "image_in",
}
#: What follows the name of a model in the names of its snapshots.
_SNAPSHOT = re.compile(r"-[0-9]{4}-[0-9]{2}-[0-9]{2}|-latest")

#: How many models are remembered whose price is not known, and so much of their names.
_MOST_UNKNOWN = 256
_LONGEST_NAME = 256


@attrs.frozen
class Prices:
    """The prices of one house; called with a record it is a ``PriceFunction``.

    A price is the first that there is of: the channel's by the upstream's name of the model, the
    channel's by the client's name, the settings' by the upstream's name, the settings' by the
    client's name, the public one. Each amount is looked for by itself, so what an operator does
    not say is as it is elsewhere. The public price is that of one model alone: the upstream's
    name where it is known to the public, else the client's.

    Attributes:
        settings: The prices of the settings.
        channels: By the name of the channel, its own.
    """

    settings: PriceTable = attrs.field(factory=dict)
    channels: Mapping[str, PriceTable] = attrs.field(factory=dict)

    def __call__(self, record: UsageRecord) -> Decimal | None:
        """Return what a record costs, in USD, rounded to no unit; None: it is not known.

        It is known where the model is. What was taken and has no price of its own costs as much
        as what stands in for it; see ``cost``.
        """
        names = (record.upstream_model, record.model)
        price = self.price(record.channel, names, record.time)
        return None if price is None else cost(price, record.tokens, record.milliseconds)

    def price(
        self, channel: str, names: Iterable[str | None], time: datetime
    ) -> PriceSettings | None:
        """Return the prices that hold for a model; None: none is known.

        Args:
            channel: The name of the channel that serves.
            names: The upstream's name of the model, then the client's; None: not known.
            time: With its time zone; the day that it has in UTC counts.
        """
        known_names = [name for name in names if name]
        found = tuple(self._rows(channel, known_names, time.astimezone(UTC).date()))
        amounts = {
            name: next(
                (amount for row in found if (amount := getattr(row, name)) is not None), None
            )
            for name in _AMOUNTS
        }
        is_known = any(amount is not None for amount in amounts.values())
        return PriceSettings(**amounts) if is_known else None

    def _rows(self, channel: str, names: list[str], day: date) -> Iterator[PriceSettings]:
        """Yield the prices that say something of a model, the first in force first."""
        for table in (self.channels.get(channel, {}), self.settings):
            for name in names:
                row = _in_force(_of_operator(table, name), day)
                if row is not None:
                    yield row
        for name in names:
            row = _in_force(_of_public(name), day)
            if row is not None:
                yield row
                return


def cost(price: PriceSettings, tokens: Tokens, milliseconds: int = 0) -> Decimal | None:
    """Return what tokens and minutes cost, in USD; None: some of it has no price.

    What was cached is as dear as what was not where it has no price of its own. Any other token
    without a price is as dear as the dearest of its direction, or of all: a client chooses what
    it sends, and must not get it for nothing.

    Args:
        price: What holds for the model.
        tokens: What was taken; what was not needs no price.
        milliseconds: The audio that is paid by the minute.
    """
    total = Decimal(0)
    for name in _COUNTS:
        count = getattr(tokens, name)
        if count:
            amount = _amount(price, name)
            if amount is None:
                return None
            part = _EXACT.scaleb(_EXACT.multiply(amount, Decimal(count)), -_MILLION)
            total = _EXACT.add(total, part)
    if milliseconds:
        if price.per_minute_in is None:
            return None
        part = _EXACT.multiply(price.per_minute_in, Decimal(milliseconds))
        total = _EXACT.add(total, _EXACT.divide(part, Decimal(_MILLISECONDS_PER_MINUTE)))
    return total


def _amount(price: PriceSettings, name: str) -> Decimal | None:
    amounts: dict[str, Decimal | None] = {of: getattr(price, of) for of in _COUNTS}
    own = amounts[name] if amounts[name] is not None else amounts.get(_UNCACHED.get(name, name))
    if own is not None:
        return own
    direction = name.rpartition("_")[2]
    alike = [amount for of, amount in amounts.items() if of.endswith(direction)]
    known = [amount for amount in alike if amount is not None]
    known = known or [amount for amount in amounts.values() if amount is not None]
    return max(known, default=None)


def nano_usd(usd: Decimal) -> int:
    """Return an amount in thousand-millionths of a USD, rounded half to even.

    Raises:
        TypeError: It is no Decimal.
        ValueError: It is no cost: not finite, below 0, or more than a ledger can hold.
    """
    if not isinstance(usd, Decimal):
        raise TypeError(f"a cost must be a Decimal, not {type(usd).__name__}")
    if not usd.is_finite() or not 0 <= usd <= _MOST_NANO_USD:
        raise ValueError("a cost must be an amount of 0 or more")
    rounded = _in_nano_usd(usd)
    if rounded > _MOST_NANO_USD:
        raise ValueError("a cost must not be more than a ledger can hold")
    return rounded


def _in_nano_usd(usd: Decimal) -> int:
    return round(Fraction(usd) * NANO_USD_PER_USD)


def _of_operator(table: PriceTable, name: str) -> tuple[PriceSettings, ...]:
    """Return the prices of the longest name that a model's name begins with.

    It begins with whole words only: ``my-voice`` holds for ``my-voice-2``, not ``my-voices``.
    """
    keys = (
        key for key in table if name.startswith(key) and not name[len(key) : len(key) + 1].isalnum()
    )
    longest = max(keys, key=len, default=None)
    return () if longest is None else table[longest]


def _of_public(name: str) -> tuple[PriceSettings, ...]:
    """Return the public prices of a model, of its dated snapshots and of its latest one.

    Of nothing else: the next model has other prices, and not known is better than wrong.
    """
    exact = PUBLIC_PRICES.get(name)
    if exact is not None:
        return exact
    snapshots = (
        prices
        for key, prices in PUBLIC_PRICES.items()
        if name.startswith(key) and _SNAPSHOT.fullmatch(name, len(key))
    )
    return next(snapshots, ())


def _in_force(prices: tuple[PriceSettings, ...], day: date) -> PriceSettings | None:
    """Return the prices that came into force last up to a day; None: none has yet."""
    begun = [price for price in prices if _start(price) <= day]
    return max(begun, key=_start, default=None)


def _start(price: PriceSettings) -> date:
    return price.valid_from or date.min


class UnknownPrices:
    """Says once of each model that what it costs is not known (mutable, and bounded).

    Models are named by peers, so after so many of them it says so, and is silent from then on.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()

    def note(self, record: UsageRecord) -> None:
        """Warn of a record without a cost, if its model has not been warned of."""
        name = (record.upstream_model or record.model or "")[:_LONGEST_NAME]
        if name in self._said or len(self._said) > _MOST_UNKNOWN:
            return
        self._said.add(name)
        if len(self._said) > _MOST_UNKNOWN:
            _logger.warning(
                "the prices of more than %d models are not known; further ones are not named",
                _MOST_UNKNOWN,
            )
        elif not name:
            _logger.warning(
                "what a %s on channel %s cost is not known, for its model is not",
                record.kind.value,
                record.channel,
            )
        else:
            _logger.warning(
                "what %s on channel %s costs is not known, and counts in no budget of USD; "
                "write [prices.%s] with %s into the config",
                _quoted(name),
                record.channel,
                _quoted(name),
                _needed(record),
            )


def _needed(record: UsageRecord) -> str:
    """Return the settings that a record would have needed."""
    names = dict.fromkeys(
        _UNCACHED.get(name, name) for name in _COUNTS if getattr(record.tokens, name)
    )
    if record.milliseconds:
        names["per_minute_in"] = None
    return ", ".join(names) or "what it costs"


def _quoted(text: str) -> str:
    """Return a text as a TOML string of one line, with nothing that a terminal obeys."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08x}"
