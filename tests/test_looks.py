"""Facts about small looks at an event that has been parsed."""

import pytest

from rt_proxy.realtime.looks import object_at, text_at, value_at

EVENT = {"session": {"model": "m", "tools": [1], "audio": {"speed": 0}}, "none": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), EVENT),
        (("session", "model"), "m"),
        (("session", "audio", "speed"), 0),
        (("session", "tools", "0"), None),
        (("session", "model", "x"), None),
        (("none", "x"), None),
        (("missing", "x", "y"), None),
    ],
)
def test_value_at(path: tuple[str, ...], value: object) -> None:
    """A path leads through objects alone; where it leads nowhere there is nothing."""
    assert value_at(EVENT, *path) == value


@pytest.mark.parametrize("thing", [None, 5, "session", ["session"], True])
def test_what_is_no_object(thing: object) -> None:
    """Nothing stands below what is no object."""
    assert value_at(thing, "session") is None
    assert object_at(thing, "session") == {}
    assert text_at(thing, "session") is None


def test_object_at() -> None:
    """What is no object is an empty one."""
    assert object_at(EVENT, "session", "audio") == {"speed": 0}
    for name in ("model", "tools", "missing"):
        assert object_at(EVENT, "session", name) == {}


def test_text_at() -> None:
    """What is no string is none."""
    assert text_at(EVENT, "session", "model") == "m"
    for name in ("audio", "tools", "missing"):
        assert text_at(EVENT, "session", name) is None
