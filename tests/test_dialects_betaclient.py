"""Facts about a Beta client on a GA upstream: each event, both ways, and whole turns."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from rt_proxy.realtime.dialects import BetaClientTranslator, Untranslated
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


def shown(translator: Translator, event: Json) -> list[Json]:
    """Return what the client gets for an upstream event."""
    return [json.loads(text) for text in translator.from_upstream(json.dumps(event))]


def shown_all(translator: Translator, events: Iterable[Json]) -> list[Json]:
    """Return what the client gets for upstream events, in order."""
    return [one for event in events for one in shown(translator, event)]


def types(events: Iterable[Json]) -> list[str]:
    """Return the types of events."""
    return [event["type"] for event in events]


def passes_both_ways(event: Json) -> None:
    """Check that an event goes on as the very same text, from whichever side it comes."""
    text = json.dumps(event, indent=1)
    assert BetaClientTranslator().from_upstream(text) == (text,)
    assert BetaClientTranslator().from_client(text) == (text,)


def session_created(**session: object) -> Json:
    """Return the first event of a GA upstream."""
    session = {"type": "realtime", "object": "realtime.session", "id": "sess_1", **session}
    return {"type": "session.created", "event_id": "ev1", "session": session}


def update(**session: object) -> Json:
    """Return a ``session.update``."""
    return {"type": "session.update", "event_id": "e1", "session": session}


def item(id_: str | None = "item_1", role: str = "assistant", **more: object) -> Json:
    """Return a message as a GA upstream shows it."""
    identity = {} if id_ is None else {"id": id_}
    return {**identity, "type": "message", "status": "in_progress", "role": role, **more}


def added(id_: str | None = "item_1", role: str = "assistant", **more: object) -> Json:
    """Return ``conversation.item.added``."""
    return {
        "type": "conversation.item.added",
        "event_id": f"ev_added_{id_}",
        "previous_item_id": None,
        "item": item(id_, role, content=[], **more),
    }


def done(id_: str | None = "item_1", role: str = "assistant") -> Json:
    """Return ``conversation.item.done``."""
    return {**added(id_, role, status="completed"), "type": "conversation.item.done"}


def response(step: str, id_: str = "resp_1", **more: object) -> Json:
    """Return ``response.created`` or ``response.done``."""
    return {"type": f"response.{step}", "event_id": "ev_r", "response": {"id": id_, **more}}


class TestVectors:
    """Events of real sessions, translated whole."""

    def test_a_session_update(self) -> None:
        """Everything that a Beta client can say of its session at once."""
        translator = BetaClientTranslator()
        beta = {
            "type": "session.update",
            "event_id": "e1",
            "session": {
                "modalities": ["text", "audio"],
                "voice": "alloy",
                "input_audio_format": "g711_ulaw",
                "output_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1"},
                "input_audio_noise_reduction": None,
                "turn_detection": None,
                "temperature": 0.7,
                "max_response_output_tokens": 500,
                "tool_choice": {"type": "function", "function": {"name": "f"}},
                "tools": [{"type": "function", "name": "f", "parameters": {}}],
            },
        }
        ga = {
            "type": "session.update",
            "event_id": "e1",
            "session": {
                "type": "realtime",
                "output_modalities": ["audio"],
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu"},
                        "transcription": {"model": "whisper-1"},
                        "noise_reduction": None,
                        "turn_detection": None,
                    },
                    "output": {"format": PCM, "voice": "alloy"},
                },
                "max_output_tokens": 500,
                "tool_choice": {"type": "function", "name": "f"},
                "tools": [{"type": "function", "name": "f", "parameters": {}}],
            },
        }
        assert sent(translator, beta) == ga
        (answer,) = shown(translator, {**ga, "type": "session.updated"})
        assert answer["session"]["temperature"] == 0.7

    def test_an_update_of_a_transcription(self) -> None:
        """The event has another name in GA, and the session a type."""
        beta = {
            "type": "transcription_session.update",
            "session": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
                "include": ["item.input_audio_transcription.logprobs"],
            },
        }
        assert sent(BetaClientTranslator(), beta) == {
            "type": "session.update",
            "session": {
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": PCM,
                        "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                        "turn_detection": {"type": "server_vad", "threshold": 0.5},
                    }
                },
                "include": ["item.input_audio_transcription.logprobs"],
            },
        }

    def test_the_end_of_a_response(self) -> None:
        """The response is flat, its items have their Beta names and their ``object``."""
        ga = {
            "type": "response.done",
            "event_id": "ev9",
            "response": {
                "object": "realtime.response",
                "id": "resp_1",
                "status": "completed",
                "status_details": None,
                "output": [
                    {
                        "id": "item_2",
                        "type": "message",
                        "status": "completed",
                        "role": "assistant",
                        "content": [{"type": "output_audio", "transcript": "Hi"}],
                    }
                ],
                "conversation_id": "conv_1",
                "output_modalities": ["audio"],
                "max_output_tokens": "inf",
                "audio": {"output": {"format": PCM, "voice": "alloy"}},
                "usage": {"total_tokens": 10},
                "metadata": None,
            },
        }
        beta = {
            "type": "response.done",
            "event_id": "ev9",
            "response": {
                "object": "realtime.response",
                "id": "resp_1",
                "status": "completed",
                "status_details": None,
                "output": [
                    {
                        "id": "item_2",
                        "object": "realtime.item",
                        "type": "message",
                        "status": "completed",
                        "role": "assistant",
                        "content": [{"type": "audio", "transcript": "Hi"}],
                    }
                ],
                "conversation_id": "conv_1",
                "modalities": ["text", "audio"],
                "max_output_tokens": "inf",
                "voice": "alloy",
                "output_audio_format": "pcm16",
                "temperature": 0.8,
                "usage": {"total_tokens": 10},
                "metadata": None,
            },
        }
        assert shown(BetaClientTranslator(), ga) == [beta]

    def test_a_turn_of_speech(self) -> None:
        """Event by event, what a Beta client gets of one spoken question and answer."""
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
                {
                    "type": "input_audio_buffer.committed",
                    "item_id": "item_1",
                    "previous_item_id": None,
                },
                ["input_audio_buffer.committed"],
            ),
            (added("item_1", "user"), ["conversation.item.created"]),
            (done("item_1", "user"), []),
            (response("created", status="in_progress", output=[]), ["response.created"]),
            (
                {"type": "response.output_item.added", "item": item("item_2", content=[])},
                ["response.output_item.added"],
            ),
            (added("item_2"), ["conversation.item.created"]),
            (
                {"type": "response.content_part.added", **ids, "part": part},
                ["response.content_part.added"],
            ),
            (
                {"type": "response.output_audio_transcript.delta", **ids, "delta": "Hi"},
                ["response.audio_transcript.delta"],
            ),
            (
                {"type": "response.output_audio.delta", **ids, "delta": "AAAA"},
                ["response.audio.delta"],
            ),
            ({"type": "response.output_audio.done", **ids}, ["response.audio.done"]),
            (
                {"type": "response.output_audio_transcript.done", **ids, "transcript": "Hi"},
                ["response.audio_transcript.done"],
            ),
            (
                {"type": "response.content_part.done", **ids, "part": part},
                ["response.content_part.done"],
            ),
            (done("item_2"), []),
            (
                {"type": "response.output_item.done", "item": item("item_2", content=[])},
                ["response.output_item.done"],
            ),
            (response("done", output=[item("item_2")]), ["response.done"]),
            ({"type": "rate_limits.updated", "rate_limits": []}, ["rate_limits.updated"]),
        ]
        translator = BetaClientTranslator()
        for number, (event, expected) in enumerate(turn):
            got = shown(translator, {"event_id": f"ev{number}", **event})
            assert types(got) == expected
            assert {one["event_id"] for one in got} <= {event.get("event_id", f"ev{number}")}


class TestFromTheClient:
    """What the upstream gets."""

    def test_an_item(self) -> None:
        """An assistant's text is called ``output_text``; all around the item stays."""
        event = {
            "type": "conversation.item.create",
            "event_id": "e2",
            "previous_item_id": "root",
            "item": item(content=[{"type": "text", "text": "Hi"}]),
        }
        assert sent(BetaClientTranslator(), event) == {
            **event,
            "item": item(content=[{"type": "output_text", "text": "Hi"}]),
        }

    def test_a_response(self) -> None:
        """What is asked of it is nested; its input is translated item by item."""
        event = {
            "type": "response.create",
            "event_id": "e3",
            "response": {
                "modalities": ["audio", "text"],
                "voice": "verse",
                "temperature": 0.9,
                "max_response_output_tokens": "inf",
                "conversation": "none",
                "metadata": {"topic": "x"},
                "input": [
                    {"type": "message", "content": [{"type": "item_reference", "id": "item_0"}]},
                    item(content=[{"type": "text", "text": "Hi"}]),
                    item(role="user", content=[{"type": "text", "text": "Hi"}]),
                ],
            },
        }
        assert sent(BetaClientTranslator(), event) == {
            "type": "response.create",
            "event_id": "e3",
            "response": {
                "output_modalities": ["audio"],
                "audio": {"output": {"voice": "verse"}},
                "max_output_tokens": "inf",
                "conversation": "none",
                "metadata": {"topic": "x"},
                "input": [
                    {"type": "item_reference", "id": "item_0"},
                    item(content=[{"type": "output_text", "text": "Hi"}]),
                    item(role="user", content=[{"type": "input_text", "text": "Hi"}]),
                ],
            },
        }

    def test_what_has_no_counterpart(self) -> None:
        """A reference beside other content is not sent: the client is told why."""
        reference = {"type": "item_reference", "id": "item_0"}
        event = {"type": "response.create", "response": {"input": [{"content": [reference] * 2}]}}
        answer = BetaClientTranslator().from_client(json.dumps(event))
        assert isinstance(answer, Untranslated)
        assert answer.param == "response.input[0].content[0]"

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "response.create"},
            {"type": "response.create", "response": {}},
            {"type": "response.create", "response": None},
            {"type": "session.update"},
            {"type": "session.update", "session": None},
            {"type": "session.update", "session": "x"},
            {"type": "transcription_session.update"},
            {"type": "transcription_session.update", "session": []},
            {"type": "conversation.item.create"},
            {"type": "conversation.item.create", "item": None},
            {"type": "conversation.item.create", "item": {"type": "item_reference", "id": "i"}},
            {"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": 1},
            {"type": "conversation.item.delete", "item_id": "i"},
            {"type": "conversation.item.retrieve", "item_id": "i"},
            {"type": "response.cancel", "response_id": "r"},
            {"type": "input_audio_buffer.append", "audio": "AAAA"},
            {"type": "input_audio_buffer.commit"},
            {"type": "input_audio_buffer.clear"},
            {"type": "output_audio_buffer.clear"},
            {"type": "nonsense", "session": {"voice": "x"}},
        ],
        ids=lambda event: json.dumps(event)[:60],
    )
    def test_what_goes_on_as_it_is(self, event: Json) -> None:
        """What is the same in both dialects, or in neither, is not touched."""
        text = json.dumps(event, indent=1)
        assert BetaClientTranslator().from_client(text) == (text,)

    def test_an_update_leaves_nothing_that_ga_refuses(self) -> None:
        """One Beta key at the top would lose the whole update, and so would a missing type."""
        refused = {
            "modalities", "voice", "input_audio_format", "output_audio_format", "speed",
            "input_audio_transcription", "input_audio_noise_reduction", "turn_detection",
            "max_response_output_tokens", "temperature", "id", "object", "expires_at",
            "client_secret",
        }  # fmt: skip
        session = sent(BetaClientTranslator(), update(**dict.fromkeys(refused)))["session"]
        assert session["type"] == "realtime"
        assert refused.isdisjoint(session)
        nested = {"format", "transcription", "noise_reduction", "turn_detection"}
        assert session["audio"]["input"].keys() == nested
        assert session["audio"]["output"].keys() == {"format", "voice", "speed"}

    def test_a_session_that_is_echoed(self) -> None:
        """A client may send back the session that it was shown: GA accepts every key of it."""
        translator = BetaClientTranslator()
        session = {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_1",
            "expires_at": 1_789_728_574,
            "model": "m",
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": PCM, "transcription": None, "turn_detection": None},
                "output": {"format": PCM, "voice": "marin", "speed": 1.0},
            },
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "truncation": "auto",
        }
        seen, _ = shown(translator, session_created(**session))
        echoed = sent(translator, {"type": "session.update", "session": seen["session"]})
        assert echoed["session"] == {
            name: value
            for name, value in session.items()
            if name not in ("object", "id", "expires_at")
        }


class TestSessions:
    """What the client is shown of its session, and of its conversation."""

    def test_a_conversation_follows_the_session(self) -> None:
        """GA does not announce it; clients of the Beta may wait for it."""
        session, conversation = shown(BetaClientTranslator(), session_created())
        assert session == {
            "type": "session.created",
            "event_id": "ev1",
            "session": {"object": "realtime.session", "id": "sess_1", "temperature": 0.8},
        }
        assert types([conversation]) == ["conversation.created"]
        assert conversation.keys() == {"type", "event_id", "conversation"}
        assert conversation["conversation"].keys() == {"id", "object"}
        assert conversation["conversation"]["object"] == "realtime.conversation"
        assert conversation["conversation"]["id"].startswith("conv_")
        assert conversation["event_id"].startswith("event_")

    def test_each_conversation_has_its_id(self) -> None:
        """No two sessions share the ids that are made up here."""
        made = [shown(BetaClientTranslator(), session_created())[1] for _ in range(50)]
        assert len({event["event_id"] for event in made}) == 50
        assert len({event["conversation"]["id"] for event in made}) == 50

    def test_only_once(self) -> None:
        """A second ``session.created`` begins no second conversation."""
        translator = BetaClientTranslator()
        events = [session_created(), session_created()]
        assert types(shown_all(translator, events)) == [
            "session.created",
            "conversation.created",
            "session.created",
        ]

    @pytest.mark.parametrize("session", [{"type": "realtime"}, {"output_modalities": ["text"]}])
    def test_what_shows_that_an_upstream_is_of_ga(self, session: Json) -> None:
        """Its session has a type, or modalities by their name in GA."""
        event = {"type": "session.created", "event_id": "ev1", "session": session}
        got = shown(BetaClientTranslator(), event)
        assert types(got) == ["session.created", "conversation.created"]

    @pytest.mark.parametrize("made_up", [True, False])
    def test_an_upstreams_own_conversation(self, made_up: bool) -> None:
        """It is shown unless one was made up before; there is one conversation."""
        own = {"type": "conversation.created", "event_id": "x", "conversation": {"id": "conv_1"}}
        translator = BetaClientTranslator()
        if made_up:
            shown(translator, session_created())
        assert shown(translator, own) == ([] if made_up else [own])
        assert shown(translator, own) == []

    def test_an_upstreams_own_conversation_comes_first(self) -> None:
        """After the upstream's own none is made up."""
        own = {"type": "conversation.created", "event_id": "x", "conversation": {"id": "conv_1"}}
        assert types(shown_all(BetaClientTranslator(), [own, session_created()])) == [
            "conversation.created",
            "session.created",
        ]

    @pytest.mark.parametrize(
        "session",
        [
            {"type": "transcription"},
            {"type": "realtime", "object": "realtime.transcription_session"},
        ],
    )
    @pytest.mark.parametrize("step", ["created", "updated"])
    def test_a_transcription(self, session: Json, step: str) -> None:
        """Its events have names of their own in Beta, and it has no conversation."""
        event = {"type": f"session.{step}", "event_id": "ev1", "session": session}
        (only,) = shown(BetaClientTranslator(), event)
        assert only["type"] == f"transcription_session.{step}"
        assert only["event_id"] == "ev1"
        assert "type" not in only["session"]
        assert "temperature" not in only["session"]

    @pytest.mark.parametrize(
        "session", [{}, {"object": "realtime.session", "modalities": ["text"], "temperature": 1}]
    )
    def test_a_session_that_is_not_of_ga(self, session: Json) -> None:
        """An upstream that does not show GA announces its conversation itself."""
        event = {"type": "session.created", "event_id": "ev1", "session": session}
        assert types(shown(BetaClientTranslator(), event)) == ["session.created"]

    @pytest.mark.parametrize("session", [None, "x", []])
    def test_a_session_that_is_none(self, session: object) -> None:
        """It stays as it is."""
        event = {"type": "session.created", "event_id": "ev1", "session": session}
        text = json.dumps(event, indent=1)
        assert BetaClientTranslator().from_upstream(text) == (text,)

    def test_an_update_before_the_session_is_there(self) -> None:
        """A client need not wait for ``session.created``."""
        translator = BetaClientTranslator()
        assert sent(translator, update(temperature=0.6))["session"] == {"type": "realtime"}
        session, _ = shown(translator, session_created())
        assert session["session"]["temperature"] == 0.6


class TestFoundOutLate:
    """A client that has seen ``session.created`` in GA, and is known to speak Beta only now."""

    def test_the_conversation_comes_before_the_next_event(self) -> None:
        """It is owed, once."""
        translator = BetaClientTranslator(owes_conversation=True)
        updated = {"type": "session.updated", "event_id": "u", "session": {"type": "realtime"}}
        assert types(shown_all(translator, [updated, updated])) == [
            "conversation.created",
            "session.updated",
            "session.updated",
        ]

    def test_before_an_event_that_is_dropped(self) -> None:
        """What stands for nothing still lets it out."""
        translator = BetaClientTranslator(owes_conversation=True)
        dropped = {"type": "input_audio_buffer.timeout_triggered"}
        assert types(shown(translator, dropped)) == ["conversation.created"]
        assert shown(translator, dropped) == []

    def test_no_other_one(self) -> None:
        """Neither another session nor the upstream's own conversation makes it two."""
        translator = BetaClientTranslator(owes_conversation=True)
        own = {"type": "conversation.created", "conversation": {"id": "conv_1"}}
        assert types(shown_all(translator, [own, session_created(), own])) == [
            "conversation.created",
            "session.created",
        ]

    def test_an_item_that_was_added_before(self) -> None:
        """An item whose ``added`` was shown as GA is shown as created by its ``done``."""
        translator = BetaClientTranslator(owes_conversation=True)
        events = [done("item_1"), done("item_1")]
        assert types(shown_all(translator, events)) == [
            "conversation.created",
            "conversation.item.created",
        ]


class TestItems:
    """What the client is shown of the items of its conversation."""

    def test_when_it_is_added(self) -> None:
        """Beta has one event for an item, when it is there; what comes later is dropped."""
        translator = BetaClientTranslator()
        assert shown(translator, added()) == [
            {
                "type": "conversation.item.created",
                "event_id": "ev_added_item_1",
                "previous_item_id": None,
                "item": {**item(content=[]), "object": "realtime.item"},
            }
        ]
        assert shown(translator, done()) == []

    def test_an_item_of_which_only_the_end_is_told(self) -> None:
        """It is shown when it is first heard of, with its content."""
        event = {**done(), "item": item(content=[{"type": "output_text", "text": "Hi"}])}
        (created,) = shown(BetaClientTranslator(), event)
        assert created["type"] == "conversation.item.created"
        assert created["item"]["content"] == [{"type": "text", "text": "Hi"}]

    def test_an_upstream_that_has_both_events(self) -> None:
        """One that also sends Beta's own event does not show the item twice."""
        own = {**added(), "type": "conversation.item.created"}
        for events in ([added(), own, done()], [own, added(), done()]):
            translator = BetaClientTranslator()
            assert types(shown_all(translator, events)) == ["conversation.item.created"]

    def test_the_previous_item(self) -> None:
        """GA may leave it out where Beta had null; one that is there stays."""
        without = {key: value for key, value in added().items() if key != "previous_item_id"}
        (first,) = shown(BetaClientTranslator(), without)
        assert first["previous_item_id"] is None
        (second,) = shown(BetaClientTranslator(), {**without, "previous_item_id": "item_0"})
        assert second["previous_item_id"] == "item_0"

    def test_the_previous_item_of_a_commit(self) -> None:
        """The same holds for what was committed."""
        event = {"type": "input_audio_buffer.committed", "event_id": "e", "item_id": "item_1"}
        assert shown(BetaClientTranslator(), event) == [{**event, "previous_item_id": None}]
        passed = {**event, "previous_item_id": "item_0"}
        assert shown(BetaClientTranslator(), passed) == [passed]

    def test_an_item_without_an_id(self) -> None:
        """It cannot be told from others: each ``added`` is shown, and no ``done``."""
        translator = BetaClientTranslator()
        events = [added(None), done(None), added(None)]
        assert types(shown_all(translator, events)) == ["conversation.item.created"] * 2

    @pytest.mark.parametrize("more", [{}, {"item": None}, {"item": "x"}])
    def test_an_event_without_an_item(self, more: Json) -> None:
        """The event alone is renamed."""
        event = {"type": "conversation.item.added", "event_id": "e", **more}
        assert shown(BetaClientTranslator(), event) == [
            {**event, "type": "conversation.item.created", "previous_item_id": None}
        ]

    def test_delete_and_create_again(self) -> None:
        """An id that is free again may be that of another item."""
        translator = BetaClientTranslator()
        deleted = {"type": "conversation.item.deleted", "event_id": "e", "item_id": "item_1"}
        events = [added(), done(), deleted, added(), done()]
        assert types(shown_all(translator, events)) == [
            "conversation.item.created",
            "conversation.item.deleted",
            "conversation.item.created",
        ]

    @pytest.mark.parametrize(
        "type_",
        ["conversation.item.retrieved", "response.output_item.added", "response.output_item.done"],
    )
    def test_other_events_with_an_item(self, type_: str) -> None:
        """They keep their names; the item is translated."""
        audio = {"type": "output_audio", "audio": "AA==", "transcript": "Hi"}
        event = {"type": type_, "event_id": "e", "output_index": 0, "item": item(content=[audio])}
        beta = item(content=[{**audio, "type": "audio"}], object="realtime.item")
        assert shown(BetaClientTranslator(), event) == [{**event, "item": beta}]

    def test_a_function_call(self) -> None:
        """It is an item like others; the name with its arguments is harmless."""
        call = {"id": "item_1", "type": "function_call", "name": "f", "call_id": "c"}
        event = {**added(), "item": call}
        (created,) = shown(BetaClientTranslator(), event)
        assert created["item"] == {**call, "object": "realtime.item"}
        arguments = {"type": "response.function_call_arguments.done", "name": "f"}
        assert shown(BetaClientTranslator(), arguments) == [arguments]


class TestResponses:
    """What the client is shown of responses."""

    @pytest.mark.parametrize("step", ["created", "done"])
    @pytest.mark.parametrize(
        ("ga", "beta"),
        [
            ({"output_modalities": ["audio"]}, {"modalities": ["text", "audio"]}),
            ({"output_modalities": ["text"]}, {"modalities": ["text"]}),
            ({"audio": {"output": {"voice": "alloy"}}}, {"voice": "alloy"}),
            ({"audio": {"output": {"voice": {"id": "v"}}}}, {"voice": "v"}),
            ({"audio": {"output": {"format": PCM}}}, {"output_audio_format": "pcm16"}),
            ({"conversation_id": None}, {"conversation_id": None}),
            ({"usage": None}, {"usage": None}),
            ({"max_output_tokens": 5}, {"max_output_tokens": 5}),
        ],
    )
    def test_fields(self, step: str, ga: Json, beta: Json) -> None:
        """Each field is where a Beta client looks for it."""
        assert shown(BetaClientTranslator(), response(step, **ga)) == [
            response(step, **beta, temperature=0.8)
        ]

    @pytest.mark.parametrize("value", [None, "x", []])
    def test_a_response_that_is_none(self, value: object) -> None:
        """It stays as it is."""
        for step in ("created", "done"):
            text = json.dumps({"type": f"response.{step}", "response": value}, indent=1)
            assert BetaClientTranslator().from_upstream(text) == (text,)

    @pytest.mark.parametrize(
        ("ga", "beta"),
        [
            ("response.output_text.delta", "response.text.delta"),
            ("response.output_text.done", "response.text.done"),
            ("response.output_audio.delta", "response.audio.delta"),
            ("response.output_audio.done", "response.audio.done"),
            ("response.output_audio_transcript.delta", "response.audio_transcript.delta"),
            ("response.output_audio_transcript.done", "response.audio_transcript.done"),
        ],
    )
    def test_events_with_another_name(self, ga: str, beta: str) -> None:
        """The type changes, and nothing else of the event; it is also replaced in passing."""
        rest = '"event_id":"e1","delta":"\\u00e9","n":1e400'
        assert BetaClientTranslator().from_upstream(f'{{"type":"{ga}",{rest}}}') == (
            f'{{"type":"{beta}",{rest}}}',
        )
        assert BetaClientTranslator.renamed_in_passing[ga] == beta

    def test_no_other_event_is_replaced_in_passing(self) -> None:
        """Those six are all of which the type alone changes."""
        assert len(BetaClientTranslator.renamed_in_passing) == 6

    @pytest.mark.parametrize(
        "event",
        [
            {"type": f"response.content_part.{step}", "part": {"type": kind, "text": "Hi"}}
            for step in ("added", "done")
            for kind in ("text", "audio")
        ]
        + [
            {"type": "conversation.item.truncated", "item_id": "i", "audio_end_ms": 5},
            {"type": "conversation.item.input_audio_transcription.delta", "delta": "x"},
            {"type": "conversation.item.input_audio_transcription.completed", "usage": {}},
            {"type": "conversation.item.input_audio_transcription.segment", "text": "x"},
            {
                "type": "conversation.item.input_audio_transcription.failed",
                "error": {"param": "session.audio.output.voice"},
            },
            {"type": "input_audio_buffer.cleared"},
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0},
            {"type": "output_audio_buffer.started"},
            {"type": "output_audio_buffer.cleared"},
            {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens"}]},
            {"type": "response.function_call_arguments.delta", "delta": "{"},
            {"type": "response.function_call_arguments.done", "name": "f"},
            {"type": "response.mcp_call_arguments.delta", "delta": "{"},
            {"type": "response.mcp_call.in_progress", "item_id": "i"},
            {"type": "mcp_list_tools.completed", "item_id": "i"},
            {"type": "transcription_session.updated", "session": {"voice": 1}},
            {"type": "nonsense", "session": {"audio": {}}},
        ],
        ids=lambda event: event["type"],
    )
    def test_events_that_are_the_same(self, event: Json) -> None:
        """They go on as the very same text; a part of ``content_part`` is not renamed."""
        passes_both_ways({"event_id": "e", **event})

    @pytest.mark.parametrize(
        "type_",
        ["input_audio_buffer.timeout_triggered", "input_audio_buffer.dtmf_event_received"],
    )
    def test_events_that_beta_does_not_have(self, type_: str) -> None:
        """They are dropped: a client that knows all of its events would fail."""
        assert shown(BetaClientTranslator(), {"type": type_, "event_id": "e"}) == []


class TestTemperature:
    """GA has none; a Beta client is told the one that it asked for."""

    def test_before_any_was_asked_for(self) -> None:
        """Beta's default was 0.8."""
        translator = BetaClientTranslator()
        events = shown_all(translator, [session_created(), response("created"), response("done")])
        session, _conversation, begun, ended = events
        assert session["session"]["temperature"] == 0.8
        assert begun["response"]["temperature"] == ended["response"]["temperature"] == 0.8

    @pytest.mark.parametrize("written", ["0.70", "1", "6E-1", "0." + "7" * 30])
    def test_to_the_letter(self, written: str) -> None:
        """It is told as it was asked for."""
        translator = BetaClientTranslator()
        translator.from_client(f'{{"type":"session.update","session":{{"temperature":{written}}}}}')
        (text,) = translator.from_upstream('{"type":"response.created","response":{}}')
        assert text == f'{{"type":"response.created","response":{{"temperature":{written}}}}}'

    @pytest.mark.parametrize(
        "odd", ["null", '"0.5"', "true", "[0.5]", "-1", "NaN", "9" * 33, '{"a":1}']
    )
    def test_what_is_none(self, odd: str) -> None:
        """What is no plain number changes nothing."""
        translator = BetaClientTranslator()
        sent(translator, update(temperature=0.6))
        translator.from_client(f'{{"type":"session.update","session":{{"temperature":{odd}}}}}')
        sent(translator, update(voice="x"))
        (event,) = shown(translator, response("created"))
        assert event["response"]["temperature"] == 0.6

    def test_of_one_response(self) -> None:
        """The response that was asked for with one has it to its end; others have the session's."""
        translator = BetaClientTranslator()
        sent(translator, update(temperature=0.6))
        sent(translator, {"type": "response.create", "response": {"temperature": 1.1}})
        events = [
            response("created", "a"),
            response("created", "b"),
            response("done", "b"),
            response("done", "a"),
            response("done", "a"),
        ]
        told = [event["response"]["temperature"] for event in shown_all(translator, events)]
        assert told == [1.1, 0.6, 0.6, 1.1, 0.6]

    def test_a_later_request_without_one(self) -> None:
        """It has the session's, not that of the request before."""
        translator = BetaClientTranslator()
        sent(translator, {"type": "response.create", "response": {"temperature": 1.1}})
        sent(translator, {"type": "response.create"})
        (event,) = shown(translator, response("created"))
        assert event["response"]["temperature"] == 0.8

    def test_of_a_request_that_went_nowhere(self) -> None:
        """A request that is refused here asks for nothing."""
        translator = BetaClientTranslator()
        reference = {"type": "item_reference", "id": "item_0"}
        asked = {"temperature": 1.1, "input": [{"content": [reference] * 2}]}
        refused = {"type": "response.create", "response": asked}
        assert isinstance(translator.from_client(json.dumps(refused)), Untranslated)
        (event,) = shown(translator, response("created"))
        assert event["response"]["temperature"] == 0.8


class TestErrors:
    """An error of the upstream, as its client can read it."""

    def test_the_path_of_a_field(self) -> None:
        """It is the path that the client knows; message, code and event_id stay."""
        error = {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": "Invalid value: 'x'. See 'session.audio.output.voice'.",
            "param": "session.audio.output.voice",
            "event_id": "e1",
        }
        event = {"type": "error", "event_id": "ev1", "error": error}
        assert shown(BetaClientTranslator(), event) == [
            {**event, "error": {**error, "param": "session.voice"}}
        ]

    @pytest.mark.parametrize("param", [None, "session.model", "item.content[0].type", "type", 5])
    def test_any_other_error(self, param: object) -> None:
        """It goes on as the very same text, whether anybody treats it as fatal or not."""
        error = {"code": "response_cancel_not_active", "message": "No.", "param": param}
        text = json.dumps({"type": "error", "event_id": "ev1", "error": error}, indent=1)
        assert BetaClientTranslator().from_upstream(text) == (text,)


class TestPoints:
    """What is lossy, ambiguous or easily got wrong between the dialects, one by one."""

    def test_text_and_audio_become_audio(self) -> None:
        """Audio has its transcript in GA too, and both at once are refused there."""
        session = sent(BetaClientTranslator(), update(modalities=["text", "audio"]))["session"]
        assert session == {"type": "realtime", "output_modalities": ["audio"]}

    def test_one_response_in_text_and_then_audio_again(self) -> None:
        """Each response has its own modalities."""
        translator = BetaClientTranslator()
        asked = [
            sent(translator, {"type": "response.create", "response": {"modalities": modalities}})
            for modalities in (["text"], ["audio", "text"])
        ]
        assert [event["response"]["output_modalities"] for event in asked] == [["text"], ["audio"]]

    def test_another_voice_after_the_first_audio(self) -> None:
        """Both dialects answer it with an error, which passes."""
        passes_both_ways({"type": "error", "error": {"code": "cannot_update_voice", "param": None}})

    def test_a_created_item_may_be_empty(self) -> None:
        """As in Beta, an assistant's item has no content yet when it is created."""
        (event,) = shown(BetaClientTranslator(), added())
        assert event["item"]["content"] == []
        assert event["item"]["status"] == "in_progress"

    def test_a_users_audio_is_not_waited_for(self) -> None:
        """Its item is shown before there is a transcript."""
        translator = BetaClientTranslator()
        transcript = {
            "type": "conversation.item.input_audio_transcription.completed",
            "event_id": "t",
            "item_id": "item_1",
            "transcript": "Hi",
        }
        events = [added("item_1", "user"), done("item_1", "user"), transcript]
        assert types(shown_all(translator, events)) == [
            "conversation.item.created",
            "conversation.item.input_audio_transcription.completed",
        ]

    def test_the_status_of_a_users_item(self) -> None:
        """It is completed in both."""
        (event,) = shown(BetaClientTranslator(), added("item_1", "user", status="completed"))
        assert event["item"]["status"] == "completed"

    def test_audio_without_its_bytes(self) -> None:
        """The part is renamed and nothing is added to it."""
        spoken = item(content=[{"type": "output_audio", "transcript": "Hi"}])
        (event,) = shown(BetaClientTranslator(), response("done", output=[spoken]))
        assert event["response"]["output"][0]["content"] == [{"type": "audio", "transcript": "Hi"}]

    def test_an_errors_event_id_is_the_clients(self) -> None:
        """Clients find their request by it."""
        error = {"param": "session.output_modalities", "event_id": "mine"}
        (event,) = shown(BetaClientTranslator(), {"type": "error", "error": error})
        assert event["error"] == {"param": "session.modalities", "event_id": "mine"}

    def test_a_cancel_without_a_response(self) -> None:
        """The request and the error that answers it pass."""
        passes_both_ways({"type": "response.cancel"})
        passes_both_ways({"type": "error", "error": {"code": "response_cancel_not_active"}})

    def test_ids_are_never_rewritten(self) -> None:
        """Clients truncate and retrieve by the ids that they were shown."""
        translator = BetaClientTranslator()
        ids = {"response_id": "r", "item_id": "i", "previous_item_id": "p", "call_id": "c"}
        for type_ in translator.upstream_handlers:
            event = {"type": type_, "event_id": "e", **ids, "item": {"id": f"i_{type_}"}}
            for text in BetaClientTranslator().from_upstream(json.dumps(event)):
                got = json.loads(text)
                assert {key: got[key] for key in ids} == ids
                assert got["event_id"] == "e"
                assert got["item"]["id"] == f"i_{type_}"

    def test_no_temperature_ever_goes_upstream(self) -> None:
        """Neither of the session nor of a response."""
        translator = BetaClientTranslator()
        for event in (
            update(temperature=0.7),
            {"type": "transcription_session.update", "session": {"temperature": 0.7}},
            {"type": "response.create", "response": {"temperature": 0.7}},
        ):
            assert "temperature" not in json.dumps(sent(translator, event))


class TestFlows:
    """More than one thing at a time, in the order in which the upstream tells it."""

    def test_out_of_band(self) -> None:
        """A response beside the conversation makes no item of it."""
        translator = BetaClientTranslator()
        output = item("item_9", content=[{"type": "output_text", "text": "Hi"}])
        events = [
            response("created", conversation_id=None, metadata={"topic": "x"}),
            {"type": "response.output_item.added", "item": item("item_9", content=[])},
            {"type": "response.output_text.delta", "item_id": "item_9", "delta": "Hi"},
            {"type": "response.output_item.done", "item": output},
            response("done", conversation_id=None, metadata={"topic": "x"}, output=[output]),
        ]
        got = shown_all(translator, events)
        assert types(got) == [
            "response.created",
            "response.output_item.added",
            "response.text.delta",
            "response.output_item.done",
            "response.done",
        ]
        assert got[0]["response"]["conversation_id"] is None
        assert got[-1]["response"]["metadata"] == {"topic": "x"}

    def test_responses_side_by_side(self) -> None:
        """Each event keeps the ids of its own response."""
        translator = BetaClientTranslator()
        events: list[Json] = [response("created", "a"), response("created", "b")]
        for turn in range(2):
            events += [
                {"type": "response.output_text.delta", "response_id": id_, "delta": str(turn)}
                for id_ in ("a", "b")
            ]
        events += [response("done", "b"), response("done", "a")]
        assert [
            (event["type"], event.get("response_id") or event["response"]["id"])
            for event in shown_all(translator, events)
        ] == [
            ("response.created", "a"),
            ("response.created", "b"),
            ("response.text.delta", "a"),
            ("response.text.delta", "b"),
            ("response.text.delta", "a"),
            ("response.text.delta", "b"),
            ("response.done", "b"),
            ("response.done", "a"),
        ]

    def test_an_interruption(self) -> None:
        """The user speaks into the answer: it is cancelled and truncated."""
        translator = BetaClientTranslator()
        details = {"type": "cancelled", "reason": "turn_detected"}
        spoken = item("item_2", status="incomplete", content=[{"type": "output_audio"}])
        events = [
            response("created"),
            added("item_2"),
            {"type": "response.output_audio.delta", "delta": "AA=="},
            {"type": "input_audio_buffer.speech_started", "item_id": "item_3"},
            {"type": "response.output_audio.done"},
            done("item_2"),
            {"type": "response.output_item.done", "item": spoken},
            response("done", status="cancelled", status_details=details, output=[spoken]),
            {"type": "conversation.item.truncated", "item_id": "item_2", "audio_end_ms": 700},
            {"type": "input_audio_buffer.committed", "item_id": "item_3"},
            added("item_3", "user"),
            done("item_3", "user"),
        ]
        got = shown_all(translator, events)
        assert types(got) == [
            "response.created",
            "conversation.item.created",
            "response.audio.delta",
            "input_audio_buffer.speech_started",
            "response.audio.done",
            "response.output_item.done",
            "response.done",
            "conversation.item.truncated",
            "input_audio_buffer.committed",
            "conversation.item.created",
        ]
        assert got[6]["response"]["status_details"] == details
        assert got[6]["response"]["output"][0]["status"] == "incomplete"

    def test_retrieve(self) -> None:
        """An item that was asked for is shown as often as it is asked for."""
        translator = BetaClientTranslator()
        asked = {"type": "conversation.item.retrieve", "item_id": "item_1"}
        assert sent(translator, asked) == asked
        event = {"type": "conversation.item.retrieved", "event_id": "e", "item": item()}
        assert types(shown_all(translator, [added(), event, event])) == [
            "conversation.item.created",
            "conversation.item.retrieved",
            "conversation.item.retrieved",
        ]
