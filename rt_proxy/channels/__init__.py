"""Channels: which upstream may serve a client, and the request that opens it.

What a provider is like, how a channel is made from its settings, which ones to try.
Everything here decides; nothing dials, awaits or reads a file.
"""

from rt_proxy.channels.channel import Channel, make_channels, problems
from rt_proxy.channels.choose import choose, first_model, served_models
from rt_proxy.channels.upstream import UpstreamRequest, upstream_request

__all__ = [
    "Channel",
    "UpstreamRequest",
    "choose",
    "first_model",
    "make_channels",
    "problems",
    "served_models",
    "upstream_request",
]
