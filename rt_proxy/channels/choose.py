"""Which channels may serve a client, and in which order to try them.

Pure: chance comes in as an argument. What has failed, and dialing, are the caller's.
Dialects do not matter here: a client of either is served by channels of both.
"""

from collections.abc import Iterable
from random import Random

from rt_proxy.channels.channel import Channel


def choose(
    channels: Iterable[Channel], *, model: str | None, random: Random
) -> tuple[Channel, ...]:
    """Choose the channels for a client, in the order of tries; none: nothing serves the model.

    Higher priorities come first; inside one, the order is random, each place going to a
    channel with the probability of its weight among those left.

    Args:
        channels: All channels.
        model: The client's name of the model; None (a transcription session): any channel.
        random: The source of chance.
    """
    serving = [
        channel
        for channel in channels
        if model is None or channel.upstream_model(model) is not None
    ]
    # Of exponential variables the least is that of a channel with the probability of its
    # rate: sorting by them draws by weight without replacement.
    serving.sort(key=lambda channel: (-channel.priority, random.expovariate(channel.weight)))
    return tuple(serving)


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
