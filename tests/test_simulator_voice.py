"""The synthetic voice."""

import pytest

from rt_proxy.simulator.audio import FORMATS, PCM, AudioFormat
from rt_proxy.simulator.voice import speak


@pytest.mark.parametrize("audio_format", FORMATS.values())
def test_a_text_can_be_heard(audio_format: AudioFormat) -> None:
    """Speech is loud enough to be taken for speech, and not clipped, in every format."""
    audio = speak("Hello there", audio_format, voice="alloy")
    assert 0.05 < audio_format.loudness(audio) < 0.5
    assert max(map(abs, audio_format.decode(audio))) < 20000


def test_the_length_follows_the_text() -> None:
    """Twice the text is twice as long; nothing is nothing; half the speed is twice as long."""
    once = len(speak("hello", PCM, voice="ash"))
    assert len(speak("hellohello", PCM, voice="ash")) == 2 * once
    assert len(speak("hello", PCM, voice="ash", speed=0.5)) == 2 * once
    assert speak("", PCM, voice="ash") == b""
    assert 200 < PCM.milliseconds(once) < 500


def test_voices_differ() -> None:
    """Two voices do not sound the same."""
    assert speak("hello", PCM, voice="alloy") != speak("hello", PCM, voice="ash")


@pytest.mark.parametrize("text", ["\0", "\ud800", "日本語", "\U0010ffff", "İ"])
def test_any_text_can_be_spoken(text: str) -> None:
    """Characters of every script make some sound."""
    assert speak(text, PCM, voice="\ud800".encode("utf-8", "replace").decode())
