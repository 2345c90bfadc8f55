"""What models cost at their provider, for everybody: the built-in table.

Figures only, as the models' own pages had them. How a price is found is in ``prices.py``; what
an operator pays instead stands in the settings, and never here.
"""

from decimal import Decimal
from types import MappingProxyType
from typing import Any

from rt_proxy.settings import PriceSettings, PriceTable

#: When the figures were taken.
PUBLIC_PRICES_DATE = "November 2026"
#: Where each model has its page.
PUBLIC_PRICES_SOURCE = "https://developers.openai.com/api/docs/models"

#: What stands in a row, in this order; ``-``: there is none.
_COLUMNS = (
    "text_in",
    "text_cached_in",
    "text_out",
    "audio_in",
    "audio_cached_in",
    "audio_out",
    "image_in",
    "image_cached_in",
)

#: USD per million tokens.
_SPEAKING = {
    "gpt-realtime-2.1": "4.00 0.40 24.00 32.00 0.40 64.00 5.00 0.50",
    "gpt-realtime-2.1-mini": "0.60 0.06 2.40 10.00 0.30 20.00 0.80 0.08",
    "gpt-realtime-2": "4.00 0.40 24.00 32.00 0.40 64.00 5.00 0.50",
    "gpt-realtime-1.5": "4.00 0.40 16.00 32.00 0.40 64.00 5.00 0.50",
    "gpt-realtime": "4.00 0.40 16.00 32.00 0.40 64.00 5.00 0.50",
    "gpt-realtime-mini": "0.60 0.06 2.40 10.00 0.30 20.00 0.80 0.08",
    "gpt-4o-realtime-preview": "5.00 2.50 20.00 40.00 2.50 80.00 - -",
    # The first snapshot had other prices, of which no page is left: not known, rather than wrong.
    "gpt-4o-realtime-preview-2024-10-01": "- - - - - - - -",
    "gpt-4o-mini-realtime-preview": "0.60 0.30 2.40 10.00 0.30 20.00 - -",
    # Their pages have one price for what goes in, without a word on text and audio.
    "gpt-4o-transcribe": "2.50 - 10.00 2.50 - - - -",
    "gpt-4o-mini-transcribe": "1.25 - 5.00 1.25 - - - -",
}

#: USD per minute of what goes in.
_BY_THE_MINUTE = {
    "gpt-live-transcribe": "0.017",
    "gpt-realtime-whisper": "0.017",
    "gpt-transcribe": "0.0045",
    "whisper-1": "0.006",
    "gpt-realtime-translate": "0.034",
}


def _price(row: str) -> PriceSettings:
    cells = zip(_COLUMNS, row.split(), strict=True)
    amounts: dict[str, Any] = {name: Decimal(cell) for name, cell in cells if cell != "-"}
    return PriceSettings(**amounts)


#: The names hold for their dated snapshots and ``-latest`` too, and for no other model.
PUBLIC_PRICES: PriceTable = MappingProxyType(
    {
        **{model: (_price(row),) for model, row in _SPEAKING.items()},
        **{
            model: (PriceSettings(per_minute_in=Decimal(price)),)
            for model, price in _BY_THE_MINUTE.items()
        },
    }
)
