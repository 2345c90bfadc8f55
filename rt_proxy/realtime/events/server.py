"""What a server says of session, conversation and buffers (API reference, server events).

A class is named after the type of its event: ``session.created`` is ``SessionCreated``;
``error`` alone is ``ErrorEvent``.
"""

from typing import ClassVar, Literal

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, Missing
from rt_proxy.realtime.events.beta import AnySession, BetaTranscriptionSession
from rt_proxy.realtime.events.items import Item


@attrs.frozen(kw_only=True)
class FromServer(ApiObject):
    """What all events of a server have.

    Attributes:
        event_id: The server's own.
    """

    event_id: str


@attrs.frozen(kw_only=True)
class OfItem(FromServer):
    """An event about an item of the conversation.

    Attributes:
        item_id: Of the item.
    """

    item_id: str


@attrs.frozen(kw_only=True)
class OfContent(OfItem):
    """An event about a part of an item.

    Attributes:
        content_index: Of the part in the item's content, from 0.
    """

    content_index: int


@attrs.frozen(kw_only=True)
class WithSession(FromServer):
    """An event that shows the session.

    Attributes:
        session: The whole of it.
    """

    session: AnySession


@attrs.frozen(kw_only=True)
class WithTranscriptionSession(FromServer):
    """An event that shows a transcription session of the Beta dialect.

    Attributes:
        session: The whole of it.
    """

    session: BetaTranscriptionSession


@attrs.frozen(kw_only=True)
class WithItem(FromServer):
    """An event that shows an item of the conversation.

    Attributes:
        item: The item.
        previous_item_id: The one before it; None: it is the first.
    """

    item: Item
    previous_item_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ErrorDetails(ApiObject):
    """What went wrong.

    Attributes:
        type: The kind of error, such as ``invalid_request_error``.
        message: For people.
        code: For programs, such as ``invalid_value``.
        param: Which field was wrong, such as ``session.output_modalities``.
        event_id: Of the client event at fault.
    """

    type: str
    message: str
    code: str | Missing | None = MISSING
    param: str | Missing | None = MISSING
    event_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ErrorEvent(ApiObject):
    """``error``: most are recoverable, and the session goes on.

    Attributes:
        event_id: The server's own; some servers have none.
        error: What went wrong.
    """

    type: ClassVar[Literal["error"]] = "error"
    event_id: str | Missing | None = MISSING
    error: ErrorDetails


@attrs.frozen(kw_only=True)
class SessionCreated(WithSession):
    """The first event of a session."""

    type: ClassVar[Literal["session.created"]] = "session.created"


@attrs.frozen(kw_only=True)
class SessionUpdated(WithSession):
    """A ``session.update`` was taken."""

    type: ClassVar[Literal["session.updated"]] = "session.updated"


@attrs.frozen(kw_only=True)
class TranscriptionSessionCreated(WithTranscriptionSession):
    """The first event of a transcription session; Beta dialect."""

    type: ClassVar[Literal["transcription_session.created"]] = "transcription_session.created"


@attrs.frozen(kw_only=True)
class TranscriptionSessionUpdated(WithTranscriptionSession):
    """A ``transcription_session.update`` was taken; Beta dialect."""

    type: ClassVar[Literal["transcription_session.updated"]] = "transcription_session.updated"


@attrs.frozen(kw_only=True)
class Conversation(ApiObject):
    """A conversation.

    Attributes:
        id: Of the conversation.
        object: ``realtime.conversation``.
    """

    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ConversationCreated(FromServer):
    """Follows ``session.created`` in the Beta dialect; rare in the GA dialect.

    Attributes:
        conversation: The one of the session.
    """

    type: ClassVar[Literal["conversation.created"]] = "conversation.created"
    conversation: Conversation


@attrs.frozen(kw_only=True)
class ConversationItemAdded(WithItem):
    """An item is there; one of the model's is still empty."""

    type: ClassVar[Literal["conversation.item.added"]] = "conversation.item.added"


@attrs.frozen(kw_only=True)
class ConversationItemDone(WithItem):
    """An item is final; its audio is not shown."""

    type: ClassVar[Literal["conversation.item.done"]] = "conversation.item.done"


@attrs.frozen(kw_only=True)
class ConversationItemCreated(WithItem):
    """An item is there; Beta dialect, in place of ``added`` and ``done``."""

    type: ClassVar[Literal["conversation.item.created"]] = "conversation.item.created"


@attrs.frozen(kw_only=True)
class ConversationItemRetrieved(FromServer):
    """The item that was asked for.

    Attributes:
        item: With its audio.
    """

    type: ClassVar[Literal["conversation.item.retrieved"]] = "conversation.item.retrieved"
    item: Item


@attrs.frozen(kw_only=True)
class ConversationItemTruncated(OfContent):
    """An item was cut.

    Attributes:
        audio_end_ms: How much of its audio stays, in milliseconds.
    """

    type: ClassVar[Literal["conversation.item.truncated"]] = "conversation.item.truncated"
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class ConversationItemDeleted(OfItem):
    """An item is gone."""

    type: ClassVar[Literal["conversation.item.deleted"]] = "conversation.item.deleted"


@attrs.frozen(kw_only=True)
class InputAudioBufferCommitted(OfItem):
    """The input buffer becomes an item, by the client or by voice activity detection.

    Attributes:
        previous_item_id: The item before it; None: it is the first.
    """

    type: ClassVar[Literal["input_audio_buffer.committed"]] = "input_audio_buffer.committed"
    previous_item_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class InputAudioBufferCleared(FromServer):
    """The input buffer is empty."""

    type: ClassVar[Literal["input_audio_buffer.cleared"]] = "input_audio_buffer.cleared"


@attrs.frozen(kw_only=True)
class InputAudioBufferSpeechStarted(OfItem):
    """The user began to speak; ``item_id`` is that of the item to come.

    Attributes:
        audio_start_ms: Where the speech begins in all audio of the session, in milliseconds.
    """

    type: ClassVar[Literal["input_audio_buffer.speech_started"]] = (
        "input_audio_buffer.speech_started"
    )
    audio_start_ms: int


@attrs.frozen(kw_only=True)
class InputAudioBufferSpeechStopped(OfItem):
    """The user stopped speaking.

    Attributes:
        audio_end_ms: Where the speech ends in all audio of the session, in milliseconds.
    """

    type: ClassVar[Literal["input_audio_buffer.speech_stopped"]] = (
        "input_audio_buffer.speech_stopped"
    )
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class InputAudioBufferTimeoutTriggered(OfItem):
    """The user was silent for ``idle_timeout_ms``; GA dialect.

    Attributes:
        audio_start_ms: Where the silence begins in all audio of the session, in milliseconds.
        audio_end_ms: Where it ends.
    """

    type: ClassVar[Literal["input_audio_buffer.timeout_triggered"]] = (
        "input_audio_buffer.timeout_triggered"
    )
    audio_start_ms: int
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class InputAudioBufferDtmfEventReceived(ApiObject):
    """The caller pressed a key; SIP only, GA dialect.

    Attributes:
        event_id: Not in the API reference.
        event: The key: ``0`` to ``9``, ``*``, ``#``, ``A`` to ``D``.
        received_at: In Unix seconds.
    """

    type: ClassVar[Literal["input_audio_buffer.dtmf_event_received"]] = (
        "input_audio_buffer.dtmf_event_received"
    )
    event_id: str | Missing | None = MISSING
    event: str
    received_at: int


@attrs.frozen(kw_only=True)
class RateLimit(ApiObject):
    """One limit of the provider, and what is left of it.

    Attributes:
        name: ``requests`` or ``tokens``.
        limit: The most.
        remaining: What is left.
        reset_seconds: When it is whole again, in seconds from now.
    """

    name: str | Missing | None = MISSING
    limit: int | Missing | None = MISSING
    remaining: int | Missing | None = MISSING
    reset_seconds: float | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class RateLimitsUpdated(FromServer):
    """The provider's limits, told around each response.

    Attributes:
        rate_limits: Some or all of them.
    """

    type: ClassVar[Literal["rate_limits.updated"]] = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...]
