"""The manner of each dialect: what a client may send, and how it is answered.

The dialogue keeps and says everything in the shape of GA; a manner is one value
that holds what its dialect does otherwise. Of ``realtime/dialects`` only the
names come in: the simulator is the witness by which a translation between the
dialects is tried, so each manner is written from the API reference and leans on
no translator.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from rt_proxy.realtime.dialects import Dialect
from rt_proxy.simulator import betaevents, betarequests, betasession, requests, session
from rt_proxy.simulator.events import Event
from rt_proxy.simulator.schema import Check


@attrs.frozen
class Manner:
    """How one dialect is spoken.

    Attributes:
        session_minutes: How long a session lasts.
        limits_first: The rate limits are told when a response begins, not when it is done.
        whisper_streams: ``whisper-1`` gives its transcript in a delta too.
        checks: Type of session -> type of event -> its check, which returns GA's fields.
        fresh_session: A model (None: transcription) and the time of expiry -> a session.
        session_change: A session's type and what an update asks for -> what is to be merged.
        show: What is said -> what is sent; None: the dialect has no word for it.
    """

    session_minutes: int
    limits_first: bool
    whisper_streams: bool
    checks: Mapping[str, Mapping[str, Check]] = attrs.field(repr=False)
    fresh_session: Callable[[str | None, int], dict[str, Any]] = attrs.field(repr=False)
    session_change: Callable[[str, Any], dict[str, Any]] = attrs.field(repr=False)
    show: Callable[[Event], Event | None] = attrs.field(repr=False)


def _as_it_is(said: Event) -> Event | None:
    return None if said["type"] == "conversation.created" else said


GA = Manner(
    session_minutes=60,
    limits_first=False,
    whisper_streams=True,
    checks={
        "realtime": requests.REALTIME_EVENTS,
        "transcription": requests.TRANSCRIPTION_EVENTS,
    },
    fresh_session=session.fresh_session,
    session_change=session.checked,
    show=_as_it_is,
)
BETA = Manner(
    session_minutes=30,
    limits_first=True,
    whisper_streams=False,
    checks={
        "realtime": betarequests.REALTIME_EVENTS,
        "transcription": betarequests.TRANSCRIPTION_EVENTS,
    },
    fresh_session=betasession.fresh_session,
    session_change=betasession.checked,
    show=betaevents.show,
)

#: Dialect -> its manner.
MANNERS: Mapping[Dialect, Manner] = {Dialect.GA: GA, Dialect.BETA: BETA}
