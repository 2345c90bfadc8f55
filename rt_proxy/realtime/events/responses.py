"""Responses of the GA dialect, and what they cost, which is the same in both (API reference)."""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.audio import Audio
from rt_proxy.realtime.events.base import MISSING, ApiObject, Missing, Unknown
from rt_proxy.realtime.events.items import Item
from rt_proxy.realtime.events.sessions import Prompt, Reasoning
from rt_proxy.realtime.events.tools import Tool, ToolChoice


@attrs.frozen(kw_only=True)
class CachedTokensDetails(ApiObject):
    """Which of the input tokens were cached, by modality.

    Attributes:
        text_tokens: Of text.
        audio_tokens: Of audio.
        image_tokens: Of pictures.
    """

    text_tokens: int | Missing = MISSING
    audio_tokens: int | Missing = MISSING
    image_tokens: int | Missing = MISSING


@attrs.frozen(kw_only=True)
class InputTokenDetails(ApiObject):
    """The input tokens by modality; each number includes its cached part.

    Attributes:
        text_tokens: Of text.
        audio_tokens: Of audio.
        image_tokens: Of pictures.
        cached_tokens: Those that were cached, of all modalities.
        cached_tokens_details: The same, by modality; early Beta servers leave it out.
    """

    text_tokens: int | Missing = MISSING
    audio_tokens: int | Missing = MISSING
    image_tokens: int | Missing = MISSING
    cached_tokens: int | Missing = MISSING
    cached_tokens_details: CachedTokensDetails | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class OutputTokenDetails(ApiObject):
    """The output tokens by modality.

    Attributes:
        text_tokens: Of text.
        audio_tokens: Of audio.
    """

    text_tokens: int | Missing = MISSING
    audio_tokens: int | Missing = MISSING


@attrs.frozen(kw_only=True)
class Usage(ApiObject):
    """What a response cost, in tokens (API reference, ``response.done``).

    Attributes:
        total_tokens: Of input and output.
        input_tokens: The whole conversation, most of it cached.
        output_tokens: What the model made.
        input_token_details: By modality.
        output_token_details: By modality.
    """

    total_tokens: int | Missing = MISSING
    input_tokens: int | Missing = MISSING
    output_tokens: int | Missing = MISSING
    input_token_details: InputTokenDetails | Missing | None = MISSING
    output_token_details: OutputTokenDetails | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class TokensUsage(ApiObject):
    """What a transcription cost, in tokens.

    Attributes:
        total_tokens: Of input and output.
        input_tokens: What the model heard.
        output_tokens: What it wrote.
        input_token_details: By modality.
    """

    type: ClassVar[Literal["tokens"]] = "tokens"
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokenDetails | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class DurationUsage(ApiObject):
    """What a transcription cost, by time.

    Attributes:
        seconds: Of audio.
    """

    type: ClassVar[Literal["duration"]] = "duration"
    seconds: float


@attrs.frozen(kw_only=True)
class UnknownUsage(Unknown):
    """The cost of a transcription in a form that is not in the API reference."""


TranscriptionUsage: TypeAlias = TokensUsage | DurationUsage | UnknownUsage


@attrs.frozen(kw_only=True)
class ResponseError(ApiObject):
    """Why a response failed.

    Attributes:
        type: The kind of error.
        code: Such as ``rate_limit_exceeded``.
        message: For people.
    """

    type: str | Missing | None = MISSING
    code: str | Missing | None = MISSING
    message: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class StatusDetails(ApiObject):
    """Why a response has the status that it has.

    Attributes:
        type: The status once more.
        reason: ``turn_detected`` or ``client_cancelled`` of a cancelled one,
            ``max_output_tokens`` or ``content_filter`` of an incomplete one.
        error: Of a failed one.
    """

    type: str | Missing | None = MISSING
    reason: str | Missing | None = MISSING
    error: ResponseError | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseCore(ApiObject):
    """What a response has in either dialect.

    Attributes:
        id: Of the response.
        object: ``realtime.response``.
        status: ``in_progress``, ``completed``, ``cancelled``, ``failed`` or ``incomplete``.
        status_details: Why; None: there is nothing to say.
        output: The items that it made, without their audio.
        conversation_id: None: it belongs to no conversation.
        max_output_tokens: The most tokens it might have, or ``inf``.
        metadata: The client's own, up to 16 pairs.
        usage: None while it is in progress, and in some that failed.
    """

    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING
    status: str | Missing | None = MISSING
    status_details: StatusDetails | Missing | None = MISSING
    output: tuple[Item, ...] | Missing | None = MISSING
    conversation_id: str | Missing | None = MISSING
    max_output_tokens: int | Literal["inf"] | Missing | None = MISSING
    metadata: Mapping[str, str] | Missing | None = MISSING
    usage: Usage | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class Response(ResponseCore):
    """A response of the GA dialect, or one that has nothing to tell the dialect by.

    Attributes:
        output_modalities: ``("audio",)`` or ``("text",)``.
        audio: Its ``output`` only.
    """

    output_modalities: tuple[str, ...] | Missing | None = MISSING
    audio: Audio | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ParametersCore(ApiObject):
    """What ``response.create`` may ask for in either dialect; the session has the rest.

    Attributes:
        instructions: In place of the session's.
        tools: In place of the session's.
        tool_choice: In place of the session's.
        max_output_tokens: The most tokens, tool calls included, or ``inf``.
        conversation: ``auto``, or ``none``: the answer is added to no conversation.
        input: What the model is shown in place of the conversation; empty: nothing.
        metadata: Given back in the response; up to 16 pairs.
        prompt: A prompt that is kept at the provider.
    """

    instructions: str | Missing | None = MISSING
    tools: tuple[Tool, ...] | Missing | None = MISSING
    tool_choice: ToolChoice | Missing | None = MISSING
    max_output_tokens: int | Literal["inf"] | Missing | None = MISSING
    conversation: str | Missing | None = MISSING
    input: tuple[Item, ...] | Missing | None = MISSING
    metadata: Mapping[str, str] | Missing | None = MISSING
    prompt: Prompt | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseParameters(ParametersCore):
    """What ``response.create`` may ask for in the GA dialect.

    Attributes:
        output_modalities: ``("audio",)`` or ``("text",)``.
        audio: Its ``output`` only, without ``speed``.
        parallel_tool_calls: Reasoning models only.
        reasoning: Reasoning models only.
    """

    output_modalities: tuple[str, ...] | Missing | None = MISSING
    audio: Audio | Missing | None = MISSING
    parallel_tool_calls: bool | Missing | None = MISSING
    reasoning: Reasoning | Missing | None = MISSING
