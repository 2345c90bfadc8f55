"""Facts about the paths of fields in errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.dialects.params import param_to_beta, param_to_ga

PATHS = [
    ("session.modalities", "session.output_modalities"),
    ("session.voice", "session.audio.output.voice"),
    ("session.speed", "session.audio.output.speed"),
    ("session.input_audio_format", "session.audio.input.format"),
    ("session.output_audio_format", "session.audio.output.format"),
    ("session.input_audio_transcription", "session.audio.input.transcription"),
    ("session.input_audio_noise_reduction", "session.audio.input.noise_reduction"),
    ("session.turn_detection", "session.audio.input.turn_detection"),
    ("session.max_response_output_tokens", "session.max_output_tokens"),
    ("response.modalities", "response.output_modalities"),
    ("response.voice", "response.audio.output.voice"),
    ("response.output_audio_format", "response.audio.output.format"),
    ("response.max_response_output_tokens", "response.max_output_tokens"),
]
OTHERS = [
    "session",
    "session.type",
    "session.model",
    "session.tools[0].name",
    "session.audio",
    "session.audio.input",
    "session.temperature",
    "session.audio.input.turn_detectionx",
    "session.voices",
    "x.session.voice",
    "response.metadata",
    "item.content[0].type",
    "type",
    "",
    "\ud800",
]


@pytest.mark.parametrize(("beta", "ga"), PATHS)
def test_there_and_back(beta: str, ga: str) -> None:
    """Each field that moved has a path in both dialects."""
    assert param_to_ga(beta) == ga
    assert param_to_beta(ga) == beta


@pytest.mark.parametrize(
    ("beta", "ga"),
    [
        ("session.turn_detection.threshold", "session.audio.input.turn_detection.threshold"),
        ("session.input_audio_transcription.model", "session.audio.input.transcription.model"),
        ("session.modalities[1]", "session.output_modalities[1]"),
        ("session.turn_detection.x[0].y", "session.audio.input.turn_detection.x[0].y"),
    ],
)
def test_below_such_a_field(beta: str, ga: str) -> None:
    """What is below a field keeps its path from there."""
    assert param_to_ga(beta) == ga
    assert param_to_beta(ga) == beta


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ("session.audio.input.format.rate", "session.input_audio_format"),
        ("session.audio.output.format.type", "session.output_audio_format"),
        ("session.audio.output.voice.id", "session.voice"),
        ("response.audio.output.format.rate", "response.output_audio_format"),
        ("response.audio.output.voice.id", "response.voice"),
    ],
)
def test_below_what_is_plain_in_beta(ga: str, beta: str) -> None:
    """A Beta client sent a plain string there: that is what is at fault."""
    assert param_to_beta(ga) == beta


@pytest.mark.parametrize("param", OTHERS)
def test_other_paths(param: str) -> None:
    """A path that is the same in both dialects, or in neither, stays."""
    assert param_to_ga(param) == param
    assert param_to_beta(param) == param


@given(
    st.lists(
        st.sampled_from([part for pair in PATHS for path in pair for part in path.split(".")])
        | st.text(max_size=3),
        max_size=5,
    ).map(".".join)
)
def test_twice_is_once(param: str) -> None:
    """A path that is mapped already is not mapped again."""
    assert param_to_ga(param_to_ga(param)) == param_to_ga(param)
    assert param_to_beta(param_to_beta(param)) == param_to_beta(param)
