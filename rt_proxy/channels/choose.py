"""Which channels may serve a client, and in which order to try them.

Pure: chance comes in as an argument. What has failed, and dialing, are the caller's.
"""

from collections.abc import Iterable
from random import Random

import attrs

from rt_proxy.channels.channel import Channel
from rt_proxy.realtime.dialects import Dialect


@attrs.frozen
class Choice:
    """The channels to try, and, where there are none, why.

    Attributes:
        channels: In the order of tries; empty: nothing can serve this client.
        other_dialect: No channel of the client's dialect has the model, but one of the
            other dialect does. False with no channels: the model is unknown.
    """

    channels: tuple[Channel, ...]
    other_dialect: bool = False


def choose(
    channels: Iterable[Channel], *, model: str | None, dialect: Dialect, random: Random
) -> Choice:
    """Choose the channels for a client.

    Higher priorities come first; inside one, the order is random, each place going to a
    channel with the probability of its weight among those left.

    Args:
        channels: All channels.
        model: The client's name of the model; None (a transcription session): any channel.
        dialect: The client's dialect. A channel serves clients of its own dialect.
        random: The source of chance.
    """
    serving = [
        channel
        for channel in channels
        if model is None or channel.upstream_model(model) is not None
    ]
    speaking = [channel for channel in serving if channel.dialect is dialect]
    # Of exponential variables the least is that of a channel with the probability of its
    # rate: sorting by them draws by weight without replacement.
    speaking.sort(key=lambda channel: (-channel.priority, random.expovariate(channel.weight)))
    return Choice(tuple(speaking), other_dialect=bool(serving) and not speaking)


def served_models(channels: Iterable[Channel], dialect: Dialect | None = None) -> tuple[str, ...]:
    """Return the models that clients can name, without ``*``.

    They are in the order of the channels' priority, then of the file, each once.

    Args:
        channels: All channels.
        dialect: Only what clients of this dialect can have; None: all.
    """
    speaking = [channel for channel in channels if dialect in (None, channel.dialect)]
    speaking.sort(key=lambda channel: -channel.priority)
    return tuple(
        dict.fromkeys(model for channel in speaking for model in channel.models if model != "*")
    )


def first_model(channels: Iterable[Channel], dialect: Dialect | None = None) -> str | None:
    """Return the model of a client that names none; None: only ``*`` is served."""
    return next(iter(served_models(channels, dialect)), None)
