"""The house: the settings in force, and what was made of them.

A visitor keeps the house it came into; a reload makes a new one for newcomers.
How the channels do outlives a reload, so that live sessions go on being counted.
"""

import attrs

from rt_proxy.channels import Channel, Health
from rt_proxy.listener.addresses import Network
from rt_proxy.listener.dial import Dial
from rt_proxy.listener.keys import Keys
from rt_proxy.settings import Settings
from rt_proxy.tokens.store import TokenStore
from rt_proxy.usage.books import Books, unkept_books
from rt_proxy.usage.record import PriceFunction, unknown_price


@attrs.frozen
class House:
    """What is in force for a visitor.

    Attributes:
        settings: The settings.
        channels: The channels made of them.
        trusted_proxies: Whose ``X-Forwarded-For`` is believed.
        tokens: Who may come in.
        dial: How upstreams are reached.
        keys: The providers' keys, in their turn.
        health: How the channels do.
        books: What is spent, and of which budgets.
        price_of: What usage costs.
    """

    settings: Settings
    channels: tuple[Channel, ...]
    trusted_proxies: tuple[Network, ...]
    tokens: TokenStore
    dial: Dial
    keys: Keys
    health: Health
    books: Books = attrs.field(factory=unkept_books)
    price_of: PriceFunction = unknown_price
