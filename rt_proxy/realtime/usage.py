"""What a response cost, as plain counts by direction and modality.

Read from the ``usage`` of ``response.done`` (API reference), in either dialect.
"""

from collections.abc import Mapping
from typing import Any

#: An upstream that claims more tokens than this for a response is not believed.
_MOST_TOKENS = 1 << 53

_TOTALS = ("total_tokens", "input_tokens", "output_tokens")
_INPUT = ("text", "audio", "image", "cached")
_OUTPUT = ("text", "audio")


def count_tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a usage object that are there and not 0.

    Their names are those of the totals, and ``input_audio_tokens`` and the like; the
    cached tokens are among the input tokens. What is no count is left out.
    """
    counts = {name: usage.get(name) for name in _TOTALS}
    for direction, kinds in (("input", _INPUT), ("output", _OUTPUT)):
        details = usage.get(f"{direction}_token_details")
        if isinstance(details, Mapping):
            for kind in kinds:
                counts[f"{direction}_{kind}_tokens"] = details.get(f"{kind}_tokens")
    return {
        name: count
        for name, count in counts.items()
        if type(count) is int and 0 < count < _MOST_TOKENS
    }
