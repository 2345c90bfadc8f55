"""Which channels may serve a client, in which order to try them, and why not the others.

Pure: how the channels do, the moment and chance come in as arguments. What is
tried and dialled is the caller's. Dialects do not matter here: a client of
either is served by channels of both.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random

import attrs

from rt_proxy.channels.channel import Channel
from rt_proxy.channels.health import Condition

_WELL = Condition()


@attrs.frozen
class Wish:
    """What a client wants of a channel.

    Attributes:
        model: Its name of the model; None: a transcription session, which names none.
        allowed: The channels that its token may use, by name; empty: any.
        transcription_channel: Where its transcription sessions go; None: anywhere.
    """

    model: str | None
    allowed: Sequence[str] = ()
    transcription_channel: str | None = None


@attrs.frozen
class Choice:
    """The channels to try in their order, and why each other one is not.

    Attributes:
        channels: In the order of tries; empty: nothing can serve this client now.
        passed_over: The name of each other channel -> why it is not tried.
        retry_after: In how many seconds one could be, where all that serve the wish are full
            or have asked to be left alone; None: it is not a matter of waiting.
    """

    channels: tuple[Channel, ...]
    passed_over: Mapping[str, str]
    retry_after: float | None = None


@attrs.frozen
class Bar:
    """Why a channel may not be tried, and for how many seconds; None: until a reload."""

    why: str
    seconds: float | None = None


#: When a channel that is full may have a seat again, in seconds; nobody knows better.
_FULL_RETRY_AFTER = 5.0


def choose(
    channels: Iterable[Channel],
    wish: Wish,
    *,
    health: Mapping[str, Condition],
    now: float,
    random: Random,
) -> Choice:
    """Choose the channels for a client.

    Those that are well come first, by priority; inside one, each place goes to a channel
    with the probability of its weight among those left, and among channels of equal weight
    the least busy comes first. Channels that failed lately follow, the one first whose
    cooldown ends first: as long as one channel can serve, a client is served.

    Args:
        channels: All channels.
        wish: What the client wants.
        health: How the channels do; one that is not there is well and idle.
        now: The moment, on the clock of ``health``.
        random: The source of chance.
    """
    passed_over: dict[str, str] = {}
    well: list[Channel] = []
    cooling: list[tuple[float, Channel]] = []
    waits: list[float] = []
    for channel in channels:
        condition = health.get(channel.name, _WELL)
        why = unfit(channel, wish)
        bar = bar_to(channel, condition, now)
        if why is not None:
            passed_over[channel.name] = why
        elif bar is not None:
            passed_over[channel.name] = bar.why
            if bar.seconds is not None:
                waits.append(bar.seconds)
        elif condition.is_doubtful(now):
            cooling.append((condition.cooling_until, channel))
        else:
            well.append(channel)
    cooling.sort(key=lambda pair: pair[0])
    ordered = (*_in_order(well, health, random), *(channel for _, channel in cooling))
    return Choice(ordered, passed_over, min(waits) if waits and not ordered else None)


def unfit(channel: Channel, wish: Wish) -> str | None:
    """Say why a channel can never serve a wish; None: it can."""
    if wish.allowed and channel.name not in wish.allowed:
        return "the token may not use it"
    if wish.model is not None:
        served = channel.upstream_model(wish.model) is not None
        return None if served else f"it does not serve the model {wish.model!r}"
    if not channel.transcription:
        return "it takes no transcription sessions"
    if wish.transcription_channel not in (None, channel.name):
        return f"transcription sessions go to {wish.transcription_channel}"
    return None


def is_full(channel: Channel, busy: int) -> bool:
    """Tell whether a channel holds as many sessions as it may."""
    return busy >= channel.max_sessions > 0


def bar_to(channel: Channel, condition: Condition, now: float) -> Bar | None:
    """Return why a channel may not be tried at this moment; None: it may."""
    if condition.key_refused:
        return Bar(f"its key was refused ({condition.why}), it waits for a reload")
    barred = condition.barred_until - now
    if barred > 0:
        why = f"it asked to be left alone for {math.ceil(barred)} s ({condition.why})"
        return Bar(why, barred)
    if is_full(channel, condition.busy):
        return Bar(
            f"it is full, with {condition.busy} of {channel.max_sessions} sessions",
            _FULL_RETRY_AFTER,
        )
    return None


def _in_order(
    channels: Iterable[Channel], health: Mapping[str, Condition], random: Random
) -> list[Channel]:
    # Of exponential variables the least is that of a channel with the probability of its
    # rate: sorting by them draws by weight without replacement.
    drawn = sorted(
        channels, key=lambda channel: (-channel.priority, random.expovariate(channel.weight))
    )
    equals: defaultdict[tuple[int, int], list[Channel]] = defaultdict(list)
    for channel in drawn:
        equals[channel.priority, channel.weight].append(channel)
    for group in equals.values():
        # The last is taken first; sorting is stable, so that chance decides among equals.
        group.reverse()
        group.sort(key=lambda channel: -health.get(channel.name, _WELL).busy)
    return [equals[channel.priority, channel.weight].pop() for channel in drawn]


def served_models(channels: Iterable[Channel]) -> tuple[str, ...]:
    """Return the models that clients can name, without ``*``.

    They are in the order of the channels' priority, then of the file, each once.
    """
    by_priority = sorted(channels, key=lambda channel: -channel.priority)
    return tuple(
        dict.fromkeys(model for channel in by_priority for model in channel.models if model != "*")
    )


def first_model(channels: Iterable[Channel]) -> str | None:
    """Return the model of a client that names none; None: only ``*`` is served."""
    return next(iter(served_models(channels)), None)
