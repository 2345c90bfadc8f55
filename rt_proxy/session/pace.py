"""The rates that one direction of one session is held to, alone or with others; never sleeps."""

from collections.abc import Sequence

from rt_proxy.session.bucket import Bucket


class Pace:
    """The buckets of one direction (mutable: other sessions may empty them too).

    Attributes:
        refuses: An event beyond the rate is refused; else it is read later.
    """

    __slots__ = ("_events", "_sizes", "refuses")

    def __init__(
        self, events: Sequence[Bucket], sizes: Sequence[Bucket], *, refuses: bool = False
    ) -> None:
        """Hold a direction to buckets of events and of bytes."""
        self._events = tuple(events)
        self._sizes = tuple(sizes)
        self.refuses = refuses

    def take(self, events: int, size: int, now: float) -> None:
        """Note what has passed: events, and their bytes."""
        for bucket in self._events:
            bucket.take(events, now)
        for bucket in self._sizes:
            bucket.take(size, now)

    def wait(self, now: float) -> float:
        """Return how long one has to wait, in seconds, until more may pass."""
        buckets = (*self._events, *self._sizes)
        return max((bucket.seconds_until(0, now) for bucket in buckets), default=0.0)

    def exceeded(self, now: float) -> str | None:
        """Return which limit an event would exceed that comes now; None: none."""
        for bucket in self._events:
            if bucket.seconds_until(1, now) > 0:
                return bucket.name
        for bucket in self._sizes:
            if bucket.seconds_until(0, now) > 0:
                return bucket.name
        return None
