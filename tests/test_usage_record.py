"""Facts about the record of what was used."""

from decimal import Decimal

from test_usage_journal import record

from rt_proxy.usage.record import unknown_price


def test_money_is_exact() -> None:
    """The cost in USD has each digit of its thousand-millionths, and none is made up."""
    assert record(nano_usd=1).usd == Decimal("0.000000001")
    assert record(nano_usd=10**18 + 1).usd == Decimal("1000000000.000000001")
    assert record(nano_usd=0).usd == 0
    assert record(nano_usd=None).usd is None


def test_unknown_price() -> None:
    """It knows no price at all."""
    assert unknown_price(record()) is None
