"""Facts about how channels are known to do."""

import math
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels.health import Condition, Health
from rt_proxy.settings import HealthSettings


def is_usable(condition: Condition, now: float) -> bool:
    """Whether a newcomer would be sent there in its turn."""
    return not condition.key_refused and now >= max(condition.cooling_until, condition.barred_until)


def health(cooldown: float = 10, most: float = 80) -> Health:
    """Return the health of channels of which nothing is known."""
    return Health(HealthSettings(cooldown, most), Random(1))


def test_unknown_channels_are_well() -> None:
    """A channel that nobody has tried is well, idle, and takes no memory."""
    conditions = health()

    assert conditions.of("a") == Condition()
    assert is_usable(conditions.of("a"), -1e9)
    assert conditions.conditions() == {}


def test_cooldowns_double() -> None:
    """Each failure in a row doubles the time, up to the longest; chance adds up to a quarter."""
    conditions = health()
    now = 0.0
    for expected in (10, 20, 40, 80, 80):
        seconds = conditions.note_failure("a", "HTTP 500", now)
        assert seconds is not None
        assert expected <= seconds <= expected * 1.25
        assert not is_usable(conditions.of("a"), now + expected - 0.1)
        now += seconds
        assert is_usable(conditions.of("a"), now)
    assert conditions.of("a").failures == 5


def test_chance_spreads_the_return() -> None:
    """Two channels that fail together do not come back together."""
    conditions = health()

    assert conditions.note_failure("a", "x", 0) != conditions.note_failure("b", "x", 0)


def test_failures_side_by_side_are_one() -> None:
    """While a channel cools down, more failures of sessions that were under way change nothing."""
    conditions = health()
    conditions.note_failure("a", "HTTP 500", 0)
    before = conditions.of("a")

    assert conditions.note_failure("a", "HTTP 502", 5) is None
    assert conditions.of("a") == before


def test_retry_after() -> None:
    """A channel that asked for time is left alone for it, at most an hour, even when cooling."""
    conditions = health()

    assert conditions.note_failure("a", "HTTP 429", 0, retry_after=60) == 60
    assert conditions.of("a").barred_until == 60
    assert conditions.note_failure("a", "HTTP 429", 5, retry_after=90) is None
    assert conditions.of("a").barred_until == 95
    conditions.note_failure("b", "HTTP 503", 0, retry_after=1e9)
    assert conditions.of("b").barred_until == 3600
    conditions.note_failure("c", "HTTP 503", 0, retry_after=0)
    assert conditions.of("c").barred_until == -math.inf


def test_a_success_makes_well() -> None:
    """One session that was opened ends the failures in a row, and is told once."""
    conditions = health()
    conditions.note_failure("a", "HTTP 500", 0)

    assert conditions.note_success("a")
    assert conditions.of("a") == Condition()
    assert not conditions.note_success("a")


def test_one_probe_at_a_time() -> None:
    """Of a channel that failed one session finds out whether it is well again."""
    conditions = health()
    assert not conditions.note_try("a")
    conditions.note_failure("a", "HTTP 500", 0)

    assert conditions.note_try("a")
    assert not conditions.note_try("a")
    assert conditions.of("a").probing
    conditions.note_probe_over("a")
    assert conditions.note_try("a")


def test_a_refused_key() -> None:
    """A channel whose key is refused is not usable, whenever it is."""
    conditions = health()
    conditions.note_key_refused("a", "HTTP 401")

    assert not is_usable(conditions.of("a"), 1e9)
    assert conditions.of("a").why == "HTTP 401"


def test_news() -> None:
    """What is to be said of a channel is said once, until a reload."""
    conditions = health()

    assert conditions.is_news("a")
    assert not conditions.is_news("a")
    assert conditions.is_news("b")
    conditions.renew(HealthSettings())
    assert conditions.is_news("a")


def test_seats() -> None:
    """Sessions are counted while they last, also when they end in an exception."""
    conditions = health()
    with conditions.seat("a"), conditions.seat("a"):
        assert conditions.of("a").busy == 2
    with pytest.raises(ValueError, match="x"), conditions.seat("a"):
        raise ValueError("x")
    assert conditions.conditions() == {}


def test_a_reload_remembers_what_is_unchanged() -> None:
    """Of a channel that is as before all stays, but for refused keys and probes."""
    conditions = health()
    for name in ("a", "b"):
        conditions.note_failure(name, "HTTP 500", 0, retry_after=60)
    conditions.note_try("a")
    before = conditions.of("a")
    conditions.note_key_refused("c", "HTTP 401")
    conditions.renew(HealthSettings(), {"a", "c"})
    assert conditions.conditions() == {"a": attrs.evolve(before, probing=False)}


def test_a_reload_thinks_well_of_all() -> None:
    """New settings forget failures and refused keys; live sessions are still counted."""
    conditions = health()
    conditions.note_failure("a", "HTTP 500", 0)
    conditions.note_key_refused("b", "HTTP 401")
    with conditions.seat("a"):
        conditions.renew(HealthSettings(1, 2))
        assert conditions.conditions() == {"a": Condition(busy=1)}
    seconds = conditions.note_failure("a", "x", 0)
    assert seconds is not None
    assert seconds <= 1.25


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["try", "over", "fail", "success", "refuse"]),
            st.sampled_from(["a", "b"]),
            st.floats(0, 1e6),
        ),
        max_size=40,
    )
)
def test_conditions_stay_sound(steps: list[tuple[str, str, float]]) -> None:
    """Whatever is noted, in whatever order, counts and moments stay in their bounds."""
    conditions = health()
    for what, channel, now in steps:
        match what:
            case "try":
                conditions.note_try(channel)
            case "over":
                conditions.note_probe_over(channel)
            case "fail":
                conditions.note_failure(channel, "x", now, retry_after=now)
            case "success":
                conditions.note_success(channel)
            case "refuse":
                conditions.note_key_refused(channel, "x")
    for condition in conditions.conditions().values():
        assert condition.failures >= 0
        assert condition.busy == 0
        assert condition.cooling_until <= 1e6 + 100
        assert condition.barred_until <= 1e6 + 3600
