"""Facts about a GA client on a Beta upstream: each event, both ways, and whole turns."""

import json
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import pytest

from rt_proxy.realtime.dialects import GaClientTranslator, Untranslated
from rt_proxy.realtime.dialects.translator import Translator

Json = dict[str, Any]

PCM = {"type": "audio/pcm", "rate": 24_000}


def sent(translator: Translator, event: Json) -> Json:
    """Return what the upstream gets for a client event; it is one event."""
    events = translator.from_client(json.dumps(event))
    assert isinstance(events, tuple)
    (only,) = events
    translated: Json = json.loads(only)
    return translated


def refused(event: Json) -> str:
    """Return which field of a client event has no counterpart."""
    answer = GaClientTranslator().from_client(json.dumps(event))
    assert isinstance(answer, Untranslated)
    assert answer.message.endswith(".")
    return answer.param


def shown(translator: Translator, event: Json) -> list[Json]:
    """Return what the client gets for an upstream event."""
    return [json.loads(text) for text in translator.from_upstream(json.dumps(event))]


def shown_all(translator: Translator, events: Iterable[Json]) -> list[Json]:
    """Return what the client gets for upstream events, in order."""
    return [one for event in events for one in shown(translator, event)]


def types(events: Iterable[Json]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def message(id_: str | None = "item_1", role: str = "assistant", **more: object) -> Json:
    """Return a message as a Beta upstream shows it."""
    identity = {} if id_ is None else {"id": id_}
    kind = {"object": "realtime.item", "type": "message", "status": "in_progress"}
    return {**identity, **kind, "role": role, "content": [], **more}


def call(id_: str = "item_1", **more: object) -> Json:
    """Return a function call as a Beta upstream shows it."""
    return {"id": id_, "type": "function_call", "status": "in_progress", "call_id": "c1", **more}


def created(item: Json, **more: object) -> Json:
    """Return ``conversation.item.created``."""
    return {
        "type": "conversation.item.created",
        "event_id": "ev_created",
        "previous_item_id": "item_0",
        "item": item,
        **more,
    }


def output_item(step: str, item: Json) -> Json:
    """Return ``response.output_item.added`` or ``response.output_item.done``."""
    return {
        "type": f"response.output_item.{step}",
        "event_id": f"ev_output_{step}",
        "response_id": "resp_1",
        "output_index": 0,
        "item": item,
    }


def response(step: str, id_: str = "resp_1", **more: object) -> Json:
    """Return ``response.created`` or ``response.done``."""
    return {"type": f"response.{step}", "event_id": "ev_r", "response": {"id": id_, **more}}


def deleted(item_id: str = "item_1") -> Json:
    """Return ``conversation.item.deleted``."""
    return {"type": "conversation.item.deleted", "event_id": "ev_d", "item_id": item_id}


class TestFromTheClient:
    """What the upstream gets."""

    def test_a_session_update(self) -> None:
        """Everything that a GA client can say of its session at once."""
        event = {
            "type": "session.update",
            "event_id": "e1",
            "session": {
                "type": "realtime",
                "model": "gpt-realtime",
                "output_modalities": ["audio"],
                "instructions": "Hi",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu"},
                        "transcription": {"model": "whisper-1"},
                        "noise_reduction": None,
                        "turn_detection": {"type": "semantic_vad"},
                    },
                    "output": {"format": PCM, "voice": {"id": "voice_1"}, "speed": 1.5},
                },
                "tools": [{"type": "function", "name": "f"}],
                "tool_choice": {"type": "function", "name": "f"},
                "max_output_tokens": 500,
                "reasoning": {"effort": "low"},
                "parallel_tool_calls": True,
                "truncation": "auto",
                "tracing": "auto",
                "prompt": None,
                "include": None,
            },
        }
        assert sent(GaClientTranslator(), event) == {
            "type": "session.update",
            "event_id": "e1",
            "session": {
                "modalities": ["text", "audio"],
                "instructions": "Hi",
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1"},
                "input_audio_noise_reduction": None,
                "turn_detection": {"type": "semantic_vad"},
                "output_audio_format": "pcm16",
                "voice": "voice_1",
                "speed": 1.5,
                "tools": [{"type": "function", "name": "f"}],
                "tool_choice": {"type": "function", "name": "f"},
                "max_response_output_tokens": 500,
                "tracing": "auto",
                "prompt": None,
                "include": None,
            },
        }

    def test_an_update_of_a_transcription(self) -> None:
        """The event has a name of its own in Beta, and the session no type."""
        event = {
            "type": "session.update",
            "event_id": "e1",
            "session": {
                "type": "transcription",
                "audio": {"input": {"format": PCM, "transcription": {"model": "m"}}},
                "include": ["x"],
            },
        }
        assert sent(GaClientTranslator(), event) == {
            "type": "transcription_session.update",
            "event_id": "e1",
            "session": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "m"},
                "include": ["x"],
            },
        }

    def test_a_response(self) -> None:
        """What is asked of it is flat; its input is translated item by item."""
        event = {
            "type": "response.create",
            "event_id": "e3",
            "response": {
                "output_modalities": ["text"],
                "audio": {"output": {"voice": "verse", "format": PCM}},
                "max_output_tokens": "inf",
                "reasoning": {"effort": "low"},
                "conversation": "none",
                "input": [
                    {"type": "item_reference", "id": "item_0"},
                    message(content=[{"type": "output_text", "text": "Hi"}]),
                ],
            },
        }
        assert sent(GaClientTranslator(), event) == {
            "type": "response.create",
            "event_id": "e3",
            "response": {
                "modalities": ["text"],
                "voice": "verse",
                "output_audio_format": "pcm16",
                "max_response_output_tokens": "inf",
                "conversation": "none",
                "input": [
                    {"type": "item_reference", "id": "item_0"},
                    message(content=[{"type": "text", "text": "Hi"}]),
                ],
            },
        }

    def test_an_item(self) -> None:
        """What an assistant said has its Beta name; all around the item stays."""
        event = {
            "type": "conversation.item.create",
            "event_id": "e2",
            "previous_item_id": "root",
            "item": message(content=[{"type": "output_text", "text": "Hi"}]),
        }
        assert sent(GaClientTranslator(), event) == {
            **event,
            "item": message(content=[{"type": "text", "text": "Hi"}]),
        }

    @pytest.mark.parametrize(
        ("event", "param"),
        [
            (
                {"type": "session.update", "session": {"tools": [{"type": "mcp"}]}},
                "session.tools[0].type",
            ),
            (
                {"type": "response.create", "response": {"tools": [{}, {"type": "mcp"}]}},
                "response.tools[1].type",
            ),
            (
                {
                    "type": "conversation.item.create",
                    "item": message(role="user", content=[{"type": "input_image"}]),
                },
                "item.content[0].type",
            ),
            (
                {"type": "conversation.item.create", "item": {"type": "mcp_approval_response"}},
                "item.type",
            ),
            (
                {"type": "response.create", "response": {"input": [{"type": "mcp_call"}]}},
                "response.input[0].type",
            ),
        ],
    )
    def test_what_has_no_counterpart(self, event: Json, param: str) -> None:
        """It is not sent: the client is told which field, rather than left to wonder."""
        assert refused(event) == param

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "session.update"},
            {"type": "session.update", "session": None},
            {"type": "session.update", "session": {"instructions": "Hi"}},
            {"type": "response.create"},
            {"type": "response.create", "response": {}},
            {"type": "response.create", "response": None},
            {"type": "conversation.item.create"},
            {"type": "conversation.item.create", "item": "x"},
            {"type": "conversation.item.create", "item": {"type": "item_reference", "id": "i"}},
            {"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 1},
            {"type": "conversation.item.delete", "item_id": "i"},
            {"type": "conversation.item.retrieve", "item_id": "i"},
            {"type": "response.cancel", "response_id": "r"},
            {"type": "input_audio_buffer.append", "audio": "AAAA"},
            {"type": "input_audio_buffer.commit"},
            {"type": "input_audio_buffer.clear"},
            {"type": "nonsense", "session": {"audio": {}}},
        ],
        ids=lambda event: json.dumps(event)[:60],
    )
    def test_what_goes_on_as_it_is(self, event: Json) -> None:
        """What is the same in both dialects, or in neither, is not touched."""
        text = json.dumps(event, indent=1)
        assert GaClientTranslator().from_client(text) == (text,)


class TestSessions:
    """What the client is shown of its session."""

    @pytest.mark.parametrize("step", ["created", "updated"])
    def test_a_session(self, step: str) -> None:
        """It is nested and has a type."""
        event = {
            "type": f"session.{step}",
            "event_id": "ev1",
            "session": {
                "id": "sess_1",
                "object": "realtime.session",
                "model": "m",
                "modalities": ["audio", "text"],
                "voice": "alloy",
                "input_audio_format": "pcm16",
                "output_audio_format": "pcm16",
                "input_audio_transcription": None,
                "turn_detection": {"type": "server_vad"},
                "tool_choice": "auto",
                "temperature": 0.8,
                "max_response_output_tokens": "inf",
            },
        }
        assert shown(GaClientTranslator(), event) == [
            {
                "type": f"session.{step}",
                "event_id": "ev1",
                "session": {
                    "type": "realtime",
                    "id": "sess_1",
                    "object": "realtime.session",
                    "model": "m",
                    "output_modalities": ["audio"],
                    "audio": {
                        "input": {
                            "format": PCM,
                            "transcription": None,
                            "turn_detection": {"type": "server_vad"},
                        },
                        "output": {"voice": "alloy", "format": PCM},
                    },
                    "tool_choice": "auto",
                    "temperature": 0.8,
                    "max_output_tokens": "inf",
                },
            }
        ]

    @pytest.mark.parametrize("step", ["created", "updated"])
    @pytest.mark.parametrize(
        ("prefix", "object_"),
        [
            ("transcription_", "realtime.transcription_session"),
            ("transcription_", "realtime.session"),
            ("", "realtime.transcription_session"),
        ],
    )
    def test_a_transcription(self, step: str, prefix: str, object_: str) -> None:
        """Its events are those of a session in GA, and its type says what it is."""
        session = {"object": object_, "input_audio_format": "pcm16"}
        event = {"type": f"{prefix}session.{step}", "event_id": "ev1", "session": session}
        assert shown(GaClientTranslator(), event) == [
            {
                "type": f"session.{step}",
                "event_id": "ev1",
                "session": {
                    "type": "transcription",
                    "object": object_,
                    "audio": {"input": {"format": PCM}},
                },
            }
        ]

    @pytest.mark.parametrize("session", [None, "x", []])
    def test_a_session_that_is_none(self, session: object) -> None:
        """It stays as it is."""
        text = json.dumps({"type": "session.updated", "session": session}, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)

    def test_the_conversation(self) -> None:
        """GA types still have the event, and clients accept it."""
        event = {"type": "conversation.created", "conversation": {"id": "conv_1"}}
        text = json.dumps(event, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)


class TestItems:
    """Beta has one event for an item, GA has two: when it is there, and when it is final."""

    @pytest.mark.parametrize(
        "item",
        [
            message(role="user", status="completed"),
            message(role="system", status="completed"),
            message(role="user", status="in_progress"),
            {"id": "item_1", "type": "function_call_output", "output": "", "status": "in_progress"},
            message(role="assistant", status="completed"),
            call(status="completed"),
            message(None, role="assistant"),
        ],
        ids=lambda item: f"{item.get('role')}-{item['type']}-{item['status']}",
    )
    def test_what_is_final_at_once(self, item: Json) -> None:
        """What no response is writing is added and done; the second event has its own id."""
        added, done = shown(GaClientTranslator(), created(item))
        assert added == {**created(item), "type": "conversation.item.added"}
        assert done == {**added, "type": "conversation.item.done", "event_id": done["event_id"]}
        assert done["event_id"].startswith("event_")

    def test_each_made_up_event_has_its_id(self) -> None:
        """No two events share one."""
        translator = GaClientTranslator()
        events = shown_all(translator, [created(message(f"i{n}", role="user")) for n in range(50)])
        assert len({event["event_id"] for event in events[1::2]}) == 50

    @pytest.mark.parametrize("make", [message, call])
    def test_what_a_response_writes(self, make: Callable[..., Json]) -> None:
        """It is done just before its output is, with all that it has then."""
        translator = GaClientTranslator()
        final = make(status="completed", more=1)
        events = [
            output_item("added", make()),
            created(make()),
            output_item("done", final),
        ]
        got = shown_all(translator, events)
        assert types(got) == [
            "response.output_item.added",
            "conversation.item.added",
            "conversation.item.done",
            "response.output_item.done",
        ]
        assert got[2]["item"] == got[3]["item"] == final
        assert got[2]["previous_item_id"] == "item_0"
        assert got[3]["event_id"] == "ev_output_done"
        assert got[2]["event_id"] not in ("ev_output_done", "ev_created")

    def test_an_item_that_is_announced_before_its_output(self) -> None:
        """Its status says that it is being written."""
        events = [
            created(message()),
            output_item("added", message()),
            output_item("done", message()),
        ]
        assert types(shown_all(GaClientTranslator(), events)) == [
            "conversation.item.added",
            "response.output_item.added",
            "conversation.item.done",
            "response.output_item.done",
        ]

    def test_an_output_without_a_status(self) -> None:
        """That it is the output of a response is enough."""
        bare = {"id": "item_1", "type": "message", "role": "assistant"}
        got = shown_all(GaClientTranslator(), [output_item("added", bare), created(bare)])
        assert types(got) == ["response.output_item.added", "conversation.item.added"]

    def test_an_upstream_that_does_not_end_its_outputs(self) -> None:
        """What is in the response that ends is done before it, once."""
        translator = GaClientTranslator()
        events = [
            output_item("added", message("a")),
            created(message("a")),
            output_item("added", message("b")),
            created(message("b")),
            output_item("done", message("a", status="completed")),
            response("done", output=[message("a"), message("b", status="incomplete"), "x"]),
        ]
        got = shown_all(translator, events)
        assert types(got)[4:] == [
            "conversation.item.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        assert got[6]["item"]["id"] == "b"
        assert got[6]["item"]["status"] == "incomplete"

    def test_each_is_done_once(self) -> None:
        """However often its end is told."""
        events = [
            output_item("added", message()),
            created(message()),
            output_item("done", message()),
            output_item("done", message()),
            response("done", output=[message()]),
            response("done", output=[message()]),
        ]
        assert types(shown_all(GaClientTranslator(), events)).count("conversation.item.done") == 1

    def test_the_previous_item_is_not_made_up(self) -> None:
        """Where the upstream does not say it, the made-up event has null."""
        event = {"type": "conversation.item.created", "item": message(role="user")}
        added, done = shown(GaClientTranslator(), event)
        assert "previous_item_id" not in added
        assert done["previous_item_id"] is None

    def test_an_event_without_an_item(self) -> None:
        """There is nothing that could be done."""
        event = {"type": "conversation.item.created", "event_id": "e"}
        assert types(shown(GaClientTranslator(), event)) == ["conversation.item.added"]

    def test_what_the_assistant_said(self) -> None:
        """It has its GA name in every event with an item."""
        content = [{"type": "audio", "transcript": "Hi"}]
        for event in (
            created(message(content=content)),
            output_item("added", message(content=content)),
            output_item("done", message(content=content)),
            {"type": "conversation.item.retrieved", "item": message(content=content)},
        ):
            (got,) = shown(GaClientTranslator(), event)
            assert got["item"]["content"] == [{"type": "output_audio", "transcript": "Hi"}]
            assert got.get("event_id") == event.get("event_id")

    def test_an_item_that_is_announced_after_its_output(self) -> None:
        """Nothing is to come of it any more."""
        final = message(status="completed")
        events = [output_item("added", message()), output_item("done", final), created(final)]
        assert types(shown_all(GaClientTranslator(), events)) == [
            "response.output_item.added",
            "response.output_item.done",
            "conversation.item.added",
            "conversation.item.done",
        ]

    def test_an_output_that_is_deleted(self) -> None:
        """What is not in the conversation any more is not done."""
        events = [
            output_item("added", message()),
            created(message()),
            deleted(),
            output_item("done", message()),
        ]
        assert types(shown_all(GaClientTranslator(), events))[2:] == [
            "conversation.item.deleted",
            "response.output_item.done",
        ]

    @pytest.mark.parametrize("status", ["completed", None])
    def test_delete_and_create_again(self, status: str | None) -> None:
        """An id that is free again may be that of an item that no response writes."""
        translator = GaClientTranslator()
        begun = [output_item("added", message()), created(message()), deleted()]
        assert types(shown_all(translator, begun)) == [
            "response.output_item.added",
            "conversation.item.added",
            "conversation.item.deleted",
        ]
        again = created(message(status=status))
        assert types(shown(translator, again)) == [
            "conversation.item.added",
            "conversation.item.done",
        ]


class TestResponses:
    """What the client is shown of responses."""

    @pytest.mark.parametrize("step", ["created", "done"])
    @pytest.mark.parametrize(
        ("beta", "ga"),
        [
            ({"modalities": ["text", "audio"]}, {"output_modalities": ["audio"]}),
            ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
            ({"voice": "alloy"}, {"audio": {"output": {"voice": "alloy"}}}),
            ({"output_audio_format": "pcm16"}, {"audio": {"output": {"format": PCM}}}),
            ({"conversation_id": None}, {"conversation_id": None}),
            ({"max_output_tokens": 5}, {"max_output_tokens": 5}),
            ({}, {}),
        ],
    )
    def test_fields(self, step: str, beta: Json, ga: Json) -> None:
        """Each field is where a GA client looks for it; a missing conversation stays missing."""
        always: Json = {"output": [], "status_details": None}
        assert shown(GaClientTranslator(), response(step, **beta)) == [
            response(step, **ga, **always)
        ]

    @pytest.mark.parametrize("value", [None, "x", []])
    def test_a_response_that_is_none(self, value: object) -> None:
        """It stays as it is."""
        for step in ("created", "done"):
            text = json.dumps({"type": f"response.{step}", "response": value}, indent=1)
            assert GaClientTranslator().from_upstream(text) == (text,)

    @pytest.mark.parametrize(
        ("beta", "ga"),
        [
            ("response.text.delta", "response.output_text.delta"),
            ("response.text.done", "response.output_text.done"),
            ("response.audio.delta", "response.output_audio.delta"),
            ("response.audio.done", "response.output_audio.done"),
            ("response.audio_transcript.delta", "response.output_audio_transcript.delta"),
            ("response.audio_transcript.done", "response.output_audio_transcript.done"),
        ],
    )
    def test_events_with_another_name(self, beta: str, ga: str) -> None:
        """The type changes, and nothing else of the event; it is also replaced in passing."""
        rest = '"delta":"\\u00e9","n":1e400'
        assert GaClientTranslator().from_upstream(
            f'{{"event_id":"e1","type":"{beta}",{rest}}}'
        ) == (f'{{"event_id":"e1","type":"{ga}",{rest}}}',)
        assert GaClientTranslator.renamed_in_passing[beta] == ga

    def test_no_other_event_is_replaced_in_passing(self) -> None:
        """Those six are all of which the type alone changes."""
        assert len(GaClientTranslator.renamed_in_passing) == 6

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "response.content_part.added", "part": {"type": "text", "text": ""}},
            {"type": "response.content_part.done", "part": {"type": "audio", "transcript": ""}},
            {"type": "conversation.item.truncated", "item_id": "i", "audio_end_ms": 5},
            {"type": "conversation.item.input_audio_transcription.delta", "delta": "x"},
            {"type": "conversation.item.input_audio_transcription.failed", "error": {}},
            {"type": "input_audio_buffer.committed", "item_id": "i"},
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0},
            {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens"}]},
            {"type": "response.function_call_arguments.delta", "delta": "{"},
            {"type": "conversation.item.added", "item": message()},
            {"type": "nonsense", "session": {"voice": "x"}},
            deleted(),
        ],
        ids=lambda event: event["type"],
    )
    def test_events_that_are_the_same(self, event: Json) -> None:
        """They go on as the very same text."""
        text = json.dumps({"event_id": "e", **event}, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)

    def test_the_path_of_a_field_in_an_error(self) -> None:
        """It is the path that the client knows; all else stays, its own event_id too."""
        error = {"message": "'session.voice'", "param": "session.voice", "event_id": "mine"}
        event = {"type": "error", "event_id": "e", "error": error}
        assert shown(GaClientTranslator(), event) == [
            {**event, "error": {**error, "param": "session.audio.output.voice"}}
        ]
        text = json.dumps({"type": "error", "error": {"param": "session.type"}}, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)


class TestWhatStrictClientsMiss:
    """Fields that GA always has and Beta does not."""

    ARGUMENTS: ClassVar[Json] = {
        "type": "response.function_call_arguments.done",
        "event_id": "e",
        "item_id": "item_1",
        "call_id": "c1",
        "arguments": "{}",
    }

    @pytest.mark.parametrize(
        "ids", [{"item_id": "item_1"}, {"call_id": "c1"}, {"item_id": "other", "call_id": "c1"}]
    )
    def test_the_name_of_a_function(self, ids: Json) -> None:
        """It was told with the item, and is found by the item or by the call."""
        translator = GaClientTranslator()
        shown(translator, output_item("added", call(name="wär")))
        (event,) = shown(translator, {"type": self.ARGUMENTS["type"], **ids})
        assert event == {"type": self.ARGUMENTS["type"], **ids, "name": "wär"}

    @pytest.mark.parametrize("item", [None, call(), call(name=None), call(name=5), message()])
    def test_a_name_that_was_never_told(self, item: Json | None) -> None:
        """It is empty, which is what a strict client can read."""
        translator = GaClientTranslator()
        if item is not None:
            shown(translator, output_item("added", item))
        assert shown(translator, self.ARGUMENTS) == [{**self.ARGUMENTS, "name": ""}]
        assert shown(translator, {**self.ARGUMENTS, "name": None}) == [
            {**self.ARGUMENTS, "name": ""}
        ]

    def test_a_name_that_is_there(self) -> None:
        """It stays."""
        text = json.dumps({**self.ARGUMENTS, "name": "f"}, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)

    def test_calls_side_by_side(self) -> None:
        """Each has its own name."""
        translator = GaClientTranslator()
        for id_ in ("a", "b"):
            shown(translator, output_item("added", call(id_, call_id=f"c{id_}", name=f"f_{id_}")))
        for id_ in ("b", "a"):
            (event,) = shown(translator, {**self.ARGUMENTS, "item_id": id_, "call_id": f"c{id_}"})
            assert event["name"] == f"f_{id_}"

    @pytest.mark.parametrize("usage", [{}, {"usage": None}])
    def test_the_usage_of_a_transcription(self, usage: Json) -> None:
        """One that is not told is a duration of nothing, which is no token of anybody's."""
        event = {
            "type": "conversation.item.input_audio_transcription.completed",
            "event_id": "e",
            "transcript": "Hi",
        }
        assert shown(GaClientTranslator(), {**event, **usage}) == [
            {**event, "usage": {"type": "duration", "seconds": 0}}
        ]

    def test_a_usage_that_is_there(self) -> None:
        """It stays."""
        event = {
            "type": "conversation.item.input_audio_transcription.completed",
            "usage": {"type": "tokens", "total_tokens": 5},
        }
        text = json.dumps(event, indent=1)
        assert GaClientTranslator().from_upstream(text) == (text,)


class TestFlows:
    """Whole turns, in the order in which the upstream tells them."""

    def test_a_turn_of_speech(self) -> None:
        """What a GA client gets of one spoken question and answer."""
        ids = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
        part = {"type": "audio", "transcript": ""}
        turn: list[tuple[Json, list[str]]] = [
            (
                {"type": "input_audio_buffer.speech_started", "item_id": "item_1"},
                ["input_audio_buffer.speech_started"],
            ),
            (
                {"type": "input_audio_buffer.speech_stopped", "item_id": "item_1"},
                ["input_audio_buffer.speech_stopped"],
            ),
            (
                {"type": "input_audio_buffer.committed", "item_id": "item_1"},
                ["input_audio_buffer.committed"],
            ),
            (
                created(message("item_1", "user", status="completed")),
                ["conversation.item.added", "conversation.item.done"],
            ),
            (response("created", status="in_progress"), ["response.created"]),
            (output_item("added", message("item_2")), ["response.output_item.added"]),
            (created(message("item_2")), ["conversation.item.added"]),
            (
                {"type": "response.content_part.added", **ids, "part": part},
                ["response.content_part.added"],
            ),
            (
                {"type": "response.audio_transcript.delta", **ids, "delta": "Hi"},
                ["response.output_audio_transcript.delta"],
            ),
            (
                {"type": "response.audio.delta", **ids, "delta": "AAAA"},
                ["response.output_audio.delta"],
            ),
            ({"type": "response.audio.done", **ids}, ["response.output_audio.done"]),
            (
                {"type": "response.audio_transcript.done", **ids, "transcript": "Hi"},
                ["response.output_audio_transcript.done"],
            ),
            (
                {"type": "response.content_part.done", **ids, "part": part},
                ["response.content_part.done"],
            ),
            (
                output_item("done", message("item_2", status="completed")),
                ["conversation.item.done", "response.output_item.done"],
            ),
            (response("done", output=[message("item_2")]), ["response.done"]),
            ({"type": "rate_limits.updated", "rate_limits": []}, ["rate_limits.updated"]),
        ]
        translator = GaClientTranslator()
        for number, (event, expected) in enumerate(turn):
            got = shown(translator, {"event_id": f"ev{number}", **event})
            assert types(got) == expected
            ids_shown = [one["event_id"] for one in got]
            assert event.get("event_id", f"ev{number}") in ids_shown
            assert len(set(ids_shown)) == len(got)

    def test_out_of_band(self) -> None:
        """A response beside the conversation makes no item of it."""
        output = message("item_9", status="completed")
        events = [
            response("created", conversation_id=None),
            output_item("added", message("item_9")),
            {"type": "response.text.delta", "item_id": "item_9", "delta": "Hi"},
            output_item("done", output),
            response("done", conversation_id=None, output=[output]),
        ]
        assert types(shown_all(GaClientTranslator(), events)) == [
            "response.created",
            "response.output_item.added",
            "response.output_text.delta",
            "response.output_item.done",
            "response.done",
        ]

    def test_responses_side_by_side(self) -> None:
        """Each item is done with its own response's output."""
        events = [
            response("created", "a"),
            response("created", "b"),
            output_item("added", message("item_a")),
            output_item("added", message("item_b")),
            created(message("item_a")),
            created(message("item_b")),
            output_item("done", message("item_b")),
            response("done", "b", output=[message("item_b")]),
            output_item("done", message("item_a")),
            response("done", "a", output=[message("item_a")]),
        ]
        got = shown_all(GaClientTranslator(), events)
        assert [event["item"]["id"] for event in got if "item.done" in event["type"]] == [
            "item_b",
            "item_b",
            "item_a",
            "item_a",
        ]

    def test_an_interruption(self) -> None:
        """The user speaks into the answer: it is cancelled and truncated."""
        spoken = message("item_2", status="incomplete", content=[{"type": "audio"}])
        events = [
            response("created"),
            output_item("added", message("item_2")),
            created(message("item_2")),
            {"type": "response.audio.delta", "delta": "AA=="},
            {"type": "input_audio_buffer.speech_started", "item_id": "item_3"},
            {"type": "response.audio.done"},
            output_item("done", spoken),
            response("done", status="cancelled", output=[spoken]),
            {"type": "conversation.item.truncated", "item_id": "item_2", "audio_end_ms": 700},
            {"type": "input_audio_buffer.committed", "item_id": "item_3"},
            created(message("item_3", "user")),
        ]
        got = shown_all(GaClientTranslator(), events)
        assert types(got) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.output_audio.delta",
            "input_audio_buffer.speech_started",
            "response.output_audio.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "conversation.item.truncated",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert got[6]["item"]["status"] == "incomplete"

    def test_a_tool_is_called(self) -> None:
        """A function call, its output from the client, and the answer to it."""
        output = {"id": "item_2", "type": "function_call_output", "call_id": "c1", "output": "5"}
        events = [
            output_item("added", call(name="f")),
            created(call(name="f")),
            {"type": "response.function_call_arguments.delta", "delta": "{}"},
            TestWhatStrictClientsMiss.ARGUMENTS,
            output_item("done", call(name="f", status="completed")),
            created(output),
            output_item("added", message("item_3")),
            created(message("item_3")),
        ]
        assert types(shown_all(GaClientTranslator(), events)) == [
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "conversation.item.added",
            "conversation.item.done",
            "response.output_item.added",
            "conversation.item.added",
        ]
