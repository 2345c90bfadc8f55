"""A token bucket on a clock that is given: how much may pass, and when more may; never sleeps."""

import math

#: Less than this is no time, in seconds: it is what the rounding of a clock leaves.
_NO_TIME = 1e-6


class Bucket:
    """So much a second, with so much at once (mutable: it is emptied, and fills).

    Attributes:
        name: Which limit it is, in words for whoever meets it.
        capacity: How much there is at most.
        holders: How many are held to it, and would miss it; whoever keeps buckets counts them.
    """

    __slots__ = ("_at", "_level", "_rate", "capacity", "holders", "name")

    def __init__(self, name: str, *, rate: float, capacity: float, now: float) -> None:
        """Fill a bucket.

        Args:
            name: Which limit it is.
            rate: How much comes back in a second.
            capacity: How much there is at most.
            now: The moment, on any clock, in seconds.
        """
        self.name = name
        self._rate = rate
        self.capacity = capacity
        self.holders = 0
        self._level = capacity
        self._at = now

    def take(self, amount: float, now: float) -> None:
        """Take an amount, also one that is not there: it is owed then."""
        self._fill(now)
        self._level -= amount

    def seconds_until(self, amount: float, now: float) -> float:
        """Return how long it takes until an amount can be taken without owing; 0: it can be now."""
        self._fill(now)
        wait = (amount - self._level) / self._rate
        return wait if wait > _NO_TIME else 0.0

    def is_full(self, now: float) -> bool:
        """Whether it is as good as a new one."""
        self._fill(now)
        return self._level >= self.capacity

    def _fill(self, now: float) -> None:
        # A clock that stands still or goes back gives nothing, and takes nothing away.
        self._level = min(self.capacity, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now) if math.isfinite(now) else self._at
