"""Counts what passes unread: how much audio or text was in the events of one type.

The frame reader calls it for each frame, so it looks at bytes and parses nothing.
"""

import math
import re
from collections.abc import Callable

#: Where the value is looked for in an event; it stands behind ids and indexes.
_LOOK_BYTES = 1_024
#: The key as it also may be spelled, which takes three times as long to find.
_SPACED_KEY = re.compile(rb'"delta"[ \t\r\n]*:[ \t\r\n]*"')
#: The quote and the brace that end an event.
_END = 2


def _ignore() -> None:
    """Do nothing when a gauge has come to its mark; none is set."""


class Gauge:
    """Characters of the deltas that went by (mutable: it counts).

    Attributes:
        amount: How many so far.
        mark: When ``on_mark`` is called: when the amount has come so far.
        on_mark: What is called then, once for each setting of ``mark``.
    """

    __slots__ = ("_around", "_key", "amount", "mark", "on_mark")

    def __init__(self, key: bytes = b'"delta":"') -> None:
        """Count values behind a key, such as ``"delta":"``, in frames that are not masked.

        An event in which the key is not found counts whole: rather too much than too little.
        """
        self._key = key
        #: The key, and what ends the event.
        self._around = len(key) + _END
        self.amount = 0
        self.mark = math.inf
        self.on_mark: Callable[[], None] = _ignore

    def note_frame(self, data: bytes, start: int, end: int) -> None:
        """Count the frame whose payload is ``data[start:end]``; some of it may be yet to come."""
        look_end = start + _LOOK_BYTES
        if look_end > end:
            look_end = end
        found = data.find(self._key, start, look_end)
        if found >= 0:
            self.amount += end - found - self._around
        elif spaced := _SPACED_KEY.search(data, start, look_end):
            self.amount += end - spaced.end() - _END
        else:
            self.amount += end - start
        if self.amount >= self.mark:
            self._reach_mark()

    def note(self, characters: int) -> None:
        """Count characters."""
        self.amount += characters
        if self.amount >= self.mark:
            self._reach_mark()

    def _reach_mark(self) -> None:
        self.mark = math.inf
        self.on_mark()
