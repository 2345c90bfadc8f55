"""Sessions, and what ``response.create`` and response objects have of them, in both directions.

The mapping is that of the API reference: GA nests below ``audio`` what Beta had flat.
"""

from collections.abc import Callable, Mapping

from rt_proxy.realtime.dialects.items import item_to_beta, item_to_beta_upstream, item_to_ga
from rt_proxy.realtime.dialects.members import (
    NoCounterpartError,
    Places,
    flatten,
    nest,
    rename,
    without,
)
from rt_proxy.realtime.dialects.values import (
    format_to_beta,
    format_to_ga,
    has_ga_form,
    modalities_to_beta,
    modalities_to_ga,
    tool_choice_to_ga,
    voice_to_beta,
)
from rt_proxy.realtime.jsontext import (
    Members,
    edit_array,
    read_elements,
    read_members,
    read_string,
    write_array,
    write_string,
)

_SESSION_PLACES: Places = {
    "input_audio_format": ("input", "format"),
    "input_audio_transcription": ("input", "transcription"),
    "input_audio_noise_reduction": ("input", "noise_reduction"),
    "turn_detection": ("input", "turn_detection"),
    "output_audio_format": ("output", "format"),
    "voice": ("output", "voice"),
    "speed": ("output", "speed"),
}
_RESPONSE_PLACES: Places = {
    "output_audio_format": ("output", "format"),
    "voice": ("output", "voice"),
}
_MODALITIES_TO_GA = {"modalities": "output_modalities"}
_MODALITIES_TO_BETA = {"output_modalities": "modalities"}
_LIMIT_TO_GA = {"max_response_output_tokens": "max_output_tokens"}
_LIMIT_TO_BETA = {"max_output_tokens": "max_response_output_tokens"}

#: What only a server says of a session; a client that echoes it would be refused by GA.
_SERVER_ONLY = ("id", "object", "expires_at", "client_secret")
#: What Beta does not have, and can do without.
_GA_ONLY = ("reasoning", "parallel_tool_calls", "truncation")
#: Parameters of a response from the first weeks of the Beta.
_OUTLIVED = ("commit", "cancel_previous")


def _convert(members: Members, **conversions: Callable[[str], str]) -> Members:
    """Return the members, some of them in their other form."""
    return {
        name: conversions[name](value) if name in conversions else value
        for name, value in members.items()
    }


def _to_ga(members: Members, places: Places, names: Mapping[str, str]) -> Members:
    """Nest what is flat, and rename it; what both have in common stays."""
    if read_elements(members.get("modalities", "null")) == []:
        members = without(members, "modalities")
    members = _convert(
        members,
        modalities=modalities_to_ga,
        input_audio_format=format_to_ga,
        output_audio_format=format_to_ga,
        tool_choice=tool_choice_to_ga,
    )
    return nest(rename(members, names), places)


def _to_beta(members: Members, places: Places, names: Mapping[str, str]) -> Members:
    """Take out what is nested, and rename it; what both have in common stays."""
    return _convert(
        rename(flatten(members, places), names),
        modalities=modalities_to_beta,
        voice=voice_to_beta,
        input_audio_format=format_to_beta,
        output_audio_format=format_to_beta,
    )


# --- sessions


def shown_session_to_ga(members: Members, kind: str) -> Members:
    """Translate the session that a Beta server shows.

    Args:
        members: The session.
        kind: ``realtime`` or ``transcription``.
    """
    places = _shown_places(members, _SESSION_PLACES)
    nested = _to_ga(members, places, {**_MODALITIES_TO_GA, **_LIMIT_TO_GA})
    return {"type": write_string(kind), **nested}


def _shown_places(members: Members, places: Places) -> Places:
    """Return the places of what GA has a form for; what it has not stays as it is, as an extra."""
    return {
        name: place
        for name, place in places.items()
        if name in members and has_ga_form(name, members[name])
    }


def shown_session_to_beta(members: Members, temperature: str) -> Members:
    """Translate the session that a GA server shows.

    Args:
        members: The session.
        temperature: What a Beta client is told of it, as JSON text; GA has none.
    """
    flat = _to_beta(
        without(members, "type"), _SESSION_PLACES, {**_MODALITIES_TO_BETA, **_LIMIT_TO_BETA}
    )
    if is_transcription(members):
        return flat
    return {**flat, "temperature": flat.get("temperature", temperature)}


def is_transcription(session: Members) -> bool:
    """Whether a session only transcribes, in either dialect."""
    return (
        read_string(session.get("type")) == "transcription"
        or read_string(session.get("object")) == "realtime.transcription_session"
    )


def wanted_session_to_ga(members: Members, kind: str) -> Members:
    """Translate the session of a Beta client's update.

    Args:
        members: The session.
        kind: ``realtime`` or ``transcription``.
    """
    members = without(members, "temperature", *_SERVER_ONLY)
    if kind == "transcription":
        members = without(members, "modalities")
    nested = _to_ga(members, _SESSION_PLACES, {**_MODALITIES_TO_GA, **_LIMIT_TO_GA})
    return {"type": write_string(kind), **nested}


def wanted_session_to_beta(members: Members) -> Members:
    """Translate the session of a GA client's update, for a Beta upstream.

    Raises:
        NoCounterpartError: It has a tool that is no function.
    """
    _hold_to_functions(members, "session.tools")
    members = without(members, "type", "model", *_SERVER_ONLY, *_GA_ONLY)
    return _to_beta(members, _SESSION_PLACES, {**_MODALITIES_TO_BETA, **_LIMIT_TO_BETA})


# --- responses


def wanted_response_to_ga(members: Members) -> Members:
    """Translate what a Beta client asks of a response.

    Raises:
        NoCounterpartError: Its input refers to an item beside other content.
    """
    members = without(members, "temperature", *_OUTLIVED)
    members = _to_ga(members, _RESPONSE_PLACES, {**_MODALITIES_TO_GA, **_LIMIT_TO_GA})
    return _edit_input(members, lambda item, place: item_to_ga(_referred(item, place)))


def wanted_response_to_beta(members: Members) -> Members:
    """Translate what a GA client asks of a response, for a Beta upstream.

    Raises:
        NoCounterpartError: It has a tool that is no function, or an item that Beta has not.
    """
    _hold_to_functions(members, "response.tools")
    members = without(members, *_GA_ONLY)
    members = _to_beta(members, _RESPONSE_PLACES, {**_MODALITIES_TO_BETA, **_LIMIT_TO_BETA})
    return _edit_input(members, item_to_beta_upstream)


def shown_response_to_ga(members: Members) -> Members:
    """Translate a response of a Beta server; what strict clients miss is there, and null."""
    places = _shown_places(members, _RESPONSE_PLACES)
    nested = dict(_to_ga(members, places, _MODALITIES_TO_GA))
    for name, value in (("status_details", "null"), ("output", "[]")):
        nested.setdefault(name, value)
    return _convert(nested, output=lambda output: edit_array(output, item_to_ga))


def shown_response_to_beta(members: Members, temperature: str) -> Members:
    """Translate a response of a GA server.

    Args:
        members: The response.
        temperature: What a Beta client is told of it, as JSON text; GA has none.
    """
    flat = _to_beta(members, _RESPONSE_PLACES, _MODALITIES_TO_BETA)
    flat["temperature"] = flat.get("temperature", temperature)
    return _convert(flat, output=lambda output: edit_array(output, item_to_beta))


def _edit_input(members: Members, edit: Callable[[str, str], str]) -> Members:
    """Edit each item of a response's own input; the edit also gets the place of the item."""
    items = read_elements(members.get("input", "null"))
    if items is None:
        return members
    edited = [edit(item, f"response.input[{index}]") for index, item in enumerate(items)]
    return members if edited == items else {**members, "input": write_array(edited)}


def _referred(item: str, place: str) -> str:
    """Turn a message that only refers to an item into the reference, as GA has it.

    Beta let one part of a message stand for an item (API reference, Beta
    ``conversation.item.create``); in GA only a whole item can.
    """
    parts = read_elements((read_members(item) or {}).get("content", "null")) or []
    kinds = [read_string((read_members(part) or {}).get("type")) for part in parts]
    if "item_reference" not in kinds:
        return item
    if len(parts) > 1:
        index = kinds.index("item_reference")
        raise NoCounterpartError(
            "A reference to an item must be the only content of its message: "
            "the GA dialect, which this session's upstream speaks, refers to whole items.",
            f"{place}.content[{index}]",
        )
    return parts[0]


def _hold_to_functions(members: Members, place: str) -> None:
    for index, tool in enumerate(read_elements(members.get("tools", "null")) or ()):
        kind = read_string((read_members(tool) or {}).get("type"))
        if kind == "mcp":
            raise NoCounterpartError(
                "Tools of the type 'mcp' have no counterpart in the Beta dialect, which this "
                "session's upstream speaks; give it function tools.",
                f"{place}[{index}].type",
            )
