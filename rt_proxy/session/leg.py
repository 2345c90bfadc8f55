"""One WebSocket side of a session: its wire, its frame reader and its control engine.

A leg reads pieces and sends whole frames. While the session works, a pump reads
it; when the work has ended the leg reads itself, throwing data away, so that
the closing handshake can finish and no reset destroys what was sent last.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import trio

from rt_proxy.realtime.closing import Side
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Control,
    Fault,
    Message,
    Piece,
    build_frame,
)
from rt_proxy.session.wire import RECEIVE_BYTES, Wire

#: How long a peer that broke the protocol is read on, so that our CLOSE reaches it; in seconds.
_BROKEN_GOODBYE = 0.25

#: A legal close code that trio-websocket takes for a fault (wsproto 1.3).
_UNKNOWN_TO_ENGINE = (1014,)


class ControlEngine(Protocol):
    """What answers pings and holds the closing handshake of one leg."""

    async def take(self, frame: bytes) -> None:
        """Hand over a control frame that came in; returns once it is taken.

        Cancelling may leave it unanswered.
        """

    async def close(self, code: int, reason: str) -> None:
        """Send CLOSE and wait for the peer's; where the peer was first, for our reply.

        Cancelling ends the waiting; a CLOSE that was half written taints the wire.
        """


class Leg:
    """One side of a session (mutable: it holds what is unread and what is unanswered).

    Attributes:
        side: Which side this is.
        wire: The stream.
        data_at: When the last data frame from here had been dealt with, on Trio's clock.
        message_open: A message to this side has begun and its last frame has not gone out.
        read_bytes: How much is read at once at most, in bytes, beside the rest of a frame.
    """

    __slots__ = (
        "_engine",
        "_frames",
        "_held_bytes",
        "_masks",
        "_message_closed",
        "_peer_close",
        "_pieces",
        "_ping",
        "_unread",
        "data_at",
        "message_open",
        "read_bytes",
        "side",
        "wire",
    )

    def __init__(
        self,
        side: Side,
        wire: Wire,
        engine: ControlEngine,
        frames: FrameReader,
        *,
        masks: bool,
        unread: bytes = b"",
    ) -> None:
        """Join the parts of a leg.

        Args:
            side: Which side the peer is.
            wire: The stream.
            engine: Answers pings and closes.
            frames: Cuts what arrives.
            masks: Whether we mask what we send (as a WebSocket client must).
            unread: Bytes of frames that have been received already.
        """
        self.side = side
        self.wire = wire
        self.data_at = trio.current_time()
        self.message_open = False
        self.read_bytes = RECEIVE_BYTES
        self._engine = engine
        self._frames = frames
        self._masks = masks
        self._unread = unread
        self._pieces: Sequence[Piece] = ()
        self._peer_close: Close | None = None
        self._message_closed: trio.Event | None = None
        self._ping: bytes | None = None
        self._held_bytes = 0

    @property
    def mid_message(self) -> bool:
        """Whether a message that is read whole has begun to arrive, and has not ended."""
        return self._held_bytes > 0

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not whole yet."""
        return self._frames.mid_frame

    @property
    def awaits_pong(self) -> bool:
        """Whether our last ping has not been answered."""
        return self._ping is not None

    def put_back(self, *pieces: Piece) -> None:
        """Put pieces back; the next read gives them first, in this order."""
        self._pieces = (*pieces, *self._pieces)

    async def read(self) -> Sequence[Piece]:
        """Wait for pieces; an empty sequence means that the peer is gone.

        Cancelling is safe: what has arrived stays in the leg.
        """
        if self._pieces:
            pieces, self._pieces = self._pieces, ()
            return pieces
        while True:
            data, self._unread = self._unread, b""
            if not data:
                most = RECEIVE_BYTES if self.read_bytes >= RECEIVE_BYTES else self._most_to_read()
                data = await self.wire.receive(most)
                if not data:
                    return ()
            pieces = self._frames.feed(data)
            if self._frames.held_bytes != self._held_bytes:
                self._held_bytes = self._frames.held_bytes
                self.data_at = trio.current_time()
            if pieces:
                return pieces

    def _most_to_read(self) -> int:
        # The rest of a large frame need not come in a thousand pieces; but nothing behind it.
        return max(self.read_bytes, min(self._frames.missing, RECEIVE_BYTES))

    async def read_message(self) -> Message | Close | Fault | None:
        """Wait for the next message that is to be read; None: the peer is gone.

        Pings are answered on the way. Pieces after the message stay in the leg.
        Cancelling is safe.
        """
        while pieces := await self.read():
            for index, piece in enumerate(pieces):
                if isinstance(piece, Control):
                    self._pieces = pieces[index + 1 :]
                    await self.take_control(piece)
                    break
                if isinstance(piece, Message | Fault):
                    self._pieces = pieces[index + 1 :]
                    return piece
                if isinstance(piece, Close):
                    self.note_close(piece)
                    return piece
        return None

    async def take_control(self, control: Control) -> None:
        """Deal with a ping or a pong.

        A ping waits here until the engine has taken it; the engine is late only
        while a send on this leg is under way, which the watchdog limits.
        Cancelling may leave the ping unanswered.
        """
        if control.opcode == PONG:
            if control.payload == self._ping:
                self._ping = None
        else:
            await self._engine.take(control.raw)

    def note_close(self, close: Close) -> None:
        """Remember the peer's CLOSE; it is answered when the leg closes."""
        self._peer_close = close

    async def send(self, frames: bytes | memoryview, *, message_open: bool = False) -> None:
        """Send whole frames; ``message_open`` says that the last message goes on after them.

        Cancelling taints the wire.

        Raises:
            trio.BrokenResourceError: The peer is gone, or the wire is tainted.
        """
        self.message_open = message_open
        try:
            await self.wire.send(frames)
        finally:
            if not message_open and self._message_closed is not None:
                self._message_closed.set()
                self._message_closed = None

    async def send_event(self, payload: bytes) -> None:
        """Send an event of our own, between the messages that another task sends.

        Cancelling while it is being written taints the wire.

        Raises:
            trio.BrokenResourceError: The peer is gone, or the wire is tainted.
        """
        while self.message_open:
            if self._message_closed is None:
                self._message_closed = trio.Event()
            await self._message_closed.wait()
        await self.wire.send(self.frame(TEXT, payload))

    async def spoil_message(self) -> None:
        """End a message that nobody will finish, in such a way that it is no event.

        What was sent of it could be one already. A NUL may stand nowhere in JSON (RFC 8259,
        section 2), so the peer answers it with an error. Cancelling taints the wire.

        Raises:
            trio.BrokenResourceError: The peer is gone, or the wire is tainted.
        """
        if self.message_open:
            await self.send(self.frame(CONTINUATION, b"\0"))

    def frame(self, opcode: int, payload: bytes) -> bytes:
        """Return a frame as this leg must send it."""
        return build_frame(opcode, payload, masked=self._masks)

    async def ping(self, payload: bytes) -> None:
        """Send a ping; ``awaits_pong`` until it is answered (RFC 6455, 5.5.2).

        Cancelling taints the wire.

        Raises:
            trio.BrokenResourceError: The peer is gone, or the wire is tainted.
        """
        self._ping = payload
        await self.wire.send(self.frame(PING, payload))

    def forget_ping(self) -> None:
        """Stop waiting for a pong, because it was we who did not read."""
        self._ping = None

    async def close(self, code: int, reason: str, *, event: bytes | None = None) -> None:
        """Tell the peer why, hold the closing handshake, and close the stream.

        It may take as long as the peer likes: the caller sets the deadline.
        Cancelling closes the stream at once. A peer that is gone is no error.

        Args:
            code: A close code that may stand in a frame.
            reason: At most 123 bytes of UTF-8.
            event: An ``error`` event to send before CLOSE, where it can still be read.
        """
        try:
            if not self.wire.tainted:
                await self._say_goodbye(code, reason, event)
        except trio.BrokenResourceError:
            pass
        finally:
            await self.wire.cut()

    async def _say_goodbye(self, code: int, reason: str, event: bytes | None) -> None:
        if self._peer_close is not None:
            await self._hand_over(self._peer_close)
            await self._engine.close(code, reason)
            return
        if event is not None and not self.message_open:
            await self.send_event(event)
        # Where the peer broke the protocol its CLOSE cannot be told from garbage any more.
        patience = _BROKEN_GOODBYE if self._frames.broken else math.inf
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._discard_until_close)
                await self._engine.close(code, reason)
                nursery.cancel_scope.cancel("the closing handshake is over")

    async def _discard_until_close(self) -> None:
        self._frames.discard()
        pieces = [*self._pieces, *self._frames.feed(self._unread)]
        self._pieces, self._unread = (), b""
        while True:
            for piece in pieces:
                if isinstance(piece, Close):
                    await self._hand_over(piece)
                    return
            data = await self.wire.receive()
            if not data:
                await self._engine.take(b"")
                return
            pieces = self._frames.feed(data)

    async def _hand_over(self, close: Close) -> None:
        """Let the engine see the peer's CLOSE; one of a code that it does not know, without."""
        known = close.code not in _UNKNOWN_TO_ENGINE
        raw = close.raw if known else build_frame(CLOSE, b"", masked=not self._masks)
        await self._engine.take(raw)
