"""The rules of frame headers and CLOSE frames (RFC 6455, 5.2 to 5.5), and what breaks them.

A broken rule is raised as ``FaultFound`` and caught by the frame reader; it
goes no further than that.
"""

from rt_proxy.realtime.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKED,
    PING,
    PONG,
    TEXT,
    Close,
    Fault,
    FaultKind,
    is_legal_close_code,
)

#: The legal first bytes: no reserved bits, a known opcode, control frames whole.
LEGAL_FIRST = frozenset({0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A})
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
#: A length must be smaller than this.
ANY_SIZE = 1 << 63

#: The size of a header by its second byte (mask bit and length).
HEADER_SIZE = tuple(
    2 + {126: 2, 127: 8}.get(second & 0x7F, 0) + (4 if second & MASKED else 0)
    for second in range(256)
)


class FaultFound(Exception):  # noqa: N818 - not an error: it carries a value out of the walk
    """A fault on its way out of the walk."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def violation(message: str, code: int = 1002) -> FaultFound:
    """Return a broken rule of the protocol, to be raised."""
    return FaultFound(Fault(FaultKind.PROTOCOL, code, message))


def too_big(limit: int) -> FaultFound:
    """Return a message over a limit in bytes, to be raised."""
    message = f"The message is larger than {limit} bytes."
    return FaultFound(Fault(FaultKind.TOO_BIG, 1009, message))


def extended_length(data: bytes, position: int, length: int) -> int:
    """Read a length of two or eight bytes; it must be the shortest form (RFC 6455, 5.2).

    Raises:
        FaultFound: It is not.
    """
    size, least = (2, 126) if length == 126 else (8, 65_536)
    value = int.from_bytes(data[position + 2 : position + 2 + size], "big")
    if not least <= value < ANY_SIZE:
        raise violation("The length of a frame is not in its shortest form.")
    return value


def missing_of(start: bytes) -> int:
    """Return how much a frame lacks of which this is the start, in bytes; 0: not known yet."""
    if len(start) < 2:
        return 0
    size = HEADER_SIZE[start[1]]
    if len(start) < size:
        return size - len(start)
    length = start[1] & 0x7F
    if length >= 126:
        length = extended_length(start, 0, length)
    return size + length - len(start)


def what_is_wrong(first: int, second: int, *, must_mask: bool) -> str:
    """Say what is wrong with the first two bytes of a frame."""
    if first & 0x70:
        return "A reserved bit is set and no extension was negotiated."
    if first & 0x0F not in _OPCODES:
        return f"The opcode {first & 0x0F} is not known."
    if (second >= MASKED) is not must_mask:
        return "A frame of a client must be masked." if must_mask else "A server must not mask."
    return "A control frame must be whole and carry at most 125 bytes."


def read_close(payload: bytes, raw: bytes) -> Close:
    """Read a CLOSE frame (RFC 6455, 5.5.1 and 7.4).

    Raises:
        FaultFound: Its code may not be sent, or its reason is not UTF-8.
    """
    if not payload:
        return Close(1005, "", raw)
    if len(payload) == 1:
        raise violation("A CLOSE frame of one byte.")
    code = int.from_bytes(payload[:2], "big")
    if not is_legal_close_code(code):
        raise violation(f"The close code {code} may not be sent.")
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        raise violation("The reason in a CLOSE frame is not UTF-8.", 1007) from None
    return Close(code, reason, raw)
