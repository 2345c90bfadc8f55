"""Where usage records are kept: what the proxy asks of a ledger, and the ledger in SQLite."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import attrs
import trio

from rt_proxy.usage.record import UsageRecord


@attrs.frozen
class Spent:
    """What was spent: money as far as prices are known, and all tokens."""

    nano_usd: int = 0
    tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.nano_usd + other.nano_usd, self.tokens + other.tokens)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.nano_usd - other.nano_usd, self.tokens - other.tokens)


class Ledger(Protocol):
    """What the proxy asks of a ledger; embedders may bring their own."""

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Keep records, all or none of them; one that is kept already is not kept twice.

        A response is told by its session and its id, and so is a transcription. Cancelling
        may leave it open whether they were kept.

        Raises:
            LedgerError: They cannot be kept now; the caller keeps them and tries again.
        """

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Return what a token has spent since a moment; None: every token, since ever.

        Cancelling must leave the ledger as it was.

        Raises:
            LedgerError: It cannot be read now.
        """


class NoLedger:
    """Keeps nothing: for a proxy without a ledger, whose budgets begin anew when it does."""

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Forget records. Cancelling is safe."""
        await trio.lowlevel.checkpoint()

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Return nothing, for nothing is known. Cancelling is safe."""
        await trio.lowlevel.checkpoint()
        return Spent()
