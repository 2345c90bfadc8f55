"""Opens an upstream for a ticket: one channel after the other, until one is good.

Good is a channel whose first event has come and is no ``error``. Nothing has
been promised to the client until then, so every failure can be made up for by
the next channel.
"""

import logging
import re
from ipaddress import ip_address

import attrs
import trio

from rt_proxy.channels import Channel, UpstreamRequest, upstream_request
from rt_proxy.listener.admission import Ticket
from rt_proxy.listener.dial import Dial, dial_failure
from rt_proxy.realtime import refusals
from rt_proxy.realtime.conversation import Conversation
from rt_proxy.realtime.dialects import dialect_of_first_event
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Close, Message
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import UpgradeFailedError, open_leg
from rt_proxy.settings import Limits, Timeouts, no_limit_if_zero

_logger = logging.getLogger("rt_proxy.gate")

_CODE = re.compile(r"[a-z0-9_]{1,64}")
#: An upstream that is not needed is told so, for at most so many seconds.
_GOODBYE = 0.25


@attrs.frozen
class Upstream:
    """An upstream that stands ready: its leg, how it was reached, and what was said so far."""

    leg: Leg
    channel: Channel
    request: UpstreamRequest
    conversation: Conversation

    @property
    def must_remask(self) -> bool:
        """Whether the masks that a client chose must not be seen on the way (RFC 6455, 10.3)."""
        private = self.request.tls or self.channel.provider == "simulator"
        return not (private or _is_loopback(self.request.host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen
class Failure:
    """Why one channel could not serve.

    Attributes:
        channel: Its name.
        why: In a few words, without anything of the upstream's own.
        code: The code of an ``error`` first event.
        timeout: ``first_event_timeout`` or ``opening_timeout``, if that is what passed.
    """

    channel: str
    why: str
    code: str | None = None
    timeout: str | None = None

    def __str__(self) -> str:
        return f"{self.channel}: {self.why}"


class UpstreamOpener:
    """Opens one upstream for one ticket (mutable: it gathers the failures).

    Attributes:
        failures: The channels that failed so far.
    """

    def __init__(self, room: trio.Nursery, dial: Dial, limits: Limits, timeouts: Timeouts) -> None:
        """Prepare the opening.

        Args:
            room: The nursery that the engine of the leg lives in.
            dial: How upstreams are reached.
            limits: Message sizes.
            timeouts: ``dial``, ``first_event`` and ``opening``.
        """
        self.failures: list[Failure] = []
        self._room = room
        self._dial = dial
        self._limits = limits
        self._timeouts = timeouts

    async def open(self, ticket: Ticket) -> Upstream | Refusal:
        """Try the channels of a ticket in their order.

        Cancelling closes whatever was opened.
        """
        seconds = no_limit_if_zero(self._timeouts.opening)
        channel = ticket.channels[0]
        with trio.move_on_after(seconds) as scope:
            for channel in ticket.channels:
                outcome = await self._try(channel, ticket)
                if isinstance(outcome, Upstream):
                    return outcome
                self.failures.append(outcome)
                if outcome.code == "invalid_intent":
                    return refusals.invalid_intent(ticket.hello.intent or "")
        if scope.cancelled_caught:
            why = f"no answer within {seconds:g} s for all channels"
            self.failures.append(Failure(channel.name, why, timeout="opening_timeout"))
        return self._refusal(ticket)

    def _refusal(self, ticket: Ticket) -> Refusal:
        only = self.failures[0] if len(self.failures) == 1 else None
        if only is not None and only.code == "model_not_found" and ticket.model is not None:
            return refusals.model_unknown(ticket.model)
        tried = "; ".join(map(str, self.failures))
        cause = self.failures[-1].timeout
        return refusals.upstream_unavailable(f"No channel could serve. {tried}.", cause)

    async def _try(self, channel: Channel, ticket: Ticket) -> Upstream | Failure:
        request = upstream_request(channel, model=ticket.model, intent=ticket.hello.intent)
        dial_seconds = no_limit_if_zero(self._timeouts.dial)
        conversation = _conversation(channel, ticket)
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
            stream = await self._dial(channel, request)
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
            return Failure(channel.name, str(error))
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    def _frames(self, channel: Channel, conversation: Conversation) -> FrameReader:
        """Make the reader of an upstream; the event that the gate waits for is read in any case."""
        return FrameReader(
            masked=False,
            needs_reading=None if channel.first_event else conversation.upstream_lanes,
            after_first=conversation.upstream_lanes,
            message_bytes=self._limits.message_bytes,
            parsed_bytes=self._limits.parsed_bytes,
        )

    async def _first_event(self, channel: Channel, leg: Leg) -> Failure | None:
        """Wait for the first event; what came is put back, to be relayed."""
        seconds = no_limit_if_zero(self._timeouts.first_event)
        with trio.move_on_after(seconds):
            match await leg.read_message():
                case Message() as message:
                    code = _error_code(message.payload)
                    if code is None:
                        leg.unread_first(message)
                        _look_at_dialect(channel, message.payload)
                        return None
                    return Failure(channel.name, f"error {code}", code=code)
                case Close(code=close_code):
                    return Failure(channel.name, f"closed with {close_code} before the first event")
                case None:
                    return Failure(channel.name, "hung up before the first event")
                case fault:
                    return Failure(channel.name, f"broke the protocol: {fault.kind.value}")
        why = f"no first event within {seconds:g} s"
        return Failure(channel.name, why, timeout="first_event_timeout")


def _conversation(channel: Channel, ticket: Ticket) -> Conversation:
    model = ticket.model
    return Conversation(
        model=model,
        upstream_model=None if model is None else channel.upstream_model(model),
        client_dialect=ticket.dialect,
        upstream_dialect=channel.dialect,
        client_was_silent=channel.first_event,
    )


async def dismiss(leg: Leg) -> None:
    """Say goodbye to an upstream that failed or is not needed; one that was closed stays so.

    Cancelling changes nothing: it takes no longer than a quarter of a second.
    """
    with trio.move_on_after(_GOODBYE, shield=True):
        await leg.close(1000, "")


def _look_at_dialect(channel: Channel, payload: bytes) -> None:
    """Warn of an upstream that shows another dialect than its channel has."""
    shown = dialect_of_first_event(parse_object(payload) or {})
    if shown not in (None, channel.dialect):
        _logger.warning(
            "channel %s: its upstream speaks the %s dialect: set dialect = %r",
            channel.name,
            shown.name,
            shown.value,
        )


def _error_code(payload: bytes) -> str | None:
    """Return the code of an ``error`` event in plain characters; None: another event."""
    event = parse_object(payload)
    if event is None or event.get("type") != "error":
        return None
    error = event.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "without a known code"
