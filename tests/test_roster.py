"""Facts about the seats of a proxy: who gets one, and when everybody has left."""

from contextlib import ExitStack
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from rt_proxy.listener.roster import Roster
from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.session.session import Session
from rt_proxy.settings import Limits
from rt_proxy.tokens.store import MemoryTokenStore


class FakeSession:
    """What the roster asks of a session."""

    def __init__(self, *, busy: bool = False) -> None:
        self.response_in_progress = busy
        self.ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        """Note the ending."""
        self.ending = ending

    def as_session(self) -> Session:
        """Return itself under the type that the roster asks for."""
        return cast("Session", self)


def code_of(roster: Roster, limits: Limits, address: str | None = "10.0.0.1") -> str | None:
    """Return why a newcomer finds no seat."""
    refusal = roster.refuse(address, limits)
    return None if refusal is None else refusal.code


def test_sessions() -> None:
    """A proxy holds ``sessions`` at once, and a seat that is left is free."""
    roster, limits = Roster(), Limits(sessions=2)
    with roster.seat("10.0.0.1"), roster.seat(None):
        assert len(roster) == 2
        refusal = roster.refuse(None, limits)
        assert refusal is not None
        assert (refusal.status, refusal.code) == (503, "at_capacity")
        assert dict(refusal.headers).keys() == {"Retry-After"}
    assert len(roster) == 0
    assert code_of(roster, limits) is None


def test_sessions_per_address() -> None:
    """One address holds ``sessions_per_address``; one that is not known is not counted."""
    roster, limits = Roster(), Limits(sessions_per_address=1)
    with roster.seat("10.0.0.1"), roster.seat(None), roster.seat(None):
        assert code_of(roster, limits) == "rate_limit_exceeded"
        assert code_of(roster, limits, "10.0.0.2") is None
        assert code_of(roster, limits, None) is None
    assert not roster._per_address


def test_zero_is_off() -> None:
    """A limit of 0 is none."""
    roster, limits = Roster(), Limits(sessions=0, sessions_per_address=0)
    with roster.seat("10.0.0.1"), roster.seat("10.0.0.1"):
        assert code_of(roster, limits) is None


def test_draining_comes_first() -> None:
    """A proxy that drains says so, full or not."""
    roster = Roster()
    roster.draining = True
    with roster.seat(None):
        assert code_of(roster, Limits(sessions=1)) == "drain"


def test_a_seat_is_left_by_an_exception() -> None:
    """Whatever happens in a visit, its seat is free afterwards."""
    roster = Roster()
    guest = roster.guest(FakeSession().as_session(), "tok", MemoryTokenStore())
    with pytest.raises(ZeroDivisionError), roster.seat("a"), guest:
        raise ZeroDivisionError
    assert len(roster) == 0
    assert roster.guests() == ()


def test_end_all() -> None:
    """Every session can be ended, or only those without a response in progress."""
    roster = Roster()
    idle, busy, store = FakeSession(), FakeSession(busy=True), MemoryTokenStore()
    with (
        roster.guest(idle.as_session(), "a", store),
        roster.guest(busy.as_session(), "b", store),
    ):
        assert all(guest.tokens is store for guest in roster.guests())
        assert {guest.token_id for guest in roster.guests()} == {"a", "b"}
        roster.end_all(closing.DRAIN, only_idle=True)
        assert (idle.ending, busy.ending) == (closing.DRAIN, None)
        roster.end_all(closing.DRAIN)
        assert busy.ending is closing.DRAIN


async def test_wait_empty(autojump_clock: MockClock) -> None:
    """It returns when the last seat is left, and at once where there is none."""
    roster = Roster()
    await roster.wait_empty()

    async def stay(seconds: float) -> None:
        with roster.seat(None):
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay, 3)
        nursery.start_soon(stay, 7)
        await trio.testing.wait_all_tasks_blocked()
        await roster.wait_empty()
        assert trio.current_time() == 7


@pytest.mark.log_says("too many visitors without a session")
async def test_too_many_strangers(autojump_clock: MockClock) -> None:
    """Of more than 200 visitors without a seat the oldest is cut; who was known or left is none."""
    roster, limits = Roster(), Limits(sessions=1)
    scopes = [trio.CancelScope() for _ in range(204)]
    with ExitStack() as visits:
        for scope in scopes[:200]:
            visits.enter_context(roster.stranger(scope, limits))
        roster.know(scopes[0])
        with roster.stranger(scopes[200], limits):
            assert not any(scope.cancel_called for scope in scopes)
        visits.enter_context(roster.stranger(scopes[201], limits))
        assert not any(scope.cancel_called for scope in scopes)
        visits.enter_context(roster.stranger(scopes[202], limits))
        visits.enter_context(roster.stranger(scopes[203], limits))
        cut = [index for index, scope in enumerate(scopes) if scope.cancel_called]
        assert cut == [1, 2]
    assert not roster._strangers


async def test_many_strangers_where_sessions_have_no_limit(autojump_clock: MockClock) -> None:
    """Clients that come back all together, without a limit, are not cut before they can speak."""
    roster, limits = Roster(), Limits(sessions=0)
    scopes = [trio.CancelScope() for _ in range(5_000)]
    with ExitStack() as visits:
        for scope in scopes:
            visits.enter_context(roster.stranger(scope, limits))
        assert not any(scope.cancel_called for scope in scopes)
