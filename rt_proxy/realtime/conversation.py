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
from rt_proxy.realtime.codec import parse_object, replace_member, structure_event
from rt_proxy.realtime.events import (
    EVENT_CLASSES,
    ErrorEvent,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    Usage,
)
from rt_proxy.realtime.frames import Fault, FaultKind
from rt_proxy.realtime.peek import reader_of
from rt_proxy.realtime.refusals import error_event

#: An upstream that claims more responses at once, or longer ids, is not believed.
_ACTIVE_RESPONSES = 256
_RESPONSE_ID = 256
#: Nor is one that claims more tokens for a response.
_TOKENS = 1 << 53

#: How the name of a snapshot ends, such as ``gpt-realtime-2025-08-28``.
_SNAPSHOT = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}\Z")
_SESSION_UPDATE = b"session.update"
#: The edit lane: client events that may be changed on their way. All others pass.
EDITED_CLIENT_EVENTS = frozenset({"session.update"})
#: The look lane: upstream events that are read and go on as they came. All others pass.
WATCHED_UPSTREAM_EVENTS = frozenset(EVENT_CLASSES)

client_needs_reading = reader_of(EDITED_CLIENT_EVENTS)
upstream_needs_reading = reader_of(WATCHED_UPSTREAM_EVENTS)


@attrs.frozen
class Forward:
    """The message goes on, as the frames it came in."""


@attrs.frozen
class Replace:
    """Another text goes on in the message's place."""

    payload: bytes


@attrs.frozen
class Answer:
    """The message stops here; its sender gets this event."""

    payload: bytes


Verdict = Forward | Replace | Answer | Ending
_FORWARD = Forward()


class Conversation:
    """The memory of one session (mutable: it follows the events)."""

    def __init__(
        self, *, model: str | None, upstream_model: str | None, client_was_silent: bool = True
    ) -> None:
        """Bind the session to a model.

        Args:
            model: The client's name of the model; None: a session without one.
            upstream_model: What the channel calls it.
            client_was_silent: Whether ``session.created`` comes before anything of the client's
                can reach the upstream.
        """
        self._model = model
        self._upstream_model = upstream_model
        self._shown_model = None if client_was_silent else upstream_model
        self._active: set[str] = set()
        self._usage: Counter[str] = Counter()
        self._responses = 0

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
        if _SESSION_UPDATE not in payload and b"\\" not in payload:
            # Without it to the letter, and without escapes, it can be of no edited type.
            return _FORWARD
        if not _is_text(payload):
            return _NOT_TEXT
        event = parse_object(payload)
        if event is None or event.get("type") != "session.update":
            return _FORWARD
        return self._on_session_update(event, payload)

    def _on_session_update(self, event: dict[str, Any], payload: bytes) -> Verdict:
        """Hold ``session.model`` to the model that the session was opened for."""
        session = event.get("session")
        model = session.get("model") if isinstance(session, dict) else None
        if not isinstance(model, str) or self._upstream_model is None:
            return _FORWARD
        if model == self._upstream_model:
            return _FORWARD
        if model == self._model:
            return Replace(replace_member(payload, ("session", "model"), self._upstream_model))
        event_id = event.get("event_id")
        return Answer(
            error_event(
                "invalid_request_error",
                "model_not_found",
                f"This session was opened for the model {self._model!r}; "
                "open another session for another model.",
                param="session.model",
                client_event_id=event_id if isinstance(event_id, str) else None,
            )
        )

    def on_upstream(self, payload: bytes) -> Verdict:
        """Follow a message from the upstream: the look lane."""
        event = parse_object(payload)
        match structure_event(event) if event is not None else None:
            case SessionCreated(session) if self._shown_model is None:
                self._shown_model = session.model or self._upstream_model
            case SessionCreated(session) | SessionUpdated(session):
                if not self._is_bound(session.model):
                    return closing.MODEL_CHANGED
            case ResponseCreated(response):
                if response.id is not None and self._may_track(response.id):
                    self._active.add(response.id)
            case ResponseDone(response):
                self._active.discard(response.id or "")
                self._responses += 1
                self._usage.update(_flat(response.usage))
            case ErrorEvent() | None:
                pass
        return _FORWARD

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


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


_NOT_TEXT = closing.fault_ending(
    closing.Side.CLIENT, Fault(FaultKind.PROTOCOL, 1007, "The text of a message is not UTF-8.")
)


def _flat(usage: Usage | None) -> dict[str, int]:
    """Flatten a usage object to counts by direction and modality."""
    if usage is None:
        return {}
    counts = {
        "total_tokens": usage.total_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if (read := usage.input_token_details) is not None:
        counts["input_text_tokens"] = read.text_tokens
        counts["input_audio_tokens"] = read.audio_tokens
        counts["input_image_tokens"] = read.image_tokens
        counts["input_cached_tokens"] = read.cached_tokens
    if (written := usage.output_token_details) is not None:
        counts["output_text_tokens"] = written.text_tokens
        counts["output_audio_tokens"] = written.audio_tokens
    return {name: count for name, count in counts.items() if 0 < count < _TOKENS}
