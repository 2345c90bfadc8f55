"""The transcription events of a committed user item.

Pure: an item with its transcript in, events out. What was said is decided in
``replies.py``, what it costs in ``usage.py``.
"""

import re
from collections.abc import Iterator
from typing import Any

from rt_proxy.simulator.events import Event, event
from rt_proxy.simulator.items import Item
from rt_proxy.simulator.usage import transcription_usage

_TYPE = "conversation.item.input_audio_transcription"


def transcription(
    item: Item, model: str | None, *, logprobs: bool, whisper_streams: bool = True
) -> Iterator[Event]:
    """Yield the deltas of the item's transcript and its completion.

    Args:
        item: A committed user item that has its transcript.
        model: The transcription model; ``whisper-1`` gives all in one delta.
        logprobs: The session includes them.
        whisper_streams: Whether ``whisper-1`` gives even that delta.
    """
    transcript = item.parts[0]["transcript"]
    pieces = [transcript] if model == "whisper-1" else re.findall(r"\s*\S+", transcript)
    for piece in pieces if whisper_streams or model != "whisper-1" else ():
        yield event(
            f"{_TYPE}.delta",
            item_id=item.id,
            content_index=0,
            delta=piece,
            logprobs=[_logprob(piece)] if logprobs else None,
        )
    yield event(
        f"{_TYPE}.completed",
        item_id=item.id,
        content_index=0,
        transcript=transcript,
        usage=transcription_usage(model, item.sounds[0].milliseconds, transcript),
        logprobs=[_logprob(piece) for piece in pieces] if logprobs else None,
    )


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": -0.01, "bytes": list(piece.encode())}
