"""The record of what one response or one transcription cost."""

import enum
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import attrs

from rt_proxy.realtime.counts import Tokens

#: The unit that money is kept in: a thousand-millionth of a USD.
NANO_USD_PER_USD = 1_000_000_000


class UsageKind(enum.StrEnum):
    """What was done for the money."""

    RESPONSE = "response"
    TRANSCRIPTION = "transcription"


@attrs.frozen(kw_only=True)
class UsageRecord:
    """What one response or one transcription cost.

    Attributes:
        time: When it was known, in UTC.
        kind: What was done.
        session_id: Our id of the session, as in its ``SessionRecord``.
        token_id: The token of the session.
        token_name: Its name.
        channel: The channel that served.
        model: The model by the client's name, or that of the transcription; None: not known.
        upstream_model: The model by the upstream's name; None: not known.
        upstream_session_id: The upstream's id of the session.
        upstream_id: The upstream's id of the response, or of the item that was transcribed.
        content_index: Which part of that item.
        status: Of a response, as the API has it, such as ``completed``; ``unfinished``: its end
            never came.
        tokens: What it took, by modality.
        milliseconds: How long the audio was, where that is what a transcription is paid by.
        nano_usd: What it cost, in thousand-millionths of a USD; None: the price is not known.
        estimated: Not all of it is what the upstream reported.
    """

    time: datetime
    kind: UsageKind
    session_id: str
    token_id: str
    token_name: str
    channel: str
    model: str | None = None
    upstream_model: str | None = None
    upstream_session_id: str | None = None
    upstream_id: str | None = None
    content_index: int = 0
    status: str | None = None
    tokens: Tokens = attrs.field(factory=Tokens)
    milliseconds: int = 0
    nano_usd: int | None = None
    estimated: bool = False

    @property
    def usd(self) -> Decimal | None:
        """What it cost, in USD; None: the price is not known."""
        return None if self.nano_usd is None else Decimal(self.nano_usd) / NANO_USD_PER_USD


#: Returns what a record cost, in USD; None: not known. It must not block.
PriceFunction = Callable[[UsageRecord], Decimal | None]


def unknown_price(_record: UsageRecord) -> Decimal | None:
    """Say of every record that its price is not known."""
    return None
