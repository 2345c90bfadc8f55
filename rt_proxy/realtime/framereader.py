"""Cuts the bytes that arrive on one leg into pieces.

``FrameReader`` finds runs of frames that may go on as they are, messages that
somebody must read, control frames, and the faults of the peer (RFC 6455,
section 5). It never awaits and keeps at most one unfinished frame, so that one
call costs no more than the bytes it is given. What goes on is never copied
more than once and never parsed; whether a message may go on unread is not
decided here but by the ``NeedsReading`` that the leg was given. It is one long
module because one walk has to know every state that a frame can be left in.
"""

import secrets
from collections.abc import Callable
from typing import Literal

import attrs

from rt_proxy.realtime.framerules import (
    ANY_SIZE,
    HEADER_SIZE,
    LEGAL_FIRST,
    FaultFound,
    extended_length,
    missing_of,
    read_close,
    too_big,
    violation,
    what_is_wrong,
)
from rt_proxy.realtime.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASKED,
    Close,
    Control,
    FaultKind,
    Message,
    Piece,
    Run,
    Splice,
    build_frame,
    build_header,
    mask,
)
from rt_proxy.realtime.gauge import Gauge

#: A frame up to this size is waited for; a larger one that needs no reading goes on in fragments.
WHOLE_FRAME_BYTES = 65_536
#: The proof that a frame needs no reading is looked for in so many bytes of its payload.
PEEK_BYTES = 1_024
_FIRST_LOOK_BYTES = 96

#: Whether a message is read. True: it must be, and is refused where it is too large for that;
#: ``"small"``: unless it is too large, and then it goes on unread; ``"large"``: the same, with
#: four times as much allowed.
#: A ``Splice``: it goes on unread, with other bytes at its start. A ``Gauge``: it goes on unread,
#: and is counted there. None: too early to tell.
Reads = bool | Literal["large", "small"] | Splice | Gauge | None

#: ``needs_reading(start, enough)`` says what happens to a text message that starts so.
#: It may answer None only where ``enough`` is false.
NeedsReading = Callable[[bytes, bool], Reads]


def _never(_start: bytes, _enough: bool) -> bool:
    return False


@attrs.define
class _Held:
    """A fragmented message that is kept back until it is known or whole.

    Its payload alone is kept, and framed anew: the frames it came in may be
    any number of empty ones (an intermediary may do so, RFC 6455, 5.4).
    """

    opcode: int
    reads: Reads = None
    payload: bytearray = attrs.field(factory=bytearray)


@attrs.define
class _Streaming:
    """A frame on its way through, in as many fragments as it arrives in."""

    opcode: int
    fin: bool
    key: bytes | None
    left: int
    events: int


@attrs.define
class _Collecting:
    """A large frame that must be read, on its way in."""

    data: bytearray
    size: int


class FrameReader:
    """Cuts the bytes of one leg into pieces (mutable: it holds the unfinished frame)."""

    __slots__ = (
        "_after_first",
        "_broken",
        "_collecting",
        "_gauge",
        "_held",
        "_masked",
        "_message_bytes",
        "_message_open",
        "_message_size",
        "_needs_reading",
        "_parsed_bytes",
        "_remask",
        "_rest",
        "_streaming",
    )

    def __init__(
        self,
        *,
        masked: bool,
        needs_reading: NeedsReading | None = None,
        after_first: NeedsReading | None = None,
        message_bytes: int,
        parsed_bytes: int,
        remask: bool = False,
    ) -> None:
        """Set the rules of one leg.

        Args:
            masked: Whether the peer must mask its frames (a client must, a server must not).
            needs_reading: Which text messages are given whole, as ``Message``; None: every
                message is, a binary one too.
            after_first: The rule from the second message on; None: the same.
            message_bytes: The largest message of any kind, in bytes of payload.
            parsed_bytes: The largest message that is given whole, unless the rule allows more.
            remask: Whether frames that go on get a fresh mask (RFC 6455, 10.3).
        """
        self._masked = masked
        self._needs_reading = needs_reading
        self._after_first = after_first
        self._message_bytes = message_bytes
        self._parsed_bytes = parsed_bytes
        self._remask = remask
        self._rest = b""
        self._broken = False
        #: A message has begun and its last frame has not come.
        self._message_open = False
        self._message_size = 0
        #: Counts the message that has begun.
        self._gauge: Gauge | None = None
        self._held: _Held | None = None
        self._streaming: _Streaming | None = None
        self._collecting: _Collecting | None = None

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun to arrive and is not whole yet."""
        return bool(self._rest) or self._streaming is not None or self._collecting is not None

    @property
    def held_bytes(self) -> int:
        """How much has come of a message that is given whole, and has not ended, in bytes."""
        return 0 if self._held is None else len(self._held.payload)

    @property
    def missing(self) -> int:
        """How much of the frame in progress has yet to come, as far as that is known, in bytes."""
        if self._streaming is not None:
            return self._streaming.left
        if self._collecting is not None:
            return self._collecting.size - len(self._collecting.data)
        return missing_of(self._rest)

    @property
    def broken(self) -> bool:
        """Whether the peer broke the protocol, so that nothing more can be read."""
        return self._broken

    def discard(self) -> None:
        """From now on only control frames matter: read no message, refuse no size."""
        self._needs_reading = _never
        self._message_bytes = self._parsed_bytes = ANY_SIZE
        self._held = None
        if self._collecting is not None:
            self._rest = bytes(self._collecting.data)
            self._collecting = None

    def feed(self, data: bytes) -> list[Piece]:
        """Take what arrived and return the pieces in it, in order; a ``Fault`` is the last."""
        pieces: list[Piece] = []
        if self._broken:
            return pieces
        if self._collecting is not None:
            collecting = self._collecting
            collecting.data += data
            if len(collecting.data) < collecting.size:
                return pieces
            self._collecting = None
            data = bytes(collecting.data)
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        try:
            self._walk(data, self._stream(data, 0, pieces), pieces)
        except FaultFound as found:
            self._broken = found.fault.kind is FaultKind.PROTOCOL
            pieces.append(found.fault)
        return pieces

    def _walk(self, data: bytes, position: int, pieces: list[Piece]) -> None:
        """Cut ``data`` from ``position`` on; what is unfinished stays in the reader.

        A run grows over neighbouring frames that go on as they are, so that the
        usual case, many small deltas in one read, costs one slice and one send.
        Where they are spliced the run is joined from ``segments`` and what follows them.
        """
        end = len(data)
        run_start = position
        segments: list[bytes] = []
        events = 0
        try:
            while end - position >= 2 and self._streaming is None:
                first = data[position]
                second = data[position + 1]
                if (
                    first not in LEGAL_FIRST
                    or (second >= MASKED) is not self._masked
                    or (first & 0x08 and second & 0x7F > 125)
                ):
                    raise violation(what_is_wrong(first, second, must_mask=self._masked))
                start = position + HEADER_SIZE[second]
                if start > end:
                    break
                length = second & 0x7F
                if length >= 126:
                    length = extended_length(data, position, length)
                frame_end = start + length
                reads = self._reads(data, start, frame_end, first)
                if reads is False and first > FIN and frame_end <= end and not self._remask:
                    events += 1
                    position = frame_end
                    continue
                if (
                    isinstance(reads, Gauge)
                    and first > FIN
                    and frame_end <= end
                    and not self._remask
                ):
                    reads.note_frame(data, start, frame_end)
                    events += 1
                    position = frame_end
                    continue
                if isinstance(reads, Splice) and first > FIN and frame_end <= end:
                    if reads.gauge is not None:
                        reads.gauge.note_frame(data, start, frame_end)
                    segments.append(data[run_start:position])
                    segments.append(_spliced_head(first, data, start, frame_end, reads))
                    run_start = start + reads.end
                    events += 1
                    position = frame_end
                    continue
                self._flush(data, run_start, position, events, segments, pieces)
                run_start, events = position, 0
                position = self._take(data, position, start, frame_end, reads, pieces)
                if position == run_start:
                    break
                run_start = position
        finally:
            self._flush(data, run_start, position, events, segments, pieces)
            self._rest = data[position:]

    @staticmethod
    def _flush(
        data: bytes,
        start: int,
        end: int,
        events: int,
        segments: list[bytes],
        pieces: list[Piece],
    ) -> None:
        if segments:
            segments.append(data[start:end])
            pieces.append(Run(b"".join(segments), events))
            segments.clear()
        elif start < end:
            untouched = start == 0 and end == len(data)
            pieces.append(Run(data if untouched else memoryview(data)[start:end], events))

    def _reads(self, data: bytes, start: int, frame_end: int, first: int) -> Reads:
        """Whether a frame's message must be read; None: a control frame, or too early to tell."""
        opcode = first & 0x0F
        if opcode >= CLOSE:
            return None
        held = self._held
        if (opcode == CONTINUATION) is not self._message_open:
            raise violation("The fragments of messages are out of order.")
        size = self._message_size + frame_end - start
        if size > self._message_bytes:
            raise too_big(self._message_bytes)
        rule = self._needs_reading
        if opcode == CONTINUATION and held is None:
            return self._gauge or False
        if opcode == BINARY and rule is not None:
            return False
        reads: Reads = True if held is None else held.reads
        if rule is not None and not (held is not None and held.reads):
            before = b"" if held is None else bytes(held.payload)
            reads = self._peek(rule, before, data, start, frame_end, first >= FIN)
        if isinstance(reads, Splice) and (self._masked or held is not None):
            reads = "small"  # what is to be replaced is masked, or not in this frame alone
        if size > self._parsed_bytes:
            if reads is True:
                raise too_big(self._parsed_bytes)
            if reads == "small" or (reads == "large" and size > 4 * self._parsed_bytes):
                return False
        return reads

    def _peek(
        self,
        rule: NeedsReading,
        before: bytes,
        data: bytes,
        start: int,
        frame_end: int,
        fin: bool,
    ) -> Reads:
        """Ask about the start of a message: of its first bytes, then of some more."""
        end = min(frame_end, len(data))
        whole = fin and frame_end == end
        if not self._masked:
            text = before + data[start : min(end, start + PEEK_BYTES)]
            return rule(text, whole or len(text) >= PEEK_BYTES)
        key = data[start - 4 : start]
        for size in (_FIRST_LOOK_BYTES, PEEK_BYTES):
            stop = min(end, start + size)
            text = before + mask(data[start:stop], key)
            enough = (whole and stop == end) or len(text) >= PEEK_BYTES
            reads = rule(text, enough)
            if reads is not None:
                return reads
        return None

    def _take(
        self,
        data: bytes,
        position: int,
        start: int,
        frame_end: int,
        reads: Reads,
        pieces: list[Piece],
    ) -> int:
        """Take one frame that is no plain part of a run; return where the next one begins.

        Where the frame must wait for more bytes, that is where it began itself.
        """
        first = data[position]
        opcode = first & 0x0F
        whole = frame_end <= len(data)
        if opcode >= CLOSE:
            if whole:
                pieces.append(self._control(opcode, data, position, start, frame_end))
            return frame_end if whole else position
        if reads is None and not whole:
            return position
        splice = reads if isinstance(reads, Splice) else None
        gauge = reads if isinstance(reads, Gauge) else splice and splice.gauge
        passes = reads is False or gauge is not None or splice is not None
        if passes and not whole and frame_end - position <= WHOLE_FRAME_BYTES:
            return position
        if reads and not passes and not whole:
            self._collecting = _Collecting(bytearray(data[position:]), frame_end - position)
            return len(data)
        self._message_open = first < FIN
        if passes:
            self._release_held(pieces)
            self._gauge = gauge if self._message_open else None
            if gauge is not None:
                gauge.note_frame(data, start, frame_end)
            self._note_size(frame_end - start)
            key = data[start - 4 : start] if self._masked else None
            events = 1 if opcode else 0
            self._streaming = _Streaming(opcode, first >= FIN, key, frame_end - start, events)
            return self._stream(data, start, pieces, splice)
        self._hold(data, position, start, frame_end, reads, pieces)
        self._note_size(frame_end - start)
        return frame_end

    def _note_size(self, length: int) -> None:
        self._message_size = self._message_size + length if self._message_open else 0

    def _stream(
        self, data: bytes, position: int, pieces: list[Piece], splice: Splice | None = None
    ) -> int:
        """Pass on what is here of the frame in progress; return where the rest begins.

        Chunks of a masked frame are multiples of four bytes, so that its key fits them all.
        """
        streaming = self._streaming
        if streaming is None:
            return position
        size = min(streaming.left, len(data) - position)
        last = size == streaming.left
        if streaming.key is not None and not last:
            size -= size % 4
        if size == 0 and not last:
            return position
        end = position + size
        first = streaming.opcode | (FIN if last and streaming.fin else 0)
        payload = data[position:end]
        if splice is not None:
            payload = payload[: splice.start] + splice.replacement + payload[splice.end :]
        chunk = self._reframed(first, payload, streaming.key)
        message_open = not last or self._message_open
        pieces.append(Run(chunk, streaming.events, message_open))
        streaming.opcode, streaming.events = CONTINUATION, 0
        streaming.left -= size
        if last:
            self._streaming = None
        return end

    def _reframed(self, first: int, payload: bytes, key: bytes | None) -> bytes:
        """Frame a payload that is masked with ``key`` as it is, or with a fresh key."""
        if key is not None and self._remask:
            fresh = secrets.token_bytes(4)
            both = bytes(old ^ new for old, new in zip(key, fresh, strict=True))
            return build_header(first, len(payload), fresh) + mask(payload, both)
        return build_header(first, len(payload), key) + payload

    def _hold(
        self,
        data: bytes,
        position: int,
        start: int,
        frame_end: int,
        reads: Reads,
        pieces: list[Piece],
    ) -> None:
        """Take a whole frame of a message that is to be read, or may have to be."""
        first = data[position]
        raw = data[position:frame_end]
        payload = data[start:frame_end]
        if self._masked:
            key = data[start - 4 : start]
            if self._remask:
                raw = self._reframed(first, payload, key)
            payload = mask(payload, key)
        held = self._held
        if held is None:
            if first >= FIN:
                self._give(Message(first & 0x0F, payload, raw), pieces)
                return
            held = self._held = _Held(first & 0x0F)
        held.payload += payload
        held.reads = reads
        if first >= FIN:
            self._held = None
            payload = bytes(held.payload)
            raw = build_frame(held.opcode, payload, masked=self._masked)
            self._give(Message(held.opcode, payload, raw), pieces)

    def _give(self, message: Message, pieces: list[Piece]) -> None:
        """Give a message that is read; the first one may change the rule."""
        pieces.append(message)
        if self._after_first is not None:
            self._needs_reading, self._after_first = self._after_first, None

    def _release_held(self, pieces: list[Piece]) -> None:
        """Let fragments go on that were kept back only until their message was known."""
        held, self._held = self._held, None
        if held is not None:
            raw = build_frame(held.opcode, held.payload, masked=self._masked, fin=False)
            pieces.append(Run(raw, 1, message_open=True))

    def _control(
        self, opcode: int, data: bytes, position: int, start: int, frame_end: int
    ) -> Control | Close:
        raw = data[position:frame_end]
        payload = data[start:frame_end]
        if self._masked:
            payload = mask(payload, data[start - 4 : start])
        return read_close(payload, raw) if opcode == CLOSE else Control(opcode, payload, raw)


def _spliced_head(first: int, data: bytes, start: int, frame_end: int, splice: Splice) -> bytes:
    """Return what takes the place of a whole frame up to the end of the replaced bytes."""
    begin, end, replacement, _ = splice
    length = frame_end - start - end + begin + len(replacement)
    return build_header(first, length, None) + data[start : start + begin] + replacement
