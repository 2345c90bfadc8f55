"""Compares times with limits: everything that ages in a session is seen here.

The data plane only notes times; nobody sets a deadline there. The watchdog
sleeps until the first limit that could run out, and looks again. A limit whose
time has not begun cannot run out before its whole length has passed, so nobody
has to wake the watchdog; only an upstream's own limit, which may come at any
time, changes how long it sleeps. While we ourselves are the reason for a peer's
silence, because its pump is stuck in a send, the clock does not count against
that peer.
"""

import math
import time
from collections.abc import Callable, Iterator

import trio

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.session.leg import Leg
from rt_proxy.settings import Timeouts, no_limit_if_zero

#: A session that an upstream gives longer than this, in seconds, has no end to speak of.
_LONGEST_SESSION = 7 * 24 * 3600

#: Whoever wakes so many seconds late was kept from running, and gives the pumps so many more.
_LATE = 1.0
_CATCHING_UP = 2.0

_FRAME_STALLED = {
    Side.CLIENT: closing.CLIENT_FRAME_STALLED,
    Side.UPSTREAM: closing.UPSTREAM_FRAME_STALLED,
}
_SEND_STALLED = {Side.CLIENT: closing.CLIENT_STALLED, Side.UPSTREAM: closing.UPSTREAM_STALLED}
_PONG_TIMEOUT = {
    Side.CLIENT: closing.CLIENT_PONG_TIMEOUT,
    Side.UPSTREAM: closing.UPSTREAM_PONG_TIMEOUT,
}


class _Heartbeat:
    """The pings of one leg (mutable: it follows them)."""

    def __init__(self, leg: Leg, now: float, timeouts: Timeouts) -> None:
        self.leg = leg
        self._interval = no_limit_if_zero(timeouts.ping_interval)
        self._patience = no_limit_if_zero(timeouts.pong)
        self._sent = 0
        self._sent_at = now

    def due(self, now: float) -> float:
        """When to look again: the next ping is due, or the pong of the last one."""
        waits = (self._interval, self._patience if self.leg.awaits_pong else math.inf)
        return min(self._sent_at + wait for wait in waits if self._sent_at + wait > now)

    def is_late(self, now: float) -> bool:
        """Whether a pong is overdue; a peer that we do not read is given another ping."""
        if not self.leg.awaits_pong or now < self._sent_at + self._patience:
            return False
        if self.leg.wire.receiving_since is None or self.leg.mid_frame:
            self.leg.forget_ping()
            self._sent_at = now
            return False
        return True

    async def beat(self, now: float) -> None:
        """Send a ping if one is due, and if its pong could be read."""
        owed = self.leg.awaits_pong and self._patience < math.inf
        if owed or now < self._sent_at + self._interval:
            return
        self._sent_at = now
        wire = self.leg.wire
        if wire.receiving_since is not None and wire.sending_since is None:
            self._sent += 1
            await self.leg.ping(self._sent.to_bytes(4, "big"))


class Watchdog:
    """Ends a session when a limit has run out (mutable: it counts pings, and is told of one)."""

    def __init__(
        self,
        client: Leg,
        upstream: Leg,
        timeouts: Timeouts,
        *,
        quiet_since: Callable[[], float | None],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch two legs.

        Args:
            client: The client leg.
            upstream: The upstream leg.
            timeouts: The limits.
            quiet_since: Since when there is no response in progress, on Trio's clock; None:
                there is one.
            wall_clock: Tells the Unix time, which is what an upstream's expiry is in.
        """
        self._client = client
        self._upstream = upstream
        self._timeouts = timeouts
        self._quiet_since = quiet_since
        self._wall_clock = wall_clock
        self._started = trio.current_time()
        self._expires_at: int | None = None
        self._expires = math.inf
        self._sleep = trio.CancelScope()

    def note_expiry(self, expires_at: int | None) -> None:
        """Note when the upstream says that it will end the session, in Unix seconds.

        The clocks are compared once, when it says so: what is set on ours then does
        not move with the wall's. A time that has passed, or is too near or too far
        to be meant, changes nothing; nor does one that was told before.
        """
        if expires_at is None or expires_at == self._expires_at:
            return
        self._expires_at = expires_at
        ahead = self._timeouts.before_expiry
        now = self._wall_clock()
        if ahead and now + ahead < expires_at < now + _LONGEST_SESSION:
            self._expires = trio.current_time() + (expires_at - now - ahead)
            self._sleep.deadline = min(self._sleep.deadline, self._expires)

    async def run(self) -> Ending:
        """Watch until a limit has run out, and return the ending that this is.

        Cancelling while a ping is being written taints that leg's wire.
        """
        now = trio.current_time()
        beats = [_Heartbeat(leg, now, self._timeouts) for leg in (self._client, self._upstream)]
        while True:
            now = trio.current_time()
            wake = math.inf
            for due, ending in self._deadlines(now):
                if due <= now:
                    return ending
                wake = min(wake, due)
            for beat in beats:
                if beat.is_late(now):
                    return _PONG_TIMEOUT[beat.leg.side]
                stalled = await self._beat(beat, now)
                if stalled is not None:
                    return stalled
                wake = min(wake, beat.due(now))
            await self._sleep_until(wake)

    async def _sleep_until(self, wake: float) -> None:
        """Sleep until a limit could run out, or the upstream's own, if that is sooner.

        Where this wakes late the whole process stood still: what the peers sent meanwhile waits
        to be read, and nothing of it may count against them before it could be.
        """
        # The upstream may have set its limit while a ping was under way.
        with trio.CancelScope(deadline=min(wake, self._expires)) as self._sleep:
            await trio.sleep_forever()
        while trio.current_time() > wake + _LATE:
            wake = trio.current_time() + _CATCHING_UP
            await trio.sleep_until(wake)

    async def _beat(self, beat: _Heartbeat, now: float) -> Ending | None:
        try:
            with trio.move_on_after(no_limit_if_zero(self._timeouts.send_stall)) as scope:
                await beat.beat(now)
        except trio.BrokenResourceError:
            # The pump that reads this leg sees the end of it, and knows more.
            return None
        return _SEND_STALLED[beat.leg.side] if scope.cancelled_caught else None

    def _deadlines(self, now: float) -> Iterator[tuple[float, Ending]]:
        """Yield when each limit runs out if nothing happens, at the earliest."""
        timeouts = self._timeouts
        quiet_since = self._quiet_since()
        yield self._started + no_limit_if_zero(timeouts.session), closing.SESSION_EXPIRED
        yield self._expires, closing.UPSTREAM_EXPIRES
        idle_since = now if quiet_since is None else max(quiet_since, self._client.data_at)
        yield idle_since + no_limit_if_zero(timeouts.client_idle), closing.CLIENT_IDLE
        owes = quiet_since is None and self._upstream.wire.receiving_since is not None
        silent_since = self._upstream.data_at if owes else now
        yield silent_since + no_limit_if_zero(timeouts.upstream_idle), closing.UPSTREAM_IDLE
        for leg in (self._client, self._upstream):
            since = leg.wire.sending_since
            send_stall = no_limit_if_zero(timeouts.send_stall)
            yield (now if since is None else since) + send_stall, _SEND_STALLED[leg.side]
            waiting = self._frame_awaited_since(leg)
            frame_stall = no_limit_if_zero(timeouts.frame_stall)
            yield (now if waiting is None else waiting) + frame_stall, _FRAME_STALLED[leg.side]

    def _frame_awaited_since(self, leg: Leg) -> float | None:
        """Return since when a leg owes the rest of a frame, or of a message that has gone on."""
        sink = self._upstream if leg is self._client else self._client
        if leg.mid_frame:
            return leg.wire.receiving_since
        reading = leg.wire.receiving_since is not None
        return leg.data_at if (sink.message_open or leg.mid_message) and reading else None
