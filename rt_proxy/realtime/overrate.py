"""What becomes of a client's events beyond its rate, where they are refused and not slowed down.

Pure. To be refused an event must be read, so that one alone can be left out and its id be told.
"""

from rt_proxy.realtime.conversation import Answer
from rt_proxy.realtime.framereader import NeedsReading, Reads
from rt_proxy.realtime.gauge import Gauge
from rt_proxy.realtime.jsontext import is_intricate, parse_object
from rt_proxy.realtime.looks import text_at
from rt_proxy.realtime.refusals import error_event

#: A refused event that is larger than this is not searched for its id, in bytes.
_SEARCHED_BYTES = 65_536
#: An id that is longer is not told again, in characters.
_LONGEST_ID = 512


def reading_all(lanes: NeedsReading) -> NeedsReading:
    """Return lanes in which whatever would pass unread is read, unless it is too large for it."""

    def rule(start: bytes, enough: bool) -> Reads:
        reads = lanes(start, enough)
        return "small" if reads is False or isinstance(reads, Gauge) else reads

    return rule


def refused_for_rate(payload: bytes, limit: str) -> Answer:
    """Tell a client that one of its events went no further, because it came too fast.

    Args:
        payload: The event.
        limit: Which limit it would exceed, in words.
    """
    is_searched = len(payload) <= _SEARCHED_BYTES and not is_intricate(payload)
    event = parse_object(payload) if is_searched else None
    event_id = text_at(event, "event_id")
    return Answer(
        error_event(
            "rate_limit_error",
            "rate_limit_exceeded",
            f"This event was not passed on: {limit} is exceeded. Send less at a time.",
            client_event_id=event_id if len(event_id or "") <= _LONGEST_ID else None,
        )
    )
