"""Audio formats: bytes to samples and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.simulator.audio import FORMATS, PCM, PCMA, PCMU, AudioFormat

_SAMPLES = st.integers(-32768, 32767)


@given(st.lists(_SAMPLES))
def test_pcm_is_exact(samples: list[int]) -> None:
    """pcm16 is little-endian and loses nothing; half a sample at the end is left out."""
    data = PCM.encode(samples)
    assert data == b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    assert list(PCM.decode(data + b"\1")) == samples


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_g711_is_near(audio_format: AudioFormat) -> None:
    """G.711 keeps sign and size within half a step: a 32nd of the value, with the bias of u-law."""
    samples = range(-32768, 32768)
    for sample, decoded in zip(
        samples, audio_format.decode(audio_format.encode(samples)), strict=True
    ):
        clipped = max(-32124, min(32124, sample))
        assert abs(decoded - clipped) <= max(16, (abs(sample) + 132) / 32), sample


@pytest.mark.parametrize("audio_format", [PCMU, PCMA])
def test_g711_codes_are_stable(audio_format: AudioFormat) -> None:
    """Decoding and encoding a code again gives a code that sounds the same."""
    codes = bytes(range(256))
    samples = audio_format.decode(codes)
    assert audio_format.decode(audio_format.encode(samples)) == samples


@pytest.mark.parametrize(
    ("audio_format", "sample", "code"),
    [
        (PCMU, 0, 0xFF),
        (PCMU, 32767, 0x80),
        (PCMU, -32768, 0x00),
        (PCMU, 1000, 0xCE),
        (PCMA, 0, 0xD5),
        (PCMA, 32767, 0xAA),
        (PCMA, -32768, 0x2A),
        (PCMA, 1000, 0xFA),
    ],
)
def test_g711_matches_the_standard(audio_format: AudioFormat, sample: int, code: int) -> None:
    """Known values of ITU-T G.711 have their codes."""
    assert audio_format.encode([sample]) == bytes([code])


@pytest.mark.parametrize("audio_format", FORMATS.values())
def test_a_second_is_a_second(audio_format: AudioFormat) -> None:
    """The size of a second in each format follows from its rate."""
    second = audio_format.encode([0] * audio_format.rate)
    assert audio_format.milliseconds(len(second)) == 1000


@pytest.mark.parametrize("audio_format", FORMATS.values())
def test_loudness_is_the_root_mean_square(audio_format: AudioFormat) -> None:
    """A sine of half scale has 0.35, silence has nothing, and nothing has nothing."""
    step = 2 * math.pi * 440 / audio_format.rate
    sine = [round(16384 * math.sin(step * i)) for i in range(audio_format.rate // 50 * 10)]
    assert audio_format.loudness(audio_format.encode(sine)) == pytest.approx(0.3536, rel=0.05)
    assert audio_format.loudness(audio_format.encode([0] * 480)) < 0.001
    assert audio_format.loudness(b"") == 0
