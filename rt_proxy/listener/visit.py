"""A visit: what is known of one visitor, how it is spoken to, and its one record."""

import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import trio

from rt_proxy.listener.answers import send_answer
from rt_proxy.listener.head import Opened, read_head
from rt_proxy.listener.house import House
from rt_proxy.listener.listen import peer_address
from rt_proxy.listener.pages import Answer, refusal_answer, render
from rt_proxy.observe import SessionRecord
from rt_proxy.realtime import closing, refusals
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import accept_leg
from rt_proxy.settings import no_limit_if_zero

#: How long a visitor that was silent too long, or is cut, may take to be answered, in seconds.
_SHORT_LINGER = 0.25


@attrs.define
class Visit:
    """One visitor (mutable: what is known of it grows at every door).

    Attributes:
        stream: The visitor's.
        house: What is in force for it.
        scope: Cuts the visit.
        on_end: Called with the record, once.
        started_at: When it came, on Trio's clock.
        record: What will be written when the visit is over; a draft until then.
        recorded: It has been written.
        answered: Something has been sent, or is being sent.
        head_only: An HTTP answer must have no body.
    """

    stream: trio.abc.Stream
    house: House
    scope: trio.CancelScope
    on_end: Callable[[SessionRecord], None]
    started_at: float = attrs.field(factory=trio.current_time)
    record: SessionRecord = attrs.field()
    recorded: bool = False
    answered: bool = False
    head_only: bool = False

    @record.default
    def _draft(self) -> SessionRecord:
        return SessionRecord(
            session_id=secrets.token_hex(8),
            started=datetime.now(UTC),
            duration=0,
            ended_by=Side.PROXY,
            ending="",
            address=peer_address(self.stream),
        )

    async def read_head(self) -> Opened | Refusal | None:
        """Shake hands (TLS) and read the head, in time; None: the visitor left, or is no peer.

        Cancelling is safe: nothing is sent.
        """
        settings = self.house.settings
        with trio.move_on_after(no_limit_if_zero(settings.timeouts.head)):
            if isinstance(self.stream, trio.SSLStream):
                try:
                    await self.stream.do_handshake()
                except trio.BrokenResourceError:
                    return None
            return await read_head(self.stream, settings.limits.head_bytes)
        return refusals.head_timeout()

    async def answer(self, answer: Answer, linger: float | None = None) -> None:
        """Answer by plain HTTP, and close.

        Cancelling is safe: the answer may be cut.

        Args:
            answer: What to say.
            linger: How long that may take, in seconds; None: as long as any goodbye.
        """
        self.answered = True
        seconds = self.house.settings.timeouts.farewell if linger is None else linger
        await send_answer(self.stream, render(answer, head_only=self.head_only), seconds)

    async def accept(
        self, room: trio.Nursery, hello: Hello, frames: FrameReader, unread: bytes
    ) -> Leg:
        """Answer 101.

        Cancelling is safe: the visit is over then.

        Args:
            room: The nursery that the engine of the leg lives in.
            hello: What the client asked for.
            frames: Reads what it sends.
            unread: What it has sent so far.

        Raises:
            trio.BrokenResourceError: The client is gone.
        """
        self.answered = True
        return await accept_leg(
            room,
            self.stream,
            key=hello.websocket_key,
            subprotocol=hello.subprotocol,
            frames=frames,
            unread=unread,
        )

    async def refuse(
        self, refusal: Refusal, hello: Hello | None = None, unread: bytes = b""
    ) -> None:
        """Refuse the visitor, in the form that it can read, and close.

        Cancelling is safe: the refusal is recorded by then, and may be cut.

        Args:
            refusal: Why.
            hello: What the client asked for, where it can have an event and a close code.
            unread: What it has sent so far.
        """
        as_event = (
            hello is not None
            and refusal.close_code is not None
            and not hello.azure
            and self.house.settings.refusals == "event"
        )
        close_code = refusal.close_code if as_event else None
        self.end(Side.PROXY, refusal.log_word, close_code, refusal.message)
        if hello is None or not as_event:
            linger = _SHORT_LINGER if refusal.code == "head_timeout" else None
            await self.answer(refusal_answer(refusal), linger)
            return
        ending = closing.refused(refusal)
        frames = FrameReader(masked=True, message_bytes=0, parsed_bytes=0)
        frames.discard()
        async with trio.open_nursery() as room:
            with trio.move_on_after(self.house.settings.timeouts.farewell):
                with contextlib.suppress(trio.BrokenResourceError):
                    leg = await self.accept(room, hello, frames, unread)
                    await leg.close(ending.client_code, ending.reason, event=refusal.event())
            room.cancel_scope.cancel("the visit is over")

    async def turn_away(self, ending: Ending, refusal: Refusal) -> None:
        """Part from a client that is cut, or that we fail, before its session has begun.

        Cancelling changes nothing: it takes no longer than a quarter of a second.
        """
        self.end_untold(ending)
        if not self.answered:
            with trio.CancelScope(shield=True):  # no longer than the linger
                await self.answer(refusal_answer(refusal), _SHORT_LINGER)

    def end_untold(self, ending: Ending) -> None:
        """Record an ending that the client could not be told, for want of a WebSocket."""
        self.end(ending.side, ending.word, reason=ending.reason)

    def end(self, side: Side, word: str, close_code: int | None = None, reason: str = "") -> None:
        """Record how the visit ended; only the first time counts.

        Args:
            side: Who ended it.
            word: Why, in one word.
            close_code: What the client is told; None: no WebSocket was opened.
            reason: Why, in more words.
        """
        if self.recorded:
            return
        self.recorded = True
        self.record = attrs.evolve(
            self.record,
            duration=trio.current_time() - self.started_at,
            ended_by=side,
            ending=word,
            close_code=close_code,
            reason=reason,
        )
        self.on_end(self.record)
