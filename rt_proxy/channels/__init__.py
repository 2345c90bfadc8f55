"""Channels: which upstream may serve a client, and the request that opens it.

What a provider is like, how a channel is made from its settings, which ones to try.
Everything here decides; nothing dials, awaits or reads a file.
"""

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.checks import problems
from rt_proxy.channels.choose import (
    Choice,
    Wish,
    bar_to,
    choose,
    first_model,
    served_models,
    unfit,
)
from rt_proxy.channels.health import Condition, Health
from rt_proxy.channels.state import ChannelState, state_of
from rt_proxy.channels.upstream import UpstreamRequest, upstream_request

__all__ = [
    "Channel",
    "ChannelState",
    "Choice",
    "Condition",
    "Health",
    "UpstreamRequest",
    "Wish",
    "bar_to",
    "choose",
    "first_model",
    "make_channels",
    "problems",
    "served_models",
    "state_of",
    "unfit",
    "upstream_request",
]
