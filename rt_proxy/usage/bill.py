"""The bill of one session: prices what is metered, and says when a budget is spent.

Between the session, which knows no money, and the books, which know no session. It never
awaits, so what it says holds when it is acted upon.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import attrs

from rt_proxy.realtime.counts import Tokens
from rt_proxy.realtime.metering import Metered
from rt_proxy.usage.budgets import Purse
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.prices import nano_usd
from rt_proxy.usage.record import PriceFunction, UsageKind, UsageRecord

_logger = logging.getLogger("rt_proxy.usage")

#: So many tokens are priced where one is meant, for the price of one is rounded.
_MANY = 1_000


class Bill:
    """What one session spends (mutable: it grows).

    Attributes:
        usd: What it has spent so far, as far as prices are known; None: none was.
    """

    def __init__(
        self,
        template: UsageRecord,
        *,
        price: PriceFunction,
        purse: Purse,
        note: Callable[[UsageRecord], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin a bill.

        Args:
            template: A record with what all records of the session have in common.
            price: Says what a record costs.
            purse: What the session may spend of its budgets.
            note: Takes each record.
            clock: Tells the Unix time.
        """
        self.usd: Decimal | None = None
        self._template = template
        self._nano_usd_per_token: int | None = None
        self._price = price
        self._purse = purse
        self._note = note
        self._clock = clock

    def note(
        self, metered: Metered, upstream_model: str | None, upstream_session_id: str | None
    ) -> None:
        """Put a response or a transcription on the bill.

        Args:
            metered: What it took.
            upstream_model: The upstream's name of the session's model.
            upstream_session_id: The upstream's id of the session.
        """
        record = attrs.evolve(
            self._template,
            time=datetime.fromtimestamp(self._clock(), UTC),
            kind=UsageKind(metered.kind),
            upstream_session_id=upstream_session_id,
            upstream_id=metered.upstream_id,
            content_index=metered.content_index,
            status=metered.status,
            tokens=metered.reported.tokens,
            milliseconds=metered.reported.milliseconds,
            estimated=not metered.reported.is_exact,
        )
        if metered.kind == "transcription":
            record = attrs.evolve(record, model=metered.model, upstream_model=metered.model)
        else:
            record = attrs.evolve(record, upstream_model=upstream_model)
        record = attrs.evolve(record, nano_usd=self._cost(record))
        if record.usd is not None:
            self.usd = (self.usd or Decimal(0)) + record.usd
        self._purse.note_spent()
        self._note(record)

    def note_in_progress(self, tokens: Tokens, upstream_model: str | None) -> None:
        """Hold what the responses in progress have taken so far."""
        cost = 0
        if tokens.total:
            record = attrs.evolve(
                self._template,
                time=datetime.fromtimestamp(self._clock(), UTC),
                tokens=tokens,
                upstream_model=upstream_model,
            )
            cost = self._cost(record) or 0
        self._purse.note_in_progress(Spent(cost, tokens.total))

    def watch_scarcity(self, on_scarcity: Callable[[], None]) -> None:
        """Have a function called when others leave so little that it is time to look again."""
        self._purse.on_scarcity = on_scarcity

    @property
    def has_budgets(self) -> bool:
        """Whether there is a budget that it may not exceed."""
        return self._purse.has_accounts

    def is_over(self) -> bool:
        """Whether a budget is spent, so that the session must end."""
        return self._purse.is_over(self._clock())

    def tokens_until_look(self) -> int:
        """Return how many tokens may be spoken or written until one has to look again."""
        if self._nano_usd_per_token is None:
            self._nano_usd_per_token = self._dearest_token()
        return self._purse.tokens_until_look(self._clock(), self._nano_usd_per_token)

    def _dearest_token(self) -> int:
        """Return what a token costs that comes out, at most."""
        kinds = (Tokens(audio_out=_MANY), Tokens(text_out=_MANY))
        costs = [self._cost(attrs.evolve(self._template, tokens=kind)) or 0 for kind in kinds]
        return -(-max(costs) // _MANY)

    def close(self) -> None:
        """Give back what was held; nothing is spent any more."""
        self._purse.close()

    def _cost(self, record: UsageRecord) -> int | None:
        return cost_of(record, self._price)


def cost_of(record: UsageRecord, price: PriceFunction) -> int | None:
    """Return what a record costs in nano USD; None: the price is not known, or cannot be told."""
    try:
        usd = price(record)
        return None if usd is None else nano_usd(usd)
    except Exception:  # an embedder's own prices may fail; the session need not
        _logger.exception("the price function failed")
        return None
