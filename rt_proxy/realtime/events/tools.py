"""Tools, and which of them the model should use (API reference, session, ``tools``)."""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

import attrs

from rt_proxy.realtime.events.base import MISSING, ApiObject, JsonObject, Missing, Unknown


@attrs.frozen(kw_only=True)
class FunctionTool(ApiObject):
    """A function of the client.

    Attributes:
        name: What the model calls it by.
        description: When and how to call it.
        parameters: A JSON Schema.
    """

    type: ClassVar[Literal["function"]] = "function"
    name: str | Missing | None = MISSING
    description: str | Missing | None = MISSING
    parameters: JsonObject | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class McpToolFilter(ApiObject):
    """Some of the tools of an MCP server.

    Attributes:
        read_only: Those that change nothing.
        tool_names: Those with these names.
    """

    read_only: bool | Missing | None = MISSING
    tool_names: tuple[str, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class McpApprovalFilter(ApiObject):
    """Which tools of an MCP server need an approval.

    Attributes:
        always: These do.
        never: These do not.
    """

    always: McpToolFilter | Missing | None = MISSING
    never: McpToolFilter | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class McpTool(ApiObject):
    """An MCP server, whose tools the provider calls.

    Attributes:
        server_label: What the server is called in this session.
        server_url: Where it is; or ``connector_id`` or ``tunnel_id``.
        connector_id: A connector of the provider, such as ``connector_gmail``.
        tunnel_id: A tunnel to it.
        authorization: A secret for it, an OAuth token.
        headers: Of the requests to it; they may hold secrets.
        allowed_tools: Names or a filter; None: all.
        require_approval: ``always``, ``never`` or a filter.
        server_description: What it is good for.
        defer_loading: Its tools are loaded when they are wanted.
        allowed_callers: ``direct``, ``programmatic``.
    """

    type: ClassVar[Literal["mcp"]] = "mcp"
    server_label: str
    server_url: str | Missing | None = attrs.field(default=MISSING, repr=False)
    connector_id: str | Missing | None = MISSING
    tunnel_id: str | Missing | None = MISSING
    authorization: str | Missing | None = attrs.field(default=MISSING, repr=False)
    headers: Mapping[str, str] | Missing | None = attrs.field(default=MISSING, repr=False)
    allowed_tools: tuple[str, ...] | McpToolFilter | Missing | None = MISSING
    require_approval: str | McpApprovalFilter | Missing | None = MISSING
    server_description: str | Missing | None = MISSING
    defer_loading: bool | Missing | None = MISSING
    allowed_callers: tuple[str, ...] | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownTool(Unknown):
    """A tool that is not in the API reference."""


Tool: TypeAlias = FunctionTool | McpTool | UnknownTool


@attrs.frozen(kw_only=True)
class FunctionChoice(ApiObject):
    """The model must call this function.

    Attributes:
        name: Of the function.
    """

    type: ClassVar[Literal["function"]] = "function"
    name: str


@attrs.frozen(kw_only=True)
class FunctionName(ApiObject):
    """The function in a ``BetaFunctionChoice``.

    Attributes:
        name: Of the function.
    """

    name: str


@attrs.frozen(kw_only=True)
class BetaFunctionChoice(ApiObject):
    """The model must call this function; Beta dialect.

    Attributes:
        function: Which one.
    """

    type: ClassVar[Literal["function"]] = "function"
    function: FunctionName


@attrs.frozen(kw_only=True)
class McpChoice(ApiObject):
    """The model must use this MCP server.

    Attributes:
        server_label: Of the server.
        name: Of its tool; absent: any.
    """

    type: ClassVar[Literal["mcp"]] = "mcp"
    server_label: str
    name: str | Missing | None = MISSING


@attrs.frozen(kw_only=True)
class UnknownToolChoice(Unknown):
    """A choice of tools that is not in the API reference."""


#: A string is ``auto``, ``none`` or ``required``.
ToolChoice: TypeAlias = str | FunctionChoice | BetaFunctionChoice | McpChoice | UnknownToolChoice
