"""What responses and transcriptions cost, in tokens, read from what an upstream reports.

Read from the ``usage`` of ``response.done`` and of
``conversation.item.input_audio_transcription.completed`` (API reference), in either dialect.
Whatever a peer put there, nothing here raises: what is no count is not believed.
"""

import math
from collections.abc import Mapping
from typing import Any

import attrs

from rt_proxy.realtime.looks import object_at

#: An upstream that claims more tokens than this for one response is not believed.
_MOST_TOKENS = 10**9
#: Nor one that claims to have transcribed more audio at once than this, in seconds: with it, and
#: with the highest price of the settings, no cost is more than a ledger can hold.
_MOST_SECONDS = 24 * 3600

_TOTALS = ("total_tokens", "input_tokens", "output_tokens")
_INPUT = ("text", "audio", "image", "cached")
_OUTPUT = ("text", "audio")
#: In this order a part of the input whose modality is not told is taken to be of it.
_MODALITIES = ("text", "audio", "image")


@attrs.frozen
class Tokens:
    """Tokens by modality and direction; each is counted once, cached ones apart."""

    text_in: int = 0
    text_cached_in: int = 0
    audio_in: int = 0
    audio_cached_in: int = 0
    image_in: int = 0
    image_cached_in: int = 0
    text_out: int = 0
    audio_out: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.text_in + other.text_in,
            self.text_cached_in + other.text_cached_in,
            self.audio_in + other.audio_in,
            self.audio_cached_in + other.audio_cached_in,
            self.image_in + other.image_in,
            self.image_cached_in + other.image_cached_in,
            self.text_out + other.text_out,
            self.audio_out + other.audio_out,
        )

    @property
    def total(self) -> int:
        """All of them."""
        return sum(attrs.astuple(self))


@attrs.frozen
class Reported:
    """What an upstream reported of one response or transcription.

    Attributes:
        tokens: What it took.
        milliseconds: How long the audio was, where that is told in place of tokens.
        is_exact: Everything was told; else a part of it is our guess.
    """

    tokens: Tokens = attrs.field(factory=Tokens)
    milliseconds: int = 0
    is_exact: bool = True


def response_tokens(usage: Mapping[str, Any], *, spoke: bool) -> Reported:
    """Return what a response took.

    Tokens whose modality is not told count as text; where no modality is told at all, as
    audio if the response spoke. A direction whose total is not told has what the whole leaves
    for it. Cached tokens whose modality is not told, as in the early Beta, are taken to be text
    first, then audio.

    Args:
        usage: The ``usage`` of the response.
        spoke: Whether audio came out of it.
    """
    total, given, made = (_count(usage, name) for name in _TOTALS)
    details = object_at(usage, "input_token_details")
    out, out_is_exact = _by_modality(
        object_at(usage, "output_token_details"),
        ("text", "audio"),
        _left(total, given) if made is None else made,
        spoke=spoke,
    )
    taken, is_exact = _by_modality(
        details,
        _MODALITIES,
        _left(total, sum(out.values())) if given is None else given,
        spoke=spoke,
    )
    cached, cached_is_exact = _cached(details, taken)
    tokens = Tokens(
        text_in=taken["text"] - cached["text"],
        text_cached_in=cached["text"],
        audio_in=taken["audio"] - cached["audio"],
        audio_cached_in=cached["audio"],
        image_in=taken["image"] - cached["image"],
        image_cached_in=cached["image"],
        text_out=out["text"],
        audio_out=out["audio"],
    )
    is_whole = None not in (total, given, made) and total == tokens.total
    return Reported(tokens, 0, is_exact and out_is_exact and cached_is_exact and is_whole)


def transcription_tokens(usage: Mapping[str, Any]) -> Reported:
    """Return what a transcription took: tokens, or the seconds of its audio."""
    kind = usage.get("type")
    if kind == "duration" or ("seconds" in usage and kind != "tokens"):
        return _duration(usage.get("seconds"))
    total, given, made = (_count(usage, name) for name in _TOTALS)
    is_told = None not in (given, made)
    if made is None:
        made = _left(total, given)
    taken, is_exact = _by_modality(
        object_at(usage, "input_token_details"),
        ("text", "audio"),
        _left(total, made or 0) if given is None else given,
        spoke=True,
    )
    tokens = Tokens(text_in=taken["text"], audio_in=taken["audio"], text_out=made or 0)
    return Reported(tokens, 0, is_exact and is_told and total in (None, tokens.total))


def _duration(seconds: object) -> Reported:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return Reported(is_exact=False)
    if not 0 <= seconds <= _MOST_SECONDS:  # NaN is not either, and a long integer is no float
        return Reported(is_exact=False)
    # The error of a float is not a millisecond.
    return Reported(milliseconds=math.ceil(seconds * 1000 - 1e-6))


def count_tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a usage object that are there and not 0.

    Their names are those of the totals, and ``input_audio_tokens`` and the like; the
    cached tokens are among the input tokens. What is no count is left out.
    """
    counts = {name: _count(usage, name) for name in _TOTALS}
    for direction, kinds in (("input", _INPUT), ("output", _OUTPUT)):
        details = object_at(usage, f"{direction}_token_details")
        for kind in kinds:
            counts[f"{direction}_{kind}_tokens"] = _count(details, f"{kind}_tokens")
    return {name: count for name, count in counts.items() if count}


def _count(holder: Mapping[str, Any], name: str) -> int | None:
    """Return a count; None: it is absent, or cannot be believed."""
    count = holder.get(name)
    return count if type(count) is int and 0 <= count <= _MOST_TOKENS else None


def _left(total: int | None, part: int | None) -> int | None:
    """Return what a part leaves of a total; None: one of them is not told."""
    return None if total is None or part is None else max(0, total - part)


def _by_modality(
    details: Mapping[str, Any], kinds: tuple[str, ...], total: int | None, *, spoke: bool
) -> tuple[dict[str, int], bool]:
    """Return the tokens of one direction by modality, and whether the usage told them all."""
    told = {kind: _count(details, f"{kind}_tokens") for kind in kinds}
    counts = {kind: count or 0 for kind, count in told.items()}
    rest = (total or 0) - sum(counts.values())
    if rest > 0:
        is_silent = all(count is None for count in told.values())
        counts["audio" if spoke and is_silent else "text"] += rest
    return counts, rest == 0


def _cached(details: Mapping[str, Any], taken: Mapping[str, int]) -> tuple[dict[str, int], bool]:
    """Return how many of the tokens taken were cached, and whether the usage told it for sure.

    More than was taken is not believed, nor that something was cached of which the usage says
    that it was not.
    """
    by_modality = object_at(details, "cached_tokens_details")
    told = {kind: _count(by_modality, f"{kind}_tokens") for kind in _MODALITIES}
    cached = {kind: min(count or 0, taken[kind]) for kind, count in told.items()}
    sure = sum(count or 0 for count in told.values())
    is_exact = sure == sum(cached.values())
    total = _count(details, "cached_tokens")
    rest = 0 if total is None else total - sure
    untold = [kind for kind, count in told.items() if count is None and taken[kind]]
    is_exact &= rest == 0 or len(untold) == 1
    for kind in untold:
        cached[kind] = min(max(rest, 0), taken[kind])
        rest -= cached[kind]
    return cached, is_exact and rest == 0
