"""One response from ``response.created`` to ``response.done``, event by event.

A turn is a lazy sequence of events in the order of the API reference: whoever
takes the next one decides when, and may stop the turn in between. It waits for
nothing and knows no other turn.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from rt_proxy.simulator.audio import FORMATS, AudioFormat
from rt_proxy.simulator.events import Event, event, new_id
from rt_proxy.simulator.items import Item, Items, Sound
from rt_proxy.simulator.replies import Call, Say, answer
from rt_proxy.simulator.usage import Tokens, response_usage, speech_tokens, text_tokens
from rt_proxy.simulator.voice import speak

#: How much audio one delta carries.
DELTA_MS = 100
_TOKENS_PER_MINUTE = 15_000_000
_RESERVED_TOKENS = 4096


@attrs.frozen
class TurnSettings:
    """What one response is told, from the session and from its ``response.create``.

    ``wish`` is what its own instructions ask for; ``instructions`` are those in force.
    """

    output_modalities: list[str]
    instructions: str
    wish: str
    audio: dict[str, Any]
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    max_output_tokens: int | str
    metadata: dict[str, str] | None
    in_conversation: bool
    #: Only where the dialect has one (Beta).
    temperature: float | None = None

    @property
    def spoken(self) -> bool:
        """Whether the answer is audio."""
        return self.output_modalities == ["audio"]

    @property
    def audio_format(self) -> AudioFormat:
        """How the answer's audio is written."""
        return FORMATS[self.audio["format"]["type"]]

    @property
    def voice(self) -> str:
        """The voice's name, or the id of a custom one."""
        voice = self.audio["voice"]
        return str(voice["id"] if isinstance(voice, dict) else voice)


def turn_settings(session: dict[str, Any], request: dict[str, Any]) -> TurnSettings:
    """Return the session's settings with what a checked ``response.create`` overrides."""
    chosen = {**session, **request}
    audio = {**session["audio"]["output"], **request.get("audio", {}).get("output", {})}
    return TurnSettings(
        chosen["output_modalities"],
        chosen["instructions"],
        request.get("instructions", ""),
        audio,
        chosen["tools"],
        chosen["tool_choice"],
        chosen["max_output_tokens"],
        request.get("metadata"),
        request.get("conversation", "auto") != "none",
        chosen.get("temperature"),
    )


class Turn:
    """A response in progress; changes with every event that is taken from it.

    With ``limits_first`` it tells the rate limits at its beginning, counting the
    tokens that are reserved for it, and not at its end.

    Attributes:
        id: The response's id.
        settings: What it was told.
        events: What is left to be sent; take one at a time.
        finished: ``response.done`` was taken, so another response may begin.
    """

    def __init__(
        self,
        settings: TurnSettings,
        context: Sequence[Item],
        items: Items,
        conversation_id: str,
        given: Tokens,
        cached: Tokens,
        *,
        limits_first: bool = False,
    ) -> None:
        self.id = new_id("resp")
        self.settings = settings
        self.finished = False
        self._context = tuple(context)
        self._items = items
        self._conversation_id = conversation_id if settings.in_conversation else None
        self._given = given
        self._cached = cached
        self._limits_first = limits_first
        self._output: list[Item] = []
        self._characters = 0
        self._spoken_ms = 0
        self._stopped: dict[str, str] | None = None
        self.events: Iterator[Event] = self._events()

    def stop(self, status: str, reason: str) -> None:
        """End the turn early; the events that are left say so, and no delta is among them.

        Args:
            status: ``cancelled`` or ``incomplete``.
            reason: Such as ``turn_detected``.
        """
        if self._stopped is None:
            self._stopped = {"type": status, "reason": reason}

    def _events(self) -> Iterator[Event]:
        yield event("response.created", response=self._wire("in_progress", None))
        if self._limits_first:
            yield _limits(self._reserved())
        if not self._stopped:
            yield from self._answer()
        status = self._stopped["type"] if self._stopped else "completed"
        usage = response_usage(self._given, self._cached, self._tokens(0, 0))
        self.finished = True
        yield event("response.done", response=self._wire(status, usage))
        if not self._limits_first:
            yield _limits(usage["total_tokens"])

    def _answer(self) -> Iterator[Event]:
        settings = self.settings
        reply = answer(
            self._context,
            wish=settings.wish,
            tools=settings.tools,
            tool_choice=settings.tool_choice,
        )
        item_id = new_id("item")
        if isinstance(reply, Call):
            yield from self._call(item_id, reply)
        elif settings.spoken:
            yield from self._speech(item_id, reply)
        else:
            yield from self._writing(item_id, reply)

    def _writing(self, item_id: str, reply: Say) -> Iterator[Event]:
        item = _message(item_id)
        yield from self._begin(item)
        part = {"type": "output_text", "text": ""}
        place = self._place(item)
        yield self._part_event("added", place, {"type": "text", "text": ""})
        item.parts.append(part)
        for word in _pieces(reply.text):
            if not self._goes_on(len(word), 0):
                break
            part["text"] += word
            yield event("response.output_text.delta", **place, delta=word)
        yield event("response.output_text.done", **place, text=part["text"])
        yield self._part_event("done", place, {"type": "text", "text": part["text"]})
        yield from self._end(item)

    def _speech(self, item_id: str, reply: Say) -> Iterator[Event]:
        item = _message(item_id)
        yield from self._begin(item)
        part = {"type": "output_audio", "transcript": ""}
        place = self._place(item)
        yield self._part_event("added", place, {"type": "audio", "transcript": ""})
        item.parts.append(part)
        sound = item.sounds[0] = Sound(self.settings.audio_format)
        yield from self._speak(reply.text, place, part, sound)
        yield event("response.output_audio.done", **place)
        yield event("response.output_audio_transcript.done", **place, transcript=part["transcript"])
        done = {"type": "audio", "transcript": part["transcript"]}
        yield self._part_event("done", place, done)
        yield from self._end(item)

    def _speak(
        self, text: str, place: dict[str, Any], part: dict[str, str], sound: Sound
    ) -> Iterator[Event]:
        delta_size = DELTA_MS * sound.format.bytes_per_ms
        ready = bytearray()
        speed = float(self.settings.audio.get("speed", 1.0))
        for word in _pieces(text):
            voiced = speak(word, sound.format, voice=self.settings.voice, speed=speed)
            if not self._goes_on(len(word), sound.format.milliseconds(len(voiced))):
                break
            part["transcript"] += word
            yield event("response.output_audio_transcript.delta", **place, delta=word)
            ready += voiced
            while len(ready) >= delta_size and not self._stopped:
                yield _audio_delta(place, sound, bytes(ready[:delta_size]))
                del ready[:delta_size]
        if ready and (self._stopped is None or self._stopped["type"] == "incomplete"):
            yield _audio_delta(place, sound, bytes(ready))

    def _call(self, item_id: str, call: Call) -> Iterator[Event]:
        fields = {
            "type": "function_call",
            "status": "in_progress",
            "name": call.name,
            "call_id": new_id("call"),
            "arguments": "",
        }
        item = Item(item_id, fields)
        yield from self._begin(item)
        place = {
            "response_id": self.id,
            "item_id": item_id,
            "output_index": 0,
            "call_id": fields["call_id"],
        }
        for piece in re.findall(r"(?s).{1,16}", call.arguments):
            if not self._goes_on(len(piece), 0):
                break
            item.fields["arguments"] += piece
            yield event("response.function_call_arguments.delta", **place, delta=piece)
        yield event(
            "response.function_call_arguments.done",
            **place,
            name=call.name,
            arguments=item.fields["arguments"],
        )
        yield from self._end(item)

    def _begin(self, item: Item) -> Iterator[Event]:
        self._output.append(item)
        yield self._output_event("added", item)
        if self.settings.in_conversation:
            previous = self._items.append(item)
            yield event("conversation.item.added", previous_item_id=previous, item=item.wire())

    def _end(self, item: Item) -> Iterator[Event]:
        item.fields["status"] = "incomplete" if self._stopped else "completed"
        if self.settings.in_conversation:
            yield event(
                "conversation.item.done",
                previous_item_id=self._items.before(item),
                item=item.wire(),
            )
        yield self._output_event("done", item)

    def _goes_on(self, characters: int, milliseconds: int) -> bool:
        """Whether so much more may be said, and if so count it."""
        limit = self.settings.max_output_tokens
        if isinstance(limit, int) and self._tokens(characters, milliseconds).total > limit:
            self.stop("incomplete", "max_output_tokens")
        if self._stopped:
            return False
        self._characters += characters
        self._spoken_ms += milliseconds
        return True

    def _reserved(self) -> int:
        """Return the tokens that are set aside for the response when it begins."""
        limit = self.settings.max_output_tokens
        return self._given.total + (limit if isinstance(limit, int) else _RESERVED_TOKENS)

    def _tokens(self, characters: int, milliseconds: int) -> Tokens:
        return Tokens(
            text_tokens(self._characters + characters),
            speech_tokens(self._spoken_ms + milliseconds),
        )

    def _place(self, item: Item) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": item.id,
            "output_index": 0,
            "content_index": 0,
        }

    def _part_event(self, what: str, place: dict[str, Any], part: dict[str, str]) -> Event:
        return event(f"response.content_part.{what}", **place, part=part)

    def _output_event(self, what: str, item: Item) -> Event:
        return event(
            f"response.output_item.{what}",
            response_id=self.id,
            output_index=0,
            item=item.wire(),
        )

    def _wire(self, status: str, usage: dict[str, Any] | None) -> dict[str, Any]:
        settings = self.settings
        warmth = {} if settings.temperature is None else {"temperature": settings.temperature}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": self._stopped,
            "output": [item.wire() for item in self._output],
            "conversation_id": self._conversation_id,
            "output_modalities": settings.output_modalities,
            "max_output_tokens": settings.max_output_tokens,
            "audio": {"output": {"format": settings.audio["format"], "voice": settings.voice}},
            "usage": usage,
            "metadata": settings.metadata,
            **warmth,
        }


def _limits(used: int) -> Event:
    limit = {
        "name": "tokens",
        "limit": _TOKENS_PER_MINUTE,
        "remaining": max(0, _TOKENS_PER_MINUTE - used),
        "reset_seconds": 0.001,
    }
    return event("rate_limits.updated", rate_limits=[limit])


def _audio_delta(place: dict[str, Any], sound: Sound, data: bytes) -> Event:
    sound.data += data
    delta = base64.b64encode(data).decode()
    return event("response.output_audio.delta", **place, delta=delta)


def _message(item_id: str) -> Item:
    fields = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
    return Item(item_id, fields)


def _pieces(text: str) -> list[str]:
    """Return the words of a text, each with the space before it and none of them long."""
    return re.findall(r"\s?[^\s]{1,16}|\s+", text)
