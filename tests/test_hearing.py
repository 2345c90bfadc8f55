"""Facts about which of a client's audio becomes a part of the conversation."""

import pytest

from rt_proxy.realtime.hearing import Hearing

#: Of PCM at 24 kHz, in base64.
RATE = 64.0


def hearing(milliseconds: int = 0) -> Hearing:
    """Return one that has heard so much."""
    made = Hearing(RATE)
    hear(made, milliseconds)
    return made


def hear(of: Hearing, milliseconds: int) -> None:
    """Hear so much more."""
    of.heard.note(int(milliseconds * RATE))


def test_without_voice_activity_detection() -> None:
    """All that was heard since the last commit counts, and nothing twice."""
    of = hearing(2_000)
    assert of.milliseconds == 0
    of.note_committed()
    assert of.milliseconds == 2_000
    hear(of, 500)
    of.note_committed()
    of.note_committed()
    assert of.milliseconds == 2_500


def test_a_buffer_that_was_cleared() -> None:
    """What was thrown away does not count, nor the speech in it."""
    of = hearing(60_000)
    of.note_speech({"audio_start_ms": 100, "audio_end_ms": 50_000})
    of.note_cleared()
    hear(of, 1_000)
    of.note_committed()
    assert of.milliseconds == 1_000


def test_speech() -> None:
    """With voice activity detection the silence around the speech does not count."""
    of = hearing(60_000)
    of.note_speech({"audio_start_ms": 57_000})
    hear(of, 1_500)
    of.note_speech({"audio_end_ms": 60_400})
    of.note_committed()
    assert of.milliseconds == 3_400
    hear(of, 60_000)
    of.note_speech({"audio_start_ms": 120_000})
    of.note_speech({"audio_end_ms": 121_000})
    of.note_committed()
    assert of.milliseconds == 4_400


def test_faster_than_it_is_spoken() -> None:
    """Speech that was heard before the upstream told of it counts all the same."""
    of = hearing(10_000)
    for begin, end in ((0, 1_000), (2_000, 9_000)):
        of.note_speech({"audio_start_ms": begin})
        of.note_speech({"audio_end_ms": end})
        of.note_committed()
    assert of.milliseconds == 8_000


def test_speech_that_goes_on() -> None:
    """Where it is committed in the midst of speech it counts from the beginning of that on."""
    of = hearing(60_000)
    of.note_speech({"audio_start_ms": 57_000})
    of.note_committed()
    assert of.milliseconds == 3_000


@pytest.mark.parametrize("begin", [None, -5, "7", True, 1.5])
@pytest.mark.parametrize("end", [10**12, 10**400])
def test_no_more_than_was_heard(begin: object, end: object) -> None:
    """An upstream that tells of more speech than there was audio is not believed."""
    of = hearing(2_000)
    of.note_speech({"audio_start_ms": 0})
    of.note_speech({"audio_start_ms": begin, "audio_end_ms": end})
    of.note_committed()
    assert of.milliseconds == 2_000


def test_an_end_before_the_beginning() -> None:
    """It counts as nothing, and not as less."""
    of = hearing(2_000)
    of.note_speech({"audio_start_ms": 1_500, "audio_end_ms": 500})
    of.note_committed()
    assert of.milliseconds == 0


def test_given() -> None:
    """What a response was given is not given anew to the next one."""
    of = hearing(2_000)
    of.note_committed()
    of.note_given(1_500)
    assert of.milliseconds == 500
    of.note_given(1_500)
    assert of.milliseconds == 0


@pytest.mark.parametrize("number", [10**400, -1, True, "5"])
def test_a_number_that_is_no_place(number: object) -> None:
    """What cannot be a place in the audio is not taken for one."""
    of = hearing(2_000)
    of.note_speech({"audio_start_ms": number})
    of.note_committed()
    assert of.milliseconds == 2_000
