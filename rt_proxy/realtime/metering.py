"""What the responses and transcriptions of one session take, reported or estimated.

Follows the upstream's events (API reference); pure, without prices or a clock. Each response
counts once, and so does each transcription. A response whose usage does not come is estimated
from the audio and text that passed, which the gauges count without reading it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from rt_proxy.realtime.counts import Reported, Tokens, response_tokens, transcription_tokens
from rt_proxy.realtime.gauge import Gauge
from rt_proxy.realtime.hearing import Hearing
from rt_proxy.realtime.looks import object_at, text_at, value_at
from rt_proxy.realtime.memory import Memory

#: An upstream that claims more responses at once, or longer ids, is not believed.
_ACTIVE_RESPONSES = 64
_LONGEST_ID = 256

#: The audio of an assistant is a token for every so many ms, that of a user for every so many
#: (API guide, "Managing costs"), and text one for about so many characters.
_SPEECH_MILLISECONDS = 50
_HEARD_MILLISECONDS = 100
_TEXT_CHARACTERS = 4
#: Characters of base64 in a millisecond of audio: 48 bytes of PCM at 24 kHz, 8 of G.711.
_PCM_CHARACTERS = 64.0
_G711_CHARACTERS = 8 * 4 / 3
_G711 = frozenset({"audio/pcmu", "audio/pcma", "g711_ulaw", "g711_alaw"})

SPEECH_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
TEXT_DELTAS = frozenset(
    {
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
        "response.function_call_arguments.delta",
    }
)
#: Where the events of a session have the format of its audio, in either dialect.
_OUTPUT_FORMATS = (("audio", "output", "format", "type"), ("output_audio_format",))
_INPUT_FORMATS = (("audio", "input", "format", "type"), ("input_audio_format",))


@attrs.frozen
class Metered:
    """What one response or one transcription took.

    Attributes:
        kind: Which of the two.
        upstream_id: The id of the response, or of the item that was transcribed.
        content_index: Which part of that item.
        model: What transcribed; None: the model of the session, or not known.
        status: How the response ended; ``unfinished``: its end never came.
        reported: What it took; inexact where that is estimated.
    """

    kind: Literal["response", "transcription"]
    upstream_id: str | None
    reported: Reported
    content_index: int = 0
    model: str | None = None
    status: str | None = None


@attrs.define
class _Response:
    """A response in progress (mutable: it speaks)."""

    given: Tokens
    milliseconds_given: float
    speech_characters: float = 0
    text_characters: float = 0

    @property
    def has_spoken(self) -> bool:
        """Whether anything has come out of it."""
        return self.speech_characters > 0 or self.text_characters > 0


class Meter:
    """The meter of one session (mutable: it follows the events).

    Attributes:
        hearing: Follows the client's audio.
        spoken: Counts the characters of the upstream's audio.
        written: Counts the characters of the upstream's text.
        begun: How many responses have begun that are followed.
    """

    def __init__(self) -> None:
        self.hearing = Hearing(_PCM_CHARACTERS)
        self.spoken = Gauge()
        self.written = Gauge()
        self.begun = 0
        self._active: dict[str, _Response] = {}
        self._done = Memory()
        self._transcribed = Memory()
        #: What the next response is given at least: what the last one took and said.
        self._context = Tokens()
        self._spoken_before = 0
        self._written_before = 0
        self._speech_rate = _PCM_CHARACTERS
        self._on_step: Callable[[], int] | None = None

    @property
    def active(self) -> Iterable[str]:
        """The ids of the responses in progress, the oldest first."""
        return tuple(self._active)

    @property
    def is_active(self) -> bool:
        """Whether the upstream has begun a response and not ended it."""
        return bool(self._active)

    @property
    def gauges(self) -> Mapping[str, Gauge]:
        """The types of upstream events that pass unread, and what counts them."""
        return MappingProxyType(
            dict.fromkeys(SPEECH_DELTAS, self.spoken) | dict.fromkeys(TEXT_DELTAS, self.written)
        )

    def watch(self, on_step: Callable[[], int]) -> None:
        """Have a function called when responses have spoken, or written, so many tokens.

        It is called for the first time after the first ones, then at each ``look``, and returns
        how many more may pass until it is called again.
        """
        self._on_step = on_step
        self.spoken.on_mark = self.written.on_mark = self.look
        self._set_marks(1)

    def look(self) -> None:
        """Call the function that watches, now; what may pass counts from here on."""
        if self._on_step is not None:
            self._set_marks(self._on_step())

    def _set_marks(self, tokens: int) -> None:
        self.spoken.mark = self.spoken.amount + tokens * _SPEECH_MILLISECONDS * self._speech_rate
        self.written.mark = self.written.amount + tokens * _TEXT_CHARACTERS

    def note_session(self, session: dict[str, Any]) -> None:
        """Note the formats of the audio; a session that does not say them changes nothing."""
        for path in _OUTPUT_FORMATS:
            if (name := text_at(session, *path)) is not None:
                self._speech_rate = _rate_of(name)
        for path in _INPUT_FORMATS:
            if (name := text_at(session, *path)) is not None:
                self.hearing.characters_per_millisecond = _rate_of(name)

    def note_created(self, response: Mapping[str, Any]) -> None:
        """Note that a response has begun; one beside the conversation is given nothing of it."""
        self._attribute()
        response_id = text_at(response, "id")
        if response_id is None or response_id in self._active or response_id in self._done:
            return
        if len(response_id) <= _LONGEST_ID and len(self._active) < _ACTIVE_RESPONSES:
            self.begun += 1
            if _is_beside(response):
                self._active[response_id] = _Response(Tokens(), 0.0)
                return
            heard = self.hearing.milliseconds
            given = self._context + Tokens(audio_in=round(heard / _HEARD_MILLISECONDS))
            self._active[response_id] = _Response(given, heard)

    def note_done(self, response: Mapping[str, Any]) -> Metered | None:
        """Return what a response took that has ended; None: it has been counted before."""
        self._attribute()
        response_id = text_at(response, "id") or self._only_active()
        if response_id in self._done:
            return None
        self._done.keep(response_id)
        open_one = self._active.pop(response_id or "", None)
        reported = self._reported(response, open_one)
        if not _is_beside(response):
            self._context = _context_after(reported.tokens)
            # What was committed while it spoke is given to the next one only.
            self.hearing.note_given(math.inf if open_one is None else open_one.milliseconds_given)
        if response_id is not None and len(response_id) > _LONGEST_ID:
            response_id = None
        status = (text_at(response, "status") or "")[:_LONGEST_ID] or None
        return Metered("response", response_id, reported, status=status)

    def _only_active(self) -> str | None:
        """Return the response that an end without an id must belong to; None: there is none."""
        return next(iter(self._active)) if len(self._active) == 1 else None

    def _reported(self, response: Mapping[str, Any], open_one: _Response | None) -> Reported:
        usage = object_at(response, "usage")
        if usage:
            spoke = open_one is not None and open_one.speech_characters > 0
            return response_tokens(usage, spoke=spoke)
        failed = text_at(response, "status") == "failed"
        if open_one is None or (failed and not open_one.has_spoken):
            # One that failed, said nothing and reports nothing has cost nothing.
            return Reported(is_exact=failed)
        return Reported(self._estimated(open_one), is_exact=False)

    def note_transcribed(self, event: dict[str, Any], model: str | None) -> Metered | None:
        """Return what a transcription took; None: it has been counted before.

        Args:
            event: ``conversation.item.input_audio_transcription.completed``.
            model: What transcribed.
        """
        item_id = text_at(event, "item_id")
        index = value_at(event, "content_index")
        content_index = index if type(index) is int and 0 <= index < 1 << 31 else 0
        if item_id is not None:
            key = f"{content_index} {item_id}"
            if key in self._transcribed:
                return None
            self._transcribed.keep(key)
        if item_id is not None and len(item_id) > _LONGEST_ID:
            item_id = None
        usage = object_at(event, "usage")
        reported = transcription_tokens(usage) if usage else Reported(is_exact=False)
        return Metered("transcription", item_id, reported, content_index, model)

    def in_progress(self) -> Tokens:
        """Return what the responses in progress have taken so far, as an estimate."""
        self._attribute()
        return sum(map(self._estimated, self._active.values()), Tokens())

    def unfinished(self) -> list[Metered]:
        """Return what the responses took, as an estimate, whose end will not come any more."""
        self._attribute()
        left = [
            Metered(
                "response",
                response_id,
                Reported(self._estimated(response), is_exact=False),
                status="unfinished",
            )
            for response_id, response in self._active.items()
        ]
        for response_id in self._active:
            self._done.keep(response_id)
        self._active.clear()
        return left

    def _attribute(self) -> None:
        """Lay what has passed since the last look to the response that began last.

        Frames are counted when they have arrived, and events looked at when their turn has come:
        what has passed while no response goes on is of the one that is about to begin.
        """
        if self._active:
            latest = self._active[next(reversed(self._active))]
            latest.speech_characters += self.spoken.amount - self._spoken_before
            latest.text_characters += self.written.amount - self._written_before
            self._spoken_before, self._written_before = self.spoken.amount, self.written.amount

    def _estimated(self, response: _Response) -> Tokens:
        spoken = response.speech_characters / self._speech_rate / _SPEECH_MILLISECONDS
        written = response.text_characters / _TEXT_CHARACTERS
        return response.given + Tokens(text_out=math.ceil(written), audio_out=round(spoken))


def _is_beside(response: Mapping[str, Any]) -> bool:
    """Whether a response is out of band: given what its request has, or nothing."""
    return "conversation_id" in response and response["conversation_id"] is None


def _context_after(tokens: Tokens) -> Tokens:
    """Return what a next response would be given: all that the last one was given, and said.

    What was cached stays so; the rest counts as not cached, rather too much than too little.
    """
    return attrs.evolve(
        tokens,
        text_in=tokens.text_in + tokens.text_out,
        audio_in=tokens.audio_in + tokens.audio_out,
        text_out=0,
        audio_out=0,
    )


def _rate_of(audio_format: str) -> float:
    return _G711_CHARACTERS if audio_format in _G711 else _PCM_CHARACTERS
