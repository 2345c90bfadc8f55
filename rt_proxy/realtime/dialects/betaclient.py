"""A Beta client on a GA upstream: what becomes of each event, both ways.

This is what clients need that were written before OpenAI switched the Beta off.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import ClassVar

from rt_proxy.realtime.dialects.items import item_to_beta, item_to_ga
from rt_proxy.realtime.dialects.members import edit_member
from rt_proxy.realtime.dialects.params import param_to_beta
from rt_proxy.realtime.dialects.sessions import (
    is_transcription,
    shown_response_to_beta,
    shown_session_to_beta,
    wanted_response_to_ga,
    wanted_session_to_ga,
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
from rt_proxy.realtime.jsontext import Members, read_members, write_object, write_string
from rt_proxy.realtime.memory import Memory
from rt_proxy.realtime.refusals import new_event_id

#: What the Beta API took where a client had said nothing (API reference, Beta sessions).
_DEFAULT_TEMPERATURE = "0.8"
_LONGEST_NUMBER = 32


class BetaClientTranslator(Translator):
    """Translates for a Beta client whose upstream speaks GA (mutable: it remembers)."""

    def __init__(self, *, owes_conversation: bool = False) -> None:
        """Begin.

        Args:
            owes_conversation: ``session.created`` went out before the client was known to
                speak Beta, so that ``conversation.created`` is due with the next event.
        """
        self._owes_conversation = owes_conversation
        self._conversation_shown = owes_conversation
        self._temperature = _DEFAULT_TEMPERATURE
        self._wished_temperature: str | None = None
        self._temperatures = Memory()
        self._items = Memory()

    def from_upstream(self, text: str) -> tuple[str, ...]:
        """Return what the client gets in place of an upstream event; it may be nothing."""
        events = super().from_upstream(text)
        if not self._owes_conversation:
            return events
        self._owes_conversation = False
        return (write_object(_conversation_created()), *events)

    # --- from the client

    def _session_update(self, members: Members) -> Iterator[Members]:
        session = member(members, "session")
        self._temperature = _temperature(session) or self._temperature
        yield edit_member(members, "session", lambda it: wanted_session_to_ga(it, "realtime"))

    def _transcription_session_update(self, members: Members) -> Iterator[Members]:
        if read_members(members.get("session", "null")) is None:
            yield members
            return
        members = renamed(members, "session.update")
        yield edit_member(members, "session", lambda it: wanted_session_to_ga(it, "transcription"))

    def _response_create(self, members: Members) -> Iterator[Members]:
        yield edit_member(members, "response", wanted_response_to_ga)
        self._wished_temperature = _temperature(member(members, "response"))

    def _item_create(self, members: Members) -> Iterator[Members]:
        yield {**members, "item": item_to_ga(members["item"])} if "item" in members else members

    client_handlers: ClassVar[Mapping[str, Handler]] = {
        "session.update": _session_update,
        "transcription_session.update": _transcription_session_update,
        "response.create": _response_create,
        "conversation.item.create": _item_create,
    }

    # --- from the upstream

    def _session_created(self, members: Members) -> Iterator[Members]:
        session = member(members, "session")
        yield self._session_shown(members, "created")
        is_ga = not session.keys().isdisjoint(("type", "output_modalities"))
        if is_ga and not is_transcription(session) and not self._conversation_shown:
            self._conversation_shown = True
            yield _conversation_created()

    def _session_updated(self, members: Members) -> Iterator[Members]:
        yield self._session_shown(members, "updated")

    def _session_shown(self, members: Members, step: str) -> Members:
        if is_transcription(member(members, "session")):
            members = renamed(members, f"transcription_session.{step}")
        return edit_member(
            members, "session", lambda it: shown_session_to_beta(it, self._temperature)
        )

    def _conversation_created(self, members: Members) -> Iterator[Members]:
        if not self._conversation_shown:
            self._conversation_shown = True
            yield members

    def _item_added(self, members: Members) -> Iterator[Members]:
        """Show an item when it is first heard of: Beta has one event for it."""
        item_id = text_of(member(members, "item"), "id")
        if item_id not in self._items:
            self._items.keep(item_id)
            yield self._item_created(members)

    def _item_done(self, members: Members) -> Iterator[Members]:
        """Drop what Beta does not have, unless it is the first that is heard of the item."""
        if text_of(member(members, "item"), "id") is not None:
            yield from self._item_added(members)

    def _item_created(self, members: Members) -> Members:
        created = renamed(members, "conversation.item.created")
        created.setdefault("previous_item_id", "null")
        return self._with_item(created)

    def _item_deleted(self, members: Members) -> Iterator[Members]:
        self._items.take(text_of(members, "item_id"))
        yield members

    def _item_shown(self, members: Members) -> Iterator[Members]:
        yield self._with_item(members)

    def _with_item(self, members: Members) -> Members:
        return {**members, "item": item_to_beta(members["item"])} if "item" in members else members

    def _committed(self, members: Members) -> Iterator[Members]:
        yield {**members, "previous_item_id": members.get("previous_item_id", "null")}

    def _response_created(self, members: Members) -> Iterator[Members]:
        yield edit_member(members, "response", self._begun_response)

    def _begun_response(self, response: Members) -> Members:
        response_id = text_of(response, "id")
        if self._wished_temperature is not None:
            self._temperatures.keep(response_id, self._wished_temperature)
            self._wished_temperature = None
        temperature = self._temperatures.get(response_id) or self._temperature
        return shown_response_to_beta(response, temperature)

    def _response_done(self, members: Members) -> Iterator[Members]:
        yield edit_member(members, "response", self._ended_response)

    def _ended_response(self, response: Members) -> Members:
        temperature = self._temperatures.take(text_of(response, "id")) or self._temperature
        return shown_response_to_beta(response, temperature)

    def _error(self, members: Members) -> Iterator[Members]:
        yield edit_param(members, param_to_beta)

    def _dropped(self, members: Members) -> Iterator[Members]:
        """Drop an event that Beta does not have: clients with a closed set would fail."""
        yield from ()

    renamed_in_passing: ClassVar[Mapping[str, str]] = {
        f"response.output_{what}.{step}": f"response.{what}.{step}"
        for what in ("text", "audio", "audio_transcript")
        for step in ("delta", "done")
    }
    upstream_handlers: ClassVar[Mapping[str, Handler]] = {
        **rename_events(renamed_in_passing),
        "session.created": _session_created,
        "session.updated": _session_updated,
        "conversation.created": _conversation_created,
        "conversation.item.added": _item_added,
        "conversation.item.created": _item_added,
        "conversation.item.done": _item_done,
        "conversation.item.retrieved": _item_shown,
        "conversation.item.deleted": _item_deleted,
        "input_audio_buffer.committed": _committed,
        "input_audio_buffer.timeout_triggered": _dropped,
        "input_audio_buffer.dtmf_event_received": _dropped,
        "response.created": _response_created,
        "response.done": _response_done,
        "response.output_item.added": _item_shown,
        "response.output_item.done": _item_shown,
        "error": _error,
    }


def _temperature(members: Members) -> str | None:
    """Return the temperature that a client asks for, as it wrote it, if it is a number."""
    text = members.get("temperature", "")
    return text if text[:1].isdigit() and len(text) <= _LONGEST_NUMBER else None


def _conversation_created() -> Members:
    """Return the event that followed ``session.created`` in Beta and that GA does not send."""
    conversation = {
        "id": write_string("conv_" + secrets.token_urlsafe(12)),
        "object": '"realtime.conversation"',
    }
    return {
        "type": '"conversation.created"',
        "event_id": write_string(new_event_id()),
        "conversation": write_object(conversation),
    }
