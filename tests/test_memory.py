"""Facts about what a session remembers: bounded, in how many things and in how long they are."""

import pytest

from rt_proxy.realtime.memory import Memory


def test_keeps_and_forgets() -> None:
    """A thing is remembered until it is taken."""
    memory = Memory()
    assert "a" not in memory
    memory.keep("a", "1")
    memory.keep("b")
    assert "a" in memory
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == ("1", "", None)
    assert (memory.take("a"), memory.take("a")) == ("1", None)
    assert "a" not in memory


def test_no_key() -> None:
    """What has no id is not remembered."""
    memory = Memory()
    memory.keep(None, "1")
    assert None not in memory
    assert memory.get(None) is None
    assert memory.take(None) is None


def test_the_last_word() -> None:
    """A thing that is told again is what it is told to be, and young again."""
    memory = Memory()
    memory.keep("a", "1")
    memory.keep("b", "2")
    memory.keep("a", "3")
    for number in range(1_023):
        memory.keep(str(number))
    assert memory.get("a") == "3"
    assert "b" not in memory


def test_the_oldest_is_forgotten() -> None:
    """The latest 1024 things are remembered."""
    memory = Memory()
    for number in range(50_000):
        memory.keep(str(number))
    assert [number for number in range(50_000) if str(number) in memory] == [
        *range(50_000 - 1_024, 50_000)
    ]


@pytest.mark.parametrize(("key", "text"), [("k" * 513, ""), ("k", "t" * 512)])
def test_what_is_too_long(key: str, text: str) -> None:
    """It is not remembered: no peer decides how much memory a session takes."""
    memory = Memory()
    memory.keep(key, text)
    assert key not in memory


def test_the_longest() -> None:
    """512 characters are not too long."""
    memory = Memory()
    memory.keep("k" * 12, "t" * 500)
    assert memory.get("k" * 12) == "t" * 500
