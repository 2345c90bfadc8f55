"""What an upstream answers to our upgrade, read as bytes (RFC 9110, 15.2; RFC 6455, 4.1)."""

import re

import attrs

_LIMIT = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_STATUS_LINE_BYTES = 1_024
_HEAD_END = re.compile(rb"\r?\n\r?\n")


@attrs.frozen
class Upgraded:
    """A head with status 101, and the bytes of frames that came after it."""

    head: bytes
    rest: bytes


@attrs.frozen
class NotUpgraded:
    """Why there is no WebSocket; ``status`` is None where the answer was not HTTP."""

    status: int | None
    why: str


def read_upgrade(data: bytes) -> Upgraded | NotUpgraded | None:
    """Read the answer as far as it has come; None: more is needed.

    Informational answers before the 101, such as 103, are passed over.
    A refusal is known by its status; its body is not waited for.
    """
    rest, status = data, None
    while True:
        status_line = _STATUS_LINE.match(rest)
        if status_line is None:
            if b"\n" in rest or len(rest) > _STATUS_LINE_BYTES:
                return NotUpgraded(None, "the answer is not HTTP")
            break
        status = int(status_line[1])
        if status >= 200 or status == 100:
            return NotUpgraded(status, f"HTTP {status}")
        end = _HEAD_END.search(rest)
        if end is None:
            break
        head, rest = rest[: end.end()], rest[end.end() :]
        if status == 101:
            return Upgraded(head, rest)
    too_long = len(data) > _LIMIT
    return NotUpgraded(status, "the head of the answer is too long") if too_long else None
