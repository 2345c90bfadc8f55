"""Facts about how the bytes of a leg are cut into pieces.

What comes out is read again by another implementation (wsproto), so that it is
not our own idea of a frame that is tested here.
"""

import gc
import types
from collections.abc import Iterable, Iterator
from itertools import cycle

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from wsproto.frame_protocol import FrameProtocol

from rt_proxy.realtime.framereader import (
    PEEK_BYTES,
    WHOLE_FRAME_BYTES,
    FrameReader,
    NeedsReading,
)
from rt_proxy.realtime.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Close,
    Control,
    Fault,
    FaultKind,
    Message,
    Piece,
    Run,
    build_frame,
)
from rt_proxy.realtime.peek import Lanes

RULE = Lanes({"read.me"})
PASSES = b'{"type":"pass.on","delta":"'
READ = b'{"type":"read.me","text":"'
ODD = b'{"item":{"type":"pass.on"},"type":"pass.on","text":"'
#: Sizes around each form of the length field and around the limits of the reader.
SIZES = [0, 1, 2, 125, 126, 127, 1_023, 1_025, 65_523, 65_535, 65_536, 65_537, 70_003, 200_001]


@attrs.frozen
class Sent:
    """What a peer sends, and what it means."""

    wire: bytes
    ends: frozenset[int]
    messages: list[tuple[int, bytes]]
    #: Each control frame, and how many messages had ended before it.
    controls: list[tuple[int, bytes, int]]


@attrs.define
class Peer:
    """A peer that writes frames, with another implementation's writer."""

    masked: bool
    wire: bytearray = attrs.field(factory=bytearray)
    ends: list[int] = attrs.field(factory=lambda: [0])
    messages: list[tuple[int, bytes]] = attrs.field(factory=list)
    controls: list[tuple[int, bytes, int]] = attrs.field(factory=list)

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        """Write one frame."""
        self.wire += frame(opcode, payload, fin=fin, masked=self.masked)
        self.ends.append(len(self.wire))

    def control(self, opcode: int, payload: bytes) -> None:
        """Write a ping or a pong."""
        self.frame(opcode, payload)
        self.controls.append((opcode, payload, len(self.messages)))

    def message(self, opcode: int, fragments: list[bytes], between: list[list[bytes]]) -> None:
        """Write a message in fragments, with pings between them."""
        for index, fragment in enumerate(fragments):
            last = index == len(fragments) - 1
            self.frame(CONTINUATION if index else opcode, fragment, fin=last)
            for payload in [] if last else between[index % len(between)] if between else []:
                self.control(PING, payload)
        self.messages.append((opcode, b"".join(fragments)))

    def sent(self) -> Sent:
        """Return all that was written."""
        return Sent(bytes(self.wire), frozenset(self.ends), self.messages, self.controls)


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return a frame from another implementation's writer."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=masked)


def reader(
    *,
    masked: bool = True,
    rule: NeedsReading = RULE,
    message_bytes: int = 1 << 40,
    parsed_bytes: int = 1 << 30,
    remask: bool = False,
) -> FrameReader:
    """Return a reader with limits that are not in the way."""
    return FrameReader(
        masked=masked,
        needs_reading=rule,
        message_bytes=message_bytes,
        parsed_bytes=parsed_bytes,
        remask=remask,
    )


def cut(wire: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes into chunks of these sizes, over and over."""
    position = 0
    for size in cycle(sizes):
        if position >= len(wire):
            return
        yield wire[position : position + size]
        position += size


def feed_all(frames: FrameReader, wire: bytes, sizes: Iterable[int] | None = None) -> list[Piece]:
    """Feed everything, and return every piece."""
    chunks = [wire] if sizes is None else cut(wire, sizes)
    return [piece for chunk in chunks for piece in frames.feed(chunk)]


@attrs.define
class Onlooker:
    """Stands where the other leg is, and reads what it gets with another implementation.

    After every piece it also gets a ping of ours, and wherever no message is said
    to be open a message of ours: neither may disturb anything.
    """

    masked: bool
    parser: FrameProtocol = attrs.field()
    messages: list[tuple[int, bytes]] = attrs.field(factory=list)
    controls: list[tuple[int, bytes, int]] = attrs.field(factory=list)
    begun: int = 0
    counted: int = 0
    _open: tuple[int, bytearray] | None = None

    @parser.default
    def _make_parser(self) -> FrameProtocol:
        return FrameProtocol(client=not self.masked, extensions=[])

    def take(self, piece: Piece) -> None:
        """Take one piece."""
        match piece:
            case Run(data, events, message_open):
                self.read(bytes(data))
                self.counted += events
            case Message(opcode, payload, raw):
                message_open = False
                self.read(raw)
                self.counted += 1
                assert self.messages[-1] == (opcode, payload)
            case Control(opcode, payload, raw):
                assert raw in (frame(opcode, payload, masked=False), raw)
                self.controls.append((opcode, payload, len(self.messages)))
                self._check_whole(raw)
                return
            case _:
                raise AssertionError(piece)
        assert (self._open is not None) is message_open
        assert self.counted == self.begun
        self._check_whole(build_frame(PING, b"ours", masked=self.masked))
        if not message_open:
            self._check_whole(build_frame(TEXT, b"ours", masked=self.masked))

    def _check_whole(self, raw: bytes) -> None:
        """Read a frame that must be legal here: the bytes before it were whole frames."""
        self.parser.receive_bytes(raw)
        (only,) = self.parser.received_frames()
        assert only.frame_finished
        assert only.message_finished

    def read(self, data: bytes) -> None:
        """Read frames that were passed on."""
        self.parser.receive_bytes(data)
        for part in self.parser.received_frames():
            payload = part.payload
            assert isinstance(payload, str | bytes | bytearray)
            content = payload.encode() if isinstance(payload, str) else bytes(payload)
            if self._open is None:
                self.begun += 1
                self._open = (int(part.opcode), bytearray())
            opcode, gathered = self._open
            gathered += content
            if part.message_finished:
                self.messages.append((opcode, bytes(gathered)))
                self._open = None


def onlooker_of(pieces: Iterable[Piece], *, masked: bool) -> Onlooker:
    """Return an onlooker that has seen these pieces."""
    onlooker = Onlooker(masked)
    for piece in pieces:
        onlooker.take(piece)
    return onlooker


def kept(frames: FrameReader) -> int:
    """Count the bytes that a reader holds, whatever it holds them in."""
    seen: set[int] = set()
    waiting: list[object] = [frames]
    total = 0
    while waiting:
        thing = waiting.pop()
        shared = type | types.FunctionType | types.ModuleType | Lanes
        if id(thing) in seen or isinstance(thing, shared):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes | bytearray | memoryview):
            total += len(thing)
        waiting += gc.get_referents(thing)
    return total


_PING_PAYLOADS = st.binary(max_size=125)


@st.composite
def payloads(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> bytes:
    """Draw a payload: of a type that passes, one that is read, one that proves nothing."""
    start = draw(st.sampled_from([PASSES, READ, ODD, b" \r\n" + PASSES, b"[", b"plain"]))
    size = draw(sizes)
    return (start + b"A" * max(0, size - len(start)))[:size]


@st.composite
def sendings(draw: st.DrawFn, sizes: st.SearchStrategy[int], most: int) -> Sent:
    """Draw what a peer may send: messages, whole and in fragments, and pings anywhere."""
    peer = Peer(draw(st.booleans()))
    for _ in range(draw(st.integers(1, most))):
        for _ in range(draw(st.integers(0, 1))):
            peer.control(draw(st.sampled_from([PING, PONG])), draw(_PING_PAYLOADS))
        payload = draw(payloads(sizes))
        near = st.integers(0, min(len(payload), 60))
        places = sorted(draw(st.lists(near | st.integers(0, len(payload)), max_size=4)))
        fragments = [
            payload[start:end]
            for start, end in zip([0, *places], [*places, len(payload)], strict=True)
        ]
        opcode = draw(st.sampled_from([TEXT, TEXT, TEXT, BINARY]))
        peer.message(opcode, fragments, draw(st.lists(st.lists(_PING_PAYLOADS, max_size=2))))
    return peer.sent()


SMALL = sendings(st.integers(0, 400) | st.sampled_from([1_023, 1_025, 2_000]), 6)
LARGE = sendings(st.sampled_from(SIZES), 3)


def masked_of(sent: Sent) -> bool:
    """Whether the peer masked its frames."""
    return bool(sent.wire[1] & 0x80)


class TestWhatGoesOn:
    """Whatever the cutting, the other side gets the same messages in the same order."""

    @given(SMALL, st.lists(st.integers(1, 300), min_size=1), st.booleans())
    def test_small_frames_in_any_cutting(self, sent: Sent, sizes: list[int], remask: bool) -> None:
        """Payloads, order and pings are kept; no ping of ours or theirs ever tears a frame."""
        frames = reader(masked=masked_of(sent), remask=remask and masked_of(sent))
        onlooker = onlooker_of(feed_all(frames, sent.wire, sizes), masked=masked_of(sent))
        assert onlooker.messages == sent.messages
        assert onlooker.controls == sent.controls
        assert not frames.mid_frame

    @settings(max_examples=60)
    @given(LARGE, st.lists(st.integers(1, 90_000), min_size=1), st.booleans())
    def test_large_frames_in_any_cutting(self, sent: Sent, sizes: list[int], remask: bool) -> None:
        """The same is true for frames that go on in pieces."""
        sizes = [max(sizes), *sizes, 65_536]
        frames = reader(masked=masked_of(sent), remask=remask and masked_of(sent))
        onlooker = onlooker_of(feed_all(frames, sent.wire, sizes), masked=masked_of(sent))
        assert onlooker.messages == sent.messages
        assert onlooker.controls == sent.controls
        assert not frames.mid_frame

    @given(SMALL)
    def test_byte_by_byte_is_as_good_as_all_at_once(self, sent: Sent) -> None:
        """How TCP cuts the bytes makes no difference to what is read and what goes on."""
        masked = masked_of(sent)
        slow = onlooker_of(feed_all(reader(masked=masked), sent.wire, [1]), masked=masked)
        fast = onlooker_of(feed_all(reader(masked=masked), sent.wire), masked=masked)
        assert (slow.messages, slow.controls) == (fast.messages, fast.controls)
        assert slow.counted == fast.counted == len(sent.messages)

    @pytest.mark.parametrize("size", [66_000, 20_000])
    @pytest.mark.parametrize("masked", [False, True])
    def test_a_large_frame_byte_by_byte(self, masked: bool, size: int) -> None:
        """A frame that trickles in goes on all the same, as fragments or whole."""
        payload = PASSES + bytes(65 + i % 26 for i in range(size))
        pieces = feed_all(reader(masked=masked), frame(TEXT, payload, masked=masked), [1])
        assert (len(pieces) == 1) is (size < WHOLE_FRAME_BYTES)
        out = b"".join(bytes(piece.data) for piece in pieces if isinstance(piece, Run))
        onlooker = Onlooker(masked)
        onlooker.read(out)
        assert onlooker.messages == [(TEXT, payload)]

    @given(SMALL)
    def test_what_must_be_read_is_what_the_rule_says(self, sent: Sent) -> None:
        """A message comes whole exactly where the rule wants to read it; binary never does."""
        pieces = feed_all(reader(masked=masked_of(sent)), sent.wire, [7])
        read = [piece.payload for piece in pieces if isinstance(piece, Message)]
        assert read == [
            payload for opcode, payload in sent.messages if opcode == TEXT and RULE(payload, True)
        ]

    @given(st.lists(st.integers(0, 3_000), min_size=1, max_size=8), st.booleans())
    def test_whole_frames_go_on_untouched(self, sizes: list[int], masked: bool) -> None:
        """Frames that need no reading are not changed by a bit, their mask included."""
        wire = b"".join(frame(TEXT, PASSES + b"A" * size, masked=masked) for size in sizes)
        pieces = feed_all(reader(masked=masked), wire, [1_000])
        runs = [bytes(piece.data) for piece in pieces if isinstance(piece, Run)]
        assert len(runs) == len(pieces)
        assert b"".join(runs) == wire

    def test_neighbours_go_on_as_one(self) -> None:
        """Frames that arrive together and go on untouched are one run, and not copied."""
        wire = frame(TEXT, PASSES + b'A"}') * 10
        assert reader().feed(wire) == [Run(wire, 10)]
        assert reader().feed(wire)[0].data is wire

    def test_a_message_that_is_read_has_its_frame_with_it(self) -> None:
        """A message in one frame brings the frame as it came."""
        wire = frame(TEXT, READ)
        assert reader().feed(wire) == [Message(TEXT, READ, wire)]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_without_a_rule_everything_is_read(self, opcode: int) -> None:
        """The default is to give every message whole, binary ones and fragments too."""
        frames = FrameReader(masked=True, message_bytes=100, parsed_bytes=100)
        wire = frame(opcode, PASSES)
        assert frames.feed(wire) == [Message(opcode, PASSES, wire)]
        assert frames.feed(frame(opcode, b"a", fin=False)) == []
        (message,) = frames.feed(frame(CONTINUATION, b"b"))
        assert isinstance(message, Message)
        assert (message.opcode, message.payload) == (opcode, b"ab")


LANES = Lanes()
LANES.lay(
    {"read.me"},
    large={"read.large"},
    small={"read.small"},
    renamed={"long.name.of.an.event": "s", "s.name": "a.much.longer.name.of.an.event"},
)
SHORTENED = b'{"type":"long.name.of.an.event","delta":"'
LENGTHENED = b' { "event_id" : "e1", "type" : "s.name" ,"delta":"'
RENAMED = {
    b'"long.name.of.an.event"': b'"s"',
    b'"s.name"': b'"a.much.longer.name.of.an.event"',
}
LARGE_START = b'{"type":"read.large","item":"'
SMALL_START = b'{"type":"read.small","item":"'


def filled(start: bytes, size: int) -> bytes:
    """Return a payload of so many bytes that starts so."""
    return (start + bytes(65 + i % 26 for i in range(size)))[:size]


def renamed(payload: bytes) -> bytes:
    """Return a payload with its type replaced."""
    for old, new in RENAMED.items():
        payload = payload.replace(old, new, 1)
    return payload


def data_of(pieces: Iterable[Piece]) -> bytes:
    """Return the bytes of pieces that are all runs."""
    data = b""
    for piece in pieces:
        assert isinstance(piece, Run)
        data += bytes(piece.data)
    return data


@st.composite
def renamed_sendings(draw: st.DrawFn, sizes: st.SearchStrategy[int], most: int) -> Sent:
    """Draw what a server may send, some of it with types that are replaced."""
    peer = Peer(masked=False)
    starts = [SHORTENED, LENGTHENED, SHORTENED, LENGTHENED, PASSES, READ, LARGE_START, SMALL_START]
    for _ in range(draw(st.integers(1, most))):
        for _ in range(draw(st.integers(0, 1))):
            peer.control(draw(st.sampled_from([PING, PONG])), draw(_PING_PAYLOADS))
        payload = filled(draw(st.sampled_from(starts)), draw(sizes))
        places = []
        if draw(st.integers(0, 2)) == 0:
            near = st.integers(0, min(len(payload), 60))
            places = sorted(draw(st.lists(near | st.integers(0, len(payload)), max_size=4)))
        fragments = [
            payload[start:end]
            for start, end in zip([0, *places], [*places, len(payload)], strict=True)
        ]
        peer.message(TEXT, fragments, draw(st.lists(st.lists(_PING_PAYLOADS, max_size=2))))
    return peer.sent()


class TestSplice:
    """Of a server's frames a few bytes are replaced in passing; nothing else of them changes."""

    @pytest.mark.parametrize("start", [SHORTENED, LENGTHENED])
    @pytest.mark.parametrize(
        "sizes", [range(60, 180), range(65_480, 65_600)], ids=["around 126", "around 65536"]
    )
    def test_the_header_fits_the_new_length(self, start: bytes, sizes: range) -> None:
        """The length is in its shortest form, whichever limit the frame is made to cross."""
        for size in sizes:
            payload = filled(start, size)
            pieces = reader(masked=False, rule=LANES).feed(frame(TEXT, payload, masked=False))
            assert pieces == [Run(frame(TEXT, renamed(payload), masked=False), 1)]

    @pytest.mark.parametrize("opcode_of_neighbour", [TEXT, BINARY])
    def test_neighbours_go_on_as_one(self, opcode_of_neighbour: int) -> None:
        """Frames before, between and behind are in the same run, untouched and counted."""
        plain = frame(opcode_of_neighbour, PASSES + b'A"}', masked=False)
        payloads = [SHORTENED + b'A"}', LENGTHENED + b'"}']
        first, second = (frame(TEXT, payload, masked=False) for payload in payloads)
        new_first, new_second = (frame(TEXT, renamed(one), masked=False) for one in payloads)
        for order in ("psqp", "sqps", "ss", "pps", "spp", "p", "s", "q"):
            wire = b"".join({"p": plain, "s": first, "q": second}[one] for one in order)
            new = b"".join({"p": plain, "s": new_first, "q": new_second}[one] for one in order)
            assert reader(masked=False, rule=LANES).feed(wire) == [Run(new, len(order))]

    def test_between_other_pieces(self) -> None:
        """What is read, and control frames, keep their place among them."""
        spliced = frame(TEXT, SHORTENED + b'"}', masked=False)
        new = frame(TEXT, renamed(SHORTENED) + b'"}', masked=False)
        read = frame(TEXT, READ, masked=False)
        ping = frame(PING, b"p", masked=False)
        close = frame(CLOSE, b"\x03\xe8", masked=False)
        wire = spliced + ping + spliced + spliced + read + spliced + close
        for cuts in (None, [1], [5], [40]):
            pieces = feed_all(reader(masked=False, rule=LANES), wire, cuts)
            others = [piece for piece in pieces if not isinstance(piece, Run)]
            assert others == [
                Control(PING, b"p", ping),
                Message(TEXT, READ, read),
                Close(1000, "", close),
            ]
            around = [
                b"".join(bytes(piece.data) for piece in pieces[start:end] if isinstance(piece, Run))
                for start, end in zip(
                    [0, *(pieces.index(other) for other in others)],
                    [*(pieces.index(other) for other in others), len(pieces)],
                    strict=True,
                )
            ]
            assert around == [new, new + new, new, b""]

    def test_the_rest_of_the_next_frame(self) -> None:
        """A frame that has only begun stays in the reader, and is spliced when it is whole."""
        wire = frame(TEXT, SHORTENED + b'"}', masked=False)
        new = frame(TEXT, renamed(SHORTENED) + b'"}', masked=False)
        for size in range(len(wire)):
            frames = reader(masked=False, rule=LANES)
            assert frames.feed(wire + wire[:size]) == [Run(new, 1)]
            assert frames.mid_frame is (size > 0)
            assert frames.feed(wire[size:]) == [Run(new, 1)]
            assert not frames.mid_frame

    def test_before_a_fault(self) -> None:
        """What was spliced before a fault still goes on."""
        wire = frame(TEXT, SHORTENED + b'"}', masked=False)
        new = frame(TEXT, renamed(SHORTENED) + b'"}', masked=False)
        run, fault = reader(masked=False, rule=LANES).feed(wire + b"\xf1\x00")
        assert run == Run(new, 1)
        assert isinstance(fault, Fault)

    @pytest.mark.parametrize("start", [SHORTENED, LENGTHENED])
    @pytest.mark.parametrize("size", [65_400, 65_537, 66_000, 300_000])
    @pytest.mark.parametrize("cuts", [[1_000], [70, 9_000], [65_536], [400_000]])
    def test_large_frames(self, start: bytes, size: int, cuts: list[int]) -> None:
        """A frame that goes on as it arrives is spliced in its first fragment."""
        payload = filled(start, size)
        frames = reader(masked=False, rule=LANES)
        pieces = feed_all(frames, frame(TEXT, payload, masked=False), cuts)
        assert onlooker_of(pieces, masked=False).messages == [(TEXT, renamed(payload))]
        assert not frames.mid_frame
        if size > WHOLE_FRAME_BYTES and cuts == [1_000]:
            assert len(pieces) > 10

    @pytest.mark.parametrize("start", [SHORTENED, LENGTHENED])
    def test_a_large_frame_byte_by_byte(self, start: bytes) -> None:
        """No byte is lost where it is cut in its header, its type, or anywhere."""
        payload = filled(start, 66_000)
        frames = reader(masked=False, rule=LANES)
        pieces = feed_all(frames, frame(TEXT, payload, masked=False), [1])
        onlooker = Onlooker(masked=False)
        onlooker.read(data_of(pieces))
        assert onlooker.messages == [(TEXT, renamed(payload))]

    def test_a_large_frame_is_never_gathered(self) -> None:
        """It takes no more memory than one that is not spliced."""
        frames = reader(masked=False, rule=LANES)
        for chunk in cut(frame(TEXT, filled(SHORTENED, 500_000), masked=False), [1_000]):
            frames.feed(chunk)
            assert kept(frames) <= WHOLE_FRAME_BYTES + 64

    @pytest.mark.parametrize("start", [SHORTENED, LENGTHENED])
    @pytest.mark.parametrize("first", [60, 70_000])
    @pytest.mark.parametrize("cuts", [None, [1], [64]])
    def test_a_message_whose_first_fragment_shows_its_type(
        self, start: bytes, first: int, cuts: list[int] | None
    ) -> None:
        """It goes on as the fragments that it came in, and pings between them pass."""
        payload = filled(start, 100 + (first if cuts != [1] else 60))
        peer = Peer(masked=False)
        peer.message(TEXT, [payload[:60], payload[60:80], payload[80:]], [[b"p"]])
        sent = peer.sent()
        pieces = feed_all(reader(masked=False, rule=LANES), sent.wire, cuts)
        onlooker = onlooker_of(pieces, masked=False)
        assert onlooker.messages == [(TEXT, renamed(payload))]
        assert onlooker.controls == sent.controls
        assert not any(isinstance(piece, Message) for piece in pieces)

    @pytest.mark.parametrize("start", [SHORTENED, LENGTHENED])
    def test_a_message_whose_type_is_torn(self, start: bytes) -> None:
        """It is read: what is to be replaced is not in one frame."""
        payload = start + b'"}'
        shown = payload.index(b"name") + 2
        for cuts in (None, [1]):
            wire = frame(TEXT, payload[:shown], fin=False, masked=False)
            wire += frame(CONTINUATION, payload[shown:], masked=False)
            pieces = feed_all(reader(masked=False, rule=LANES), wire, cuts)
            assert pieces == [Message(TEXT, payload, frame(TEXT, payload, masked=False))]

    def test_a_torn_message_that_is_too_large_to_read(self) -> None:
        """It goes on as it is: a session does not end of it."""
        frames = reader(masked=False, rule=LANES, parsed_bytes=100)
        payload = filled(SHORTENED, 200)
        assert frames.feed(frame(TEXT, payload[:10], fin=False, masked=False)) == []
        pieces = frames.feed(frame(CONTINUATION, payload[10:], masked=False))
        assert onlooker_of(pieces, masked=False).messages == [(TEXT, payload)]

    def test_what_is_spliced_is_not_parsed(self) -> None:
        """The limit on what is read is not in its way; that on any message is."""
        wire = frame(TEXT, filled(SHORTENED, 200), masked=False)
        (run,) = reader(masked=False, rule=LANES, parsed_bytes=100).feed(wire)
        assert isinstance(run, Run)
        (fault,) = reader(masked=False, rule=LANES, message_bytes=199).feed(wire)
        assert isinstance(fault, Fault)
        (run,) = reader(masked=False, rule=LANES, message_bytes=200).feed(wire)
        assert isinstance(run, Run)

    @pytest.mark.parametrize("remask", [False, True])
    def test_a_client_is_read(self, remask: bool) -> None:
        """What is masked is not spliced: somebody else has to replace it."""
        payload = filled(SHORTENED, 300)
        for cuts in (None, [1], [50]):
            frames = reader(rule=LANES, remask=remask)
            (message,) = feed_all(frames, frame(TEXT, payload), cuts)
            assert isinstance(message, Message)
            assert message.payload == payload
        pieces = reader(rule=LANES, parsed_bytes=299).feed(frame(TEXT, payload))
        assert onlooker_of(pieces, masked=True).messages == [(TEXT, payload)]

    def test_binary_messages_are_not_spliced(self) -> None:
        """They are no events, whatever is in them."""
        wire = frame(BINARY, SHORTENED, masked=False)
        assert reader(masked=False, rule=LANES).feed(wire) == [Run(wire, 1)]

    @given(
        renamed_sendings(st.integers(0, 400) | st.sampled_from([1_023, 1_025]), 6),
        st.lists(st.integers(1, 300), min_size=1),
    )
    def test_small_frames_in_any_cutting(self, sent: Sent, sizes: list[int]) -> None:
        """Each message goes on with its type replaced, or is read as it is; order is kept."""
        check_renamed(sent, sizes)

    @settings(max_examples=60)
    @given(
        renamed_sendings(st.sampled_from(SIZES), 3), st.lists(st.integers(1, 90_000), min_size=1)
    )
    def test_large_frames_in_any_cutting(self, sent: Sent, sizes: list[int]) -> None:
        """The same is true for frames that go on in pieces."""
        check_renamed(sent, [max(sizes), *sizes, 65_536])


def check_renamed(sent: Sent, sizes: list[int]) -> None:
    """Check that what passes is spliced, and that what is not is read as it is."""
    frames = reader(masked=False, rule=LANES)
    pieces = feed_all(frames, sent.wire, sizes)
    onlooker = onlooker_of(pieces, masked=False)
    read = [piece.payload for piece in pieces if isinstance(piece, Message)]
    for (_, got), (_, payload) in zip(onlooker.messages, sent.messages, strict=True):
        assert got in (payload, renamed(payload))
        if got != renamed(payload):
            assert got in read
    assert onlooker.controls == sent.controls
    assert onlooker.counted == len(sent.messages)
    assert not frames.mid_frame


class TestLargeReading:
    """A few types are read up to four times the size: nobody can ask a server for less of them."""

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("cuts", [None, [1_000], [13, 70_000]])
    def test_over_parsed_bytes(self, masked: bool, cuts: list[int] | None) -> None:
        """Such a message is given whole where another one of its size is refused."""
        frames = reader(masked=masked, rule=LANES, parsed_bytes=50_000)
        payload = filled(LARGE_START, 200_000)
        wire = frame(TEXT, payload, masked=masked)
        assert feed_all(frames, wire, cuts) == [Message(TEXT, payload, wire)]
        *_, fault = feed_all(frames, frame(TEXT, filled(READ, 50_001), masked=masked), cuts)
        assert isinstance(fault, Fault)

    @pytest.mark.parametrize("cuts", [None, [1_000], [13, 70_000]])
    def test_far_too_large(self, cuts: list[int] | None) -> None:
        """Over four times the size it goes on unread, and is not gathered."""
        frames = reader(masked=False, rule=LANES, parsed_bytes=50_000)
        payload = filled(LARGE_START, 200_001)
        pieces = feed_all(frames, frame(TEXT, payload, masked=False), cuts)
        assert not any(isinstance(piece, Message) for piece in pieces)
        assert onlooker_of(pieces, masked=False).messages == [(TEXT, payload)]

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("places", [[100, 5_000], [10, 5_000], [0, 0, 3, 300], [150_000]])
    @pytest.mark.parametrize("cuts", [None, [999]])
    def test_in_fragments(self, masked: bool, places: list[int], cuts: list[int] | None) -> None:
        """However it comes, and wherever its type is torn."""
        payload = filled(LARGE_START, 200_000)
        fragments = [
            payload[start:end]
            for start, end in zip([0, *places], [*places, len(payload)], strict=True)
        ]
        peer = Peer(masked)
        peer.message(TEXT, fragments, [[b"p"]])
        sent = peer.sent()
        frames = reader(masked=masked, rule=LANES, parsed_bytes=50_000)
        pieces = feed_all(frames, sent.wire, cuts)
        messages = [piece for piece in pieces if not isinstance(piece, Control)]
        (message,) = messages
        assert isinstance(message, Message)
        assert message.payload == payload
        assert len(pieces) - 1 == len(sent.controls)
        assert kept(frames) == 0

    def test_the_next_message_is_not_large(self) -> None:
        """The exception ends with its message."""
        frames = reader(masked=False, rule=LANES, parsed_bytes=100)
        frames.feed(frame(TEXT, filled(LARGE_START, 50), fin=False, masked=False))
        (message,) = frames.feed(frame(CONTINUATION, bytes(300), masked=False))
        assert isinstance(message, Message)
        assert frames.feed(frame(TEXT, READ, fin=False, masked=False)) == []
        (fault,) = frames.feed(frame(CONTINUATION, bytes(500), masked=False))
        assert isinstance(fault, Fault)

    @pytest.mark.parametrize("fin", [True, False])
    def test_but_not_over_message_bytes(self, fin: bool) -> None:
        """The limit on any message holds, by its header alone."""
        frames = reader(masked=False, rule=LANES, parsed_bytes=100, message_bytes=1_000)
        wire = frame(TEXT, filled(LARGE_START, 1_001), masked=False)
        if not fin:
            assert frames.feed(frame(TEXT, LARGE_START, fin=False, masked=False)) == []
            wire = frame(CONTINUATION, bytes(1_001 - len(LARGE_START)), masked=False)
        (fault,) = frames.feed(wire[:60])
        assert fault == Fault(FaultKind.TOO_BIG, 1009, "The message is larger than 1000 bytes.")


class TestSmallReading:
    """A few types are read unless they are too large: then they go on, for others to judge."""

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("cuts", [None, [1], [13]])
    def test_up_to_parsed_bytes(self, masked: bool, cuts: list[int] | None) -> None:
        """The limit itself is read."""
        frames = reader(masked=masked, rule=LANES, parsed_bytes=100)
        payload = filled(SMALL_START, 100)
        wire = frame(TEXT, payload, masked=masked)
        assert feed_all(frames, wire, cuts) == [Message(TEXT, payload, wire)]

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("size", [101, 70_000, 200_000])
    @pytest.mark.parametrize("cuts", [None, [999], [13, 70_000]])
    def test_over_parsed_bytes(self, masked: bool, size: int, cuts: list[int] | None) -> None:
        """Such a message goes on unread, and is not gathered."""
        frames = reader(masked=masked, rule=LANES, parsed_bytes=100)
        payload = filled(SMALL_START, size)
        pieces = feed_all(frames, frame(TEXT, payload, masked=masked), cuts)
        assert not any(isinstance(piece, Message) for piece in pieces)
        assert onlooker_of(pieces, masked=masked).messages == [(TEXT, payload)]
        assert kept(frames) == 0

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("places", [[50], [10, 60], [0, 0, 3, 90], [50, 100]])
    @pytest.mark.parametrize("cuts", [None, [7]])
    @pytest.mark.parametrize("size", [100, 101, 300])
    def test_in_fragments(
        self, masked: bool, places: list[int], cuts: list[int] | None, size: int
    ) -> None:
        """What was kept back of it goes on before the rest, in order; the limit is on the whole."""
        payload = filled(SMALL_START, size)
        fragments = [
            payload[start:end]
            for start, end in zip([0, *places], [*places, len(payload)], strict=True)
        ]
        peer = Peer(masked)
        peer.message(TEXT, fragments, [[b"p"]])
        peer.message(TEXT, [PASSES], [])
        sent = peer.sent()
        frames = reader(masked=masked, rule=LANES, parsed_bytes=100)
        pieces = feed_all(frames, sent.wire, cuts)
        onlooker = onlooker_of(pieces, masked=masked)
        assert onlooker.messages == sent.messages
        assert [piece.payload for piece in pieces if isinstance(piece, Message)] == (
            [payload] if size == 100 else []
        )
        assert kept(frames) == 0


class TestRemask:
    """Frames that go on may get a fresh mask (RFC 6455, 10.3)."""

    @pytest.mark.parametrize("start", [PASSES, READ])
    @pytest.mark.parametrize("cuts", [[1], [10], [100], [200_000]])
    def test_nothing_the_client_chose_is_on_the_wire(self, start: bytes, cuts: list[int]) -> None:
        """No sixteen bytes in a row are those that the client sent."""
        payload = start + b"A" * 1_000
        wire = frame(TEXT, payload[:500], fin=False) + frame(CONTINUATION, payload[500:])
        pieces = feed_all(reader(remask=True), wire, cuts)
        assert onlooker_of(pieces, masked=True).messages == [(TEXT, payload)]
        out = b"".join(bytes(p.data if isinstance(p, Run) else p.raw) for p in pieces)  # type: ignore[union-attr]  # no other piece is here
        assert not any(wire[i : i + 16] in out for i in range(len(wire) - 16))

    def test_chunks_of_a_large_frame_have_their_own_keys(self) -> None:
        """Each fragment that a large frame is cut into is masked with another key."""
        wire = frame(BINARY, bytes(300_000))
        pieces = feed_all(reader(remask=True), wire, [65_536])
        keys = {bytes(piece.data)[-4:] for piece in pieces if isinstance(piece, Run)}
        assert len(keys) == len(pieces) > 3
        assert onlooker_of(pieces, masked=True).messages == [(BINARY, bytes(300_000))]


class TestMemory:
    """A reader holds little, however large the messages are."""

    @settings(max_examples=40)
    @given(st.integers(0, 3_000_000), st.lists(st.integers(1, 100_000), min_size=1), st.booleans())
    def test_what_passes_is_never_gathered(self, size: int, sizes: list[int], masked: bool) -> None:
        """In the pass lane at most one frame of 64 KiB is held, whatever is on its way."""
        frames = reader(masked=masked)
        wire = frame(TEXT, (PASSES + b"A" * size)[: max(size, 40)], masked=masked)
        for chunk in cut(wire, [*sizes, 65_536]):
            frames.feed(chunk)
            assert kept(frames) <= WHOLE_FRAME_BYTES + 64

    def test_a_frame_of_64_kib_is_waited_for_and_a_larger_one_is_not(self) -> None:
        """Up to the limit a frame goes on whole; over it, as it arrives."""
        whole = frame(TEXT, PASSES + b"A" * (WHOLE_FRAME_BYTES - 8 - len(PASSES)))
        assert len(whole) == WHOLE_FRAME_BYTES
        assert reader().feed(whole[:-1]) == []
        larger = frame(TEXT, PASSES + b"A" * (WHOLE_FRAME_BYTES - 7 - len(PASSES)))
        (piece,) = reader().feed(larger[:1_000])
        assert isinstance(piece, Run)
        assert piece.message_open

    @pytest.mark.parametrize("start", [b"", b"{", READ])
    def test_empty_fragments_take_no_memory(self, start: bytes) -> None:
        """A message of endless empty fragments does not grow while it is held back."""
        frames = reader()
        frames.feed(frame(TEXT, start, fin=False))
        for _ in range(2_000):
            assert frames.feed(frame(CONTINUATION, b"", fin=False)) == []
        assert kept(frames) <= 100

    def test_idle_means_empty(self) -> None:
        """Between messages a reader holds nothing."""
        frames = reader()
        feed_all(frames, frame(TEXT, PASSES + bytes(70_000)) + frame(TEXT, READ), [1_000])
        assert kept(frames) == 0


class TestTooBig:
    """What is too big is told from its header, before it takes memory."""

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("size", [101, 70_000, (1 << 63) - 1])
    def test_over_message_bytes_by_the_header_alone(self, masked: bool, size: int) -> None:
        """The header is enough; not one byte of the payload has come."""
        frames = reader(masked=masked, message_bytes=100)
        header = build_header_only(BINARY, size, masked=masked)
        assert frames.feed(header[:-1]) == []
        (fault,) = frames.feed(header[-1:])
        assert fault == Fault(FaultKind.TOO_BIG, 1009, "The message is larger than 100 bytes.")

    def test_exactly_message_bytes_is_not_too_big(self) -> None:
        """The limit itself is allowed."""
        wire = frame(BINARY, bytes(100))
        assert reader(message_bytes=100).feed(wire) == [Run(wire, 1)]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("start", [PASSES, READ])
    def test_fragments_count_together(self, opcode: int, start: bytes) -> None:
        """The limit is on the message, not on each of its frames, and starts anew with the next."""
        frames = reader(message_bytes=100)
        for _ in range(3):
            pieces = frames.feed(frame(opcode, start, fin=False))
            pieces += frames.feed(frame(CONTINUATION, bytes(100 - len(start))))
            assert not any(isinstance(piece, Fault) for piece in pieces)
        frames.feed(frame(opcode, start, fin=False))
        (fault,) = frames.feed(build_header_only(CONTINUATION, 101 - len(start), masked=True))
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.TOO_BIG

    def test_over_parsed_bytes_only_where_it_must_be_read(self) -> None:
        """What passes may be larger than what is read."""
        passing = frame(TEXT, PASSES + bytes(200))
        assert reader(parsed_bytes=100).feed(passing) == [Run(passing, 1)]
        (fault,) = reader(parsed_bytes=100).feed(frame(TEXT, READ + bytes(200))[:50])
        assert fault == Fault(FaultKind.TOO_BIG, 1009, "The message is larger than 100 bytes.")

    def test_over_parsed_bytes_in_fragments(self) -> None:
        """A message that must be read is counted over its fragments, by their headers."""
        frames = reader(parsed_bytes=100)
        assert frames.feed(frame(TEXT, READ, fin=False)) == []
        (fault,) = frames.feed(build_header_only(CONTINUATION, 90, masked=True))
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.TOO_BIG

    def test_reading_takes_no_more_than_parsed_bytes(self) -> None:
        """While a large message that must be read arrives, the reader holds that much of it."""
        frames = reader(parsed_bytes=100_000)
        wire = frame(TEXT, (READ + bytes(100_000))[:100_000])
        pieces = []
        for chunk in cut(wire, [1_000]):
            pieces += frames.feed(chunk)
            assert kept(frames) <= 100_014
        (message,) = pieces
        assert isinstance(message, Message)
        assert len(message.payload) == 100_000

    def test_what_came_before_still_goes_on(self) -> None:
        """The frames before one that is too big are not lost."""
        good = frame(TEXT, PASSES)
        pieces = reader(message_bytes=50).feed(good + frame(TEXT, PASSES + bytes(100)))
        assert pieces[0] == Run(good, 1)
        assert isinstance(pieces[1], Fault)
        assert len(pieces) == 2


def build_header_only(opcode: int, size: int, *, masked: bool) -> bytes:
    """Return the header of a frame with FIN."""
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x80 | opcode, mask_bit | size])
    elif size < 65_536:
        head = bytes([0x80 | opcode, mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, mask_bit | 127]) + size.to_bytes(8, "big")
    return head + (b"keys" if masked else b"")


def violates(frames: FrameReader, wire: bytes, code: int = 1002) -> str:
    """Check that these bytes break a rule, and return what is said about it."""
    for good in (frame(TEXT, PASSES), frame(PING, b"")):
        assert not any(isinstance(piece, Fault) for piece in frames.feed(good))
    *_, fault = frames.feed(wire)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.code) == (FaultKind.PROTOCOL, code)
    assert frames.feed(frame(TEXT, PASSES)) == []
    return fault.message


class TestViolations:
    """Each rule of RFC 6455, 5.2 to 5.5, is held; nothing is read after a violation."""

    @pytest.mark.parametrize("bit", [0x10, 0x20, 0x40])
    def test_reserved_bits(self, bit: int) -> None:
        """No extension is ever negotiated, so RSV1 to RSV3 are 0 (5.2)."""
        wire = bytearray(frame(TEXT, PASSES))
        wire[0] |= bit
        assert "reserved bit" in violates(reader(), bytes(wire))

    @pytest.mark.parametrize("opcode", [*range(3, 8), *range(11, 16)])
    def test_unknown_opcodes(self, opcode: int) -> None:
        """Opcodes 3 to 7 and 11 to 15 are reserved (5.2)."""
        message = violates(reader(), bytes([0x80 | opcode, 0x80]))
        assert message == f"The opcode {opcode} is not known."

    def test_a_client_that_does_not_mask(self) -> None:
        """A client must mask (5.1)."""
        assert "must be masked" in violates(reader(), frame(TEXT, PASSES, masked=False))

    @pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
    def test_a_server_that_masks(self, opcode: int) -> None:
        """A server must not mask (5.1), control frames included."""
        frames = reader(masked=False)
        (fault,) = frames.feed(frame(opcode, b"", masked=True))
        assert fault == Fault(FaultKind.PROTOCOL, 1002, "A server must not mask.")

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_a_control_frame_in_fragments(self, opcode: int) -> None:
        """A control frame is whole (5.5)."""
        assert "A control frame" in violates(reader(), bytes([opcode, 0x80]))

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    @pytest.mark.parametrize("length", [126, 127])
    def test_a_control_frame_that_is_too_long(self, opcode: int, length: int) -> None:
        """A control frame carries at most 125 bytes (5.5); two bytes of it are enough to see."""
        assert "125 bytes" in violates(reader(), bytes([0x80 | opcode, 0x80 | length]))

    @pytest.mark.parametrize("opcode", [PING, PONG])
    def test_a_control_frame_of_125_bytes(self, opcode: int) -> None:
        """125 bytes are allowed."""
        wire = frame(opcode, bytes(125))
        assert reader().feed(wire) == [Control(opcode, bytes(125), wire)]

    @pytest.mark.parametrize(
        "length",
        [
            b"\xfe\x00\x00",
            b"\xfe\x00\x7d",
            b"\xff" + bytes(8),
            b"\xff" + (65_535).to_bytes(8, "big"),
        ],
    )
    def test_a_length_that_is_not_minimal(self, length: bytes) -> None:
        """The shortest form must be used (5.2)."""
        assert "shortest" in violates(reader(), b"\x81" + length + b"keys")

    @pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
    def test_a_length_with_the_top_bit(self, length: int) -> None:
        """The most significant bit of a 64-bit length is 0 (5.2)."""
        violates(reader(), b"\x82\xff" + length.to_bytes(8, "big") + b"keys")

    @pytest.mark.parametrize("fin", [False, True])
    def test_a_continuation_of_nothing(self, fin: bool) -> None:
        """A continuation needs a message that is open (5.4)."""
        message = violates(reader(), frame(CONTINUATION, b"x", fin=fin))
        assert message == "The fragments of messages are out of order."

    @pytest.mark.parametrize("first", [PASSES, READ, b"{", b""])
    @pytest.mark.parametrize("second", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [False, True])
    def test_a_message_inside_another(self, first: bytes, second: int, fin: bool) -> None:
        """The fragments of two messages are not mixed (5.4), in whatever lane the first is."""
        wire = frame(TEXT, first, fin=False) + frame(PING, b"") + frame(second, PASSES, fin=fin)
        violates(reader(), wire)

    def test_a_continuation_after_the_last_fragment(self) -> None:
        """The message is over with FIN."""
        wire = frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"") + frame(CONTINUATION, b"")
        violates(reader(), wire)

    def test_a_close_frame_of_one_byte(self) -> None:
        """A body of CLOSE begins with a code of two bytes (5.5.1)."""
        assert violates(reader(), frame(CLOSE, b"\x03")) == "A CLOSE frame of one byte."

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
    def test_a_close_code_that_may_not_be_sent(self, code: int) -> None:
        """Codes that are reserved, or in no range, may not stand in a frame (7.4)."""
        message = violates(reader(), frame(CLOSE, code.to_bytes(2, "big")))
        assert message == f"The close code {code} may not be sent."

    @pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"ok\xc0\xaf"])
    def test_a_close_reason_that_is_not_utf8(self, reason: bytes) -> None:
        """The reason is UTF-8 (5.5.1); else the close code is 1007."""
        violates(reader(), frame(CLOSE, b"\x03\xe8" + reason), 1007)

    @pytest.mark.parametrize("masked", [False, True])
    def test_every_pair_of_first_bytes(self, masked: bool) -> None:
        """Of all 65536 first two bytes exactly the legal ones are taken."""
        for first in range(256):
            opcode, fin = first & 0x0F, first >= 0x80
            for second in range(256):
                legal = (
                    first & 0x70 == 0
                    and opcode in (0, 1, 2, 8, 9, 10)
                    and (second >= 0x80) is masked
                    and (opcode < 8 or (fin and second & 0x7F <= 125))
                )
                if legal and opcode == 0 and not masked and second < 126:
                    continue  # its header is whole: the order of fragments is another rule
                if legal and opcode == 8 and second == 1:
                    continue
                pieces = reader(masked=masked).feed(bytes([first, second]))
                assert any(isinstance(piece, Fault) for piece in pieces) is not legal

    @pytest.mark.parametrize("cuts", [[1], [3], [100_000]])
    def test_what_came_before_goes_on(self, cuts: list[int]) -> None:
        """Frames before the fault are given first; the fault is the last piece."""
        wire = frame(TEXT, PASSES) + frame(PING, b"p") + b"\xf1\x80" + frame(CLOSE, b"\x03\xe8")
        run, ping, fault = feed_all(reader(), wire, cuts)
        assert isinstance(run, Run)
        assert isinstance(ping, Control)
        assert isinstance(fault, Fault)


_GARBAGE = st.binary(max_size=300) | st.builds(
    lambda sent, places: bytes(
        byte ^ places.get(index, 0) for index, byte in enumerate(sent.wire[:3_000])
    ),
    SMALL,
    st.dictionaries(st.integers(0, 400), st.integers(1, 255), max_size=3),
)


@given(_GARBAGE, st.lists(st.integers(1, 50), min_size=1), st.booleans(), st.booleans())
@example(b"\x81\xff" + bytes([255] * 12), [1], True, False)
def test_garbage_never_raises(wire: bytes, sizes: list[int], masked: bool, remask: bool) -> None:
    """Any bytes give pieces; after a fault of the protocol there is nothing more."""
    frames = reader(masked=masked, remask=remask and masked, message_bytes=1_000, parsed_bytes=500)
    pieces: list[Piece] = []
    for chunk in cut(wire, sizes):
        new = frames.feed(chunk)
        assert not any(isinstance(piece, Fault) for piece in new[:-1])
        if pieces and isinstance(pieces[-1], Fault):
            if pieces[-1].kind is FaultKind.PROTOCOL:
                assert new == []
            else:
                assert [type(piece) for piece in new] == [Fault]
        pieces += new
    before = [piece for piece in pieces if not isinstance(piece, Fault | Close)]
    onlooker_of_garbage(before, masked=masked)


def onlooker_of_garbage(pieces: list[Piece], *, masked: bool) -> None:
    """Check that what went on before a fault was whole frames in a legal order.

    UTF-8 is not looked at in what passes, so that binary is not told from text here.
    """
    open_ = False
    for piece in pieces:
        if isinstance(piece, Control):
            continue
        assert isinstance(piece, Run | Message)
        data = bytes(piece.data) if isinstance(piece, Run) else piece.raw
        for first, second in headers(data):
            assert (second >= 0x80) is masked
            assert (first & 0x0F == CONTINUATION) is open_
            open_ = first < 0x80
        assert open_ is (isinstance(piece, Run) and piece.message_open)


def headers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first two bytes of each frame in whole frames."""
    position = 0
    while position < len(data):
        first, second = data[position : position + 2]
        position += 2
        length = second & 0x7F
        if length >= 126:
            width = 2 if length == 126 else 8
            length = int.from_bytes(data[position : position + width], "big")
            position += width
        position += length + (4 if second & 0x80 else 0)
        yield first, second
    assert position == len(data)


class TestClose:
    """A CLOSE frame is read, and what it came as is kept for the engine."""

    @pytest.mark.parametrize("masked", [False, True])
    def test_code_and_reason(self, masked: bool) -> None:
        """Code and reason are read through the mask."""
        wire = frame(CLOSE, b"\x10\x00" + "wär's".encode(), masked=masked)
        assert reader(masked=masked).feed(wire) == [Close(4096, "wär's", wire)]

    def test_without_a_code(self) -> None:
        """An empty CLOSE means 1005 (RFC 6455, 7.1.5)."""
        wire = frame(CLOSE, b"")
        assert reader().feed(wire) == [Close(1005, "", wire)]

    @given(st.integers(0, 65_535), st.text(max_size=30))
    def test_every_code(self, code: int, reason: str) -> None:
        """A code is either read or a fault; never is another one made of it."""
        (piece,) = reader().feed(frame(CLOSE, code.to_bytes(2, "big") + reason.encode()))
        if isinstance(piece, Close):
            assert (piece.code, piece.reason) == (code, reason)
        else:
            assert isinstance(piece, Fault)


class TestDiscard:
    """When the work is over only CLOSE matters, and it is found behind anything."""

    CLOSE_FRAME = frame(CLOSE, b"\x03\xe8bye")

    def found(self, frames: FrameReader, wire: bytes, size: int = 65_536) -> None:
        """Check that CLOSE is found, and that nothing was gathered on the way to it."""
        pieces: list[Piece] = []
        for chunk in cut(wire + self.CLOSE_FRAME, [size]):
            pieces += [piece for piece in frames.feed(chunk) if not isinstance(piece, Run)]
            assert kept(frames) <= WHOLE_FRAME_BYTES + 64
        assert pieces == [Close(1000, "bye", self.CLOSE_FRAME)]

    @pytest.mark.parametrize("start", [PASSES, READ])
    def test_behind_a_frame_of_40_megabytes(self, start: bytes) -> None:
        """A frame over every limit is thrown away as it comes."""
        frames = reader(message_bytes=1_000, parsed_bytes=1_000)
        frames.discard()
        self.found(frames, frame(TEXT, start + bytes(40_000_000)))

    def test_behind_the_frame_that_was_too_big(self) -> None:
        """After the fault that ends a session, the rest of that frame is thrown away."""
        frames = reader(message_bytes=1_000)
        wire = frame(TEXT, PASSES + bytes(3_000_000))
        (fault,) = frames.feed(wire[:30_000])
        assert isinstance(fault, Fault)
        frames.discard()
        assert frames.feed(b"")
        self.found(frames, wire[30_000:])

    @pytest.mark.parametrize("size", [1, 10, 1_000])
    def test_behind_fragments(self, size: int) -> None:
        """Fragments of any lane do not hide it."""
        for start in (PASSES, READ, b"{", b""):
            frames = reader()
            frames.feed(frame(TEXT, start, fin=False))
            frames.discard()
            fragments = frame(CONTINUATION, READ, fin=False) + frame(CONTINUATION, bytes(2_000))
            self.found(frames, fragments + frame(TEXT, READ), size)

    def test_between_fragments(self) -> None:
        """A message need not end before it."""
        frames = reader()
        frames.feed(frame(TEXT, READ, fin=False))
        frames.discard()
        self.found(frames, frame(CONTINUATION, READ, fin=False))

    @given(LARGE, st.data())
    def test_wherever_the_work_ended(self, sent: Sent, data: st.DataObject) -> None:
        """The work may end after any byte: in a header, in a frame that is read, in a fragment."""
        masked = masked_of(sent)
        size = data.draw(st.integers(0, len(sent.wire)))
        frames = reader(masked=masked, message_bytes=1 << 20, parsed_bytes=150_000)
        frames.feed(sent.wire[:size])
        frames.discard()
        close = frame(CLOSE, b"\x03\xe8", masked=masked)
        pieces = frames.feed(b"") + feed_all(frames, sent.wire[size:] + close, [50_000])
        assert pieces[-1] == Close(1000, "", close)
        assert not any(isinstance(piece, Fault | Message) for piece in pieces)


class TestUndecided:
    """A message whose first fragment proves nothing waits only until it is known."""

    def test_a_tiny_first_fragment_of_a_big_message(self) -> None:
        """The fragments kept back go on as soon as the next one shows the type."""
        frames = reader()
        assert frames.feed(frame(TEXT, PASSES[:3], fin=False)) == []
        assert not frames.mid_frame
        assert frames.feed(frame(CONTINUATION, PASSES[3:5], fin=False)) == []
        big = frame(CONTINUATION, PASSES[5:] + b"A" * 500_000)
        held, begun = frames.feed(big[:1_000])
        assert isinstance(held, Run)
        assert isinstance(begun, Run)
        assert (held.events, held.message_open) == (1, True)
        assert (begun.events, begun.message_open) == (0, True)
        onlooker = onlooker_of([held, begun, *frames.feed(big[1_000:])], masked=True)
        assert onlooker.messages == [(TEXT, PASSES + b"A" * 500_000)]

    def test_a_frame_whose_start_has_not_come(self) -> None:
        """While the first bytes of a frame prove nothing it waits, and then it goes on."""
        frames = reader()
        wire = frame(TEXT, PASSES + b"A" * 500_000)
        assert frames.feed(wire[:20]) == []
        assert frames.mid_frame
        (run,) = frames.feed(wire[20:60])
        assert isinstance(run, Run)

    @pytest.mark.parametrize("masked", [False, True])
    def test_proof_is_not_waited_for_beyond_the_peek(self, masked: bool) -> None:
        """A message that has shown nothing in its first KiB must be read: its size counts now."""
        wire = frame(TEXT, b'{"item":"' + b"A" * 3_000, masked=masked)
        header = len(wire) - 3_009
        frames = reader(masked=masked, parsed_bytes=3_000)
        assert frames.feed(wire[: header + PEEK_BYTES - 1]) == []
        (fault,) = frames.feed(wire[header + PEEK_BYTES - 1 : header + PEEK_BYTES])
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.TOO_BIG

    @pytest.mark.parametrize("masked", [False, True])
    def test_proof_may_be_gathered_from_fragments(self, masked: bool) -> None:
        """A message in tiny fragments is looked at as one text, and read where it must be."""
        frames = reader(masked=masked)
        for index, byte in enumerate(READ):
            opcode = CONTINUATION if index else TEXT
            assert frames.feed(frame(opcode, bytes([byte]), fin=False, masked=masked)) == []
        (message,) = frames.feed(frame(CONTINUATION, b'"}', masked=masked))
        assert isinstance(message, Message)
        assert message.payload == READ + b'"}'

    def test_a_known_message_stays_what_it_is(self) -> None:
        """A later fragment that looks like another type changes nothing."""
        pieces = feed_all(reader(), frame(TEXT, PASSES, fin=False) + frame(CONTINUATION, READ))
        assert not any(isinstance(piece, Message) for piece in pieces)
        (message,) = feed_all(reader(), frame(TEXT, READ, fin=False) + frame(CONTINUATION, PASSES))
        assert isinstance(message, Message)


class TestMidFrame:
    """The reader knows whether a frame has begun and not ended."""

    @given(SMALL)
    def test_at_every_byte(self, sent: Sent) -> None:
        """It is true exactly between the first and the last byte of a frame."""
        frames = reader(masked=masked_of(sent))
        assert not frames.mid_frame
        for position in range(len(sent.wire)):
            frames.feed(sent.wire[position : position + 1])
            assert frames.mid_frame is (position + 1 not in sent.ends)

    @settings(max_examples=40)
    @given(LARGE, st.lists(st.integers(1, 90_000), min_size=1))
    def test_in_large_frames(self, sent: Sent, sizes: list[int]) -> None:
        """Also in frames that go on as they arrive, and in those that are gathered."""
        frames = reader(masked=masked_of(sent))
        position = 0
        for chunk in cut(sent.wire, [*sizes, 65_536]):
            frames.feed(chunk)
            position += len(chunk)
            assert frames.mid_frame is (position not in sent.ends)


class TestAfterFirst:
    """The rule may change after the first message."""

    def test_the_second_message_is_under_the_new_rule(self) -> None:
        """The first message is read in any case, and those behind it only where they must be."""
        frames = FrameReader(
            masked=False, after_first=RULE, message_bytes=100_000, parsed_bytes=1_000
        )
        first = frame(TEXT, PASSES, masked=False)
        large = frame(TEXT, PASSES + b" " * 50_000, masked=False)
        message, run = frames.feed(first + large)
        assert isinstance(message, Message)
        assert isinstance(run, Run)
        assert bytes(run.data) == large

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    def test_a_message_in_fragments_is_one(self, opcode: int) -> None:
        """The first message is read to its last fragment, a binary one too."""
        frames = FrameReader(masked=True, after_first=RULE, message_bytes=1_000, parsed_bytes=1_000)
        assert frames.feed(frame(opcode, PASSES, fin=False)) == []
        (message,) = frames.feed(frame(CONTINUATION, b'"}'))
        assert isinstance(message, Message)
        assert (message.opcode, message.payload) == (opcode, PASSES + b'"}')
        again = frame(TEXT, PASSES)
        assert frames.feed(again) == [Run(again, 1)]
