"""Facts about a token bucket: what may pass at once, and when more may."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.session.bucket import Bucket


def bucket(rate: float = 2, capacity: float = 10) -> Bucket:
    """Return a full bucket at the moment 0."""
    return Bucket("the limit", rate=rate, capacity=capacity, now=0)


def test_so_much_at_once() -> None:
    """A full bucket gives all it has, and then what comes back, second by second."""
    of = bucket()
    of.take(10, 0)
    assert of.seconds_until(0, 0) == 0
    assert of.seconds_until(1, 0) == 0.5
    assert of.seconds_until(1, 0.5) == 0
    assert of.seconds_until(4, 0.5) == 1.5


def test_no_more_than_it_holds() -> None:
    """A long pause fills it, and no more."""
    of = bucket()
    of.take(10, 0)
    assert not of.is_full(4.9)
    assert of.is_full(1_000)
    of.take(10, 1_000)
    assert of.seconds_until(1, 1_000) == 0.5


def test_debts() -> None:
    """What is taken beyond it is owed, and one waits for it."""
    of = bucket()
    of.take(30, 0)
    assert of.seconds_until(0, 0) == 10
    assert of.seconds_until(0, 10) == 0


@pytest.mark.parametrize("moment", [-5, float("-inf"), float("inf")])
def test_a_clock_that_is_wrong(moment: float) -> None:
    """A clock that goes back, or is no number, leaves the bucket in order."""
    of = bucket()
    of.take(10, 100)
    of.seconds_until(0, moment)
    of.take(5, 100)
    assert 0 <= of.seconds_until(1, 100) <= 3


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 50)), max_size=30))
def test_never_faster(steps: list[tuple[float, float]]) -> None:
    """Whoever waits as told takes no more than the capacity and the rate allow."""
    of, now, taken = bucket(), 0.0, 0.0
    for pause, amount in steps:
        now += pause + of.seconds_until(0, now + pause)
        assert taken <= 10 + 2 * now + 1e-6
        of.take(amount, now)
        taken += amount


@pytest.mark.parametrize("moment", [0.1, 1234.7, 98_765.4, 876_543.21, 1e6 + 1 / 3])
def test_a_rest_of_rounding_is_no_time(moment: float) -> None:
    """Who waits exactly as long as it takes need not wait for what the clock's rounding leaves."""
    for count in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60):
        of = Bucket("the limit", rate=count / 60, capacity=count, now=moment)
        of.take(count, moment)
        assert of.seconds_until(1, moment + 60 / count) == 0


@given(st.integers(1, 10_000), st.floats(0, 1e7))
def test_told_to_the_second(count: int, now: float) -> None:
    """Whoever comes again after the seconds that it was told, rounded up, is not turned away."""
    of = Bucket("the limit", rate=count / 60, capacity=count, now=now)
    of.take(count, now)
    wait = math.ceil(of.seconds_until(1, now))
    assert wait == 1 or of.seconds_until(1, now + wait - 1.001) > 0
    assert of.seconds_until(1, now + wait) == 0
