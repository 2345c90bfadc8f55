"""Opens an upstream for a ticket: one channel after the other, until one is good.

Good is a channel whose first event has come and is no ``error``. Nothing has
been promised to the client until then, so every failure can be made up for by
the next channel. What came of each try is noted in the health of the channels.
It is one long module because it is one story, from a ticket to an open leg.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
import trio

from rt_proxy.channels import Channel, UpstreamRequest, bar_to, upstream_request
from rt_proxy.listener.admission import Ticket
from rt_proxy.listener.dialfailure import dial_failure
from rt_proxy.listener.failure import (
    Failure,
    at_first_event,
    at_upgrade,
    breaks_off,
    for_unwritten_model,
)
from rt_proxy.listener.house import House
from rt_proxy.listener.keysource import KeyUnavailableError
from rt_proxy.listener.proxyroute import stays_here
from rt_proxy.realtime import refusals
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.conversation import Conversation
from rt_proxy.realtime.dialects import dialect_of_first_event
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Message
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import UpgradeFailedError, open_leg
from rt_proxy.settings import Secret, no_limit_if_zero

_logger = logging.getLogger("rt_proxy.gate")

_INTENT = {"invalid_intent"}
#: The share of the time for all channels that may pass until one of them has its key.
_KEY_SHARE = 0.5
#: An upstream that is not needed is told so, for at most so many seconds.
_GOODBYE = 0.25
#: A session that an upstream breaks off before so many seconds was never a good one.
_SOON = 5.0
#: The least time for a channel to be blamed where the client left or all time was over, in seconds.
_FAIR_TRY = 2.0


@attrs.frozen
class Upstream:
    """An upstream that stands ready: its leg, how it was reached, and what was said so far.

    Whoever has it closes ``seat`` in the end, its place on the channel.
    """

    leg: Leg
    channel: Channel
    request: UpstreamRequest
    conversation: Conversation
    seat: ExitStack = attrs.field(factory=ExitStack, eq=False)

    @property
    def must_remask(self) -> bool:
        """Whether the masks that a client chose must not be seen on the way (RFC 6455, 10.3)."""
        private = self.request.tls or self.channel.provider == "simulator"
        return not (private or stays_here(self.channel, self.request))


class UpstreamOpener:
    """Opens one upstream for one ticket (mutable: it gathers the failures).

    Attributes:
        failures: The channels that failed so far.
    """

    def __init__(
        self,
        room: trio.Nursery,
        house: House,
        *,
        metered: bool = False,
        message_bytes: int | None = None,
    ) -> None:
        """Prepare the opening.

        Args:
            room: The nursery that the engine of the leg lives in.
            house: What is in force.
            metered: Whether what the session takes is counted.
            message_bytes: How large a message may be; None: as the settings have it.
        """
        self.failures: list[Failure] = []
        self._room = room
        self._metered = metered
        self._house = house
        self._health = house.health
        self._generation = house.health.generation
        self._limits = house.settings.limits
        self._message_bytes = message_bytes or self._limits.message_bytes
        self._timeouts = house.settings.timeouts

    async def open(self, ticket: Ticket) -> Upstream | Refusal:
        """Try the channels of a ticket in their order.

        Cancelling closes whatever was opened.
        """
        seconds = no_limit_if_zero(self._timeouts.opening)
        left = list(ticket.channels)
        channel, is_second_look = left[0], False
        with trio.move_on_after(seconds) as scope:
            while left:
                channel = self._next_of(left)
                upstream = await self._try(channel, ticket)
                if upstream is not None:
                    return upstream
                if not left and not is_second_look:
                    left, is_second_look = self._freed_since(ticket), True
        if scope.cancelled_caught:
            why = f"no answer within {seconds:g} s for all channels"
            self.failures.append(Failure(channel.name, why, timeout="opening_timeout"))
        return self._refusal(ticket)

    def _next_of(self, left: list[Channel]) -> Channel:
        """Take the next channel to try; what has befallen one since the choice counts too."""
        now = trio.current_time()
        conditions = (self._health.of(channel.name) for channel in left)
        well = (index for index, one in enumerate(conditions) if not one.is_doubtful(now))
        return left.pop(next(well, 0))

    def _freed_since(self, ticket: Ticket) -> list[Channel]:
        """Return the channels that could not be tried when the client came, and can be now."""
        now = trio.current_time()
        return [
            channel
            for channel in self._house.channels
            if channel.name in ticket.choice.passed_over
            if bar_to(channel, self._health.of(channel.name), now) is None
        ]

    def _refusal(self, ticket: Ticket) -> Refusal:
        only = self.failures[0] if len(self.failures) == 1 else None
        if only is not None and only.code == "model_not_found" and ticket.model is not None:
            return refusals.model_unknown(ticket.model)
        if ticket.hello.intent is not None and {one.code for one in self.failures} == _INTENT:
            return refusals.invalid_intent(ticket.hello.intent)
        told = [*map(str, self.failures)]
        tried = {failure.channel for failure in self.failures}
        told += [
            f"{name}: not tried, {why}"
            for name, why in ticket.choice.passed_over.items()
            if name not in tried
        ]
        waits = [failure.retry_after or math.inf for failure in self.failures]
        return refusals.upstream_unavailable(
            f"No channel could serve. {'; '.join(told)}.",
            cause=self.failures[-1].timeout,
            retry_after=None if math.inf in waits else min(waits),
        )

    async def _try(self, channel: Channel, ticket: Ticket) -> Upstream | None:
        """Try a channel, with one key after the other; None: it failed."""
        bar = bar_to(channel, self._health.of(channel.name), trio.current_time())
        if bar is not None:
            failure = Failure(channel.name, bar.why, retry_after=bar.seconds, is_channels=False)
            self.failures.append(failure)
            return None
        with ExitStack() as seat:
            seat.enter_context(self._health.seat(channel.name))
            with self._probing(channel), self._blaming_for_silence(channel):
                outcome = await self._try_keys(channel, ticket)
            if isinstance(outcome, Failure):
                self._note_failure(channel, outcome)
                return None
            now = trio.current_time()
            if not self._is_outdated and self._health.note_success(channel.name, now):
                _logger.info("channel %s is well again", channel.name)
            outcome.seat.push(seat.pop_all())
            return outcome

    @property
    def _is_outdated(self) -> bool:
        """Whether a reload has renewed the health since, so that this try tells nothing of it."""
        return self._generation != self._health.generation

    @contextmanager
    def _probing(self, channel: Channel) -> Iterator[None]:
        """Be the one that finds out whether a channel is well again, if it had failed."""
        probes = not self._is_outdated and self._health.note_try(channel.name)
        try:
            yield
        finally:
            if probes and not self._is_outdated:
                self._health.note_probe_over(channel.name)

    @contextmanager
    def _blaming_for_silence(self, channel: Channel) -> Iterator[None]:
        """Note that a channel failed that had its time, until all was over or the client left.

        Else one that is silent would never be found out by clients of less patience than ours.
        """
        since = trio.current_time()
        try:
            yield
        except trio.Cancelled:
            waited = trio.current_time() - since
            if waited >= _FAIR_TRY:
                self._note_failure(channel, Failure(channel.name, f"no answer for {waited:.0f} s"))
            raise

    def note_end(self, upstream: Upstream, ending: Ending, seconds: float) -> None:
        """Note how a session ended that an upstream was opened for.

        One that broke off soon, with nothing done, is a failure of its channel: it opens
        sessions, but holds none.

        Args:
            upstream: What was opened.
            ending: How the session ended.
            seconds: How long it lasted.
        """
        if seconds >= _SOON or upstream.conversation.responses or not breaks_off(ending):
            return
        why = f"{ending.word} {seconds:.1f} s after its start"
        self._note_failure(upstream.channel, Failure(upstream.channel.name, why))

    def _note_failure(self, channel: Channel, failure: Failure) -> None:
        if self._is_outdated:
            return
        keyed = channel.auth != "none"
        if keyed and failure.refuses_key and self._house.keys.all_refused(channel):
            if self._health.note_key_refused(channel.name, failure.why):
                _logger.warning(
                    "channel %s: %s refused (%s); it is not tried until a reload",
                    channel.name,
                    "its key is" if len(channel.api_keys) == 1 else "all of its keys are",
                    failure.why,
                )
        elif failure.is_channels:
            seconds = self._health.note_failure(
                channel.name, failure.why, trio.current_time(), retry_after=failure.retry_after
            )
            if seconds is not None:
                asked = (failure.retry_after or 0) >= seconds
                _logger.info(
                    "channel %s failed (%s); it is %s for %.0f s",
                    channel.name,
                    failure.why,
                    "left alone, as it asked," if asked else "tried last",
                    seconds,
                )

    async def _try_keys(self, channel: Channel, ticket: Ticket) -> Upstream | Failure:
        """Try a channel with each of its keys, until one is taken or something else fails.

        Where a client named a model of its own a key that is refused may still be good; it is
        not, if another one is taken for the same.
        """
        keys = self._house.keys
        is_unwritten = ticket.model_in_url not in (None, *channel.models)
        suspects: dict[Secret, Failure] = {}
        while True:
            try:
                with trio.fail_after(no_limit_if_zero(self._timeouts.opening) * _KEY_SHARE):
                    key = await keys.key(channel, suspects.keys())
            except (KeyUnavailableError, trio.TooSlowError) as error:
                why = "it does not come" if isinstance(error, trio.TooSlowError) else str(error)
                self.failures.append(Failure(channel.name, f"no key: {why}"))
                return self.failures[-1]
            outcome = await self._try_key(channel, ticket, key)
            if isinstance(outcome, Upstream):
                keys.note_worked(channel)
                for suspect, failure in suspects.items():
                    self._refuse_key(channel, suspect, failure)
                return outcome
            refused_key = key if outcome.refuses_key else None
            if is_unwritten:
                outcome = for_unwritten_model(outcome, has_worked=keys.has_worked(channel))
            if outcome not in self.failures:
                self.failures.append(outcome)
            if refused_key is None:
                return outcome
            if is_unwritten:
                suspects[refused_key] = outcome
                if not keys.has_another(channel, suspects.keys()):
                    return outcome
            elif not self._refuse_key(channel, refused_key, outcome):
                return outcome

    def _refuse_key(self, channel: Channel, key: Secret, failure: Failure) -> bool:
        """Give up a key, and tell of it; return whether the channel has another one."""
        self._house.keys.refuse(channel, key)
        if self._house.keys.all_refused(channel):
            return False
        self._tell_of_key(channel, key, failure)
        return True

    def _tell_of_key(self, channel: Channel, key: Secret, failure: Failure) -> None:
        """Warn once of one key among others; of a key that changes its source tells."""
        if key not in channel.api_keys or self._is_outdated:
            return
        place = channel.api_keys.index(key) + 1
        if self._health.is_news(f"{channel.name}, key {place}"):
            _logger.warning(
                "channel %s: key %d of %d is refused (%s); it is not used until a reload",
                channel.name,
                place,
                len(channel.api_keys),
                failure.why,
            )

    async def _try_key(
        self, channel: Channel, ticket: Ticket, key: Secret | None
    ) -> Upstream | Failure:
        request = upstream_request(
            channel, key=key, model=ticket.model_in_url, intent=ticket.hello.intent
        )
        dial_seconds = no_limit_if_zero(self._timeouts.dial)
        conversation = _conversation(channel, ticket, metered=self._metered)
        leg = None
        with trio.move_on_after(dial_seconds):
            leg = await self._connect(channel, request, self._frames(channel, conversation))
        if leg is None:
            why = f"no connection within {dial_seconds:g} s"
            return Failure(channel.name, why)
        if isinstance(leg, Failure):
            return leg
        try:
            failure = await self._first_event(channel, leg) if channel.first_event else None
        except BaseException:
            await dismiss(leg)
            raise
        if failure is None:
            return Upstream(leg, channel, request, conversation)
        self._room.start_soon(dismiss, leg)
        return failure

    async def _connect(
        self, channel: Channel, request: UpstreamRequest, frames: FrameReader
    ) -> Leg | Failure:
        try:
            stream = await self._house.dial(channel, request)
        except (OSError, trio.BrokenResourceError) as error:
            return Failure(channel.name, dial_failure(error))
        try:
            return await open_leg(
                self._room,
                stream,
                host=request.host_header,
                resource=request.resource,
                headers=request.header_bytes(),
                frames=frames,
            )
        except UpgradeFailedError as error:
            await trio.aclose_forcefully(stream)
            return at_upgrade(channel, error)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    def _frames(self, channel: Channel, conversation: Conversation) -> FrameReader:
        """Make the reader of an upstream; the event that the gate waits for is read in any case."""
        return FrameReader(
            masked=False,
            needs_reading=None if channel.first_event else conversation.upstream_lanes,
            after_first=conversation.upstream_lanes,
            message_bytes=self._message_bytes,
            parsed_bytes=self._limits.parsed_bytes,
        )

    async def _first_event(self, channel: Channel, leg: Leg) -> Failure | None:
        """Wait for the first event; what came is put back, to be relayed."""
        seconds = no_limit_if_zero(self._timeouts.first_event)
        with trio.move_on_after(seconds):
            came = await leg.read_message()
            fault = at_first_event(channel, came)
            if fault is None and isinstance(came, Message):
                leg.put_back(came)
                self._look_at_dialect(channel, came.payload)
            return fault
        why = f"no first event within {seconds:g} s"
        return Failure(channel.name, why, timeout="first_event_timeout")

    def _look_at_dialect(self, channel: Channel, payload: bytes) -> None:
        """Warn once of an upstream that shows another dialect than its channel has."""
        shown = dialect_of_first_event(parse_object(payload) or {})
        if shown not in (None, channel.dialect) and self._health.is_news(channel.name):
            _logger.warning(
                "channel %s: its upstream speaks the %s dialect: set dialect = %r",
                channel.name,
                shown.name,
                shown.value,
            )


def _conversation(channel: Channel, ticket: Ticket, *, metered: bool) -> Conversation:
    model = ticket.model
    return Conversation(
        model=model,
        upstream_model=None if model is None else channel.upstream_model(model),
        client_dialect=ticket.dialect,
        upstream_dialect=channel.dialect,
        client_was_silent=channel.first_event,
        drop_fields=channel.drop_fields,
        mcp=channel.mcp,
        metered=metered,
    )


async def dismiss(leg: Leg) -> None:
    """Say goodbye to an upstream that failed or is not needed; one that was closed stays so.

    Cancelling changes nothing: it takes no longer than a quarter of a second.
    """
    with trio.move_on_after(_GOODBYE, shield=True):
        await leg.close(1000, "")
