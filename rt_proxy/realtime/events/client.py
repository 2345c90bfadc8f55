"""The events that a client sends (API reference, client events).

A class is named after the type of its event: ``response.create`` is ``ResponseCreate``.
"""

from typing import ClassVar, Literal

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, Missing
from rt_proxy.realtime.events.beta import (
    AnyResponseParameters,
    AnySession,
    BetaTranscriptionSession,
)
from rt_proxy.realtime.events.items import Item


@attrs.frozen(kw_only=True)
class FromClient(ApiObject):
    """What all events of a client have.

    Attributes:
        event_id: The client's own; an ``error`` that answers the event names it.
    """

    event_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class AboutItem(FromClient):
    """An event about an item of the conversation.

    Attributes:
        item_id: Of the item.
    """

    item_id: str


@attrs.frozen(kw_only=True)
class SessionUpdate(FromClient):
    """Changes the session; ``session.updated`` answers it with the whole of it.

    Attributes:
        session: What changes: missing leaves a field as it is, null clears it.
    """

    type: ClassVar[Literal["session.update"]] = "session.update"
    session: AnySession


@attrs.frozen(kw_only=True)
class TranscriptionSessionUpdate(FromClient):
    """Changes a transcription session; Beta dialect.

    Attributes:
        session: What changes.
    """

    type: ClassVar[Literal["transcription_session.update"]] = "transcription_session.update"
    session: BetaTranscriptionSession


@attrs.frozen(kw_only=True)
class InputAudioBufferAppend(FromClient):
    """Adds audio to the input buffer; nothing answers it.

    Attributes:
        audio: In base64, in the session's input format; up to 15 MiB before that.
    """

    type: ClassVar[Literal["input_audio_buffer.append"]] = "input_audio_buffer.append"
    audio: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class InputAudioBufferCommit(FromClient):
    """Makes an item of the input buffer, which must hold at least 100 ms."""

    type: ClassVar[Literal["input_audio_buffer.commit"]] = "input_audio_buffer.commit"


@attrs.frozen(kw_only=True)
class InputAudioBufferClear(FromClient):
    """Empties the input buffer."""

    type: ClassVar[Literal["input_audio_buffer.clear"]] = "input_audio_buffer.clear"


@attrs.frozen(kw_only=True)
class OutputAudioBufferClear(FromClient):
    """Stops the audio that is being played; WebRTC and SIP only."""

    type: ClassVar[Literal["output_audio_buffer.clear"]] = "output_audio_buffer.clear"


@attrs.frozen(kw_only=True)
class ConversationItemCreate(FromClient):
    """Adds an item to the conversation.

    Attributes:
        item: The item, without audio of the assistant.
        previous_item_id: It is put behind this one; ``root``: before all; missing: at the end.
    """

    type: ClassVar[Literal["conversation.item.create"]] = "conversation.item.create"
    item: Item
    previous_item_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ConversationItemRetrieve(AboutItem):
    """Asks for an item with its audio."""

    type: ClassVar[Literal["conversation.item.retrieve"]] = "conversation.item.retrieve"


@attrs.frozen(kw_only=True)
class ConversationItemTruncate(AboutItem):
    """Cuts the assistant's audio to what was played, so that the model knows.

    Attributes:
        content_index: Of the part; 0.
        audio_end_ms: How much of it stays, in milliseconds.
    """

    type: ClassVar[Literal["conversation.item.truncate"]] = "conversation.item.truncate"
    content_index: int
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class ConversationItemDelete(AboutItem):
    """Takes an item out of the conversation."""

    type: ClassVar[Literal["conversation.item.delete"]] = "conversation.item.delete"


@attrs.frozen(kw_only=True)
class ResponseCreate(FromClient):
    """Asks the model for a response.

    Attributes:
        response: What differs from the session.
    """

    type: ClassVar[Literal["response.create"]] = "response.create"
    response: AnyResponseParameters | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseCancel(FromClient):
    """Stops a response; ``response.done`` answers it.

    Attributes:
        response_id: Missing: the one in progress in the conversation.
    """

    type: ClassVar[Literal["response.cancel"]] = "response.cancel"
    response_id: str | Missing | None = MISSING
