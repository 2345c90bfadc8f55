"""A voice that can be heard: a melody of short vowels that follows the text.

No speech, but its length, its pauses and its loudness are those of speech, so
it is good for a look at buffers, barge-in and voice activity detection.
"""

import functools
import math

from rt_proxy.simulator.audio import AudioFormat

#: Steps of a pentatonic scale, in semitones above the voice's own pitch.
_SCALE = (0, 2, 4, 7, 9)
#: The strength of each harmonic, by vowel.
_VOWELS = {
    "a": (1.0, 0.8, 0.6, 0.35, 0.2),
    "e": (1.0, 0.5, 0.3, 0.4, 0.3),
    "i": (1.0, 0.25, 0.1, 0.1, 0.35),
    "o": (1.0, 0.7, 0.25, 0.1, 0.0),
    "u": (1.0, 0.35, 0.1, 0.0, 0.0),
}
_PAUSES = {" ": 60, "\n": 200, ",": 120, ";": 160, ":": 160, ".": 220, "!": 220, "?": 220}
_VOWEL_MS = 90
_CONSONANT_MS = 50
_LOUD = 12000


def speak(text: str, audio_format: AudioFormat, *, voice: str, speed: float = 1.0) -> bytes:
    """Return ``text`` as sound.

    Args:
        text: What is said; about 70 ms a letter.
        audio_format: How the sound is written.
        voice: Its name sets the pitch.
        speed: 2 is twice as fast.
    """
    pitch = 110 + sum(voice.encode()) % 7 * 15
    return b"".join(_sound(letter, audio_format, pitch, speed) for letter in text.lower())


def _sound(letter: str, audio_format: AudioFormat, pitch: int, speed: float) -> bytes:
    if letter in _PAUSES:
        return _tone(audio_format, 0, "u", round(_PAUSES[letter] / speed))
    semitones = _SCALE[ord(letter) % len(_SCALE)]
    hertz = round(pitch * 2 ** (semitones / 12))
    if letter in _VOWELS:
        return _tone(audio_format, hertz, letter, round(_VOWEL_MS / speed))
    return _tone(audio_format, hertz, "u", round(_CONSONANT_MS / speed))


@functools.lru_cache(maxsize=512)
def _tone(audio_format: AudioFormat, hertz: int, vowel: str, milliseconds: int) -> bytes:
    """Return one vowel that swells and fades, so that nothing clicks; 0 hertz is silence."""
    count = audio_format.rate * milliseconds // 1000
    if not hertz:
        return audio_format.encode([0] * count)
    harmonics = _VOWELS[vowel]
    scale = _LOUD / sum(harmonics)
    step = 2 * math.pi * hertz / audio_format.rate
    samples = [
        round(
            scale
            * math.sin(math.pi * i / count)
            * sum(strength * math.sin(step * i * (n + 1)) for n, strength in enumerate(harmonics))
        )
        for i in range(count)
    ]
    return audio_format.encode(samples)
