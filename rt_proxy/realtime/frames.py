"""WebSocket frames as bytes (RFC 6455, section 5): building, masking, and their parts.

The pieces that a leg is read as are values of this module; ``framereader.py``
cuts bytes into them.
"""

import enum
import secrets
import struct
from typing import NamedTuple

import attrs

from rt_proxy.realtime.gauge import Gauge

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA

FIN = 0x80
MASKED = 0x80


class FaultKind(enum.Enum):
    """What a peer did wrong."""

    PROTOCOL = "protocol_error"
    TOO_BIG = "message_too_big"


class Splice(NamedTuple):
    """Other bytes that go on in place of some at the start of a message.

    Attributes:
        start: Where the replaced bytes begin in the payload.
        end: Where they end.
        replacement: What takes their place.
        gauge: Where the message is counted; None: nowhere.
    """

    start: int
    end: int
    replacement: bytes
    gauge: Gauge | None = None


@attrs.frozen
class Run:
    """Whole frames that go on as they are.

    Attributes:
        data: The frames.
        events: How many messages begin in them.
        message_open: Whether the last message in them has not ended yet.
    """

    data: bytes | memoryview
    events: int
    message_open: bool = False


@attrs.frozen
class Message:
    """One whole data message that must be read, and the frames it came in."""

    opcode: int
    payload: bytes = attrs.field(repr=False)
    raw: bytes = attrs.field(repr=False)


@attrs.frozen
class Control:
    """A ping or a pong, as it came."""

    opcode: int
    payload: bytes
    raw: bytes


@attrs.frozen
class Close:
    """A CLOSE frame; ``code`` is 1005 where it carried none (RFC 6455, 7.1.5)."""

    code: int
    reason: str
    raw: bytes


@attrs.frozen
class Fault:
    """The peer broke a rule; nothing more of this leg can be read.

    Attributes:
        kind: Which kind of rule.
        code: The close code that tells it to the peer.
        message: What was wrong, for people.
    """

    kind: FaultKind
    code: int
    message: str


Piece = Run | Message | Control | Close | Fault


def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """Mask or unmask ``data`` with a four-byte key (RFC 6455, 5.3)."""
    length = len(data)
    keys = (key * (length // 4 + 1))[:length]
    number = int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")
    return number.to_bytes(length, "little")


def build_header(first: int, length: int, key: bytes | None) -> bytes:
    """Return a frame header; ``first`` is its first byte (FIN and opcode)."""
    bit = 0 if key is None else MASKED
    if length < 126:
        header = struct.pack("!BB", first, bit | length)
    elif length < 65_536:
        header = struct.pack("!BBH", first, bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, bit | 127, length)
    return header if key is None else header + key


def build_frame(
    opcode: int, payload: bytes | bytearray, *, masked: bool, fin: bool = True
) -> bytes:
    """Return one frame; a masked one gets a fresh key (RFC 6455, 5.3).

    Args:
        opcode: What it is.
        payload: What it carries, not masked.
        masked: Whether to mask it, as a client must.
        fin: Whether it is the last frame of its message.
    """
    first = FIN | opcode if fin else opcode
    if not masked:
        return build_header(first, len(payload), None) + payload
    key = secrets.token_bytes(4)
    return build_header(first, len(payload), key) + mask(payload, key)


def is_legal_close_code(code: int) -> bool:
    """Whether a close code may stand in a frame (RFC 6455, 7.4, and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
