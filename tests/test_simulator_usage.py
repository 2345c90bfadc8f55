"""Usage that adds up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.items import Item, item_fields, item_from, spoken_item
from rt_proxy.simulator.usage import (
    PromptCache,
    Tokens,
    item_tokens,
    response_usage,
    transcription_usage,
)

_COUNTS = st.builds(Tokens, st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))


def _user(*parts: dict[str, Any]) -> Item:
    fields = {"type": "message", "role": "user", "content": list(parts)}
    return item_from(item_fields(fields, "item"), PCM)


@given(_COUNTS, _COUNTS, _COUNTS)
def test_the_sums_are_right(cached: Tokens, fresh: Tokens, output: Tokens) -> None:
    """Totals are the sums of their parts, and the cached part is within the whole."""
    usage = response_usage(cached + fresh, cached, output)
    details = usage["input_token_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    kinds = ("text_tokens", "audio_tokens", "image_tokens")
    assert usage["input_tokens"] == sum(details[kind] for kind in kinds)
    assert details["cached_tokens"] == sum(details["cached_tokens_details"].values())
    assert all(details["cached_tokens_details"][kind] <= details[kind] for kind in kinds)


def test_items_cost_by_modality() -> None:
    """A user's audio is a token per 100 ms, an assistant's per 50 ms, text four letters."""
    assert item_tokens(_user({"type": "input_text", "text": "12345678"})) == Tokens(text=2)
    assert item_tokens(spoken_item("i", bytes(48 * 1000), PCM)) == Tokens(audio=10)
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    assert item_tokens(_user(image)).image > 0
    spoken = spoken_item("i", bytes(48 * 1000), PCM)
    spoken.fields["role"] = "assistant"
    assert item_tokens(spoken) == Tokens(audio=20)


def test_what_was_read_before_is_cached() -> None:
    """The second reading has the first one in the cache; one alongside leaves no trace."""
    cache = PromptCache()
    first, second = (_user({"type": "input_text", "text": "x" * 40}) for _ in range(2))
    assert cache.read("abcd", [first]) == (Tokens(11), Tokens(0))
    assert cache.read("abcd", [second], remember=False) == (Tokens(11), Tokens(1))
    assert cache.read("abcd", [first, second]) == (Tokens(21), Tokens(11))
    assert cache.read("other", [first, second])[1] == Tokens(20)


@pytest.mark.parametrize("model", ["whisper-1", "gpt-live-transcribe"])
def test_some_transcriptions_are_billed_by_the_second(model: str) -> None:
    """Models with a price per minute have the duration form."""
    assert transcription_usage(model, 3200, "x") == {"type": "duration", "seconds": 3.2}


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", None])
def test_other_transcriptions_are_billed_by_tokens(model: str | None) -> None:
    """The token form adds up and has the details that clients look for."""
    usage = transcription_usage(model, 1650, "12345678")
    assert usage == {
        "type": "tokens",
        "total_tokens": 19,
        "input_tokens": 17,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
        "output_tokens": 2,
    }
