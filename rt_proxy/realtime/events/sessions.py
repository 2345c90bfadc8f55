"""The session objects of the GA dialect (API reference, client events, ``session.update``).

In a ``session.update`` a field that is missing leaves the session's as it is, and
null clears it; in an answer of the server all fields are there.
"""

from typing import ClassVar, Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.audio import Audio
from rt_proxy.realtime.events.base import (
    MISSING,
    ApiObject,
    JsonObject,
    JsonValue,
    Missing,
    Unknown,
)
from rt_proxy.realtime.events.tools import Tool, ToolChoice


@attrs.frozen(kw_only=True)
class Reasoning(ApiObject):
    """How much a reasoning model thinks.

    Attributes:
        effort: ``minimal``, ``low``, ``medium``, ``high`` or ``xhigh``.
    """

    effort: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class Tracing(ApiObject):
    """How the session stands in the provider's dashboard of traces.

    Attributes:
        workflow_name: The name of the trace.
        group_id: What groups traces.
        metadata: What they can be filtered by.
    """

    workflow_name: str | Missing | None = MISSING
    group_id: str | Missing | None = MISSING
    metadata: JsonValue = MISSING


@attrs.frozen(kw_only=True)
class Prompt(ApiObject):
    """A prompt that is kept at the provider.

    Attributes:
        id: Of the prompt.
        version: Absent: the latest.
        variables: What is filled in.
    """

    id: str
    version: str | Missing | None = MISSING
    variables: JsonObject | Missing | None = attrs.field(default=MISSING, repr=False)


@attrs.frozen(kw_only=True)
class TokenLimits(ApiObject):
    """Token limits of a ``RetentionRatio``.

    Attributes:
        post_instructions: The most tokens of a conversation after its instructions.
    """

    post_instructions: int | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class RetentionRatio(ApiObject):
    """A conversation that became too long is cut to a share of its limit.

    Attributes:
        retention_ratio: The share, from 0 to 1.
        token_limits: Absent: those of the model.
    """

    type: ClassVar[Literal["retention_ratio"]] = "retention_ratio"
    retention_ratio: float
    token_limits: TokenLimits | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownTruncation(Unknown):
    """A way to cut a conversation that is not in the API reference."""


#: A string is ``auto`` or ``disabled``.
Truncation: TypeAlias = str | RetentionRatio | UnknownTruncation


@attrs.frozen(kw_only=True)
class RealtimeSession(ApiObject):
    """A session in which the model speaks or writes.

    Attributes:
        id: Only from the server, as are ``object`` and ``expires_at``.
        object: ``realtime.session``.
        expires_at: When the session ends, in Unix seconds; 0 where it has not begun.
        model: Cannot change within a session.
        output_modalities: ``("audio",)`` or ``("text",)``, never both.
        instructions: What the model is told before all else.
        audio: How it hears and speaks.
        tools: What it can call.
        tool_choice: What it should call.
        parallel_tool_calls: It may call more than one at once; reasoning models only.
        reasoning: Reasoning models only.
        max_output_tokens: The most tokens of one response, tool calls included, or ``inf``.
        truncation: What becomes of a conversation that is too long.
        tracing: ``auto``, or a configuration; fixed once set.
        prompt: A prompt that is kept at the provider.
        include: Such as ``item.input_audio_transcription.logprobs``.
    """

    type: ClassVar[Literal["realtime"]] = "realtime"
    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING
    expires_at: int | Missing | None = MISSING
    model: str | Missing | None = MISSING
    output_modalities: tuple[str, ...] | Missing | None = MISSING
    instructions: str | Missing | None = MISSING
    audio: Audio | Missing | None = MISSING
    tools: tuple[Tool, ...] | Missing | None = MISSING
    tool_choice: ToolChoice | Missing | None = MISSING
    parallel_tool_calls: bool | Missing | None = MISSING
    reasoning: Reasoning | Missing | None = MISSING
    max_output_tokens: int | Literal["inf"] | Missing | None = MISSING
    truncation: Truncation | Missing | None = MISSING
    tracing: str | Tracing | Missing | None = MISSING
    prompt: Prompt | Missing | None = MISSING
    include: tuple[str, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class TranscriptionSession(ApiObject):
    """A session in which audio becomes text, and nobody answers.

    Attributes:
        id: Only from the server, as are ``object`` and ``expires_at``.
        object: ``realtime.transcription_session``.
        expires_at: When the session ends, in Unix seconds.
        audio: Its ``input`` only; the model stands in ``transcription`` there.
        include: Such as ``item.input_audio_transcription.logprobs``.
    """

    type: ClassVar[Literal["transcription"]] = "transcription"
    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING
    expires_at: int | Missing | None = MISSING
    audio: Audio | Missing | None = MISSING
    include: tuple[str, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownSession(Unknown):
    """A session of another type, such as a translation."""
