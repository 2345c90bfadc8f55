"""Facts about the journal: nothing is lost on the way to the ledger, and nothing waits for it."""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from rt_proxy.errors import LedgerError
from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage import journal as journal_module
from rt_proxy.usage import sqliteledger
from rt_proxy.usage.journal import Journal, fields_of
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageKind, UsageRecord
from rt_proxy.usage.sqliteledger import SqliteLedger

MOMENT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def record(id_: str = "r1", token_id: str = "tok_1", **more: object) -> UsageRecord:
    """Return a record of seven tokens and three nano USD."""
    given: dict[str, object] = {
        "time": MOMENT,
        "kind": UsageKind.RESPONSE,
        "session_id": "s1",
        "token_id": token_id,
        "token_name": "alice",
        "channel": "main",
        "upstream_id": id_,
        "tokens": Tokens(audio_out=7),
        "nano_usd": 3,
    }
    return UsageRecord(**{**given, **more})  # type: ignore[arg-type]


class OwnLedger:
    """A ledger of an embedder's own: slow, and broken when it is told to be."""

    def __init__(self, seconds: float = 0) -> None:
        self.kept: list[UsageRecord] = []
        self.batches: list[tuple[float, int]] = []
        self.error: Exception | None = None
        self.seconds = seconds

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Keep records, after a while."""
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        self.kept += records
        self.batches.append((trio.current_time(), len(records)))

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Add up what is kept."""
        await trio.sleep(self.seconds)
        mine = [one for one in self.kept if token_id in (None, one.token_id)]
        later = [one for one in mine if since is None or one.time >= since]
        return sum((Spent(one.nano_usd or 0, one.tokens.total) for one in later), Spent())


async def test_in_batches_and_in_time(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """What is noted is written together, within the time that it may wait."""
    ledger = OwnLedger()
    journal = Journal(ledger, sync=1)
    nursery.start_soon(journal.run)
    await trio.sleep(5)
    for number in range(3):
        journal.note(record(f"r{number}"))
        await trio.sleep(0.1)
    assert (journal.waiting, ledger.kept) == (3, [])
    await trio.sleep(0.5)
    assert (journal.waiting, ledger.batches) == (0, [(5.5, 3)])
    await trio.sleep(100)
    journal.note(record("late"))
    await trio.sleep(0.6)
    assert [one.upstream_id for one in ledger.kept] == ["r0", "r1", "r2", "late"]


async def test_at_once(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """With ``sync = 0`` nothing waits but for the disk."""
    ledger = OwnLedger()
    journal = Journal(ledger, sync=0)
    nursery.start_soon(journal.run)
    journal.note(record())
    await trio.testing.wait_all_tasks_blocked()
    assert ledger.batches == [(0, 1)]


async def test_noted_while_it_is_written(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """What comes while a batch is on its way is in the next one."""
    ledger = OwnLedger(seconds=1)
    journal = Journal(ledger, sync=0)
    nursery.start_soon(journal.run)
    journal.note(record("r1"))
    await trio.sleep(0.5)
    journal.note(record("r2"))
    await trio.sleep(10)
    assert [one.upstream_id for one in ledger.kept] == ["r1", "r2"]
    assert [count for _, count in ledger.batches] == [1, 1]


async def test_large_batches_are_cut(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """No more than a thousand records are written at once."""
    ledger = OwnLedger()
    journal = Journal(ledger, sync=1)
    nursery.start_soon(journal.run)
    for number in range(2_500):
        journal.note(record(f"r{number}"))
    await trio.sleep(2)
    assert [count for _, count in ledger.batches] == [1_000, 1_000, 500]


@pytest.mark.log_says("cannot be written", "is written again")
@pytest.mark.parametrize("error", [LedgerError("usage.db: the disk is full"), OSError("own")])
@pytest.mark.log_says("the ledger raised")
async def test_a_ledger_that_fails(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    """Everything stays in memory, in its order, until the ledger can be written again."""
    ledger = OwnLedger()
    ledger.error = error
    journal = Journal(ledger, sync=1)
    nursery.start_soon(journal.run)
    for number in range(5):
        journal.note(record(f"r{number}"))
        await trio.sleep(100)
    assert journal.waiting == 5
    assert journal.failures > 5
    ledger.error = None
    await trio.sleep(31)
    assert [one.upstream_id for one in ledger.kept] == [f"r{number}" for number in range(5)]
    assert "is written again" in caplog.text


@pytest.mark.log_says("cannot be written")
async def test_says_so_once_a_minute(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """A ledger that fails is told of at once and then once a minute, with why and how many wait."""
    ledger = OwnLedger()
    ledger.error = LedgerError("usage.db: the disk is full")
    journal = Journal(ledger, sync=0)
    nursery.start_soon(journal.run)
    journal.note(record())
    await trio.sleep(0.1)
    assert [one.levelno for one in caplog.records] == [logging.ERROR]
    assert "the disk is full (records that wait: 1)" in caplog.text
    await trio.sleep(600)
    assert 9 <= len(caplog.records) <= 11
    ledger.error = None


@pytest.mark.log_says("cannot be written", "not in the ledger")
async def test_memory_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When too many wait, those that come are in the log, whole, and what waited is kept."""
    monkeypatch.setattr(journal_module, "_MOST_WAITING", 3)
    ledger = OwnLedger()
    ledger.error = LedgerError("locked")
    journal = Journal(ledger, sync=1)
    for number in range(5):
        journal.note(record(f"r{number}"))
    assert journal.waiting == 3
    told = [one.fields for one in caplog.records]  # type: ignore[attr-defined]
    assert [one["upstream_id"] for one in told] == ["r3", "r4"]
    assert (told[0]["nano_usd"], told[0]["audio_out_tokens"]) == (3, 7)
    ledger.error = None
    await journal.close(1)
    assert [one.upstream_id for one in ledger.kept] == ["r0", "r1", "r2"]


async def test_close_writes_the_rest(autojump_clock: MockClock) -> None:
    """What waits when the proxy stops is written, also while it is being cancelled."""
    ledger = OwnLedger(seconds=0.5)
    journal = Journal(ledger, sync=60)
    journal.note(record())
    with trio.CancelScope() as scope:
        scope.cancel("the proxy is stopped at once")
        await journal.close(2)
    assert len(ledger.kept) == 1


@pytest.mark.log_says("it did not answer within 10 s", "is written again")
async def test_a_ledger_that_does_not_answer(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It is told, and tried again; what may have been kept is offered again, for it counts once."""
    ledger = OwnLedger(seconds=1_000)
    journal = Journal(ledger, sync=0)
    nursery.start_soon(journal.run)
    journal.note(record("r1"))
    await trio.sleep(11)
    assert (journal.failures, journal.waiting) == (1, 1)
    ledger.seconds = 1
    await trio.sleep(60)
    assert (len(ledger.kept), journal.waiting) == (1, 0)


@pytest.mark.log_says("a usage record is not in the ledger")
async def test_a_disk_that_hangs_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The proxy ends in time, what is being written is in the log too, and nothing fails after."""
    ledger = await SqliteLedger.open(tmp_path / "usage.db")
    inode_of, hangs = sqliteledger._inode, threading.Event()
    late = threading.Timer(30, hangs.set)
    late.start()

    def hang(path: Path) -> tuple[int, int]:
        hangs.wait()
        return inode_of(path)

    monkeypatch.setattr(sqliteledger, "_inode", hang)
    journal = Journal(ledger, sync=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        journal.note(record("r1"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert journal.waiting == 1
        nursery.cancel_scope.cancel("the proxy ends")
    await journal.close(0.1)
    assert not hangs.is_set()
    late.cancel()
    assert caplog.text.count("a usage record is not in the ledger") == 1
    assert journal.waiting == 0
    hangs.set()
    await ledger.aclose()


@pytest.mark.log_says("not in the ledger", "cannot be written")
@pytest.mark.parametrize("how", ["too slow", "broken"])
async def test_close_loses_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """What cannot be written in the end is in the log, record by record."""
    ledger = OwnLedger(seconds=10 if how == "too slow" else 0)
    ledger.error = None if how == "too slow" else LedgerError("gone")
    journal = Journal(ledger, sync=60)
    journal.note(record("r1"))
    journal.note(record("r2", status="cancelled"))
    await journal.close(2)
    fields = [one.fields for one in caplog.records if hasattr(one, "fields")]
    assert [one["upstream_id"] for one in fields] == ["r1", "r2"]
    assert trio.current_time() == (2 if how == "too slow" else 0)


@pytest.mark.log_says("a usage record is not in the ledger")
async def test_after_the_close(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """What comes when nobody writes any more goes to the log, and does not wait for ever."""
    journal = Journal(OwnLedger(), sync=1)
    await journal.close(1)
    journal.note(record("late"))
    assert journal.waiting == 0
    assert "a usage record is not in the ledger" in caplog.text


class TestSpent:
    """What was spent is the ledger's sum, and what is on its way to it."""

    async def test_with_what_waits(self, autojump_clock: MockClock) -> None:
        """What waits is written first, so that it is in the sum, once."""
        ledger = OwnLedger()
        journal = Journal(ledger, sync=60)
        journal.note(record("r1"))
        journal.note(record("r2", token_id="tok_2"))
        journal.note(record("r3", time=MOMENT - timedelta(days=1)))
        assert await journal.spent("tok_1", None, lambda: None) == Spent(6, 14)
        assert await journal.spent("tok_1", MOMENT, lambda: None) == Spent(3, 7)
        assert await journal.spent(None, None, lambda: None) == Spent(9, 21)

    async def test_the_writing_goes_on(
        self, autojump_clock: MockClock, nursery: trio.Nursery
    ) -> None:
        """Whoever asks while nothing waits does not keep what comes later from being written."""
        ledger = OwnLedger()
        journal = Journal(ledger, sync=1)
        nursery.start_soon(journal.run)
        await trio.sleep(1)
        for number in range(3):
            await journal.spent(None, None, lambda: None)
            journal.note(record(f"r{number}"))
            await trio.sleep(2)
            assert len(ledger.kept) == number + 1

    @pytest.mark.log_says("cannot be written")
    async def test_with_what_cannot_be_written(self, autojump_clock: MockClock) -> None:
        """What stays in memory is in the sum too, of its token and its time."""
        ledger = OwnLedger()
        journal = Journal(ledger, sync=60)
        journal.note(record("r1"))
        assert await journal.spent("tok_1", None, lambda: None) == Spent(3, 7)
        ledger.error = LedgerError("locked")
        journal.note(record("r2"))
        journal.note(record("r3", token_id="tok_2"))
        journal.note(record("r4", time=MOMENT - timedelta(days=1)))
        assert await journal.spent("tok_1", MOMENT, lambda: None) == Spent(6, 14)
        assert await journal.spent("tok_1", None, lambda: None) == Spent(9, 21)

    async def test_each_record_is_before_or_after_the_count(
        self, autojump_clock: MockClock, nursery: trio.Nursery
    ) -> None:
        """What is noted while one counts is in the sum, or comes after ``begin``: never both."""
        ledger = OwnLedger(seconds=1)
        journal = Journal(ledger, sync=0)
        nursery.start_soon(journal.run)
        after: list[int] = []
        begun = False

        async def note_all() -> None:
            for number in range(40):
                journal.note(record(f"r{number}"))
                if begun:
                    after.append(number)
                await trio.sleep(0.1)

        def begin() -> None:
            nonlocal begun
            begun = True

        nursery.start_soon(note_all)
        await trio.sleep(1.05)
        spent = await journal.spent("tok_1", None, begin)
        in_time = spent.nano_usd // 3
        await trio.sleep(10)
        assert after
        assert after[0] == in_time


def test_fields() -> None:
    """A record in the log has every field that says something, and plain values."""
    assert fields_of(record(status="completed", estimated=True)) == {
        "time": "2026-11-26T12:00:00+00:00",
        "kind": "response",
        "session_id": "s1",
        "token_id": "tok_1",
        "token_name": "alice",
        "channel": "main",
        "upstream_id": "r1",
        "status": "completed",
        "nano_usd": 3,
        "estimated": True,
        "audio_out_tokens": 7,
    }
