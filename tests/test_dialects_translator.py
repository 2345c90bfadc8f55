"""Facts about what every translator has: reading, writing, and small looks."""

import json
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from rt_proxy.realtime.dialects.members import NoCounterpartError, Untranslated
from rt_proxy.realtime.dialects.translator import (
    Handler,
    Translator,
    edit_param,
    member,
    rename_events,
    renamed,
    text_of,
)
from rt_proxy.realtime.jsontext import Members, parse_object


class Sample(Translator):
    """A translator that shows what the base does."""

    def _same(self, members: Members) -> Iterator[Members]:
        yield dict(reversed(members.items()))

    def _none(self, _members: Members) -> Iterator[Members]:
        yield from ()

    def _two(self, members: Members) -> Iterator[Members]:
        yield members
        yield {**members, "event_id": '"other"'}

    def _refused(self, _members: Members) -> Iterator[Members]:
        yield {}
        raise NoCounterpartError("No.", "x")

    def _deep(self, members: Members) -> Iterator[Members]:
        yield {}
        raise RecursionError(members)

    client_handlers: ClassVar[Mapping[str, Handler]] = {"refused": _refused, "deep": _deep}
    renamed: ClassVar[Mapping[str, str]] = {"old": "new"}
    upstream_handlers: ClassVar[Mapping[str, Handler]] = {
        **rename_events(renamed),
        "same": _same,
        "none": _none,
        "two": _two,
        "deep": _deep,
    }


class TestTranslator:
    """An event goes to the handler of its type, and what did not change is the same text."""

    @pytest.mark.parametrize(
        "text",
        [
            '{ "type" : "unknown", "n": 1e400 }',
            '{"type":"same" , "n" : 0.10}',
            '{"n":1,"type":"none","type":"same"}',
            "{}",
            '{"type":null}',
            '{"type":5}',
            '{"type":["old"]}',
            '{"type":"\\ud800"}',
            ' \n{"TYPE":"old"}\t',
        ],
    )
    def test_what_does_not_change(self, text: str) -> None:
        """It is the very same object, spaces and all; of two types in it the last one holds."""
        (shown,) = Sample().from_upstream(text)
        assert shown is text
        sent = Sample().from_client(text)
        assert isinstance(sent, tuple)
        assert sent[0] is text

    def test_what_changes(self) -> None:
        """The members keep their order and their values to the letter."""
        text = '{"a": 1e400, "type":"old", "ö":{ "x" : [0.10] }}'
        assert Sample().from_upstream(text) == (
            '{"a":1e400,"type":"new","\\u00f6":{ "x" : [0.10] }}',
        )

    def test_a_type_with_an_escape(self) -> None:
        """However a type is spelled, it is that type."""
        assert Sample().from_upstream('{"t\\u0079pe":"ol\\u0064"}') == ('{"type":"new"}',)

    def test_more_and_none(self) -> None:
        """One event may stand for another, for several, or for none."""
        text = '{"type":"two","event_id":"e"}'
        assert Sample().from_upstream(text) == (text, '{"type":"two","event_id":"other"}')
        assert Sample().from_upstream('{"type":"none"}') == ()

    def test_no_counterpart(self) -> None:
        """It is a value, not an exception, and nothing of the event goes on."""
        assert Sample().from_client('{"type":"refused"}') == Untranslated("No.", "x")

    def test_too_deep(self) -> None:
        """What cannot be taken apart goes on as it is, for the other side to judge."""
        text = '{"type":"deep"}'
        assert Sample().from_client(text) == (text,)
        assert Sample().from_upstream(text) == (text,)

    @pytest.mark.parametrize("depth", [*range(850, 1_000, 7), 20_000])
    def test_no_depth_is_too_deep(self, depth: int) -> None:
        """Whatever could be read is translated, or goes on as it is."""
        text = f'{{"x":{"[" * depth}{"]" * depth},"type":"old"}}'
        if parse_object(text.encode()) is not None:
            (shown,) = Sample().from_upstream(text)
            assert shown in (text, text.replace("old", "new"))


class TestMembers:
    """Small looks at an event."""

    EVENT: ClassVar[Members] = {
        "type": '"a"',
        "object": '{"x": 1}',
        "array": "[]",
        "text": '"\\u00e9"',
        "null": "null",
    }

    def test_renamed(self) -> None:
        """The event itself stays as it is."""
        event = {"type": '"a"', "x": "1"}
        assert renamed(event, "b") == {"type": '"b"', "x": "1"}
        assert event["type"] == '"a"'

    @pytest.mark.parametrize("name", ["array", "text", "null", "missing"])
    def test_no_object(self, name: str) -> None:
        """What is no object has no members."""
        assert member(self.EVENT, name) == {}

    def test_an_object(self) -> None:
        """An object has those it has."""
        assert member(self.EVENT, "object") == {"x": "1"}

    @pytest.mark.parametrize("name", ["array", "object", "null", "missing"])
    def test_no_text(self, name: str) -> None:
        """What is no string has no text."""
        assert text_of(self.EVENT, name) is None

    def test_a_text(self) -> None:
        """A string is read."""
        assert text_of(self.EVENT, "text") == "é"


class TestEditParam:
    """The path in an error is edited, and nothing else."""

    def test_a_path(self) -> None:
        """All around it stays to the letter."""
        event = {"type": '"error"', "error": '{"code": 1e400, "param":"a", "message":"a"}'}
        edited = edit_param(event, lambda path: path + "b")
        assert edited["error"] == '{"code":1e400,"param":"ab","message":"a"}'

    @pytest.mark.parametrize(
        "error", ['{"param": null}', '{"param": 5}', '{"param": ""}', "{ }", "null", '"a"', "[]"]
    )
    def test_no_path(self, error: str) -> None:
        """Without one, nothing is changed."""
        event = {"type": '"error"', "error": error}
        assert edit_param(event, lambda path: path + "b") == event
        assert edit_param({"type": '"error"'}, str.upper) == {"type": '"error"'}

    def test_a_path_that_stays(self) -> None:
        """An escape in a path that is not mapped is kept."""
        event = {"error": json.dumps({"param": "é"})}
        assert edit_param(event, str) == event
