"""Facts about the ledger in a file: nothing is lost, nothing counts twice, and trouble is told."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio
from test_usage_journal import MOMENT, record

from rt_proxy.errors import LedgerError
from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage import schema, sqliteledger
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageKind
from rt_proxy.usage.sqliteledger import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "usage.db"


def rows(path: Path) -> list[sqlite3.Row]:
    """Return all rows, read by somebody else."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return list(connection.execute("SELECT * FROM usage ORDER BY id"))


async def test_a_whole_row(path: Path) -> None:
    """Every field of a record has its column, to the microsecond and the last nano USD."""
    whole = record(
        time=MOMENT + timedelta(microseconds=7),
        model="alias",
        upstream_model="gpt-x",
        upstream_session_id="sess_1",
        content_index=2,
        status="completed",
        tokens=Tokens(1, 2, 3, 4, 5, 6, 7, 8),
        milliseconds=9,
        nano_usd=1_234_567_891,
        estimated=True,
    )
    ledger = await SqliteLedger.open(path)
    await ledger.write([whole])
    await ledger.aclose()
    [row] = rows(path)
    names = [field.name for field in attrs.fields(Tokens)]
    assert [row[name] for name in names] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert row["tokens"] == 36
    told = dict(row) | {"time": whole.time, "kind": UsageKind(row["kind"]), "tokens": whole.tokens}
    for name, value in attrs.asdict(whole, recurse=False).items():
        assert told[name] == value, name
    assert row["time"] == int(MOMENT.timestamp()) * 10**6 + 7


class TestOnce:
    """Nothing counts twice."""

    async def test_the_same_again(self, path: Path) -> None:
        """A record that is written again changes nothing; others beside it are kept."""
        ledger = await SqliteLedger.open(path)
        await ledger.write([record("r1"), record("r1")])
        await ledger.write([record("r1", nano_usd=99), record("r2")])
        await ledger.aclose()
        assert [(row["upstream_id"], row["nano_usd"]) for row in rows(path)] == [
            ("r1", 3),
            ("r2", 3),
        ]

    async def test_after_a_restart(self, path: Path) -> None:
        """So it is for another process, or the same one later."""
        for _ in range(2):
            ledger = await SqliteLedger.open(path)
            await ledger.write([record("r1")])
            assert await ledger.spent("tok_1", None) == Spent(3, 7)
            await ledger.aclose()

    async def test_what_differs_is_another_one(self, path: Path) -> None:
        """Sessions, kinds and parts tell records apart, and those without an id are all kept."""
        ledger = await SqliteLedger.open(path)
        others = [
            record("r1", session_id="s2"),
            record("r1", kind=UsageKind.TRANSCRIPTION),
            record("r1", kind=UsageKind.TRANSCRIPTION, content_index=1),
            record(upstream_id=None),
            record(upstream_id=None),
        ]
        await ledger.write([record("r1"), *others])
        await ledger.aclose()
        assert len(rows(path)) == 6


class TestSpent:
    """What was spent is summed up by the file."""

    async def test_of_a_token_since_a_moment(self, path: Path) -> None:
        """Only rows of the token count, from the moment on, and unknown prices as nothing."""
        ledger = await SqliteLedger.open(path)
        await ledger.write(
            [
                record("r1"),
                record("r2", nano_usd=None),
                record("r3", time=MOMENT - timedelta(microseconds=1)),
                record("r4", token_id="tok_2"),
            ]
        )
        assert await ledger.spent("tok_1", MOMENT) == Spent(3, 14)
        assert await ledger.spent("tok_1", None) == Spent(6, 21)
        assert await ledger.spent(None, MOMENT) == Spent(6, 21)
        assert await ledger.spent(None, None) == Spent(9, 28)
        assert await ledger.spent("nobody", None) == Spent()
        await ledger.aclose()

    async def test_without_reading_the_table(self, path: Path) -> None:
        """A sum is found in an index alone, so that a million rows cost no million looks."""
        ledger = await SqliteLedger.open(path)
        await ledger.aclose()
        with closing(sqlite3.connect(path)) as connection:
            for where in ("token_id = 'x' AND time >= 1", "token_id = 'x'", "time >= 1"):
                plan = connection.execute(
                    f"EXPLAIN QUERY PLAN SELECT sum(nano_usd), sum(tokens) FROM usage WHERE {where}"
                ).fetchall()
                assert "COVERING INDEX" in str(plan)


class TestForgetting:
    """Rows are kept as long as they are to be."""

    async def test_old_rows_go(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those too old go, some at once and some with each write; what they cost still counts."""
        monkeypatch.setattr("rt_proxy.usage.sqliteledger._FORGET_ROWS", 2)
        now = datetime.now(UTC)
        old = [
            record(f"r{days}", time=now - timedelta(days=days)) for days in (99, 98, 97, 41, 39, 0)
        ]
        ledger = await SqliteLedger.open(path)
        await ledger.write(old)
        await ledger.aclose()
        ledger = await SqliteLedger.open(path, keep_days=40)
        left = [len(rows(path))]
        for number in range(3):
            await ledger.write([record(f"new {number}", time=now)])
            left.append(len([row for row in rows(path) if row["upstream_id"].startswith("r")]))
        assert left == [4, 2, 2, 2]
        assert await ledger.spent("tok_1", None) == Spent(9 * 3, 9 * 7)
        assert await ledger.spent(None, None) == Spent(9 * 3, 9 * 7)
        assert await ledger.spent("tok_1", now - timedelta(days=40)) == Spent(5 * 3, 5 * 7)
        await ledger.aclose()

    async def test_looked_for_once_an_hour(self, path: Path) -> None:
        """When none is left that is too old, an hour passes until one looks again."""
        ledger = await SqliteLedger.open(path, keep_days=40)
        await ledger.write([record("r1", time=datetime.now(UTC))])
        await ledger.write([record("old", time=MOMENT - timedelta(days=999))])
        await ledger.write([record("r2", time=datetime.now(UTC))])
        await ledger.aclose()
        assert len(rows(path)) == 3

    async def test_for_ever(self, path: Path) -> None:
        """Without a limit all rows stay."""
        ledger = await SqliteLedger.open(path)
        await ledger.write([record("old", time=datetime(1999, 1, 1, tzinfo=UTC))])
        await ledger.write([record("new")])
        await ledger.aclose()
        assert len(rows(path)) == 2


class TestTrouble:
    """What goes wrong is told in a clear word, and the next call begins anew."""

    async def test_a_lock_of_another_process(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While another process writes it is told; when that is done, writing works again."""
        monkeypatch.setattr(schema, "_BUSY", 0.05)
        ledger = await SqliteLedger.open(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError, match=r"usage\.db: another process has locked it"):
                await ledger.write([record("r1")])
            assert await ledger.spent(None, None) == Spent()
            other.execute("ROLLBACK")
        await ledger.write([record("r1")])
        await ledger.aclose()
        assert len(rows(path)) == 1

    async def test_a_full_disk(self, path: Path) -> None:
        """A batch that does not fit is not there at all; when there is room it can be written."""
        ledger = await SqliteLedger.open(path)
        await ledger.write([record("before")])
        assert ledger._connection is not None
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        many = [record(f"r{number}") for number in range(500)]
        with pytest.raises(LedgerError, match="the disk is full"):
            await ledger.write(many)
        assert len(rows(path)) == 1
        await ledger.write(many)
        await ledger.aclose()
        assert len(rows(path)) == 501

    @pytest.mark.log_says("is not the file any more")
    async def test_a_file_that_is_gone(self, path: Path) -> None:
        """A file that was moved away is not written to any more; a new one is made, and told."""
        ledger = await SqliteLedger.open(path)
        await ledger.write([record("r1")])
        moved = path.with_name("moved.db")
        path.rename(moved)
        await ledger.write([record("r2")])
        await ledger.aclose()
        assert [row["upstream_id"] for row in rows(path)] == ["r2"]
        assert [row["upstream_id"] for row in rows(moved)] == ["r1"]

    @pytest.mark.log_says("is not the file any more")
    async def test_a_file_that_is_gone_and_read(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While a reader keeps a moved file from being whole no other one is begun."""
        monkeypatch.setattr(schema, "_BUSY", 0.05)
        ledger = await SqliteLedger.open(path)
        await ledger.write([record("r1")])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM usage").fetchone() == (1,)
            moved = path.with_name("moved.db")
            path.rename(moved)
            with pytest.raises(LedgerError, match="cannot be brought up to date"):
                await ledger.write([record("r2")])
        await ledger.write([record("r2")])
        await ledger.aclose()
        assert [row["upstream_id"] for row in rows(path)] == ["r2"]
        assert [row["upstream_id"] for row in rows(moved)] == ["r1"]

    @pytest.mark.log_says("is not the file any more")
    async def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        """Without its folder it is told; when that is back, writing works again."""
        folder = tmp_path / "folder"
        folder.mkdir()
        ledger = await SqliteLedger.open(folder / "usage.db")
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(LedgerError, match="no folder"):
            await ledger.write([record("r1")])
        folder.mkdir()
        await ledger.write([record("r1")])
        await ledger.aclose()
        assert len(rows(folder / "usage.db")) == 1

    async def test_sums_beyond_measure(self, path: Path) -> None:
        """Sums that no number can hold are told, and harm nothing."""
        ledger = await SqliteLedger.open(path)
        await ledger.write([record(f"r{number}", nano_usd=1 << 62) for number in range(3)])
        with pytest.raises(LedgerError, match="overflow"):
            await ledger.spent(None, None)
        await ledger.write([record("r9")])
        await ledger.aclose()
        assert len(rows(path)) == 4

    async def test_texts_and_numbers_of_peers(self, path: Path) -> None:
        """Whatever a peer calls things, and an embedder's prices say, the row can be kept."""
        ledger = await SqliteLedger.open(path)
        odd = record("\ud800", status="\x00'; DROP TABLE usage", model="\u2603", nano_usd=1 << 70)
        await ledger.write([odd])
        await ledger.aclose()
        [row] = rows(path)
        assert (row["upstream_id"], row["status"]) == ("?", "\x00'; DROP TABLE usage")
        assert row["nano_usd"] == (1 << 63) - 1


class TestTwoProcesses:
    """Two may write to one ledger."""

    async def test_told_of_it_after_a_lock(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What another process wrote while it held the lock is not missed."""
        monkeypatch.setattr(schema, "_BUSY", 0.05)
        first, second = await SqliteLedger.open(path), await SqliteLedger.open(path)
        await second.write([record("r0")])
        assert await first.others_wrote()
        assert not await first.others_wrote()
        assert second._connection is not None
        second._connection.execute("BEGIN IMMEDIATE")
        second._connection.execute("UPDATE usage SET id = id + 1")
        with pytest.raises(LedgerError, match="locked"):
            await first.write([record("r1")])
        second._connection.execute("COMMIT")
        assert await first.others_wrote()
        assert not await first.others_wrote()
        for ledger in (first, second):
            await ledger.aclose()

    async def test_told_of_it_after_it_could_not_be_opened(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What another process wrote while this one could not even open it is not missed."""
        ours, theirs = await SqliteLedger.open(path), await SqliteLedger.open(path)

        def fail(_: Path) -> sqlite3.Connection:
            raise LedgerError("locked")

        with monkeypatch.context() as broken:
            ours._drop_connection()
            broken.setattr(sqliteledger, "open_to_write", fail)
            with pytest.raises(LedgerError):
                await ours.others_wrote()
            await theirs.write([record("r1")])
        assert await ours.others_wrote()
        for ledger in (ours, theirs):
            await ledger.aclose()

    async def test_told_of_it_after_all_was_forgotten(self, path: Path) -> None:
        """Rows that take the place of as many old ones are not taken for these."""
        ours = await SqliteLedger.open(path)
        old = datetime.now(UTC) - timedelta(days=60)
        await ours.write([record(f"old {number}", time=old) for number in range(3)])
        assert not await ours.others_wrote()
        theirs = await SqliteLedger.open(path, keep_days=32)
        await theirs.write([record(f"new {number}") for number in range(3)])
        assert await ours.others_wrote()
        for ledger in (ours, theirs):
            await ledger.aclose()

    async def test_told_of_each_other(self, path: Path) -> None:
        """Each sees that the other one has written, once, and never takes itself for it."""
        first, second = await SqliteLedger.open(path), await SqliteLedger.open(path)
        await first.write([record("r1")])
        assert not await first.others_wrote()
        assert await second.others_wrote()
        assert not await second.others_wrote()
        await second.write([record("r2")])
        assert await first.others_wrote()
        assert await first.spent("tok_1", None) == Spent(6, 14)
        await first.aclose()
        await second.aclose()


async def test_the_loop_goes_on(path: Path) -> None:
    """A write happens in a thread, so that a slow disk holds up nobody else."""
    ledger = await SqliteLedger.open(path)
    seen: list[int] = []
    ledger._forget = lambda _: seen.append(threading.get_ident()) or True  # type: ignore[method-assign, func-returns-value]
    ledger._keep = timedelta(days=40)
    await ledger.write([record("r1")])
    await ledger.aclose()
    assert seen
    assert threading.get_ident() not in seen


async def test_cancelled(path: Path) -> None:
    """A write that is cancelled is done or not, and the ledger goes on."""
    ledger = await SqliteLedger.open(path)
    with trio.CancelScope() as scope:
        scope.cancel("no more")
        await ledger.write([record("r1")])
    await ledger.write([record("r1"), record("r2")])
    await ledger.aclose()
    assert len(rows(path)) == 2


_WRITER = """
import sys, trio
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_usage_journal import record
from rt_proxy.usage.sqliteledger import SqliteLedger

async def main():
    ledger = await SqliteLedger.open(Path(sys.argv[1]))
    for number in range(10_000):
        await ledger.write([record(f"r{number}.{part}") for part in range(3)])
        print(number, flush=True)

trio.run(main)
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_killed(path: Path, lines: int) -> None:
    """After ``kill -9`` every batch that was reported is there, whole, and the file is sound."""
    command = [sys.executable, "-c", _WRITER, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        reported += map(int, writer.stdout.read().split())
    kept = [row["upstream_id"] for row in rows(path)]
    assert len(kept) == len(set(kept))
    assert set(kept) >= {f"r{number}.{part}" for number in reported for part in range(3)}
    assert len(kept) % 3 == 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    async def write_again() -> None:
        ledger = await SqliteLedger.open(path)
        await ledger.write([record(name) for name in kept])
        await ledger.aclose()

    trio.run(write_again)
    assert len(rows(path)) == len(kept)
