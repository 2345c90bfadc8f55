"""Facts about reading JSON events and about the small edits in them."""

import gc
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_proxy.realtime.codec import parse_object, replace_member, structure_event
from rt_proxy.realtime.events import (
    CachedTokens,
    ErrorDetails,
    ErrorEvent,
    InputTokens,
    OutputTokens,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    ShownResponse,
    ShownSession,
    Usage,
)

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
            b'{"a":' + b"1" * 5_000 + b"}",
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            b"[" * 100_000,
        ],
        ids=lambda payload: repr(payload[:20]),
    )
    def test_anything_else_is_none(self, payload: bytes) -> None:
        """No object, broken, not UTF-8, too deep, too long a number: None, and never a raise."""
        assert parse_object(payload) is None

    def test_a_lone_surrogate(self) -> None:
        """An escape that no text can hold is read; JSON allows it."""
        assert parse_object(b'{"a":"\\ud800"}') == {"a": "\ud800"}

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_never_raises(self, payload: bytes) -> None:
        """Any bytes give a dict or None."""
        assert isinstance(parse_object(payload), dict | None)

    @settings(deadline=None)
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


class TestStructureEvent:
    """The server events that are read become values."""

    def test_session_events(self) -> None:
        """Of a session only what is decided on is kept."""
        session = {"id": "s", "model": "m", "expires_at": 5, "voice": {"x": 1}}
        shown = ShownSession("s", "m", 5)
        assert structure_event({"type": "session.created", "session": session}) == (
            SessionCreated(shown)
        )
        assert structure_event({"type": "session.updated", "session": session}) == (
            SessionUpdated(shown)
        )

    def test_response_created(self) -> None:
        """A response that has begun has an id and no usage yet."""
        response = {"id": "r", "status": "in_progress", "usage": None}
        assert structure_event({"type": "response.created", "response": response}) == (
            ResponseCreated(ShownResponse("r", "in_progress"))
        )

    def test_response_done(self) -> None:
        """The whole usage object of the API is understood."""
        usage = {
            "total_tokens": 253,
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 13,
                "image_tokens": 0,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        }
        event = {"type": "response.done", "response": {"id": "r", "usage": usage, "output": []}}
        read = InputTokens(119, 13, 0, 64, CachedTokens(64))
        assert structure_event(event) == ResponseDone(
            ShownResponse("r", None, Usage(253, 132, 121, read, OutputTokens(30, 91)))
        )

    def test_error(self) -> None:
        """An error event has its details."""
        event = {"type": "error", "event_id": "e", "error": {"type": "t", "code": "c"}}
        assert structure_event(event) == ErrorEvent(ErrorDetails("t", "c"))

    @pytest.mark.parametrize("type_", ["response.output_audio.delta", "", None, 5, ["error"], {}])
    def test_other_types(self, type_: object) -> None:
        """An event of another type, or of none, is not read."""
        assert structure_event({"type": type_, "session": {}, "error": {}}) is None
        assert structure_event({}) is None

    def test_without_its_object(self) -> None:
        """An event without what it is about is not read."""
        for type_ in ("session.created", "response.done", "error"):
            assert structure_event({"type": type_}) is None

    @pytest.mark.parametrize("wrong", [None, True, 1.0, "7", [], [1], {}])
    def test_no_coercion(self, wrong: object) -> None:
        """A count of the wrong kind is 0; true is not 1, and "7" is not 7."""
        usage = {"total_tokens": wrong, "input_tokens": 5}
        event = {"type": "response.done", "response": {"id": "r", "usage": usage}}
        assert structure_event(event) == ResponseDone(
            ShownResponse("r", None, Usage(input_tokens=5))
        )

    @pytest.mark.parametrize("wrong", [5, True, [], {}, ["x"]])
    def test_one_odd_member_hides_nothing(self, wrong: object) -> None:
        """A text of the wrong kind is absent; the members beside it are read all the same."""
        response = {"id": "r", "status": wrong, "usage": {"total_tokens": 3}}
        event = {"type": "response.done", "response": response}
        assert structure_event(event) == ResponseDone(
            ShownResponse("r", None, Usage(total_tokens=3))
        )

    @pytest.mark.parametrize("wrong", [5, "text", "id", [], ["id"], None, True])
    def test_an_object_of_the_wrong_kind(self, wrong: object) -> None:
        """What should be an object and is none counts as an empty one."""
        event = {"type": "session.created", "session": wrong}
        assert structure_event(event) == SessionCreated(ShownSession())

    @settings(deadline=None)
    @given(
        st.sampled_from(["session.created", "session.updated", "response.created", "error"])
        | st.just("response.done"),
        JSON
        | st.dictionaries(
            st.sampled_from(["id", "model", "usage", "code", "input_token_details"]), JSON
        ),
    )
    def test_never_raises(self, type_: str, thing: object) -> None:
        """Whatever stands in an event, it becomes a value."""
        event = {"type": type_, "session": thing, "response": thing, "error": thing}
        assert structure_event(event) is not None


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

    @settings(deadline=None)
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
        payload = old.join(parts).encode()
        replaced = replace_member(payload, PATH, new)
        assert replaced == json.dumps(new).join(parts).encode()
        if times == 0:
            assert replaced == payload

    @settings(deadline=None)
    @given(st.dictionaries(st.text(max_size=5), JSON), st.dictionaries(st.text(max_size=5), JSON))
    def test_the_rest_is_equal_as_json(
        self, event: dict[str, Any], session: dict[str, Any]
    ) -> None:
        """As JSON values, the edited event differs in that member alone."""
        event = {**event, "session": {**session, "model": "old"}}
        replaced = parse_object(replace_member(json.dumps(event).encode(), PATH, "new"))
        assert replaced == {**event, "session": {**event["session"], "model": "new"}}

    def test_numbers_are_kept_to_the_letter(self) -> None:
        """Huge integers and floats are not read and written again."""
        payload = (
            b'{"a":123456789012345678901234567890,"b":0.10,"c":1e400,"d":-0.0,"e":1E+2,'
            b'"session":{"temperature":0.80000,"model":"a"}}'
        )
        assert replace_member(payload, PATH, "b") == payload.replace(b'"a"}', b'"b"}')

    def test_duplicate_keys(self) -> None:
        """Where a key stands twice, every value is replaced, whichever a parser prefers."""
        payload = b'{"session":{"model":"x","model":"a"},"type":"t","session":{"model":"y"}}'
        assert replace_member(payload, PATH, "b") == (
            b'{"session":{"model":"b","model":"b"},"type":"t","session":{"model":"b"}}'
        )

    def test_only_at_its_place(self) -> None:
        """A model elsewhere, higher or deeper, is another thing."""
        payload = b'{"model":"a","session":{"audio":{"model":"a"}},"x":{"model":"a"}}'
        assert replace_member(payload, PATH, "b") == payload

    def test_the_new_value_is_escaped(self) -> None:
        """A name with quotes cannot break out of its string."""
        assert replace_member(b'{"session":{"model":"a"}}', PATH, 'b","x":"') == (
            b'{"session":{"model":"b\\",\\"x\\":\\""}}'
        )
