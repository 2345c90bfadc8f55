"""The token file: what is read, what is written, and what happens when either goes wrong."""

import errno
import fcntl
import logging
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.errors import TokenStoreError
from rt_proxy.settings import Budget, Secret
from rt_proxy.tokens.file import FileTokenStore, parse, render
from rt_proxy.tokens.store import Allowance, Standing, TokenTable
from rt_proxy.tokens.token import Token, hash_secret, name_problem

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALICE = """\
[[tokens]]
id = "tok_1"
name = "alice"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
"""
BOB = ALICE.replace("tok_1", "tok_2").replace("alice", "bob").replace("0" * 64, "1" * 64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for a token file, with nothing there yet."""
    return tmp_path / "tokens.toml"


def names(store: FileTokenStore) -> list[str]:
    """Return the names of the tokens in force."""
    return [token.name for token in store.tokens()]


def beside(path: Path) -> list[str]:
    """Return the names of all files in the folder of the token file."""
    return sorted(file.name for file in path.parent.iterdir())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of the store, and forget them."""
    records = [r for r in caplog.records if r.name == "rt_proxy.tokens"]
    assert {record.levelno for record in records} <= {logging.WARNING}
    caplog.clear()
    return [record.getMessage() for record in records]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask of this process for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def run(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start another Python on a program that may use the store."""
    prelude = """
        import os, sys
        from datetime import UTC, datetime
        from rt_proxy.tokens.file import FileTokenStore
        NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(program)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


# Reading


def test_absent_file_is_an_empty_store(path: Path) -> None:
    """Opening where there is no file gives an empty store and makes no file."""
    assert names(FileTokenStore(path)) == []
    assert beside(path) == []


@pytest.mark.parametrize("content", ["", "# nobody yet\n", "tokens = []\n"])
def test_file_without_tokens_is_an_empty_store(path: Path, content: str) -> None:
    """A file that holds no token is as good as none."""
    path.write_text(content)

    assert names(FileTokenStore(path)) == []


def test_absent_keys_take_defaults(path: Path) -> None:
    """A row needs only id, name, sha256 and created."""
    path.write_text(ALICE)

    expected = Token(id="tok_1", name="alice", sha256="0" * 64, created=NOON)
    assert FileTokenStore(path).tokens() == (expected,)


def test_every_key_is_read() -> None:
    """Each key of a row is found in the token, money to the last digit."""
    row = """
        expires = 2026-01-31T15:00:00+02:00
        disabled = true
        models = ["a", "b"]
        default_model = "b"
        client_dialect = "beta"
        channels = ["x", "y"]
        transcription_channel = "z"
        limits = { sessions = 3, session_seconds = 1.5 }
        [tokens.budget]
        usd = 1.50000000000000000001
        per = "day"
    """

    (token,) = parse((ALICE + row).encode())

    assert token.expires == datetime(2026, 1, 31, 13, tzinfo=UTC)
    assert token.disabled
    assert token.models == ("a", "b")
    assert token.default_model == "b"
    assert token.client_dialect == "beta"
    assert (token.channels, token.transcription_channel) == (("x", "y"), "z")
    assert token.limits == {"sessions": 3, "session_seconds": 1.5}
    assert type(token.limits["session_seconds"]) is float
    assert token.budget == Budget(usd=Decimal("1.50000000000000000001"), per="day")


def test_limits_cannot_be_changed() -> None:
    """What was read of a token stays so."""
    (token,) = parse((ALICE + "limits = { sessions = 1 }").encode())

    assert isinstance(token.limits, MappingProxyType)


def test_byte_order_mark_is_no_matter() -> None:
    """A file saved by an editor that begins it with a byte order mark is read."""
    assert len(parse(b"\xef\xbb\xbf" + ALICE.encode())) == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[[tokens", "is not valid TOML: "),
        ("x = " + "[" * 5000, "nested too deeply|not valid TOML"),
        ("token = []", "token: unknown key"),
        ("tokens = 1", "tokens: must be an array, not an integer"),
        ("[tokens]\nid = 'x'", r"tokens: must be an array, not a table; .* under \[\[tokens\]\]"),
        ("tokens = ['x']", r"tokens\[0\]: must be a table, not a string"),
        (ALICE + "model = 'x'", r"tokens\[0\]: unknown key model"),
        (ALICE.replace("id =", "#"), r"tokens\[0\]\.id: is required"),
        (ALICE.replace("created", "#"), r"tokens\[0\]\.created: is required"),
        (ALICE.replace('"tok_1"', "1"), r"tokens\[0\]\.id: must be a string, not an integer"),
        (ALICE.replace('"tok_1"', '""'), r"tokens\[0\]\.id: must not be empty"),
        (ALICE.replace("alice", "-alice"), r"tokens\[0\]\.name: must not begin with '-'"),
        (ALICE.replace("alice", "\\u001b"), r"tokens\[0\]\.name: .*control"),
        (ALICE.replace("0" * 64, "0"), r"tokens\[0\]\.sha256: must be 64 digits"),
        (ALICE.replace("T12:00:00Z", ""), r"tokens\[0\]\.created: must be a date and time"),
        (ALICE.replace("00Z", "00"), r"tokens\[0\]\.created: must have an offset"),
        (ALICE + "expires = '2026-01-31T12:00:00Z'", r"expires: must be .*, not a string"),
        (ALICE + "expires = 0001-01-01T00:00:00+23:00", r"expires: "),
        (ALICE + "disabled = 'false'", r"disabled: must be a boolean, not a string"),
        (ALICE + "disabled = 1", r"disabled: must be a boolean, not an integer"),
        (ALICE + "models = 'abc'", r"models: must be an array, not a string"),
        (ALICE + "models = [1]", r"models: must be a string, not an integer"),
        (ALICE + "models = ['']", r"models: a model's name must not be empty"),
        (ALICE + "models = ['a']\ndefault_model = 'b'", r"models: the default model 'b'"),
        (ALICE + "default_model = true", r"default_model: must be a string, not a boolean"),
        (ALICE + "channels = 'x'", r"channels: must be an array, not a string"),
        (ALICE + "channels = ['']", r"channels: a channel's name must not be empty"),
        (ALICE + "transcription_channel = ''", r"transcription_channel: a channel's name must not"),
        (ALICE + "client_dialect = 1", r"client_dialect: must be a string, not an integer"),
        (ALICE + "client_dialect = 'v1'", r"client_dialect: must be one of 'auto', 'ga', 'beta'"),
        (ALICE + "limits = 1.5", r"limits: must be a table, not a float"),
        (ALICE + "limits = { sesions = 1 }", r"limits: sesions is no limit; known here: sessions,"),
        (ALICE + "limits = { sessions = true }", r"must be a table of numbers, but has a boolean"),
        (ALICE + "limits = { sessions = 1.5 }", r"sessions must be a whole number"),
        (ALICE + "limits = { sessions = 1" + "0" * 400 + " }", r"sessions must be a whole number"),
        (ALICE + "limits = { '' = 1 }", r"limits: '' is no limit; known here: sessions,"),
        (ALICE + "limits = { session_seconds = 1e999 }", r"session_seconds must be a number, 0"),
        (ALICE + "limits = { session_seconds = -1 }", r"session_seconds must be a number, 0"),
        (ALICE + "limits = { session_seconds = nan }", r"session_seconds must be a number, 0"),
        (ALICE + "budget = []", r"budget: must be a table, not an array"),
        (ALICE + "budget = {}", r"budget\.usd: is required, or tokens"),
        (ALICE + "budget = { usd = 'x' }", r"budget\.usd: must be a number, not a string"),
        (ALICE + "budget = { usd = inf }", r"budget\.usd: must be an amount in USD"),
        (ALICE + "budget = { usd = nan }", r"budget\.usd: must be an amount in USD"),
        (ALICE + "budget = { usd = -1 }", r"budget\.usd: must be an amount in USD"),
        (ALICE + "budget = { usd = 1e99999999999999999999 }", r"budget\.usd: must be an amount"),
        (ALICE + "budget = { usd = 1e-99999999999999999999 }", r"budget\.usd: must be an amount"),
        (ALICE + "budget = { usd = 1e-99999999 }", r"budget\.usd: must be .* after the point"),
        (ALICE + "limits = { session_seconds = 1e99999999999999999999 }", r"must be a number, 0"),
        (ALICE + "default_model = 1e99999999999999999999", r"must be a string, not a float"),
        (
            ALICE + "budget = { usd = 1, per = 'year' }",
            r"budget\.per: must be one of 'day', 'week'",
        ),
        (ALICE + "budget = { usd = 1, time_zone = 'Mars' }", r"budget\.time_zone: must be a time"),
        (ALICE + "budget = { eur = 1 }", r"budget: unknown key eur"),
        (ALICE + BOB.replace("tok_2", "tok_1"), r"tokens\[1\]\.id: is taken by tokens\[0\]"),
        (ALICE + BOB.replace("bob", "alice"), r"tokens\[1\]\.name: is taken by tokens\[0\]"),
        (ALICE + BOB.replace("bob", "tok_1"), r"tokens\[1\]\.name: is taken by tokens\[0\]"),
        (ALICE + BOB.replace("1" * 64, "0" * 64), r"tokens\[1\]\.sha256: is taken by tokens\[0\]"),
    ],
)
@pytest.mark.log_says("stays in force")
async def test_broken_file(
    path: Path, caplog: pytest.LogCaptureFixture, content: str, problem: str
) -> None:
    """A broken file cannot be opened; a broken edit changes nothing, and is told with its place."""
    path.write_text(BOB.replace("tok_2", "tok_3"))
    store = FileTokenStore(path)
    before = store.tokens()

    path.write_text(content)
    await store.refresh()

    assert store.tokens() == before
    (warning,) = warnings(caplog)
    assert re.match(f"{re.escape(str(path))}: .*({problem}).*stays in force$", warning)
    with pytest.raises(TokenStoreError, match=problem):
        FileTokenStore(path)


def test_every_problem_is_named() -> None:
    """All that is wrong is told at once."""
    content = ALICE.replace('"tok_1"', "1") + "models = 1\n" + BOB + "x = 1\n[other]\n"

    with pytest.raises(ValueError, match="other: unknown key") as caught:
        parse(content.encode())
    assert re.search(r"tokens\[0\]\.id: .*tokens\[0\]\.models: .*tokens\[1\]: ", str(caught.value))


def test_problems_hide_hashes() -> None:
    """No message shows a hash, nor what stands in its place."""
    for content in (ALICE + ALICE, ALICE.replace("0000", "sk-rt-0000", 1)):
        with pytest.raises(ValueError, match="sha256") as caught:
            parse(content.encode())
        assert "0000" not in str(caught.value)


@given(st.binary(max_size=200) | st.text().map(lambda text: (ALICE + text).encode()))
def test_any_bytes_are_tokens_or_an_error(content: bytes) -> None:
    """Whatever a file holds, it is read or it is a ValueError, never anything else."""
    try:
        tokens = parse(content)
    except ValueError:
        return
    TokenTable(tokens)


# Taking up changes


async def test_edit_is_taken_up(path: Path) -> None:
    """What a person or another process writes is in force at the next refresh, not before."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text(ALICE + "disabled = true\n" + BOB)

    assert names(store) == ["alice"]
    await store.refresh()

    assert names(store) == ["alice", "bob"]
    assert store.standing("tok_1", NOON) is Standing.REVOKED


async def test_removed_row_is_revoked(path: Path) -> None:
    """A row that was taken out of the file is a token no more."""
    path.write_text(ALICE + BOB)
    store = FileTokenStore(path)
    path.write_text(BOB)

    await store.refresh()

    assert store.standing("tok_1", NOON) is Standing.REVOKED
    assert store.standing("tok_2", NOON) is Standing.GOOD


async def test_change_by_another_process_is_taken_up(path: Path) -> None:
    """A token made by another store lets in at the next refresh."""
    store, other = FileTokenStore(path), FileTokenStore(path)
    token, secret = other.add("alice", now=NOON)

    await store.refresh()

    assert store.authenticate(secret) == token


async def test_version_is_inode_size_and_mtime(path: Path) -> None:
    """A file is read again when its mtime, its size or its inode is another, and only then."""
    path.write_text(ALICE)
    os.utime(path, ns=(0, 1_000_000_000))
    store = FileTokenStore(path)

    path.write_text(ALICE.replace("alice", "carol"))
    os.utime(path, ns=(0, 1_000_000_000))
    await store.refresh()
    assert names(store) == ["alice"]

    os.utime(path, ns=(0, 1_000_000_001))
    await store.refresh()
    assert names(store) == ["carol"]

    path.write_text(ALICE.replace("alice", "caroline"))
    os.utime(path, ns=(0, 1_000_000_001))
    await store.refresh()
    assert names(store) == ["caroline"]

    other = path.with_name("other")
    other.write_text(ALICE.replace("alice", "charlott"))
    os.utime(other, ns=(0, 1_000_000_001))
    other.replace(path)
    await store.refresh()
    assert names(store) == ["charlott"]


async def test_file_replaced_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced in the middle of a look is taken up at the next one."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text(ALICE.replace("alice", "carol"))
    fstat = os.fstat

    def replace_after_fstat(descriptor: int) -> os.stat_result:
        monkeypatch.undo()
        status = fstat(descriptor)
        path.with_name("new").write_text(BOB)
        path.with_name("new").replace(path)
        return status

    monkeypatch.setattr(os, "fstat", replace_after_fstat)
    await store.refresh()
    assert names(store) == ["carol"]

    await store.refresh()
    assert names(store) == ["bob"]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_file_edited_while_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A file that is written into in the middle of a look is never taken for its older self."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text(ALICE + BOB)
    fstat = os.fstat

    def edit_around_fstat(descriptor: int) -> os.stat_result:
        monkeypatch.undo()
        if moment == "before":
            path.write_text(ALICE.replace("alice", "carol"))
        status = fstat(descriptor)
        if moment == "after":
            path.write_text(ALICE.replace("alice", "carol"))
        return status

    monkeypatch.setattr(os, "fstat", edit_around_fstat)
    await store.refresh()
    await store.refresh()

    assert names(store) == ["carol"]


@pytest.mark.log_says("stays in force")
async def test_broken_version_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each broken version is told once, and the mended file is in force again."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    told = []
    for content in ("x", "yy", ALICE + BOB, "x"):
        path.write_text(content)
        for _ in range(3):
            await store.refresh()
        told.append(len(warnings(caplog)))

    assert told == [1, 1, 0, 1]
    assert names(store) == ["alice", "bob"]


@pytest.mark.log_says("stays in force")
async def test_vanished_file_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the file goes its tokens stay in force; when it is back it is taken up."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.unlink()
    for _ in range(3):
        await store.refresh()

    (warning,) = warnings(caplog)
    assert warning.startswith(f"{path}: cannot be read: No such file")
    assert names(store) == ["alice"]

    path.write_text(BOB)
    await store.refresh()
    assert names(store) == ["bob"]
    assert warnings(caplog) == []


@pytest.mark.log_says("stays in force")
async def test_emptied_file_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An editor that empties the file before it writes does not revoke every token."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text("")
    for _ in range(3):
        await store.refresh()

    assert warnings(caplog) == [f"{path}: is empty; what it last held stays in force"]
    assert names(store) == ["alice"]


async def test_every_token_can_be_taken_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that says that it has no tokens is believed."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text("tokens = []\n")
    await store.refresh()

    assert names(store) == []
    assert warnings(caplog) == []


async def test_absent_file_is_not_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that began without a file does not complain of it, and takes it up when it comes."""
    store = FileTokenStore(path)
    await store.refresh()
    assert warnings(caplog) == []

    path.write_text(ALICE)
    await store.refresh()
    assert names(store) == ["alice"]


@pytest.mark.log_says("stays in force")
async def test_unreadable_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is an error at opening, and a warning afterwards."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.unlink()
    path.mkdir()
    for _ in range(3):
        await store.refresh()

    (warning,) = warnings(caplog)
    assert "Is a directory" in warning
    assert names(store) == ["alice"]
    with pytest.raises(TokenStoreError, match="Is a directory"):
        FileTokenStore(path)


# Writing

_limits = st.dictionaries(
    st.sampled_from(["sessions", "message_bytes", "client_events_per_second"]), st.integers(0, 9)
).map(MappingProxyType) | st.floats(0, 1e9).map(
    lambda seconds: MappingProxyType({"session_seconds": seconds})
)
_budgets = st.builds(
    Budget,
    usd=st.decimals(0, 1_000_000, places=9),
    tokens=st.none() | st.integers(0, 10**15),
    per=st.sampled_from(["day", "week", "month", "ever"]),
    time_zone=st.sampled_from([None, "UTC"]),
    warn_percent=st.integers(0, 100),
)
_names = st.text(max_size=64).filter(lambda text: name_problem(text) is None)
_tokens = st.builds(
    Token,
    id=st.uuids().map(str),
    name=_names,
    sha256=st.binary(max_size=8).map(lambda seed: hash_secret(Secret(seed.hex()))),
    created=st.datetimes(timezones=st.just(UTC)),
    expires=st.none() | st.datetimes(timezones=st.just(UTC)),
    disabled=st.booleans(),
    models=st.just(()) | st.just(("a", "b")),
    default_model=st.none() | st.just("b"),
    client_dialect=st.sampled_from([None, "auto", "ga", "beta"]),
    channels=st.just(()) | st.just(("x", "y")),
    transcription_channel=st.none() | st.just("x"),
    limits=_limits,
    budget=st.none() | _budgets,
)


@given(
    st.lists(
        _tokens, max_size=3, unique_by=(lambda token: token.name, lambda token: token.sha256)
    ).map(tuple)
)
def test_what_is_written_is_read(tokens: tuple[Token, ...]) -> None:
    """Any tokens come out of the file as they went in."""
    assert parse(render(tokens)) == tokens


def test_written_file_is_for_people() -> None:
    """The file says what it is, and shows each token as a table of plain keys."""
    (token,) = parse(ALICE.encode())

    lines = render((token,)).decode().splitlines()

    assert lines[0].startswith("# The tokens that let clients in")
    assert lines[lines.index("[[tokens]]") :] == [
        "[[tokens]]",
        'id = "tok_1"',
        'name = "alice"',
        f'sha256 = "{"0" * 64}"',
        "created = 2026-01-31 12:00:00+00:00",
        "disabled = false",
        "models = []",
        "",
        "# end",
    ]


def test_a_part_of_a_written_file_changes_nothing(path: Path) -> None:
    """However a file is cut that was written here, none of its tokens comes back or goes."""
    store = FileTokenStore(path)
    for name in ("alice", "bob", "carol"):
        store.add(name, now=NOON, models=["m"])
    store.revoke("carol")
    whole = path.read_bytes()
    for size in range(1, len(whole) - 1):
        with pytest.raises(ValueError, match=r"."):
            parse(whole[:size])
    assert [token.name for token in parse(whole)] == ["alice", "bob", "carol"]
    assert len(parse(whole + ALICE.encode().replace(b"alice", b"dave"))) == 4  # edited by hand


def test_secret_is_not_in_the_file(path: Path) -> None:
    """The file holds the hash of a secret and not the secret."""
    _, secret = FileTokenStore(path).add("alice", now=NOON)

    content = path.read_text()
    assert secret.reveal() not in content
    assert hash_secret(secret) in content


def test_file_lasts(path: Path) -> None:
    """What one store made and revoked, the next one that is opened knows."""
    store = FileTokenStore(path)
    there = timezone(timedelta(hours=2))
    store.add("alice", now=NOON.astimezone(there), expires=NOON + timedelta(microseconds=1))
    store.add("bob", now=NOON, models=["a"], default_model="a")
    store.revoke("alice")

    assert FileTokenStore(path).tokens() == store.tokens()
    assert [token.disabled for token in store.tokens()] == [True, False]


def test_limits_are_kept_when_another_token_changes(path: Path) -> None:
    """A change keeps what a person wrote into limits and budget."""
    path.write_text(ALICE + "limits = { sessions = 3 }\nbudget = { usd = 0.1 }\n" + BOB)
    before = FileTokenStore(path).tokens()

    FileTokenStore(path).revoke("bob")

    alice, bob = FileTokenStore(path).tokens()
    assert alice == before[0]
    assert bob == attrs.evolve(before[1], disabled=True)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_mode_is_0600(path: Path, mask: int) -> None:
    """Only the owner can read and write the file, whatever the umask, also after a change."""
    with umask(mask):
        FileTokenStore(path).add("alice", now=NOON)
    assert path.stat().st_mode & 0o777 == 0o600

    path.chmod(0o644)
    with umask(mask):
        FileTokenStore(path).add("bob", now=NOON)
    assert path.stat().st_mode & 0o777 == 0o600


def test_lock_file_is_not_for_others(path: Path) -> None:
    """Nobody else can hold up the writers by taking their lock."""
    with umask(0):
        FileTokenStore(path).add("alice", now=NOON)

    assert path.with_name("tokens.toml.lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_is_kept(path: Path) -> None:
    """A change made as root leaves the file, and the lock, to the user that the proxy runs as."""
    path.write_text(ALICE)
    os.chown(path, 12345, 12346)

    FileTokenStore(path).revoke("alice")

    for file in (path, path.with_name("tokens.toml.lock")):
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12346)


def test_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    """Where the path is a symbolic link, the file that it points to is changed."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target = folder / "real.toml"
    target.write_text(ALICE)
    path.symlink_to(target)

    FileTokenStore(path).revoke("alice")

    assert path.is_symlink()
    assert "disabled = true" in target.read_text()


def test_nothing_else_is_left(path: Path) -> None:
    """Beside the file there is its lock and nothing more."""
    store = FileTokenStore(path)
    store.add("alice", now=NOON)
    store.revoke("alice")

    assert beside(path) == ["tokens.toml", "tokens.toml.lock"]


def test_revoking_again_writes_nothing(path: Path) -> None:
    """A change that changes nothing leaves the file alone, comments and all."""
    path.write_text("# mine\n" + ALICE + "disabled = true\n")

    FileTokenStore(path).revoke("alice")

    assert path.read_text().startswith("# mine\n")


async def test_own_change_is_in_force_at_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store needs no refresh to know of its own change, and the next refresh finds no news."""
    store = FileTokenStore(path)
    token, secret = store.add("alice", now=NOON)
    assert store.authenticate(secret) == token

    rows = store.tokens()
    await store.refresh()
    assert store.tokens() is rows
    assert warnings(caplog) == []


def test_change_is_made_to_what_the_file_holds_now(path: Path) -> None:
    """A writer reads again under the lock, so an older view does not undo another's change."""
    first, second = FileTokenStore(path), FileTokenStore(path)
    first.add("alice", now=NOON)
    second.add("bob", now=NOON)
    first.revoke("bob")

    assert names(FileTokenStore(path)) == ["alice", "bob"]
    with pytest.raises(TokenStoreError, match="taken"):
        second.add("alice", now=NOON)


def test_change_is_made_under_the_lock(path: Path) -> None:
    """Reading, changing and writing all happen while other writers are kept out."""
    store = FileTokenStore(path)
    was_locked = []

    def probe(table: TokenTable) -> TokenTable:
        with path.with_name("tokens.toml.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                was_locked.append(True)
        return table

    store._change(probe)

    assert was_locked == [True]
    with path.with_name("tokens.toml.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_processes_lose_nothing(path: Path) -> None:
    """Two processes that add at the same time both find all their tokens in the file."""
    program = """
        store = FileTokenStore(sys.argv[1])
        print("ready", flush=True)
        input()
        for number in range(25):
            store.add(f"{sys.argv[2]}-{number}", now=NOON)
    """
    with run(program, path, "a") as one, run(program, path, "b") as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.communicate("\n", timeout=60)

    assert (one.returncode, two.returncode) == (0, 0)
    expected = {f"{process}-{number}" for process in "ab" for number in range(25)}
    assert set(names(FileTokenStore(path))) == expected


def test_two_changes_of_one_token_lose_nothing(path: Path) -> None:
    """A change is made of the token that the file holds at that moment, not of an older one."""
    first, second = FileTokenStore(path), FileTokenStore(path)
    first.add("alice")
    first.change("alice", lambda token: Allowance({**token.limits, "sessions": 1}, token.budget))
    second.change("alice", lambda token: Allowance(token.limits, Budget(tokens=7)))

    [token] = FileTokenStore(path).tokens()
    assert (dict(token.limits), token.budget) == ({"sessions": 1}, Budget(tokens=7))


def test_no_change_writes_nothing(path: Path) -> None:
    """Where all is as it was the file stays."""
    store = FileTokenStore(path)
    store.add("alice", limits={"sessions": 1}, budget=Budget(tokens=7))
    before = path.stat().st_ino
    store.change("alice", lambda token: Allowance(dict(token.limits), Budget(tokens=7)))

    assert path.stat().st_ino == before


async def test_a_proxy_sees_a_change_of_another_process_at_once(path: Path) -> None:
    """What another store changes is there at the next look; the secret still opens."""
    running = FileTokenStore(path)
    _, secret = running.add("alice")
    FileTokenStore(path).change("alice", lambda _: Allowance({"sessions": 2}, Budget(tokens=7)))
    await running.refresh()

    found = running.authenticate(secret)
    assert found is not None
    assert (dict(found.limits), found.budget) == ({"sessions": 2}, Budget(tokens=7))


def test_threads_lose_nothing(path: Path) -> None:
    """Threads that add at the same time, through one store or two, lose no token."""
    shared = FileTokenStore(path)
    stores = {"a": shared, "b": shared, "c": FileTokenStore(path)}

    def work(name: str) -> None:
        for number in range(10):
            stores[name].add(f"{name}-{number}", now=NOON)

    threads = [threading.Thread(target=work, args=(name,)) for name in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    expected = {f"{name}-{number}" for name in stores for number in range(10)}
    assert set(names(FileTokenStore(path))) == expected


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_killed_writer(path: Path, step: str) -> None:
    """A writer killed before its rename leaves the old file; what it left is cleared away."""
    FileTokenStore(path).add("alice", now=NOON)
    before = path.read_bytes()
    program = f"""
        os.{step} = lambda *arguments: os._exit(9)
        FileTokenStore(sys.argv[1]).add("bob", now=NOON)
    """
    for _ in range(2):
        with run(program, path) as process:
            process.communicate(timeout=60)
        assert process.returncode == 9
        assert path.read_bytes() == before
    assert len(beside(path)) == 3

    FileTokenStore(path).add("bob", now=NOON)

    assert names(FileTokenStore(path)) == ["alice", "bob"]
    assert beside(path) == ["tokens.toml", "tokens.toml.lock"]


def test_file_is_on_the_disk_before_it_has_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content is synced, then the rename is made, then the folder is synced."""
    steps = []
    fsync, fstat, replace = os.fsync, os.fstat, os.replace

    def note_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(fstat(descriptor).st_mode)
        steps.append("folder" if is_folder else "content")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    FileTokenStore(path).add("alice", now=NOON)

    assert steps == ["content", "rename", "folder"]


def test_failed_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is an error with its reason, leaves the file, and nothing beside it."""
    store = FileTokenStore(path)
    store.add("alice", now=NOON)
    before = path.read_bytes()

    def disk_full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_full)
        with pytest.raises(TokenStoreError, match="cannot be written: No space left"):
            store.add("bob", now=NOON)

    assert path.read_bytes() == before
    assert names(store) == ["alice"]
    assert beside(path) == ["tokens.toml", "tokens.toml.lock"]


def test_missing_folder(tmp_path: Path) -> None:
    """A change where there is no folder for the file says which folder is missing."""
    store = FileTokenStore(tmp_path / "none" / "tokens.toml")

    with pytest.raises(TokenStoreError, match=f"no folder {tmp_path / 'none'}$"):
        store.add("alice", now=NOON)


async def test_broken_edit_is_never_written_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A change is refused while the file is broken, be it told already or not."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.write_text("broken")
    with pytest.raises(TokenStoreError, match=r"not valid TOML.*mend it first"):
        store.add("bob", now=NOON)

    await store.refresh()
    with pytest.raises(TokenStoreError, match=r"not valid TOML.*mend it first"):
        store.revoke("alice")
    assert path.read_text() == "broken"
    assert names(store) == ["alice"]


def test_change_brings_a_vanished_file_back(path: Path) -> None:
    """A change to a store whose file is gone writes what is in force, not one token alone."""
    path.write_text(ALICE)
    store = FileTokenStore(path)
    path.unlink()
    store.add("bob", now=NOON)

    assert names(FileTokenStore(path)) == ["alice", "bob"]
