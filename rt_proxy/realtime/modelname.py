"""The model of a session under its two names: the client's alias, and the upstream's own.

Each side says and sees its own name, wherever an event carries one. The client
is held to the model that its session was opened for, and so is what the
upstream shows, because a client's event may hide what it is.
"""

import re
from collections.abc import Mapping
from typing import Any

from rt_proxy.realtime.jsontext import replace_member
from rt_proxy.realtime.looks import text_at

#: Where an event carries the model of the session. The API has none in responses, but servers
#: that were modelled on it may show one there, and take one.
_Places = Mapping[str, tuple[str, str]]
NAMED_BY_CLIENTS: _Places = {
    "session.update": ("session", "model"),
    "transcription_session.update": ("session", "model"),
    "response.create": ("response", "model"),
}
SHOWN_BY_UPSTREAMS: _Places = {
    "session.created": ("session", "model"),
    "session.updated": ("session", "model"),
    "transcription_session.created": ("session", "model"),
    "transcription_session.updated": ("session", "model"),
    "response.created": ("response", "model"),
    "response.done": ("response", "model"),
}

_ERROR_MESSAGE = ("error", "message")
#: How the name of a snapshot ends, such as ``gpt-realtime-2025-08-28``.
_SNAPSHOT = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}\Z")


#: A name that an upstream shows and that is longer than this is no name, in characters.
_LONGEST_NAME = 256


class BoundModel:
    """The model that a session is bound to (mutable: the upstream may show another name of it)."""

    __slots__ = ("_alias", "_name", "_shown")

    def __init__(self, alias: str | None, name: str | None, *, client_was_silent: bool) -> None:
        """Bind a session.

        Args:
            alias: The client's name of the model; None: the session has none.
            name: What the channel calls it.
            client_was_silent: Whether ``session.created`` comes before anything of the client's
                can reach the upstream.
        """
        self._alias = alias
        self._name = name
        self._shown = None if client_was_silent else name

    @property
    def alias(self) -> str | None:
        """The client's name of the model."""
        return self._alias

    @property
    def shown(self) -> str | None:
        """The upstream's name of the model: what it showed first, else what it was asked for."""
        return self._shown or self._name

    def to_upstream(self, event: dict[str, Any], text: str) -> str | None:
        """Return a client's event with the upstream's name in it; None: it names another model.

        Args:
            event: The event.
            text: Its JSON; every character but the name stays.
        """
        place = NAMED_BY_CLIENTS.get(text_at(event, "type") or "")
        wished = None if place is None else text_at(event, *place)
        if place is None or wished is None or self._name in (None, wished):
            return text
        if wished == self._alias:
            return replace_member(text, place, self._name or wished)
        return None

    def to_client(self, event: dict[str, Any], text: str) -> str | None:
        """Return an upstream's event with the client's name in it; None: it shows another model.

        The client sees its own name for whatever name the upstream may show. A session that was
        opened without a model only transcribes, and shows another one where it answers.

        Args:
            event: The event.
            text: Its JSON; every character but the name stays.
        """
        kind = text_at(event, "type") or ""
        if kind == "error":
            return self._without_name(event, text)
        if self._alias is None:
            return None if _is_conversation(event, kind) else text
        place = SHOWN_BY_UPSTREAMS.get(kind)
        if place is None or self._name is None:
            return text
        model = text_at(event, *place) or None
        if self._shown is None and kind.endswith("session.created"):
            self._shown = model if model and len(model) <= _LONGEST_NAME else self._name
        if model is None:
            return text
        if not self._is_bound(model):
            return None
        return text if model == self._alias else replace_member(text, place, self._alias)

    def _without_name(self, event: dict[str, Any], text: str) -> str:
        """Return an error with the client's name of the model where its message has the other."""
        message = text_at(event, *_ERROR_MESSAGE)
        if message is None or self._alias is None or self._name in (None, "", self._alias):
            return text
        alias, name = self._alias, re.escape(self._name or "")
        told = re.sub(rf"(?<![\w.-]){name}(?![\w-])", lambda _: alias, message)
        return text if told == message else replace_member(text, _ERROR_MESSAGE, told)

    def _is_bound(self, model: str) -> bool:
        """Whether a model that the upstream shows is the one of this session.

        An upstream may show a dated snapshot, or on Azure the model behind the
        deployment; what the first ``session.created`` showed, before the client could
        say anything, is therefore as good as the name that we asked for.
        """
        return model in (self._name, self._shown) or _SNAPSHOT.sub("", model) == self._name


def _is_conversation(event: dict[str, Any], kind: str) -> bool:
    """Whether an event shows that a session has come to be one that answers."""
    if kind == "session.updated":
        return text_at(event, "session", "type") == "realtime"
    return kind == "response.created"
