"""The input audio buffer, and server voice activity detection on its energy.

Bytes in, marks out: where speech started and where it stopped, in milliseconds
of all audio that was ever appended in the session. Bounded, and without a clock.
"""

from collections.abc import Iterator
from typing import Any

import attrs

from rt_proxy.simulator.audio import AudioFormat
from rt_proxy.simulator.events import EventRefused

#: All audio that waits in the buffer, in bytes: nearly six minutes of pcm16.
MOST_BUFFERED = 16 * 1024 * 1024
#: Silence that is kept while nobody speaks.
_QUIET_MS = 10_000
_WINDOW_MS = 20
#: Sound that is shorter than this is a click, not speech.
_SPEECH_MS = 60
#: The API's threshold of 0..1 is a probability; speech is this much quieter than full scale.
_ENERGY_PER_THRESHOLD = 0.05
_LEAST_ENERGY = 0.001
_SEMANTIC_SILENCE_MS = {"low": 1500, "medium": 800, "auto": 800, "high": 400}
_LEAST_COMMIT_MS = 100


@attrs.frozen
class SpeechStarted:
    """Speech began, at this millisecond of the session's audio, padding included."""

    audio_start_ms: int


@attrs.frozen
class SpeechStopped:
    """Speech ended, at this millisecond of the session's audio.

    Attributes:
        audio_end_ms: Where, the silence that showed it included.
        audio: The whole turn, padding and silence included.
    """

    audio_end_ms: int
    audio: bytes = attrs.field(repr=False)


class Detector:
    """Hears window by window whether somebody speaks; changes with every window."""

    def __init__(self, turn_detection: dict[str, Any]) -> None:
        if turn_detection["type"] == "semantic_vad":
            threshold, self.prefix_ms = 0.5, 300
            self._silence_ms = _SEMANTIC_SILENCE_MS[turn_detection["eagerness"]]
        else:
            threshold = turn_detection["threshold"]
            self.prefix_ms = turn_detection["prefix_padding_ms"]
            self._silence_ms = turn_detection["silence_duration_ms"]
        self._energy = max(_LEAST_ENERGY, threshold * _ENERGY_PER_THRESHOLD)
        self._run_ms = 0
        self.speaking = False

    def hear(self, loudness: float) -> bool | None:
        """Take one window; True: speech began, False: it ended, None: nothing new."""
        loud = loudness >= self._energy
        self._run_ms = self._run_ms + _WINDOW_MS if loud != self.speaking else 0
        needed = max(_WINDOW_MS, self._silence_ms) if self.speaking else _SPEECH_MS
        if self._run_ms < needed:
            return None
        self._run_ms = 0
        self.speaking = loud
        return loud


class InputAudio:
    """The input audio buffer; changes with every append."""

    def __init__(self, audio_format: AudioFormat, turn_detection: dict[str, Any] | None) -> None:
        self._format = audio_format
        self._turn_detection = turn_detection
        self._detector = Detector(turn_detection) if turn_detection else None
        self._audio = bytearray()
        self._heard = 0
        self._start_ms = 0

    @property
    def format(self) -> AudioFormat:
        """How the audio is written."""
        return self._format

    def configure(self, audio_format: AudioFormat, turn_detection: dict[str, Any] | None) -> bool:
        """Take up new settings and tell whether they differ; a new format empties the buffer."""
        if (audio_format, turn_detection) == (self._format, self._turn_detection):
            return False
        if audio_format != self._format:
            self.clear()
        self._format = audio_format
        self._turn_detection = turn_detection
        self._detector = Detector(turn_detection) if turn_detection else None
        return True

    def append(self, data: bytes) -> Iterator[SpeechStarted | SpeechStopped]:
        """Add audio, and find the turns in it; a turn that ended leaves the buffer.

        Raises:
            EventRefused: The buffer is full; nothing was added.
        """
        if len(self._audio) + len(data) > MOST_BUFFERED:
            raise EventRefused(
                "input_audio_buffer_full",
                f"The input audio buffer holds at most {MOST_BUFFERED} bytes: commit or clear it.",
                "audio",
            )
        self._audio += data
        window = _WINDOW_MS * self._format.bytes_per_ms
        while self._detector is not None and self._heard + window <= len(self._audio):
            loudness = self._format.loudness(bytes(self._audio[self._heard : self._heard + window]))
            self._heard += window
            speaking = self._detector.hear(loudness)
            if speaking is not None:
                yield self._started(self._detector) if speaking else self._stopped()
            elif not self._detector.speaking:
                self._forget(self._heard - _QUIET_MS * self._format.bytes_per_ms)

    def commit(self) -> bytes:
        """Take all audio out of the buffer.

        Raises:
            EventRefused: There is less than 100 ms of it.
        """
        milliseconds = len(self._audio) / self._format.bytes_per_ms
        if milliseconds < _LEAST_COMMIT_MS:
            raise EventRefused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {_LEAST_COMMIT_MS}ms of audio, "
                f"but buffer only has {milliseconds:.2f}ms of audio.",
            )
        audio = bytes(self._audio)
        self.clear()
        return audio

    def clear(self) -> None:
        """Throw the audio away, and begin to listen anew."""
        self._start_ms += -(-len(self._audio) // self._format.bytes_per_ms)
        self._audio.clear()
        self._heard = 0
        if self._turn_detection is not None:
            self._detector = Detector(self._turn_detection)

    def _started(self, detector: Detector) -> SpeechStarted:
        before = (_SPEECH_MS + detector.prefix_ms) * self._format.bytes_per_ms
        self._forget(self._heard - before)
        return SpeechStarted(self._start_ms)

    def _stopped(self) -> SpeechStopped:
        audio = bytes(self._audio[: self._heard])
        self._forget(self._heard)
        return SpeechStopped(self._start_ms, audio)

    def _forget(self, size: int) -> None:
        """Drop the oldest audio; ``size`` is a whole number of milliseconds."""
        if size > 0:
            del self._audio[:size]
            self._heard -= size
            self._start_ms += size // self._format.bytes_per_ms
