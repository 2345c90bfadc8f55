"""Facts about what the first bytes of a message prove about its type."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.frames import Splice
from rt_proxy.realtime.peek import Lanes, proven_type

RULE = Lanes({"session.update", "error"})

PROVEN = {
    "plain": b'{"type":"a.b"}',
    "with spaces": b' \t\r\n{ \n"type" \t: \r\n"a.b" , "x":1}',
    "after an event_id": b'{"event_id":"e1","type":"a.b"}',
    "after an event_id with spaces": b'{ "event_id" : "e 1" ,\n "type" : "a.b" }',
    "after an empty event_id": b'{"event_id":"","type":"a.b"}',
    "the rest has not come": b'{"type":"a.b"',
    "with what is no JSON after it": b'{"type":"a.b" nonsense',
    "a second type": b'{"type":"a.b","type":"session.update"}',
}
NOT_PROVEN = {
    "type in the middle": b'{"audio":"AAAA","type":"a.b"}',
    "type last": b'{"session":{},"event_id":"x","type":"a.b"}',
    "type of something else": b'{"item":{"type":"a.b"},"type":"session.update"}',
    "an escaped key": b'{"t\\u0079pe":"a.b"}',
    "an escaped value": b'{"type":"a\\u002eb"}',
    "an event_id with an escape": b'{"event_id":"\\"","type":"a.b"}',
    "an event_id with a backslash that hides a quote": b'{"event_id":"\\","type":"a.b","x":"',
    "an event_id that is no string": b'{"event_id":5,"type":"a.b"}',
    "an escaped event_id": b'{"event\\u005fid":"x","type":"a.b"}',
    "two event_ids": b'{"event_id":"x","event_id":"y","type":"a.b"}',
    "a key in capitals": b'{"TYPE":"a.b"}',
    "a type that is no string": b'{"type":["a.b"]}',
    "a type that has not ended": b'{"type":"a.b',
    "a byte order mark": b'\xef\xbb\xbf{"type":"a.b"}',
    "a space that JSON does not know": b'\x0b{"type":"a.b"}',
    "an array": b'[{"type":"a.b"}]',
    "a string": b'"type"',
    "nothing": b"",
}


@pytest.mark.parametrize("start", PROVEN.values(), ids=PROVEN)
def test_proven(start: bytes) -> None:
    """The object opens with type, or with a string event_id and then type, without escapes."""
    assert proven_type(start) == b"a.b"


@pytest.mark.parametrize("start", NOT_PROVEN.values(), ids=NOT_PROVEN)
def test_not_proven(start: bytes) -> None:
    """Any other start proves nothing, whatever a hasty reader would find in it."""
    assert proven_type(start) is None


@pytest.mark.parametrize("enough", [False, True])
def test_a_proven_type_decides(enough: bool) -> None:
    """Types of the set are read, all others pass, and no more bytes are asked for."""
    assert RULE(b'{"type":"session.update"', enough) is True
    assert RULE(b'{"event_id":"x","type":"error"', enough) is True
    assert RULE(b'{"type":"input_audio_buffer.append"', enough) is False
    assert RULE(b'{"type":"session.update.not"', enough) is False
    assert RULE(b'{"type":""', enough) is False


@pytest.mark.parametrize("start", NOT_PROVEN.values(), ids=NOT_PROVEN)
def test_without_proof_more_is_asked_for(start: bytes) -> None:
    """As long as there may be more, a start without proof is no answer."""
    assert RULE(start, False) is None


@pytest.mark.parametrize(
    "start", [b"{", b'{"audio":"AAAA', b' {"type":5}', b'{"t\\u0079pe":"a.b"}', b"", b"   \r\n"]
)
def test_an_object_without_proof_is_read(start: bytes) -> None:
    """What is, or may become, an object and proves nothing must be read."""
    assert RULE(start, True) is True


@pytest.mark.parametrize("start", [b"[", b'"x"', b"null", b"12", b"\x00{", b"\xff", b"}{"])
def test_what_is_no_object_is_not_read(start: bytes) -> None:
    """It is no event: the other side is the judge of it."""
    assert RULE(start, True) is False


def test_a_byte_order_mark_is_read() -> None:
    """It is no JSON, but some take it for it: so it must not hide an update."""
    assert RULE(b"\xef\xbb\xbf{", True) is True


def test_a_long_event_id() -> None:
    """An event_id that fills all that is looked at hides the type: the message is read."""
    message = b'{"event_id":"' + b"e" * 2_000 + b'","type":"a.b"}'
    assert RULE(message[:1_024], True) is True
    assert RULE(message, True) is False


class TestLaying:
    """The lanes of one direction can be laid anew while messages come."""

    def test_without_any(self) -> None:
        """Nothing but what proves no type is read."""
        lanes = Lanes()
        assert lanes(b'{"type":"error"', False) is False
        assert lanes(b"{", True) is True

    def test_anew(self) -> None:
        """What was laid before holds no longer, of any kind."""
        lanes = Lanes({"a"})
        lanes.lay({"b"}, large={"c"}, renamed={"d": "x"})
        assert [lanes(b'{"type":"%b"' % kind, False) for kind in (b"a", b"b", b"c")] == [
            False,
            True,
            "large",
        ]
        assert isinstance(lanes(b'{"type":"d"', False), Splice)
        lanes.lay({"a"})
        assert [lanes(b'{"type":"%b"' % kind, False) for kind in (b"a", b"b", b"c", b"d")] == [
            True,
            False,
            False,
            False,
        ]

    def test_large_ones(self) -> None:
        """A type that is read however large it is is called so, also where it is read anyway."""
        lanes = Lanes()
        lanes.lay({"a", "b"}, large={"b"})
        assert lanes(b'{"type":"a"', True) is True
        assert lanes(b'{"event_id":"e", "type":"b"', True) == "large"

    def test_small_ones(self) -> None:
        """A type that is read only while it is small is called so."""
        lanes = Lanes()
        lanes.lay({"a", "b"}, small={"b", "c"})
        assert lanes(b'{"type":"a"', True) is True
        assert lanes(b'{"type":"b"', True) == "small"
        assert lanes(b'{"event_id":"e", "type":"c"', True) == "small"
        lanes.lay({"a"})
        assert lanes(b'{"type":"c"', True) is False

    def test_what_proves_nothing_is_read_as_any(self) -> None:
        """Only a proven type may be larger than others, or go on unread for its size."""
        lanes = Lanes()
        lanes.lay({"a"}, large={"b"}, small={"c"})
        assert lanes(b'{"item":{},"type":"b"}', True) is True
        assert lanes(b'{"item":{},"type":"c"}', True) is True

    @pytest.mark.parametrize("start", PROVEN.values(), ids=PROVEN)
    @pytest.mark.parametrize("enough", [False, True])
    def test_renamed_in_passing(self, start: bytes, enough: bool) -> None:
        """The span of the type is given, and no quote or space of its neighbours."""
        lanes = Lanes()
        lanes.lay({"session.update"}, renamed={"a.b": "c"})
        splice = lanes(start, enough)
        assert isinstance(splice, Splice)
        assert start[splice.start : splice.end] == b"a.b"
        assert start[splice.start - 1 : splice.start] == start[splice.end : splice.end + 1] == b'"'
        assert splice.replacement == b"c"

    def test_what_is_renamed_is_not_read(self) -> None:
        """A type of both kinds is renamed in passing."""
        lanes = Lanes()
        lanes.lay({"a.b"}, large={"a.b"}, renamed={"a.b": "c"})
        assert isinstance(lanes(b'{"type":"a.b"', False), Splice)

    @pytest.mark.parametrize("start", NOT_PROVEN.values(), ids=NOT_PROVEN)
    def test_without_proof_nothing_is_renamed(self, start: bytes) -> None:
        """It is read, or goes on as it is."""
        lanes = Lanes()
        lanes.lay((), renamed={"a.b": "c"})
        assert lanes(start, False) is None
        assert isinstance(lanes(start, True), bool)

    def test_names_that_are_not_ascii(self) -> None:
        """Types are compared as the bytes that they are on the wire."""
        lanes = Lanes({"\u00e9"})
        lanes.lay({"\u00e9"}, renamed={"\u00f6": "\u00e4"})
        assert lanes('{"type":"\u00e9"'.encode(), False) is True
        assert lanes(b'{"type":"\\u00e9"', False) is None
        assert lanes('{"type":"\u00f6"'.encode(), False) == Splice(9, 11, "\u00e4".encode())


_SPACE = st.text(" \t\r\n", max_size=3)
_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
_TYPES = st.sampled_from(["session.update", "error", "a.b", "session.updated", ""])
_JSON = st.recursive(
    _PLAIN | st.fixed_dictionaries({"type": _TYPES}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@st.composite
def spellings(draw: st.DrawFn, text: str) -> str:
    """Draw one of the ways to write a string in JSON."""
    written = "".join(
        f"\\u{ord(letter):04x}" if draw(st.integers(0, 30)) == 0 else json.dumps(letter)[1:-1]
        for letter in text
    )
    return f'"{written}"'


@st.composite
def objects(draw: st.DrawFn, types: int) -> tuple[bytes, list[object]]:
    """Draw the text of an object with so many keys ``type``, and their values."""
    keys = draw(st.lists(st.sampled_from(["event_id", "item", "session"]), max_size=3))
    places = [draw(st.integers(0, len(keys))) for _ in range(types)]
    for place in places:
        keys.insert(place, "type")
    members, values = [], []
    for key in keys:
        value = draw(_TYPES) if key == "type" else draw(_JSON)
        values += [value] if key == "type" else []
        written = draw(spellings(value)) if isinstance(value, str) else json.dumps(value)
        spaces = [draw(_SPACE) for _ in range(4)]
        members.append(
            f"{spaces[0]}{draw(spellings(key))}{spaces[1]}:{spaces[2]}{written}{spaces[3]}"
        )
    text = f"{draw(_SPACE)}{{{','.join(members)}}}"
    assert isinstance(json.loads(text), dict)
    return text.encode(), values


@given(objects(1))
def test_no_spelling_hides_a_type_that_must_be_read(drawn: tuple[bytes, list[object]]) -> None:
    """An object with one type, and that one of the set, never passes, however much has come."""
    text, types = drawn
    if types[0] in ("session.update", "error"):
        for size in range(len(text) + 1):
            assert RULE(text[:size], False) is not False
            assert RULE(text[:size], True) is True


@given(st.integers(0, 3).flatmap(objects))
def test_what_passes_shows_another_type_first(drawn: tuple[bytes, list[object]]) -> None:
    """An object that passes has a first type outside of the set.

    A second type is the one way to hide: what protects money or access does not rest on this.
    """
    text, types = drawn
    if RULE(text, True) is False:
        proven = proven_type(text)
        assert proven is not None
        assert proven.decode() == types[0]
        assert types[0] not in ("session.update", "error")


@given(st.integers(0, 2).flatmap(objects) | st.tuples(st.binary(max_size=60), st.just([])))
def test_a_decision_stays(drawn: tuple[bytes, list[object]]) -> None:
    """What is decided on some of the bytes is never decided otherwise on more of them."""
    text = drawn[0]
    lanes = Lanes()
    lanes.lay({"session.update"}, large={"error"}, renamed={"a.b": "c"})
    decided = None
    for size in range(len(text) + 1):
        answer = lanes(text[:size], False)
        assert decided is None or answer == decided
        decided = answer
    assert decided is None or lanes(text, True) == decided


@given(objects(1))
def test_a_renamed_object_is_the_same_otherwise(drawn: tuple[bytes, list[object]]) -> None:
    """Put in its place, the other type is all that changes of the object."""
    text, types = drawn
    lanes = Lanes()
    lanes.lay((), renamed={"a.b": "other", "error": "x"})
    splice = lanes(text, True)
    if isinstance(splice, Splice):
        spliced = text[: splice.start] + splice.replacement + text[splice.end :]
        names = {"a.b": "other", "error": "x"}
        assert json.loads(spliced) == {**json.loads(text), "type": names[str(types[0])]}
