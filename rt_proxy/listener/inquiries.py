"""Questions by plain HTTP, answered by what the house knows: health, models, usage.

What an answer looks like is told in ``pages.py``; nothing here touches a stream.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

import trio

from rt_proxy.channels import ChannelState, bar_to, state_of
from rt_proxy.errors import LedgerError
from rt_proxy.listener.admission import authenticate, models_for
from rt_proxy.listener.house import House
from rt_proxy.listener.pages import USAGE, Answer, models_answer, page, usage_answer
from rt_proxy.listener.spending import look_up_budgets, usage_settings
from rt_proxy.realtime import refusals
from rt_proxy.realtime.hello import RequestHead, credential
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import Secret
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
    await house.tokens.refresh()

    def models(secret: Secret | None) -> Answer | Refusal:
        token = _bearer(house, secret)
        if isinstance(token, Refusal):
            return token
        return models_answer(
            models_for(token, house.channels, default_model=house.settings.default_model)
        )

    def states(secret: Secret | None) -> Iterable[ChannelState] | Refusal:
        token = _bearer(house, secret)
        return token if isinstance(token, Refusal) else _states_for(token, house)

    usage = await _usage(house, head) if head.path == USAGE else None
    is_ready = not draining and _has_a_channel(house)
    return page(head, is_ready=is_ready, states=states, models=models, usage=usage)


def _bearer(house: House, secret: Secret | None) -> Token | Refusal:
    return authenticate(secret, house.tokens, datetime.now(UTC))


async def _usage(house: House, head: RequestHead) -> Answer | Refusal:
    """Tell the bearer of a token what it has spent, and of which budget."""
    token = _bearer(house, credential(head))
    if isinstance(token, Refusal):
        return token
    await look_up_budgets(house, token)
    zone = time_zone(usage_settings(house).time_zone)
    since = period_start(datetime.fromtimestamp(house.books.now(), UTC), "month", zone)
    try:
        spent = await house.books.journal.spent(token.id, since, lambda: None)
    except LedgerError as error:
        _logger.error("GET /v1/usage cannot be answered: %s", error)  # noqa: TRY400 - no traceback
        return refusals.usage_unavailable()
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
