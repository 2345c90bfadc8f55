"""Who is here: seats that are taken, sessions that live, and whether newcomers are let in.

Counts, decides and warns; it never awaits but to wait until everybody has left.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from rt_proxy.realtime import refusals
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.session import Session
from rt_proxy.settings import Limits
from rt_proxy.tokens.store import TokenStore

_logger = logging.getLogger("rt_proxy.gate")

#: So many visitors may always be here without a seat: reading a page, being refused, or silent.
_FEW_STRANGERS = 200
#: And so many where sessions have no limit.
_MANY_STRANGERS = 10_000
#: How often it is said that they are too many, in seconds.
_WARNING_PAUSE = 60
#: When a client that was refused for want of room may try again, in seconds.
_RETRY_AFTER = 5


@attrs.frozen(eq=False)
class Guest:
    """A live session, and the token that let it in, from the store where it was found."""

    session: Session
    token_id: str
    tokens: TokenStore


class Roster:
    """The seats of one proxy (mutable: clients come and go).

    Attributes:
        draining: No newcomers are let in any more.
    """

    def __init__(self) -> None:
        self.draining = False
        self._guests: set[Guest] = set()
        self._seats = 0
        self._per_address: Counter[str] = Counter()
        self._emptied = trio.Event()
        self._strangers: dict[trio.CancelScope, None] = {}
        self._next_warning = -math.inf

    def __len__(self) -> int:
        """How many seats are taken, by sessions and by openings."""
        return self._seats

    def guests(self) -> tuple[Guest, ...]:
        """Return the sessions that live now."""
        return tuple(self._guests)

    def refuse(self, address: str | None, limits: Limits) -> Refusal | None:
        """Say why a newcomer finds no seat; None: there is one."""
        if self.draining:
            return refusals.draining(_RETRY_AFTER)
        if self._seats >= limits.sessions > 0:
            return refusals.at_capacity(_RETRY_AFTER)
        most = limits.sessions_per_address or limits.per_address.sessions
        if address is not None and self._per_address[address] >= most > 0:
            return refusals.too_many_from_address(_RETRY_AFTER)
        return None

    def turned_away(self) -> Refusal:
        """Return the refusal of a client that is cut before its answer."""
        drained = self.draining
        return (refusals.draining if drained else refusals.at_capacity)(_RETRY_AFTER)

    @contextmanager
    def stranger(self, scope: trio.CancelScope, limits: Limits) -> Iterator[None]:
        """Be a visitor without a seat, until one is taken or the block ends.

        Nobody knows them yet, so they are no more than sessions may be, and at least 200 (10,000
        where sessions have no limit).
        Beyond that the one that has been here longest is cut: a client shows itself at
        once, and whoever only takes up room does not.
        """
        self._strangers[scope] = None
        if len(self._strangers) > max(limits.sessions or _MANY_STRANGERS, _FEW_STRANGERS):
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel("too many visitors without a seat")
            self._warn_of_strangers()
        try:
            yield
        finally:
            self._strangers.pop(scope, None)

    def _warn_of_strangers(self) -> None:
        now = trio.current_time()
        if now >= self._next_warning:
            self._next_warning = now + _WARNING_PAUSE
            _logger.warning("too many visitors without a session, the oldest are cut")

    def know(self, scope: trio.CancelScope) -> None:
        """Count a visitor no more among the strangers."""
        self._strangers.pop(scope, None)

    @contextmanager
    def seat(self, address: str | None) -> Iterator[None]:
        """Take a seat for as long as the block lasts."""
        self._seats += 1
        if address is not None:
            self._per_address[address] += 1
        try:
            yield
        finally:
            self._seats -= 1
            if address is not None:
                self._per_address[address] -= 1
                if not self._per_address[address]:
                    del self._per_address[address]
            if not self._seats:
                self._emptied.set()
                self._emptied = trio.Event()

    @contextmanager
    def guest(self, session: Session, token_id: str, tokens: TokenStore) -> Iterator[None]:
        """Be known as a live session for as long as the block lasts."""
        guest = Guest(session, token_id, tokens)
        self._guests.add(guest)
        try:
            yield
        finally:
            self._guests.remove(guest)

    def end_all(self, ending: Ending, *, only_idle: bool = False) -> None:
        """End every session, or every one that has no response in progress."""
        for guest in self._guests:
            if not (only_idle and guest.session.response_in_progress):
                guest.session.end(ending)

    async def wait_empty(self) -> None:
        """Wait until no seat is taken. Cancelling is safe."""
        while self._seats:
            await self._emptied.wait()
