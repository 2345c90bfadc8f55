"""The input audio buffer and voice activity detection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.simulator import vad
from rt_proxy.simulator.audio import FORMATS, PCM, PCMU, AudioFormat
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.vad import InputAudio, SpeechStarted, SpeechStopped

_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
}


def _silence(audio_format: AudioFormat, milliseconds: int) -> bytes:
    return audio_format.encode([0] * (audio_format.rate * milliseconds // 1000))


def _noise(audio_format: AudioFormat, milliseconds: int) -> bytes:
    return audio_format.encode([8000, -8000] * (audio_format.rate * milliseconds // 2000))


@pytest.mark.parametrize("audio_format", FORMATS.values())
def test_a_turn_is_found_with_its_times(audio_format: AudioFormat) -> None:
    """Start and stop are told in session time, with the padding and the silence included."""
    heard = InputAudio(audio_format, _VAD)
    audio = _silence(audio_format, 1000) + _noise(audio_format, 500) + _silence(audio_format, 1000)
    started, stopped = heard.append(audio)
    assert started == SpeechStarted(700)
    assert isinstance(stopped, SpeechStopped)
    assert stopped.audio_end_ms == 1700
    assert audio_format.milliseconds(len(stopped.audio)) == 1000


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_pieces_of_any_size_make_the_same_turns(sizes: list[int]) -> None:
    """How the audio was cut into appends changes nothing."""
    audio = _silence(PCMU, 500) + _noise(PCMU, 300) + _silence(PCMU, 400) + _noise(PCMU, 300)
    whole = list(InputAudio(PCMU, _VAD).append(audio))
    heard, marks, place = InputAudio(PCMU, _VAD), [], 0
    for size in [*sizes, len(audio)]:
        marks += heard.append(audio[place : place + size])
        place += size
    assert marks == whole
    assert len(whole) == 3


def test_the_padding_does_not_reach_into_the_turn_before() -> None:
    """No audio is part of two turns, and the session's time goes on."""
    heard = InputAudio(PCM, {**_VAD, "prefix_padding_ms": 1000})
    marks = list(heard.append((_noise(PCM, 300) + _silence(PCM, 240)) * 2))
    assert [type(mark) for mark in marks] == [SpeechStarted, SpeechStopped] * 2
    assert marks[0] == SpeechStarted(0)
    assert marks[2] == SpeechStarted(500)


@pytest.mark.parametrize("loud_ms", [20, 40])
def test_a_click_is_no_speech(loud_ms: int) -> None:
    """Less than 60 ms of sound starts no turn."""
    heard = InputAudio(PCM, _VAD)
    assert not list(heard.append(_noise(PCM, loud_ms) + _silence(PCM, 500)))


def test_a_short_pause_is_part_of_the_turn() -> None:
    """Silence shorter than silence_duration_ms does not end a turn."""
    heard = InputAudio(PCM, {**_VAD, "silence_duration_ms": 500})
    marks = list(heard.append(_noise(PCM, 200) + _silence(PCM, 480) + _noise(PCM, 200)))
    assert [type(mark) for mark in marks] == [SpeechStarted]
    assert [type(mark) for mark in heard.append(_silence(PCM, 500))] == [SpeechStopped]


def test_the_threshold_counts() -> None:
    """Sound that starts a turn at a low threshold starts none at a high one."""
    faint = PCM.encode([1000, -1000] * 12000)
    assert list(InputAudio(PCM, {**_VAD, "threshold": 0.3}).append(faint))
    assert not list(InputAudio(PCM, {**_VAD, "threshold": 0.9}).append(faint))
    assert not list(InputAudio(PCM, {**_VAD, "threshold": 0}).append(_silence(PCM, 500)))


def test_semantic_turns_wait_longer() -> None:
    """Semantic detection ends a turn too, after a pause that its eagerness sets."""
    settings = {"type": "semantic_vad", "eagerness": "high"}
    heard = InputAudio(PCM, settings)
    marks = list(heard.append(_noise(PCM, 200) + _silence(PCM, 400)))
    assert [type(mark) for mark in marks] == [SpeechStarted, SpeechStopped]


def test_without_detection_only_a_commit_ends_a_turn() -> None:
    """A commit gives all that was appended, once."""
    heard = InputAudio(PCM, None)
    assert not list(heard.append(_noise(PCM, 500)))
    assert heard.commit() == _noise(PCM, 500)
    with pytest.raises(EventRefused):
        heard.commit()


def test_less_than_a_tenth_of_a_second_cannot_be_committed() -> None:
    """The refusal has the documented code and says how much there is."""
    heard = InputAudio(PCM, None)
    list(heard.append(_silence(PCM, 99)))
    with pytest.raises(EventRefused) as caught:
        heard.commit()
    assert caught.value.code == "input_audio_buffer_commit_empty"
    assert "99.00ms" in caught.value.message
    list(heard.append(_silence(PCM, 1)))
    assert len(heard.commit()) == 4800


def test_a_clear_forgets_the_audio_but_not_the_time() -> None:
    """After a clear the times go on where they were."""
    heard = InputAudio(PCM, _VAD)
    list(heard.append(_noise(PCM, 1000)))
    heard.clear()
    assert list(heard.append(_noise(PCM, 100))) == [SpeechStarted(1000)]


def test_the_buffer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full buffer refuses more and keeps what it has."""
    monkeypatch.setattr(vad, "MOST_BUFFERED", 10_000)
    heard = InputAudio(PCM, None)
    list(heard.append(bytes(9_000)))
    with pytest.raises(EventRefused) as caught:
        list(heard.append(bytes(2_000)))
    assert caught.value.code == "input_audio_buffer_full"
    assert len(heard.commit()) == 9_000


def test_silence_never_fills_the_buffer() -> None:
    """While detection hears silence, only the last seconds of it are kept."""
    heard = InputAudio(PCMU, _VAD)
    for _ in range(30):
        list(heard.append(_silence(PCMU, 1000)))
    assert PCMU.milliseconds(len(heard.commit())) == 10_000


def test_another_format_empties_the_buffer() -> None:
    """Bytes of two formats never mix; equal settings change nothing."""
    heard = InputAudio(PCM, None)
    list(heard.append(_silence(PCM, 500)))
    assert not heard.configure(PCM, None)
    assert heard.configure(PCM, _VAD)
    assert heard.configure(PCMU, _VAD)
    with pytest.raises(EventRefused):
        heard.commit()
