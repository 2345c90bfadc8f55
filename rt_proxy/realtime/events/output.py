"""What a server says while a response is made (API reference, server events).

A class is named after the type of its event: ``response.done`` is ``ResponseDone``.
"""

from typing import ClassVar, Literal

import attrs

from rt_proxy.realtime.events.base import MISSING, Missing
from rt_proxy.realtime.events.beta import AnyResponse
from rt_proxy.realtime.events.items import Item, Part
from rt_proxy.realtime.events.server import FromServer, OfItem


@attrs.frozen(kw_only=True)
class WithResponse(FromServer):
    """An event that shows a response.

    Attributes:
        response: As it is now.
    """

    response: AnyResponse


@attrs.frozen(kw_only=True)
class OfResponse(FromServer):
    """An event about a response.

    Attributes:
        response_id: Of the response.
    """

    response_id: str


@attrs.frozen(kw_only=True)
class OfOutputItem(OfResponse):
    """An event about an item that a response makes.

    Attributes:
        item_id: Of the item.
        output_index: Of the item in the response's output, from 0.
    """

    item_id: str
    output_index: int


@attrs.frozen(kw_only=True)
class OfPart(OfOutputItem):
    """An event about a part of such an item.

    Attributes:
        content_index: Of the part in the item's content, from 0.
    """

    content_index: int


@attrs.frozen(kw_only=True)
class WithOutputItem(OfResponse):
    """An event that shows an item of a response.

    Attributes:
        output_index: Of the item in the response's output, from 0.
        item: As it is now.
    """

    output_index: int
    item: Item


@attrs.frozen(kw_only=True)
class WithPart(OfPart):
    """An event that shows a part of an item.

    Attributes:
        part: Of type ``text`` or ``audio`` in both dialects.
    """

    part: Part


@attrs.frozen(kw_only=True)
class TextPiece(OfPart):
    """A piece of text.

    Attributes:
        delta: The piece.
        obfuscation: Padding, against guesses from the length.
    """

    delta: str
    obfuscation: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class AudioPiece(OfPart):
    """A piece of audio.

    Attributes:
        delta: In base64, in the output format.
    """

    delta: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class WholeText(OfPart):
    """The end of a text.

    Attributes:
        text: The whole.
    """

    text: str


@attrs.frozen(kw_only=True)
class WholeTranscript(OfPart):
    """The end of what is said in some audio.

    Attributes:
        transcript: The whole.
    """

    transcript: str


@attrs.frozen(kw_only=True)
class OfMcpCall(OfItem):
    """An event about a call of a tool of an MCP server.

    Attributes:
        output_index: Of the item in the response's output, from 0.
    """

    output_index: int


@attrs.frozen(kw_only=True)
class ResponseCreated(WithResponse):
    """A response is in progress from now on."""

    type: ClassVar[Literal["response.created"]] = "response.created"


@attrs.frozen(kw_only=True)
class ResponseDone(WithResponse):
    """A response has ended, whatever its status; its usage is billed."""

    type: ClassVar[Literal["response.done"]] = "response.done"


@attrs.frozen(kw_only=True)
class ResponseOutputItemAdded(WithOutputItem):
    """A response has begun an item."""

    type: ClassVar[Literal["response.output_item.added"]] = "response.output_item.added"


@attrs.frozen(kw_only=True)
class ResponseOutputItemDone(WithOutputItem):
    """An item of a response is final."""

    type: ClassVar[Literal["response.output_item.done"]] = "response.output_item.done"


@attrs.frozen(kw_only=True)
class ResponseContentPartAdded(WithPart):
    """An item has got a part, still empty."""

    type: ClassVar[Literal["response.content_part.added"]] = "response.content_part.added"


@attrs.frozen(kw_only=True)
class ResponseContentPartDone(WithPart):
    """A part is final."""

    type: ClassVar[Literal["response.content_part.done"]] = "response.content_part.done"


@attrs.frozen(kw_only=True)
class ResponseOutputTextDelta(TextPiece):
    """A piece of the answer's text; GA dialect."""

    type: ClassVar[Literal["response.output_text.delta"]] = "response.output_text.delta"


@attrs.frozen(kw_only=True)
class ResponseOutputTextDone(WholeText):
    """The answer's text is whole; GA dialect."""

    type: ClassVar[Literal["response.output_text.done"]] = "response.output_text.done"


@attrs.frozen(kw_only=True)
class ResponseOutputAudioDelta(AudioPiece):
    """A piece of the answer's audio; GA dialect."""

    type: ClassVar[Literal["response.output_audio.delta"]] = "response.output_audio.delta"


@attrs.frozen(kw_only=True)
class ResponseOutputAudioDone(OfPart):
    """The answer's audio is whole; GA dialect."""

    type: ClassVar[Literal["response.output_audio.done"]] = "response.output_audio.done"


@attrs.frozen(kw_only=True)
class ResponseOutputAudioTranscriptDelta(TextPiece):
    """A piece of what the answer's audio says; GA dialect."""

    type: ClassVar[Literal["response.output_audio_transcript.delta"]] = (
        "response.output_audio_transcript.delta"
    )


@attrs.frozen(kw_only=True)
class ResponseOutputAudioTranscriptDone(WholeTranscript):
    """What the answer's audio says; GA dialect."""

    type: ClassVar[Literal["response.output_audio_transcript.done"]] = (
        "response.output_audio_transcript.done"
    )


@attrs.frozen(kw_only=True)
class ResponseTextDelta(TextPiece):
    """A piece of the answer's text; Beta dialect."""

    type: ClassVar[Literal["response.text.delta"]] = "response.text.delta"


@attrs.frozen(kw_only=True)
class ResponseTextDone(WholeText):
    """The answer's text is whole; Beta dialect."""

    type: ClassVar[Literal["response.text.done"]] = "response.text.done"


@attrs.frozen(kw_only=True)
class ResponseAudioDelta(AudioPiece):
    """A piece of the answer's audio; Beta dialect."""

    type: ClassVar[Literal["response.audio.delta"]] = "response.audio.delta"


@attrs.frozen(kw_only=True)
class ResponseAudioDone(OfPart):
    """The answer's audio is whole; Beta dialect."""

    type: ClassVar[Literal["response.audio.done"]] = "response.audio.done"


@attrs.frozen(kw_only=True)
class ResponseAudioTranscriptDelta(TextPiece):
    """A piece of what the answer's audio says; Beta dialect."""

    type: ClassVar[Literal["response.audio_transcript.delta"]] = "response.audio_transcript.delta"


@attrs.frozen(kw_only=True)
class ResponseAudioTranscriptDone(WholeTranscript):
    """What the answer's audio says; Beta dialect."""

    type: ClassVar[Literal["response.audio_transcript.done"]] = "response.audio_transcript.done"


@attrs.frozen(kw_only=True)
class ResponseFunctionCallArgumentsDelta(OfOutputItem):
    """A piece of the arguments of a function call.

    Attributes:
        call_id: Of the call.
        delta: The piece.
        obfuscation: Padding, against guesses from the length.
    """

    type: ClassVar[Literal["response.function_call_arguments.delta"]] = (
        "response.function_call_arguments.delta"
    )
    call_id: str
    delta: str
    obfuscation: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseFunctionCallArgumentsDone(OfOutputItem):
    """The arguments of a function call are whole.

    Attributes:
        call_id: What the output must name.
        arguments: A JSON object, as text.
        name: Of the function; Beta servers leave it out.
    """

    type: ClassVar[Literal["response.function_call_arguments.done"]] = (
        "response.function_call_arguments.done"
    )
    call_id: str
    arguments: str
    name: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseMcpCallArgumentsDelta(OfOutputItem):
    """A piece of the arguments of a call of an MCP server.

    Attributes:
        delta: The piece.
        obfuscation: Padding, against guesses from the length.
    """

    type: ClassVar[Literal["response.mcp_call_arguments.delta"]] = (
        "response.mcp_call_arguments.delta"
    )
    delta: str
    obfuscation: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class ResponseMcpCallArgumentsDone(OfOutputItem):
    """The arguments of a call of an MCP server are whole.

    Attributes:
        arguments: A JSON object, as text.
    """

    type: ClassVar[Literal["response.mcp_call_arguments.done"]] = "response.mcp_call_arguments.done"
    arguments: str


@attrs.frozen(kw_only=True)
class ResponseMcpCallInProgress(OfMcpCall):
    """A tool of an MCP server is being called."""

    type: ClassVar[Literal["response.mcp_call.in_progress"]] = "response.mcp_call.in_progress"


@attrs.frozen(kw_only=True)
class ResponseMcpCallCompleted(OfMcpCall):
    """A tool of an MCP server has answered."""

    type: ClassVar[Literal["response.mcp_call.completed"]] = "response.mcp_call.completed"


@attrs.frozen(kw_only=True)
class ResponseMcpCallFailed(OfMcpCall):
    """A tool of an MCP server has failed."""

    type: ClassVar[Literal["response.mcp_call.failed"]] = "response.mcp_call.failed"


@attrs.frozen(kw_only=True)
class McpListToolsInProgress(OfItem):
    """An MCP server is being asked for its tools."""

    type: ClassVar[Literal["mcp_list_tools.in_progress"]] = "mcp_list_tools.in_progress"


@attrs.frozen(kw_only=True)
class McpListToolsCompleted(OfItem):
    """The tools of an MCP server are known."""

    type: ClassVar[Literal["mcp_list_tools.completed"]] = "mcp_list_tools.completed"


@attrs.frozen(kw_only=True)
class McpListToolsFailed(OfItem):
    """An MCP server did not tell its tools."""

    type: ClassVar[Literal["mcp_list_tools.failed"]] = "mcp_list_tools.failed"


@attrs.frozen(kw_only=True)
class OutputAudioBufferStarted(OfResponse):
    """The server plays a response; WebRTC and SIP only."""

    type: ClassVar[Literal["output_audio_buffer.started"]] = "output_audio_buffer.started"


@attrs.frozen(kw_only=True)
class OutputAudioBufferStopped(OfResponse):
    """A response was played to its end; WebRTC and SIP only."""

    type: ClassVar[Literal["output_audio_buffer.stopped"]] = "output_audio_buffer.stopped"


@attrs.frozen(kw_only=True)
class OutputAudioBufferCleared(OfResponse):
    """A response will not be played further; WebRTC and SIP only."""

    type: ClassVar[Literal["output_audio_buffer.cleared"]] = "output_audio_buffer.cleared"
