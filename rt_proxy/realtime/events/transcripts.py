"""What a server says of the user's audio as text, beside the conversation (API reference).

A class is named after the type of its event; those of the API have long names here.
"""

from typing import ClassVar, Literal

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, Missing
from rt_proxy.realtime.events.responses import TranscriptionUsage
from rt_proxy.realtime.events.server import OfContent, OfItem


@attrs.frozen(kw_only=True)
class LogProb(ApiObject):
    """How likely a token was.

    Attributes:
        token: The token.
        logprob: The natural logarithm of its probability.
        bytes: The token in UTF-8.
    """

    token: str
    logprob: float
    bytes: tuple[int, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class TranscriptionLanguage(ApiObject):
    """A language that was heard.

    Attributes:
        code: In ISO 639-1.
    """

    code: str


@attrs.frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionDelta(OfItem):
    """A piece of the transcript of the user's audio.

    Attributes:
        content_index: Of the part in the item's content, from 0.
        delta: The piece.
        logprobs: Of its tokens, where the session includes them.
        obfuscation: Padding, against guesses from the length.
    """

    type: ClassVar[Literal["conversation.item.input_audio_transcription.delta"]] = (
        "conversation.item.input_audio_transcription.delta"
    )
    content_index: int | Missing | None = MISSING
    delta: str | Missing | None = MISSING
    logprobs: tuple[LogProb, ...] | Missing | None = MISSING
    obfuscation: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionCompleted(OfContent):
    """The transcript of the user's audio; it is billed apart from responses.

    Attributes:
        transcript: The whole.
        usage: What it cost; Beta servers may leave it out.
        logprobs: Of its tokens, where the session includes them.
        languages: What was spoken; some models only.
    """

    type: ClassVar[Literal["conversation.item.input_audio_transcription.completed"]] = (
        "conversation.item.input_audio_transcription.completed"
    )
    transcript: str
    usage: TranscriptionUsage | Missing | None = MISSING
    logprobs: tuple[LogProb, ...] | Missing | None = MISSING
    languages: tuple[TranscriptionLanguage, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionSegment(OfContent):
    """What one speaker said, from models that tell speakers apart.

    Attributes:
        id: Of the segment.
        text: What was said.
        speaker: Who said it.
        start: In the audio, in seconds.
        end: In the audio, in seconds.
    """

    type: ClassVar[Literal["conversation.item.input_audio_transcription.segment"]] = (
        "conversation.item.input_audio_transcription.segment"
    )
    id: str
    text: str
    speaker: str
    start: float
    end: float


@attrs.frozen(kw_only=True)
class TranscriptionError(ApiObject):
    """Why a transcription failed.

    Attributes:
        type: The kind of error.
        code: For programs.
        message: For people.
        param: Which field was wrong.
    """

    type: str | Missing | None = MISSING
    code: str | Missing | None = MISSING
    message: str | Missing | None = MISSING
    param: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ConversationItemInputAudioTranscriptionFailed(OfContent):
    """The user's audio could not be transcribed; the session goes on.

    Attributes:
        error: Why.
    """

    type: ClassVar[Literal["conversation.item.input_audio_transcription.failed"]] = (
        "conversation.item.input_audio_transcription.failed"
    )
    error: TranscriptionError
