"""The store that keeps its tokens in a TOML file which a person can read and edit.

Reading never trusts the file: types are held strictly, and a broken edit changes nothing.
Writing never leaves half a file, and two writers never lose each other's change.
The only module that knows cattrs and tomli_w here; what a token may do is not decided here.
"""

import errno
import fcntl
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import attrs
import cattrs
import tomli_w
import trio
from cattrs.gen import make_dict_structure_fn

from rt_proxy.errors import TokenStoreError
from rt_proxy.settings import Budget, BudgetPeriod, ClientDialect
from rt_proxy.tokens.store import MemoryTokenStore, TokenTable
from rt_proxy.tokens.token import Token, as_utc, problems
from rt_proxy.tomlvalues import exact_number, exactly, syntax_problem, toml_name

_logger = logging.getLogger("rt_proxy.tokens")


_HEADER = """\
# The tokens that let clients in; `rt-proxy token` writes this file and keeps no comments.
# Secrets are not in here, only their SHA-256. Edits take effect at once: `disabled = true` revokes.
# Keep the line `# end` after the last token: a file that has lost it changes nothing.

"""
#: By this line a file is known that was written here, and by the other one that it is whole.
_WRITTEN_HERE = b"# Keep the line `# end`"
_END = b"# end"


class FileTokenStore(MemoryTokenStore):
    """A store in a TOML file, shared with other processes and with the operator's editor.

    Args:
        path: The file; where there is none the store is empty, and the first change makes it.

    Raises:
        TokenStoreError: The file is there, but cannot be read or understood.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._path = Path(path)
        self._look = _look(self._path, None)
        if self._look.table is not None:
            self._table = self._look.table
        elif not self._look.vacant:
            raise TokenStoreError(self._look.problem)

    @property
    def path(self) -> Path:
        """Where the tokens are kept."""
        return self._path

    async def refresh(self) -> None:
        """Take up the file where it changed; one that is broken or gone is warned of, once.

        Cancelling it leaves the store as it was.
        """
        await trio.lowlevel.checkpoint()
        # Read here and not in a thread, so that no task ever sees a store between two versions.
        # An unchanged file costs some 20 microseconds, a changed one 0.1 ms for each token.
        if self._take_up() and self._look.problem:
            _logger.warning("%s; what it last held stays in force", self._look.problem)

    def _take_up(self) -> bool:
        """Look at the file and return whether it changed; what was good in it is in force."""
        before = self._look
        self._look = _look(self._path, before)
        if self._look is not before and self._look.table is not None:
            self._table = self._look.table
        return self._look is not before

    def _change(self, change: Callable[[TokenTable], TokenTable]) -> None:
        path = self._path.resolve()  # a link stays a link: its target is replaced
        try:
            with _lock(path):
                self._take_up()
                if self._look.problem and not self._look.vacant:
                    raise TokenStoreError(f"{self._look.problem}; mend it first")
                table = change(self._table)
                if table is not self._table:
                    version = _replace(path, render(table.rows))
                    self._look, self._table = _Look(version, table), table
        except OSError as error:
            folder_is_missing = isinstance(error, FileNotFoundError)
            reason = f"no folder {path.parent}" if folder_is_missing else error.strerror
            raise TokenStoreError(f"{path}: cannot be written: {reason}") from error


# Looking at the file


@attrs.frozen
class _Look:
    """One look at the file: which version was there, and what it held.

    Attributes:
        version: (inode, size, mtime in ns), or (errno,) where the file could not be opened.
        table: Its tokens; None where there is a problem.
        problem: File, place and reason; empty where there is none.
        vacant: Nothing is there: no file, or one of no bytes.
    """

    version: tuple[int, ...]
    table: TokenTable | None = None
    problem: str = ""
    vacant: bool = False


def _look(path: Path, last: _Look | None) -> _Look:
    """Look at the file; ``last`` itself is returned where the file is still that version."""
    try:
        with path.open("rb") as file:
            # Of the opened file and before the reading: whatever replaces or changes the file
            # from here on has another version, and the next look sees it.
            version = _version(os.fstat(file.fileno()))
            if last is not None and version == last.version:
                return last
            content = file.read()
    except OSError as error:
        version = (error.errno or 0,)
        if last is not None and version == last.version:
            return last
        gone = error.errno == errno.ENOENT
        return _Look(version, problem=f"{path}: cannot be read: {error.strerror}", vacant=gone)
    if not content:
        # Some editors empty a file before they write it; that must not end every session.
        return _Look(version, problem=f"{path}: is empty", vacant=True)
    try:
        return _Look(version, TokenTable(parse(content)))
    except ValueError as error:
        return _Look(version, problem=f"{path}: {error}")


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns


# From TOML to tokens, and back


def parse(content: bytes) -> tuple[Token, ...]:
    """Return the tokens that the content of a token file holds.

    Raises:
        ValueError: The content is broken; every problem is named with its place,
            and no value is repeated.
    """
    lines = content.splitlines()
    is_ours = any(line.startswith(_WRITTEN_HERE) for line in lines)
    if (is_ours and _END not in lines) or _HEADER.encode().startswith(content):
        raise ValueError("is not whole: the line `# end` is missing, after the last token")
    try:
        document = tomllib.loads(content.decode("utf-8-sig"), parse_float=exact_number)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:
        raise ValueError(syntax_problem(error)) from None
    try:
        rows = exactly(list, document.pop("tokens", []))
    except TypeError as error:
        raise ValueError(f"tokens: {error}; each token stands under [[tokens]]") from None
    found = [f"{key}: unknown key" for key in document]
    tokens: list[Token] = []
    for index, row in enumerate(rows):
        try:
            tokens.append(_converter.structure(exactly(dict, row), Token))
        except (cattrs.BaseValidationError, TypeError) as error:
            found += _lines(error, f"tokens[{index}]")
    # Only a complete list is searched for twins: in another the places are not the file's.
    found = found or list(_broken_rules(tokens))
    if found:
        raise ValueError("; ".join(found))
    return tuple(tokens)


def render(tokens: tuple[Token, ...]) -> bytes:
    """Return the content of a token file that holds these tokens.

    A key that TOML cannot say (no expiry, no default model) or that says nothing is left out.
    """
    rows = [
        {key: _thaw(value) for key, value in attrs.asdict(token, recurse=False).items()}
        for token in tokens
    ]
    said = [
        {key: value for key, value in row.items() if _says_something(key, value)} for row in rows
    ]
    return f"{_HEADER}{tomli_w.dumps({'tokens': said})}\n".encode() + _END + b"\n"


def _says_something(key: str, value: object) -> bool:
    return value not in (None, {}) and (key, value) != ("channels", [])


def _broken_rules(tokens: list[Token]) -> Iterator[str]:
    """Yield what is wrong with tokens of the right types, alone and beside each other."""
    owners: dict[str, str] = {}
    for index, token in enumerate(tokens):
        place = f"tokens[{index}]"
        for field, reason in problems(token):
            yield f"{place}.{field}: {reason}"
        # Ids and names share one space, as a command takes either.
        for field, value in (("id", token.id), ("name", token.name), ("sha256", token.sha256)):
            owner = owners.setdefault(value, place)
            if owner != place:
                yield f"{place}.{field}: is taken by {owner}"


def _lines(error: Exception, place: str) -> list[str]:
    """Return a line per problem, its place first."""
    lines = (line.rpartition(" @ ") for line in cattrs.transform_error(error, place, _reason))
    return [f"{where}: {reason}" for reason, _, where in lines]


def _reason(error: BaseException, _kind: type | None) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"unknown key {', '.join(sorted(error.extra_fields))}"
    return "is required" if isinstance(error, KeyError) else str(error)


def _limit(value: object) -> float:
    """Return a limit, whole where it was written so."""
    if type(value) is int:
        return value
    if type(value) is Decimal:
        return float(value)
    raise TypeError(f"must be a table of numbers, but has {toml_name(value)}")


def _amount(value: object) -> Decimal:
    """Return an amount of money as it was written, to the last digit."""
    if type(value) is int or type(value) is Decimal:
        return Decimal(value)
    raise TypeError(f"must be a number, not {toml_name(value)}")


def _period(value: object) -> str:
    period = exactly(str, value)
    if period not in get_args(BudgetPeriod):
        raise ValueError(f"must be one of {', '.join(map(repr, get_args(BudgetPeriod)))}")
    return period


def _thaw(value: object) -> object:
    """Return a frozen value as TOML writers know it; what a budget does not say is left out."""
    if isinstance(value, Budget):
        said = attrs.asdict(value, filter=lambda field, it: it != field.default)
        return said | {"per": value.per}
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    return list(map(_thaw, value)) if isinstance(value, tuple) else value


def _strict_converter() -> cattrs.Converter:
    """Make a converter that takes a value as it is or not at all; cattrs would coerce it."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(bool, lambda value, _: exactly(bool, value))
    converter.register_structure_hook(str, lambda value, _: exactly(str, value))
    converter.register_structure_hook(datetime, lambda value, _: as_utc(exactly(datetime, value)))
    converter.register_structure_hook_func(
        lambda kind: kind == tuple[str, ...],
        lambda value, _: tuple(exactly(str, item) for item in exactly(list, value)),
    )
    converter.register_structure_hook_func(
        lambda kind: kind == ClientDialect, lambda value, _: exactly(str, value)
    )
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[str, float],
        lambda value, _: MappingProxyType(
            {name: _limit(limit) for name, limit in exactly(dict, value).items()}
        ),
    )
    converter.register_structure_hook(int, lambda value, _: exactly(int, value))
    converter.register_structure_hook(Decimal, lambda value, _: _amount(value))
    converter.register_structure_hook_func(
        lambda kind: kind == BudgetPeriod, lambda value, _: _period(value)
    )
    read_budget = make_dict_structure_fn(Budget, converter, _cattrs_forbid_extra_keys=True)
    converter.register_structure_hook(
        Budget, lambda value, _: read_budget(exactly(dict, value), Budget)
    )
    return converter


_converter = _strict_converter()


# Writing


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep every other writer out, of this process too; waits until the last one is done.

    The lock is on a file of its own, which stays: the token file is replaced at each change,
    and a lock on it would be one on the file of yesterday.
    """
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _make_private(descriptor, path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> tuple[int, ...]:
    """Put new content in the place of a file, all of it or nothing; return its version.

    Only under the lock: one name for every temporary file, so a writer that was killed
    leaves at most one behind, and the next writer takes it away.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _make_private(descriptor, path)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            version = _version(os.fstat(descriptor))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return version


def _make_private(descriptor: int, path: Path) -> None:
    """Leave a new file to the owner of the token file, and to nobody else, whatever the umask.

    A change made as root must not lock out a proxy that runs as somebody else.
    """
    os.fchmod(descriptor, 0o600)
    with suppress(FileNotFoundError):
        owner = path.stat()
        if owner.st_uid != os.geteuid():
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
