"""The gate: what happens to one visitor, from the first byte to the last.

Answers plain HTTP, lets clients in, opens an upstream, and only then answers 101.
While an upstream is being opened the client is listened to, so that one that leaves
is noticed. Every client that knocked gets one record (see ``visit.py``).
"""

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import attrs
import trio

from rt_proxy.listener.addresses import client_address, origin_allowed, place_of
from rt_proxy.listener.admission import Ticket, admit, authenticate, late_refusal
from rt_proxy.listener.early import EarlyBytes, gather_early
from rt_proxy.listener.head import Opened
from rt_proxy.listener.house import House
from rt_proxy.listener.inquiries import answer_page
from rt_proxy.listener.limiter import (
    Limiter,
    Paces,
    Scopes,
    scope_of_address,
    scope_of_all,
    scope_of_token,
)
from rt_proxy.listener.opening import Upstream, UpstreamOpener, dismiss
from rt_proxy.listener.roster import Roster
from rt_proxy.listener.spending import look_up_budgets, open_purse, template_of
from rt_proxy.listener.visit import Visit
from rt_proxy.observe import SessionRecord
from rt_proxy.realtime import closing, refusals
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.hello import Hello, RequestHead, is_realtime_path, read_hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.session import Session
from rt_proxy.settings import no_limit_if_zero
from rt_proxy.tokens.store import Standing, refresh_in_time
from rt_proxy.tokens.token import Token
from rt_proxy.usage.bill import Bill
from rt_proxy.usage.budgets import Purse

_logger = logging.getLogger("rt_proxy.gate")


@attrs.frozen
class _Allowance:
    """What a client may do: what it may spend, whose limits hold for it, and how fast it may."""

    purse: Purse
    scopes: Scopes
    paces: Paces


class Gate:
    """Receives visitors, each alone (mutable: it counts its own faults).

    Attributes:
        faults: Visits that ended in an exception of ours.
    """

    def __init__(
        self,
        roster: Roster,
        house: Callable[[], House],
        *,
        on_session_end: Callable[[SessionRecord], None],
        random: Random,
    ) -> None:
        """Build the gate of one proxy.

        Args:
            roster: Who is here.
            house: Gives what is in force for a newcomer.
            on_session_end: Called with each record, at once when the session's work has ended.
            random: The source of chance among channels of one priority.
        """
        self.faults = 0
        self._roster = roster
        self._limiter = Limiter()
        self._house = house
        self._on_session_end = on_session_end
        self._random = random

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Receive one visitor and close its stream; this is the barrier.

        Nothing that a visitor does, and no fault of ours, comes out of here.
        Cancelling cuts the session; both sides are still told, within a quarter
        of a second.
        """
        house = self._house()
        scope = trio.CancelScope()
        visit = Visit(stream, house, scope, self._on_session_end)
        with scope, self._roster.stranger(scope, house.settings.limits):
            try:
                await self._receive(visit)
            except* Exception:
                self.faults += 1
                _logger.exception(
                    "a session failed by a fault of rt-proxy itself",
                    extra={"fields": {"session_id": visit.record.session_id}},
                )
            finally:
                with trio.CancelScope(shield=True):  # closing by force cannot block
                    await trio.aclose_forcefully(stream)

    async def _receive(self, visit: Visit) -> None:
        opened = await visit.read_head()
        if opened is None:
            return
        if isinstance(opened, Refusal):
            await visit.refuse(opened)
            return
        visit.head_only = opened.head.method == "HEAD"
        if is_realtime_path(opened.head.target):
            try:
                await self._knock(visit, opened)
            except Exception:
                await visit.turn_away(closing.INTERNAL_ERROR, refusals.internal_error())
                raise
            finally:
                if not visit.recorded:
                    await visit.turn_away(closing.CUT, self._roster.turned_away())
        else:
            answer = await answer_page(visit.house, opened.head, draining=self._roster.draining)
            await visit.answer(answer)

    async def _knock(self, visit: Visit, opened: Opened) -> None:
        """Decide on a client, in one go: what is decided holds when the seat is taken."""
        house = visit.house
        await refresh_in_time(house.tokens)
        address = client_address(visit.record.address, opened.head, house.trusted_proxies)
        visit.record = attrs.evolve(visit.record, address=address)
        place = place_of(address)
        hello = read_hello(opened.head)
        if isinstance(hello, Refusal):
            await visit.refuse(hello)
            return
        token = authenticate(hello.credential, house.tokens, datetime.now(UTC))
        if isinstance(token, Token):
            # The present budget, whatever it was when this visitor connected.
            await look_up_budgets(self._house(), token)
        dialect = None if hello.dialect is None else hello.dialect.value
        visit.record = attrs.evolve(visit.record, model=hello.model, dialect=dialect)
        ticket = self._decide(visit, opened.head, hello, place)
        if isinstance(ticket, Refusal):
            await visit.refuse(ticket, hello, opened.rest)
            return
        purse = open_purse(house, ticket, visit.record.session_id)
        if isinstance(purse, Refusal):
            await visit.refuse(purse, hello, opened.rest)
            return
        self._roster.know(visit.scope)
        scopes = _scopes(house, ticket.token, place)
        refuses = house.settings.limits.over_rate == "error"
        with self._roster.seat(place), self._limiter.session(scopes, refuses=refuses) as paces:
            visit.record = attrs.evolve(visit.record, model=ticket.model)
            allowance = _Allowance(purse, scopes, paces)
            try:
                await self._serve(visit, ticket, EarlyBytes(opened.rest), allowance)
            finally:
                purse.close()

    def _decide(
        self, visit: Visit, head: RequestHead, hello: Hello, place: str | None
    ) -> Ticket | Refusal:
        house = visit.house
        if not origin_allowed(head, house.settings.listen.origins):
            return refusals.origin_not_allowed()
        limits = house.settings.limits
        refusal = self._roster.refuse(place, limits) or self._limiter.refuse(scope_of_all(limits))
        if refusal is None and place is not None:
            refusal = self._limiter.refuse(scope_of_address(place, limits))
        if refusal is not None:
            return refusal
        token = authenticate(hello.credential, house.tokens, datetime.now(UTC))
        if isinstance(token, Refusal):
            return token
        visit.record = attrs.evolve(visit.record, token_id=token.id, token_name=token.name)
        refusal = self._limiter.refuse(scope_of_token(token.id, limits, token.limits))
        if refusal is not None:
            return refusal
        return admit(
            hello,
            token,
            house.channels,
            default_model=house.settings.default_model,
            client_dialect=house.settings.client_dialect,
            transcription_channel=house.settings.transcription_channel,
            health=house.health.conditions(),
            now=trio.current_time(),
            random=self._random,
        )

    async def _serve(
        self, visit: Visit, ticket: Ticket, early: EarlyBytes, allowance: _Allowance
    ) -> None:
        metered = visit.house.books.want(allowance.purse)
        message_bytes = allowance.scopes.message_bytes(visit.house.settings.limits.message_bytes)
        async with trio.open_nursery() as room:
            opener = UpstreamOpener(room, visit.house, metered=metered, message_bytes=message_bytes)
            upstream = await self._open(visit, ticket, early, opener)
            if isinstance(upstream, Upstream):
                try:
                    standing = visit.house.tokens.standing(ticket.token.id, datetime.now(UTC))
                    if standing is Standing.GOOD:
                        await self._hold(visit, ticket, early, room, opener, upstream, allowance)
                    else:  # it was revoked, or has expired, while the upstream was opened
                        await visit.refuse(late_refusal(standing), ticket.hello, early.data)
                finally:
                    upstream.seat.close()
                    await dismiss(upstream.leg)
            elif isinstance(upstream, Refusal):
                await visit.refuse(upstream, ticket.hello, early.data)
            else:
                visit.end_untold(closing.CLIENT_LOST)
            room.cancel_scope.cancel("the visit is over")

    async def _open(
        self, visit: Visit, ticket: Ticket, early: EarlyBytes, opener: UpstreamOpener
    ) -> Upstream | Refusal | None:
        """Open an upstream while listening to the client; None: the client left."""
        outcome: Upstream | Refusal | None = None
        limit = visit.house.settings.limits.head_bytes
        try:
            async with trio.open_nursery() as opening:
                opening.start_soon(gather_early, visit.stream, early, limit, opening.cancel_scope)
                outcome = await opener.open(ticket)
                opening.cancel_scope.cancel("the upstream has been opened, or cannot be")
        except BaseException:
            if isinstance(outcome, Upstream):  # cut while the listening came to its end
                outcome.seat.close()
                await dismiss(outcome.leg)
            raise
        attempts = tuple(map(str, opener.failures))
        visit.record = attrs.evolve(visit.record, attempts=attempts)
        if early.too_many and not isinstance(outcome, Upstream):
            return refusals.bad_request(
                f"More than {limit} bytes were sent before the answer to the upgrade."
            )
        return outcome

    async def _hold(
        self,
        visit: Visit,
        ticket: Ticket,
        early: EarlyBytes,
        room: trio.Nursery,
        opener: UpstreamOpener,
        upstream: Upstream,
        allowance: _Allowance,
    ) -> None:
        """Answer 101 and hold the session."""
        channel, conversation = upstream.channel, upstream.conversation
        limits, timeouts = visit.house.settings.limits, visit.house.settings.timeouts
        scopes, paces = allowance.scopes, allowance.paces
        timeouts = attrs.evolve(timeouts, session=scopes.session_seconds(timeouts.session))
        upstream_model = None if ticket.model is None else channel.upstream_model(ticket.model)
        visit.record = attrs.evolve(
            visit.record,
            channel=channel.name,
            upstream_model=upstream_model,
            upstream_dialect=channel.dialect.value,
        )
        frames = FrameReader(
            masked=True,
            needs_reading=paces.client_lanes(conversation.client_lanes),
            message_bytes=scopes.message_bytes(limits.message_bytes),
            parsed_bytes=limits.parsed_bytes,
            remask=upstream.must_remask,
        )
        client = None
        with trio.move_on_after(no_limit_if_zero(timeouts.send_stall)) as accepting:
            with contextlib.suppress(trio.BrokenResourceError):
                client = await visit.accept(room, ticket.hello, frames, early.data)
        if client is None:
            stalled = accepting.cancelled_caught
            visit.end_untold(closing.CLIENT_STALLED if stalled else closing.CLIENT_LOST)
            return
        opening = trio.current_time() - visit.started_at
        visit.record = attrs.evolve(visit.record, opening=opening)
        session = Session(
            client,
            upstream.leg,
            conversation,
            timeouts,
            bill=_bill(visit, ticket, upstream, allowance.purse),
            client_pace=paces.client,
            upstream_pace=paces.upstream,
        )

        def report(ending: Ending) -> None:
            visit.record = attrs.evolve(visit.record, **session.figures())
            visit.end(ending.side, ending.word, ending.client_code, ending.reason)
            opener.note_end(upstream, ending, visit.record.duration - opening)

        with self._roster.guest(session, ticket.token.id, visit.house.tokens):
            await session.run(report)


def _bill(visit: Visit, ticket: Ticket, upstream: Upstream, purse: Purse) -> Bill | None:
    """Begin the bill of a session; None: nobody wants to know what it spends."""
    books = visit.house.books
    if not books.want(purse):
        return None
    template = template_of(ticket, upstream.channel, visit.record.session_id)
    return books.open_bill(template, visit.house.price_of, purse)


def _scopes(house: House, token: Token, place: str | None) -> Scopes:
    """Return whose limits hold for a client."""
    limits = house.settings.limits
    of_address = () if place is None else (scope_of_address(place, limits),)
    of_token = scope_of_token(token.id, limits, token.limits)
    return Scopes((scope_of_all(limits), *of_address, of_token))
