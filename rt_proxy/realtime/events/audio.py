"""How audio is coded, heard and spoken (API reference, session, ``audio``)."""

from typing import ClassVar, Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, Missing, Unknown


@attrs.frozen(kw_only=True)
class PcmFormat(ApiObject):
    """Samples of 16 bits, little-endian, one channel.

    Attributes:
        rate: Samples a second; the API takes 24000.
    """

    type: ClassVar[Literal["audio/pcm"]] = "audio/pcm"
    rate: int | Missing = MISSING


@attrs.frozen(kw_only=True)
class PcmuFormat(ApiObject):
    """G.711 mu-law, 8000 samples a second."""

    type: ClassVar[Literal["audio/pcmu"]] = "audio/pcmu"


@attrs.frozen(kw_only=True)
class PcmaFormat(ApiObject):
    """G.711 A-law, 8000 samples a second."""

    type: ClassVar[Literal["audio/pcma"]] = "audio/pcma"


@attrs.frozen(kw_only=True)
class UnknownFormat(Unknown):
    """An audio format that is not in the API reference."""


AudioFormat: TypeAlias = PcmFormat | PcmuFormat | PcmaFormat | UnknownFormat


@attrs.frozen(kw_only=True)
class Transcription(ApiObject):
    """How the user's audio is transcribed, beside the conversation; it costs extra.

    Attributes:
        model: A transcription model, such as ``gpt-4o-transcribe``.
        language: What is spoken, in ISO 639-1.
        prompt: Text that guides the model.
        delay: ``minimal`` to ``xhigh``: how long a live model waits before it writes.
        keywords: Words to expect.
        languages: What may be spoken, in ISO 639-1.
    """

    model: str | Missing | None = MISSING
    language: str | Missing | None = MISSING
    prompt: str | Missing | None = MISSING
    delay: str | Missing | None = MISSING
    keywords: tuple[str, ...] | Missing | None = MISSING
    languages: tuple[str, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class NoiseReduction(ApiObject):
    """A filter before voice activity detection and model.

    Attributes:
        type: ``near_field`` for headsets, ``far_field`` for rooms.
        strength: How much is suppressed; 1 unless told.
    """

    type: str | Missing | None = MISSING
    strength: float | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ServerVad(ApiObject):
    """Turns are found by loudness.

    Attributes:
        threshold: From 0 to 1; higher wants louder speech.
        prefix_padding_ms: How much audio before the speech belongs to it, in milliseconds.
        silence_duration_ms: How much silence ends a turn, in milliseconds.
        create_response: A turn's end starts a response.
        interrupt_response: A turn's beginning cancels a response.
        idle_timeout_ms: After so much silence a response starts all the same, in milliseconds.
    """

    type: ClassVar[Literal["server_vad"]] = "server_vad"
    threshold: float | Missing | None = MISSING
    prefix_padding_ms: int | Missing | None = MISSING
    silence_duration_ms: int | Missing | None = MISSING
    create_response: bool | Missing | None = MISSING
    interrupt_response: bool | Missing | None = MISSING
    idle_timeout_ms: int | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class SemanticVad(ApiObject):
    """Turns are found by a model that judges whether the user has finished.

    Attributes:
        eagerness: ``low``, ``medium``, ``high`` or ``auto``: how soon it takes a turn as finished.
        create_response: A turn's end starts a response.
        interrupt_response: A turn's beginning cancels a response.
    """

    type: ClassVar[Literal["semantic_vad"]] = "semantic_vad"
    eagerness: str | Missing | None = MISSING
    create_response: bool | Missing | None = MISSING
    interrupt_response: bool | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownTurnDetection(Unknown):
    """A way to find turns that is not in the API reference, or one without a ``type``."""


TurnDetection: TypeAlias = ServerVad | SemanticVad | UnknownTurnDetection


@attrs.frozen(kw_only=True)
class VoiceId(ApiObject):
    """A voice of one's own.

    Attributes:
        id: Such as ``voice_...``.
    """

    id: str


@attrs.frozen(kw_only=True)
class AudioInput(ApiObject):
    """How the user is heard.

    Attributes:
        format: Of the audio in ``input_audio_buffer.append``.
        transcription: None: the audio is not transcribed.
        noise_reduction: None: the audio is taken as it is.
        turn_detection: None: the client commits the audio and asks for responses.
    """

    format: AudioFormat | Missing | None = MISSING
    transcription: Transcription | Missing | None = MISSING
    noise_reduction: NoiseReduction | Missing | None = MISSING
    turn_detection: TurnDetection | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class AudioOutput(ApiObject):
    """How the model speaks.

    Attributes:
        format: Of the audio in ``response.output_audio.delta``.
        voice: Its name, or a voice of one's own; fixed once there was audio.
        speed: From 0.25 to 1.5; 1 is as it is. Only in a session.
    """

    format: AudioFormat | Missing | None = MISSING
    voice: str | VoiceId | Missing | None = MISSING
    speed: float | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class Audio(ApiObject):
    """The audio of a session or a response.

    Attributes:
        input: Not in a response.
        output: Not in a transcription session.
    """

    input: AudioInput | Missing | None = MISSING
    output: AudioOutput | Missing | None = MISSING
