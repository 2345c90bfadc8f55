"""One response, event by event."""

import base64
import itertools
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from rt_proxy.simulator.audio import FORMATS, PCM
from rt_proxy.simulator.events import Event
from rt_proxy.simulator.items import Item, Items
from rt_proxy.simulator.session import realtime_session
from rt_proxy.simulator.turns import DELTA_MS, Turn, turn_settings
from rt_proxy.simulator.usage import Tokens

_ADAPTER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_TOOL = {"type": "function", "name": "hang_up"}


def _user(text: str) -> Item:
    content = [{"type": "input_text", "text": text}]
    fields = {"type": "message", "status": "completed", "role": "user", "content": content}
    return Item("item_user", fields)


def _turn(text: str = "Hello", items: Items | None = None, **request: Any) -> Turn:
    settings = turn_settings(realtime_session("m", 1), request)
    context = [_user(text)]
    kept = Items() if items is None else items
    return Turn(settings, context, kept, "conv_1", Tokens(10), Tokens(4))


def _all(turn: Turn) -> list[Event]:
    events = list(turn.events)
    for event in events:
        _ADAPTER.validate_python(event, strict=True)
        assert list(event)[:2] == ["type", "event_id"]
    return events


def _order(events: list[Event]) -> list[str]:
    return [kind for kind, _ in itertools.groupby(event["type"] for event in events)]


def test_a_text_turn_has_the_documented_order() -> None:
    """Created, item, part, deltas, and all of it done in the order of the live API."""
    events = _all(_turn(output_modalities=["text"]))
    assert _order(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    deltas = [event["delta"] for event in events if event["type"].endswith("text.delta")]
    assert "".join(deltas) == "You said: Hello"
    response = events[-2]["response"]
    assert response["status"] == "completed"
    assert response["status_details"] is None
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "You said: Hello"}]


def test_an_audio_turn_has_the_documented_order() -> None:
    """Transcript and audio come interleaved, both are done, and no item carries the bytes."""
    events = _all(_turn())
    kinds = [kind for kind in _order(events) if not kind.endswith("delta")]
    assert kinds == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert events[-2]["response"]["output"][0]["content"] == [
        {"type": "output_audio", "transcript": "You said: Hello"}
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_the_deltas_are_the_audio(name: str) -> None:
    """Every delta but the last has its full length, and the item keeps the sum of them."""
    items = Items()
    turn = _turn(items=items, audio={"output": {"format": {"type": name}}})
    events = _all(turn)
    pieces = [
        base64.b64decode(event["delta"])
        for event in events
        if event["type"] == "response.output_audio.delta"
    ]
    full = DELTA_MS * FORMATS[name].bytes_per_ms
    assert all(len(piece) == full for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= full
    (item,) = items
    assert bytes(item.sounds[0].data) == b"".join(pieces)
    assert item.sounds[0].milliseconds > 500


def test_a_function_call_has_the_documented_order() -> None:
    """The arguments stream, and their end names the function."""
    events = _all(_turn("please call hang_up", tools=[_TOOL]))
    assert _order(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = next(event for event in events if event["type"].endswith("arguments.done"))
    assert (done["name"], done["arguments"]) == ("hang_up", "{}")
    assert done["call_id"] == events[-2]["response"]["output"][0]["call_id"]


def test_a_turn_outside_of_the_conversation_adds_no_item() -> None:
    """Out of band there is no conversation id and no conversation item."""
    items = Items()
    events = _all(_turn(items=items, conversation="none", metadata={"topic": "x"}))
    assert not any(event["type"].startswith("conversation.") for event in events)
    assert len(items) == 0
    assert events[-2]["response"]["conversation_id"] is None
    assert events[-2]["response"]["metadata"] == {"topic": "x"}


def test_the_usage_is_that_of_the_events() -> None:
    """Output tokens follow the text and the audio that were sent."""
    response = _all(_turn())[-2]["response"]
    usage = response["usage"]
    assert usage["input_tokens"] == 10
    assert usage["input_token_details"]["cached_tokens"] == 4
    assert usage["output_token_details"]["text_tokens"] == 4
    assert usage["output_token_details"]["audio_tokens"] > 10
    assert usage["total_tokens"] == 10 + sum(usage["output_token_details"].values())


@pytest.mark.parametrize("taken", range(40))
@pytest.mark.parametrize(
    "request_", [{}, {"output_modalities": ["text"]}, {"tools": [_TOOL], "tool_choice": "required"}]
)
def test_a_stopped_turn_still_ends_well(taken: int, request_: dict[str, Any]) -> None:
    """Stopped after any event, no further delta comes and all that was begun is done."""
    turn = _turn(**request_)
    before = list(itertools.islice(turn.events, taken))
    already_done = turn.finished
    turn.stop("cancelled", "turn_detected")
    after = list(turn.events)
    for event in before + after:
        _ADAPTER.validate_python(event, strict=True)
    kinds = [event["type"] for event in before + after]
    assert not any(event["type"].endswith("delta") for event in after)
    assert kinds.count("response.done") == 1
    for what in ("output_item", "content_part"):
        assert kinds.count(f"response.{what}.added") == kinds.count(f"response.{what}.done")
    done = next(event for event in before + after if event["type"] == "response.done")
    if not already_done:
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 40])
@pytest.mark.parametrize("modality", ["text", "audio"])
def test_the_output_limit_is_kept(limit: int, modality: str) -> None:
    """A response that would be longer ends incomplete, within the limit."""
    turn = _turn("a rather long text " * 10, output_modalities=[modality], max_output_tokens=limit)
    response = _all(turn)[-2]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] <= limit
    assert response["output"][0]["status"] == "incomplete"


def test_the_limits_may_come_first() -> None:
    """They then count what is reserved for the answer, and do not come again."""
    settings = turn_settings(realtime_session("m", 1), {"max_output_tokens": 100})
    turn = Turn(settings, [], Items(), "conv_1", Tokens(10), Tokens(), limits_first=True)
    events = _all(turn)
    assert _order(events)[:2] == ["response.created", "rate_limits.updated"]
    assert _order(events)[-1] == "response.done"
    (limit,) = events[1]["rate_limits"]
    assert limit["limit"] - limit["remaining"] == 110


def test_a_temperature_is_shown_where_there_is_one() -> None:
    """A session without one has none in its responses, and a response may have its own."""
    session = realtime_session("m", 1)
    warm = {**session, "temperature": 0.8}
    assert turn_settings(session, {}).temperature is None
    assert turn_settings(warm, {}).temperature == 0.8
    settings = turn_settings(warm, {"temperature": 1.1})
    turn = Turn(settings, [], Items(), "conv_1", Tokens(), Tokens())
    assert "temperature" not in _all(_turn())[0]["response"]
    assert next(turn.events)["response"]["temperature"] == 1.1


def test_a_response_overrides_the_session() -> None:
    """Its own voice and format count, what it does not name comes from the session."""
    request = {"audio": {"output": {"voice": {"id": "voice_1"}, "format": {"type": "audio/pcmu"}}}}
    settings = turn_settings(realtime_session("m", 1), request)
    assert settings.voice == "voice_1"
    assert settings.audio_format is FORMATS["audio/pcmu"]
    assert settings.spoken
    assert settings.audio["speed"] == 1.0
    assert turn_settings(realtime_session("m", 1), {}).audio_format is PCM
