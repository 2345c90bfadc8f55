"""One session: two pumps and a watchdog in a nursery, and one goodbye for both sides.

Whoever notices first notes an ``Ending``. Sends that are under way may finish;
then the work is cancelled, the record is made, and both legs are closed in
parallel, each told what ``closing.py`` allows.
"""

import time
from collections.abc import Callable
from typing import Any

import trio

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.conversation import Conversation, Verdict
from rt_proxy.session.leg import Leg
from rt_proxy.session.pump import Pump
from rt_proxy.session.watchdog import Watchdog
from rt_proxy.settings import Timeouts

#: How long goodbyes may take where the session was cancelled from outside, in seconds.
_CANCELLED_GOODBYE = 0.25
#: How long sends that are under way may take to finish when the session has ended, in seconds.
_LAST_SENDS = 0.5
#: How long a leg that cannot be written any more is read for its last words, in seconds.
_LAST_WORDS = 0.5


class Session:
    """A client's stay (mutable: it comes to an end).

    Attributes:
        ending: Why it ended; None while it lives.
    """

    def __init__(
        self,
        client: Leg,
        upstream: Leg,
        conversation: Conversation,
        timeouts: Timeouts,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join two legs.

        Args:
            client: The client leg.
            upstream: The upstream leg.
            conversation: What is known of what goes through.
            timeouts: The limits.
            wall_clock: Tells the Unix time.
        """
        self.ending: Ending | None = None
        self._client = client
        self._upstream = upstream
        self._conversation = conversation
        self._timeouts = timeouts
        self._ended = trio.Event()
        self._up = Pump(client, upstream, conversation.on_client)
        self._down = Pump(upstream, client, self._on_upstream)
        self._response_ended_at = trio.current_time()
        self._watchdog = Watchdog(
            client, upstream, timeouts, quiet_since=self._quiet_since, wall_clock=wall_clock
        )

    @property
    def response_in_progress(self) -> bool:
        """Whether the upstream owes the client the rest of a response."""
        return self._conversation.response_in_progress

    def figures(self) -> dict[str, Any]:
        """Return what went through, under the names of the session record."""
        up, down = self._up.tally, self._down.tally
        return {
            "events_up": up.events,
            "events_down": down.events,
            "bytes_up": up.bytes,
            "bytes_down": down.bytes,
            "dialect": self._conversation.client_dialect.value,
            "responses": self._conversation.responses,
            "usage": self._conversation.usage(),
        }

    def end(self, ending: Ending) -> None:
        """End the session; the first ending decides."""
        if self.ending is None:
            self.ending = ending
            self._up.stopped = self._down.stopped = True
            self._ended.set()

    async def run(self, report: Callable[[Ending], None]) -> None:
        """Relay until the session ends, then close both legs.

        Cancelling cuts the session: both sides are still told within a quarter
        of a second, and ``report`` is called all the same.

        Args:
            report: Called once, when the work has ended and before the goodbyes.
        """
        try:
            await self._work()
        except Exception:
            self.end(closing.INTERNAL_ERROR)
            raise
        finally:
            self.end(closing.CUT)
            ending = self.ending or closing.CUT
            report(ending)
            await self._part(ending)

    def _on_upstream(self, payload: bytes) -> Verdict:
        was_in_progress = self.response_in_progress
        verdict = self._conversation.on_upstream(payload)
        if was_in_progress and not self.response_in_progress:
            self._response_ended_at = trio.current_time()
        self._watchdog.note_expiry(self._conversation.expires_at)
        return verdict

    def _quiet_since(self) -> float | None:
        return None if self.response_in_progress else self._response_ended_at

    async def _work(self) -> None:
        async with trio.open_nursery() as work:
            work.start_soon(self._relay, self._up)
            work.start_soon(self._relay, self._down)
            work.start_soon(self._watch)
            await self._ended.wait()
            with trio.move_on_after(_LAST_SENDS):
                await self._let_sends_finish()
            work.cancel_scope.cancel("the session has ended")

    async def _relay(self, pump: Pump) -> None:
        ending = await pump.run()
        if ending is None:
            return
        if pump.send_failed:
            with trio.move_on_after(_LAST_WORDS):
                await self._ended.wait()
        self.end(ending)

    async def _watch(self) -> None:
        self.end(await self._watchdog.run())

    async def _let_sends_finish(self) -> None:
        """Wait for frames that are half out, except on the leg that is stuck."""
        if self.ending is not closing.CLIENT_STALLED:
            await self._client.wire.wait_sent()
        if self.ending is not closing.UPSTREAM_STALLED:
            await self._upstream.wire.wait_sent()

    async def _part(self, ending: Ending) -> None:
        """Say goodbye to both sides; a cancellation only hurries it."""
        deadline = trio.current_time() + self._timeouts.farewell
        goodbye = trio.CancelScope(deadline=deadline, shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hurry_when_cancelled, goodbye)
            with goodbye:
                async with trio.open_nursery() as legs:
                    legs.start_soon(self._close_client, ending)
                    legs.start_soon(self._upstream.close, ending.upstream_code, ending.reason)
            nursery.cancel_scope.cancel("goodbye has been said")

    async def _close_client(self, ending: Ending) -> None:
        await self._client.close(ending.client_code, ending.reason, event=ending.event())


async def _hurry_when_cancelled(goodbye: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        goodbye.deadline = min(goodbye.deadline, trio.current_time() + _CANCELLED_GOODBYE)
