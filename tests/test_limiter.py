"""Facts about the limits of tokens, addresses and all: how many, how often, how fast."""

from contextlib import ExitStack

import attrs
import pytest
import trio
from trio.testing import MockClock

from rt_proxy.listener.limiter import (
    Limiter,
    Scope,
    Scopes,
    scope_of_address,
    scope_of_all,
    scope_of_token,
)
from rt_proxy.realtime.peek import Lanes
from rt_proxy.settings import Limits, ScopeLimits


def token(name: str = "tok", **limits: float) -> Scope:
    """Return the scope of a token."""
    return Scope("token", name, ScopeLimits(**limits))  # type: ignore[arg-type]


class TestScopes:
    """Whose limits hold."""

    def test_of_all(self) -> None:
        """The limits of the proxy are those that its settings name so."""
        limits = Limits(sessions_per_minute=1, client_events_per_second=2)
        of_all = scope_of_all(limits).limits
        assert of_all == ScopeLimits(sessions_per_minute=1, client_events_per_second=2)

    def test_of_an_address(self) -> None:
        """Those of an address are the table of its own."""
        of_address = ScopeLimits(sessions_per_minute=3)
        scope = scope_of_address("10.0.0.1", Limits(per_address=of_address))
        assert (scope.name, scope.limits) == ("10.0.0.1", of_address)

    def test_of_a_token(self) -> None:
        """What a token has of its own counts before what all tokens have, also if it is 0."""
        limits = Limits(per_token=ScopeLimits(sessions=5, message_bytes=9, session_seconds=60))
        scope = scope_of_token("tok", limits, {"sessions": 0, "session_seconds": 1.5})
        assert scope.limits == ScopeLimits(sessions=0, message_bytes=9, session_seconds=1.5)

    def test_the_smallest_counts(self) -> None:
        """The shortest length and the smallest size that are set are those of the session."""
        scopes = Scopes((token(session_seconds=60), token(message_bytes=5, session_seconds=90)))
        assert scopes.session_seconds(0) == 60
        assert scopes.session_seconds(30) == 30
        assert (scopes.message_bytes(10), scopes.message_bytes(3)) == (5, 3)
        assert Scopes((token(),)).session_seconds(0) == 0


class TestSessions:
    """How many a token may hold."""

    async def test_at_once(self, autojump_clock: MockClock) -> None:
        """A token holds as many as it may; a seat that is left is free, also after a failure."""
        limiter, scope = Limiter(), token(sessions=2)
        with ExitStack() as sessions:
            for _ in range(2):
                assert limiter.refuse(scope) is None
                sessions.enter_context(limiter.session(Scopes((scope,)), refuses=False))
            refusal = limiter.refuse(scope)
            assert refusal is not None
            assert (refusal.status, refusal.code, refusal.close_code) == (
                429,
                "rate_limit_exceeded",
                1013,
            )
            assert dict(refusal.headers) == {"Retry-After": "5"}
            assert limiter.refuse(token("other", sessions=2)) is None
        assert limiter.refuse(scope) is None
        with pytest.raises(ZeroDivisionError), limiter.session(Scopes((scope,)), refuses=False):
            raise ZeroDivisionError
        assert not limiter._sessions

    async def test_a_minute(self, autojump_clock: MockClock) -> None:
        """So many may come at once, and then one each time that the minute's share has passed."""
        limiter, scope = Limiter(), token(sessions_per_minute=4)
        for _ in range(4):
            assert limiter.refuse(scope) is None
            with limiter.session(Scopes((scope,)), refuses=False):
                await trio.sleep(1)
        refusal = limiter.refuse(scope)
        assert refusal is not None
        assert dict(refusal.headers) == {"Retry-After": "11"}
        await trio.sleep(11)
        assert limiter.refuse(scope) is None

    async def test_each_scope_has_its_form(self, autojump_clock: MockClock) -> None:
        """All: HTTP 503; an address: HTTP 429; a token: in the form that its client can read."""
        limiter = Limiter()
        limits = ScopeLimits(sessions_per_minute=1)
        scopes = [Scope(kind, "x", limits) for kind in ("all", "address", "token")]
        told = []
        with limiter.session(Scopes(tuple(scopes)), refuses=False):
            for scope in scopes:
                refusal = limiter.refuse(scope)
                assert refusal is not None
                assert dict(refusal.headers) == {"Retry-After": "60"}
                told.append((refusal.status, refusal.code, refusal.close_code))
        assert told == [
            (503, "at_capacity", None),
            (429, "rate_limit_exceeded", None),
            (429, "rate_limit_exceeded", 1013),
        ]

    async def test_refused_ones_do_not_count(self, autojump_clock: MockClock) -> None:
        """Who is turned away does not take from those who come later."""
        limiter, scope = Limiter(), token(sessions_per_minute=1)
        with limiter.session(Scopes((scope,)), refuses=False):
            for _ in range(100):
                assert limiter.refuse(scope) is not None
        await trio.sleep(60)
        assert limiter.refuse(scope) is None

    async def test_another_limit_holds_at_once(self, autojump_clock: MockClock) -> None:
        """When the limit is raised newcomers are held to the new one."""
        limiter, scope = Limiter(), token(sessions_per_minute=1)
        with limiter.session(Scopes((scope,)), refuses=False):
            assert limiter.refuse(scope) is not None
            assert limiter.refuse(token(sessions_per_minute=2)) is None


class TestPaces:
    """How fast a session may be."""

    async def test_none(self, autojump_clock: MockClock) -> None:
        """Without a rate there is nothing that one would have to ask."""
        with Limiter().session(Scopes((token(sessions=1),)), refuses=True) as paces:
            assert (paces.client, paces.upstream) == (None, None)
            lanes = Lanes()
            assert paces.client_lanes(lanes) is lanes

    async def test_of_all_scopes(self, autojump_clock: MockClock) -> None:
        """Every scope that has a rate counts, each direction for itself."""
        scopes = Scopes((token(client_events_per_second=10), token(client_bytes_per_second=100)))
        with Limiter().session(scopes, refuses=False) as paces:
            assert paces.client is not None
            assert paces.upstream is None
            paces.client.take(0, 300, 0)
            assert paces.client.wait(0) == 2

    async def test_shared_by_a_token(self, autojump_clock: MockClock) -> None:
        """All sessions of a token share its rate, and other tokens have their own."""
        limiter, scopes = Limiter(), Scopes((token(upstream_events_per_second=10),))
        others = Scopes((token("other", upstream_events_per_second=10),))
        with (
            limiter.session(scopes, refuses=False) as one,
            limiter.session(scopes, refuses=False) as another,
            limiter.session(others, refuses=False) as other,
        ):
            assert one.upstream is not None
            assert another.upstream is not None
            assert other.upstream is not None
            one.upstream.take(30, 0, 0)
            assert another.upstream.wait(0) == 2
            assert other.upstream.wait(0) == 0

    async def test_shared_however_many_come(self, autojump_clock: MockClock) -> None:
        """A token's sessions share its rate also where it was full while a thousand others came."""
        limiter, scopes = Limiter(), Scopes((token(client_events_per_second=10),))
        with limiter.session(scopes, refuses=False) as one:
            for number in range(3_000):
                other = Scopes((token(f"other{number}", client_events_per_second=10),))
                with limiter.session(other, refuses=False):
                    pass
            with limiter.session(scopes, refuses=False) as another:
                assert one.client is not None
                assert another.client is not None
                one.client.take(30, 0, 0)
                assert another.client.wait(0) == 2
        assert len(limiter._buckets) <= 1_000

    async def test_coming_again_helps_nobody(self, autojump_clock: MockClock) -> None:
        """Who leaves in debt and comes again is in debt."""
        limiter, scopes = Limiter(), Scopes((token(client_bytes_per_second=10),))
        with limiter.session(scopes, refuses=False) as paces:
            assert paces.client is not None
            paces.client.take(0, 110, 0)
        with limiter.session(scopes, refuses=False) as paces:
            assert paces.client is not None
            assert paces.client.wait(0) == 10

    async def test_refusing(self, autojump_clock: MockClock) -> None:
        """Where events are refused the client's are read, and the upstream's still slowed down."""
        scopes = Scopes((token(client_events_per_second=1, upstream_events_per_second=1),))
        with Limiter().session(scopes, refuses=True) as paces:
            assert paces.client is not None
            assert paces.upstream is not None
            assert (paces.client.refuses, paces.upstream.refuses) == (True, False)
            assert paces.client_lanes(Lanes())(b'{"type":"x"', True) == "small"


async def test_memory_is_bounded(autojump_clock: MockClock) -> None:
    """A hundred thousand addresses that came and went leave no more than a few buckets."""
    limiter = Limiter()
    limits = Limits(per_address=ScopeLimits(sessions_per_minute=60))
    most = 0
    for number in range(100_000):
        scope = scope_of_address(f"2001:db8::{number:x}", limits)
        with limiter.session(Scopes((scope,)), refuses=False):
            pass
        if number % 100 == 0:
            await trio.sleep(1)
        most = max(most, len(limiter._buckets))
    assert most <= 1_000
    assert not limiter._sessions


async def test_who_is_not_let_in_leaves_nothing(autojump_clock: MockClock) -> None:
    """A hundred thousand addresses without a good token leave no bucket at all."""
    limiter = Limiter()
    limits = Limits(per_address=ScopeLimits(sessions_per_minute=1))
    for number in range(100_000):
        assert limiter.refuse(scope_of_address(f"2001:db8::{number:x}", limits)) is None
    assert not limiter._buckets


def test_scopes_are_values() -> None:
    """What a session was let in with cannot change under it."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        token().limits = ScopeLimits()  # type: ignore[misc]
