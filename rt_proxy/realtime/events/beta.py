"""The objects of the Beta dialect: flat, where those of the GA dialect are nested.

And the unions of both: nothing in an event names its dialect, so an object is told
by the fields that it has (API reference as of 2025, Beta).
"""

from typing import Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.audio import NoiseReduction, Transcription, TurnDetection
from rt_proxy.realtime.events.base import MISSING, ApiObject, JsonObject, Missing
from rt_proxy.realtime.events.responses import (
    ParametersCore,
    Response,
    ResponseCore,
    ResponseParameters,
)
from rt_proxy.realtime.events.sessions import (
    Prompt,
    RealtimeSession,
    Tracing,
    TranscriptionSession,
    Truncation,
    UnknownSession,
)
from rt_proxy.realtime.events.tools import Tool, ToolChoice

_TRANSCRIPTION = "realtime.transcription_session"
#: Fields of a response that only the Beta dialect has.
_FLAT = frozenset({"modalities", "voice", "output_audio_format", "temperature"})


@attrs.frozen(kw_only=True)
class ExpiresAfter(ApiObject):
    """When a client secret should expire.

    Attributes:
        anchor: ``created_at``.
        seconds: After that, from 10 to 7200.
    """

    anchor: str | Missing | None = MISSING
    seconds: int | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ClientSecret(ApiObject):
    """A key for browsers, which lives for a minute; in answers over HTTP.

    Attributes:
        value: The secret.
        expires_at: In Unix seconds; a transcription session asks with an object here.
        expires_after: What a client asks for.
    """

    value: str | Missing | None = attrs.field(default=MISSING, repr=False)
    expires_at: int | ExpiresAfter | Missing | None = MISSING
    expires_after: ExpiresAfter | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class BetaSessionCore(ApiObject):
    """What both sessions of the Beta dialect have.

    Attributes:
        id: Only from the server, as are ``object`` and ``expires_at``.
        object: ``realtime.session`` or ``realtime.transcription_session``.
        expires_at: When the session ends, in Unix seconds.
        modalities: ``("text", "audio")`` or ``("text",)``.
        input_audio_format: ``pcm16`` at 24 kHz, ``g711_ulaw`` or ``g711_alaw``.
        input_audio_transcription: None: the audio is not transcribed.
        input_audio_noise_reduction: None: the audio is taken as it is.
        turn_detection: None: the client commits the audio and asks for responses.
        include: Such as ``item.input_audio_transcription.logprobs``.
        client_secret: A key for browsers.
    """

    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING
    expires_at: int | Missing | None = MISSING
    modalities: tuple[str, ...] | Missing | None = MISSING
    input_audio_format: str | Missing | None = MISSING
    input_audio_transcription: Transcription | Missing | None = MISSING
    input_audio_noise_reduction: NoiseReduction | Missing | None = MISSING
    turn_detection: TurnDetection | Missing | None = MISSING
    include: tuple[str, ...] | Missing | None = MISSING
    client_secret: ClientSecret | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class BetaSession(BetaSessionCore):
    """A session in which the model speaks or writes; it has no ``type``.

    Attributes:
        model: Cannot change within a session.
        instructions: What the model is told before all else.
        voice: Its name; fixed once there was audio.
        output_audio_format: As ``input_audio_format``.
        tools: What the model can call.
        tool_choice: What it should call.
        temperature: From 0.6 to 1.2.
        max_response_output_tokens: The most tokens of one response, or ``inf``.
        max_output_tokens: Another name for the same.
        speed: From 0.25 to 1.5; 1 is as it is.
        tracing: ``auto``, or a configuration; fixed once set.
        prompt: A prompt that is kept at the provider; late Beta.
        truncation: What becomes of a conversation that is too long; late Beta.
    """

    model: str | Missing | None = MISSING
    instructions: str | Missing | None = MISSING
    voice: str | Missing | None = MISSING
    output_audio_format: str | Missing | None = MISSING
    tools: tuple[Tool, ...] | Missing | None = MISSING
    tool_choice: ToolChoice | Missing | None = MISSING
    temperature: float | Missing | None = MISSING
    max_response_output_tokens: int | Literal["inf"] | Missing | None = MISSING
    max_output_tokens: int | Literal["inf"] | Missing | None = MISSING
    speed: float | Missing | None = MISSING
    tracing: str | Tracing | Missing | None = MISSING
    prompt: Prompt | Missing | None = MISSING
    truncation: Truncation | Missing | None = MISSING

    @classmethod
    def fits(cls, members: JsonObject) -> bool:
        """Whether an object has no ``type``, which every session of the GA dialect has."""
        return "type" not in members


@attrs.frozen(kw_only=True)
class BetaTranscriptionSession(BetaSessionCore):
    """A session in which audio becomes text; the whole of it is in the fields of its base."""

    @classmethod
    def fits(cls, members: JsonObject) -> bool:
        """Whether an object without a ``type`` names itself a transcription session."""
        return "type" not in members and members.get("object") == _TRANSCRIPTION


@attrs.frozen(kw_only=True)
class BetaResponse(ResponseCore):
    """A response of the Beta dialect.

    Attributes:
        modalities: ``("text", "audio")`` or ``("text",)``.
        voice: Its name.
        output_audio_format: ``pcm16`` at 24 kHz, ``g711_ulaw`` or ``g711_alaw``.
        temperature: From 0.6 to 1.2.
    """

    modalities: tuple[str, ...] | Missing | None = MISSING
    voice: str | Missing | None = MISSING
    output_audio_format: str | Missing | None = MISSING
    temperature: float | Missing | None = MISSING

    @classmethod
    def fits(cls, members: JsonObject) -> bool:
        """Whether an object has a field that responses of the GA dialect do not have."""
        return not _FLAT.isdisjoint(members)


@attrs.frozen(kw_only=True)
class BetaResponseParameters(ParametersCore):
    """What ``response.create`` may ask for in the Beta dialect.

    Attributes:
        modalities: ``("text", "audio")`` or ``("text",)``.
        voice: Its name.
        output_audio_format: ``pcm16`` at 24 kHz, ``g711_ulaw`` or ``g711_alaw``.
        temperature: From 0.6 to 1.2.
        max_response_output_tokens: Another name for ``max_output_tokens``.
    """

    modalities: tuple[str, ...] | Missing | None = MISSING
    voice: str | Missing | None = MISSING
    output_audio_format: str | Missing | None = MISSING
    temperature: float | Missing | None = MISSING
    max_response_output_tokens: int | Literal["inf"] | Missing | None = MISSING

    @classmethod
    def fits(cls, members: JsonObject) -> bool:
        """Whether an object has a field that the GA dialect does not have."""
        return "max_response_output_tokens" in members or not _FLAT.isdisjoint(members)


# The order matters: an object becomes the first of these that it fits.

AnySession: TypeAlias = (
    RealtimeSession | TranscriptionSession | BetaTranscriptionSession | BetaSession | UnknownSession
)
AnyResponse: TypeAlias = BetaResponse | Response
AnyResponseParameters: TypeAlias = BetaResponseParameters | ResponseParameters
