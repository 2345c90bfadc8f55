"""The items of a conversation, and the parts of their content (API reference, items).

Both dialects are here: an assistant's parts are ``output_text`` and ``output_audio``
in the GA dialect, ``text`` and ``audio`` in the Beta dialect and, in either, in
``response.content_part.added`` and ``.done``.
"""

from typing import ClassVar, Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, JsonValue, Missing, Unknown


@attrs.frozen(kw_only=True)
class TextContent(ApiObject):
    """A part that is text.

    Attributes:
        text: What it says.
    """

    text: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class AudioContent(ApiObject):
    """A part that is audio.

    Attributes:
        audio: In base64, in the session's format; absent where it was sent by deltas.
        transcript: What is said in it.
    """

    audio: str | Missing | None = attrs.field(default=MISSING, repr=False)
    transcript: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class InputTextPart(TextContent):
    """Text of the system or the user."""

    type: ClassVar[Literal["input_text"]] = "input_text"


@attrs.frozen(kw_only=True)
class InputAudioPart(AudioContent):
    """Audio of the user."""

    type: ClassVar[Literal["input_audio"]] = "input_audio"


@attrs.frozen(kw_only=True)
class InputImagePart(ApiObject):
    """A picture from the user; GA dialect.

    Attributes:
        image_url: A data URI, PNG or JPEG in base64.
        detail: ``auto``, ``low`` or ``high``.
    """

    type: ClassVar[Literal["input_image"]] = "input_image"
    image_url: str | Missing | None = attrs.field(default=MISSING, repr=False)
    detail: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class OutputTextPart(TextContent):
    """Text of the assistant; GA dialect."""

    type: ClassVar[Literal["output_text"]] = "output_text"


@attrs.frozen(kw_only=True)
class OutputAudioPart(AudioContent):
    """Audio of the assistant; GA dialect."""

    type: ClassVar[Literal["output_audio"]] = "output_audio"


@attrs.frozen(kw_only=True)
class TextPart(TextContent):
    """Text of the assistant; Beta dialect, and in ``response.content_part`` events."""

    type: ClassVar[Literal["text"]] = "text"


@attrs.frozen(kw_only=True)
class AudioPart(AudioContent):
    """Audio of the assistant; Beta dialect, and in ``response.content_part`` events."""

    type: ClassVar[Literal["audio"]] = "audio"


@attrs.frozen(kw_only=True)
class ItemReference(ApiObject):
    """An item of the conversation, named in the ``input`` of a ``response.create``.

    It is an item there, and in the Beta dialect also a part of one.

    Attributes:
        id: Of that item.
    """

    type: ClassVar[Literal["item_reference"]] = "item_reference"
    id: str


@attrs.frozen(kw_only=True)
class UnknownPart(Unknown):
    """A part of content that is not in the API reference."""


Part: TypeAlias = (
    InputTextPart
    | InputAudioPart
    | InputImagePart
    | OutputTextPart
    | OutputAudioPart
    | TextPart
    | AudioPart
    | ItemReference
    | UnknownPart
)


@attrs.frozen(kw_only=True)
class ConversationItem(ApiObject):
    """What all items have.

    Attributes:
        id: Given by the client, or by the server where the client gave none.
        object: ``realtime.item``, where it is sent at all.
        status: ``completed``, ``incomplete`` or ``in_progress``.
    """

    id: str | Missing | None = MISSING
    object: str | Missing | None = MISSING
    status: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class MessageItem(ConversationItem):
    """Something said.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        content: Empty while an answer is in progress.
    """

    type: ClassVar[Literal["message"]] = "message"
    role: str
    content: tuple[Part, ...]


@attrs.frozen(kw_only=True)
class FunctionCallItem(ConversationItem):
    """A function that the model wants the client to call.

    Attributes:
        name: Of the function.
        arguments: A JSON object, as text.
        call_id: What the output must name.
    """

    type: ClassVar[Literal["function_call"]] = "function_call"
    name: str
    arguments: str
    call_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class FunctionCallOutputItem(ConversationItem):
    """What a function returned.

    Attributes:
        call_id: Of the call.
        output: Any text.
    """

    type: ClassVar[Literal["function_call_output"]] = "function_call_output"
    call_id: str
    output: str


@attrs.frozen(kw_only=True)
class McpListedTool(ApiObject):
    """A tool of an MCP server.

    Attributes:
        name: What the model calls it by.
        input_schema: A JSON Schema.
        description: What it does.
        annotations: What else the server says of it.
    """

    name: str
    input_schema: JsonValue
    description: str | Missing | None = MISSING
    annotations: JsonValue = MISSING


@attrs.frozen(kw_only=True)
class McpListToolsItem(ConversationItem):
    """The tools that an MCP server has.

    Attributes:
        server_label: Of the server.
        tools: Its tools.
    """

    type: ClassVar[Literal["mcp_list_tools"]] = "mcp_list_tools"
    server_label: str
    tools: tuple[McpListedTool, ...]


@attrs.frozen(kw_only=True)
class McpProtocolError(ApiObject):
    """An MCP server answered with an error of its protocol.

    Attributes:
        code: Of JSON-RPC.
        message: What the server said.
    """

    type: ClassVar[Literal["protocol_error"]] = "protocol_error"
    code: int
    message: str


@attrs.frozen(kw_only=True)
class McpToolExecutionError(ApiObject):
    """A tool of an MCP server failed.

    Attributes:
        message: What the tool said.
    """

    type: ClassVar[Literal["tool_execution_error"]] = "tool_execution_error"
    message: str


@attrs.frozen(kw_only=True)
class McpHttpError(ApiObject):
    """An MCP server could not be asked.

    Attributes:
        code: The HTTP status.
        message: What it said.
    """

    type: ClassVar[Literal["http_error"]] = "http_error"
    code: int
    message: str


@attrs.frozen(kw_only=True)
class UnknownMcpError(Unknown):
    """An error of an MCP server that is not in the API reference."""


McpError: TypeAlias = McpProtocolError | McpToolExecutionError | McpHttpError | UnknownMcpError


@attrs.frozen(kw_only=True)
class McpCallItem(ConversationItem):
    """A call of a tool of an MCP server.

    Attributes:
        server_label: Of the server.
        name: Of the tool.
        arguments: A JSON object, as text.
        output: What it returned; None: nothing yet, or it failed.
        error: Why it failed.
        approval_request_id: The request for approval that came before it.
    """

    type: ClassVar[Literal["mcp_call"]] = "mcp_call"
    id: str
    server_label: str
    name: str
    arguments: str
    output: str | Missing | None = MISSING
    error: McpError | Missing | None = MISSING
    approval_request_id: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class McpApprovalRequestItem(ConversationItem):
    """The model asks whether it may call a tool of an MCP server.

    Attributes:
        server_label: Of the server.
        name: Of the tool.
        arguments: A JSON object, as text.
    """

    type: ClassVar[Literal["mcp_approval_request"]] = "mcp_approval_request"
    id: str
    server_label: str
    name: str
    arguments: str


@attrs.frozen(kw_only=True)
class McpApprovalResponseItem(ConversationItem):
    """The client's answer to that.

    Attributes:
        approval_request_id: The id of the request.
        approve: It may.
        reason: Why, or why not.
    """

    type: ClassVar[Literal["mcp_approval_response"]] = "mcp_approval_response"
    id: str
    approval_request_id: str
    approve: bool
    reason: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownItem(Unknown):
    """An item that is not in the API reference."""


Item: TypeAlias = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpListToolsItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | ItemReference
    | UnknownItem
)
