"""The books of one proxy: its accounts, its journal, and who is told of what is spent.

They outlive a reload, so that live sessions go on being counted. Nothing of a session comes
in here but what it spent.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime

import attrs
import trio

from rt_proxy.errors import LedgerError
from rt_proxy.settings import Budget
from rt_proxy.usage.bill import Bill
from rt_proxy.usage.budgets import Account, BudgetState, Purse
from rt_proxy.usage.journal import PATIENCE, Journal, of_record
from rt_proxy.usage.ledger import NoLedger, Spent
from rt_proxy.usage.prices import UnknownPrices
from rt_proxy.usage.record import PriceFunction, UsageRecord

_logger = logging.getLogger("rt_proxy.usage")

#: How often the ledger is looked at: for what others write, and for a token that asks, in seconds.
_LOOK = 1.0

#: Of an account whose budget was taken away.
_UNLIMITED = Budget(warn_percent=0)

OnUsage = Callable[[UsageRecord], None]
OnBudgetWarning = Callable[[BudgetState], None]


@attrs.frozen
class _KnownSum:
    """What a token has spent since a moment, and when that was looked up, on Trio's clock."""

    spent: Spent
    since: datetime | None
    looked_up: float

    def is_old(self, now: float) -> bool:
        """Whether it has to be looked up again."""
        return now - self.looked_up >= _LOOK


class Books:
    """The books of one proxy (mutable: money is spent).

    Attributes:
        journal: What is on its way to the ledger.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        are_kept: bool = True,
        on_usage: OnUsage | None = None,
        on_budget_warning: OnBudgetWarning | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the books.

        Args:
            journal: Takes the records.
            are_kept: Whether anybody wants the records.
            on_usage: Called with each record; it must not block.
            on_budget_warning: Called when a budget is nearly spent, once in each period.
            clock: Tells the Unix time.
        """
        self.journal = journal
        self._are_kept = are_kept
        self._on_usage = on_usage
        self._on_budget_warning = on_budget_warning
        self._clock = clock
        #: By the id of the token; None: the account of the whole proxy.
        self._accounts: dict[str | None, Account] = {}
        #: One for each account, which notes what is spent while it is looked up.
        self._looking_up: defaultdict[str | None, trio.Lock] = defaultdict(trio.Lock)
        #: The accounts whose past could not be read when it was tried last.
        self._unread: set[str | None] = set()
        self._unknown_prices = UnknownPrices()
        #: One for each token that has asked what it spent, and what it was told.
        self._asking: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._known_sums: dict[str, _KnownSum] = {}

    def want(self, purse: Purse) -> bool:
        """Whether anybody wants to know what a session spends that has this purse."""
        return self._are_kept or purse.has_accounts

    async def prepare(
        self, token_id: str | None, owner: str | None, budget: Budget | None, zone: str
    ) -> None:
        """Take up a budget as it is now, and look up what has been spent of it.

        Where the ledger cannot be read, only what is spent from now on counts, until it can;
        ``keep_current`` tries that. Cancelling is safe: the next one looks it up.

        Args:
            token_id: The token; None: the budget is of the whole proxy.
            owner: The name of the token.
            budget: What may be spent; None: there is no budget.
            zone: The time zone of a budget that names none.
        """
        if self._is_prepared(token_id, budget, zone):
            await trio.lowlevel.checkpoint()
            return
        async with self._looking_up[token_id]:
            account = self._accounts.get(token_id)
            if account is None:
                account = self._accounts[token_id] = Account(owner, budget or _UNLIMITED, zone)
            # Where it was taken away its sessions stay in it, and a budget may come again.
            account.redefine(budget or _UNLIMITED, zone)
            if self._is_unknown(account) and token_id not in self._unread:
                await self._look_up(token_id, account)

    def _is_prepared(self, token_id: str | None, budget: Budget | None, zone: str) -> bool:
        account = self._accounts.get(token_id)
        if account is None:
            return budget is None
        is_looked_up = token_id in self._unread or not self._is_unknown(account)
        return account.is_of(budget or _UNLIMITED, zone) and is_looked_up

    def _is_unknown(self, account: Account) -> bool:
        return account.budget is not _UNLIMITED and not account.is_known(self._clock())

    async def _look_up(self, token_id: str | None, account: Account) -> None:
        now = self._clock()
        try:
            spent = await self.journal.spent(token_id, account.since(now), account.begin_look_up)
        except LedgerError as error:
            if token_id not in self._unread:
                self._unread.add(token_id)
                _logger.error(  # noqa: TRY400 - no traceback
                    "what was spent of the budget of %s cannot be read, and is missing in it: %s",
                    _whose(account),
                    error,
                )
            return
        if token_id in self._unread:
            self._unread.remove(token_id)
            _logger.warning("what was spent of the budget of %s is read again", _whose(account))
        account.end_look_up(now, spent)

    def open_purse(self, token_id: str, reserve: Spent) -> Purse | Account:
        """Hold a reserve for a session of a token; or return the account where it does not fit."""
        now = self._clock()
        accounts = self._of(token_id)
        for account in accounts:
            if not account.fits(now, reserve):
                return account
        for account in accounts:
            reserve = account.at_most(now, reserve)
        return Purse(accounts, reserve)

    def open_bill(self, template: UsageRecord, price: PriceFunction, purse: Purse) -> Bill:
        """Begin the bill of a session."""
        return Bill(template, price=price, purse=purse, note=self._note, clock=self._clock)

    def now(self) -> float:
        """Return the Unix time by which the periods of budgets begin and end."""
        return self._clock()

    def state(self, token_id: str | None) -> BudgetState | None:
        """Return how the budget of a token stands, or of the whole proxy; None: it has none."""
        account = self._accounts.get(token_id)
        if account is None or account.budget is _UNLIMITED:
            return None
        return account.state(self._clock())

    async def spent(self, token_id: str, since: datetime | None) -> Spent:
        """Return what a token has spent since a moment, or ever.

        What other processes wrote within the last second may be missing: however often it is
        asked, the ledger is asked once a second, while nothing is spent. Cancelling is safe.

        Raises:
            LedgerError: The ledger cannot be read now.
        """
        with trio.move_on_after(PATIENCE):
            async with self._asking[token_id]:
                known = self._known_sums.get(token_id)
                if known is None or known.since != since or known.is_old(trio.current_time()):
                    spent = await self.journal.spent(token_id, since, lambda: None)
                    known = _KnownSum(spent, since, trio.current_time())
                    self._known_sums[token_id] = known
            return known.spent
        raise LedgerError(f"it did not answer within {PATIENCE:g} s")

    async def keep_current(self, others_wrote: Callable[[], Awaitable[bool]] | None) -> None:
        """Take up, for ever, what is in the ledger and not known here. Cancelling is safe.

        That is what other processes write, what could not be read when it was wanted, and what
        was spent in a period that has just begun.

        Args:
            others_wrote: Tells whether they have since it was asked last; None: nobody can know.
        """
        is_said = False
        while True:
            await trio.sleep(_LOOK)
            is_stale = others_wrote is not None and await _tell(others_wrote)
            if is_stale and not is_said:
                is_said = True
                _logger.warning(
                    "another process writes to the usage ledger too; each holds its budgets with "
                    "what it knows, up to a second late"
                )
            for token_id, account in tuple(self._accounts.items()):
                if is_stale or token_id in self._unread or self._is_unknown(account):
                    async with self._looking_up[token_id]:
                        await self._look_up(token_id, account)

    def _of(self, token_id: str) -> tuple[Account, ...]:
        return tuple(self._accounts[of] for of in (token_id, None) if of in self._accounts)

    def _note(self, record: UsageRecord) -> None:
        self.journal.note(record)
        self._known_sums.pop(record.token_id, None)
        if record.nano_usd is None:
            self._unknown_prices.note(record)
        for account in self._of(record.token_id):
            if account.note(self._clock(), of_record(record)):
                self._warn(account)
        if self._on_usage is not None:
            try:
                self._on_usage(record)
            except Exception:
                _logger.exception("on_usage raised")

    def _warn(self, account: Account) -> None:
        state = account.state(self._clock())
        percent = account.budget.warn_percent
        _logger.warning("%d %% of the budget of %s are spent", percent, _whose(account))
        if self._on_budget_warning is not None:
            try:
                self._on_budget_warning(state)
            except Exception:
                _logger.exception("on_budget_warning raised")


async def _tell(others_wrote: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await others_wrote()
    except LedgerError:  # the journal tells of it, as soon as there is something to write
        return False


def unkept_books() -> Books:
    """Return books that nobody reads: no record is kept, and there is no budget."""
    return Books(Journal(NoLedger(), sync=0), are_kept=False)


def _whose(account: Account) -> str:
    return "the whole proxy" if account.owner is None else f"token {account.owner}"
