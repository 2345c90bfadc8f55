"""How a channel does at a moment, in a word and what belongs to it, for people and monitors."""

import math
from typing import Any, Literal

import attrs

from rt_proxy.channels.channel import Channel
from rt_proxy.channels.choose import is_full
from rt_proxy.channels.health import Condition

StateWord = Literal["well", "full", "probing", "cooling", "left_alone", "key_refused"]


@attrs.frozen
class ChannelState:
    """How a channel does.

    Attributes:
        name: Its name.
        state: In a word.
        sessions: How many it holds, those included that are being opened.
        failures: How often it has failed in a row.
        why: What failed last, in a few words; empty: nothing.
        seconds: For how long that state lasts, if nothing else happens; None: nobody knows.
    """

    name: str
    state: StateWord
    sessions: int
    failures: int
    why: str
    seconds: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it as an object of JSON."""
        return attrs.asdict(self)


def state_of(channel: Channel, condition: Condition, now: float) -> ChannelState:
    """Say how a channel does.

    Args:
        channel: The channel.
        condition: What is known of it.
        now: The moment, on the clock of the condition.
    """
    word, until = _word(channel, condition, now)
    return ChannelState(
        name=channel.name,
        state=word,
        sessions=condition.busy,
        failures=condition.failures,
        why=condition.why,
        seconds=None if until is None else math.ceil(until - now),
    )


def _word(channel: Channel, condition: Condition, now: float) -> tuple[StateWord, float | None]:
    """Return the state that weighs most, and until when."""
    if condition.key_refused:
        return "key_refused", None
    if now < condition.barred_until:
        return "left_alone", condition.barred_until
    if condition.probing:
        return "probing", None
    if now < condition.cooling_until:
        return "cooling", condition.cooling_until
    return "full" if is_full(channel, condition.busy) else "well", None
