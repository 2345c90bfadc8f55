"""The ledger in a file of SQLite: one row for each response and each transcription.

Every call goes to a thread, one at a time, so that no session waits for a disk. A batch is
written whole or not at all, and what is written is on the disk.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import attrs
import trio

from rt_proxy.errors import LedgerError
from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageRecord
from rt_proxy.usage.report import last_row, microseconds, spent_of
from rt_proxy.usage.schema import open_to_write, reason_of

_logger = logging.getLogger("rt_proxy.usage")
_Answer = TypeVar("_Answer")

_TOKENS = tuple(field.name for field in attrs.fields(Tokens))
_COLUMNS = (
    *("time", "kind", "session_id", "token_id", "token_name", "channel", "model"),
    *("upstream_model", "upstream_session_id", "upstream_id", "content_index", "status"),
    *_TOKENS,
    *("tokens", "milliseconds", "nano_usd", "estimated"),
)
# Of column names alone, and so safe.
_INSERT: Final = (
    f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608
    "ON CONFLICT (session_id, kind, upstream_id, content_index) DO NOTHING"
)

#: How often rows are looked for that are too old, in seconds, and how many go at once.
_FORGET_PAUSE = 3_600.0
_FORGET_ROWS = 2_000
_LARGEST = (1 << 63) - 1


class SqliteLedger:
    """A ledger in a file, which other processes may write to as well (mutable: it is open).

    Make one with ``open``.
    """

    def __init__(self, path: Path, *, keep_days: int = 0) -> None:
        self._path = path
        self._keep = timedelta(days=keep_days)
        self._limiter = trio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] = (0, 0)
        #: The last row that we know of: a later one is somebody else's.
        self._last_row = 0
        self._others_wrote = False
        self._next_forgetting = 0.0

    @classmethod
    async def open(cls, path: Path, *, keep_days: int = 0) -> "SqliteLedger":
        """Open a ledger, made where there is none, and delete some rows that are too old.

        Cancelling leaves the thread to itself.

        Args:
            path: The file.
            keep_days: How many days a row is kept; 0: for ever.

        Raises:
            LedgerError: It cannot be opened or made, is none, or is of a newer version.
        """
        ledger = cls(path, keep_days=keep_days)
        if keep_days:
            await ledger.write(())  # no records, but what is too old goes
        else:
            await ledger.others_wrote()
        return ledger

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Keep records, all or none of them; one that is kept already is not kept twice.

        Cancelling leaves the thread to itself: the records may be kept then, or not.

        Raises:
            LedgerError: They cannot be kept now.
        """
        rows = [_row(record) for record in records]
        now = trio.current_time()
        forgets = bool(self._keep) and now >= self._next_forgetting

        def write(connection: sqlite3.Connection) -> bool:
            connection.execute("BEGIN IMMEDIATE")
            self._note_others(connection)
            connection.executemany(_INSERT, rows)
            is_all_forgotten = not forgets or self._forget(connection)
            last = last_row(connection)
            connection.execute("COMMIT")
            self._last_row = last
            return is_all_forgotten

        if await self._call(write) and forgets:
            self._next_forgetting = now + _FORGET_PAUSE

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Return what a token has spent since a moment; None: every token, since ever.

        Cancelling is safe.

        Raises:
            LedgerError: It cannot be read now.
        """
        return await self._call(lambda connection: spent_of(connection, token_id, since))

    async def others_wrote(self) -> bool:
        """Return whether another process has written since this was asked last.

        Cancelling is safe.

        Raises:
            LedgerError: The ledger cannot be read now.
        """

        def look(connection: sqlite3.Connection) -> bool:
            self._note_others(connection)
            wrote, self._others_wrote = self._others_wrote, False
            return wrote

        return await self._call(look)

    def _note_others(self, connection: sqlite3.Connection) -> None:
        last = last_row(connection)
        self._others_wrote |= last != self._last_row
        self._last_row = last

    async def aclose(self) -> None:
        """Put everything into the one file, and close it; the next call opens it again.

        Cancelling leaves the thread to itself.
        """
        await trio.to_thread.run_sync(self._close, abandon_on_cancel=True, limiter=self._limiter)

    async def _call(self, action: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        """Do something with the open file, in a thread, one at a time.

        A thread that a disk keeps is left alone when this is cancelled; until it is done nobody
        else can do anything with the file.
        """

        def call() -> _Answer:
            try:
                return action(self._open_connection())
            except (sqlite3.Error, OverflowError) as error:
                # Whatever it was, the next call begins with a connection that is sound.
                self._drop_connection()
                raise LedgerError(f"{self._path}: {reason_of(error)}") from error

        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)

    def _open_connection(self) -> sqlite3.Connection:
        """Return the connection, to the file that has the path now."""
        if self._connection is not None and self._inode == _inode(self._path):
            return self._connection
        if self._connection is not None:
            self._leave(self._connection)
            self._inode = (0, 0)  # another file may be given the same number
        self._connection = open_to_write(self._path)
        inode = _inode(self._path)
        if inode != self._inode:  # what is in it already is looked up where it is wanted
            self._inode = inode
            self._last_row = last_row(self._connection)
        return self._connection

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Close a file that was moved away, with all that was written to it.

        Its journal has kept the path, so the next file would begin with emptying it.

        Raises:
            LedgerError: A part of it is in the journal only; the file is left as it is, and open.
        """
        is_busy = True
        with suppress(sqlite3.Error):
            is_busy = bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        if is_busy:
            raise LedgerError(
                f"{self._path}: is not the file any more that was written to, and that one cannot "
                "be brought up to date; another process may be using it"
            )
        _logger.error(
            "%s is not the file any more that was written to; another is opened, or made",
            self._path,
        )
        self._drop_connection()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()  # what was not committed is rolled back

    def _forget(self, connection: sqlite3.Connection) -> bool:
        """Delete some rows that are too old; return whether there are no more of them."""
        oldest = microseconds(datetime.now(UTC) - self._keep)
        old = "SELECT id FROM usage WHERE time < ? ORDER BY time LIMIT ?"
        connection.execute(
            "INSERT INTO forgotten SELECT token_id, coalesce(sum(nano_usd), 0), sum(tokens) "  # noqa: S608
            f"FROM usage WHERE id IN ({old}) GROUP BY token_id "
            "ON CONFLICT (token_id) DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd, "
            "tokens = tokens + excluded.tokens",
            (oldest, _FORGET_ROWS),
        )
        deleted = connection.execute(
            f"DELETE FROM usage WHERE id IN ({old})",  # noqa: S608
            (oldest, _FORGET_ROWS),
        )
        return deleted.rowcount < _FORGET_ROWS


def _row(record: UsageRecord) -> tuple[object, ...]:
    """Return a record as a row that SQLite can hold, whatever a peer has put into its texts."""
    values = attrs.asdict(record, recurse=False) | attrs.asdict(record.tokens)
    values["time"] = microseconds(record.time)
    values["kind"] = record.kind.value
    values["tokens"] = record.tokens.total
    return tuple(_storable(values[name]) for name in _COLUMNS)


def _storable(value: object) -> object:
    match value:
        case str():  # JSON can bring halves of surrogate pairs, which are no UTF-8
            return value.encode("utf-8", "replace").decode()
        case int():
            return max(-_LARGEST, min(int(value), _LARGEST))
        case _:
            return value


def _inode(path: Path) -> tuple[int, int]:
    """Return which file has a path; (0, 0): none, or none that can be seen."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino
