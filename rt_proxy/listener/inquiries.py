"""Questions by plain HTTP, answered by what the house knows: health, models, usage.

What an answer looks like is told in ``pages.py``; nothing here touches a stream.
"""

import logging
from datetime import UTC, datetime

import trio

from rt_proxy.channels import ChannelState, bar_to, state_of
from rt_proxy.errors import LedgerError
from rt_proxy.listener.admission import authenticate, models_for
from rt_proxy.listener.house import House
from rt_proxy.listener.pages import (
    HEALTHZ,
    MODELS,
    READYZ,
    Answer,
    health_answer,
    models_answer,
    readiness_answer,
    refusal_answer,
    refuse_page,
    usage_answer,
)
from rt_proxy.listener.spending import look_up_budgets, usage_settings
from rt_proxy.realtime import refusals
from rt_proxy.realtime.hello import RequestHead, credential
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.tokens.store import refresh_in_time
from rt_proxy.tokens.token import Token
from rt_proxy.usage.periods import period_start, time_zone

_logger = logging.getLogger("rt_proxy.gate")


async def answer_page(house: House, head: RequestHead, *, draining: bool) -> Answer:
    """Answer a request whose path is not one of the Realtime API.

    Cancelling is safe.

    Args:
        house: What is in force.
        head: The request.
        draining: No newcomers are let in any more.
    """
    refusal = refuse_page(head)
    if refusal is not None:
        return refusal_answer(refusal)
    if head.path == HEALTHZ:
        return health_answer()
    await refresh_in_time(house.tokens)
    token = authenticate(credential(head), house.tokens, datetime.now(UTC))
    if head.path == READYZ:
        states = None if isinstance(token, Refusal) else _states_for(token, house)
        return readiness_answer(states, is_ready=not draining and _has_a_channel(house))
    if isinstance(token, Refusal):
        return refusal_answer(token)
    return _models(house, token) if head.path == MODELS else await _usage(house, token)


def _models(house: House, token: Token) -> Answer:
    default_model = house.settings.default_model
    return models_answer(models_for(token, house.channels, default_model=default_model))


async def _usage(house: House, token: Token) -> Answer:
    """Tell the bearer of a token what it has spent, and of which budget."""
    await look_up_budgets(house, token)
    zone = time_zone(usage_settings(house).time_zone)
    since = period_start(datetime.fromtimestamp(house.books.now(), UTC), "month", zone)
    try:
        spent = await house.books.spent(token.id, since)
    except LedgerError as error:
        _logger.error("GET /v1/usage cannot be answered: %s", error)  # noqa: TRY400 - no traceback
        return refusal_answer(refusals.usage_unavailable())
    return usage_answer(
        token.id, token.name, since=since, spent=spent, state=house.books.state(token.id)
    )


def _has_a_channel(house: House) -> bool:
    now = trio.current_time()
    bars = (bar_to(channel, house.health.of(channel.name), now) for channel in house.channels)
    return None in bars


def _states_for(token: Token, house: House) -> list[ChannelState]:
    """Return how the channels do that a token may use."""
    now = trio.current_time()
    return [
        state_of(channel, house.health.of(channel.name), now)
        for channel in house.channels
        if not token.channels or channel.name in token.channels
    ]
