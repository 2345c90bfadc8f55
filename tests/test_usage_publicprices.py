"""Facts about the built-in table of prices."""

from decimal import Decimal

import pytest

from rt_proxy.settings import ChannelSettings, PriceSettings, Settings
from rt_proxy.settingsrules import check
from rt_proxy.usage.publicprices import PUBLIC_PRICES


def test_every_name_has_one_price() -> None:
    """The figures are those of one day: each name has one price, which holds always."""
    assert [prices for prices in PUBLIC_PRICES.values() if len(prices) != 1] == []
    assert {price.valid_from for [price] in PUBLIC_PRICES.values()} == {None}


def test_is_as_an_operator_might_write_it() -> None:
    """The table keeps the rules that hold for the prices of the settings."""
    channel = ChannelSettings("one", "simulator", ("*",))  # type: ignore[arg-type]
    assert check(Settings((channel,), prices=PUBLIC_PRICES)) == []


@pytest.mark.parametrize("model", PUBLIC_PRICES)
def test_what_is_cached_is_cheaper(model: str) -> None:
    """No figure is in the wrong column: cached is at most as dear, and what comes out dearer."""
    [price] = PUBLIC_PRICES[model]
    for kind in ("text", "audio", "image"):
        whole, cached = getattr(price, f"{kind}_in"), getattr(price, f"{kind}_cached_in")
        assert cached is None or cached < whole
        out = getattr(price, f"{kind}_out", None)
        assert out is None or out > whole


def test_a_model_has_tokens_or_minutes() -> None:
    """A model is paid by tokens or by minutes; and one that speaks takes text and audio."""
    for [price] in PUBLIC_PRICES.values():
        is_by_tokens = price.text_out is not None
        assert not (is_by_tokens and price.per_minute_in is not None)
        if price.audio_out is not None:
            needed = (price.text_in, price.text_cached_in, price.audio_in, price.audio_cached_in)
            assert None not in needed
            assert is_by_tokens


@pytest.mark.parametrize(
    ("model", "figures"),
    [
        ("gpt-realtime-2.1", "4.00 0.40 24.00 32.00 0.40 64.00 5.00 0.50 -"),
        ("gpt-realtime-2.1-mini", "0.60 0.06 2.40 10.00 0.30 20.00 0.80 0.08 -"),
        ("gpt-realtime-2", "4.00 0.40 24.00 32.00 0.40 64.00 5.00 0.50 -"),
        ("gpt-realtime-1.5", "4.00 0.40 16.00 32.00 0.40 64.00 5.00 0.50 -"),
        ("gpt-realtime", "4.00 0.40 16.00 32.00 0.40 64.00 5.00 0.50 -"),
        ("gpt-realtime-mini", "0.60 0.06 2.40 10.00 0.30 20.00 0.80 0.08 -"),
        ("gpt-4o-realtime-preview", "5.00 2.50 20.00 40.00 2.50 80.00 - - -"),
        ("gpt-4o-mini-realtime-preview", "0.60 0.30 2.40 10.00 0.30 20.00 - - -"),
        ("gpt-4o-transcribe", "2.50 - 10.00 2.50 - - - - -"),
        ("gpt-4o-mini-transcribe", "1.25 - 5.00 1.25 - - - - -"),
        ("gpt-live-transcribe", "- - - - - - - - 0.017"),
        ("gpt-realtime-whisper", "- - - - - - - - 0.017"),
        ("gpt-transcribe", "- - - - - - - - 0.0045"),
        ("whisper-1", "- - - - - - - - 0.006"),
        ("gpt-realtime-translate", "- - - - - - - - 0.034"),
    ],
)
def test_figures(model: str, figures: str) -> None:
    """The figures are those of the models' pages, each where it belongs."""
    [price] = PUBLIC_PRICES[model]
    columns = [
        price.text_in,
        price.text_cached_in,
        price.text_out,
        price.audio_in,
        price.audio_cached_in,
        price.audio_out,
        price.image_in,
        price.image_cached_in,
        price.per_minute_in,
    ]
    assert columns == [None if cell == "-" else Decimal(cell) for cell in figures.split()]


def test_what_is_not_known_is_left_out() -> None:
    """A model without a public figure has no price, and the first preview none that is wrong."""
    assert "gpt-live-1" not in PUBLIC_PRICES
    assert PUBLIC_PRICES["gpt-4o-realtime-preview-2024-10-01"] == (PriceSettings(),)
