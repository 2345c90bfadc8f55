"""What a client may spend: decided at the gate, before anything is dialled.

Between tokens, channels and the books, which do not know each other. Nothing here awaits but
the look at what was spent before.
"""

import math
from datetime import UTC, datetime

from rt_proxy.channels import Channel
from rt_proxy.listener.admission import Ticket
from rt_proxy.listener.house import House
from rt_proxy.moments import utc_text
from rt_proxy.realtime import refusals
from rt_proxy.realtime.counts import Tokens
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import UsageSettings
from rt_proxy.tokens.token import Token
from rt_proxy.usage.bill import cost_of
from rt_proxy.usage.budgets import BudgetState, Purse
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageKind, UsageRecord

#: An assistant's audio is a token for every 50 ms (API guide, "Managing costs").
_TOKENS_PER_SECOND = 20


async def look_up_budgets(house: House, token: Token) -> None:
    """Have it known what has been spent of the budgets that a token spends of.

    Cancelling is safe.
    """
    zone = usage_settings(house).time_zone
    await house.books.prepare(None, None, house.settings.budget, zone)
    await house.books.prepare(token.id, token.name, token.budget, zone)


def usage_settings(house: House) -> UsageSettings:
    """Return the settings of usage, or their defaults where the section is not there."""
    return house.settings.usage or UsageSettings()


def open_purse(house: House, ticket: Ticket, session_id: str) -> Purse | Refusal:
    """Reserve for a client what the settings say, or refuse it where too little is left."""
    seconds = usage_settings(house).reserve
    tokens = Tokens(audio_out=math.ceil(seconds * _TOKENS_PER_SECOND))
    record = template_of(ticket, ticket.channels[0], session_id, tokens)
    reserve = Spent(cost_of(record, house.price_of) or 0, tokens.total)
    purse = house.books.open_purse(ticket.token.id, reserve)
    return purse if isinstance(purse, Purse) else _refused(purse.state(house.books.now()))


def template_of(
    ticket: Ticket, channel: Channel, session_id: str, tokens: Tokens | None = None
) -> UsageRecord:
    """Return a usage record with what all those of a session have in common."""
    model = ticket.model
    return UsageRecord(
        time=datetime.now(UTC),
        kind=UsageKind.RESPONSE,
        session_id=session_id,
        token_id=ticket.token.id,
        token_name=ticket.token.name,
        channel=channel.name,
        model=model,
        upstream_model=None if model is None else channel.upstream_model(model),
        tokens=tokens or Tokens(),
    )


def _refused(state: BudgetState) -> Refusal:
    whose = "this token" if state.owner is not None else "this proxy"
    if state.end is None:
        return refusals.budget_spent(f"The budget of {whose} is spent.")
    seconds = max(1, math.ceil((state.end - datetime.now(UTC)).total_seconds()))
    when = utc_text(state.end, "seconds")
    return refusals.budget_spent(
        f"The budget of {whose} is spent, or held by other sessions; it begins anew at {when}.",
        retry_after=seconds,
    )
