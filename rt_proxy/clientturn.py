"""One turn of a client as it goes on: what is asked, what came, and what that amounts to.

Pure: server events and moments in, a ``Reply`` out; ``client.py`` lends it a connection.
The shapes are those of the GA dialect (API reference, client and server events); a
server that shows Beta is understood by the translator.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from rt_proxy.realtime.counts import count_tokens
from rt_proxy.realtime.dialects import (
    Dialect,
    Translator,
    Untranslated,
    dialect_of_first_event,
    translator_between,
)
from rt_proxy.realtime.frames import Close
from rt_proxy.realtime.jsontext import parse_object

#: The answer's audio: samples a second, of 16 bits each, one channel.
SAMPLE_RATE = 24_000
SAMPLE_BYTES = 2
#: More audio than this is counted and not kept, in bytes; over half an hour.
MOST_AUDIO_BYTES = 100_000_000

#: Longest text of a server in a problem, in characters.
_LONGEST_TEXT = 500
_TEXT_DELTAS = ("response.output_text.delta", "response.output_audio_transcript.delta")
_AUDIO_DELTA = "response.output_audio.delta"


@attrs.frozen
class Question:
    """What is said, and how the answer is wanted: spoken, or as text."""

    text: str
    spoken: bool = True

    def events(self) -> tuple[dict[str, Any], ...]:
        """Return the client events that ask it (API reference, client events)."""
        content = {"type": "input_text", "text": self.text}
        item = {"type": "message", "role": "user", "content": [content]}
        return (
            {"type": "session.update", "session": self._session()},
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create"},
        )

    def _session(self) -> dict[str, Any]:
        if not self.spoken:
            return {"type": "realtime", "output_modalities": ["text"]}
        # Asked for although it is the default: a server may have another.
        audio = {"output": {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE}}}
        return {"type": "realtime", "output_modalities": ["audio"], "audio": audio}


@attrs.frozen
class Times:
    """When things had come, in seconds since the turn began; None: they never did."""

    session_created: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    total: float = 0.0


@attrs.frozen
class Reply:
    """What came of a turn.

    Attributes:
        completed: The response was completed.
        problems: What went wrong, a sentence each; parts of them may be the server's words.
        error_codes: The codes of the errors that the server named, in their order.
        audio: What is kept of the audio, as little-endian samples of 16 bits.
        audio_bytes: How much audio there was in all.
        usage: What the response cost, by flat names; None: the server did not say.
        times: When things had come.
    """

    completed: bool
    problems: tuple[str, ...]
    error_codes: tuple[str, ...]
    audio: bytes = attrs.field(repr=False)
    audio_bytes: int
    usage: Mapping[str, int] | None
    times: Times


class Turn:
    """A turn as it goes on, without any I/O (mutable: it follows the events).

    Attributes:
        connected: The WebSocket is open.
        over: Nothing more is to be waited for.
        refused: The server sent an error in place of a response.
    """

    def __init__(self, now: float, hear: Callable[[str], None], *, keep_audio: bool) -> None:
        self.connected = False
        self.over = False
        self.refused = False
        self._began = now
        self._hear = hear
        self._keep_audio = keep_audio
        self._responds = False
        self._completed = False
        self._problems: list[str] = []
        self._error_codes: list[str] = []
        self._audio = bytearray()
        self._audio_bytes = 0
        self._usage: Mapping[str, int] | None = None
        self._translator: Translator | None = None
        self._came: dict[str, float] = {}

    @property
    def waits_for(self) -> str:
        """What has not happened yet, as the end of a sentence."""
        if not self.connected:
            return "no connection"
        if "session_created" not in self._came:
            return "no session.created"
        return "the response was not done" if self._responds else "no response"

    def fail(self, problem: str) -> None:
        """End the turn with a problem."""
        self._problems.append(problem)
        self.over = True

    def refuse(self, why: str, body: bytes) -> None:
        """End the turn because the server answered our upgrade with something else.

        Args:
            why: Such as ``HTTP 401``.
            body: Of that answer, as far as it came; an error in JSON says more.
        """
        answer = parse_object(body)
        error = answer.get("error") if answer is not None else None
        self._note_code(error)
        self.fail(f"refused: {why} {_error_text(error)}".rstrip())

    def close(self, close: Close) -> None:
        """End the turn because the server sent CLOSE."""
        reason = f" ({_short(close.reason)})" if close.reason else ""
        self.fail(f"closed by the server with code {close.code}{reason}")

    def questions(self, question: Question) -> Iterator[bytes]:
        """Yield the events that ask a question, in the dialect that the server has shown."""
        for event in question.events():
            text = json.dumps(event)
            asked = (text,) if self._translator is None else self._translator.from_client(text)
            if not isinstance(asked, Untranslated):  # none of ours is
                yield from map(str.encode, asked)

    def take(self, payload: bytes, now: float) -> None:
        """Follow one event of the server; an unknown one changes nothing."""
        event = parse_object(payload)
        if event is None:
            return
        if dialect_of_first_event(event) is Dialect.BETA:
            self._translator = translator_between(Dialect.GA, Dialect.BETA)
        if self._translator is None:
            self._follow(event, now)
            return
        for text in self._translator.from_upstream(payload.decode()):
            self._follow(parse_object(text.encode()) or {}, now)

    def _follow(self, event: dict[str, Any], now: float) -> None:
        match event.get("type"):
            case "session.created":
                self._note("session_created", now)
            case "response.created":
                self._responds = True
            case kind if kind in _TEXT_DELTAS:
                self._take_text(event.get("delta"), now)
            case kind if kind == _AUDIO_DELTA:
                self._take_audio(event.get("delta"), now)
            case "response.done":
                self._take_done(event)
            case "error":
                self._take_error(event.get("error"))

    def reply(self, ended: float) -> Reply:
        """Return what came of it."""
        whole = len(self._audio) - len(self._audio) % SAMPLE_BYTES
        return Reply(
            completed=self._completed,
            problems=tuple(self._problems),
            error_codes=tuple(self._error_codes),
            audio=bytes(memoryview(self._audio)[:whole]),
            audio_bytes=self._audio_bytes,
            usage=self._usage,
            times=Times(**self._came, total=ended - self._began),
        )

    def _note(self, what: str, now: float) -> None:
        """Note when something came for the first time."""
        self._came.setdefault(what, now - self._began)

    def _note_code(self, error: object) -> None:
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, str):
            self._error_codes.append(code)

    def _take_text(self, delta: object, now: float) -> None:
        if isinstance(delta, str):
            self._note("first_text", now)
            self._hear(delta)

    def _take_audio(self, delta: object, now: float) -> None:
        try:
            audio = base64.b64decode(delta, validate=True) if isinstance(delta, str) else b""
        except ValueError:
            self.fail("the server sent audio that is not base64")
            return
        self._note("first_audio", now)
        self._audio_bytes += len(audio)
        if self._keep_audio:
            self._audio += audio[: MOST_AUDIO_BYTES - len(self._audio)]

    def _take_done(self, event: dict[str, Any]) -> None:
        """End the turn with the response; ``status_details`` says why it did not complete."""
        self.over = True
        response = event.get("response")
        if not isinstance(response, dict):
            self.fail("the server sent a response.done that cannot be read")
            return
        if isinstance(response.get("usage"), dict):
            self._usage = count_tokens(response["usage"])
        self._completed = response.get("status") == "completed"
        if not self._completed:
            self.fail(f"the response is {_outcome(response)}")

    def _take_error(self, error: object) -> None:
        """Note an error; one that comes before the response comes in its place."""
        self._note_code(error)
        self._problems.append(f"error {_error_text(error)}".rstrip())
        if not self._responds:
            self.refused = self.over = True


def _outcome(response: dict[str, Any]) -> str:
    """Say how a response ended that did not complete (API reference, ``response.done``)."""
    status, details = response.get("status"), response.get("status_details")
    if not isinstance(status, str):
        status = "without a status"
    if not isinstance(details, dict):
        return status
    reason = details.get("reason")
    said = reason if isinstance(reason, str) else _error_text(details.get("error"))
    return f"{status}: {_short(said)}" if said else f"{status}"


def _error_text(error: object) -> str:
    """Return ``code: message`` of an error object, as far as they are there."""
    if not isinstance(error, dict):
        return ""
    code = error.get("code") or error.get("type")
    said = [part for part in (code, error.get("message")) if isinstance(part, str) and part]
    return _short(": ".join(said))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
