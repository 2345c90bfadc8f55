"""The latest ``openai`` package against the real command, on upstreams of both dialects.

It speaks GA, and gets GA: what a test here says holds on either upstream.
"""

import array
import base64
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import pytest
from commands import PATIENCE, SIMULATOR
from conftest import Serve
from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import ValidationError

# The package itself still calls websockets in a way that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

MODEL = "gpt-realtime-2.1"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
#: Half a second of a square wave in 24 kHz PCM.
NOISE = array.array("h", ([8000] * 30 + [-8000] * 30) * 200).tobytes()


@pytest.fixture(params=["ga", "beta"])
def upstream(request: pytest.FixtureRequest) -> str:
    """The dialect of the upstream."""
    return str(request.param)


@pytest.fixture
def connection(serve: Serve, upstream: str) -> Iterator[RealtimeConnection]:
    """Connect as README.md has it."""
    proxy = serve(f'{SIMULATOR}dialect = "{upstream}"\n')
    with (
        OpenAI(api_key=proxy.token, base_url=proxy.url, timeout=PATIENCE) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        yield connection
    proxy.stderr.wait_for(f" dialect=ga upstream_dialect={upstream} ")


#: Type of event -> the class that the package has for it.
CLASSES: dict[str, Any] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
}


def until_done(connection: RealtimeConnection) -> list[Any]:
    """Return the events up to ``response.done``, all held to the package's own types.

    The rate limits are left out: they come at the response's end in GA, in Beta at its beginning.
    """
    events: list[Any] = []
    while not events or events[-1].type != "response.done":
        data = connection.recv_bytes()
        event = connection.parse_event(data)
        assert event.type != "error", event
        try:
            CLASSES[event.type].model_validate_json(data)
        except (KeyError, ValidationError) as error:
            pytest.fail(f"{data.decode()}: {error}")
        if event.type != "rate_limits.updated":
            events.append(event)
    return events


def of_type(events: list[Any], type_: str) -> list[Any]:
    """Return the events of a type."""
    return [event for event in events if event.type == type_]


def without_repeats(types: Sequence[str]) -> list[str]:
    """Return types of events in order, with a run of one type told once."""
    return [type_ for type_, _ in itertools.groupby(types)]


def types_of(events: list[Any], upstream: str) -> list[str]:
    """Return what came, without what only a Beta upstream says and GA has a type for too."""
    types = without_repeats([event.type for event in events])
    assert types.count("conversation.created") == (upstream == "beta")
    return [type_ for type_ in types if type_ != "conversation.created"]


def ask(connection: RealtimeConnection, text: str) -> None:
    """Say something in text, and ask for a response."""
    content: Any = [{"type": "input_text", "text": text}]
    connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": content}
    )
    connection.response.create()


def test_text_turn(connection: RealtimeConnection, upstream: str) -> None:
    """A GA client has its text turn, and GA's events, whatever the upstream speaks."""
    connection.session.update(
        session={
            "type": "realtime",
            "output_modalities": ["text"],
            "instructions": "Be brief.",
            "max_output_tokens": 500,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.4},
                },
                "output": {"format": {"type": "audio/pcma"}, "voice": "verse"},
            },
        }
    )
    ask(connection, "Hello there")
    events = until_done(connection)

    assert types_of(events, upstream) == [
        "session.created",
        "session.updated",
        "conversation.item.added",
        "conversation.item.done",
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
    ]
    [session] = [event.session for event in of_type(events, "session.updated")]
    assert (session.type, session.model) == ("realtime", MODEL)
    assert session.output_modalities == ["text"]
    assert (session.instructions, session.max_output_tokens) == ("Be brief.", 500)
    assert session.audio.input.format.type == "audio/pcmu"
    assert session.audio.input.transcription.model == "whisper-1"
    assert session.audio.input.turn_detection.threshold == 0.4
    assert (session.audio.output.format.type, session.audio.output.voice) == ("audio/pcma", "verse")

    response = events[-1].response
    pieces = [event.delta for event in of_type(events, "response.output_text.delta")]
    [part] = response.output[0].content
    assert "".join(pieces) == part.text == "You said: Hello there"
    assert part.type == "output_text"
    assert response.status == "completed"
    assert response.output_modalities == ["text"]
    assert response.audio.output.voice == "verse"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.total_tokens > 0


def test_audio_turn(connection: RealtimeConnection, upstream: str) -> None:
    """A GA client speaks and is spoken to, whatever the upstream speaks."""
    connection.session.update(
        session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    )
    for start in range(0, len(NOISE), 4800):
        piece = base64.b64encode(NOISE[start : start + 4800]).decode()
        connection.input_audio_buffer.append(audio=piece)
    connection.input_audio_buffer.commit()
    connection.response.create()
    events = until_done(connection)

    deltas = ("response.output_audio.delta", "response.output_audio_transcript.delta")
    assert types_of([event for event in events if event.type not in deltas], upstream) == [
        "session.created",
        "session.updated",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
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
    ]
    audio = b"".join(base64.b64decode(event.delta) for event in of_type(events, deltas[0]))
    words = "".join(event.delta for event in of_type(events, deltas[1]))
    response = events[-1].response
    [part] = response.output[0].content
    assert max(array.array("h", audio)) > 1000
    assert words == part.transcript == "I heard you for 0.5 seconds."
    assert part.type == "output_audio"
    assert response.output_modalities == ["audio"]
    assert response.audio.output.format.type == "audio/pcm"
    assert response.usage.input_token_details.audio_tokens > 0
    assert response.usage.output_token_details.audio_tokens > 0


def test_function_call(connection: RealtimeConnection, upstream: str) -> None:
    """A GA client's tool is called by its name, whatever the upstream speaks."""
    connection.session.update(
        session={"type": "realtime", "output_modalities": ["text"], "tools": [WEATHER]}
    )
    ask(connection, "How is the weather in Paris?")
    events = until_done(connection)

    assert types_of(events, upstream)[-8:] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    [finished] = of_type(events, "response.function_call_arguments.done")
    pieces = [event.delta for event in of_type(events, "response.function_call_arguments.delta")]
    [call] = events[-1].response.output
    assert (finished.name, call.name) == ("get_weather", "get_weather")
    assert "".join(pieces) == finished.arguments == call.arguments == '{"city": "Paris"}'

    output: Any = {"type": "function_call_output", "call_id": call.call_id}
    connection.conversation.item.create(item={**output, "output": '{"sky": "clear"}'})
    connection.response.create()
    events = until_done(connection)
    [added], [done] = (
        [event.item for event in of_type(events, type_) if event.item.type == output["type"]]
        for type_ in ("conversation.item.added", "conversation.item.done")
    )
    assert added.id == done.id
    assert done.output == '{"sky": "clear"}'
    assert events[-1].response.output[0].content[0].text == 'The tool says: {"sky": "clear"}'
