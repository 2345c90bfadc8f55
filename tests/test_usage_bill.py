"""Facts about the bill of one session: what is priced how, and when a budget is over."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest
from test_usage_journal import record

from rt_proxy.realtime.counts import Reported, Tokens
from rt_proxy.realtime.metering import Metered
from rt_proxy.settings import Budget
from rt_proxy.usage.bill import Bill, cost_of
from rt_proxy.usage.budgets import Account, Purse
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import PriceFunction, UsageKind, UsageRecord

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


def a_cent(of: UsageRecord) -> Decimal:
    """Be a price function: each token costs a cent."""
    return Decimal(of.tokens.total) / 100


def bill(
    *accounts: Account,
    price: PriceFunction = a_cent,
    note: Callable[[UsageRecord], None] = lambda _: None,
) -> Bill:
    """Return the bill of a session."""
    template = record(model="alias", upstream_model="asked", nano_usd=None, tokens=Tokens())
    purse = Purse(accounts, Spent())
    return Bill(template, price=price, purse=purse, note=note, clock=lambda: NOW)


def test_a_response() -> None:
    """A response is of the session's model, by the name that the upstream has shown."""
    told: list[UsageRecord] = []
    of = bill(note=told.append)
    reported = Reported(Tokens(text_in=3, audio_out=4), is_exact=False)
    of.note(Metered("response", "r1", reported, status="cancelled"), "shown", "sess_1")
    assert told == [
        record(
            "r1",
            model="alias",
            upstream_model="shown",
            upstream_session_id="sess_1",
            status="cancelled",
            tokens=Tokens(text_in=3, audio_out=4),
            nano_usd=70_000_000,
            estimated=True,
        )
    ]
    assert of.usd == Decimal("0.07")


def test_a_transcription() -> None:
    """A transcription is of the model that transcribed, under whatever name the session is."""
    told: list[UsageRecord] = []
    of = bill(note=told.append)
    of.note(Metered("transcription", "i1", Reported(milliseconds=5), 2, "whisper-1"), "shown", None)
    [one] = told
    assert (one.kind, one.upstream_id, one.content_index) == (UsageKind.TRANSCRIPTION, "i1", 2)
    assert (one.model, one.upstream_model, one.milliseconds) == ("whisper-1", "whisper-1", 5)


def test_over_by_what_is_in_progress() -> None:
    """A budget is over as soon as what has passed has cost all of it."""
    account = Account("alice", Budget(usd=Decimal(1)), "UTC")
    of = bill(account)
    assert of.has_budgets
    of.note_in_progress(Tokens(audio_out=99), None)
    assert not of.is_over()
    of.note_in_progress(Tokens(audio_out=100), None)
    assert of.is_over()
    of.note_in_progress(Tokens(), None)
    assert not of.is_over()


def test_closed() -> None:
    """When the session is over nothing is held for it."""
    account = Account("alice", Budget(usd=Decimal(1)), "UTC")
    of = bill(account)
    of.note_in_progress(Tokens(audio_out=100), None)
    of.close()
    assert not account.is_spent(NOW, with_held=True)
    assert not bill().has_budgets


def test_prices_by_the_shown_name() -> None:
    """What is in progress is priced by the name that the upstream has shown."""
    asked: list[UsageRecord] = []

    def price(of: UsageRecord) -> Decimal:
        asked.append(of)
        return Decimal(0)

    bill(price=price).note_in_progress(Tokens(audio_out=1), "shown")
    assert [(one.upstream_model, one.tokens) for one in asked] == [("shown", Tokens(audio_out=1))]


@pytest.mark.log_says("the price function failed")
@pytest.mark.parametrize("answer", [RuntimeError("own"), "1", Decimal("NaN"), 1.5])
def test_a_price_function_that_fails(answer: object) -> None:
    """What raises, or returns no money, tells no price, and is told in the log."""

    def price(_: UsageRecord) -> Decimal:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    assert cost_of(record(), price) is None


def test_cost() -> None:
    """A price is rounded to a thousand-millionth of a USD; none stays none."""
    assert cost_of(record(), lambda _: Decimal("0.1234567891")) == 123_456_789
    assert cost_of(record(), lambda _: None) is None
    assert attrs.evolve(record(), nano_usd=123_456_789).usd == Decimal("0.123456789")
