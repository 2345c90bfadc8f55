"""The checks from which the shapes of client events are made."""

import base64
from typing import Any

import pytest

from rt_proxy.simulator import schema
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.schema import Check

_PAIR = schema.shape({"a": schema.boolean, "b": schema.integer(1, 9)}, required=("a",), b=5)
_KINDS = schema.by("kind", {"x": schema.shape({"kind": schema.anything}), "y": _PAIR})


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (schema.string(3), "abc", "abc"),
        (schema.choice("a", "b"), "b", "b"),
        (schema.boolean, False, False),
        (schema.integer(0, 5), 5, 5),
        (schema.number(0, 1), 0.5, 0.5),
        (schema.number(0, 1), 1, 1),
        (schema.audio, "AAAA", b"\0\0\0"),
        (schema.array(schema.boolean), [True], [True]),
        (schema.strings(1, 2, 2), {"a": "b"}, {"a": "b"}),
        (schema.nullable(schema.boolean), None, None),
        (schema.clearable(schema.boolean, True), None, True),
        (schema.either(schema.choice("a"), _PAIR), "a", "a"),
        (_PAIR, {"a": True}, {"a": True, "b": 5}),
        (_KINDS, {"kind": "x"}, {"kind": "x"}),
    ],
)
def test_what_fits_is_kept(check: Check, value: Any, kept: Any) -> None:
    """A value that fits passes, with defaults filled in."""
    assert check(value, "p") == kept


@pytest.mark.parametrize(
    ("check", "value", "code", "param"),
    [
        (schema.string(3), 5, "invalid_type", "p"),
        (schema.string(3), "abcd", "string_above_max_length", "p"),
        (schema.choice("a", "b"), "c", "invalid_value", "p"),
        (schema.choice("a", "b"), None, "invalid_type", "p"),
        (schema.boolean, 1, "invalid_type", "p"),
        (schema.integer(0, 5), True, "invalid_type", "p"),
        (schema.integer(0, 5), 1.0, "invalid_type", "p"),
        (schema.integer(0, 5), -1, "integer_below_min_value", "p"),
        (schema.integer(0, 5), 10**400, "integer_above_max_value", "p"),
        (schema.number(0, 1), 1.5, "decimal_above_max_value", "p"),
        (schema.number(0, 1), 10**400, "decimal_above_max_value", "p"),
        (schema.audio, "AAA", "invalid_value", "p"),
        (schema.audio, "AA\u00e9=", "invalid_value", "p"),
        (schema.audio, 1, "invalid_type", "p"),
        (schema.array(schema.boolean, 1), [True, True], "array_above_max_length", "p"),
        (schema.array(schema.boolean), [True, 1], "invalid_type", "p[1]"),
        (schema.strings(1, 2, 2), {"a": 1}, "invalid_type", "p.a"),
        (schema.strings(1, 2, 2), {"a": "", "b": ""}, "object_above_max_properties", "p"),
        (_PAIR, {}, "missing_required_parameter", "p.a"),
        (_PAIR, {"a": True, "z": 1}, "unknown_parameter", "p.z"),
        (_PAIR, [], "invalid_type", "p"),
        (_KINDS, {}, "missing_required_parameter", "p.kind"),
        (_KINDS, {"kind": "z"}, "invalid_value", "p.kind"),
        (_KINDS, {"kind": []}, "invalid_type", "p.kind"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    check: Check, value: Any, code: str, param: str
) -> None:
    """A value that does not fit is refused with the API's code and the field's path."""
    with pytest.raises(EventRefused) as caught:
        check(value, "p")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_supported_values_are_listed_as_the_api_lists_them() -> None:
    """One, two and three values each have their own sentence."""
    assert schema.unsupported("x", ("a",)) == "Invalid value: 'x'. Value must be 'a'."
    assert schema.unsupported("x", ("a", "b")).endswith("Supported values are: 'a' and 'b'.")
    assert schema.unsupported("x", ("a", "b", "c")).endswith("'a', 'b', and 'c'.")


def test_fifteen_mebibytes_of_audio_pass_and_more_do_not() -> None:
    """The documented maximum of one append is honoured."""
    most = base64.b64encode(bytes(schema.LONGEST_AUDIO)).decode()
    assert len(schema.audio(most, "audio")) == schema.LONGEST_AUDIO
    with pytest.raises(EventRefused) as caught:
        schema.audio(most + "AAAA" * 2, "audio")
    assert caught.value.code == "string_above_max_length"
