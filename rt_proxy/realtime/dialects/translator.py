"""What a translator is: events of one dialect in, those of the other out.

``betaclient.py`` and ``gaclient.py`` say what becomes of each event; here is what
both are made of. Nothing that a peer sends raises.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from rt_proxy.realtime.dialects.members import NoCounterpartError, Untranslated, edit_member
from rt_proxy.realtime.jsontext import (
    Members,
    read_members,
    read_string,
    write_object,
    write_string,
)

#: Takes a translator and the members of an event, and gives those of the events that stand for it.
Handler = Callable[[Any, Members], Iterable[Members]]


class Translator:
    """Translates the events of one session (mutable: it remembers what it was told).

    Attributes:
        client_handlers: Client events that may become others, and what becomes of each.
        upstream_handlers: Upstream events that may become others, and what becomes of each.
        renamed_in_passing: Upstream events of which the type alone changes -> their other type.
    """

    client_handlers: ClassVar[Mapping[str, Handler]]
    upstream_handlers: ClassVar[Mapping[str, Handler]]
    renamed_in_passing: ClassVar[Mapping[str, str]]

    def from_client(self, text: str) -> tuple[str, ...] | Untranslated:
        """Return what the upstream gets in place of a client event.

        The text itself is among it where nothing had to change.

        Args:
            text: A JSON object that ``jsontext.parse_object`` can read.

        Returns:
            The events; or why there is no counterpart, which the client is to be told.
        """
        try:
            return self._translated(text, self.client_handlers)
        except NoCounterpartError as error:
            return error.untranslated

    def from_upstream(self, text: str) -> tuple[str, ...]:
        """Return what the client gets in place of an upstream event; it may be nothing.

        Args:
            text: A JSON object that ``jsontext.parse_object`` can read.
        """
        return self._translated(text, self.upstream_handlers)

    def _translated(self, text: str, handlers: Mapping[str, Handler]) -> tuple[str, ...]:
        try:
            members = read_members(text) or {}
            kind = read_string(members.get("type"))
            handler = None if kind is None else handlers.get(kind)
            if handler is None:
                return (text,)
            events = handler(self, members)
            return tuple(text if event == members else write_object(event) for event in events)
        except RecursionError:  # as deep as could just be read: the other side is the judge
            return (text,)


def rename_events(names: Mapping[str, str]) -> Mapping[str, Handler]:
    """Return handlers that change the type alone."""

    def handler(kind: str) -> Handler:
        return lambda _translator, members: (renamed(members, kind),)

    return {old: handler(new) for old, new in names.items()}


def renamed(members: Members, kind: str) -> Members:
    """Return an event under another type."""
    return {**members, "type": write_string(kind)}


def member(members: Members, name: str) -> Members:
    """Return the members of a member that is an object; none where it is not."""
    return read_members(members.get(name, "null")) or {}


def text_of(members: Members, name: str) -> str | None:
    """Return a member that is a string."""
    return read_string(members.get(name))


def edit_param(members: Members, edit: Callable[[str], str]) -> Members:
    """Edit the path of the field at fault in an ``error`` event."""

    def edit_error(error: Members) -> Members:
        param = text_of(error, "param")
        edited = param and edit(param)
        return error if edited in (None, param) else {**error, "param": write_string(edited)}

    return edit_member(members, "error", edit_error)
