"""Facts about the classes of the events: names, unions, fields, and that nothing changes them."""

import copy
import json
import sys
import typing
from types import MappingProxyType
from typing import Any, get_args

import attrs
import pytest
from eventexamples import CLIENT, MCP_BY_NAMES, SERVER, SESSION

import rt_proxy.events
from rt_proxy.errors import EventError
from rt_proxy.events import MISSING, Missing, dump, parse
from rt_proxy.realtime.events import EVENT_CLASSES, ClientEvent, Event, ServerEvent
from rt_proxy.realtime.events.base import ApiObject, Unknown, UnknownEvent, freeze

CLIENT_TYPES = {
    "session.update",
    "transcription_session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "output_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
}
SERVER_TYPES = {
    "error",
    "session.created",
    "session.updated",
    "conversation.created",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.created",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.segment",
    "conversation.item.input_audio_transcription.failed",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
    "response.created",
    "response.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "rate_limits.updated",
    # Beta dialect only
    "response.text.delta",
    "response.text.done",
    "response.audio.delta",
    "response.audio.done",
    "response.audio_transcript.delta",
    "response.audio_transcript.done",
    "transcription_session.created",
    "transcription_session.updated",
}
#: More than one class has a field of this object in a union of its own.
UNIONS = ("Item", "Part", "Tool", "ToolChoice", "TurnDetection", "AudioFormat", "Truncation",
          "McpError", "TranscriptionUsage", "AnySession", "AnyResponse", "AnyResponseParameters",
          "ClientEvent", "ServerEvent", "Event")  # fmt: skip

SNIPPET = """
from typing import assert_never

from rt_proxy.events import (
    MISSING, Event, FunctionCallItem, FunctionCallOutputItem, Item, ItemReference,
    McpApprovalRequestItem, McpApprovalResponseItem, McpCallItem, McpListToolsItem, MessageItem,
    ResponseCancel, ResponseDone, UnknownItem, parse,
)


def spent(text: str) -> int:
    event: Event = parse(text)
    match event:
        case ResponseDone(response=response):
            usage = response.usage
            return usage.total_tokens or 0 if usage else 0
    return len(event.type)


def first(event: ResponseDone) -> str:
    output = event.response.output
    if output is MISSING or output is None:
        return "nothing"
    return name(output[0])


def name(item: Item) -> str:
    match item:
        case MessageItem(role=role):
            return role
        case FunctionCallItem(name=name) | McpCallItem(name=name):
            return name
        case FunctionCallOutputItem() | McpListToolsItem() | ItemReference() | UnknownItem():
            return "other"
        case McpApprovalRequestItem() | McpApprovalResponseItem():
            return "approval"
        case _:
            assert_never(item)


ResponseCancel(response_id=5)  # wrong
ResponseCancel().response_id = "r"  # wrong
ResponseDone(event_id="e")  # wrong
"""


def objects_in(value: object) -> list[ApiObject]:
    """Return all objects of the API in a value, itself included."""
    if isinstance(value, tuple):
        return [one for element in value for one in objects_in(element)]
    if not isinstance(value, ApiObject):
        return []
    fields = tuple(getattr(value, field.name) for field in attrs.fields(type(value)))
    return [value, *objects_in(fields)]


def all_classes(base: type[ApiObject] = ApiObject) -> set[type[ApiObject]]:
    """Return the classes that the package has below a base."""
    found = {one for sub in base.__subclasses__() for one in {sub, *all_classes(sub)}}
    # attrs makes each class anew, and what it was made from may still be about
    return {one for one in found if getattr(sys.modules[one.__module__], one.__name__) is one}


CLASSES = sorted(all_classes(), key=lambda class_: class_.__name__)


class TestTypes:
    """Every event of the reference has its class."""

    def test_all_of_the_reference(self) -> None:
        """The types are those of both dialects, no more and no less."""
        assert {one.type for one in get_args(ClientEvent)} == CLIENT_TYPES
        assert {one.type for one in get_args(ServerEvent)} == SERVER_TYPES

    def test_every_type_has_an_example(self) -> None:
        """Each is tried in full."""
        assert {event["type"] for event in CLIENT} == CLIENT_TYPES
        assert {event["type"] for event in SERVER} == SERVER_TYPES

    @pytest.mark.parametrize("event", CLIENT + SERVER, ids=lambda event: event["type"])
    def test_an_example_is_understood(self, event: dict[str, Any]) -> None:
        """A full event lands in its class, and nothing in it is unknown."""
        parsed = parse(json.dumps(event))

        assert type(parsed) is EVENT_CLASSES[event["type"]]
        for one in objects_in(parsed):
            assert one.extra == {}
            assert not isinstance(one, Unknown)

    def test_every_field_is_tried(self) -> None:
        """The examples have each field of each class at least once."""
        tried = {
            (type(one), field.name)
            for event in CLIENT + SERVER
            for one in objects_in(parse(json.dumps(event)))
            for field in attrs.fields(type(one))
            if getattr(one, field.name) is not MISSING
        }
        seen = {class_ for class_, _ in tried}
        fields = {(one, field.name) for one in seen for field in attrs.fields(one)}

        not_in_the_reference = {("InputAudioBufferDtmfEventReceived", "event_id")}
        missed = {(one.__name__, name) for one, name in fields - tried}
        # padding is sent in one example for all events that may have it
        assert {
            (one, name) for one, name in missed if name != "obfuscation"
        } == not_in_the_reference

    @pytest.mark.parametrize("type_", sorted(CLIENT_TYPES | SERVER_TYPES - {"error"}))
    def test_names(self, type_: str) -> None:
        """A class is named after the type of its event."""
        words = type_.replace(".", "_").split("_")

        assert EVENT_CLASSES[type_].__name__ == "".join(word.capitalize() for word in words)


class TestUnions:
    """The unions have everything, so that a match over one can be exhaustive."""

    def test_no_event_is_left_out(self) -> None:
        """Each class with the type of an event is in the union of its side, and once."""
        of_events = {one for one in all_classes() if getattr(one, "type", None) in EVENT_CLASSES}

        assert of_events == {*get_args(ClientEvent), *get_args(ServerEvent)}
        assert {*get_args(Event)} == {*of_events, UnknownEvent}
        assert len(EVENT_CLASSES) == len(of_events)

    def test_no_object_is_left_out(self) -> None:
        """Each object with a type of its own is in a union, and so is each unknown one."""
        in_unions = {one for name in UNIONS for one in get_args(getattr(rt_proxy.events, name))}
        typed = {one for one in all_classes() if isinstance(getattr(one, "type", None), str)}

        assert typed <= in_unions
        assert all_classes(Unknown) <= in_unions

    def test_the_types_in_a_union_differ(self) -> None:
        """Of the objects in a union only a choice of function has a type twice."""
        twice = set()
        for name in UNIONS:
            types = [getattr(one, "type", None) for one in get_args(getattr(rt_proxy.events, name))]
            twice |= {one for one in types if isinstance(one, str) and types.count(one) > 1}

        assert twice == {"function"}

    def test_classes_and_types_agree(self) -> None:
        """The literal that a type checker sees is the value."""
        for one in all_classes():
            if isinstance(getattr(one, "type", None), str):
                [literal] = get_args(one.__annotations__["type"])
                assert get_args(literal) == (one.type,)  # type: ignore[attr-defined]


class TestValues:
    """Events are values."""

    @pytest.mark.parametrize("class_", CLASSES, ids=lambda class_: class_.__name__)
    def test_every_class(self, class_: type[ApiObject]) -> None:
        """A class is frozen, takes keywords only, and says what it is."""
        assert class_.__doc__
        assert all(field.kw_only for field in attrs.fields(class_))
        assert "__dict__" not in dir(class_)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            class_.__new__(class_).extra = {}  # type: ignore[misc]  # that it fails is the point

    @pytest.mark.parametrize("class_", CLASSES, ids=lambda class_: class_.__name__)
    def test_every_field_is_described(self, class_: type[ApiObject]) -> None:
        """Each field stands in the docstring of its class, or of the base that has it."""
        text = " ".join(base.__doc__ or "" for base in class_.__mro__ if base is not object)
        for field in attrs.fields(class_):
            assert f"{field.name}:" in text or f"``{field.name}``" in text

    def test_optional_fields_default_to_missing(self) -> None:
        """A field that need not be given is missing, never null, false or zero."""
        for one in all_classes():
            for field in attrs.fields(one):
                assert field.name == "extra" or field.default in (attrs.NOTHING, MISSING)

    def test_what_is_inside_is_frozen(self) -> None:
        """Arrays are tuples and free objects are mappings without a way to change them."""
        session = parse(json.dumps({"type": "session.update", "session": SESSION, "new": [[{}]]}))
        tool = session.session.tools[0]  # type: ignore[union-attr,index]

        assert type(tool.parameters) is MappingProxyType
        assert type(tool.parameters["properties"]) is MappingProxyType
        assert type(tool.parameters["required"]) is tuple
        assert type(session.extra) is MappingProxyType
        assert session.extra == {"new": (({},),)}

    def test_what_a_program_gives_is_frozen(self) -> None:
        """Lists and dicts become tuples and mappings, and later changes do not reach the value."""
        parameters = {"required": ["city"]}
        tool: Any = rt_proxy.events.FunctionTool(name="f", parameters=parameters)
        session: Any = rt_proxy.events.RealtimeSession(tools=[tool])  # type: ignore[arg-type]
        parameters["required"].append("country")

        assert session.tools == (tool,)
        assert tool.parameters == {"required": ("city",)}

    def test_copies(self) -> None:
        """A copy is the value itself, and attrs.evolve makes a changed one."""
        event = parse('{"type":"response.cancel","response_id":"r","new":[{}]}')

        assert copy.deepcopy([event])[0] is event
        assert attrs.evolve(event, response_id="s") == rt_proxy.events.ResponseCancel(
            response_id="s", extra={"new": ({},)}
        )

    def test_freezing_has_an_end(self) -> None:
        """A value that holds itself is refused."""
        endless: list[object] = []
        endless.append(endless)

        with pytest.raises(EventError, match="nested deeper than 100 levels"):
            freeze(endless)

    def test_missing(self) -> None:
        """MISSING is one value, false, and shown by its name."""
        assert not MISSING
        assert MISSING is not None
        assert list(Missing) == [MISSING]
        assert repr(MISSING) == "MISSING"

    def test_what_is_shown(self) -> None:
        """What is missing is not shown, and neither are secrets and audio."""
        append = parse('{"type":"input_audio_buffer.append","audio":"AAAA","more":1}')
        session = parse(
            json.dumps({"type": "session.update", "session": {"tools": [MCP_BY_NAMES]}})
        )

        assert repr(append) == "InputAudioBufferAppend(extra={'more'})"
        assert "server_label='docs'" in repr(session)
        assert "secret" not in repr(session)


class TestPublicDoor:
    """``rt_proxy.events`` has everything that is public."""

    def test_every_name(self) -> None:
        """What it lists is there, and each once."""
        names = rt_proxy.events.__all__

        assert len(names) == len(set(names))
        assert all(hasattr(rt_proxy.events, name) for name in names)
        assert {"parse", "dump", "MISSING", "Missing", "EventError", "UnknownEvent"} < set(names)

    def test_every_class_that_can_come(self) -> None:
        """Each event, and each class that a field may have, can be imported from it."""
        public = {getattr(rt_proxy.events, name) for name in rt_proxy.events.__all__}
        wanted = set(get_args(Event))
        for one in all_classes():
            for field in attrs.fields(one):
                wanted |= {part for part in _parts(field.type) if attrs.has(part)}

        assert wanted <= public

    def test_both_ways(self) -> None:
        """Its parse and dump are those of the codec."""
        assert dump(parse('{"type":"response.cancel"}')) == '{"type":"response.cancel"}'

    def test_type_checkers_follow(self, tmp_path: Any, request: pytest.FixtureRequest) -> None:
        """A type checker narrows by class and by MISSING, knows a whole match, and finds errors."""
        api = pytest.importorskip("mypy.api")
        snippet = tmp_path / "snippet.py"
        snippet.write_text(SNIPPET)
        cache = request.config.cache.mkdir("mypy") if request.config.cache else tmp_path

        out, _, _ = api.run(["--strict", "--cache-dir", str(cache), str(snippet)])

        wrong = {n for n, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# wrong")}
        assert {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line} == wrong


def _parts(type_: Any) -> set[Any]:
    """Return the types that a type is made of, itself included."""
    return {type_}.union(*(_parts(one) for one in typing.get_args(type_)))
