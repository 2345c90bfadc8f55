"""The rates that one direction of one session is held to, alone or with others; never sleeps."""

from collections.abc import Sequence

from rt_proxy.session.bucket import Bucket
from rt_proxy.session.wire import RECEIVE_BYTES

#: So much is read at once for each event that may come in a second, in bytes. The shortest event
#: takes six, so that what comes at once beyond the rate is made up for in about ten seconds.
_BYTES_FOR_AN_EVENT = 64
#: As much is read at once at least, in bytes.
LEAST_READ = 64


class Pace:
    """The buckets of one direction (mutable: other sessions may empty them too).

    Attributes:
        refuses: An event beyond the rate is refused; else it is read later.
        read_bytes: How much may be read at once, at most about a second's worth, in bytes.
    """

    __slots__ = ("_events", "_sizes", "read_bytes", "refuses")

    def __init__(
        self, events: Sequence[Bucket], sizes: Sequence[Bucket], *, refuses: bool = False
    ) -> None:
        """Hold a direction to buckets of events and of bytes."""
        self._events = tuple(events)
        self._sizes = tuple(sizes)
        self.refuses = refuses
        worths = [_BYTES_FOR_AN_EVENT * bucket.capacity for bucket in events]
        worths += [bucket.capacity for bucket in sizes]
        self.read_bytes = max(LEAST_READ, int(min([RECEIVE_BYTES, *worths])))

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets, of events and of bytes."""
        return (*self._events, *self._sizes)

    def take(self, events: int, size: int, now: float) -> None:
        """Note what has passed: events, and their bytes."""
        for bucket in self._events:
            bucket.take(events, now)
        for bucket in self._sizes:
            bucket.take(size, now)

    def wait(self, now: float) -> float:
        """Return how long one has to wait, in seconds, until more may pass."""
        return max((bucket.seconds_until(0, now) for bucket in self.buckets), default=0.0)

    def exceeded(self, now: float) -> str | None:
        """Return which limit an event would exceed that comes now; None: none."""
        for bucket in self._events:
            if bucket.seconds_until(1, now) > 0:
                return bucket.name
        for bucket in self._sizes:
            if bucket.seconds_until(0, now) > 0:
                return bucket.name
        return None
