"""Facts about the rates that a direction is held to."""

import pytest

from rt_proxy.session.bucket import Bucket
from rt_proxy.session.pace import Pace


def bucket(name: str, rate: float) -> Bucket:
    """Return a bucket of a second's worth."""
    return Bucket(name, rate=rate, capacity=rate, now=0)


def test_the_slowest_counts() -> None:
    """One waits until no bucket is in debt any more."""
    pace = Pace([bucket("e", 10)], [bucket("b", 1_000), bucket("all", 500)])
    pace.take(5, 900, 0)
    assert pace.wait(0) == (900 - 500) / 500
    pace.take(30, 0, 0)
    assert pace.wait(0) == 2.5
    assert pace.wait(10) == 0


def test_without_buckets() -> None:
    """One that holds nothing back never waits."""
    pace = Pace([], [])
    pace.take(10**9, 10**9, 0)
    assert pace.wait(0) == 0
    assert pace.exceeded(0) is None


def test_what_is_exceeded() -> None:
    """The next event is refused as soon as there is none left, or its bytes are owed."""
    pace = Pace([bucket("events", 2)], [bucket("bytes", 100)], refuses=True)
    pace.take(1, 10, 0)
    assert pace.exceeded(0) is None
    pace.take(1, 10, 0)
    assert pace.exceeded(0) == "events"
    assert pace.exceeded(0.5) is None
    pace.take(0, 300, 1)
    assert pace.exceeded(1) == "bytes"


def test_shared() -> None:
    """What another session takes of a bucket is missing here."""
    shared = bucket("token", 10)
    one, other = Pace([shared], []), Pace([shared], [])
    one.take(20, 0, 0)
    assert other.wait(0) == 1


@pytest.mark.parametrize(
    ("events", "sizes", "read"),
    [
        ([], [], 65_536),
        ([10], [], 640),
        ([1], [], 64),
        ([10_000], [], 65_536),
        ([10, 5], [], 320),
        ([], [5_000, 3_000], 3_000),
        ([10], [400], 400),
        ([], [1], 64),
    ],
)
def test_read_at_once(events: list[float], sizes: list[float], read: int) -> None:
    """No more is read at once than the lowest rate allows, and never less than 64 bytes."""
    pace = Pace([bucket("e", rate) for rate in events], [bucket("b", rate) for rate in sizes])
    assert pace.read_bytes == read
