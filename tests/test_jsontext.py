"""Facts about reading JSON text and about the small edits in it."""

import gc
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.jsontext import (
    edit_array,
    edit_object,
    is_intricate,
    parse_object,
    read_elements,
    read_members,
    read_string,
    replace_member,
    write_array,
    write_object,
    write_string,
)


def ends_soon(expression: str) -> None:
    """Have what could take hours done by another process, which is stopped after a minute."""
    code = f"from rt_proxy.realtime.jsontext import *; {expression}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


class TestParseObject:
    """A message is an object, or nothing."""

    def test_an_object(self) -> None:
        """An object is given as a dict."""
        assert parse_object(b' {"a": [1, null]}\n') == {"a": [1, None]}

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b" ",
            b"{",
            b'{"a":1}x',
            b'{"a":1,}',
            b"[]",
            b'"text"',
            b"null",
            b"1",
            b'\xef\xbb\xbf{"a":1}',
            b'{"a":"\xff"}',
            b'{"a":"\xed\xa0\x80"}',
            '{"a":1}'.encode("utf-16"),
            b'{"a":"\n"}',
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            b"[" * 100_000,
        ],
        ids=lambda payload: repr(payload[:20]),
    )
    def test_anything_else_is_none(self, payload: bytes) -> None:
        """No object, broken, not UTF-8, too deep: None, and never a raise."""
        assert parse_object(payload) is None

    @pytest.mark.parametrize("sign", ["", "-"])
    def test_an_integer_of_any_length(self, sign: str) -> None:
        """JSON has no longest integer; one that Python does not read hides nothing beside it."""
        digits = sign + "1" * 5_000
        assert parse_object(f'{{"a":{digits},"b":7}}'.encode()) == {
            "a": float(sign + "inf"),
            "b": 7,
        }

    @pytest.mark.parametrize(
        ("payload", "intricate"),
        [
            (b"[" * 200_000, True),
            (b'["' + b"[" * 400_000 + b'"]', False),
            (b'["' + b'\\"[' * 200_000 + b'"]', False),
            (b"[" * 100_000, False),
            (b"1," * 100_000, True),
            (b'"' + b"x" * 400_000, False),
            (b'{"a":"' + b'\\"' * 200_000, False),
            (b'{"a":"' + b'\\"' * 200_000 + b"\\", False),
            (b"[" * 200_000 + b'"', True),
        ],
    )
    def test_what_is_intricate(self, payload: bytes, intricate: bool) -> None:
        """It is what stands beside the strings that counts."""
        assert is_intricate(payload) is intricate

    def test_it_takes_no_longer_for_strings_without_an_end(self) -> None:
        """Four megabytes of quotes are looked at once each; it took hours."""
        ends_soon("""is_intricate(b'{"a":"' + b'\\\\"' * 2_000_000)""")

    def test_a_lone_surrogate(self) -> None:
        """An escape that no text can hold is read; JSON allows it."""
        assert parse_object(b'{"a":"\\ud800"}') == {"a": "\ud800"}

    @given(st.binary(max_size=200))
    def test_never_raises(self, payload: bytes) -> None:
        """Any bytes give a dict or None."""
        assert isinstance(parse_object(payload), dict | None)

    @given(JSON)
    def test_every_json(self, value: object) -> None:
        """Any JSON gives the object that it is, or None."""
        expected = value if isinstance(value, dict) else None
        assert parse_object(json.dumps(value).encode()) == expected

    @pytest.mark.parametrize(
        "text",
        [b'{"a":1}', b'{"a":', b'{"a":"\xff"}', b'{"a":' + b"[" * 100_000],
        ids=["well-formed", "malformed", "not UTF-8", "too deep"],
    )
    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_the_garbage_collector_stays_as_it_was(self, text: bytes, *, is_enabled: bool) -> None:
        """Large text, well-formed or not, leaves the garbage collector on or off as it was."""
        was_enabled = gc.isenabled()
        try:
            (gc.enable if is_enabled else gc.disable)()
            parse_object(b" " * 100_000 + text)
            assert gc.isenabled() is is_enabled
        finally:
            (gc.enable if was_enabled else gc.disable)()

    def test_large_text_is_parsed_without_collections(self) -> None:
        """While a large value grows the garbage collector does not look at it again and again."""
        payload = b'{"a":[' + b"[]," * 100_000 + b"[]]}"
        before = sum(generation["collections"] for generation in gc.get_stats())
        value = parse_object(payload)
        during = sum(generation["collections"] for generation in gc.get_stats()) - before
        assert value is not None
        assert during < 10


PATH = ("session", "model")


@st.composite
def templates(draw: st.DrawFn) -> tuple[list[str], int]:
    """Draw an object's text, cut where a ``session.model`` stands, and how often one does."""
    space = st.text(" \t\r\n", max_size=2)

    def text_of(value: object) -> str:
        return json.dumps(
            value,
            ensure_ascii=draw(st.booleans()),
            indent=draw(st.sampled_from([None, 1])),
        )

    def joined(members: list[str]) -> str:
        gap = draw(space)
        return "{" + gap + f"{gap},{gap}".join(members) + gap + "}"

    def others(banned: str) -> list[str]:
        keys = draw(st.lists(st.text(max_size=5).filter(lambda key: key != banned), max_size=3))
        colon = draw(space) + ":" + draw(space)
        return [text_of(key) + colon + text_of(draw(JSON_TEXTS)) for key in keys]

    def session() -> str:
        models = draw(st.integers(0, 2))
        key = draw(st.sampled_from(['"model"', '"mod\\u0065l"']))
        members = others("model") + [f"{key}:\0"] * models
        return joined(draw(st.permutations(members)))

    members = others("session")
    for _ in range(draw(st.integers(0, 2))):
        body = draw(st.sampled_from(["object", "object", "array"]))
        members.append('"session" : ' + (session() if body == "object" else '[{"model":"x"}]'))
    whole = draw(space) + joined(draw(st.permutations(members))) + draw(space)
    parts = whole.split("\0")
    return parts, len(parts) - 1


JSON_TEXTS = st.recursive(
    st.none()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10).map(lambda text: text.replace("\0", "")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "session", "ö", "a b"]), inner)
    ),
    max_leaves=8,
)


class TestReplaceMember:
    """One member is replaced; every other byte stays."""

    @given(
        templates(),
        st.sampled_from(['"old"', '"\\u00e9\\ud800"', "5", "null", '{"model": ["x"]}', "[]"]),
        st.text(max_size=10),
    )
    def test_every_other_byte_stays(
        self, template: tuple[list[str], int], old: str, new: str
    ) -> None:
        """Each ``session.model`` becomes the new string, and nothing else changes by a byte."""
        parts, times = template
        payload = old.join(parts)
        replaced = replace_member(payload, PATH, new)
        assert replaced == json.dumps(new).join(parts)
        if times == 0:
            assert replaced == payload

    @given(st.dictionaries(st.text(max_size=5), JSON), st.dictionaries(st.text(max_size=5), JSON))
    def test_the_rest_is_equal_as_json(
        self, event: dict[str, Any], session: dict[str, Any]
    ) -> None:
        """As JSON values, the edited event differs in that member alone."""
        event = {**event, "session": {**session, "model": "old"}}
        replaced = json.loads(replace_member(json.dumps(event), PATH, "new"))
        assert replaced == {**event, "session": {**event["session"], "model": "new"}}

    def test_numbers_are_kept_to_the_letter(self) -> None:
        """Huge integers and floats are not read and written again."""
        payload = (
            '{"a":123456789012345678901234567890,"b":0.10,"c":1e400,"d":-0.0,"e":1E+2,'
            '"session":{"temperature":0.80000,"model":"a"}}'
        )
        assert replace_member(payload, PATH, "b") == payload.replace('"a"}', '"b"}')

    def test_duplicate_keys(self) -> None:
        """Where a key stands twice, every value is replaced, whichever a parser prefers."""
        payload = '{"session":{"model":"x","model":"a"},"type":"t","session":{"model":"y"}}'
        assert replace_member(payload, PATH, "b") == (
            '{"session":{"model":"b","model":"b"},"type":"t","session":{"model":"b"}}'
        )

    def test_it_takes_no_longer_for_duplicate_keys(self) -> None:
        """A long text is copied once, not once for each of its keys; it took ten minutes."""
        ends_soon(
            """replace_member('{"s":{' + '"m":"",' * 400_000 + '"i":"' + "x" * 9_000_000 + '"}}',
            ("s", "m"), "new")"""
        )

    def test_only_at_its_place(self) -> None:
        """A model elsewhere, higher or deeper, is another thing."""
        payload = '{"model":"a","session":{"audio":{"model":"a"}},"x":{"model":"a"}}'
        assert replace_member(payload, PATH, "b") == payload

    def test_the_new_value_is_escaped(self) -> None:
        """A name with quotes cannot break out of its string."""
        assert replace_member('{"session":{"model":"a"}}', PATH, 'b","x":"') == (
            '{"session":{"model":"b\\",\\"x\\":\\""}}'
        )


#: Values that are no object, no array and no string.
SCALARS = ["null", "true", "false", "0", "-0.0", "1e400", "NaN", "-Infinity", "9" * 5_000]
STRINGS = ['""', '"a"', '"\\""', '"\\\\"', '"\\u00e9"', '"\\ud800"', '"{[,:]}"', '" \u00f6 "']
ARRAYS = ["[]", "[ ]", "[1]", "[ 1 , [2] ]", '["]"]']
OBJECTS = ["{}", "{ }", '{"a":1}', '{ "a" : {"b":[]} }', '{"}":"{"}']


@st.composite
def spaced(draw: st.DrawFn, value: object) -> str:
    """Draw one of the texts of a value: any spaces, and any escapes."""

    def space() -> str:
        return draw(st.text(" \t\r\n", max_size=2))

    def string(text: str) -> str:
        return json.dumps(text, ensure_ascii=draw(st.booleans()))

    if isinstance(value, dict):
        members = [
            f"{space()}{string(key)}{space()}:{space()}{draw(spaced(inner))}{space()}"
            for key, inner in value.items()
        ]
        return "{" + (",".join(members) or space()) + "}"
    if isinstance(value, list):
        elements = [f"{space()}{draw(spaced(inner))}{space()}" for inner in value]
        return "[" + (",".join(elements) or space()) + "]"
    return string(value) if isinstance(value, str) else json.dumps(value)


TEXTS = JSON.flatmap(spaced)
ROWS = st.lists(TEXTS, max_size=4)


class TestReadMembers:
    """An object is taken apart, one level at a time."""

    def test_to_the_letter(self) -> None:
        """Each value is the text that it was, without the spaces around it."""
        text = ' { "a" : 1e400 ,"b":[ 0.10 , {} ],\n"c":"\\u00e9" , "d":{ "e" : null } } '
        assert read_members(text) == {
            "a": "1e400",
            "b": "[ 0.10 , {} ]",
            "c": '"\\u00e9"',
            "d": '{ "e" : null }',
        }

    @pytest.mark.parametrize("value", [*SCALARS, *STRINGS, *ARRAYS, *OBJECTS])
    @pytest.mark.parametrize("space", ["", " ", "\r\n\t"])
    def test_any_value(self, value: str, space: str) -> None:
        """Where a value ends is found whatever it is, and whatever follows."""
        text = f'{{"a":{space}{value}{space},"b":{space}{value}{space}}}'
        assert read_members(text) == {"a": value, "b": value}

    @pytest.mark.parametrize("value", [*SCALARS, *STRINGS, *ARRAYS])
    def test_another_value(self, value: str) -> None:
        """What is no object has no members, which is not the same as having none."""
        assert read_members(value) is None
        assert read_members(f"\n{value} ") is None
        assert read_members(" { } ") == {}

    def test_keys(self) -> None:
        """A key is what it says, however it is spelled; of two the last holds."""
        assert read_members('{"\\u0061":1,"\\"":2,"a":3,"\\ud800":4}') == {
            "a": "3",
            '"': "2",
            "\ud800": "4",
        }

    def test_the_order_is_kept(self) -> None:
        """Members stand in the order in which their keys came first."""
        assert list(read_members('{"b":1,"a":2,"b":3}') or {}) == ["b", "a"]

    @given(st.dictionaries(st.text(max_size=5), JSON).flatmap(spaced))
    def test_each_member_is_the_value_that_it_is(self, text: str) -> None:
        """Read one by one, the members are those of the whole."""
        members = read_members(text)
        assert members is not None
        assert {key: json.loads(value) for key, value in members.items()} == json.loads(text)
        assert all(value in text and value == value.strip() for value in members.values())


class TestReadElements:
    """An array is taken apart, one level at a time."""

    def test_to_the_letter(self) -> None:
        """Each element is the text that it was."""
        assert read_elements('[ 1e400 ,[ 0.10 ], {"a" : 1} ,"\\u00e9"\n]') == [
            "1e400",
            "[ 0.10 ]",
            '{"a" : 1}',
            '"\\u00e9"',
        ]

    @pytest.mark.parametrize("value", [*SCALARS, *STRINGS, *ARRAYS, *OBJECTS])
    @pytest.mark.parametrize("space", ["", " ", "\r\n\t"])
    def test_any_value(self, value: str, space: str) -> None:
        """Where a value ends is found whatever it is, and whatever follows."""
        assert read_elements(f"[{space}{value}{space},{space}{value}{space}]") == [value, value]

    @pytest.mark.parametrize("value", [*SCALARS, *STRINGS, *OBJECTS])
    def test_another_value(self, value: str) -> None:
        """What is no array has no elements, which is not the same as having none."""
        assert read_elements(value) is None
        assert read_elements("[ ]") == []

    @given(st.lists(JSON, max_size=5).flatmap(spaced))
    def test_each_element_is_the_value_that_it_is(self, text: str) -> None:
        """Read one by one, the elements are those of the whole."""
        assert [json.loads(element) for element in read_elements(text) or []] == json.loads(text)


class TestReadString:
    """A string, and nothing that looks like one."""

    @pytest.mark.parametrize("value", STRINGS)
    def test_a_string(self, value: str) -> None:
        """Its escapes are read."""
        assert read_string(value) == json.loads(value)

    @pytest.mark.parametrize("value", [*SCALARS, *ARRAYS, *OBJECTS, None])
    def test_another_value(self, value: str | None) -> None:
        """Anything else is none."""
        assert read_string(value) is None


class TestWrite:
    """What is written is read again as it was."""

    @given(st.dictionaries(st.text(st.characters(codec=None), max_size=5), TEXTS, max_size=4))
    def test_an_object(self, members: dict[str, str]) -> None:
        """Values go in to the letter, keys as ASCII, so that any of them can be sent."""
        text = write_object(members)
        assert read_members(text) == members
        assert list(read_members(text) or {}) == list(members)
        assert "\ud800" not in write_object({"\ud800": "1"})

    @given(ROWS)
    def test_an_array(self, elements: list[str]) -> None:
        """Elements go in to the letter."""
        assert read_elements(write_array(elements)) == elements

    @given(st.text(st.characters(codec=None)))
    def test_a_string(self, value: str) -> None:
        """Any string, a lone surrogate too, is written so that it can be sent."""
        assert write_string(value).isascii()
        assert read_string(write_string(value)) == value

    def test_without_spaces(self) -> None:
        """The type of an event is where those look for it who look at its first bytes."""
        assert write_object({"type": '"a"', "b": "[ ]"}) == '{"type":"a","b":[ ]}'
        assert write_array(["1", " 2"]) == "[1, 2]"


class TestEdit:
    """An edit that changes nothing leaves the text itself."""

    @given(TEXTS)
    def test_nothing_changes(self, text: str) -> None:
        """It is the very same object, whatever it holds, and twice whatever."""
        assert edit_object(text, dict) is text
        assert edit_array(text, str) is text

    def test_duplicates_stay_where_nothing_changes(self) -> None:
        """What a parser would drop is not dropped here."""
        text = '{"a":1,"a":2}'
        assert edit_object(text, dict) is text
        assert edit_object(text, lambda it: {**it, "b": "3"}) == '{"a":2,"b":3}'

    def test_another_order_is_no_change(self) -> None:
        """Members have no order that means anything."""
        text = '{"a":1, "b":2}'
        assert edit_object(text, lambda it: dict(reversed(it.items()))) is text

    def test_an_object_that_changes(self) -> None:
        """The edit may keep or change what it was given."""

        def edit(members: dict[str, str]) -> dict[str, str]:
            del members["a"]
            members["c"] = "[ 1 ]"
            return members

        assert edit_object('{"a":1, "b":0.10}', edit) == '{"b":0.10,"c":[ 1 ]}'

    def test_an_array_that_changes(self) -> None:
        """Each element is edited; those that the edit leaves stay to the letter."""
        text = '[ 1 , "a", [ 0.10 ] ]'
        assert edit_array(text, lambda it: "2" if it == "1" else it) == '[2,"a",[ 0.10 ]]'

    @pytest.mark.parametrize("value", [*SCALARS, *STRINGS])
    def test_another_value(self, value: str) -> None:
        """It is not edited."""
        assert edit_object(value, lambda it: {**it, "a": "1"}) is value
        assert edit_object("[{}]", lambda it: {**it, "a": "1"}) == "[{}]"
        assert edit_array(value, str.upper) is value
        assert edit_array('{"a":1}', str.upper) == '{"a":1}'
