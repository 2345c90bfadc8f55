"""Facts about what a client may spend, decided at the gate."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import attrs
import pytest
import trio
from kit import channel
from trio.testing import MockClock

from rt_proxy.channels import Health, make_channels
from rt_proxy.listener.admission import Ticket, admit
from rt_proxy.listener.house import House
from rt_proxy.listener.keys import Keys
from rt_proxy.listener.spending import look_up_budgets, open_purse, template_of
from rt_proxy.realtime.hello import RequestHead, read_hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import Budget, HealthSettings, Settings, UsageSettings
from rt_proxy.tokens.store import MemoryTokenStore
from rt_proxy.tokens.token import Token
from rt_proxy.usage.budgets import Purse
from rt_proxy.usage.record import UsageRecord

TOKEN = Token("tok_1", "alice", "0" * 64, datetime.now(UTC), budget=Budget(usd=Decimal(1)))


async def _no_dial(*_: object) -> trio.abc.Stream:
    raise OSError


def a_cent(record: UsageRecord) -> Decimal:
    """Be a price function: each token costs a cent."""
    return Decimal(record.tokens.total) / 100


def house(price: object = a_cent, **fields: object) -> House:
    """Return a house in which a token costs a cent."""
    settings = Settings(channels=(channel(),), **fields)  # type: ignore[arg-type]
    return House(
        settings=settings,
        channels=make_channels(settings),
        trusted_proxies=(),
        tokens=MemoryTokenStore(),
        dial=_no_dial,
        keys=Keys(),
        health=Health(HealthSettings(), Random(1)),
        price_of=price,  # type: ignore[arg-type]
    )


def ticket(of: House, target: str = "/v1/realtime?model=gpt-realtime") -> Ticket:
    """Return what a client is let in for."""
    headers = {
        "host": "h",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "c2l4dGVlbiBieXRlcyBvaw==",
    }
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    hello = read_hello(RequestHead("GET", target, pairs))
    assert not isinstance(hello, Refusal)
    admitted = admit(
        hello,
        TOKEN,
        of.channels,
        default_model=None,
        client_dialect="auto",
        transcription_channel=None,
        health={},
        now=0,
        random=Random(1),
    )
    assert isinstance(admitted, Ticket)
    return admitted


def test_template() -> None:
    """The records of a session say whose they are, and the model by both of its names."""
    of = house()
    template = template_of(ticket(of), of.channels[0], "s1")
    assert (template.session_id, template.token_id, template.token_name) == ("s1", "tok_1", "alice")
    assert (template.channel, template.model) == ("main", "gpt-realtime")
    assert template.upstream_model == "gpt-realtime-upstream"
    of_transcription = template_of(
        ticket(of, "/v1/realtime?intent=transcription"), of.channels[0], "s1"
    )
    assert (of_transcription.model, of_transcription.upstream_model) == (None, None)


async def test_the_reserve(autojump_clock: MockClock) -> None:
    """So many seconds of the model's speech are held: two seconds are forty tokens."""
    of = house(usage=UsageSettings(reserve=2))
    await look_up_budgets(of, TOKEN)
    purses = [open_purse(of, ticket(of), "s") for _ in range(3)]
    assert [isinstance(purse, Purse) for purse in purses] == [True, True, False]


@pytest.mark.log_says("price function failed")
@pytest.mark.parametrize("price", [lambda _: None, lambda _: 1 / 0])
async def test_a_price_that_is_not_known(autojump_clock: MockClock, price: object) -> None:
    """What has no price reserves no money, and nobody is refused for it."""
    of = house(price)
    await look_up_budgets(of, TOKEN)
    assert all(isinstance(open_purse(of, ticket(of), "s"), Purse) for _ in range(10))


@pytest.mark.parametrize(
    ("budget", "whose", "has_end"),
    [
        (Budget(usd=0), "this token", True),
        (Budget(usd=0, per="ever"), "this token", False),
        (None, "this proxy", True),
    ],
)
async def test_refused(
    autojump_clock: MockClock, budget: Budget | None, whose: str, has_end: bool
) -> None:
    """The refusal says whose budget it is and when it begins anew, if it does."""
    of = house(budget=None if budget else Budget(tokens=0))
    await look_up_budgets(of, attrs.evolve(TOKEN, budget=budget))
    refused = open_purse(of, ticket(of), "s")
    assert isinstance(refused, Refusal)
    assert f"The budget of {whose} is spent" in refused.message
    retry = dict(refused.headers).get("Retry-After")
    assert (retry is not None) is has_end
    assert not has_end or 0 < int(retry or 0) <= timedelta(days=31).total_seconds()


def test_without_a_budget() -> None:
    """A token without a budget may spend what it likes."""
    of = house()
    purse = open_purse(of, attrs.evolve(ticket(of), token=attrs.evolve(TOKEN, budget=None)), "s")
    assert isinstance(purse, Purse)
    assert not purse.has_accounts
