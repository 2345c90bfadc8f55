"""What one session knows of its conversation, and what happens to events that are read.

Message in, verdict out: synchronous, so that two pumps can share it without a
lock. Most events never come here: see the lanes below. A rule that protects
money or access is enforced on what the *upstream* shows, because a client's
frame may hide what it is. It is one long module because both directions share
one memory, and every rule may need all of it.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import attrs

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.counts import Tokens, count_tokens
from rt_proxy.realtime.dialects import (
    TELLING_CLIENT_EVENTS,
    Dialect,
    Untranslated,
    dialect_of_event,
    translator_between,
)
from rt_proxy.realtime.fieldrules import mcp_tool_in, without_fields
from rt_proxy.realtime.frames import Fault, FaultKind
from rt_proxy.realtime.jsontext import is_intricate, parse_object, unhurried
from rt_proxy.realtime.looks import object_at, text_at, value_at
from rt_proxy.realtime.metering import SPEECH_DELTAS, TEXT_DELTAS, Meter, Metered
from rt_proxy.realtime.modelname import NAMED_BY_CLIENTS, SHOWN_BY_UPSTREAMS, BoundModel
from rt_proxy.realtime.peek import Lanes, proven_type
from rt_proxy.realtime.refusals import error_event
from rt_proxy.realtime.transcribing import Transcriptions

#: In the first so many bytes of a message its type is looked for.
_TYPE_BYTES = 1_024
_INTRICATE = "The event has too many members and elements to be read; send less of them."
_UNREADABLE = "The event is no JSON object that can be read."
_ONLY_TRANSCRIBES = (
    "This session only transcribes; open another one, with a model, for conversations."
)
_NO_MCP = (
    "Tools of the type 'mcp' are not known to this session's upstream; give it function tools."
)
_NOT_TEXT = closing.fault_ending(
    closing.Side.CLIENT, Fault(FaultKind.PROTOCOL, 1007, "The text of a message is not UTF-8.")
)

_APPEND = b"input_audio_buffer.append"
#: An upstream's id of the session that is longer than this is not kept, in characters.
_LONGEST_ID = 256

#: Client events that may name a model, and may be changed on their way in any session.
EDITED_CLIENT_EVENTS = frozenset(NAMED_BY_CLIENTS)
#: Those that go on unread where they are too large for it: their model is shown by the upstream.
_SMALL_CLIENT_EVENTS = frozenset({"response.create"})
#: Upstream events that are followed in any session.
WATCHED_UPSTREAM_EVENTS = frozenset(
    {
        *SHOWN_BY_UPSTREAMS,
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
        "error",
    }
)
#: Those that tell where a client has spoken; followed in sessions that are metered.
HEARING_EVENTS = frozenset(
    {
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.cleared",
    }
)
#: Those that go on unread where they are too large for it: nobody is cut for a long transcript.
_SMALL_UPSTREAM_EVENTS = WATCHED_UPSTREAM_EVENTS - SHOWN_BY_UPSTREAMS.keys() - {"error"}
#: An item that was asked for comes with all of its audio, and nobody can ask for less.
_LARGE_UPSTREAM_EVENTS = frozenset({"conversation.item.retrieved"})


@attrs.frozen
class Forward:
    """The message goes on, as the frames it came in."""


@attrs.frozen
class Replace:
    """Other messages go on in the message's place; with none of them it is dropped."""

    payloads: tuple[bytes, ...] = attrs.field(repr=False)


@attrs.frozen
class Answer:
    """The message stops here; its sender gets this event."""

    payload: bytes = attrs.field(repr=False)


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
        drop_fields: Collection[str] = (),
        mcp: bool = True,
        metered: bool = False,
    ) -> None:
        """Bind the session to a model, and its sides to their dialects.

        Args:
            model: The client's name of the model; None: a session without one.
            upstream_model: What the channel calls it.
            client_dialect: The client's; None: it is GA until the client shows otherwise.
            upstream_dialect: The channel's.
            client_was_silent: Whether ``session.created`` comes before anything of the client's
                can reach the upstream.
            drop_fields: What the upstream would refuse in sessions and responses, such as
                ``tracing``, in its own dialect.
            mcp: Whether the upstream knows MCP tools.
            metered: Whether the audio and text is counted that passes unread.
        """
        self.client_lanes = Lanes()
        self.upstream_lanes = Lanes()
        self._model = BoundModel(model, upstream_model, client_was_silent=client_was_silent)
        self._drop_fields = drop_fields
        self._mcp = mcp
        self._session_shown = False
        #: It has shown neither dialect purely, so that its clients cannot be told by theirs.
        self._upstream_mixes = False
        self._client_dialect = client_dialect
        self._upstream_dialect = upstream_dialect
        self._translator = translator_between(self.client_dialect, upstream_dialect)
        self._transcriptions = Transcriptions()
        self._expires_at: int | None = None
        self._meter = Meter()
        self._is_metered = metered
        self._metered: list[Metered] = []
        self._upstream_session_id: str | None = None
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
        return self._meter.is_active

    @property
    def owes_usage(self) -> bool:
        """Whether the upstream has yet to tell what a response or a transcription cost."""
        return self._meter.is_active or self._transcriptions.is_waited_for

    @property
    def upstream_model(self) -> str | None:
        """The model by the upstream's name, as it has shown it, or else as it was asked for."""
        return self._model.shown

    @property
    def upstream_session_id(self) -> str | None:
        """The upstream's id of the session; None: it has not told one."""
        return self._upstream_session_id

    @property
    def responses_begun(self) -> int:
        """How many responses have begun that are followed."""
        return self._meter.begun

    @property
    def responses(self) -> int:
        """How many responses have ended."""
        return self._responses

    @property
    def expires_at(self) -> int | None:
        """When the upstream will end the session, in Unix seconds, as it has shown last."""
        return self._expires_at

    def usage(self) -> dict[str, int]:
        """Return the tokens of all responses so far, by modality."""
        return dict(self._usage)

    def take_metered(self) -> list[Metered]:
        """Return what has been metered since the last time that one asked."""
        metered, self._metered = self._metered, []
        return metered

    def take_unfinished(self) -> list[Metered]:
        """Return, as estimates, the responses in progress; they are in progress no more."""
        return self._meter.unfinished()

    def in_progress(self) -> Tokens:
        """Return what the responses in progress have taken so far, as an estimate."""
        return self._meter.in_progress()

    def watch_progress(self, on_step: Callable[[], int]) -> None:
        """Have a function called while responses go on; it returns after how many more tokens."""
        self._meter.watch(on_step)

    def look_at_progress(self) -> None:
        """Have the function called that watches the progress of responses."""
        self._meter.look()

    def cancellations(self) -> tuple[bytes, ...]:
        """Return the client events that cancel the responses in progress, in either dialect."""
        return tuple(
            json.dumps({"type": "response.cancel", "response_id": response_id}).encode()
            for response_id in self._meter.active
        )

    def on_client(self, payload: bytes) -> Verdict:
        """Decide on a message from the client: the edit lane."""
        if self._is_metered and _APPEND in payload:  # it hides its type, and is audio all the same
            self._meter.hearing.heard.note(len(payload))
        if b"\\" not in payload and not any(kind in payload for kind in self._client_marks):
            # Without one of them to the letter, and without escapes, it can be of no edited type.
            return _FORWARD
        if not _is_text(payload):
            return _NOT_TEXT
        if is_intricate(payload):
            return self._on_intricate(payload)
        with unhurried(payload):
            return self._on_client(payload)

    def _on_intricate(self, payload: bytes) -> Verdict:
        """Let a message go on that would take long to read, but for one that may name a model."""
        kind = proven_type(payload[:_TYPE_BYTES])
        if kind is None or kind.decode() in EDITED_CLIENT_EVENTS - _SMALL_CLIENT_EVENTS:
            return _refused({}, "invalid_value", _INTRICATE, "type")
        return _FORWARD

    def _on_unreadable(self, payload: bytes) -> Verdict:
        """Let a message go on that is no JSON to us, but for one of which a rule may speak."""
        kind = proven_type(payload[:_TYPE_BYTES])
        if kind is None or kind.decode() in EDITED_CLIENT_EVENTS:
            return _refused({}, "invalid_value", _UNREADABLE, "type")
        return _FORWARD

    def _on_client(self, payload: bytes) -> Verdict:
        event = parse_object(payload)
        if event is None:
            return self._on_unreadable(payload)
        if text_at(event, "type") not in self._client_events:
            return _FORWARD
        self._learn_dialect(event)
        leaving = None if self._model.alias is not None else _leaves_transcription(event)
        if leaving is not None:
            return _refused(event, "invalid_value", _ONLY_TRANSCRIBES, leaving)
        text = payload.decode()
        named = self._model.to_upstream(event, text)
        if named is None:
            return self._another_model(event)
        tool = None if self._mcp else mcp_tool_in(event)
        if tool is not None:
            return _refused(event, "invalid_value", _NO_MCP, tool)
        events = (named,) if self._translator is None else self._translator.from_client(named)
        if isinstance(events, Untranslated):
            return _refused(event, "invalid_value", events.message, events.param)
        return _verdict(text, tuple(without_fields(one, self._drop_fields) for one in events))

    def _learn_dialect(self, event: dict[str, Any]) -> None:
        """Note the dialect of the first client event that shows one, for both directions."""
        if self._client_dialect is not None or self._upstream_mixes:
            return
        before = self.client_dialect
        self._client_dialect = dialect_of_event(event)
        if self.client_dialect is not before:
            late = self._session_shown and self._model.alias is not None
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
        must_be_read = EDITED_CLIENT_EVENTS - _SMALL_CLIENT_EVENTS
        heard = {_APPEND.decode(): self._meter.hearing.heard} if self._is_metered else {}
        self.client_lanes.lay(must_be_read, small=self._client_events - must_be_read, counted=heard)
        must_be_followed = WATCHED_UPSTREAM_EVENTS - _SMALL_UPSTREAM_EVENTS
        large = _LARGE_UPSTREAM_EVENTS & from_upstream
        followed = HEARING_EVENTS if self._is_metered else frozenset()
        self.upstream_lanes.lay(
            must_be_followed,
            large=large,
            small=(_SMALL_UPSTREAM_EVENTS | followed | from_upstream) - must_be_followed - large,
            renamed=translator.renamed_in_passing if translator else {},
            counted=self._meter.gauges if self._is_metered else {},
        )

    def _another_model(self, event: dict[str, Any]) -> Answer:
        """Tell the client that its event names another model than the session's."""
        return _refused(
            event,
            "model_not_found",
            f"This session was opened for the model {self._model.alias!r}; "
            "open another session for another model.",
            ".".join(NAMED_BY_CLIENTS[event["type"]]),
        )

    def on_upstream(self, payload: bytes) -> Verdict:
        """Follow a message from the upstream, and edit it where the client needs that."""
        with unhurried(payload):
            return self._on_upstream(payload)

    def _on_upstream(self, payload: bytes) -> Verdict:
        event = parse_object(payload)
        if event is None:
            return _FORWARD
        self._follow(event)
        text = payload.decode()
        named = self._model.to_client(event, text)
        if named is None:
            return closing.MODEL_CHANGED
        if self._translator is None or is_intricate(payload):
            return _verdict(text, (named,))
        return _verdict(text, self._translator.from_upstream(named))

    def _follow(self, event: dict[str, Any]) -> None:
        """Follow the session, its transcriptions, the responses in progress and their cost."""
        match event.get("type"):
            case (
                "session.created"
                | "session.updated"
                | "transcription_session.created"
                | "transcription_session.updated"
            ):
                self._follow_session(object_at(event, "session"))
            case "input_audio_buffer.committed":
                self._transcriptions.note_committed(text_at(event, "item_id"))
                self._meter.hearing.note_committed()
            case "input_audio_buffer.cleared":
                self._meter.hearing.note_cleared()
            case str(kind) if kind in HEARING_EVENTS:
                self._meter.hearing.note_speech(event)
            case "conversation.item.input_audio_transcription.completed":
                model = self._transcriptions.model_of(text_at(event, "item_id"))
                self._note_metered(self._meter.note_transcribed(event, model))
                self._transcriptions.note_ended(text_at(event, "item_id"))
            case "conversation.item.input_audio_transcription.failed":
                self._transcriptions.note_ended(text_at(event, "item_id"))
            case "response.created":
                self._meter.note_created(object_at(event, "response"))
            case "response.done" if response := object_at(event, "response"):
                metered = self._meter.note_done(response)
                self._note_metered(metered)
                if metered is not None:
                    self._responses += 1
                    self._usage.update(count_tokens(object_at(response, "usage")))
            case str(kind) if kind in SPEECH_DELTAS:
                self._meter.spoken.note(len(text_at(event, "delta") or ""))
            case str(kind) if kind in TEXT_DELTAS:
                self._meter.written.note(len(text_at(event, "delta") or ""))

    def _follow_session(self, session: dict[str, Any]) -> None:
        if not self._session_shown:
            self._upstream_mixes = self._upstream_dialect is Dialect.GA and "type" not in session
        self._session_shown = True
        self._transcriptions.note_session(session)
        self._meter.note_session(session)
        session_id = text_at(session, "id")
        if session_id is not None and len(session_id) <= _LONGEST_ID:
            self._upstream_session_id = session_id
        expires_at = value_at(session, "expires_at")
        if type(expires_at) is int:
            self._expires_at = expires_at

    def _note_metered(self, metered: Metered | None) -> None:
        if metered is not None and self._is_metered:
            self._metered.append(metered)


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
            client_event_id=text_at(event, "event_id"),
        )
    )


def _leaves_transcription(event: dict[str, Any]) -> str | None:
    """Return the field by which a transcription session would get a model to speak; None: none.

    Such a session was opened without a model, so none was held against the client's token.
    """
    if event["type"] == "response.create":
        return "type"
    return "session.type" if text_at(event, "session", "type") == "realtime" else None


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
