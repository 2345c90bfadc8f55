"""What one token, one address and all clients together may do: how many, how often, how fast.

Counts and decides, and never awaits. Buckets live only as long as they matter: one that is
full, and that no live session is held to, is as good as none.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import attrs
import trio

from rt_proxy.realtime import refusals
from rt_proxy.realtime.framereader import NeedsReading
from rt_proxy.realtime.overrate import reading_all
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.bucket import Bucket
from rt_proxy.session.pace import Pace
from rt_proxy.settings import Limits, ScopeLimits, no_limit_if_zero

#: When a client that was refused because of others may try again, in seconds.
_RETRY_AFTER = 5
#: So many buckets may always be there; when there are twice as many as were left by the last look,
#: those that are full, and that no live session is held to, are taken away.
_FEW_BUCKETS = 1_000
_RATES = (
    "client_events_per_second",
    "client_bytes_per_second",
    "upstream_events_per_second",
    "upstream_bytes_per_second",
)

#: What a bucket is of: the kind and the name of the scope, the limit, and how much it allows.
_Key = tuple[str, str, str, int]


@attrs.frozen
class Scope:
    """Who shares limits: all clients, those of an address, or those of a token.

    Attributes:
        kind: ``all``, ``address`` or ``token``.
        name: The address, or the id of the token.
        limits: What they may do together.
    """

    kind: str
    name: str
    limits: ScopeLimits

    @property
    def words(self) -> str:
        """Say in words whose limits these are."""
        return {"all": "of this proxy", "address": "of your address", "token": "of this token"}[
            self.kind
        ]


@attrs.frozen
class Scopes:
    """The scopes of one client, in the order in which they are looked at."""

    each: tuple[Scope, ...]

    def session_seconds(self, own: float) -> float:
        """Return how long a session may last in seconds, 0: for ever; ``own`` is the timeout's."""
        lengths = (own, *(scope.limits.session_seconds for scope in self.each))
        shortest = min(map(no_limit_if_zero, lengths))
        return 0 if shortest == math.inf else shortest

    def message_bytes(self, own: int) -> int:
        """Return how large a message may be; ``own`` is the limit of the proxy."""
        sizes = (scope.limits.message_bytes for scope in self.each)
        return min([own, *(size for size in sizes if size)])


def scope_of_all(limits: Limits) -> Scope:
    """Return the scope of all clients; their number is counted by the roster."""
    fields = ("sessions_per_minute", *_RATES)
    given = {name: getattr(limits, name) for name in fields}
    return Scope("all", "", ScopeLimits(**given))


def scope_of_address(address: str, limits: Limits) -> Scope:
    """Return the scope of an address; its number of sessions is counted by the roster."""
    return Scope("address", address, limits.per_address)


def scope_of_token(token_id: str, limits: Limits, own: Mapping[str, float]) -> Scope:
    """Return the scope of a token, whose own limits count before those of the settings."""
    changed = cast("dict[str, Any]", dict(own))  # whole numbers where they must be: see tokens/
    return Scope("token", token_id, attrs.evolve(limits.per_token, **changed))


@attrs.frozen
class Paces:
    """The rates that a session is held to in each direction; None: it is held to none."""

    client: Pace | None
    upstream: Pace | None

    def client_lanes(self, lanes: NeedsReading) -> NeedsReading:
        """Return the lanes of the client, in which all is read where it may be refused."""
        is_refused = self.client is not None and self.client.refuses
        return reading_all(lanes) if is_refused else lanes


class Limiter:
    """The limits of one proxy (mutable: clients come and go)."""

    def __init__(self) -> None:
        self._sessions: Counter[str] = Counter()
        self._buckets: dict[_Key, Bucket] = {}
        self._enough = _FEW_BUCKETS

    def refuse(self, scope: Scope) -> Refusal | None:
        """Say why a newcomer of a scope is not let in now; None: it is."""
        limits, now = scope.limits, trio.current_time()
        if scope.kind == "token" and self._sessions[scope.name] >= limits.sessions > 0:
            why = f"This token holds {limits.sessions} sessions, as many as it may; close one."
            return refusals.rate_limit_exceeded(why, _RETRY_AFTER)
        if not limits.sessions_per_minute:
            return None
        bucket = self._buckets.get(_minute_key(scope))
        wait = 0.0 if bucket is None else bucket.seconds_until(1, now)
        return _too_often(scope, math.ceil(wait)) if wait else None

    @contextmanager
    def session(self, scopes: Scopes, *, refuses: bool) -> Iterator[Paces]:
        """Count a session that is let in, for as long as the block lasts.

        Args:
            scopes: Whose limits hold for it; they hold as they are now until it ends.
            refuses: A client's events beyond its rate are refused, and not slowed down.
        """
        now = trio.current_time()
        self._tidy(now)
        tokens = [scope.name for scope in scopes.each if scope.kind == "token"]
        for scope in scopes.each:
            if scope.limits.sessions_per_minute:
                self._minute_bucket(scope, now).take(1, now)
        client = self._pace(scopes, "client", now, refuses=refuses)
        upstream = self._pace(scopes, "upstream", now, refuses=False)
        held = [
            bucket for pace in (client, upstream) if pace is not None for bucket in pace.buckets
        ]
        for bucket in held:
            bucket.holders += 1
        self._sessions.update(tokens)
        try:
            yield Paces(client, upstream)
        finally:
            for bucket in held:
                bucket.holders -= 1
            for name in tokens:
                self._sessions[name] -= 1
                if not self._sessions[name]:
                    del self._sessions[name]

    def _pace(self, scopes: Scopes, side: str, now: float, *, refuses: bool) -> Pace | None:
        events, sizes = (
            [
                self._bucket((scope.kind, scope.name, name, rate), scope, rate, now)
                for scope in scopes.each
                if (rate := getattr(scope.limits, name))
            ]
            for name in (f"{side}_events_per_second", f"{side}_bytes_per_second")
        )
        if not events and not sizes:
            return None
        return Pace(events, sizes, refuses=refuses)

    def _minute_bucket(self, scope: Scope, now: float) -> Bucket:
        rate = scope.limits.sessions_per_minute / 60
        return self._bucket(_minute_key(scope), scope, rate, now)

    def _bucket(self, key: _Key, scope: Scope, rate: float, now: float) -> Bucket:
        """Return the bucket that everybody of a scope shares; another limit has another one."""
        bucket = self._buckets.get(key)
        if bucket is None:
            _, _, name, capacity = key
            words = f"the limit {name} {scope.words}"
            bucket = self._buckets[key] = Bucket(words, rate=rate, capacity=capacity, now=now)
        return bucket

    def _tidy(self, now: float) -> None:
        """Take away what nobody would miss: full buckets that no live session shares."""
        if len(self._buckets) < self._enough:
            return
        unneeded = [
            key
            for key, bucket in self._buckets.items()
            if not bucket.holders and bucket.is_full(now)
        ]
        for key in unneeded:
            del self._buckets[key]
        self._enough = max(_FEW_BUCKETS, 2 * len(self._buckets))


def _minute_key(scope: Scope) -> _Key:
    return (scope.kind, scope.name, "sessions_per_minute", scope.limits.sessions_per_minute)


def _too_often(scope: Scope, seconds: int) -> Refusal:
    match scope.kind:
        case "all":
            return refusals.too_many_newcomers(seconds)
        case "address":
            return refusals.too_often_from_address(seconds)
        case _:
            why = (
                f"This token has opened {scope.limits.sessions_per_minute} sessions within a "
                f"minute, as many as it may; try again in {seconds} s."
            )
            return refusals.rate_limit_exceeded(why, seconds)
