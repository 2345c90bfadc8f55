"""What an upstream answers to our upgrade, read as bytes (RFC 9110, 15.2; RFC 6455, 4.1)."""

import re
from email.utils import parsedate_to_datetime

import attrs

from rt_proxy.realtime.headbytes import is_illegal_head

_LIMIT = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_STATUS_LINE_BYTES = 1_024
_HEAD_END = re.compile(rb"\r?\n\r?\n")
#: Answers that may say when to come again (RFC 9110, 10.2.3).
_MAY_NAME_A_TIME = (429, 503)


@attrs.frozen
class Upgraded:
    """A head with status 101, and the bytes of frames that came after it."""

    head: bytes
    rest: bytes


@attrs.frozen
class NotUpgraded:
    """Why there is no WebSocket.

    Attributes:
        status: The HTTP status; None where the answer was not HTTP.
        why: In a few words.
        retry_after: In how many seconds to come again, where the answer says so.
    """

    status: int | None
    why: str
    retry_after: float | None = None


def read_upgrade(data: bytes, *, at_end: bool = False) -> Upgraded | NotUpgraded | None:
    """Read the answer as far as it has come; None: more is needed.

    Informational answers before the 101, such as 103, are passed over.
    A refusal is known by its status; of those that may say when to come again the
    rest of the head is waited for, and a body never.

    Args:
        data: What has come.
        at_end: No more will come.
    """
    rest, status = data, None
    while True:
        status_line = _STATUS_LINE.match(rest)
        if status_line is None:
            if b"\n" in rest or len(rest) > _STATUS_LINE_BYTES:
                return NotUpgraded(None, "the answer is not HTTP")
            break
        status = int(status_line[1])
        end = _HEAD_END.search(rest)
        if status in _MAY_NAME_A_TIME and not (end or at_end or len(data) > _LIMIT):
            return None
        if status >= 200 or status == 100:
            head = rest[: end.end()] if end else rest
            return NotUpgraded(status, f"HTTP {status}", _retry_after(head))
        if end is None:
            break
        head, rest = rest[: end.end()], rest[end.end() :]
        if is_illegal_head(head):
            return NotUpgraded(status, "the head of the answer is malformed")
        if status == 101:
            return Upgraded(head, rest)
    too_long = len(data) > _LIMIT
    return NotUpgraded(status, "the head of the answer is too long") if too_long else None


def _retry_after(head: bytes) -> float | None:
    """Return the seconds of ``Retry-After``; a date counts from that of the answer itself."""
    after = _header(head, b"retry-after")
    if after is None:
        return None
    if after.isdigit():
        return float(after[:9])
    date = _header(head, b"date")
    try:
        until = parsedate_to_datetime(after.decode("latin-1"))
        since = parsedate_to_datetime((date or b"").decode("latin-1"))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no dates, or one without a zone
        return None


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.splitlines()[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None
