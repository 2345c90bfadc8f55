"""Facts about moving members between their places in the two dialects."""

import pytest

from rt_proxy.realtime.dialects.members import (
    NoCounterpartError,
    Untranslated,
    edit_member,
    flatten,
    nest,
    rename,
    without,
)
from rt_proxy.realtime.jsontext import Members

PLACES = {
    "format": ("input", "format"),
    "turns": ("input", "turns"),
    "voice": ("output", "voice"),
}


class TestRename:
    """Members get other names."""

    def test_in_place(self) -> None:
        """The value stays to the letter, and the member where it was."""
        members = {"a": "1", "old": "1e400", "b": "2"}
        renamed = rename(members, {"old": "new"})
        assert list(renamed.items()) == [("a", "1"), ("new", "1e400"), ("b", "2")]

    @pytest.mark.parametrize("order", [["old", "new"], ["new", "old"]])
    def test_the_new_name_stands(self, order: list[str]) -> None:
        """A member that is there under its new name is not overwritten, whichever comes first."""
        assert rename({name: f'"{name}"' for name in order}, {"old": "new"}) == {"new": '"new"'}

    def test_nothing_to_rename(self) -> None:
        """Other members stay as they are."""
        assert rename({"a": "1"}, {"old": "new"}) == {"a": "1"}


class TestWithout:
    """Members are left out."""

    def test_some(self) -> None:
        """Those named are left out, whether they are there or not."""
        assert without({"a": "1", "b": "2", "c": "3"}, "a", "c", "d") == {"b": "2"}


class TestEditMember:
    """One member is edited."""

    def test_an_object(self) -> None:
        """An object gets what the edit makes of it, at its place."""
        edited = edit_member({"a": '{"x": 1}', "b": "2"}, "a", lambda it: {**it, "y": "0.10"})
        assert list(edited.items()) == [("a", '{"x":1,"y":0.10}'), ("b", "2")]

    @pytest.mark.parametrize("value", ["null", "[]", '"a"', "1", "true", '{ "x" : 1 }'])
    def test_nothing_to_edit(self, value: str) -> None:
        """Another value, or an edit that changes nothing, leaves the text as it is."""
        assert edit_member({"a": value}, "a", dict) == {"a": value}

    def test_without_it(self) -> None:
        """A member that is missing is not made."""
        assert edit_member({"b": "1"}, "a", lambda it: {**it, "y": "1"}) == {"b": "1"}


class TestNest:
    """Flat members go to their places below ``audio``."""

    def test_all_at_once(self) -> None:
        """They meet in one object, that stands where the first of them stood."""
        members = {"a": "1", "voice": '"x"', "b": "2", "turns": "null", "format": "1e400"}
        nested = nest(members, PLACES)
        assert list(nested) == ["a", "audio", "b"]
        assert nested["audio"] == ('{"output":{"voice":"x"},"input":{"format":1e400,"turns":null}}')

    def test_beside_what_is_there(self) -> None:
        """An ``audio`` that is there keeps all that it has."""
        members = {"audio": '{"input":{"other":0.10},"more":[]}', "format": "5"}
        assert nest(members, PLACES) == {"audio": '{"input":{"format":5,"other":0.10},"more":[]}'}

    def test_what_is_there_already_stays(self) -> None:
        """A value at the place of another is the client's own word for it."""
        members = {"audio": '{"output":{"voice":"nested"}}', "voice": '"flat"'}
        assert nest(members, PLACES) == {"audio": '{"output":{"voice":"nested"}}'}

    @pytest.mark.parametrize("audio", ["null", "[]", '"x"', "5"])
    def test_an_audio_that_is_no_object(self, audio: str) -> None:
        """There is no place below it: all stays, for the other side to judge."""
        members = {"audio": audio, "voice": '"x"'}
        assert nest(members, PLACES) == members

    def test_a_branch_that_is_no_object(self) -> None:
        """What has no place stays flat; the rest moves."""
        members = {"audio": '{"input":5}', "format": "1", "voice": '"x"'}
        assert nest(members, PLACES) == {
            "audio": '{"input":5,"output":{"voice":"x"}}',
            "format": "1",
        }

    def test_nothing_flat(self) -> None:
        """Without flat members not a space is changed."""
        members = {"a": "1", "audio": '{ "input" : {} }'}
        assert nest(members, PLACES) == members
        assert nest({"a": "1"}, PLACES) == {"a": "1"}


class TestFlatten:
    """Members below ``audio`` become flat."""

    def test_all_at_once(self) -> None:
        """They stand where ``audio`` stood, which is gone."""
        members = {"a": "1", "audio": '{"input":{"turns":null},"output":{"voice":"x"}}', "b": "2"}
        assert list(flatten(members, PLACES).items()) == [
            ("a", "1"),
            ("turns", "null"),
            ("voice", '"x"'),
            ("b", "2"),
        ]

    def test_what_has_no_flat_name(self) -> None:
        """It stays where it is, and is not lost."""
        members = {"audio": '{"input":{"format":1,"other":1e400},"more":0.10}'}
        assert flatten(members, PLACES) == {
            "format": "1",
            "audio": '{"input":{"other":1e400},"more":0.10}',
        }

    @pytest.mark.parametrize("audio", ["null", "[]", '{"input": null}', '{ "input":{"other":1} }'])
    def test_nothing_to_take(self, audio: str) -> None:
        """Then not a space is changed."""
        assert flatten({"audio": audio}, PLACES) == {"audio": audio}
        assert flatten({"a": "1"}, PLACES) == {"a": "1"}

    @pytest.mark.parametrize("audio", ["{}", '{"input":{}}', '{"input":{},"output":{}}'])
    def test_an_audio_of_nothing(self, audio: str) -> None:
        """Empty objects ask for nothing, and have no flat form."""
        assert flatten({"a": "1", "audio": audio}, PLACES) == {"a": "1"}

    def test_what_is_flat_already_stays(self) -> None:
        """A flat value is the client's own word, and the nested one is not sent beside it."""
        members = {"voice": '"flat"', "audio": '{"output":{"voice":"nested"}}'}
        assert flatten(members, PLACES) == {"voice": '"flat"'}


@pytest.mark.parametrize(
    "members",
    [
        {"a": "1", "format": "5", "turns": "null", "voice": '"x"'},
        {"turns": '{"type":"server_vad"}'},
        {"a": "1"},
        {},
    ],
)
def test_there_and_back(members: Members) -> None:
    """What was nested is flat again as it was."""
    assert flatten(nest(members, PLACES), PLACES) == members


def test_what_has_no_counterpart_is_carried_out() -> None:
    """The exception brings the value, and reads as its message."""
    error = NoCounterpartError("No.", "item.type")
    assert error.untranslated == Untranslated(message="No.", param="item.type")
    assert str(error) == "No."
