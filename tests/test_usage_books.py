"""Facts about the books: budgets that are looked up, spent, warned of, and kept current."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import trio
from test_usage_journal import OwnLedger, record
from trio.testing import MockClock

from rt_proxy.errors import LedgerError
from rt_proxy.realtime.counts import Reported, Tokens
from rt_proxy.realtime.metering import Metered
from rt_proxy.settings import Budget
from rt_proxy.usage.bill import Bill
from rt_proxy.usage.books import Books, unkept_books
from rt_proxy.usage.budgets import Account, BudgetState, Purse
from rt_proxy.usage.journal import Journal
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageRecord, unknown_price

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
BUDGET = Budget(usd=Decimal("0.00000001"), warn_percent=0)  # ten nano USD; a record costs three


def books_of(ledger: OwnLedger, **more: object) -> Books:
    """Return books on a clock that stands."""
    return Books(Journal(ledger, sync=0), clock=lambda: NOW, **more)  # type: ignore[arg-type]


def bill_of(books: Books, token_id: str = "tok_1") -> Bill:
    """Return the bill of a session, in which a record costs three nano USD."""
    purse = books.open_purse(token_id, Spent())
    assert isinstance(purse, Purse)
    price = Decimal("0.000000003")
    return books.open_bill(record(token_id=token_id), lambda _: price, purse)


async def test_what_was_spent_before(autojump_clock: MockClock) -> None:
    """A budget that is new here knows what the ledger knows of its period."""
    ledger = OwnLedger()
    ledger.kept = [record("old"), record("of another", token_id="tok_2")]
    books = books_of(ledger)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    await books.prepare(None, None, BUDGET, "UTC")
    mine, all_of_them = books.state("tok_1"), books.state(None)
    assert mine is not None
    assert all_of_them is not None
    assert (mine.spent, all_of_them.spent) == (Spent(3, 7), Spent(6, 14))
    assert books.state("tok_2") is None


async def test_looked_up_once(autojump_clock: MockClock) -> None:
    """What is known is not asked for again, and clients that come together ask once."""
    ledger = OwnLedger(seconds=1)
    books = books_of(ledger)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(books.prepare, "tok_1", "alice", BUDGET, "UTC")
    assert trio.current_time() == 1
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    assert trio.current_time() == 1


@pytest.mark.log_says("budget of token alice cannot be read", "budget of token alice is read again")
async def test_a_ledger_that_cannot_be_read(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Clients are let in all the same, it is told once, and looked at again every second.

    What is spent meanwhile does not make what was spent before less.
    """
    ledger = OwnLedger()
    ledger.kept = [record("old")]
    books = books_of(ledger)

    async def fail(*_: object) -> Spent:
        raise LedgerError("locked")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "spent", fail)
        for _ in range(2):
            await books.prepare("tok_1", "alice", BUDGET, "UTC")
        bill_of(books).note(_metered("r1"), None, None)
        assert _spent(books) == Spent(3, 7)
    assert caplog.text.count("cannot be read") == 1
    nursery.start_soon(books.keep_current, None)
    await trio.sleep(1.5)
    assert _spent(books) == Spent(6, 14)


@pytest.mark.log_says("cannot be read", "is read again", "another process")
async def test_a_look_that_failed_when_others_had_written(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again until it succeeds, though they write no more."""
    ledger = OwnLedger()
    books = books_of(ledger)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    wrote = [True]

    async def others_wrote() -> bool:
        return bool(wrote) and wrote.pop()

    async def fail(*_: object) -> Spent:
        raise LedgerError("locked")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "spent", fail)
        nursery.start_soon(books.keep_current, others_wrote)
        ledger.kept.append(record("theirs"))
        await trio.sleep(2.5)
    await trio.sleep(1)
    assert _spent(books) == Spent(3, 7)


@pytest.mark.log_says("cannot be read")
async def test_a_ledger_that_is_slow_and_fails(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newcomers share one look, and do not queue for one each."""
    ledger = OwnLedger()

    async def fail(*_: object) -> Spent:
        await trio.sleep(5)
        raise LedgerError("locked")

    monkeypatch.setattr(ledger, "spent", fail)
    books = books_of(ledger)
    async with trio.open_nursery() as newcomers:
        for _ in range(8):
            newcomers.start_soon(books.prepare, "tok_1", "alice", BUDGET, "UTC")
    assert trio.current_time() == 5


@pytest.mark.log_says("cannot be read, and is missing in it: it raised OSError: down")
async def test_a_ledger_that_raises(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an embedder's own ledger raises, its clients are let in."""
    ledger = OwnLedger()

    async def fail(*_: object) -> Spent:
        raise OSError("down")

    monkeypatch.setattr(ledger, "spent", fail)
    books = books_of(ledger)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    assert isinstance(books.open_purse("tok_1", Spent()), Purse)


DAILY = Budget(usd=BUDGET.usd, per="day", warn_percent=0)
THIS_MONTH = record("this month", time=datetime(2026, 11, 2, tzinfo=UTC))


class TestAnotherPeriod:
    """What was spent is looked up for the period that counts now, whatever was spent meanwhile."""

    async def test_after_none(self, autojump_clock: MockClock) -> None:
        """A budget that was taken away comes back as that of a month."""
        ledger = OwnLedger()
        ledger.kept = [THIS_MONTH]
        books = books_of(ledger)
        await books.prepare("tok_1", "alice", DAILY, "UTC")
        await books.prepare("tok_1", "alice", None, "UTC")
        bill_of(books).note(_metered("r1"), None, None)
        await books.prepare("tok_1", "alice", BUDGET, "UTC")
        assert _spent(books) == Spent(6, 14)

    async def test_while_it_is_looked_up(self, autojump_clock: MockClock) -> None:
        """A budget that changes in the midst of a look into the ledger is looked up again."""
        ledger = OwnLedger(seconds=1)
        ledger.kept = [THIS_MONTH]
        books = books_of(ledger)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(books.prepare, "tok_1", "alice", DAILY, "UTC")
            await trio.sleep(0.5)
            nursery.start_soon(books.prepare, "tok_1", "alice", BUDGET, "UTC")
            await trio.sleep(0.2)
            bill_of(books).note(_metered("r1"), None, None)
        assert _spent(books) == Spent(6, 14)


async def test_nobody_waits_for_another(autojump_clock: MockClock) -> None:
    """Who is known is not held by a slow look for somebody else."""
    ledger = OwnLedger()
    books = books_of(ledger)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    ledger.seconds = 9
    async with trio.open_nursery() as nursery:
        nursery.start_soon(books.prepare, "tok_2", "bob", BUDGET, "UTC")
        await trio.sleep(1)
        await books.prepare("tok_1", "alice", BUDGET, "UTC")
        assert trio.current_time() == 1


def _spent(books: Books) -> Spent:
    state = books.state("tok_1")
    assert state is not None
    return state.spent


async def test_no_budget_any_more(autojump_clock: MockClock) -> None:
    """A budget that is taken away limits nobody, nor those who were here before; one may come."""
    books = books_of(OwnLedger())
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    bill = bill_of(books)
    for number in range(4):
        bill.note(_metered(f"r{number}"), None, None)
    assert bill.is_over()
    assert isinstance(books.open_purse("tok_1", Spent()), Account)
    await books.prepare("tok_1", "alice", None, "UTC")
    assert isinstance(books.open_purse("tok_1", Spent()), Purse)
    assert books.state("tok_1") is None
    assert not bill.is_over()
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    assert bill.is_over()
    assert isinstance(books.open_purse("tok_1", Spent()), Account)


async def test_each_record_goes_everywhere(autojump_clock: MockClock) -> None:
    """A record reaches the journal, the hook, the account of its token, and the proxy's."""
    told: list[UsageRecord] = []
    books = books_of(OwnLedger(), on_usage=told.append)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    await books.prepare(None, None, BUDGET, "UTC")
    bill = bill_of(books)
    metered = _metered("r1")
    bill.note(metered, "gpt-x", "sess_1")
    assert books.journal.waiting == 1
    [one] = told
    assert (one.upstream_id, one.upstream_model, one.nano_usd) == ("r1", "gpt-x", 3)
    assert one.time == datetime.fromtimestamp(NOW, UTC)
    for owner in ("tok_1", None):
        state = books.state(owner)
        assert state is not None
        assert state.spent == Spent(3, 7)


@pytest.mark.log_says("50 % of the budget of the whole proxy are spent")
async def test_warns(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A budget that is nearly spent is told of in the log and to the hook, once."""
    told: list[BudgetState] = []
    books = books_of(OwnLedger(), on_budget_warning=told.append)
    budget = Budget(usd=BUDGET.usd, warn_percent=50)
    await books.prepare(None, None, budget, "UTC")
    bill = bill_of(books)
    for number in range(3):
        bill.note(_metered(f"r{number}"), None, None)
    assert [state.spent.nano_usd for state in told] == [6]
    assert caplog.text.count("are spent") == 1


@pytest.mark.log_says("on_budget_warning raised", "are spent")
async def test_a_warning_that_raises(autojump_clock: MockClock) -> None:
    """A hook that fails harms no session."""

    def fail(_: BudgetState) -> None:
        raise RuntimeError

    books = books_of(OwnLedger(), on_budget_warning=fail)
    await books.prepare(None, None, Budget(usd=BUDGET.usd, warn_percent=1), "UTC")
    bill_of(books).note(_metered("r1"), None, None)


@pytest.mark.log_says("another process writes to the usage ledger")
async def test_two_processes(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """What another process writes counts here within a second or so, and that it does is told."""
    ledger = OwnLedger()
    books = books_of(ledger)
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    wrote = False

    async def others_wrote() -> bool:
        nonlocal wrote
        before, wrote = wrote, False
        return before

    nursery.start_soon(books.keep_current, others_wrote)
    bill = bill_of(books)
    bill.note(_metered("mine"), None, None)
    await trio.sleep(5)
    assert caplog.text == ""
    for number in range(3):
        ledger.kept.append(record(f"theirs {number}"))
        wrote = True
        await trio.sleep(1.5)
    state = books.state("tok_1")
    assert state is not None
    assert state.spent == Spent(12, 28)
    assert bill.is_over()
    assert caplog.text.count("another process") == 1


@pytest.mark.log_says("is not known")
async def test_a_price_that_is_not_known(autojump_clock: MockClock) -> None:
    """What has no price counts in tokens, and no money is made up."""
    told: list[UsageRecord] = []
    books = books_of(OwnLedger(), on_usage=told.append)
    purse = books.open_purse("tok_1", Spent())
    assert isinstance(purse, Purse)
    bill = books.open_bill(record(nano_usd=None, model="m"), unknown_price, purse)
    bill.note(_metered("r1"), None, None)
    assert (told[0].nano_usd, told[0].usd, bill.usd) == (None, None, None)


def test_books_that_nobody_reads() -> None:
    """No session has to be metered for them, unless it has a budget."""
    assert not unkept_books().want(Purse((), Spent()))


def _metered(id_: str) -> Metered:
    return Metered("response", id_, Reported(Tokens(audio_out=7)), status="completed")


async def test_what_a_token_has_spent_is_asked_once_a_second(autojump_clock: MockClock) -> None:
    """However many ask at once, the ledger is asked for each token alone, and others wait not."""
    ledger = OwnLedger(seconds=0.25)
    ledger.kept = [record("r1"), record("r2", token_id="tok_2")]
    books = books_of(ledger)
    answers: list[Spent] = []

    async def ask(token_id: str) -> None:
        answers.append(await books.spent(token_id, None))

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(ask, "tok_1")
        nursery.start_soon(ask, "tok_2")
    assert answers == [Spent(3, 7)] * 301
    assert trio.current_time() == 0.5
    bill_of(books).note(_metered("r3"), None, None)  # what is spent here is in it at once
    assert await books.spent("tok_1", None) == Spent(6, 14)
    ledger.kept.append(record("by another process"))
    await trio.sleep(1)
    assert await books.spent("tok_1", None) == Spent(9, 21)
    assert await books.spent("tok_1", datetime(2100, 1, 1, tzinfo=UTC)) == Spent()


@pytest.mark.log_says("did not answer within 10 s")
async def test_a_ledger_that_does_not_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as good as one that cannot be read: nobody waits for it for ever."""
    ledger = OwnLedger()
    books = books_of(ledger)
    monkeypatch.setattr(ledger, "spent", lambda *_: trio.sleep_forever())
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    assert trio.current_time() == 10
    with pytest.raises(LedgerError, match="did not answer"):
        await books.spent("tok_1", None)


@pytest.mark.log_says("cannot be written", "is missing in it", "is written again", "is read again")
async def test_what_may_have_been_written_counts_once(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody knows what became of a write, and no other can be tried, no sum is told."""
    ledger = OwnLedger()
    books = books_of(ledger)
    write = ledger.write

    async def keep_and_hang(records: Sequence[UsageRecord]) -> None:
        await write(records)
        await trio.sleep_forever()

    books.journal.note(record("r1"))
    with monkeypatch.context() as hanging:
        hanging.setattr(ledger, "write", keep_and_hang)
        with pytest.raises(LedgerError):
            await books.spent("tok_1", None)
    ledger.error = LedgerError("the disk is full")
    await books.prepare("tok_1", "alice", BUDGET, "UTC")
    ledger.error = None
    ledger.kept.clear()  # OwnLedger keeps twice what comes twice
    nursery.start_soon(books.keep_current, None)
    await trio.sleep(1.5)
    assert _spent(books) == Spent(3, 7)


async def test_those_who_ask_a_silent_ledger_wait_side_by_side(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them has its answer after ten seconds, and not ten seconds after the one before."""
    ledger = OwnLedger()
    books = books_of(ledger)
    monkeypatch.setattr(ledger, "spent", lambda *_: trio.sleep_forever())

    async def ask() -> None:
        with pytest.raises(LedgerError):
            await books.spent("tok_1", None)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert trio.current_time() == 10
