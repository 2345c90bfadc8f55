"""Facts about text that becomes events, and about events that become the same text again."""

import copy
import json
import sys
import timeit
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest
from eventexamples import BETA_SESSION, CAPTURED, CLIENT, SERVER, SESSION, USAGE
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_proxy.errors import EventError, RtProxyError
from rt_proxy.realtime.codec import _CONVERTER, _WrongKindError, dump, parse
from rt_proxy.realtime.events.base import MISSING, MOST_LEVELS, ApiObject, UnknownEvent, freeze
from rt_proxy.realtime.events.beta import (
    BetaResponse,
    BetaResponseParameters,
    BetaSession,
    BetaTranscriptionSession,
)
from rt_proxy.realtime.events.client import ResponseCreate, SessionUpdate
from rt_proxy.realtime.events.items import (
    InputTextPart,
    ItemReference,
    MessageItem,
    UnknownItem,
    UnknownPart,
)
from rt_proxy.realtime.events.output import ResponseDone
from rt_proxy.realtime.events.responses import Response, ResponseParameters, Usage
from rt_proxy.realtime.events.server import ErrorEvent, InputAudioBufferSpeechStarted
from rt_proxy.realtime.events.sessions import (
    RealtimeSession,
    TranscriptionSession,
    UnknownSession,
)
from rt_proxy.realtime.events.tools import BetaFunctionChoice, FunctionChoice, UnknownToolChoice

EXAMPLES = [*CLIENT, *SERVER, *map(json.loads, CAPTURED)]

KEYS = st.sampled_from(
    ["type", "extra", "id", "item", "session", "content", "usage", "status", "audio", "tools"]
) | st.text(st.characters(codec=None), max_size=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=10)
    | st.sampled_from(["message", "realtime", "function", "inf", "item_reference"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


def structure(value: object, kind: type[Any]) -> Any:
    """Return a JSON value as one of the objects inside events; None: it is none of these."""
    try:
        return _CONVERTER.structure(freeze(value), kind)
    except _WrongKindError:
        return None


def exact(value: object) -> str:
    """Return a text that differs wherever two JSON values do: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in a JSON value with each of its keys or indexes."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """Make a real event with some values replaced, left out, or put beside what is there."""
    event: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(places(event)))
        match draw(st.sampled_from(["replace", "leave out", "add"])):
            case "replace" if container is not event or key != "type":
                container[key] = draw(JSON)
            case "leave out" if container is not event or key != "type":
                del container[key]
            case "add" if isinstance(container, dict):
                container.setdefault(draw(KEYS), draw(JSON))
    return event


class TestRoundTrip:
    """What was parsed is dumped as the same JSON value."""

    @pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event["type"])
    def test_examples(self, event: dict[str, Any]) -> None:
        """Every event of the reference, and every one that was captured, comes out as it was."""
        assert exact(json.loads(dump(parse(json.dumps(event))))) == exact(event)

    @given(st.dictionaries(KEYS, JSON), st.text(max_size=5))
    def test_any_object(self, members: dict[str, Any], type_: str) -> None:
        """Any JSON object with a string for a type is an event, and loses nothing."""
        event = members | {"type": type_}

        assert exact(json.loads(dump(parse(json.dumps(event))))) == exact(event)

    @settings(max_examples=500)
    @given(mutants())
    def test_mutated_events(self, event: dict[str, Any]) -> None:
        """An event with anything wrong in it is an event, and loses nothing."""
        assert exact(json.loads(dump(parse(json.dumps(event))))) == exact(event)

    @given(mutants(), st.sampled_from([True, False]))
    def test_text_and_bytes(self, event: dict[str, Any], escaped: bool) -> None:
        """Bytes in UTF-8 are the same event as text, with escapes or without."""
        text = json.dumps(event, ensure_ascii=escaped).encode(errors="replace")

        assert parse(text) == parse(text.decode())

    @given(mutants())
    def test_equality(self, event: dict[str, Any]) -> None:
        """Events of the same text are equal."""
        assert parse(json.dumps(event)) == parse(json.dumps(event))

    def test_numbers(self) -> None:
        """Integers are exact whatever their length; other numbers are floats."""
        text = '{"type":"x","a":123456789012345678901234567890,"b":-0.0,"c":1.0,"d":1e-400}'

        assert dump(parse(text)) == text.replace("1e-400", "0.0")

    def test_halves_of_characters(self) -> None:
        """A lone surrogate, legal in JSON and no character, is kept."""
        assert dump(parse(r'{"type":"x","a":"\ud83d"}')) == r'{"type":"x","a":"\ud83d"}'

    def test_the_type_comes_first(self) -> None:
        """In what is dumped each object begins with its type, as OpenAI's do."""
        event = {"session": {"voice": "a", "type": "realtime"}, "type": "session.update"}

        assert dump(parse(json.dumps(event))) == (
            '{"type":"session.update","session":{"type":"realtime","voice":"a"}}'
        )


def session_of(members: object) -> Any:
    """Return the session of a ``session.update`` that has these members."""
    event = parse(json.dumps({"type": "session.update", "session": members}))
    assert isinstance(event, SessionUpdate)
    return event.session


def item_of(members: object) -> Any:
    """Return the item of a ``conversation.item.create`` that has these members."""
    return getattr(
        parse(json.dumps({"type": "conversation.item.create", "item": members})), "item", None
    )


class TestFields:
    """What becomes of a field: a value, null, missing, or something else."""

    def test_missing_and_null(self) -> None:
        """What is missing stays missing, and null stays null."""
        session = session_of({"type": "realtime", "instructions": None})

        assert session.instructions is None
        assert session.model is MISSING
        assert dump(SessionUpdate(session=session)) == (
            '{"type":"session.update","session":{"type":"realtime","instructions":null}}'
        )

    def test_unknown_fields(self) -> None:
        """A field that the class does not have is kept, however deep it is."""
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi", "mood": ["glad", {"very": True}]}],
            "extra": 5,
        }

        assert item_of(item) == MessageItem(
            role="user",
            content=(InputTextPart(text="Hi", extra={"mood": ("glad", {"very": True})}),),
            extra={"extra": 5},
        )

    @pytest.mark.parametrize("wrong", [None, True, 1.0, "7", [], {}])
    def test_no_coercion(self, wrong: object) -> None:
        """A count of another kind is missing and kept aside; true is not 1, nor 1.0, nor "7"."""
        usage = structure({"total_tokens": wrong, "input_tokens": 5}, Usage)

        assert usage == Usage(input_tokens=5, extra={"total_tokens": wrong})
        assert usage.total_tokens is MISSING

    @pytest.mark.parametrize("wrong", [1, 0.0, "true", None, []])
    def test_what_is_no_boolean(self, wrong: object) -> None:
        """A truth value is true or false alone."""
        item = {"type": "mcp_approval_response", "id": "i", "approval_request_id": "r"}

        assert isinstance(item_of(item | {"approve": wrong}), UnknownItem)

    def test_numbers_may_be_whole(self) -> None:
        """Where a number may have a fraction, an integer is good, and stays one."""
        detection = {"type": "server_vad", "threshold": 1}
        session = session_of(
            {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        )

        assert type(session.audio.input.turn_detection.threshold) is int

    @pytest.mark.parametrize(("limit", "known"), [(5, True), ("inf", True), ("5", False)])
    def test_a_number_or_inf(self, limit: object, known: bool) -> None:
        """A token limit is an integer or ``inf``."""
        session = session_of({"type": "realtime", "max_output_tokens": limit})

        assert session.max_output_tokens == (limit if known else MISSING)
        assert session.extra == ({} if known else {"max_output_tokens": limit})

    def test_an_array_with_one_odd_element(self) -> None:
        """An array counts as of the wrong kind when one of its elements is."""
        session = session_of({"type": "realtime", "include": ["a", 5], "tools": [{}, 5]})

        assert session.extra == {"include": ("a", 5), "tools": ({}, 5)}

    def test_an_object_that_lacks_something(self) -> None:
        """An object without a field that it must have is of the wrong kind for its place."""
        session = session_of({"type": "realtime", "prompt": {"version": "2"}})

        assert session.prompt is MISSING
        assert session.extra == {"prompt": {"version": "2"}}

    def test_mappings_of_texts(self) -> None:
        """Metadata with a value that is no text is kept aside."""
        response = structure({"metadata": {"a": "b", "c": 5}}, Response)

        assert response == Response(extra={"metadata": {"a": "b", "c": 5}})


class TestRequired:
    """An object of which too little is right is unknown, and all of it is kept."""

    def test_unknown_types(self) -> None:
        """An event of a type that nobody knows has its type, and the rest as it came."""
        event = parse('{"type":"session.input_transcript.delta","delta":"Hi","list":[1]}')

        assert event == UnknownEvent(
            type="session.input_transcript.delta", extra={"delta": "Hi", "list": (1,)}
        )

    @pytest.mark.parametrize("item", [{}, {"item_id": 5}, {"item_id": None}])
    def test_an_event_without_what_it_must_have(self, item: dict[str, object]) -> None:
        """An event is unknown when a field that it must have is missing or wrong."""
        event = {"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 1}
        good = InputAudioBufferSpeechStarted(event_id="e", item_id="i", audio_start_ms=1)

        assert parse(json.dumps(event | {"item_id": "i"})) == good
        assert isinstance(parse(json.dumps(event | item)), UnknownEvent)

    def test_an_error_needs_no_event_id(self) -> None:
        """An error is an error with an ``event_id``, with null there, and without one."""
        error = {"type": "error", "error": {"type": "t", "message": "m"}}

        for id_ in ({"event_id": "e"}, {"event_id": None}, {}):
            assert isinstance(parse(json.dumps(error | id_)), ErrorEvent)

    def test_unknown_items_and_parts(self) -> None:
        """What is unknown inside does not make unknown what it is in."""
        item = item_of(
            {"type": "message", "role": "user", "content": [{"type": "smell"}, {"type": 5}, {}]}
        )

        assert item.content == (
            UnknownPart(type="smell"),
            UnknownPart(extra={"type": 5}),
            UnknownPart(),
        )
        assert item_of({"type": "message", "role": "user"}) == UnknownItem(
            type="message", extra={"role": "user"}
        )
        assert item_of({"type": "force_message"}) == UnknownItem(type="force_message")

    def test_an_item_that_is_no_object(self) -> None:
        """An event whose object is none is unknown."""
        event = parse('{"type":"conversation.item.create","item":5}')

        assert event == UnknownEvent(type="conversation.item.create", extra={"item": 5})


class TestDialects:
    """An object becomes the one of the dialect whose fields it has."""

    @pytest.mark.parametrize(
        ("members", "session_class"),
        [
            (SESSION, RealtimeSession),
            ({"type": "realtime", "voice": "alloy"}, RealtimeSession),
            ({"type": "transcription"}, TranscriptionSession),
            ({"type": "translation"}, UnknownSession),
            ({"type": None}, UnknownSession),
            (BETA_SESSION, BetaSession),
            ({}, BetaSession),
            ({"object": "realtime.transcription_session"}, BetaTranscriptionSession),
        ],
    )
    def test_sessions(self, members: object, session_class: type) -> None:
        """A session of the GA dialect has a type, one of the Beta dialect has none."""
        assert type(session_of(members)) is session_class

    @pytest.mark.parametrize("key", ["modalities", "voice", "output_audio_format", "temperature"])
    def test_responses(self, key: str) -> None:
        """A response, or the wish for one, is of the Beta dialect by any field of its own."""
        response = {key: {}}  # what it is does not matter
        done = parse(json.dumps({"type": "response.done", "event_id": "e", "response": response}))
        wish = parse(json.dumps({"type": "response.create", "response": {key: None}}))

        assert isinstance(done, ResponseDone)
        assert done.response == BetaResponse(extra={key: {}})
        assert isinstance(wish, ResponseCreate)
        assert isinstance(wish.response, BetaResponseParameters)

    def test_responses_without_a_sign(self) -> None:
        """What has no field that is only of the Beta dialect is of the GA dialect."""
        for response in ({}, {"output_modalities": []}, {"status": "completed"}):
            event = {"type": "response.done", "event_id": "e", "response": response}
            assert isinstance(parse(json.dumps(event)).response, Response)  # type: ignore[union-attr]
        wish = parse('{"type":"response.create","response":{"max_output_tokens":5}}')
        assert wish == ResponseCreate(response=ResponseParameters(max_output_tokens=5))

    @pytest.mark.parametrize(
        ("choice", "choice_class"),
        [
            ("auto", str),
            ({"type": "function", "name": "f"}, FunctionChoice),
            ({"type": "function", "function": {"name": "f"}}, BetaFunctionChoice),
            ({"type": "function"}, UnknownToolChoice),
        ],
    )
    def test_tool_choices(self, choice: object, choice_class: type) -> None:
        """A function is chosen in a flat object, or in a nested one in the Beta dialect."""
        assert type(session_of({"tool_choice": choice}).tool_choice) is choice_class

    def test_references_to_items(self) -> None:
        """A reference stands for an item, and in the Beta dialect for a part of one."""
        reference = {"type": "item_reference", "id": "i"}

        assert item_of(reference) == ItemReference(id="i")
        assert item_of({"type": "message", "role": "user", "content": [reference]}).content == (
            ItemReference(id="i"),
        )


class TestParse:
    """What is no event is refused with a reason."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "must be JSON: Expecting value: line 1 column 1 (char 0)"),
            ('{"type":"x"', "must be JSON: Expecting ',' delimiter"),
            ('{"type":"x"} {}', "must be JSON: Extra data"),
            ('\ufeff{"type":"x"}', "must be JSON: Unexpected UTF-8 BOM"),
            (b'{"type":"\xff"}', "must be UTF-8: invalid start byte at 9"),
            ("[]", "must be a JSON object"),
            ('"text"', "must be a JSON object"),
            ("null", "must be a JSON object"),
            ("{}", 'must have a "type" that is a string'),
            ('{"type":null}', 'must have a "type" that is a string'),
            ('{"type":["error"]}', 'must have a "type" that is a string'),
            ('{"type":"x","a":NaN}', "must be JSON, which has no NaN"),
            ('{"type":"x","a":-Infinity}', "must be JSON, which has no -Infinity"),
            ('{"type":"x","a":1e400}', "must not have numbers beyond the range of a float"),
            (
                '{"type":"x","a":' + "9" * (sys.get_int_max_str_digits() + 1) + "}",
                "must not have integers of more digits than fit",
            ),
            (
                '{"type":"x","a":' + "[" * MOST_LEVELS + "]" * MOST_LEVELS + "}",
                "must not be nested deeper than 100 levels",
            ),
            ('{"type":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}", "must not be nested"),
        ],
    )
    def test_refused(self, text: str | bytes, problem: str) -> None:
        """Each reason is told."""
        with pytest.raises(EventError) as caught:
            parse(text)

        assert str(caught.value).startswith(f"an event {problem}")

    def test_the_error(self) -> None:
        """The error is one of rt-proxy's, and a ValueError."""
        assert issubclass(EventError, RtProxyError)
        assert issubclass(EventError, ValueError)

    @pytest.mark.parametrize(
        "deepest",
        [
            lambda levels: '{"type":"x","a":' + "[" * levels + "]" * levels + "}",
            lambda levels: '{"type":"x","a":' + '{"a":' * levels + "5" + "}" * levels + "}",
        ],
    )
    def test_the_deepest_event(self, deepest: Callable[[int], str]) -> None:
        """An event at the limit of nesting goes both ways."""
        text = deepest(MOST_LEVELS - 1)

        assert dump(parse(text)) == text

    @given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
    def test_nothing_else_is_raised(self, text: bytes) -> None:
        """Whatever the bytes are, they are an event or an EventError."""
        with suppress(EventError):
            assert isinstance(parse(text), ApiObject)

    @given(st.text(max_size=40) | JSON.map(json.dumps))
    def test_nothing_else_is_raised_for_text(self, text: str) -> None:
        """Whatever the text is, it is an event or an EventError."""
        with suppress(EventError):
            assert isinstance(parse(text), ApiObject)

    def test_the_last_of_two_keys(self) -> None:
        """Of a key that stands twice the last one counts, as for every JSON library here."""
        assert parse('{"type":"x","type":"y","a":1,"a":2}') == UnknownEvent(
            type="y", extra={"a": 2}
        )

    def test_it_is_quick(self) -> None:
        """The event that ends a response takes far less than a millisecond."""
        [text] = [one for one in CAPTURED if '"output_audio"' in one]

        assert min(timeit.repeat(lambda: parse(text), number=20, repeat=10)) / 20 < 0.001


class TestDump:
    """Events that a program made become text."""

    def test_made_by_hand(self) -> None:
        """What is not given is not written."""
        item = MessageItem(role="user", content=(InputTextPart(text="Grüß dich"),))
        event = ResponseCreate(response=ResponseParameters(input=(item,), conversation="none"))

        assert json.loads(dump(event)) == {
            "type": "response.create",
            "response": {
                "conversation": "none",
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "Grüß dich"}],
                    }
                ],
            },
        }

    def test_extra_fields(self) -> None:
        """What is given as extra is written beside the fields, and never in place of one."""
        usage = Usage(total_tokens=5, extra={"total_tokens": "6", "seconds": 7})
        event = ResponseDone(event_id="e", response=Response(usage=usage))

        assert json.loads(dump(event))["response"]["usage"] == {"total_tokens": 5, "seconds": 7}

    def test_a_field_that_was_wrong_and_is_set(self) -> None:
        """A field that came wrong can be set right with attrs.evolve."""
        usage = structure({"total_tokens": "6"}, Usage)
        assert usage is not None
        event = ResponseDone(
            event_id="e", response=Response(usage=attrs.evolve(usage, total_tokens=6))
        )

        assert json.loads(dump(event))["response"]["usage"] == {"total_tokens": 6}

    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), b"bytes", {1, 2}, [[object()]], {(1,): 2}]
    )
    def test_what_json_cannot_say(self, value: object) -> None:
        """A value that JSON has no form for is refused."""
        with pytest.raises(EventError, match="cannot be written as JSON"):
            dump(UnknownEvent(type="x", extra={"a": value}))

    def test_missing_inside_of_extra(self) -> None:
        """MISSING is no value, and cannot stand among the extra fields."""
        with pytest.raises(EventError, match="Missing is no JSON value"):
            dump(UnknownEvent(type="x", extra={"a": MISSING}))


class TestStructure:
    """JSON that was read before becomes one of the objects inside events."""

    def test_usage(self) -> None:
        """The whole usage object of the API is understood, without anything left over."""
        usage = structure(USAGE, Usage)

        assert usage is not None
        assert usage.extra == {}
        assert usage.input_token_details
        assert usage.input_token_details.cached_tokens_details
        assert usage.input_token_details.cached_tokens_details.text_tokens == 64
        assert usage.output_token_details
        assert usage.output_token_details.audio_tokens == 91

    @pytest.mark.parametrize("wrong", [None, 5, "text", [], True])
    def test_no_object(self, wrong: object) -> None:
        """What is no object is none of these."""
        assert structure(wrong, Usage) is None

    def test_without_what_it_must_have(self) -> None:
        """An object without a field that it must have is none of these."""
        assert structure({"type": "message"}, MessageItem) is None
        assert structure({"type": "other", "role": "user", "content": []}, MessageItem) is None

    @given(JSON)
    def test_never_raises(self, value: object) -> None:
        """Whatever the value is, it is an object or none."""
        assert isinstance(structure(value, Response), Response) is isinstance(value, dict)
