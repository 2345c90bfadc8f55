"""What a channel's upstream does not take: fields that are left out, and tools that are refused.

One odd default of a client library must not cost its session: providers answer
the whole event with an error where it has a field that they do not know.
"""

from collections.abc import Collection, Mapping
from typing import Any

from rt_proxy.realtime.jsontext import Members, edit_object, read_members, read_string
from rt_proxy.realtime.looks import text_at, value_at

#: Which member of a client event holds the fields.
_HOLDERS: Mapping[str, str] = {
    "session.update": "session",
    "transcription_session.update": "session",
    "response.create": "response",
}


def without_fields(text: str, fields: Collection[str]) -> str:
    """Return a client event without some fields; the text itself where it has none of them.

    What is left of an update goes on, even if it is nothing: the client waits for
    the answer to it.

    Args:
        text: A JSON object that ``jsontext.parse_object`` can read, as the upstream gets it.
        fields: Names, or paths such as ``audio.input.noise_reduction``, below the session of an
            update and below the response of a ``response.create``.
    """
    if not fields:
        return text
    try:
        kind = read_string((read_members(text) or {}).get("type"))
        holder = _HOLDERS.get(kind or "")
        if holder is not None:
            for field in fields:
                text = _without(text, [holder, *field.split(".")])
    except RecursionError:  # nested as deep as could just be read: the upstream is the judge
        pass
    return text


def _without(text: str, path: list[str]) -> str:
    name, *below = path

    def edit(members: Members) -> Members:
        if below and name in members:
            members[name] = _without(members[name], below)
        else:
            members.pop(name, None)
        return members

    return edit_object(text, edit)


def mcp_tool_in(event: dict[str, Any]) -> str | None:
    """Return the path of the type of the first MCP tool in a client event; None: it has none."""
    holder = _HOLDERS.get(text_at(event, "type") or "")
    if holder is None:
        return None
    tools = value_at(event, holder, "tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if value_at(tool, "type") == "mcp":
            return f"{holder}.tools[{index}].type"
    return None
