"""Items of a conversation and their content parts, in both directions.

Parts of ``response.content_part.*`` are called the same in both dialects and do not come here.
"""

from collections.abc import Mapping

from rt_proxy.realtime.dialects.members import NoCounterpartError, without
from rt_proxy.realtime.jsontext import (
    Members,
    edit_array,
    edit_object,
    read_elements,
    read_members,
    read_string,
    write_string,
)

_ASSISTANT_TO_GA = {"text": "output_text", "audio": "output_audio"}
_ASSISTANT_TO_BETA = {"output_text": "text", "output_audio": "audio"}
#: Some Beta clients call a user's text ``text``; GA refuses that.
_OTHERS_TO_GA = {"text": "input_text"}
_NO_NAMES: Mapping[str, str] = {}
#: So much of a client's word is repeated in an error, in characters.
_LONGEST_SHOWN = 64


def item_to_ga(item: str) -> str:
    """Translate an item of either side to GA."""

    def edit(members: Members) -> Members:
        names = _ASSISTANT_TO_GA if _is_assistants(members) else _OTHERS_TO_GA
        return _rename_parts(members, names)

    return edit_object(item, edit)


def item_to_beta(item: str) -> str:
    """Translate an item that a GA server shows; Beta clients expect its ``object``."""

    def edit(members: Members) -> Members:
        members = _parts_to_beta(members)
        if "object" in members:
            return members
        identity = {"id": members["id"]} if "id" in members else {}
        return {**identity, "object": '"realtime.item"', **members}

    return edit_object(item, edit)


def item_to_beta_upstream(item: str, place: str) -> str:
    """Translate an item that a GA client makes, for a Beta upstream.

    Args:
        item: The item.
        place: Its path in the event, such as ``item``.

    Raises:
        NoCounterpartError: It is, or has in it, what Beta does not know.
    """

    def edit(members: Members) -> Members:
        kind = read_string(members.get("type")) or ""
        if kind.startswith("mcp_"):
            raise NoCounterpartError(
                _no_counterpart(f"Items of the type '{kind[:_LONGEST_SHOWN]}'"), f"{place}.type"
            )
        for index, part in enumerate(read_elements(members.get("content", "null")) or ()):
            if read_string((read_members(part) or {}).get("type")) == "input_image":
                raise NoCounterpartError(
                    _no_counterpart("Images ('input_image')"), f"{place}.content[{index}].type"
                )
        if kind == "function_call_output":
            members = without(members, "status")
        return _parts_to_beta(members)

    return edit_object(item, edit)


def _no_counterpart(what: str) -> str:
    return f"{what} have no counterpart in the Beta dialect, which this session's upstream speaks."


def _parts_to_beta(members: Members) -> Members:
    return _rename_parts(members, _ASSISTANT_TO_BETA if _is_assistants(members) else _NO_NAMES)


def _is_assistants(members: Members) -> bool:
    return read_string(members.get("role")) == "assistant"


def _rename_parts(members: Members, names: Mapping[str, str]) -> Members:
    """Rename the content parts of a message; other types are the other side's to judge."""
    if "content" not in members or not names:
        return members

    def edit(part: Members) -> Members:
        name = names.get(read_string(part.get("type")) or "")
        return part if name is None else {**part, "type": write_string(name)}

    content = edit_array(members["content"], lambda part: edit_object(part, edit))
    return {**members, "content": content}
