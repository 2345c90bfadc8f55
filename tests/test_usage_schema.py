"""Facts about opening the file of the ledger: what is one, what is not, and who may read it."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rt_proxy.errors import LedgerError
from rt_proxy.usage import schema
from rt_proxy.usage.schema import MIGRATIONS, open_to_read, open_to_write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "usage.db"


def version(path: Path) -> int:
    """Return the version of the schema of a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_made_where_there_is_none(path: Path) -> None:
    """A new ledger has the present schema, and nobody else may read it or what is beside it."""
    umask = os.umask(0)
    try:
        with closing(open_to_write(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
            connection.execute("COMMIT")
            files = sorted(path.parent.iterdir())
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(umask)
    assert modes == {"usage.db": 0o600, "usage.db-shm": 0o600, "usage.db-wal": 0o600}
    assert version(path) == len(MIGRATIONS)


def test_opened_again(path: Path) -> None:
    """Opening it again changes nothing, also beside one who has it open."""
    with closing(open_to_write(path)) as first, closing(open_to_write(path)) as second:
        first.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
        assert second.execute("SELECT * FROM forgotten").fetchall() == [("tok_1", 1, 2)]


def test_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of an older schema is brought to the present one, and keeps its rows."""
    with closing(open_to_write(path)) as connection:
        connection.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
    step = ("ALTER TABLE forgotten ADD COLUMN more INTEGER DEFAULT 7", "CREATE TABLE next (a)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, step))
    with closing(open_to_write(path)) as connection:
        assert connection.execute("SELECT * FROM forgotten").fetchall() == [("tok_1", 1, 2, 7)]
    assert version(path) == len(MIGRATIONS) + 1


def test_a_migration_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that cannot be done leaves the ledger as it was."""
    open_to_write(path).close()
    step = ("CREATE TABLE next (a)", "CREATE TABLE next (a)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, step))
    with pytest.raises(LedgerError, match="already exists"):
        open_to_write(path)
    monkeypatch.undo()
    with closing(open_to_write(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]
    assert "next" not in names
    assert version(path) == len(MIGRATIONS)


@pytest.mark.parametrize("how", [open_to_write, open_to_read])
class TestWhatIsNoLedger:
    """What cannot be a ledger is refused with its path, why, and what to do."""

    def test_a_newer_one(self, path: Path, how: object, monkeypatch: pytest.MonkeyPatch) -> None:
        """A schema that we do not know is left alone; both versions are told."""
        monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE next (a)",)))
        open_to_write(path).close()
        monkeypatch.undo()
        known = len(MIGRATIONS)
        words = (
            rf"usage\.db: was written by a newer rt-proxy \(its schema is {known + 1}, .*{known}"
        )
        with pytest.raises(LedgerError, match=words):
            how(path)  # type: ignore[operator]
        assert version(path) == known + 1

    def test_of_another_program(self, path: Path, how: object) -> None:
        """A data base of somebody else is not written into."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
        before = path.read_bytes()
        with pytest.raises(LedgerError, match="of another program; name another file"):
            how(path)  # type: ignore[operator]
        assert path.read_bytes() == before

    def test_no_data_base(self, path: Path, how: object) -> None:
        """Any other file is told from a data base, and stays as it is."""
        path.write_text("[tokens]\n" * 100)
        with pytest.raises(LedgerError, match="is no usage ledger"):
            how(path)  # type: ignore[operator]
        assert path.read_text() == "[tokens]\n" * 100

    def test_a_folder(self, path: Path, how: object) -> None:
        """A folder is no file."""
        path.mkdir()
        with pytest.raises(LedgerError, match="it is a folder"):
            how(path)  # type: ignore[operator]

    def test_no_plain_file(self, path: Path, how: object) -> None:
        """A pipe is none, and nobody waits for its other end."""
        os.mkfifo(path)
        with pytest.raises(LedgerError, match="it is no plain file"):
            how(path)  # type: ignore[operator]

    def test_a_damaged_one(self, path: Path, how: object) -> None:
        """A ledger that was overwritten in its midst is told to be damaged."""
        with closing(open_to_write(path)) as connection:
            for number in range(2_000):
                connection.execute("INSERT INTO forgotten VALUES (?, 1, 2)", (f"t{number}",))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(path.read_bytes())
        content[100:4_000] = b"\xff" * 3_900
        path.write_bytes(content)
        with pytest.raises(LedgerError, match=r"damaged|no usage ledger"):
            how(path)  # type: ignore[operator]


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is not made."""
    with pytest.raises(LedgerError, match=r"cannot be opened: no folder .*missing"):
        open_to_write(tmp_path / "missing" / "usage.db")


def test_nothing_to_read(path: Path) -> None:
    """Reading makes no file."""
    with pytest.raises(LedgerError, match="there is no such file"):
        open_to_read(path)
    assert not path.exists()


def test_reading_writes_nothing(path: Path) -> None:
    """Who reads cannot write."""
    open_to_write(path).close()
    with closing(open_to_read(path)) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")


def test_an_older_one_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading brings nothing up to date, and says who does."""
    open_to_write(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE next (a)",)))
    with pytest.raises(
        LedgerError, match=r"older rt-proxy \(its schema is 1, .*2\); rt-proxy serve"
    ):
        open_to_read(path)
    assert version(path) == len(MIGRATIONS)


def test_an_empty_file_is_not_read(path: Path) -> None:
    """A file that no proxy has opened yet is told, and stays empty."""
    path.touch()
    with pytest.raises(LedgerError, match="is empty, or"):
        open_to_read(path)
    assert path.read_bytes() == b""


def test_opening_takes_no_locks_away(path: Path) -> None:
    """Who opens a ledger twice in a process still keeps others from deleting what is beside it.

    The locks of a process on a file go with any descriptor of it that is closed, whoever has it
    open beside, and the last one who closes a ledger deletes the files beside it.
    """
    path.touch()
    open_to_write(path).close()  # where there is an empty one, and where there is a ledger
    with closing(open_to_write(path)) as first, closing(open_to_write(path)):
        first.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
        other = (
            "import sqlite3, sys; one = sqlite3.connect(sys.argv[1], isolation_level=None); "
            "one.execute('SELECT * FROM forgotten').fetchall(); one.close()"
        )
        subprocess.run([sys.executable, "-c", other, str(path)], check=True)
        assert path.with_name("usage.db-wal").exists()


def test_a_link_to_what_is_not_there(path: Path) -> None:
    """A link is followed, also to a ledger that is yet to be made."""
    path.symlink_to("elsewhere.db")
    open_to_write(path).close()
    assert path.is_symlink()
    assert stat.S_IMODE(path.with_name("elsewhere.db").stat().st_mode) == 0o600


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # what is forked ends at once
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestSomebodyElse:
    """Whoever does not run rt-proxy can do what the files allow, and is told of the rest."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> Path:
        """Return the folder of the ledger, which everybody may look into and root may change."""
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        return tmp_path

    def test_a_read_only_folder(self, path: Path) -> None:
        """Where one may not write, no ledger can be made."""
        assert "Permission denied" in as_somebody_else(lambda: opened(open_to_write, path))

    def test_reads_one_at_rest(self, path: Path) -> None:
        """A ledger that nobody has open is read as it is, and what is new by opening it again."""
        open_to_write(path).close()
        path.chmod(0o644)
        assert as_somebody_else(lambda: opened(open_to_read, path)) == "[]"
        with closing(open_to_write(path)) as connection:
            connection.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
        assert as_somebody_else(lambda: opened(open_to_read, path)) == "[('tok_1', 1, 2)]"
        assert [file.name for file in path.parent.iterdir()] == ["usage.db"]

    def test_reads_one_in_use(self, path: Path) -> None:
        """While a proxy writes, all that was committed is read."""
        open_to_write(path).close()
        path.chmod(0o644)
        with closing(open_to_write(path)) as connection:
            connection.execute("INSERT INTO forgotten VALUES ('tok_1', 1, 2)")
            assert as_somebody_else(lambda: opened(open_to_read, path)) == "[('tok_1', 1, 2)]"

    def test_left_behind(self, path: Path) -> None:
        """What a proxy has left beside a ledger needs somebody who may write there."""
        open_to_write(path).close()
        path.chmod(0o644)
        path.with_name("usage.db-wal").touch()
        assert "do it as who runs rt-proxy" in as_somebody_else(lambda: opened(open_to_read, path))

    def test_may_not_read(self, path: Path) -> None:
        """A ledger of root alone is told to be that, whether or not one may look at its folder."""
        open_to_write(path).close()
        words = "may not be read; do it as who runs rt-proxy"
        assert words in as_somebody_else(lambda: opened(open_to_read, path))
        path.parent.chmod(0o700)
        assert "Permission denied" in as_somebody_else(lambda: opened(open_to_read, path))


def opened(how: Callable[[Path], sqlite3.Connection], path: Path) -> str:
    """Return what is in a ledger, or why it cannot be opened."""
    try:
        with closing(how(path)) as connection:
            return str(connection.execute("SELECT * FROM forgotten").fetchall())
    except LedgerError as error:
        return str(error)


def as_somebody_else(action: Callable[[], str]) -> str:
    """Return what an action returns in a process that is not root."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65_534)
            os.setuid(65_534)
            os.write(write, action().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told


@pytest.mark.parametrize("name", ["a b%20?#.db", "\u2603.db", "x;y&z.db"])
def test_any_name(tmp_path: Path, name: str) -> None:
    """A path may have any character that a file can have."""
    open_to_write(tmp_path / name).close()
    open_to_read(tmp_path / name).close()
    assert (tmp_path / name).exists()
