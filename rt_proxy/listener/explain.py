"""Explains whom a client would be served by, and why not by the others.

Pure. Every decision is the gate's own: what is here asks ``admission``, ``choose`` by way
of it, and ``unfit``, and says what they said. How the channels do at the
moment is known to a running proxy alone; here all of them are well and idle.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from random import Random
from types import MappingProxyType
from urllib.parse import parse_qs

import attrs

from rt_proxy.channels import (
    Channel,
    UpstreamRequest,
    make_channels,
    unfit,
    upstream_request,
)
from rt_proxy.listener.admission import Ticket, admit, out_of_force, wanted_model, wish_of
from rt_proxy.realtime.dialects import Dialect, translator_between
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import Settings
from rt_proxy.tokens.token import Token

_NOT_ASKED = "the client is refused before a channel is chosen"


@attrs.frozen
class Place:
    """A channel that is tried, when, and how.

    Attributes:
        channel: The channel.
        first: Which try is the first that may go to it, counted from 1.
        last: Which is the last; more than ``first`` where chance decides between channels.
        chance: Of being the first of those between which chance decides, as a share of 1.
        upstream: Such as ``wss://api.openai.com``; None: a simulator, which is in memory.
        upstream_model: The upstream's name of the model; None: none is named.
        translated_for: The clients for whom events are translated, by their dialect.
    """

    channel: Channel
    first: int
    last: int
    chance: float
    upstream: str | None
    upstream_model: str | None
    translated_for: tuple[Dialect, ...]


@attrs.frozen
class Explanation:
    """What becomes of a client.

    Attributes:
        model: The model that it gets, by the client's name; None: it gets none.
        places: The channels that are tried, in their order.
        passed_over: The name of each other channel -> why it is not tried.
        refusal: Why the client is refused; None: it is served.
    """

    model: str | None
    places: tuple[Place, ...]
    passed_over: Mapping[str, str]
    refusal: Refusal | None = None


def explain(
    settings: Settings,
    *,
    model: str | None,
    token: Token | None,
    now: datetime,
    transcription: bool = False,
) -> Explanation:
    """Explain what becomes of a client.

    Args:
        settings: What is in force.
        model: The model that it names; None: it names none.
        token: Its token, good or not; None: one that may use everything.
        now: The moment (with an offset), which decides whether the token has expired.
        transcription: Whether it asks for a transcription session.

    Raises:
        SettingsError: A channel of the settings is wrong.
    """
    channels = make_channels(settings)
    token = token or Token("tok_any", "any", "0" * 64, now)
    hello = Hello.asking_for(model, transcription=transcription)
    wanted = wanted_model(hello, token, channels, default_model=settings.default_model)
    outcome = out_of_force(token, now) or admit(
        hello,
        token,
        channels,
        default_model=settings.default_model,
        client_dialect=settings.client_dialect,
        transcription_channel=settings.transcription_channel,
        health={},
        now=0.0,
        random=Random(0),  # noqa: S311 - who comes first by chance is not told
    )
    has_wish = transcription or wanted is not None
    wish = wish_of(token, wanted, settings.transcription_channel)
    tried = outcome.channels if isinstance(outcome, Ticket) else ()
    passed_over = {
        channel.name: (unfit(channel, wish) if has_wish else None) or _NOT_ASKED
        for channel in channels
        if channel not in tried
    }
    if isinstance(outcome, Ticket):
        return Explanation(wanted, _places(outcome), MappingProxyType(passed_over))
    return Explanation(wanted, (), MappingProxyType(passed_over), outcome)


def _places(ticket: Ticket) -> tuple[Place, ...]:
    places: list[Place] = []
    for _, group in groupby(ticket.channels, key=lambda channel: channel.priority):
        equals = sorted(group, key=lambda channel: (-channel.weight, channel.name))
        weights = sum(channel.weight for channel in equals)
        before = len(places)
        places += [
            _place(channel, ticket, before + 1, before + len(equals), channel.weight / weights)
            for channel in equals
        ]
    return tuple(places)


def _place(channel: Channel, ticket: Ticket, first: int, last: int, chance: float) -> Place:
    request = upstream_request(
        channel, key=None, model=ticket.model_in_url, intent=ticket.hello.intent
    )
    dialects = tuple(Dialect) if ticket.dialect is None else (ticket.dialect,)
    return Place(
        channel=channel,
        first=first,
        last=last,
        chance=chance,
        upstream=None if channel.provider == "simulator" else _origin(request),
        upstream_model=(
            _named_in(request, channel)
            if ticket.model is None
            else channel.upstream_model(ticket.model)
        ),
        translated_for=tuple(
            dialect
            for dialect in dialects
            if translator_between(dialect, channel.dialect) is not None
        ),
    )


def _origin(request: UpstreamRequest) -> str:
    return f"{'wss' if request.tls else 'ws'}://{request.host_header}"


def _named_in(request: UpstreamRequest, channel: Channel) -> str | None:
    """Return the model in the URL of a transcription session; it is the proxy's to set there."""
    if channel.model_parameter is None:
        return None
    query = parse_qs(request.resource.partition("?")[2])
    return next(iter(query.get(channel.model_parameter, ())), None)
