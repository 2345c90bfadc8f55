"""Transcription events."""

from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.events import Event
from rt_proxy.simulator.items import spoken_item
from rt_proxy.simulator.transcripts import transcription

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


def _events(model: str | None, *, logprobs: bool = False) -> list[Event]:
    item = spoken_item("item_1", bytes(48 * 1000), PCM)
    item.parts[0]["transcript"] = "I spoke for 1.0 seconds."
    events = list(transcription(item, model, logprobs=logprobs))
    for event in events:
        _ADAPTER.validate_python(event, strict=True)
        assert (event["item_id"], event["content_index"]) == ("item_1", 0)
    return events


@pytest.mark.parametrize(
    ("model", "deltas", "usage"),
    [("whisper-1", 1, "duration"), ("gpt-4o-transcribe", 5, "tokens"), (None, 5, "tokens")],
)
def test_deltas_make_the_transcript(model: str | None, deltas: int, usage: str) -> None:
    """The deltas together are the transcript; whisper-1 gives it at once."""
    *pieces, completed = _events(model)
    assert "".join(piece["delta"] for piece in pieces) == completed["transcript"]
    assert len(pieces) == deltas
    assert completed["usage"]["type"] == usage


@pytest.mark.parametrize(("model", "deltas"), [("whisper-1", 0), ("gpt-4o-transcribe", 5)])
def test_whisper_may_give_all_at_the_end(model: str, deltas: int) -> None:
    """Told not to stream, whisper-1 gives no delta; the other models go on as they do."""
    item = spoken_item("item_1", bytes(48 * 1000), PCM)
    item.parts[0]["transcript"] = "I spoke for 1.0 seconds."
    *pieces, completed = transcription(item, model, logprobs=False, whisper_streams=False)
    assert len(pieces) == deltas
    assert completed["transcript"] == "I spoke for 1.0 seconds."


def test_logprobs_come_when_they_are_included() -> None:
    """Each delta and the completion carry them only on request."""
    assert all(event["logprobs"] is None for event in _events(None))
    assert all(event["logprobs"] for event in _events(None, logprobs=True))
