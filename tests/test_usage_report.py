"""Facts about sums over the ledger: whose, of what, in which time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from test_usage_journal import MOMENT, record

from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageKind, UsageRecord
from rt_proxy.usage.report import (
    UsageSum,
    last_row,
    rows_after,
    spent_of,
    sums,
    total,
    usd_text,
)
from rt_proxy.usage.schema import open_to_read, open_to_write
from rt_proxy.usage.sqliteledger import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "usage.db"


def keep(path: Path, *records: UsageRecord) -> None:
    """Write records as a proxy does."""

    async def write() -> None:
        ledger = await SqliteLedger.open(path)
        await ledger.write(records)
        await ledger.aclose()

    trio.run(write)


@pytest.fixture
def book(path: Path) -> Iterator[sqlite3.Connection]:
    """Return an open ledger with some records."""
    keep(
        path,
        record("r1", nano_usd=5, tokens=Tokens(1, 2, 3, 4, 5, 6, 7, 8), model="m1"),
        record("r2", nano_usd=None, time=MOMENT + timedelta(days=1), upstream_model="m2"),
        record(
            "r3", token_id="tok_2", token_name="bob", nano_usd=100, session_id="s2", channel="x"
        ),
        record("i1", kind=UsageKind.TRANSCRIPTION, milliseconds=700, estimated=True, model="w"),
    )
    with closing(open_to_read(path)) as connection:
        yield connection


def test_by_token(book: sqlite3.Connection) -> None:
    """The dearest token is first; each sum has everything that its records have."""
    assert sums(book, "token") == [
        UsageSum("tok_2", "bob", 1, 0, Tokens(audio_out=7), 0, 100, 0, 0),
        UsageSum("tok_1", "alice", 2, 1, Tokens(1, 2, 3, 4, 5, 6, 7, 8 + 14), 700, 8, 1, 1),
    ]


def test_by_others(book: sqlite3.Connection) -> None:
    """By model (by the client's name, else the upstream's), by channel, by session."""
    assert [one.key for one in sums(book, "model")] == ["", "m1", "w", "m2"]
    assert [one.key for one in sums(book, "channel")] == ["x", "main"]
    assert [(one.key, one.name) for one in sums(book, "session")] == [
        ("s2", "bob"),
        ("s1", "alice"),
    ]


def test_in_a_time(book: sqlite3.Connection) -> None:
    """The first moment counts and the last does not."""
    later = MOMENT + timedelta(days=1)
    assert total(sums(book, "day", since=MOMENT, until=later)).responses == 2
    assert total(sums(book, "day", since=later)).responses == 1
    assert sums(book, "day", until=MOMENT) == []
    assert total([]) == UsageSum("total")


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("UTC", ["2026-10-24", "2026-10-25"]),
        ("Europe/Berlin", ["2026-10-25"]),
        ("America/New_York", ["2026-10-24", "2026-10-25"]),
        ("Asia/Kathmandu", ["2026-10-25", "2026-10-26"]),
    ],
)
def test_by_day_in_a_time_zone(path: Path, name: str, days: list[str]) -> None:
    """A day is that of the zone, also where a clock is changed and the offset is odd."""
    moments = [datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 22, tzinfo=UTC)]
    keep(path, *(record(f"r{index}", time=moment) for index, moment in enumerate(moments)))
    with closing(open_to_read(path)) as connection:
        zone = UTC if name == "UTC" else ZoneInfo(name)
        found = sums(connection, "day", zone=zone)
    assert [one.key for one in found] == days
    assert total(found).responses == 2


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=20))
def test_days_are_whole(tmp_path_factory: pytest.TempPathFactory, seconds: list[int]) -> None:
    """Every record is in the day that its moment has in the zone, and in no other."""
    path = tmp_path_factory.mktemp("days") / "usage.db"
    zone = ZoneInfo("Asia/Kathmandu")
    moments = [datetime(2026, 3, 27, tzinfo=UTC) + timedelta(seconds=one) for one in seconds]
    keep(path, *(record(f"r{index}", time=moment) for index, moment in enumerate(moments)))
    with closing(open_to_read(path)) as connection:
        found = {one.key: one.responses for one in sums(connection, "day", zone=zone)}
    days = [moment.astimezone(zone).date().isoformat() for moment in moments]
    assert found == {day: days.count(day) for day in days}


def test_spent(book: sqlite3.Connection) -> None:
    """What a token has spent, from a moment on or since ever."""
    assert spent_of(book, "tok_1", None) == Spent(8, 50)
    assert spent_of(book, "tok_1", MOMENT + timedelta(days=1)) == Spent(0, 7)
    assert spent_of(book, None, None) == Spent(108, 57)


def test_as_they_come(path: Path, book: sqlite3.Connection) -> None:
    """Rows that were written since are given whole, in their order, and once."""
    seen = last_row(book)
    assert seen == 4
    new = record("r9", model="m", status="completed", milliseconds=3, estimated=True)
    keep(path, new, record("r10"))
    [(number, first), (_, second)] = rows_after(book, seen)
    assert (first, second.upstream_id) == (new, "r10")
    assert rows_after(book, number + 1) == []
    assert len(rows_after(book, 0, most=2)) == 2


def test_nothing_is_held(path: Path, book: sqlite3.Connection) -> None:
    """Who has not looked at all rows yet keeps no proxy from emptying the file beside."""
    rows = iter(rows_after(book, 0))
    next(rows)
    with closing(open_to_write(path)) as writer:
        writer.execute("DELETE FROM usage WHERE id = 1")
        is_hindered, _, _ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_hindered


def test_an_empty_ledger(path: Path) -> None:
    """Nothing comes to nothing."""
    keep(path)
    with closing(open_to_read(path)) as connection:
        assert (last_row(connection), sums(connection, "token")) == (0, [])


@pytest.mark.parametrize(
    ("nano_usd", "text"),
    [(0, "0"), (1, "0.000000001"), (10**9, "1"), (1_500_000_000, "1.5"), (-1, "-0.000000001")],
)
def test_money_as_text(nano_usd: int, text: str) -> None:
    """No digit is lost, and none is made up."""
    assert usd_text(nano_usd) == text
