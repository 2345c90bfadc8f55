"""The whole conversation as a state machine: client frames in, server events out.

Nothing here waits, sends or looks at a clock. ``conversation.py`` lends it time
and a connection. What is kept and said here has the shape of GA; what a client
may send, and how it is answered, is the dialect's manner.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rt_proxy.simulator.audio import FORMATS
from rt_proxy.simulator.events import Event, EventRefused, error, event, new_id, read
from rt_proxy.simulator.items import Item, Items, item_from, spoken_item
from rt_proxy.simulator.manners import GA, Manner
from rt_proxy.simulator.replies import heard
from rt_proxy.simulator.schema import unsupported
from rt_proxy.simulator.session import updated
from rt_proxy.simulator.transcripts import transcription
from rt_proxy.simulator.turns import Turn, turn_settings
from rt_proxy.simulator.usage import PromptCache
from rt_proxy.simulator.vad import InputAudio, SpeechStarted, SpeechStopped

#: Responses outside of the conversation that may run at once.
MOST_TURNS_ALONGSIDE = 8


class Dialogue:
    """One session with one client; changes with every event of either side.

    Args:
        model: The session's model; None: a transcription session.
        expires_at: When the session ends, in Unix seconds.
        manner: How the dialect of the session is spoken.
    """

    def __init__(self, model: str | None, expires_at: int, manner: Manner = GA) -> None:
        self._manner = manner
        self._session = manner.fresh_session(model, expires_at)
        self._conversation_id = new_id("conv")
        self._items = Items()
        self._input = InputAudio(*self._input_settings())
        self._speech_item: str | None = None
        self._turns: deque[Turn] = deque()
        self._cache = PromptCache()
        self._has_spoken = False
        self._checks = manner.checks[self._session["type"]]
        self._acts: dict[str, Callable[[Event], Iterator[Event]]] = {
            "session.update": self._update,
            "transcription_session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "conversation.item.delete": self._delete_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel,
        }

    def opening(self) -> Event:
        """Return the first event, which shows the session."""
        (first,) = self._shown([event("session.created", session=self._session)])
        return first

    def introduction(self) -> Iterator[Event]:
        """Yield what follows the first event unasked."""
        if self._session["type"] == "realtime":
            conversation = {"id": self._conversation_id, "object": "realtime.conversation"}
            yield from self._shown([event("conversation.created", conversation=conversation)])

    def hear(self, frame: str | bytes) -> Iterator[Event]:
        """Take one frame of the client and yield what is answered at once.

        Nothing that a client can send raises. What a response says comes later,
        from ``advance``. Take all events before the next call of either.
        """
        client_event_id: str | None = None
        try:
            client_event = read(frame)
            named = client_event.get("event_id")
            client_event_id = named if isinstance(named, str) else None
            kind = self._known(client_event["type"])
            yield from self._shown(self._acts[kind](self._checks[kind](client_event, "")))
        except EventRefused as refused:
            yield from self._shown([error(refused, client_event_id)])

    @property
    def is_speaking(self) -> bool:
        """Whether ``advance`` has something to give."""
        return bool(self._turns)

    def advance(self) -> Event | None:
        """Return the next event of the responses in progress, each in its turn."""
        while self._turns:
            turn = self._turns.popleft()
            said = next(turn.events, None)
            if said is None:
                continue
            self._turns.append(turn)
            self._has_spoken |= said["type"] == "response.output_audio.delta"
            if (shown := self._manner.show(said)) is not None:
                return shown
        return None

    def _shown(self, events: Iterable[Event]) -> Iterator[Event]:
        return filter(None, map(self._manner.show, events))

    def _known(self, kind: Any) -> str:
        if not isinstance(kind, str) or kind not in self._checks:
            shown = kind if isinstance(kind, str) else type(kind).__name__
            raise EventRefused("invalid_value", unsupported(shown, tuple(self._checks)), "type")
        return kind

    # --- the session

    def _update(self, client_event: Event) -> Iterator[Event]:
        self._session = updated(
            self._session,
            client_event["session"],
            has_spoken=self._has_spoken,
            check=self._manner.session_change,
        )
        if self._input.configure(*self._input_settings()):
            self._speech_item = None
        yield event("session.updated", session=self._session)

    def _input_settings(self) -> tuple[Any, Any]:
        settings = self._session["audio"]["input"]
        return FORMATS[settings["format"]["type"]], settings["turn_detection"]

    # --- the input audio buffer

    def _append(self, client_event: Event) -> Iterator[Event]:
        for mark in self._input.append(client_event["audio"]):
            if isinstance(mark, SpeechStarted):
                yield from self._speech_started(mark)
            else:
                yield from self._speech_stopped(mark)

    def _speech_started(self, mark: SpeechStarted) -> Iterator[Event]:
        self._speech_item = new_id("item")
        yield event(
            "input_audio_buffer.speech_started",
            audio_start_ms=mark.audio_start_ms,
            item_id=self._speech_item,
        )
        active = self._active_turn()
        if active is not None and self._turn_detection("interrupt_response"):
            yield from self._stop(active, "turn_detected")

    def _speech_stopped(self, mark: SpeechStopped) -> Iterator[Event]:
        item_id = self._speech_item or new_id("item")
        yield event(
            "input_audio_buffer.speech_stopped", audio_end_ms=mark.audio_end_ms, item_id=item_id
        )
        yield from self._commit_as(item_id, mark.audio)
        # A response that may not be interrupted has the floor: this turn only joins the context.
        if self._turn_detection("create_response") and self._active_turn() is None:
            self._begin({})

    def _turn_detection(self, wish: str) -> bool:
        settings = self._session["audio"]["input"]["turn_detection"]
        return self._session["type"] == "realtime" and bool(settings and settings[wish])

    def _commit(self, client_event: Event) -> Iterator[Event]:
        committed = self._input.commit()
        yield from self._commit_as(self._speech_item or new_id("item"), committed)

    def _commit_as(self, item_id: str, committed: bytes) -> Iterator[Event]:
        self._speech_item = None
        item = spoken_item(item_id, committed, self._input.format)
        previous = self._items.append(item)
        yield event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        yield from self._announce(item, previous)
        wanted = self._session["audio"]["input"]["transcription"]
        if wanted is not None:
            transcript = heard(item.sounds[0].milliseconds)
            item.parts[0]["transcript"] = transcript
            yield from transcription(
                item,
                wanted.get("model"),
                logprobs=bool(self._session["include"]),
                whisper_streams=self._manner.whisper_streams,
            )

    def _clear(self, client_event: Event) -> Iterator[Event]:
        self._input.clear()
        self._speech_item = None
        yield event("input_audio_buffer.cleared")

    # --- items

    def _announce(self, item: Item, previous: str | None) -> Iterator[Event]:
        for what in ("added", "done"):
            yield event(f"conversation.item.{what}", previous_item_id=previous, item=item.wire())

    def _create_item(self, client_event: Event) -> Iterator[Event]:
        item = item_from(client_event["item"], self._input.format)
        previous = self._items.create(item, client_event.get("previous_item_id"))
        yield from self._announce(item, previous)

    def _retrieve_item(self, client_event: Event) -> Iterator[Event]:
        item = self._items.retrieve(client_event["item_id"])
        yield event("conversation.item.retrieved", item=item.wire(with_audio=True))

    def _truncate_item(self, client_event: Event) -> Iterator[Event]:
        item_id, content_index = client_event["item_id"], client_event["content_index"]
        audio_end_ms = client_event["audio_end_ms"]
        self._items.truncate(item_id, content_index, audio_end_ms)
        yield event(
            "conversation.item.truncated",
            item_id=item_id,
            content_index=content_index,
            audio_end_ms=audio_end_ms,
        )

    def _delete_item(self, client_event: Event) -> Iterator[Event]:
        self._items.delete(client_event["item_id"])
        yield event("conversation.item.deleted", item_id=client_event["item_id"])

    # --- responses

    def _create_response(self, client_event: Event) -> Iterator[Event]:
        request = client_event.get("response") or {}
        if request.get("conversation") == "none":
            if (
                sum(not turn.settings.in_conversation for turn in self._turns)
                >= MOST_TURNS_ALONGSIDE
            ):
                raise EventRefused(
                    "rate_limit_exceeded",
                    f"At most {MOST_TURNS_ALONGSIDE} responses run outside of the conversation.",
                )
        elif (active := self._active_turn()) is not None:
            raise EventRefused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one.",
            )
        self._begin(request)
        yield from ()

    def _begin(self, request: Event) -> None:
        settings = turn_settings(self._session, request)
        context = self._context(request)
        read_as = settings.instructions + "".join(map(str, settings.tools))
        given, cached = self._cache.read(read_as, context, remember=settings.in_conversation)
        turn = Turn(
            settings,
            context,
            self._items,
            self._conversation_id,
            given,
            cached,
            limits_first=self._manner.limits_first,
        )
        self._turns.append(turn)

    def _context(self, request: Event) -> list[Item]:
        """Return the items that a response reads: its own input, or the conversation."""
        given = request.get("input")
        if given is None:
            return list(self._items)
        return [self._given(fields, index) for index, fields in enumerate(given)]

    def _given(self, fields: Event, index: int) -> Item:
        if fields["type"] != "item_reference":
            return item_from(fields, self._input.format)
        item = self._items.find(fields["id"])
        if item is None:
            raise EventRefused(
                "invalid_value",
                f"Item with id '{fields['id']}' not found.",
                fields.get("path", f"response.input[{index}].id"),
            )
        return item

    def _cancel(self, client_event: Event) -> Iterator[Event]:
        response_id = client_event.get("response_id")
        turn = self._active_turn(response_id)
        if turn is None:
            raise EventRefused(
                "response_cancel_not_active", "Cancellation failed: no active response found"
            )
        yield from self._stop(turn, "client_cancelled")

    def _active_turn(self, response_id: str | None = None) -> Turn | None:
        """Return the response of this id, or that of the conversation, if it goes on."""
        for turn in self._turns:
            wanted = (
                turn.settings.in_conversation if response_id is None else turn.id == response_id
            )
            if wanted and not turn.finished:
                return turn
        return None

    def _stop(self, turn: Turn, reason: str) -> Iterator[Event]:
        turn.stop("cancelled", reason)
        yield from turn.events
