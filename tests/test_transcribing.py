"""Facts about which model transcribes an item."""

from typing import Any

import pytest

from rt_proxy.realtime.transcribing import Transcriptions


def ga(transcription: object) -> dict[str, Any]:
    """Return a session as a GA server shows it."""
    return {"type": "realtime", "audio": {"input": {"transcription": transcription}}}


def beta(transcription: object) -> dict[str, Any]:
    """Return a session as a Beta server shows it."""
    return {"input_audio_transcription": transcription}


@pytest.mark.parametrize("shape", [ga, beta])
def test_what_is_in_force(shape: Any) -> None:
    """An item is transcribed by what the session had at its commit."""
    followed = Transcriptions()
    followed.note_committed("early")
    followed.note_session(shape({"model": "one", "language": "en"}))
    followed.note_committed("a")
    followed.note_session(shape({"model": "two"}))
    followed.note_committed("b")
    followed.note_session(shape(None))
    assert (followed.model_of("a"), followed.model_of("b")) == ("one", "two")
    assert followed.model_of("early") is None


def test_an_item_that_is_not_remembered() -> None:
    """Where the commit was not seen, what is in force now is as good as is known."""
    followed = Transcriptions()
    assert followed.model_of("a") is None
    followed.note_session(ga({"model": "one"}))
    assert followed.model_of("a") == "one"
    assert followed.model_of(None) == "one"


def test_is_forgotten() -> None:
    """When a transcription has ended its item is remembered no longer."""
    followed = Transcriptions()
    followed.note_session(ga({"model": "one"}))
    followed.note_committed("a")
    followed.note_session(ga(None))
    assert followed.model_of("a") == "one"
    for _ in range(2):
        followed.note_ended("a")
        assert followed.model_of("a") is None


@pytest.mark.parametrize(
    "session", [{}, {"audio": None}, {"audio": {"input": {}}}, {"audio": {"output": {}}}]
)
def test_a_session_that_does_not_say(session: dict[str, Any]) -> None:
    """What is not mentioned has not changed."""
    followed = Transcriptions()
    followed.note_session(beta({"model": "one"}))
    followed.note_session(session)
    assert followed.model_of("a") == "one"


@pytest.mark.parametrize("shape", [ga, beta])
@pytest.mark.parametrize(
    "transcription",
    [None, {}, 5, "whisper-1", {"model": None}, {"model": ""}, {"model": "m" * 257}],
)
def test_no_name(shape: Any, transcription: object) -> None:
    """Without a model, or with one whose name nobody would believe, none is known."""
    followed = Transcriptions()
    followed.note_session(shape({"model": "one"}))
    followed.note_session(shape(transcription))
    assert followed.model_of("a") is None


def test_takes_no_memory() -> None:
    """Of endless items the latest are remembered."""
    followed = Transcriptions()
    followed.note_session(ga({"model": "one"}))
    for number in range(5_000):
        followed.note_committed(str(number))
    followed.note_committed("i" * 10_000)
    followed.note_committed(None)
    followed.note_session(ga(None))
    known = [number for number in range(5_000) if followed.model_of(str(number))]
    assert known == [*range(5_000 - 1_024, 5_000)]
    assert followed.model_of("i" * 10_000) is None
