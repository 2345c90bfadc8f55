"""What one session knows of its conversation, and what happens to events that are read.

Message in, verdict out: synchronous, so that two pumps can share it without a
lock. Most events never come here: see the lanes below. A rule that protects
money or access is enforced on what the *upstream* shows, because a client's
frame may hide what it is.
"""

import re
from collections import Counter
from typing import Any

import attrs

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.dialects import (
    TELLING_CLIENT_EVENTS,
    Dialect,
    Untranslated,
    dialect_of_event,
    translator_between,
)
from rt_proxy.realtime.frames import Fault, FaultKind
from rt_proxy.realtime.jsontext import parse_object, replace_member
from rt_proxy.realtime.peek import Lanes
from rt_proxy.realtime.refusals import error_event
from rt_proxy.realtime.usage import count_tokens

#: An upstream that claims more responses at once, or longer ids, is not believed.
_ACTIVE_RESPONSES = 256
_RESPONSE_ID = 256

#: How the name of a snapshot ends, such as ``gpt-realtime-2025-08-28``.
_SNAPSHOT = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}\Z")

#: Client events that name a model, and may be changed on their way in any session.
EDITED_CLIENT_EVENTS = frozenset({"session.update", "transcription_session.update"})
#: Upstream events that are followed in any session.
WATCHED_UPSTREAM_EVENTS = frozenset(
    {"session.created", "session.updated", "response.created", "response.done", "error"}
)
#: An item that was asked for comes with all of its audio, and nobody can ask for less.
_LARGE_UPSTREAM_EVENTS = frozenset({"conversation.item.retrieved"})


@attrs.frozen
class Forward:
    """The message goes on, as the frames it came in."""


@attrs.frozen
class Replace:
    """Other messages go on in the message's place; with none of them it is dropped."""

    payloads: tuple[bytes, ...]


@attrs.frozen
class Answer:
    """The message stops here; its sender gets this event."""

    payload: bytes


Verdict = Forward | Replace | Answer | Ending
_FORWARD = Forward()


class Conversation:
    """The memory of one session (mutable: it follows the events).

    Attributes:
        client_lanes: What happens to each type of message from the client.
        upstream_lanes: The same of those from the upstream.
    """

    def __init__(
        self,
        *,
        model: str | None,
        upstream_model: str | None,
        client_dialect: Dialect | None = None,
        upstream_dialect: Dialect = Dialect.GA,
        client_was_silent: bool = True,
    ) -> None:
        """Bind the session to a model, and its sides to their dialects.

        Args:
            model: The client's name of the model; None: a session without one.
            upstream_model: What the channel calls it.
            client_dialect: The client's; None: it is GA until the client shows otherwise.
            upstream_dialect: The channel's.
            client_was_silent: Whether ``session.created`` comes before anything of the client's
                can reach the upstream.
        """
        self.client_lanes = Lanes()
        self.upstream_lanes = Lanes()
        self._model = model
        self._upstream_model = upstream_model
        self._shown_model = None if client_was_silent else upstream_model
        self._session_shown = False
        self._client_dialect = client_dialect
        self._upstream_dialect = upstream_dialect
        self._translator = translator_between(self.client_dialect, upstream_dialect)
        self._active: set[str] = set()
        self._usage: Counter[str] = Counter()
        self._responses = 0
        self._lay_lanes()

    @property
    def client_dialect(self) -> Dialect:
        """The client's dialect, as far as it is known."""
        return self._client_dialect or Dialect.GA

    @property
    def response_in_progress(self) -> bool:
        """Whether the upstream has begun a response and not ended it."""
        return bool(self._active)

    @property
    def responses(self) -> int:
        """How many responses have ended."""
        return self._responses

    def usage(self) -> dict[str, int]:
        """Return the tokens of all responses so far, by modality."""
        return dict(self._usage)

    def on_client(self, payload: bytes) -> Verdict:
        """Decide on a message from the client: the edit lane."""
        if b"\\" not in payload and not any(kind in payload for kind in self._client_marks):
            # Without one of them to the letter, and without escapes, it can be of no edited type.
            return _FORWARD
        if not _is_text(payload):
            return _NOT_TEXT
        event = parse_object(payload) or {}
        if _text(event, "type") not in self._client_events:
            return _FORWARD
        self._learn_dialect(event)
        text = payload.decode()
        held = self._held_to_model(event, text)
        if isinstance(held, Answer):
            return held
        events = (held,) if self._translator is None else self._translator.from_client(held)
        if isinstance(events, Untranslated):
            return _refused(event, "invalid_value", events.message, events.param)
        return _verdict(text, events)

    def _learn_dialect(self, event: dict[str, Any]) -> None:
        """Note the dialect of the first client event that shows one, for both directions."""
        if self._client_dialect is not None:
            return
        before = self.client_dialect
        self._client_dialect = dialect_of_event(event)
        if self.client_dialect is not before:
            late = self._session_shown and self._model is not None
            self._translator = translator_between(
                self.client_dialect, self._upstream_dialect, owes_conversation=late
            )
        self._lay_lanes()

    def _lay_lanes(self) -> None:
        translator = self._translator
        telling = TELLING_CLIENT_EVENTS if self._client_dialect is None else frozenset()
        from_client = telling.union(translator.client_handlers if translator else ())
        from_upstream = frozenset(translator.upstream_handlers if translator else ())
        self._client_events = EDITED_CLIENT_EVENTS | from_client
        self._client_marks = tuple(kind.encode() for kind in self._client_events)
        self.client_lanes.lay(EDITED_CLIENT_EVENTS, small=from_client - EDITED_CLIENT_EVENTS)
        self.upstream_lanes.lay(
            WATCHED_UPSTREAM_EVENTS | from_upstream,
            large=_LARGE_UPSTREAM_EVENTS & from_upstream,
            renamed=translator.renamed if translator else {},
        )

    def _held_to_model(self, event: dict[str, Any], text: str) -> Answer | str:
        """Hold ``session.model`` to the model that the session was opened for."""
        model = _text(_member(event, "session"), "model")
        if event["type"] not in EDITED_CLIENT_EVENTS or model is None:
            return text
        if self._upstream_model in (None, model):
            return text
        if model == self._model:
            return replace_member(text, ("session", "model"), self._upstream_model or model)
        return _refused(
            event,
            "model_not_found",
            f"This session was opened for the model {self._model!r}; "
            "open another session for another model.",
            "session.model",
        )

    def on_upstream(self, payload: bytes) -> Verdict:
        """Follow a message from the upstream, and translate it where the client needs that."""
        event = parse_object(payload)
        if event is None:
            return _FORWARD
        ending = self._watch(event)
        if ending is not None:
            return ending
        if self._translator is None:
            return _FORWARD
        text = payload.decode()
        return _verdict(text, self._translator.from_upstream(text))

    def _watch(self, event: dict[str, Any]) -> Ending | None:
        """Follow the model, the responses in progress and what they cost."""
        match event.get("type"):
            case "session.created" | "session.updated" as kind:
                model = _text(_member(event, "session"), "model")
                self._session_shown = True
                if kind == "session.created" and self._shown_model is None:
                    self._shown_model = model or self._upstream_model
                if not self._is_bound(model):
                    return closing.MODEL_CHANGED
            case "response.created":
                response_id = _text(_member(event, "response"), "id")
                if response_id is not None and self._may_track(response_id):
                    self._active.add(response_id)
            case "response.done" if response := _member(event, "response"):
                self._active.discard(_text(response, "id") or "")
                self._responses += 1
                self._usage.update(count_tokens(_member(response, "usage")))
        return None

    def _may_track(self, response_id: str) -> bool:
        return len(response_id) <= _RESPONSE_ID and len(self._active) < _ACTIVE_RESPONSES

    def _is_bound(self, model: str | None) -> bool:
        """Whether a model that the upstream shows is the one of this session.

        An upstream may show a dated snapshot, or on Azure the model behind the
        deployment; what the first ``session.created`` showed, before the client could
        say anything, is therefore as good as the name that we asked for.
        """
        if model is None or self._upstream_model is None:
            return True
        if _SNAPSHOT.sub("", model) == self._upstream_model:
            return True
        return model in (self._upstream_model, self._shown_model)


def _verdict(text: str, events: tuple[str, ...]) -> Verdict:
    """Return what goes on in place of a message; one that has not changed keeps its frames."""
    if events == (text,):
        return _FORWARD
    return Replace(tuple(event.encode() for event in events))


def _refused(event: dict[str, Any], code: str, message: str, param: str) -> Answer:
    """Tell the client why its event goes no further."""
    return Answer(
        error_event(
            "invalid_request_error",
            code,
            message,
            param=param,
            client_event_id=_text(event, "event_id"),
        )
    )


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


_NOT_TEXT = closing.fault_ending(
    closing.Side.CLIENT, Fault(FaultKind.PROTOCOL, 1007, "The text of a message is not UTF-8.")
)


def _member(event: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one where it is not."""
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _text(thing: dict[str, Any], name: str) -> str | None:
    value = thing.get(name)
    return value if isinstance(value, str) else None
