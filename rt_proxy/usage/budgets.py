"""Budgets: what may be spent, what has been, and what is held for the sessions that live.

Pure decisions on counts; nothing here awaits, reads a clock or knows a ledger. An account is
shared by all sessions of its budget, so that none of them can spend what another has.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

import attrs

from rt_proxy.settings import Budget
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.periods import period_end, period_start, time_zone
from rt_proxy.usage.record import NANO_USD_PER_USD

#: So many periods are remembered: a clock that is set back finds what it has left behind.
_PERIODS = 4
#: After so many tokens of a response it is looked at anew how much it has taken: half a second of
#: speech where little is left, ten seconds where much is.
_FEWEST_TOKENS = 10
_MOST_TOKENS = 200
#: Speech and text may each come to so many tokens, and as much is left for what begins meanwhile.
_SHARES = 4


@attrs.frozen
class BudgetState:
    """How a budget stands.

    Attributes:
        owner: The name of the token; None: the budget is of the whole proxy.
        budget: What may be spent.
        start: When the period began, in UTC; None: it has no beginning.
        end: When it ends; None: never.
        spent: What was spent in it.
    """

    owner: str | None
    budget: Budget
    start: datetime | None
    end: datetime | None
    spent: Spent

    @property
    def left(self) -> Spent:
        """What is left, at least nothing; of what has no limit it is 0."""
        nano_usd, tokens = limits_of(self.budget)
        return Spent(
            max(0, (nano_usd or 0) - self.spent.nano_usd), max(0, (tokens or 0) - self.spent.tokens)
        )


def limits_of(budget: Budget) -> tuple[int | None, int | None]:
    """Return the limits of a budget in nano USD and in tokens; None: there is no such limit."""
    usd = budget.usd
    return None if usd is None else int(usd * NANO_USD_PER_USD), budget.tokens


def _shape_of(budget: Budget, zone: str) -> tuple[str, str]:
    """Return what the periods of a budget follow from."""
    return budget.per, budget.time_zone or zone


class Account:
    """One budget and what is spent of it (mutable: it is spent).

    Attributes:
        owner: The name of the token; None: the budget is of the whole proxy.
        budget: What may be spent.
    """

    def __init__(self, owner: str | None, budget: Budget, zone: str) -> None:
        """Open an account, of which nothing is known yet.

        Args:
            owner: The name of the token; None: the budget is of the whole proxy.
            budget: What may be spent.
            zone: The time zone of budgets that name none.
        """
        self.owner = owner
        self._held = Spent()
        self._ahead = Spent()
        self._purses: set[Purse] = set()
        #: By the beginning of the period, in Unix seconds.
        self._spent: dict[float, Spent] = {}
        #: The periods of which is known what was spent before this account saw it being spent.
        self._looked_up: set[float] = set()
        self._noted = Spent()
        self._warned_of: float | None = None
        self._shape: tuple[str, str] | None = None
        self.redefine(budget, zone)

    def redefine(self, budget: Budget, zone: str) -> None:
        """Take up another budget; what was spent has to be looked up where its period differs.

        Not between ``begin_look_up`` and ``end_look_up``, for they are about one period.
        """
        self.budget = budget
        self._zone: tzinfo = time_zone(budget.time_zone or zone)
        self._limits = limits_of(budget)
        shape = _shape_of(budget, zone)
        if self._shape != shape:
            self._shape = shape
            self._spent.clear()
            self._looked_up.clear()
            self._period = (math.inf, math.inf)

    def is_of(self, budget: Budget, zone: str) -> bool:
        """Whether it is held to this budget already."""
        return self.budget == budget and self._shape == _shape_of(budget, zone)

    def is_known(self, now: float) -> bool:
        """Whether what was spent in the present period was looked up; ``now`` in Unix seconds."""
        return self._key(now) in self._looked_up

    def since(self, now: float) -> datetime | None:
        """Return when the present period began; None: it has no beginning."""
        key = self._key(now)
        return None if key == -math.inf else datetime.fromtimestamp(key, UTC)

    def begin_look_up(self) -> None:
        """Note from now on what is spent while the rest is looked up."""
        self._noted = Spent()

    def end_look_up(self, now: float, spent: Spent) -> None:
        """Take what was spent in the present period up to the last ``begin_look_up``."""
        key = self._key(now)
        self._keep(key, spent + self._noted)
        self._looked_up.add(key)

    def note(self, now: float, spent: Spent) -> bool:
        """Spend; return whether the budget is to be warned of now."""
        self._noted += spent
        key = self._key(now)
        self._keep(key, self._spent_in(now) + spent)
        if self._reaches(self._spent[key] + self._held + self._ahead):
            for purse in tuple(self._purses):
                purse.note_scarcity()
        percent = self.budget.warn_percent
        if not percent or self._warned_of == key or not self._reaches(self._spent[key], percent):
            return False
        self._warned_of = key
        return True

    def join(self, purse: "Purse") -> None:
        """Let one session more spend of it."""
        self._purses.add(purse)

    def leave(self, purse: "Purse") -> None:
        """Note that a session spends no more of it."""
        self._purses.discard(purse)

    def tokens_until_look(self, now: float, nano_usd_per_token: int) -> int:
        """Return how many tokens one session may take until it has to look again.

        What others may take until they look is left out, so that all of them together do not
        take more than there is, until there is hardly anything.
        """
        taken = self._spent_in(now) + self._held + self._ahead
        nano_usd, tokens = self._limits
        shares = _SHARES * max(len(self._purses), 1)
        left = [_MOST_TOKENS * shares]
        if nano_usd is not None and nano_usd_per_token:
            left.append((nano_usd - taken.nano_usd) // nano_usd_per_token)
        if tokens is not None:
            left.append(tokens - taken.tokens)
        return min(left) // shares

    def take_ahead(self, change: Spent) -> None:
        """Note that sessions may take more, or less, until they look again."""
        self._ahead += change

    def hold(self, change: Spent) -> None:
        """Hold more, or less, for sessions whose usage is not reported yet."""
        self._held += change

    def fits(self, now: float, reserve: Spent) -> bool:
        """Whether a session may begin that is kept ``reserve``; one alone may have what is left."""
        if self._reaches(self._spent_in(now)):
            return False
        if self._held == Spent():
            return True
        total = self._spent_in(now) + self._held + reserve
        return not any(
            limit is not None and amount > limit
            for limit, amount in zip(self._limits, (total.nano_usd, total.tokens), strict=True)
        )

    def at_most(self, now: float, reserve: Spent) -> Spent:
        """Return a reserve, or as much of it as is left."""
        taken = self._spent_in(now) + self._held
        nano_usd, tokens = self._limits
        return Spent(
            reserve.nano_usd
            if nano_usd is None
            else min(reserve.nano_usd, nano_usd - taken.nano_usd),
            reserve.tokens if tokens is None else min(reserve.tokens, tokens - taken.tokens),
        )

    def is_spent(self, now: float, *, with_held: bool) -> bool:
        """Whether nothing is left, or nothing beyond what is held for sessions."""
        spent = self._spent_in(now)
        return self._reaches(spent + self._held if with_held else spent)

    def state(self, now: float) -> BudgetState:
        """Return how the budget stands."""
        end = period_end(datetime.fromtimestamp(now, UTC), self.budget.per, self._zone)
        return BudgetState(self.owner, self.budget, self.since(now), end, self._spent_in(now))

    def _spent_in(self, now: float) -> Spent:
        """Return what was spent in the period of a moment."""
        return self._spent.get(self._key(now), Spent())

    def _reaches(self, spent: Spent, percent: int = 100) -> bool:
        return any(
            limit is not None and amount * 100 >= limit * percent
            for limit, amount in zip(self._limits, (spent.nano_usd, spent.tokens), strict=True)
        )

    def _key(self, now: float) -> float:
        """Return the beginning of the period of a moment."""
        start, end = self._period
        if not start <= now < end:
            moment = datetime.fromtimestamp(now, UTC)
            began = period_start(moment, self.budget.per, self._zone)
            ends = period_end(moment, self.budget.per, self._zone)
            start = -math.inf if began is None else began.timestamp()
            self._period = (start, math.inf if ends is None else ends.timestamp())
        return start

    def _keep(self, key: float, spent: Spent) -> None:
        self._spent[key] = spent
        while len(self._spent) > _PERIODS:
            oldest = min(self._spent)
            del self._spent[oldest]
            self._looked_up.discard(oldest)


class Purse:
    """What one session holds of its accounts (mutable: it is held, and given back).

    Attributes:
        on_scarcity: Called when others have spent what this session thought to be left, so that
            it is time to look again; None: nobody looks.
    """

    def __init__(self, accounts: tuple[Account, ...], reserve: Spent) -> None:
        """Hold a reserve; the caller has made sure that it fits.

        Args:
            accounts: The budgets of the session.
            reserve: What is kept for it until it has spent something.
        """
        self._accounts = accounts
        self._reserve = reserve
        self._in_progress = Spent()
        self._held = Spent()
        self._ahead = Spent()
        self._step = _FEWEST_TOKENS
        self.on_scarcity: Callable[[], None] | None = None
        for account in accounts:
            account.join(self)
        self._hold(reserve)

    @property
    def has_accounts(self) -> bool:
        """Whether there is any budget."""
        return bool(self._accounts)

    def note_in_progress(self, spent: Spent) -> None:
        """Hold what the responses in progress have taken so far."""
        self._in_progress = spent
        self._hold(_larger(spent, self._reserve))

    def note_spent(self) -> None:
        """Give the reserve back: the session has begun to spend."""
        self._reserve = Spent()
        self._hold(self._in_progress)

    def is_over(self, now: float) -> bool:
        """Whether there is a budget that this session may spend no more of.

        What is reserved for it is its own, even where others have spent more than was left.
        """
        is_beyond = self._held != self._reserve or self._reserve == Spent()
        return any(account.is_spent(now, with_held=is_beyond) for account in self._accounts)

    def tokens_until_look(self, now: float, nano_usd_per_token: int) -> int:
        """Return how many tokens may be spoken or written until one has to look again."""
        self._take_ahead(Spent())
        steps = [of.tokens_until_look(now, nano_usd_per_token) for of in self._accounts]
        self._step = step = max(_FEWEST_TOKENS, min([_MOST_TOKENS, *steps]))
        self._take_ahead(Spent(2 * step * nano_usd_per_token, 2 * step))
        return step

    def note_scarcity(self) -> None:
        """Have it looked again, unless it is looked as often as can be already."""
        if self._step > _FEWEST_TOKENS and self.on_scarcity is not None:
            self.on_scarcity()

    def _take_ahead(self, amount: Spent) -> None:
        change = amount - self._ahead
        self._ahead = amount
        for account in self._accounts:
            account.take_ahead(change)

    def close(self) -> None:
        """Give back what is held; closing it again changes nothing."""
        self._hold(Spent())
        self._take_ahead(Spent())
        for account in self._accounts:
            account.leave(self)

    def _hold(self, amount: Spent) -> None:
        change = amount - self._held
        self._held = amount
        for account in self._accounts:
            account.hold(change)


def _larger(one: Spent, other: Spent) -> Spent:
    return Spent(max(one.nano_usd, other.nano_usd), max(one.tokens, other.tokens))
