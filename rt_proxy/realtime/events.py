"""The events that rt-proxy reads on their way, as frozen values.

What is named is what decisions, metering and logs ask about; an event goes on as
the bytes it came in, so fields that are not named are never lost (API reference,
server events).
"""

import attrs


@attrs.frozen
class ShownSession:
    """The session object in ``session.created`` and ``session.updated``."""

    id: str | None = None
    model: str | None = None
    expires_at: int | None = None


@attrs.frozen
class SessionCreated:
    """``session.created``: the first event of a healthy upstream."""

    session: ShownSession


@attrs.frozen
class SessionUpdated:
    """``session.updated``: the answer to a ``session.update``."""

    session: ShownSession


@attrs.frozen
class CachedTokens:
    """Which of the input tokens were cached, by modality."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


@attrs.frozen
class InputTokens:
    """The input tokens of a response by modality; each includes its cached part."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokens | None = None


@attrs.frozen
class OutputTokens:
    """The output tokens of a response by modality."""

    text_tokens: int = 0
    audio_tokens: int = 0


@attrs.frozen
class Usage:
    """What a response cost, in tokens."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None


@attrs.frozen
class ShownResponse:
    """The response object in ``response.created`` and ``response.done``."""

    id: str | None = None
    status: str | None = None
    usage: Usage | None = None


@attrs.frozen
class ResponseCreated:
    """``response.created``: a response is in progress from now on."""

    response: ShownResponse


@attrs.frozen
class ResponseDone:
    """``response.done``: a response has ended, whatever its status."""

    response: ShownResponse


@attrs.frozen
class ErrorDetails:
    """What an ``error`` event says; ``event_id`` is the client event's at fault."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


@attrs.frozen
class ErrorEvent:
    """``error``: most are recoverable, and the session goes on."""

    error: ErrorDetails


ServerEvent = SessionCreated | SessionUpdated | ResponseCreated | ResponseDone | ErrorEvent

#: The server events that are read on their way.
EVENT_CLASSES: dict[str, type[ServerEvent]] = {
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "error": ErrorEvent,
}
