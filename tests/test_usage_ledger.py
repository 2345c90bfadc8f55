"""Facts about what the proxy asks of a ledger."""

from test_usage_journal import record

from rt_proxy.usage.ledger import NoLedger, Spent


def test_spent_adds_up() -> None:
    """Money and tokens are added and taken away each for themselves."""
    assert Spent(1, 2) + Spent(10, 20) == Spent(11, 22)
    assert Spent(1, 2) - Spent(10, 20) == Spent(-9, -18)


async def test_no_ledger() -> None:
    """Without a ledger everything is taken, and nothing is known."""
    ledger = NoLedger()
    await ledger.write([record()])
    assert await ledger.spent(None, None) == Spent()
