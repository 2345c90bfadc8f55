"""One session: two pumps and a watchdog in a nursery, and one goodbye for both sides.

Whoever notices first notes an ``Ending``. Sends that are under way may finish;
then the work is cancelled, and both legs are closed in parallel, each told what
``closing.py`` allows. Where a response is in progress the upstream is told to
cancel it and heard for a while, because what it cost is told at its end. The
record is made before the last goodbye.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import trio

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.conversation import Conversation, Verdict
from rt_proxy.realtime.frames import Close, Control, Fault, Message
from rt_proxy.realtime.metering import Metered
from rt_proxy.session.leg import Leg
from rt_proxy.session.pace import Pace
from rt_proxy.session.pump import Pump
from rt_proxy.session.watchdog import Watchdog
from rt_proxy.settings import Timeouts
from rt_proxy.usage.bill import Bill

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
        bill: Bill | None = None,
        client_pace: Pace | None = None,
        upstream_pace: Pace | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Join two legs.

        Args:
            client: The client leg.
            upstream: The upstream leg.
            conversation: What is known of what goes through.
            timeouts: The limits.
            bill: What is spent; None: nobody counts it.
            client_pace: How fast the client may send; None: as fast as it can.
            upstream_pace: The same of the upstream.
            wall_clock: Tells the Unix time.
        """
        self.ending: Ending | None = None
        self._client = client
        self._upstream = upstream
        self._conversation = conversation
        self._timeouts = timeouts
        self._bill = bill
        self._ended = trio.Event()
        decide: Callable[[bytes], Verdict] = conversation.on_client
        if bill is not None and bill.has_budgets:
            decide = self._on_client
            conversation.watch_progress(self._look_at_budgets)
            bill.watch_scarcity(conversation.look_at_progress)
        self._up = Pump(client, upstream, decide, client_pace)
        self._down = Pump(upstream, client, self._on_upstream, upstream_pace)
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
            "usd": None if self._bill is None else self._bill.usd,
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
            report: Called once, when the work has ended and what it cost is known.
        """
        try:
            await self._work()
        except Exception:
            self.end(closing.INTERNAL_ERROR)
            raise
        finally:
            self.end(closing.CUT)
            ending = self.ending or closing.CUT
            await self._part(ending, report)

    def _on_upstream(self, payload: bytes) -> Verdict:
        was_in_progress = self.response_in_progress
        begun = self._conversation.responses_begun
        verdict = self._conversation.on_upstream(payload)
        self._note_usage(has_begun=self._conversation.responses_begun > begun)
        if was_in_progress and not self.response_in_progress:
            self._response_ended_at = trio.current_time()
        self._watchdog.note_expiry(self._conversation.expires_at)
        return verdict

    def _on_client(self, payload: bytes) -> Verdict:
        """Decide on a message of a client that has a budget.

        It may look like another event, or hide what it is: then the upstream's
        ``response.created`` tells.
        """
        if b"response.create" in payload and self._bill is not None and self._bill.is_over():
            return closing.BUDGET_SPENT
        return self._conversation.on_client(payload)

    def _note_usage(self, *, has_begun: bool) -> None:
        """Put on the bill what has been metered, and end the session where a budget is spent.

        Args:
            has_begun: Whether a response has begun.
        """
        bill = self._bill
        if bill is None:
            return
        metered = self._conversation.take_metered()
        self._put_on_bill(bill, metered)
        if bill.has_budgets and (metered or has_begun):
            self._conversation.look_at_progress()
            transcribed = any(one.kind == "transcription" for one in metered)
            if transcribed and bill.is_over():
                self.end(closing.BUDGET_SPENT)

    def _put_on_bill(self, bill: Bill, metered: Sequence[Metered]) -> None:
        """Put on the bill what has ended, which is then in progress no more: it counts once."""
        conversation = self._conversation
        if metered and bill.has_budgets:
            bill.note_in_progress(conversation.in_progress(), conversation.upstream_model)
        for one in metered:
            bill.note(one, conversation.upstream_model, conversation.upstream_session_id)

    def _look_at_budgets(self) -> int:
        """Hold what responses have taken, and end the session where a budget is spent.

        A session that asks for nothing may stay: it spends nothing.

        Returns:
            How many more tokens may pass until it is time to look again.
        """
        bill, conversation = self._bill, self._conversation
        if bill is None:
            return sys.maxsize
        bill.note_in_progress(conversation.in_progress(), conversation.upstream_model)
        if conversation.response_in_progress and bill.is_over():
            self.end(closing.BUDGET_SPENT)
        return bill.tokens_until_look()

    def _owes_usage(self, ending: Ending) -> bool:
        """Whether the upstream may yet tell what something cost that is cut off."""
        is_there = ending.side is not Side.UPSTREAM and not self._upstream.wire.tainted
        wanted = self._bill is not None and self._timeouts.usage > 0
        return wanted and is_there and self._conversation.owes_usage

    def _report(self, ending: Ending, report: Callable[[Ending], None]) -> None:
        """Close the bill and have the record made; nothing is awaited."""
        if self._bill is not None:
            self._put_on_bill(self._bill, self._conversation.take_unfinished())
            self._bill.close()
        report(ending)

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

    async def _hear_usage(self) -> None:
        """Cancel the responses in progress, and hear the upstream until nothing is owed."""
        upstream = self._upstream
        cancelled: set[bytes] = set()
        while self._conversation.owes_usage:
            await self._cancel_responses(cancelled)
            pieces = await upstream.read()
            for piece in pieces:
                match piece:
                    case Message():
                        self._on_upstream(piece.payload)
                    case Control():
                        await upstream.take_control(piece)
                    case Close():
                        upstream.note_close(piece)
            if not pieces or isinstance(pieces[-1], Close | Fault):
                return

    async def _cancel_responses(self, cancelled: set[bytes]) -> None:
        """Cancel each response in progress once; voice activity may begin others meanwhile."""
        events = [one for one in self._conversation.cancellations() if one not in cancelled]
        cancelled.update(events)
        with contextlib.suppress(trio.BrokenResourceError):
            for event in events:
                await self._upstream.spoil_message()
                await self._upstream.send_event(event)

    async def _part(self, ending: Ending, report: Callable[[Ending], None]) -> None:
        """Say goodbye to both sides; a cancellation only hurries it."""
        owes_usage = self._owes_usage(ending)
        patience = self._timeouts.farewell
        if owes_usage:
            patience += self._timeouts.usage
        else:
            self._report(ending, report)
        goodbye = trio.CancelScope(deadline=trio.current_time() + patience, shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hurry_when_cancelled, goodbye)
            with goodbye:
                async with trio.open_nursery() as legs:
                    legs.start_soon(self._close_client, ending)
                    legs.start_soon(self._close_upstream, ending, report if owes_usage else None)
            nursery.cancel_scope.cancel("goodbye has been said")

    async def _close_client(self, ending: Ending) -> None:
        with trio.move_on_after(self._timeouts.farewell):
            await self._client.close(ending.client_code, ending.reason, event=ending.event())

    async def _close_upstream(
        self, ending: Ending, report: Callable[[Ending], None] | None
    ) -> None:
        """Close the upstream leg; where ``report`` is given, hear first what responses cost."""
        if report is not None:
            try:
                with trio.move_on_after(self._timeouts.usage):
                    await self._hear_usage()
            finally:
                self._report(ending, report)
        with trio.move_on_after(self._timeouts.farewell):
            await self._upstream.close(ending.upstream_code, ending.reason)


async def _hurry_when_cancelled(goodbye: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        goodbye.deadline = min(goodbye.deadline, trio.current_time() + _CANCELLED_GOODBYE)
