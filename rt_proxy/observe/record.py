"""The record of a session: one value, one log line.

Made once, when the work has ended and before the goodbyes; also for a client that was refused.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

import attrs

from rt_proxy.moments import utc_text
from rt_proxy.realtime.closing import Side

_logger = logging.getLogger("rt_proxy.session")

#: Longest text in a record, in characters: reasons and models are chosen by peers.
_LONGEST_TEXT = 256

#: Endings of a session that no upstream opened.
_OPENING_FAULTS = frozenset({"first_event_timeout", "opening_timeout", "upstream_unavailable"})


@attrs.frozen(kw_only=True)
class SessionRecord:
    """What is known of a session when it is over.

    Attributes:
        session_id: Our id of the session.
        started: When the client was accepted, in UTC.
        duration: Seconds from then to the end.
        opening: Seconds from then to our 101; None: there was none.
        address: The client's address.
        token_id: The token that let the client in.
        token_name: Its name.
        channel: The channel that served.
        model: The client's name of the model.
        upstream_model: The channel's name of it.
        dialect: The client's dialect, GA where it showed none; None: it was not let in, and
            its request said nothing of it.
        upstream_dialect: The channel's dialect.
        ended_by: The side that ended it, or that was at fault.
        ending: One word for why, such as ``client_closed``, ``upstream_lost``, ``invalid_api_key``.
        close_code: The close code that the client was told, or sent.
        reason: More words about it; they may be a peer's.
        attempts: The channels that failed before, such as ``azure-east: HTTP 401``.
        events_up: Events from the client to the upstream.
        events_down: Events from the upstream to the client.
        bytes_up: Bytes of these events from the client.
        bytes_down: Bytes of these events from the upstream.
        responses: Responses that were done.
        usd: What it cost in USD, as far as prices are known; None: nobody counted, or nothing is.
        usage: Tokens by flat name, such as ``input_audio_tokens``; only those known.
    """

    session_id: str
    started: datetime
    duration: float
    ended_by: Side
    ending: str
    opening: float | None = None
    address: str | None = None
    token_id: str | None = None
    token_name: str | None = None
    channel: str | None = None
    model: str | None = None
    upstream_model: str | None = None
    dialect: str | None = None
    upstream_dialect: str | None = None
    close_code: int | None = None
    reason: str = ""
    attempts: tuple[str, ...] = ()
    events_up: int = 0
    events_down: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    responses: int = 0
    usd: Decimal | None = None
    usage: Mapping[str, int] = attrs.field(factory=lambda: MappingProxyType({}))

    def fields(self) -> dict[str, object]:
        """Return the record as flat fields of a log line, without what is None or empty.

        Seconds are rounded to milliseconds, and long texts are cut.
        """
        every = attrs.asdict(self, recurse=False)
        usage = every.pop("usage")
        every |= {name: count for name, count in usage.items() if name not in every}
        return {name: _field(value) for name, value in every.items() if value not in (None, "", ())}


def log_session(record: SessionRecord) -> None:
    """Write the record to the logger ``rt_proxy.session``: a warning if an upstream failed."""
    level = logging.WARNING if _upstream_failed(record) else logging.INFO
    _logger.log(level, "session ended", extra={"fields": record.fields()})


def _upstream_failed(record: SessionRecord) -> bool:
    if record.attempts:
        return True
    match record.ended_by:
        case Side.UPSTREAM:
            return record.close_code not in (1000, 1001)  # anything but an orderly goodbye
        case Side.PROXY:
            return record.ending in _OPENING_FAULTS
        case Side.CLIENT:
            return False


def _field(value: object) -> object:
    match value:
        case str():
            return _cut(value)
        case float():
            return round(value, 3)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return utc_text(value, "milliseconds")
        case tuple():
            return [_cut(str(item)) for item in value]
        case _:
            return value


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
