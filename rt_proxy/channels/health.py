"""How channels have done lately: failures, cooldowns, refused keys, and how busy they are.

Notes and tells; moments come in as arguments, on one clock. Who is tried is
decided in ``choose.py``, and nothing here dials or logs.
"""

import math
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

import attrs

from rt_proxy.settings import HealthSettings

#: No ``Retry-After`` is honoured for longer than this, in seconds.
_LONGEST_RETRY_AFTER = 3600.0
#: The share of a cooldown that chance adds, so that proxies do not return all at once.
_JITTER = 0.25


@attrs.frozen
class Condition:
    """How one channel is doing.

    Attributes:
        failures: How often it has failed in a row.
        why: What failed last, in a few words.
        cooling_until: It is tried last until then.
        barred_until: It has asked to be left alone until then (``Retry-After``).
        key_refused: Its upstream does not take its key; so it stays until a reload.
        probing: A session is finding out whether it is well again.
        busy: Sessions that it holds, those included that are being opened.
    """

    failures: int = 0
    why: str = ""
    cooling_until: float = -math.inf
    barred_until: float = -math.inf
    key_refused: bool = False
    probing: bool = False
    busy: int = 0

    def is_doubtful(self, now: float) -> bool:
        """Whether it failed lately, or is being probed: channels that are well go before it."""
        return now < self.cooling_until or self.probing


_WELL = Condition()


class Health:
    """The conditions of all channels of a proxy, by name (mutable: they change).

    Attributes:
        generation: Counts the reloads; what was begun before one says nothing of the channels
            after it, whose addresses and keys may be others.
    """

    def __init__(self, settings: HealthSettings, random: Random) -> None:
        """Begin with all of them well.

        Args:
            settings: How long a channel that failed is passed over.
            random: The source of chance in that.
        """
        self.generation = 0
        self._settings = settings
        self._random = random
        self._conditions: dict[str, Condition] = {}
        self._told: set[str] = set()

    def conditions(self) -> Mapping[str, Condition]:
        """Return how the channels do that have been heard of; others are well and idle."""
        return dict(self._conditions)

    def of(self, channel: str) -> Condition:
        """Return how a channel is doing."""
        return self._conditions.get(channel, _WELL)

    def renew(self, settings: HealthSettings, unchanged: Container[str] = ()) -> None:
        """Take up other settings, and think well again of channels whose own may be new too.

        Args:
            settings: How long a channel that failed is passed over.
            unchanged: The names of the channels that are as before; of them only their keys
                are given another chance.
        """
        self.generation += 1
        self._settings = settings
        self._told.clear()
        for channel, condition in self.conditions().items():
            if channel in unchanged and not condition.key_refused:
                self._change(channel, probing=False)
            else:
                self._change(channel, **attrs.asdict(Condition(busy=condition.busy)))

    def is_news(self, matter: str) -> bool:
        """Tell once of each matter, such as a channel, that it is to be said, until a reload."""
        is_news = matter not in self._told
        self._told.add(matter)
        return is_news

    @contextmanager
    def seat(self, channel: str) -> Iterator[None]:
        """Count a session on a channel for as long as the block lasts."""
        self._change(channel, busy=self.of(channel).busy + 1)
        try:
            yield
        finally:
            self._change(channel, busy=self.of(channel).busy - 1)

    def note_try(self, channel: str) -> bool:
        """Note that a session tries a channel; tell whether it probes one that had failed."""
        condition = self.of(channel)
        probes = condition.failures > 0 and not condition.probing
        if probes:
            self._change(channel, probing=True)
        return probes

    def note_probe_over(self, channel: str) -> None:
        """Note that a probe has ended, whatever came of it."""
        self._change(channel, probing=False)

    def note_success(self, channel: str, now: float = math.inf) -> bool:
        """Note that a channel opened a session; tell whether it had failed before.

        A channel that has asked to be left alone since stays so: the session was under way.
        """
        had_failed = self.of(channel).failures > 0 and now >= self.of(channel).barred_until
        if had_failed:
            self._change(
                channel, failures=0, why="", cooling_until=-math.inf, barred_until=-math.inf
            )
        return had_failed

    def note_failure(
        self, channel: str, why: str, now: float, *, retry_after: float | None = None
    ) -> float | None:
        """Note that a channel failed, and return how long it is passed over, in seconds.

        None: it is passed over already. Sessions that failed side by side are one failure.

        Args:
            channel: Its name.
            why: What failed, in a few words.
            now: The moment.
            retry_after: For how long it asked to be left alone, in seconds.
        """
        condition = self.of(channel)
        left_alone = min(retry_after or 0.0, _LONGEST_RETRY_AFTER)
        barred_until = max(condition.barred_until, now + left_alone if left_alone else -math.inf)
        if now < condition.cooling_until:
            self._change(channel, barred_until=barred_until)
            return None
        cooldown = self._cooldown(condition.failures + 1)
        self._change(
            channel,
            failures=condition.failures + 1,
            why=why,
            cooling_until=now + cooldown,
            barred_until=barred_until,
        )
        return max(cooldown, left_alone)

    def note_key_refused(self, channel: str, why: str) -> bool:
        """Note that none of a channel's keys is taken; only a reload makes it well again.

        Returns:
            Whether that is new.
        """
        is_new = not self.of(channel).key_refused
        self._change(channel, key_refused=True, why=why)
        return is_new

    def _cooldown(self, failures: int) -> float:
        doubled = self._settings.cooldown * 2.0 ** min(failures - 1, 64)
        most = min(doubled, self._settings.max_cooldown)
        return most * (1 + _JITTER * self._random.random())

    def _change(self, channel: str, **changes: Any) -> None:
        condition = attrs.evolve(self.of(channel), **changes)
        if condition == _WELL:
            self._conditions.pop(channel, None)
        else:
            self._conditions[channel] = condition
