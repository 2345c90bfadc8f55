"""The file of the ledger: its tables, how it is opened, and what is said when it cannot be.

SQL is in here, in ``sqliteledger.py`` and in ``report.py``, and nowhere else. It blocks, and so
is only called in threads, or where nothing else has to go on.
"""

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from rt_proxy.errors import LedgerError

#: Written into the head of the file, so that no other program's file is taken for a ledger.
_APPLICATION_ID = 0x52545058
#: How long to wait for another process that writes, in seconds.
_BUSY = 1.0

#: The steps from each version of the schema to the next one; a ledger goes through those it lacks.
MIGRATIONS = (
    (
        """
        CREATE TABLE usage (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- none is used again, so that later is more
            time INTEGER NOT NULL,  -- microseconds since 1970, UTC
            kind TEXT NOT NULL,
            session_id TEXT NOT NULL,
            token_id TEXT NOT NULL,
            token_name TEXT NOT NULL,
            channel TEXT NOT NULL,
            model TEXT,
            upstream_model TEXT,
            upstream_session_id TEXT,
            upstream_id TEXT,
            content_index INTEGER NOT NULL,
            status TEXT,
            text_in INTEGER NOT NULL,
            text_cached_in INTEGER NOT NULL,
            audio_in INTEGER NOT NULL,
            audio_cached_in INTEGER NOT NULL,
            image_in INTEGER NOT NULL,
            image_cached_in INTEGER NOT NULL,
            text_out INTEGER NOT NULL,
            audio_out INTEGER NOT NULL,
            tokens INTEGER NOT NULL,  -- all of the above
            milliseconds INTEGER NOT NULL,
            nano_usd INTEGER,  -- NULL: the price was not known
            estimated INTEGER NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX once ON usage (session_id, kind, upstream_id, content_index)",
        "CREATE INDEX by_token ON usage (token_id, time, nano_usd, tokens)",
        "CREATE INDEX by_time ON usage (time, nano_usd, tokens)",
        # What was spent in rows that are kept no more, for budgets that have no end.
        """
        CREATE TABLE forgotten (
            token_id TEXT PRIMARY KEY, nano_usd INTEGER NOT NULL, tokens INTEGER NOT NULL
        )
        """,
    ),
)


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open a ledger, made where there is none, and bring it to the present schema.

    Raises:
        LedgerError: It cannot be opened or made, is no ledger, or is of a newer version.
    """
    if not _is_there(path):
        _make(path)
    return _opened(path, f"file:{_quoted(path)}?mode=rw", is_written=True)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger that is only read; a proxy may write to it meanwhile.

    Who may not write into its folder, and opens it while no proxy has it open, reads it as it is
    then; what is written later is seen by opening it again.

    Raises:
        LedgerError: It is not there, cannot be read, is no ledger, or is not of our version.
    """
    if not _is_there(path):
        raise LedgerError(f"{path}: there is no such file; rt-proxy serve makes it")
    address = f"file:{_quoted(path)}?mode=ro"
    # To read, SQLite makes files beside it; where it cannot, it must be told that nobody writes.
    is_at_rest = not path.with_name(f"{path.name}-wal").exists()
    if is_at_rest and not os.access(path.parent, os.W_OK):
        address += "&immutable=1"
    return _opened(path, address, is_written=False)


def _is_there(path: Path) -> bool:
    """Return whether there is a file.

    Raises:
        LedgerError: It is no file, or cannot be seen.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerError(f"{path}: cannot be opened: {_os_reason(path, error)}") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no plain file"
        raise LedgerError(f"{path}: cannot be opened: it is {what}")
    return True


def _make(path: Path) -> None:
    """Make an empty file that its owner alone may read; SQLite makes those beside it alike.

    Never opens one that is there: closing it would take away the locks that SQLite holds on it
    in this process (fcntl), and another process could then delete what is not in the file yet.

    Raises:
        LedgerError: It cannot be made.
    """
    try:
        with suppress(FileExistsError):  # another process was first
            os.close(os.open(path.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise LedgerError(f"{path}: cannot be opened: {_os_reason(path, error)}") from error


def _opened(path: Path, address: str, *, is_written: bool) -> sqlite3.Connection:
    connection = None
    try:
        connection = sqlite3.connect(
            address, timeout=_BUSY, isolation_level=None, check_same_thread=False, uri=True
        )
        _hold_version(path, connection, is_written=is_written)
        if is_written:
            _prepare(path, connection)
    except (sqlite3.Error, LedgerError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, LedgerError):
            raise
        reason = reason_of(error, is_written=is_written)
        raise LedgerError(f"{path}: cannot be opened: {reason}") from error
    return connection


def _hold_version(path: Path, connection: sqlite3.Connection, *, is_written: bool) -> None:
    """Make sure that the file is a ledger, and that we know its schema or can bring it to ours."""
    version, application_id = _number(connection, "user_version"), _application(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application_id != _APPLICATION_ID:
        raise LedgerError(f"{path}: is a data base of another program; name another file")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"{path}: was written by a newer rt-proxy (its schema is {version}, and this one "
            f"knows {len(MIGRATIONS)}); run that, or name another file"
        )
    if version < len(MIGRATIONS) and not is_written:
        raise LedgerError(
            f"{path}: is empty, or was written by an older rt-proxy (its schema is {version}, and "
            f"this one knows {len(MIGRATIONS)}); rt-proxy serve brings it up to date"
        )


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise LedgerError(f"{path}: this file system cannot have it; use a local disk")
    # A batch is on the disk when it is committed, also through a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    if _number(connection, "user_version") == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # whoever was first has done it by the time we are here
    for step in MIGRATIONS[_number(connection, "user_version") :]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _application(connection: sqlite3.Connection) -> int:
    return _number(connection, "application_id")


def reason_of(error: BaseException, *, is_written: bool = True) -> str:
    """Return in plain words why SQLite could not do something, and what to do.

    Args:
        error: What SQLite raised.
        is_written: Whether the ledger was opened to write.
    """
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has locked it"
        case sqlite3.SQLITE_FULL:
            return "the disk is full"
        case sqlite3.SQLITE_NOTADB:
            return "it is no usage ledger; name another file, or move it away"
        case sqlite3.SQLITE_CORRUPT:
            return "it is damaged; move it away, and a new one is made"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            if is_written:
                return "it, or its folder, may not be written"
            return "it, or what is beside it, may not be read; do it as who runs rt-proxy"
        case _:
            return str(error)


def _os_reason(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"no folder {path.parent}"
    return error.strerror or "it cannot be"


def _quoted(path: Path) -> str:
    """Return a path as it stands in a URI; what is not ASCII may stand there too."""
    text = str(path.absolute())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
