"""Moves what arrives on one leg to the other, in order, with nothing in between.

There is no queue: a pump does not read on until its send has returned, and that
is the backpressure. Neighbouring frames that go on untouched leave in one send.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.conversation import Answer, Forward, Replace, Verdict
from rt_proxy.realtime.frames import Close, Control, Fault, Message, Piece, Run
from rt_proxy.realtime.overrate import refused_for_rate
from rt_proxy.session.leg import Leg
from rt_proxy.session.pace import LEAST_READ, Pace
from rt_proxy.session.wire import RECEIVE_BYTES

#: How long a peer is not read at a time, in seconds: it pings every 20 s and wants an answer, and
#: one that is gone must be noticed.
_LONGEST_PAUSE = 10.0
#: What a client sent is not held longer than this for what it owes, in seconds: where it has sent
#: much more its end is not seen meanwhile.
_LONGEST_HOLD = 600.0
#: So much is read behind what is held, in bytes.
_MOST_AHEAD = 65_536
#: Shorter than this nothing is waited for, in seconds: a rest of a rounding is no time.
_SHORTEST_PAUSE = 0.001
#: How often it is noted that the silence is ours, in seconds.
_PAUSE_STEP = 1.0


@attrs.define
class Tally:
    """What went one way (mutable: it counts).

    Attributes:
        events: Messages that were taken from the source.
        bytes: Bytes of the frames that were sent on.
    """

    events: int = 0
    bytes: int = 0


class _SessionOver(Exception):  # noqa: N818 - not an error: it carries an ending to the pump's end
    def __init__(self, ending: Ending | None) -> None:
        super().__init__(ending and ending.word)
        self.ending = ending


class Pump:
    """One direction of a session (mutable: it gathers what goes out next).

    Attributes:
        send_failed: It ended because a leg could not be written. The pump that reads that leg
            may still find there what the peer said last.
        tally: What went through.
        stopped: Set it, and the pump sends nothing more after the send that is under way.
    """

    __slots__ = (
        "_decide",
        "_message_open",
        "_next_control_at",
        "_outgoing",
        "_pace",
        "_sink",
        "_source",
        "send_failed",
        "stopped",
        "tally",
    )

    def __init__(
        self,
        source: Leg,
        sink: Leg,
        decide: Callable[[bytes], Verdict],
        pace: Pace | None = None,
    ) -> None:
        """Join two legs.

        Args:
            source: The leg that is read.
            sink: The leg that is written.
            decide: What happens to a message that must be read.
            pace: How fast it may go; None: as fast as it can.
        """
        self._source = source
        self._sink = sink
        self._decide = decide
        self._pace = pace
        #: When the next ping is answered, where something is owed.
        self._next_control_at = -math.inf
        self._outgoing: list[bytes | memoryview] = []
        self._message_open = False
        self.send_failed = False
        self.stopped = False
        self.tally = Tally()

    async def run(self) -> Ending | None:
        """Relay until something ends the session, and return what; None: it was stopped.

        Cancelling loses what was about to be sent, and taints the sink where a
        send was under way: it is for sessions that are over. What was read and
        not looked at is put back, for whoever reads the leg next.
        """
        pieces: deque[Piece] = deque()
        source, pace = self._source, self._pace
        if pace is not None:
            source.read_bytes = pace.read_bytes
        try:
            while more := await source.read():
                pieces.extend(more)
                while pieces:
                    if pace is not None and self._is_held(pieces[0], pace):
                        await self._hold(pieces, pace)
                    # A large message must not be held while it is being sent.
                    await self._relay(pieces.popleft())
                await self._flush()
                if pace is not None and not self._from_client:
                    await self._pause(pace)
        except _SessionOver as over:
            return over.ending
        finally:
            source.read_bytes = RECEIVE_BYTES
            if pieces:
                source.put_back(*pieces)
        return _lost(source.side)

    def _is_held(self, piece: Piece, pace: Pace) -> bool:
        """Whether a piece may not go on yet: a client has sent more than its rate allows.

        Else one message of each of its sessions would pass after each pause, however large. What
        an upstream sent goes on after a pause, because it has to hear its pongs.
        """
        refused = pace.refuses and isinstance(piece, Message)
        is_data = isinstance(piece, Run | Message) and not refused
        return is_data and self._from_client and pace.wait(trio.current_time()) > 0

    async def _hold(self, pieces: deque[Piece], pace: Pace) -> None:
        """Hold what a client sent until nothing is owed, as long as that may be.

        Meanwhile a little more is read, so that its pings are answered, and its end is seen; where
        it leaves, what it has said goes on at once.
        """
        await self._flush()
        await self._answer_controls(pieces)
        until = trio.current_time() + _LONGEST_HOLD
        while not isinstance(pieces[-1], Close | Fault):
            now = self._source.data_at = trio.current_time()
            wait = pace.wait(now)
            if wait <= 0 or now >= until:
                return
            look_at = now + min(max(wait, _SHORTEST_PAUSE), _PAUSE_STEP)
            if not await self._read_ahead(pieces, min(look_at, until)):
                return

    async def _read_ahead(self, pieces: deque[Piece], until: float) -> bool:
        """Read behind what is held until a moment; return False where the peer is gone."""
        more: Sequence[Piece] | None = None
        ahead = sum(_size(piece) for piece in pieces) - _size(pieces[0])
        with trio.move_on_at(until):
            if ahead >= _MOST_AHEAD:
                await trio.sleep_forever()
            more = await self._source.read()
        if more is None:
            return True
        pieces.extend(more)
        await self._answer_controls(pieces)
        return bool(more)

    async def _answer_controls(self, pieces: deque[Piece]) -> None:
        """Deal with the pings and pongs that stand behind what is held."""
        controls = [piece for piece in pieces if isinstance(piece, Control)]
        if controls:
            held = [piece for piece in pieces if not isinstance(piece, Control)]
            pieces.clear()
            pieces.extend(held)
        for control in controls:
            await self._take_control(control)

    async def _take_control(self, control: Control) -> None:
        """Have a ping answered, at once but where something is owed: then one in a second."""
        pace = self._pace
        if pace is not None:
            now = trio.current_time()
            if pace.wait(now) > 0:
                await trio.sleep_until(self._next_control_at)
                self._next_control_at = trio.current_time() + _PAUSE_STEP
            pace.take(0, len(control.raw), now)
        await self._source.take_control(control)

    async def _pause(self, pace: Pace) -> None:
        """Read nothing while something is owed, for as long as one may read nothing.

        What is read after that, while more is still owed, is as little as can be.
        """
        now = trio.current_time()
        until = now + _LONGEST_PAUSE
        while (wait := pace.wait(now)) > 0 and now < until:
            await trio.sleep(min(max(wait, _SHORTEST_PAUSE), _PAUSE_STEP, until - now))
            now = self._source.data_at = trio.current_time()
        self._source.read_bytes = LEAST_READ if wait > 0 else pace.read_bytes

    async def _relay(self, piece: Piece) -> None:
        match piece:
            case Run():
                self._outgoing.append(piece.data)
                self._message_open = piece.message_open
                self.tally.events += piece.events
                if self._pace is not None:
                    self._pace.take(piece.events, len(piece.data), trio.current_time())
            case Message():
                self.tally.events += 1
                decide = self._decide if self._pace is None else self._decide_at_pace
                await self._follow(decide(piece.payload), piece)
            case Control():
                await self._flush()
                await self._take_control(piece)
            case Close():
                self._source.note_close(piece)
                await self._flush()
                closed = closing.client_closed if self._from_client else closing.upstream_closed
                raise _SessionOver(closed(piece.code, piece.reason))
            case Fault():
                await self._flush()
                raise _SessionOver(closing.fault_ending(self._source.side, piece))

    def _decide_at_pace(self, payload: bytes) -> Verdict:
        """Decide on a message, or refuse it where it comes too fast and that is to be refused."""
        pace, now = self._pace, trio.current_time()
        if pace is not None:
            exceeded = pace.exceeded(now) if pace.refuses else None
            if exceeded is not None:
                return refused_for_rate(payload, exceeded)
            pace.take(1, len(payload), now)
        return self._decide(payload)

    async def _follow(self, verdict: Verdict, message: Message) -> None:
        match verdict:
            case Forward():
                self._outgoing.append(message.raw)
                self._message_open = False
            case Replace(payloads):
                frame = self._sink.frame
                self._outgoing += [frame(message.opcode, payload) for payload in payloads]
                self._message_open = False
            case Answer(payload):
                await self._flush()
                if self.stopped:
                    raise _SessionOver(None)
                try:
                    await self._source.send_event(payload)
                except trio.BrokenResourceError:
                    raise self._cannot_send_to(self._source) from None
                self._source.data_at = trio.current_time()
            case Ending():
                await self._flush()
                raise _SessionOver(verdict)

    async def _flush(self) -> None:
        """Send what has been gathered, at once and as one; no more where the session is over."""
        if self.stopped:
            raise _SessionOver(None)
        outgoing = self._outgoing
        if not outgoing:
            return
        frames = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        self._outgoing = []
        self.tally.bytes += len(frames)
        try:
            await self._sink.send(frames, message_open=self._message_open)
        except trio.BrokenResourceError:
            raise self._cannot_send_to(self._sink) from None
        self._source.data_at = trio.current_time()

    def _cannot_send_to(self, leg: Leg) -> _SessionOver:
        self.send_failed = True
        return _SessionOver(_lost(leg.side))

    @property
    def _from_client(self) -> bool:
        return self._source.side is Side.CLIENT


def _size(piece: Piece) -> int:
    match piece:
        case Run():
            return len(piece.data)
        case Message():
            return len(piece.raw)
        case _:
            return 0


def _lost(side: Side) -> Ending:
    return closing.CLIENT_LOST if side is Side.CLIENT else closing.UPSTREAM_LOST
