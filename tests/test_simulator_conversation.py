"""The simulated session over two async callables: order, time, faults and endings."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from rt_proxy.realtime.dialects import Dialect
from rt_proxy.simulator import Fault, SimulatorEnd, converse
from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.events import Event

_LEFT = SimulatorEnd("left")


@attrs.define
class _Client:
    """The other end of a conversation, over channels that hold nothing."""

    to_simulator: trio.MemorySendChannel[str | bytes]
    from_simulator: trio.MemoryReceiveChannel[str]
    end: SimulatorEnd | None = None

    async def tell(self, type: str, **fields: Any) -> None:  # noqa: A002 - as the API
        await self.to_simulator.send(json.dumps({"type": type, **fields}))

    async def hear(self) -> Event:
        event: Event = json.loads(await self.from_simulator.receive())
        return event

    async def hear_until(self, kind: str) -> list[Event]:
        events = [await self.hear()]
        while events[-1]["type"] != kind:
            events.append(await self.hear())
        return events

    async def rest(self) -> list[str]:
        return [json.loads(text)["type"] async for text in self.from_simulator]


@asynccontextmanager
async def _session(model: str | None = "m", **options: Any) -> AsyncIterator[_Client]:
    """A conversation under way; it must have ended when the block has left."""
    to_simulator, receiving = trio.open_memory_channel[str | bytes](0)
    sending, from_simulator = trio.open_memory_channel[str](0)
    client = _Client(to_simulator, from_simulator)

    async def receive() -> str | bytes | None:
        try:
            return await receiving.receive()
        except trio.EndOfChannel:
            return None

    async def run() -> None:
        with sending:
            client.end = await converse(receive, sending.send, model=model, **options)

    with trio.fail_after(7200):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield client
            to_simulator.close()
            from_simulator.close()


async def test_a_turn_goes_round() -> None:
    """Hello, question and answer come in order, and leaving ends it."""
    async with _session() as client:
        assert (await client.hear())["type"] == "session.created"
        await client.tell("response.create")
        events = await client.hear_until("rate_limits.updated")
        assert events[0]["type"] == "response.created"
        assert events[-2]["response"]["status"] == "completed"
    assert client.end == _LEFT


async def test_a_client_may_speak_before_it_listens() -> None:
    """What was sent before ``session.created`` was read is answered after it."""
    async with _session() as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.tell, "response.cancel")
        kinds = [(await client.hear())["type"], (await client.hear())["type"]]
        assert kinds == ["session.created", "error"]


async def test_nothing_is_read_while_the_client_does_not() -> None:
    """Backpressure: an answer that is not taken holds the next frame back."""
    async with _session() as client:
        await client.hear()
        await client.tell("input_audio_buffer.clear")
        with trio.move_on_after(0.01) as waiting:
            await client.tell("input_audio_buffer.clear")
        assert waiting.cancelled_caught
        assert (await client.hear())["type"] == "input_audio_buffer.cleared"


async def test_answers_come_at_the_pace_of_speech(autojump_clock: trio.testing.MockClock) -> None:
    """At a pace of 1 the audio takes as long to come as it sounds; at 0 no time at all."""
    for pace, least, most in ((1.0, 0.9, 1.2), (0.5, 0.45, 0.6), (0.0, 0.0, 0.0)):
        async with _session(pace=pace) as client:
            await client.hear()
            await client.tell("response.create")
            start = trio.current_time()
            events = await client.hear_until("response.done")
            took = trio.current_time() - start
        deltas = [event["delta"] for event in events if event["type"].endswith("audio.delta")]
        sounds = sum(PCM.milliseconds(len(base64.b64decode(delta))) for delta in deltas) / 1000
        assert sounds > 2
        assert least * sounds <= took <= most * sounds


async def test_a_response_is_cancelled_while_it_streams(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The client's events are taken between two deltas."""
    async with _session(pace=1.0) as client:
        await client.hear()
        await client.tell("response.create")
        await client.hear_until("response.output_audio.delta")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.tell, "response.cancel")
            events = await client.hear_until("response.done")
        assert events[-1]["response"]["status"] == "cancelled"
        assert sum(event["type"] == "response.output_audio.delta" for event in events) <= 1


async def test_speech_barges_in(autojump_clock: trio.testing.MockClock) -> None:
    """Speech of the client stops a response that is streamed in real time."""
    noise = base64.b64encode(PCM.encode([8000, -8000] * 2400)).decode()
    async with _session(pace=1.0) as client:
        await client.hear()
        await client.tell("response.create")
        await client.hear_until("response.output_audio.delta")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.tell("input_audio_buffer.append", audio=noise))
            events = await client.hear_until("response.done")
        assert events[-1]["response"]["status_details"]["reason"] == "turn_detected"
        assert "input_audio_buffer.speech_started" in [event["type"] for event in events]


async def test_a_session_lasts_an_hour(autojump_clock: trio.testing.MockClock) -> None:
    """After sixty minutes an error says so, and the close is 1001."""
    async with _session(now=lambda: 1000.0) as client:
        assert (await client.hear())["session"]["expires_at"] == 4600
        start = trio.current_time()
        expired = await client.hear()
        assert trio.current_time() - start == pytest.approx(3600)
        assert expired["error"]["code"] == "session_expired"
    assert client.end == SimulatorEnd(
        "close", 1001, "Your session hit the maximum duration of 60 minutes."
    )


@pytest.mark.parametrize(
    ("model", "intent", "code", "close"),
    [
        (None, None, "missing_model", 4000),
        ("", None, "missing_model", 4000),
        (None, "realtime", "missing_model", 4000),
        ("m", "", "invalid_intent", 4000),
        ("m", "other", "invalid_intent", 4000),
        ("m", "transcription", "invalid_model", 4000),
        ("gpt-4o-transcribe", None, "invalid_model", 4000),
        ("missing-model", None, "model_not_found", 4004),
    ],
)
async def test_the_provider_refuses(
    model: str | None, intent: str | None, code: str, close: int
) -> None:
    """A refusal is one ``error`` and then the close whose reason is type and code."""
    async with _session(model, intent=intent) as client:
        assert (await client.hear())["error"]["code"] == code
        assert await client.rest() == []
    assert client.end == SimulatorEnd("close", close, f"invalid_request_error.{code}")


async def test_a_transcription_session_needs_no_model() -> None:
    """``intent=transcription`` opens a session of that type."""
    async with _session(None, intent="transcription") as client:
        assert (await client.hear())["session"]["type"] == "transcription"
    assert client.end == _LEFT


async def test_beta_is_spoken_when_it_is_asked_for() -> None:
    """A Beta session opens with its conversation, and a turn has the old names."""
    async with _session(dialect=Dialect.BETA) as client:
        assert (await client.hear())["session"]["modalities"] == ["text", "audio"]
        assert (await client.hear())["type"] == "conversation.created"
        await client.tell("response.create")
        events = await client.hear_until("response.done")
        assert [event["type"] for event in events[:2]] == [
            "response.created",
            "rate_limits.updated",
        ]
        assert "response.audio.delta" in [event["type"] for event in events]
    assert client.end == _LEFT


async def test_a_transcription_session_of_beta() -> None:
    """It has a first event of its own, and no conversation follows."""
    async with _session(None, intent="transcription", dialect=Dialect.BETA) as client:
        assert (await client.hear())["type"] == "transcription_session.created"
        await client.tell("input_audio_buffer.clear")
        assert (await client.hear())["type"] == "input_audio_buffer.cleared"


async def test_a_session_of_beta_lasts_half_an_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After thirty minutes an error says so, and the close is 1001."""
    async with _session(dialect=Dialect.BETA, now=lambda: 1000.0) as client:
        assert (await client.hear())["session"]["expires_at"] == 2800
        await client.hear()
        start = trio.current_time()
        expired = await client.hear()
        assert trio.current_time() - start == pytest.approx(1800)
        assert expired["error"]["code"] == "session_expired"
    assert client.end == SimulatorEnd(
        "close", 1001, "Your session hit the maximum duration of 30 minutes."
    )


async def test_beta_comes_at_the_pace_of_speech(autojump_clock: trio.testing.MockClock) -> None:
    """The old names of audio and of text are paced as the new ones are."""
    for modalities, least in ((["text", "audio"], 2.0), (["text"], 0.3)):
        async with _session(pace=1.0, dialect=Dialect.BETA) as client:
            await client.hear_until("conversation.created")
            await client.tell("response.create", response={"modalities": modalities})
            start = trio.current_time()
            await client.hear_until("response.done")
            assert trio.current_time() - start >= least


@pytest.mark.parametrize("model", ["m", None])
async def test_who_asks_for_beta_is_refused_by_ga(model: str | None) -> None:
    """A GA server says what the API says today, before it looks at the model."""
    async with _session(model, asked=Dialect.BETA) as client:
        error = (await client.hear())["error"]
        assert error == {
            "type": "invalid_request_error",
            "code": "beta_api_shape_disabled",
            "message": "The Realtime Beta API is no longer supported. "
            "Please use /v1/realtime for the GA API.",
            "param": None,
            "event_id": None,
        }
        assert await client.rest() == []
    assert client.end == SimulatorEnd(
        "close", 4000, "invalid_request_error.beta_api_shape_disabled"
    )


@pytest.mark.parametrize("asked", [None, Dialect.GA, Dialect.BETA])
async def test_beta_is_spoken_to_everybody(asked: Dialect | None) -> None:
    """A Beta server does not ask what the client asked for."""
    async with _session(dialect=Dialect.BETA, asked=asked) as client:
        assert (await client.hear())["type"] == "session.created"


@pytest.mark.parametrize("asked", [None, Dialect.GA])
async def test_ga_is_spoken_to_who_does_not_ask_for_beta(asked: Dialect | None) -> None:
    """Only a clear wish for Beta is refused."""
    async with _session(asked=asked) as client:
        assert (await client.hear())["session"]["type"] == "realtime"


async def test_an_error_fault_goes_before_the_dialect() -> None:
    """The fault is what was wished for, whatever the client asks for."""
    async with _session(fault=Fault(error="invalid_api_key"), asked=Dialect.BETA) as client:
        assert (await client.hear())["error"]["code"] == "invalid_api_key"


async def test_faults_of_beta() -> None:
    """A close comes right after the first event there too, and a drop counts every event."""
    async with _session(fault=Fault(close=1011), dialect=Dialect.BETA) as client:
        assert len(await client.rest()) == 1
    assert client.end == SimulatorEnd("close", 1011, "simulated")
    async with _session(fault=Fault(drop=2), dialect=Dialect.BETA) as client:
        assert await client.rest() == ["session.created", "conversation.created"]
    assert client.end == SimulatorEnd("drop")


async def test_the_delay_fault(autojump_clock: trio.testing.MockClock) -> None:
    """``session.created`` comes after so many seconds."""
    async with _session(fault=Fault(delay=7.5)) as client:
        start = trio.current_time()
        await client.hear()
        assert trio.current_time() - start == pytest.approx(7.5)


async def test_the_stall_fault(autojump_clock: trio.testing.MockClock) -> None:
    """After ``session.created`` nothing is sent and nothing is read, until it is cancelled."""
    sending, from_simulator = trio.open_memory_channel[str](10)

    async def receive() -> str:
        raise AssertionError("a stalled provider reads nothing")

    with trio.move_on_after(1000) as scope:
        await converse(receive, sending.send, model="m", fault=Fault(stall=True))
    assert scope.cancelled_caught
    assert from_simulator.statistics().current_buffer_used == 1


@pytest.mark.parametrize("events", [0, 1, 2, 7])
async def test_the_drop_fault(events: int) -> None:
    """After exactly so many events the connection is to be dropped."""
    async with _session(fault=Fault(drop=events)) as client:
        if events:
            await client.hear()
        if events > 1:
            await client.tell("response.create")
        assert len(await client.rest()) == max(0, events - 1)
    assert client.end == SimulatorEnd("drop")


async def test_the_close_fault() -> None:
    """The code comes right after ``session.created``."""
    async with _session(fault=Fault(close=1011)) as client:
        assert (await client.hear())["type"] == "session.created"
        assert await client.rest() == []
    assert client.end is not None
    assert (client.end.kind, client.end.code) == ("close", 1011)


async def test_the_error_fault() -> None:
    """The error comes first, instead of ``session.created``, and then its close."""
    async with _session(fault=Fault(error="invalid_api_key")) as client:
        assert (await client.hear())["error"]["code"] == "invalid_api_key"
        assert await client.rest() == []
    assert client.end == SimulatorEnd("close", 3000, "invalid_request_error.invalid_api_key")


@pytest.mark.parametrize("error", [trio.BrokenResourceError, trio.ClosedResourceError])
async def test_a_broken_connection_is_a_client_that_left(error: type[Exception]) -> None:
    """A connection that breaks while sending or reading ends the conversation quietly."""

    async def broken(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise error

    async def sent(_: str) -> None:
        await trio.lowlevel.checkpoint()

    async def silent() -> None:
        await trio.sleep_forever()

    assert await converse(silent, broken, model="m") == _LEFT
    assert await converse(broken, sent, model="m") == _LEFT


async def test_cancelling_is_always_safe(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled at any moment of a session, it ends at once and sends no more."""
    for moment in range(40):
        texts: list[str] = []
        frames = iter(['{"type":"response.create"}', '{"type":"response.cancel"}'])

        async def receive() -> str:
            await trio.sleep(0.1)
            frame = next(frames, None)  # noqa: B023 - called within this round only
            return frame if frame is not None else await trio.sleep_forever()

        async def send(text: str) -> None:
            await trio.sleep(0.01)
            texts.append(text)  # noqa: B023 - called within this round only

        with trio.move_on_after(moment * 0.01 + 0.005):
            await converse(receive, send, model="m", pace=0.1)
        assert len(texts) <= moment + 1
        count = len(texts)
        await trio.sleep(1)
        assert len(texts) == count
