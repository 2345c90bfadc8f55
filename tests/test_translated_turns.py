"""Translation against a witness: the same talk with an upstream of the client's own dialect.

The simulator speaks both dialects, and knows nothing of the translator. What a client
gets through the translator from the simulator of the other dialect is compared, event by
event, with what the simulator of its own dialect says to it.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rt_proxy.realtime.dialects import BetaClientTranslator, GaClientTranslator
from rt_proxy.realtime.dialects.translator import Translator
from rt_proxy.simulator.dialogue import Dialogue
from rt_proxy.simulator.events import write
from rt_proxy.simulator.manners import BETA, GA, Manner

Event = dict[str, Any]
#: A client event to send, or a type up to which the client listens; ``""``: to the end.
Script = list[Event | str]

MODEL = "gpt-realtime-2.1"
ALL = ""

#: Speech and then silence, in 24 kHz PCM.
SPEECH = (b"\x00\x30" * 30 + b"\x00\xd0" * 30) * 240
SILENCE = bytes(48_000)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Talk:
    """A client, a translator or none, and the simulator (mutable: it goes on)."""

    def __init__(self, manner: Manner, translator: Translator | None, model: str | None) -> None:
        self._dialogue = Dialogue(model, 0, manner)
        self._translator = translator
        self.heard: list[Event] = []
        self._show([self._dialogue.opening(), *self._dialogue.introduction()])

    def say(self, event: Event) -> None:
        """Send a client event."""
        text = json.dumps(event)
        events = (text,) if self._translator is None else self._translator.from_client(text)
        assert isinstance(events, tuple), events
        for one in events:
            self._show(self._dialogue.hear(one))

    def listen(self, until: str) -> None:
        """Take events of the responses in progress, up to one of a type, or all there are."""
        while (said := self._dialogue.advance()) is not None:
            before = len(self.heard)
            self._show([said])
            if until in [event["type"] for event in self.heard[before:]]:
                return
        assert not until, f"there was no {until}"

    def _show(self, events: Iterator[Event] | list[Event]) -> None:
        for event in events:
            text = write(event)
            shown = (text,) if self._translator is None else self._translator.from_upstream(text)
            self.heard += map(json.loads, shown)


def play(
    script: Script, manner: Manner, translator: Translator | None = None, model: str | None = MODEL
) -> list[Event]:
    """Play the client's part of a talk, and return what it heard.

    An id that the client cannot know is named by the place of its appearance, as ``$item.1``.
    """
    talk = Talk(manner, translator, model)
    for step in script:
        if isinstance(step, str):
            talk.listen(step)
        else:
            talk.say(json.loads(_filled(json.dumps(step), talk.heard)))
    return talk.heard


def _filled(text: str, heard: list[Event]) -> str:
    for name, real in _ids(heard).items():
        text = text.replace(name, real)
    return text


def _ids(heard: list[Event]) -> dict[str, str]:
    """Return the ids that the server gave, by kind and order of appearance."""
    found: dict[str, str] = {}
    for event in heard:
        for real in _made_ids(event):
            kind = real.partition("_")[0]
            if real not in found.values():
                number = sum(name.startswith(f"${kind}.") for name in found) + 1
                found[f"${kind}.{number}"] = real
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def _made_ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("id", "call_id", "response_id", "item_id") and isinstance(inner, str):
                if inner.startswith(("item_", "resp_", "call_")):
                    yield inner
            else:
                yield from _made_ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _made_ids(inner)


def comparable(heard: list[Event]) -> list[Event]:
    """Return events without what differs by chance: made ids and the times of limits."""
    text = json.dumps(heard)
    for name, real in _ids(heard).items():
        text = text.replace(real, name)
    events: list[Event] = json.loads(text)
    for event in events:
        assert event.pop("event_id")
        event.get("conversation", {}).pop("id", None)
        event.get("session", {}).pop("id", None)
        if event.get("response", {}).get("conversation_id"):
            event["response"]["conversation_id"] = "conv"
    return [event for event in events if event["type"] != "rate_limits.updated"]


def user(text: str, **more: Any) -> Event:
    """Return the event that makes an item of a user."""
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        **more,
        "item": {"type": "message", "role": "user", "content": content},
    }


def append(audio: bytes) -> Event:
    """Return the event that adds audio."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


BETA_AUDIO = {"voice": "echo", "input_audio_format": "pcm16", "output_audio_format": "pcm16"}
BY_HAND = {"turn_detection": None, "input_audio_transcription": {"model": "whisper-1"}}
RESPOND = {"type": "response.create"}
TEXT = {"type": "response.create", "response": {"modalities": ["text"]}}

#: What Beta clients say, and what the old server would have said to it.
BETA_TALKS: dict[str, Script] = {
    "a text turn": [
        {"type": "session.update", "session": {"modalities": ["text"], "instructions": "Short."}},
        user("Hello"),
        RESPOND,
        ALL,
    ],
    "a spoken turn": [
        {"type": "session.update", "session": {**BETA_AUDIO, **BY_HAND, "temperature": 0.7}},
        append(SPEECH),
        {"type": "input_audio_buffer.commit"},
        RESPOND,
        ALL,
    ],
    "g711": [
        {
            "type": "session.update",
            "session": {
                "input_audio_format": "g711_ulaw",
                "output_audio_format": "g711_alaw",
                "turn_detection": {"type": "server_vad", "threshold": 0.4},
                "speed": 1.2,
                "max_response_output_tokens": 400,
            },
        },
        append(b"\x7f" * 4000),
        {"type": "input_audio_buffer.clear"},
        user("Hello"),
        RESPOND,
        ALL,
    ],
    "a function call": [
        {"type": "session.update", "session": {"modalities": ["text"], "tools": [WEATHER]}},
        user("How is the weather in Paris?"),
        RESPOND,
        ALL,
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "$call.1", "output": "clear"},
        },
        RESPOND,
        ALL,
    ],
    "a tool that is asked for": [
        {
            "type": "session.update",
            "session": {
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "name": "get_weather"},
            },
        },
        user("Hello"),
        RESPOND,
        ALL,
    ],
    "speech that is interrupted": [
        {"type": "session.update", "session": {"turn_detection": {"type": "server_vad"}}},
        append(SPEECH + SILENCE),
        "response.audio.delta",
        append(SPEECH + SILENCE),
        ALL,
        {
            "type": "conversation.item.truncate",
            "item_id": "$item.2",
            "content_index": 0,
            "audio_end_ms": 50,
        },
    ],
    "cancelled": [
        user("Hello"),
        RESPOND,
        "response.audio.delta",
        {"type": "response.cancel"},
        ALL,
        {"type": "response.cancel", "event_id": "mine"},
    ],
    "another response in progress": [
        user("Hello"),
        TEXT,
        "response.text.delta",
        {"type": "response.create", "event_id": "mine"},
        ALL,
    ],
    "out of band, side by side": [
        user("Hello"),
        RESPOND,
        "response.audio_transcript.delta",
        {
            "type": "response.create",
            "response": {
                "conversation": "none",
                "modalities": ["text"],
                "temperature": 0.9,
                "metadata": {"topic": "side"},
                "input": [user("Beside")["item"], {"type": "item_reference", "id": "$item.1"}],
                "max_response_output_tokens": 50,
            },
        },
        ALL,
    ],
    "history": [
        user("Hello"),
        {
            "type": "conversation.item.create",
            "previous_item_id": "root",
            "item": {
                "id": "greeting",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "Welcome"}],
            },
        },
        {"type": "conversation.item.retrieve", "item_id": "greeting"},
        {"type": "conversation.item.delete", "item_id": "greeting"},
        {
            "type": "conversation.item.create",
            "item": {
                "id": "greeting",
                "type": "message",
                "role": "system",
                "content": [{"type": "input_text", "text": "Again"}],
            },
        },
        {"type": "conversation.item.retrieve", "item_id": "nobody", "event_id": "mine"},
    ],
    "a retrieved answer": [
        user("Hello"),
        RESPOND,
        ALL,
        {"type": "conversation.item.retrieve", "item_id": "$item.2"},
    ],
    "a voice that cannot change": [
        user("Hello"),
        RESPOND,
        ALL,
        {"type": "session.update", "event_id": "mine", "session": {"voice": "coral"}},
    ],
    "wrong values": [
        {"type": "session.update", "event_id": "1", "session": {"voice": "nobody"}},
        {"type": "session.update", "event_id": "2", "session": {"speed": 9}},
        {"type": "session.update", "event_id": "3", "session": {"max_response_output_tokens": 0}},
        {"type": "session.update", "event_id": "4", "session": {"turn_detection": {"type": "x"}}},
        {"type": "response.create", "event_id": "5", "response": {"voice": "nobody"}},
        {"type": "input_audio_buffer.commit", "event_id": "6"},
    ],
}


RESPOND_IN_TEXT = {"type": "response.create", "response": {"output_modalities": ["text"]}}


def session(**fields: Any) -> Event:
    """Return the event by which a GA client changes its session."""
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


#: What GA clients say, as far as both servers can do it.
GA_TALKS: dict[str, Script] = {
    "a text turn": [
        session(output_modalities=["text"], instructions="Short."),
        user("Hello"),
        RESPOND,
        ALL,
    ],
    "a spoken turn": [
        session(
            audio={
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "turn_detection": None,
                    "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                    "noise_reduction": {"type": "near_field"},
                },
                "output": {"voice": "echo", "speed": 1.2},
            },
            max_output_tokens=400,
        ),
        append(SPEECH),
        {"type": "input_audio_buffer.commit"},
        RESPOND,
        ALL,
    ],
    "g711": [
        session(
            audio={
                "input": {"format": {"type": "audio/pcmu"}},
                "output": {"format": {"type": "audio/pcma"}},
            }
        ),
        append(b"\x7f" * 4000),
        {"type": "input_audio_buffer.clear"},
        user("Hello"),
        RESPOND,
        ALL,
    ],
    "a function call": [
        session(
            output_modalities=["text"],
            tools=[WEATHER],
            tool_choice={"type": "function", "name": "get_weather"},
        ),
        user("Hello"),
        RESPOND,
        ALL,
        {
            "type": "conversation.item.create",
            "item": {
                "type": "function_call_output",
                "call_id": "$call.1",
                "output": "clear",
                "status": "completed",
            },
        },
        session(tool_choice="none"),
        RESPOND,
        ALL,
    ],
    "speech that is interrupted": [
        session(audio={"input": {"turn_detection": {"type": "server_vad"}}}),
        append(SPEECH + SILENCE),
        "response.output_audio.delta",
        append(SPEECH + SILENCE),
        ALL,
        {
            "type": "conversation.item.truncate",
            "item_id": "$item.2",
            "content_index": 0,
            "audio_end_ms": 50,
        },
    ],
    "cancelled": [
        user("Hello"),
        RESPOND,
        "response.output_audio.delta",
        {"type": "response.cancel"},
        ALL,
        {"type": "response.cancel", "event_id": "mine"},
    ],
    "out of band": [
        user("Hello"),
        {
            "type": "response.create",
            "response": {
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "side"},
                "input": [user("Beside")["item"], {"type": "item_reference", "id": "$item.1"}],
                "max_output_tokens": 50,
            },
        },
        ALL,
    ],
    "side by side": [
        user("Hello"),
        RESPOND,
        "response.output_audio.delta",
        {
            "type": "response.create",
            "response": {"conversation": "none", "output_modalities": ["text"], "input": []},
        },
        ALL,
    ],
    "history": [
        user("Hello"),
        {
            "type": "conversation.item.create",
            "previous_item_id": "$item.1",
            "item": {
                "id": "greeting",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Welcome"}],
            },
        },
        {"type": "conversation.item.retrieve", "item_id": "greeting"},
        {"type": "conversation.item.delete", "item_id": "greeting"},
        {"type": "conversation.item.retrieve", "item_id": "nobody", "event_id": "mine"},
        RESPOND_IN_TEXT,
        ALL,
        {"type": "conversation.item.retrieve", "item_id": "$item.2"},
    ],
    "a voice that cannot change": [
        user("Hello"),
        RESPOND,
        ALL,
        {**session(audio={"output": {"voice": "coral"}}), "event_id": "mine"},
    ],
    "wrong values": [
        {**session(audio={"output": {"voice": "nobody"}}), "event_id": "1"},
        {**session(audio={"output": {"speed": 9}}), "event_id": "2"},
        {**session(max_output_tokens=0), "event_id": "3"},
        {**session(audio={"input": {"turn_detection": {"type": "x"}}}), "event_id": "4"},
        {
            "type": "response.create",
            "event_id": "5",
            "response": {"audio": {"output": {"voice": "nobody"}}},
        },
        {"type": "input_audio_buffer.commit", "event_id": "6"},
    ],
}
TRANSCRIPTION: Script = [
    {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": {"type": "server_vad"},
                }
            },
        },
    },
    append(SPEECH + SILENCE),
]
BETA_TRANSCRIPTION: Script = [
    {
        "type": "transcription_session.update",
        "session": {
            "input_audio_transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": {"type": "server_vad"},
        },
    },
    append(SPEECH + SILENCE),
]


def _known_to_both(events: list[Event]) -> Iterator[Event]:
    """Yield events without what only one of the two servers says, whoever translates."""
    for event in events:
        kind = event["type"]
        if kind == "conversation.created" or kind.endswith("audio_transcription.delta"):
            continue
        _forget(event.get("session", {}), "truncation", "prompt", "include", "temperature")
        for place in (
            event.get("session", {}),
            *event.get("session", {}).get("audio", {}).values(),
        ):
            _forget(
                place.get("turn_detection") or {},
                "idle_timeout_ms",
                "create_response",
                "interrupt_response",
            )
        response = event.get("response", {})
        _forget(
            (response.get("usage") or {}).get("input_token_details", {}),
            "image_tokens",
            "cached_tokens_details",
        )
        for item in (event.get("item", {}), *response.get("output", ())):
            _forget(item, "object")
            if item.get("type") == "function_call_output":
                _forget(item, "status")
        if kind == "error":
            _forget(event["error"], "message")
        if kind.endswith("audio_transcription.completed"):
            _forget(event, "usage", "logprobs")
        yield event


def _forget(thing: Event, *names: str) -> None:
    for name in names:
        thing.pop(name, None)


def _response_of(event: Event) -> str:
    return str(event.get("response_id") or event.get("response", {}).get("id"))


def compare(heard: list[Event], witness: list[Event], *, side_by_side: bool = False) -> None:
    """Hold that two clients heard the same.

    The servers tell of rate limits at other times, so that responses side by side take
    other turns; then the order is that of each.
    """
    both = [list(_known_to_both(comparable(events))) for events in (heard, witness)]
    if side_by_side:
        both = [sorted(events, key=_response_of) for events in both]
    for got, expected in zip(*both, strict=False):
        assert got == expected
    assert len(both[0]) == len(both[1])


@pytest.mark.parametrize("name", BETA_TALKS)
def test_a_beta_client(name: str) -> None:
    """A Beta client on a GA upstream hears what the old server would have said to it."""
    script = BETA_TALKS[name]
    heard, witness = play(script, GA, BetaClientTranslator()), play(script, BETA)
    for event in heard:
        if event["type"] == "response.function_call_arguments.done":
            del event["name"]  # the old server did not say it
    compare(heard, witness, side_by_side="side by side" in name)
    kinds = [event["type"] for event in heard]
    assert kinds[:2] == ["session.created", "conversation.created"]
    assert kinds.count("conversation.created") == 1


@pytest.mark.parametrize("name", GA_TALKS)
def test_a_ga_client(name: str) -> None:
    """A GA client on a Beta upstream hears what a server of today would have said to it."""
    script = GA_TALKS[name]
    heard, witness = play(script, BETA, GaClientTranslator()), play(script, GA)
    for event in heard:
        _forget(event.get("response", {}), "temperature")
    compare(heard, witness, side_by_side="side by side" in name)


def test_a_beta_transcription_client() -> None:
    """A transcription client of the Beta hears what it would have heard."""
    heard = play(BETA_TRANSCRIPTION, GA, BetaClientTranslator(), model=None)
    compare(heard, play(BETA_TRANSCRIPTION, BETA, model=None))
    assert heard[0]["type"] == "transcription_session.created"
    assert "conversation.created" not in [event["type"] for event in heard]


def test_a_ga_transcription_client() -> None:
    """A transcription client of today hears what it would have heard, and a usage."""
    heard = play(TRANSCRIPTION, BETA, GaClientTranslator(), model=None)
    assert heard[-1]["usage"] == {"type": "duration", "seconds": 0}
    compare(heard, play(TRANSCRIPTION, GA, model=None))


def test_temperatures_are_told() -> None:
    """A Beta client is told the temperature of its session, and that of its response."""
    wish = {"type": "response.create", "response": {"temperature": 0.90}}
    script: Script = [
        {"type": "session.update", "session": {"temperature": 0.7}},
        user("Hello"),
        wish,
        ALL,
        RESPOND,
        ALL,
    ]
    told = [
        event["response"]["temperature"]
        for event in play(script, GA, BetaClientTranslator())
        if "response" in event
    ]
    assert told == [0.9, 0.9, 0.7, 0.7]
