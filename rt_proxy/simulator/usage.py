"""Usage that adds up: tokens by modality, estimated as the API counts them.

Text is four characters a token; a user's audio is a token per 100 ms and an
assistant's one per 50 ms (API guide, managing costs); an image is a flat sum.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from rt_proxy.simulator.items import Item

_IMAGE_TOKENS = 256
#: Transcription models that are billed by the minute; the others by tokens.
_BY_DURATION = ("whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper")


@attrs.frozen
class Tokens:
    """Tokens of each modality."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.text + other.text, self.audio + other.audio, self.image + other.image)

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.audio + self.image


def text_tokens(characters: int) -> int:
    """Return the tokens of a text of this length."""
    return -(-characters // 4)


def speech_tokens(milliseconds: int) -> int:
    """Return the tokens of an assistant's audio."""
    return -(-milliseconds // 50)


def item_tokens(item: Item) -> Tokens:
    """Return what an item costs as input."""
    per_token = 50 if item.fields.get("role") == "assistant" else 100
    images = sum(part["type"] == "input_image" for part in item.parts)
    return Tokens(
        text_tokens(len(_written(item))),
        sum(-(-sound.milliseconds // per_token) for sound in item.sounds.values()),
        images * _IMAGE_TOKENS,
    )


def response_usage(given: Tokens, cached: Tokens, output: Tokens) -> dict[str, Any]:
    """Return the ``usage`` of a response; ``cached`` is a part of ``given``."""
    return {
        "total_tokens": given.total + output.total,
        "input_tokens": given.total,
        "output_tokens": output.total,
        "input_token_details": {
            **_details(given),
            "cached_tokens": cached.total,
            "cached_tokens_details": _details(cached),
        },
        "output_token_details": {"text_tokens": output.text, "audio_tokens": output.audio},
    }


def transcription_usage(model: str | None, milliseconds: int, transcript: str) -> dict[str, Any]:
    """Return the ``usage`` of a transcription, in the form that its model is billed in."""
    if model in _BY_DURATION:
        return {"type": "duration", "seconds": milliseconds / 1000}
    heard = -(-milliseconds // 100)
    written = text_tokens(len(transcript))
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
    }


class PromptCache:
    """What the model read for the last response, so that the next one costs less."""

    def __init__(self) -> None:
        self._read: frozenset[str] = frozenset()

    def read(
        self, instructions: str, items: Iterable[Item], *, remember: bool = True
    ) -> tuple[Tokens, Tokens]:
        """Return the tokens of all this, and of what of it was read before.

        Args:
            instructions: Instructions and tools, as text.
            items: The context.
            remember: The next reading finds this one in the cache.
        """
        # The same item may be referred to again and again.
        weights = {item.id: item_tokens(item) for item in {one.id: one for one in items}.values()}
        # No item id is this long, so the instructions cannot be taken for an item.
        weights["instructions " + instructions] = Tokens(text_tokens(len(instructions)))
        given = sum(weights.values(), Tokens())
        cached = sum((tokens for key, tokens in weights.items() if key in self._read), Tokens())
        if remember:
            self._read = frozenset(weights)
        return given, cached


def _details(tokens: Tokens) -> dict[str, int]:
    return {
        "text_tokens": tokens.text,
        "audio_tokens": tokens.audio,
        "image_tokens": tokens.image,
    }


def _written(item: Item) -> str:
    """The text of an item; a user's speech is heard, its transcript is not read."""
    if item.fields.get("role") == "user":
        return "".join(part.get("text") or "" for part in item.parts)
    return item.text
