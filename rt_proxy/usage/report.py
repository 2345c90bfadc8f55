"""What was used, summed up from the file of the ledger, which a proxy may write to meanwhile.

Blocking, for commands and threads. All sums are made by SQLite, so that a million rows take no
more memory than one.
"""

import sqlite3
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

import attrs

from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import NANO_USD_PER_USD, UsageKind, UsageRecord

By = Literal["token", "model", "channel", "day", "session"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The offsets of all time zones are whole quarters of an hour, in microseconds.
_QUARTER = 900_000_000
_TOKENS = tuple(field.name for field in attrs.fields(Tokens))
#: What rows are grouped by, and what a group is called.
_KEYS: dict[By, tuple[str, str]] = {
    "token": ("token_id", "max(token_name)"),
    "model": ("coalesce(model, upstream_model, '')", "coalesce(model, upstream_model, '')"),
    "channel": ("channel", "channel"),
    "day": (f"time / {_QUARTER}", "''"),
    "session": ("session_id", "max(token_name)"),
}
_SUMS = ", ".join(
    (
        f"sum(kind = '{UsageKind.RESPONSE}')",
        f"sum(kind = '{UsageKind.TRANSCRIPTION}')",
        *(f"sum({name})" for name in _TOKENS),
        "sum(milliseconds)",
        "coalesce(sum(nano_usd), 0)",
        "sum(nano_usd IS NULL)",
        "sum(estimated)",
    )
)


@attrs.frozen
class UsageSum:
    """What several records come to.

    Attributes:
        key: What they have in common: the id of a token or a session, a model, a channel, a day.
        name: The name of the token; empty where there is none.
        responses: How many responses there were.
        transcriptions: How many transcriptions.
        tokens: What they took.
        milliseconds: The audio of those that are paid by time.
        nano_usd: What they cost, as far as prices were known.
        unpriced: How many of them had no known price.
        estimated: How many of them are estimates.
    """

    key: str
    name: str = ""
    responses: int = 0
    transcriptions: int = 0
    tokens: Tokens = attrs.field(factory=Tokens)
    milliseconds: int = 0
    nano_usd: int = 0
    unpriced: int = 0
    estimated: int = 0

    def plus(self, other: "UsageSum") -> "UsageSum":
        """Return the sum of both, under this one's key."""
        return UsageSum(
            self.key,
            self.name,
            self.responses + other.responses,
            self.transcriptions + other.transcriptions,
            self.tokens + other.tokens,
            self.milliseconds + other.milliseconds,
            self.nano_usd + other.nano_usd,
            self.unpriced + other.unpriced,
            self.estimated + other.estimated,
        )


def sums(
    connection: sqlite3.Connection,
    by: By,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo = UTC,
) -> list[UsageSum]:
    """Return what was used in a time; days in their order, all others the dearest first.

    Args:
        connection: To a ledger.
        by: What to group by.
        since: From this moment on; None: from the first.
        until: Before this moment; None: to the last.
        zone: Where days begin.

    Raises:
        sqlite3.Error: The ledger cannot be read.
    """
    key, name = _KEYS[by]
    where, values = _where(None, since, until)
    # Of the texts above alone; what is given goes in as values.
    query = f"SELECT {key}, {name}, {_SUMS} FROM usage{where} GROUP BY 1"  # noqa: S608
    found = [_sum_of(row) for row in connection.execute(query, values)]
    if by == "day":
        return _days(found, zone)
    return sorted(found, key=lambda one: (-one.nano_usd, -one.tokens.total, one.key))


def total(of: list[UsageSum]) -> UsageSum:
    """Return the sum of all."""
    result = UsageSum("total")
    for one in of:
        result = result.plus(one)
    return result


def spent_of(connection: sqlite3.Connection, token_id: str | None, since: datetime | None) -> Spent:
    """Return what a token has spent since a moment; None: every token, since ever.

    Raises:
        sqlite3.Error: The ledger cannot be read.
    """
    where, values = _where(token_id, since)
    tables = ("usage", "forgotten") if since is None else ("usage",)
    # In one query, so that no row is forgotten between the two.
    query = " UNION ALL ".join(f"{_SPENT} {table}{where}" for table in tables)
    return sum((Spent(*row) for row in connection.execute(query, values * len(tables))), Spent())


_SPENT = "SELECT coalesce(sum(nano_usd), 0), coalesce(sum(tokens), 0) FROM"


def last_row(connection: sqlite3.Connection) -> int:
    """Return the number of the row that was written last; 0: there is none.

    Raises:
        sqlite3.Error: The ledger cannot be read.
    """
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM usage").fetchone()[0])


def rows_after(
    connection: sqlite3.Connection, row: int, *, most: int = 1_000
) -> list[tuple[int, UsageRecord]]:
    """Return the records behind a row, each with the number of its own row.

    Nothing of the ledger is held when it returns: while a row is still to be read, a proxy cannot
    make the files beside the ledger small again, and whoever prints may be kept waiting.

    Args:
        connection: To a ledger.
        row: The number of a row; 0: from the first.
        most: How many records at most.

    Raises:
        sqlite3.Error: The ledger cannot be read.
    """
    names = ["id", *(field.name for field in attrs.fields(UsageRecord) if field.name != "tokens")]
    columns = ", ".join([*names, *_TOKENS])
    query = f"SELECT {columns} FROM usage WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
    found = []
    for values in connection.execute(query, (row, most)):
        told: dict[str, Any] = dict(zip(names, values, strict=False))
        told["time"] = _EPOCH + timedelta(microseconds=told["time"])
        told["kind"] = UsageKind(told["kind"])
        told["estimated"] = bool(told["estimated"])
        number = told.pop("id")
        found.append((number, UsageRecord(**told, tokens=Tokens(*values[len(names) :]))))
    return found


def microseconds(moment: datetime) -> int:
    """Return a moment as the ledger has it: microseconds since 1970 in UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def usd_text(nano_usd: int) -> str:
    """Return an amount of USD to the last digit, such as ``1.234567891``."""
    whole, rest = divmod(abs(nano_usd), NANO_USD_PER_USD)
    digits = f"{rest:09d}".rstrip("0")
    return f"{'-' if nano_usd < 0 else ''}{whole}{f'.{digits}' if digits else ''}"


def _where(
    token_id: str | None, since: datetime | None = None, until: datetime | None = None
) -> tuple[str, tuple[str | int, ...]]:
    """Return which rows are meant: words of a query, and their values."""
    wheres = {
        "token_id = ?": token_id,
        "time >= ?": None if since is None else microseconds(since),
        "time < ?": None if until is None else microseconds(until),
    }
    given = {where: value for where, value in wheres.items() if value is not None}
    return f" WHERE {' AND '.join(given)}" if given else "", tuple(given.values())


def _sum_of(row: tuple[Any, ...]) -> UsageSum:
    key, name, responses, transcriptions, *rest = row
    tokens = Tokens(*rest[: len(_TOKENS)])
    return UsageSum(str(key), name or "", responses, transcriptions, tokens, *rest[len(_TOKENS) :])


def _days(quarters: list[UsageSum], zone: tzinfo) -> list[UsageSum]:
    """Fold quarters of an hour into the days of a time zone."""
    days: dict[str, UsageSum] = {}
    for quarter in quarters:
        moment = _EPOCH + timedelta(microseconds=int(quarter.key) * _QUARTER)
        day = moment.astimezone(zone).date().isoformat()
        days[day] = days.get(day, UsageSum(day)).plus(quarter)
    return [days[day] for day in sorted(days)]
