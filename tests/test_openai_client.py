"""The real ``openai`` package against the real command over the simulator."""

import array
import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from commands import PATIENCE, Served
from openai import AsyncOpenAI, AuthenticationError, OpenAI
from openai.resources.realtime.realtime import RealtimeConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus

# The package itself still calls websockets in a way that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

MODEL = "gpt-realtime-2.1"
GREETING: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Hello there"}],
}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
#: Half a second of a square wave in 24 kHz PCM.
NOISE = array.array("h", ([8000] * 30 + [-8000] * 30) * 200).tobytes()
SILENCE = bytes(48_000)


@pytest.fixture
def client(simulated: Served) -> Iterator[OpenAI]:
    """The synchronous client, with a good token."""
    with OpenAI(api_key=simulated.token, base_url=simulated.url, timeout=PATIENCE) as client:
        yield client


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    """Return the events up to the first one of a kind; no error may be among them."""
    events: list[Any] = []
    for event in connection:
        events.append(event)
        assert event.type != "error", event
        if event.type == kind:
            return events
    raise AssertionError(f"closed before {kind}")


def of_kind(events: list[Any], kind: str) -> list[Any]:
    """Return the events of a kind."""
    return [event for event in events if event.type == kind]


def configure(connection: RealtimeConnection, **session: Any) -> Any:
    """Change the session, and return how it is now."""
    update: Any = {"type": "realtime", **session}
    connection.session.update(session=update)
    return until(connection, "session.updated")[-1].session


def append(connection: RealtimeConnection, audio: bytes) -> None:
    """Send audio in pieces of 100 ms."""
    for start in range(0, len(audio), 4800):
        piece = base64.b64encode(audio[start : start + 4800]).decode()
        connection.input_audio_buffer.append(audio=piece)


def test_text_turn(client: OpenAI) -> None:
    """A text goes up, its answer comes in pieces, and the pieces make up the whole."""
    with client.realtime.connect(model=MODEL) as connection:
        assert connection.recv().type == "session.created"
        configure(connection, output_modalities=["text"])
        connection.conversation.item.create(item=GREETING)
        connection.response.create()
        events = until(connection, "response.done")

    pieces = [event.delta for event in of_kind(events, "response.output_text.delta")]
    response = events[-1].response
    assert "".join(pieces) == "You said: Hello there"
    assert response.status == "completed"
    assert response.output[0].content[0].text == "You said: Hello there"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_async_text_turn(simulated: Served) -> None:
    """The asynchronous client holds the same turn."""

    async def turn() -> str:
        client = AsyncOpenAI(api_key=simulated.token, base_url=simulated.url)
        async with (
            asyncio.timeout(PATIENCE),
            client,
            client.realtime.connect(model=MODEL) as connection,
        ):
            await connection.session.update(
                session={"type": "realtime", "output_modalities": ["text"]}
            )
            await connection.conversation.item.create(item=GREETING)
            await connection.response.create()
            async for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_text.done":
                    return event.text
        raise AssertionError("closed before the answer")

    assert asyncio.run(turn()) == "You said: Hello there"


def test_audio_turn(client: OpenAI) -> None:
    """Audio that was committed by hand is answered with audio that can be heard, and its words."""
    with client.realtime.connect(model=MODEL) as connection:
        configure(connection, audio={"input": {"turn_detection": None}})
        append(connection, NOISE)
        connection.input_audio_buffer.commit()
        connection.response.create()
        events = until(connection, "response.done")

    deltas = of_kind(events, "response.output_audio.delta")
    samples = array.array("h", b"".join(base64.b64decode(delta.delta) for delta in deltas))
    words = "".join(
        event.delta for event in of_kind(events, "response.output_audio_transcript.delta")
    )
    usage = events[-1].response.usage
    assert max(samples) > 1000
    assert words == "I heard you for 0.5 seconds."
    assert usage.input_token_details.audio_tokens > 0
    assert usage.output_token_details.audio_tokens > 0


def test_voice_activity(client: OpenAI) -> None:
    """Speech and then silence make a turn without anything being asked for."""
    with client.realtime.connect(model=MODEL) as connection:
        configure(connection, audio={"input": {"turn_detection": {"type": "server_vad"}}})
        append(connection, NOISE + SILENCE)
        kinds = [event.type for event in until(connection, "response.done")]

    told = ("speech_started", "speech_stopped", "committed")
    places = [kinds.index(f"input_audio_buffer.{kind}") for kind in told]
    assert places == sorted(places)
    assert "response.output_audio.delta" in kinds[places[-1] :]


def test_function_call(client: OpenAI) -> None:
    """A tool that the text asks for is called, and its result becomes part of the talk."""
    question = {"type": "input_text", "text": "How is the weather in Paris?"}
    ask: Any = {"type": "message", "role": "user", "content": [question]}
    with client.realtime.connect(model=MODEL) as connection:
        configure(connection, output_modalities=["text"], tools=[WEATHER])
        connection.conversation.item.create(item=ask)
        connection.response.create()
        call = until(connection, "response.done")[-1].response.output[0]
        answer: Any = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": '{"sky": "clear"}',
        }
        connection.conversation.item.create(item=answer)
        connection.response.create()
        events = until(connection, "response.done")

    assert (call.type, call.name, call.arguments) == (
        "function_call",
        "get_weather",
        '{"city": "Paris"}',
    )
    assert events[-1].response.output[0].content[0].text == 'The tool says: {"sky": "clear"}'


def refused(client: OpenAI, **arguments: Any) -> tuple[Any, ConnectionClosedError]:
    """Connect where it will not do, and return the one event and the close that follows."""
    with client.realtime.connect(**arguments) as connection:
        event: Any = connection.recv()
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv()
    assert event.type == "error"
    return event.error, caught.value


def test_bad_token(simulated: Served) -> None:
    """A wrong token is told as the API itself does: an event, then a close with the cause."""
    with OpenAI(api_key="sk-wrong", base_url=simulated.url) as client:
        error, closed = refused(client, model=MODEL)

    assert (error.type, error.code) == ("invalid_request_error", "invalid_api_key")
    assert closed.rcvd is not None
    assert closed.rcvd.code == 3000
    assert closed.rcvd.reason == "invalid_request_error.invalid_api_key"


def test_unknown_model(client: OpenAI) -> None:
    """A model that no channel has is told in the same way."""
    error, closed = refused(client, model="gpt-none")

    assert (error.code, error.param) == ("model_not_found", "model")
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4004


def test_bad_intent(client: OpenAI) -> None:
    """An intent that does not exist is told in the same way."""
    error, closed = refused(client, extra_query={"intent": "telepathy"})

    assert error.code == "invalid_intent"
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4000


def test_bad_token_on_an_azure_address(simulated: Served) -> None:
    """Where Azure's own form is expected the refusal is plain HTTP."""
    url = f"{simulated.address}/openai/v1"
    with (
        OpenAI(api_key="sk-wrong", base_url=url) as client,
        pytest.raises(InvalidStatus) as caught,
        client.realtime.connect(model=MODEL),
    ):
        pass

    assert caught.value.response.status_code == 401
    assert b"invalid_api_key" in caught.value.response.body


@pytest.mark.parametrize("path", ["/v1", "/v1/", "", "/openai/v1"])
def test_addresses(simulated: Served, path: str) -> None:
    """Whatever the client makes of a base URL, it comes to a session."""
    with (
        OpenAI(api_key=simulated.token, base_url=simulated.address + path) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        assert connection.recv().type == "session.created"


def test_model_list(client: OpenAI) -> None:
    """The models of the API's own list are those that the channels name."""
    assert [model.id for model in client.models.list()] == [MODEL, "my-voice"]


def test_model_list_with_a_bad_token(simulated: Served) -> None:
    """The list is for those with a token; the client gets the error that it knows."""
    with (
        OpenAI(api_key="sk-wrong", base_url=simulated.url) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.models.list()

    assert caught.value.code == "invalid_api_key"


def test_model_alias(client: OpenAI) -> None:
    """A client that calls a model by our name does so in an update too, and is shown no other."""
    with client.realtime.connect(model="my-voice") as connection:
        session = configure(connection, model="my-voice", instructions="Be brief.")

    assert session.model == "my-voice"
    assert session.instructions == "Be brief."


def test_another_model_in_an_update(client: OpenAI) -> None:
    """An update to another model is refused by the client's event id, and the session goes on."""
    with client.realtime.connect(model=MODEL) as connection:
        assert connection.recv().type == "session.created"
        connection.session.update(
            session={"type": "realtime", "model": "gpt-realtime-2.1-mini"}, event_id="mine"
        )
        error: Any = connection.recv()
        configure(connection, instructions="Be brief.")

    assert error.type == "error"
    assert (error.error.code, error.error.event_id) == ("model_not_found", "mine")


def test_transcription(client: OpenAI) -> None:
    """A transcription session has no model in its URL, and hears what is said."""
    update: Any = {
        "type": "transcription",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-4o-transcribe"},
                "turn_detection": {"type": "server_vad"},
            }
        },
    }
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        created: Any = connection.recv()
        connection.session.update(session=update)
        append(connection, NOISE + SILENCE)
        kind = "conversation.item.input_audio_transcription.completed"
        heard = until(connection, kind)[-1]

    assert created.session.type == "transcription"
    assert heard.transcript.startswith("I spoke for")
