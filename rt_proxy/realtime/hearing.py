"""How much of a client's audio has become a part of the conversation, and is given to responses.

An open microphone costs nothing while nobody speaks: what counts is what the upstream commits
(API guide, "Managing costs"). With voice activity detection that is the speech which it tells of;
without it, all that has been heard since the last commit.
"""

from typing import Any

from rt_proxy.realtime.gauge import Gauge
from rt_proxy.realtime.looks import value_at

#: No session is that long, in milliseconds; a number beyond it is none of a place in its audio.
_LONGEST = 10**10


class Hearing:
    """The audio of one client, by its length (mutable: it listens).

    Attributes:
        heard: Counts the characters of the client's audio.
        characters_per_millisecond: How many of them a millisecond is, in the present format.
        milliseconds: What has been committed, and was given to no response yet.
    """

    def __init__(self, characters_per_millisecond: float) -> None:
        # A client's frames are masked, so nothing can be found in them: they count whole.
        self.heard = Gauge(b"")
        self.characters_per_millisecond = characters_per_millisecond
        self.milliseconds = 0.0
        #: From where on the audio is in the upstream's buffer, from the first audio on, in ms.
        self._buffered_from = 0.0
        #: When speech has begun in the buffer, and ended, from the first audio of the session on.
        self._speech: tuple[int | None, int | None] = (None, None)

    @property
    def _heard_milliseconds(self) -> float:
        return self.heard.amount / self.characters_per_millisecond

    def note_speech(self, event: dict[str, Any]) -> None:
        """Note where speech begins or ends in the audio, as the upstream has found it."""
        begin, end = self._speech
        if (told := _milliseconds(event, "audio_start_ms")) is not None:
            begin, end = told, None
        if (told := _milliseconds(event, "audio_end_ms")) is not None:
            end = told
        self._speech = begin, end

    def note_committed(self) -> None:
        """Note that what is in the buffer has become an item of the conversation.

        No more of it is believed to be speech than was heard. What was heard behind the end of
        the speech stays in the buffer.
        """
        begin, end = self._speech
        until = self._heard_milliseconds
        if begin is not None and end is not None:
            until = min(until, end)
        since = self._buffered_from if begin is None else max(self._buffered_from, begin)
        self.milliseconds += max(0.0, until - since)
        self._buffered_from = max(self._buffered_from, until)
        self._speech = (None, None)

    def note_cleared(self) -> None:
        """Note that the buffer is empty."""
        self._buffered_from = self._heard_milliseconds
        self._speech = (None, None)

    def note_given(self, milliseconds: float) -> None:
        """Note that so much is in the context of a response, and so in that of the next ones."""
        self.milliseconds = max(0.0, self.milliseconds - milliseconds)


def _milliseconds(event: dict[str, Any], name: str) -> int | None:
    value = value_at(event, name)
    return value if type(value) is int and 0 <= value <= _LONGEST else None
