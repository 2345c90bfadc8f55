"""A GA client on a Beta upstream: what becomes of each event, both ways.

This is what today's clients need on Azure's preview endpoints, and on servers
that were modelled on the Beta.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rt_proxy.realtime.dialects.items import item_to_beta_upstream, item_to_ga
from rt_proxy.realtime.dialects.members import edit_member
from rt_proxy.realtime.dialects.params import param_to_ga
from rt_proxy.realtime.dialects.sessions import (
    is_transcription,
    shown_response_to_ga,
    shown_session_to_ga,
    wanted_response_to_beta,
    wanted_session_to_beta,
)
from rt_proxy.realtime.dialects.translator import (
    Handler,
    Translator,
    edit_param,
    member,
    rename_events,
    renamed,
    text_of,
)
from rt_proxy.realtime.jsontext import Members, read_elements, read_members, write_string
from rt_proxy.realtime.memory import Memory
from rt_proxy.realtime.refusals import new_event_id

#: Stands in for the usage of a transcription that does not say it; strict clients need one.
_UNKNOWN_USAGE = '{"type":"duration","seconds":0}'


class GaClientTranslator(Translator):
    """Translates for a GA client whose upstream speaks Beta (mutable: it remembers)."""

    def __init__(self) -> None:
        #: Items of responses in progress, that are shown as added when they are created.
        self._outputs = Memory()
        #: Items shown as added and not as done -> their ``previous_item_id``.
        self._unfinished = Memory()
        #: Function calls, by item and by call -> the name of the function.
        self._names = Memory()

    # --- from the client

    def _session_update(self, members: Members) -> Iterator[Members]:
        if is_transcription(member(members, "session")):
            members = renamed(members, "transcription_session.update")
        yield edit_member(members, "session", wanted_session_to_beta)

    def _response_create(self, members: Members) -> Iterator[Members]:
        yield edit_member(members, "response", wanted_response_to_beta)

    def _item_create(self, members: Members) -> Iterator[Members]:
        if "item" in members:
            members = {**members, "item": item_to_beta_upstream(members["item"], "item")}
        yield members

    client_handlers: ClassVar[Mapping[str, Handler]] = {
        "session.update": _session_update,
        "response.create": _response_create,
        "conversation.item.create": _item_create,
    }

    # --- from the upstream

    def _session_shown(self, members: Members) -> Iterator[Members]:
        named = text_of(members, "type") or ""
        is_transcribing = named.startswith("transcription_") or is_transcription(
            member(members, "session")
        )
        kind = "transcription" if is_transcribing else "realtime"
        members = renamed(members, named.removeprefix("transcription_"))
        yield edit_member(members, "session", lambda it: shown_session_to_ga(it, kind))

    def _item_created(self, members: Members) -> Iterator[Members]:
        """Show an item as added; as done too, unless a response still writes it."""
        added = renamed(self._with_item(members), "conversation.item.added")
        yield added
        item = member(members, "item")
        item_id = text_of(item, "id")
        previous = members.get("previous_item_id", "null")
        if item_id is not None and self._is_unfinished(item, item_id):
            self._unfinished.keep(item_id, previous)
        elif "item" in added:
            yield _item_done(previous, added["item"])

    def _is_unfinished(self, item: Members, item_id: str) -> bool:
        given = text_of(item, "role") in ("user", "system")
        if given or text_of(item, "type") == "function_call_output":
            return False
        return item_id in self._outputs or text_of(item, "status") == "in_progress"

    def _output_item_added(self, members: Members) -> Iterator[Members]:
        item = member(members, "item")
        self._outputs.keep(text_of(item, "id"))
        if text_of(item, "type") == "function_call" and text_of(item, "name") is not None:
            for key in ("id", "call_id"):
                self._names.keep(text_of(item, key), item["name"])
        yield self._with_item(members)

    def _output_item_done(self, members: Members) -> Iterator[Members]:
        members = self._with_item(members)
        yield from self._finished(members.get("item", "null"))
        yield members

    def _finished(self, item: str) -> Iterator[Members]:
        """Show an item as done that was shown as added, once."""
        item_id = text_of(read_members(item) or {}, "id")
        self._outputs.take(item_id)
        previous = self._unfinished.take(item_id)
        if previous is not None:
            yield _item_done(previous, item)

    def _item_deleted(self, members: Members) -> Iterator[Members]:
        """Forget an item, so that another one of the same id is shown like any."""
        item_id = text_of(members, "item_id")
        self._outputs.take(item_id)
        self._unfinished.take(item_id)
        yield members

    def _item_retrieved(self, members: Members) -> Iterator[Members]:
        yield self._with_item(members)

    def _with_item(self, members: Members) -> Members:
        return {**members, "item": item_to_ga(members["item"])} if "item" in members else members

    def _arguments_done(self, members: Members) -> Iterator[Members]:
        if members.get("name", "null") == "null":
            by_item = self._names.get(text_of(members, "item_id"))
            name = by_item or self._names.get(text_of(members, "call_id"))
            members = {**members, "name": name or '""'}
        yield members

    def _transcribed(self, members: Members) -> Iterator[Members]:
        if members.get("usage", "null") == "null":
            members = {**members, "usage": _UNKNOWN_USAGE}
        yield members

    def _response_created(self, members: Members) -> Iterator[Members]:
        yield edit_member(members, "response", shown_response_to_ga)

    def _response_done(self, members: Members) -> Iterator[Members]:
        """Show items as done whose own end the upstream left out, before the response's."""
        members = edit_member(members, "response", shown_response_to_ga)
        output = member(members, "response").get("output", "null")
        for item in read_elements(output) or ():
            yield from self._finished(item)
        yield members

    def _error(self, members: Members) -> Iterator[Members]:
        yield edit_param(members, param_to_ga)

    renamed_in_passing: ClassVar[Mapping[str, str]] = {
        f"response.{what}.{step}": f"response.output_{what}.{step}"
        for what in ("text", "audio", "audio_transcript")
        for step in ("delta", "done")
    }
    upstream_handlers: ClassVar[Mapping[str, Handler]] = {
        **rename_events(renamed_in_passing),
        "session.created": _session_shown,
        "session.updated": _session_shown,
        "transcription_session.created": _session_shown,
        "transcription_session.updated": _session_shown,
        "conversation.item.created": _item_created,
        "conversation.item.retrieved": _item_retrieved,
        "conversation.item.deleted": _item_deleted,
        "conversation.item.input_audio_transcription.completed": _transcribed,
        "response.created": _response_created,
        "response.done": _response_done,
        "response.output_item.added": _output_item_added,
        "response.output_item.done": _output_item_done,
        "response.function_call_arguments.done": _arguments_done,
        "error": _error,
    }


def _item_done(previous_item_id: str, item: str) -> Members:
    return {
        "type": '"conversation.item.done"',
        "event_id": write_string(new_event_id()),
        "previous_item_id": previous_item_id,
        "item": item,
    }
