"""Facts about reading what a response cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.usage import count_tokens

#: As OpenAI sends it.
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


def test_all_counts() -> None:
    """Totals and modalities of both directions are told by flat names; nought is left out."""
    assert count_tokens(USAGE) == {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_text_tokens": 119,
        "input_audio_tokens": 13,
        "input_cached_tokens": 64,
        "output_text_tokens": 30,
        "output_audio_tokens": 91,
    }


@pytest.mark.parametrize("wrong", [None, True, 1.0, "7", [], {}, -1, 0, 1 << 53, 10**4000])
def test_what_is_no_count(wrong: object) -> None:
    """A count of the wrong kind, or beyond belief, is left out; those beside it are told."""
    usage = {
        "total_tokens": wrong,
        "input_tokens": 5,
        "output_token_details": {"text_tokens": wrong, "audio_tokens": 2},
    }
    assert count_tokens(usage) == {"input_tokens": 5, "output_audio_tokens": 2}


@given(
    st.dictionaries(
        st.sampled_from(["total_tokens", "input_token_details", "output_token_details", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: st.dictionaries(st.sampled_from(["text_tokens", "audio_tokens"]), inner),
        ),
    )
)
def test_never_raises(usage: dict[str, object]) -> None:
    """Whatever stands there, the counts are whole numbers above nought."""
    assert all(type(count) is int and count > 0 for count in count_tokens(usage).values())
