"""The command `usage`: what was used, by whom, and what is left.

Reads the ledger and prints; the sums are made in ``usage/report.py``.
"""

import csv
import json
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn, get_args

import attrs
import click

from rt_proxy.cli.allowance import budget_words
from rt_proxy.cli.help import config_option, examples
from rt_proxy.cli.outcome import fail, fail_by_config
from rt_proxy.cli.table import table
from rt_proxy.configfile import load_budget, load_tokens_settings, load_usage_settings
from rt_proxy.errors import LedgerError, SettingsError, TokenStoreError
from rt_proxy.settings import Budget
from rt_proxy.settingsrules import time_zone_problem
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.token import Token, parse_duration
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.periods import midnight, period_end, period_start, time_zone
from rt_proxy.usage.record import NANO_USD_PER_USD, UsageRecord
from rt_proxy.usage.report import (
    By,
    UsageSum,
    last_row,
    rows_after,
    spent_of,
    sums,
    total,
    usd_text,
)
from rt_proxy.usage.schema import open_to_read, reason_of

#: How often it is looked for new rows, in seconds.
_LOOK = 1.0
_BAR_WIDTH = 20
#: A cell of a spreadsheet that begins so is a formula, and must not be.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_NUMBERS = ("RESP", "TRANS", "TOKENS IN", "TOKENS OUT", "AUDIO IN", "AUDIO OUT", "USD", "LEFT")


@click.command(
    epilog=examples(
        "rt-proxy usage",
        "rt-proxy usage --by day --since 30d",
        "rt-proxy usage --by model --since 2026-11-01 --until 2026-12-01 --csv > november.csv",
        "rt-proxy usage --by session --since 2h --json",
        "rt-proxy usage --follow",
    )
)
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    default="token",
    show_default=True,
    help="What to sum up by.",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="From then on: a day (2026-11-26), a moment (2026-11-26T12:00Z), or a time ago (7d, "
    "12h).  [default: this month]",
)
@click.option("--until", metavar="WHEN", help="Before then; the same.  [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
@click.option("--follow", is_flag=True, help="Print each row as it comes, until Ctrl-C.")
@config_option
def usage(
    by: By,
    since: str | None,
    until: str | None,
    as_json: bool,
    as_csv: bool,
    follow: bool,
    path: Path,
) -> None:
    """Tell what was used, by whom, and what is left of budgets.

    A proxy may run meanwhile. Money is in USD, at the prices when it was spent.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if follow and (since or until or as_csv):
        raise click.UsageError("--follow goes with --json only: it prints what is yet to come")
    book = _open(path)
    with closing(book.connection):
        try:
            if follow:
                _follow(book, as_json=as_json)
            else:
                _report(book, by, since, until, form="json" if as_json else as_csv and "csv")
        except sqlite3.Error as error:
            fail(f"{book.file}: cannot be read: {reason_of(error)}")


@attrs.frozen
class _Book:
    """The open ledger, and what the config says of it."""

    config: Path
    file: Path
    connection: sqlite3.Connection
    zone_name: str

    @property
    def zone(self) -> tzinfo:
        return time_zone(self.zone_name)


def _open(path: Path) -> _Book:
    try:
        settings = load_usage_settings(path)
        if settings is None:
            fail(
                f"{path}: has no section [usage], so nothing is kept; write one, also an empty one"
            )
        problem = time_zone_problem(settings.time_zone)
        if problem is not None:
            fail(f"{path}: usage.time_zone: {problem}")
        return _Book(path, settings.file, open_to_read(settings.file), settings.time_zone)
    except SettingsError as error:
        fail_by_config(error)
    except LedgerError as error:
        fail(str(error))


def _report(book: _Book, by: By, since: str | None, until: str | None, *, form: str | bool) -> None:
    now = datetime.now(UTC)
    begin = period_start(now, "month", book.zone) if since is None else _when(since, now, book.zone)
    end = None if until is None else _when(until, now, book.zone)
    found = sums(book.connection, by, since=begin, until=end, zone=book.zone)
    states = _states(book, now) if by == "token" else {}
    if form == "json":
        _print_json(book, by, begin, end, found, states)
    elif form == "csv":
        _print_csv(by, found, states)
    elif found:
        _print_table(by, found, states)
        whole = states.get(None)
        if whole is not None:
            click.echo(f"Budget of the whole proxy: {_left(whole)} of {budget_words(whole.budget)}")
    else:
        click.echo(f"Nothing was used in this time, says {book.file}.", err=True)


def _when(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the moment that an option names."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return midnight(date.fromisoformat(text), zone)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no time; write a day (2026-11-26), a moment (2026-11-26T12:00Z), or a "
            "time ago (7d, 12h, 90m)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


# Budgets


def _states(book: _Book, now: datetime) -> dict[str | None, BudgetState]:
    """Return how the budgets stand, by the id of the token; None: of the whole proxy."""
    budgets: dict[str | None, tuple[str | None, Budget]] = {}
    try:
        whole = load_budget(book.config)
        tokens: Iterable[Token] = FileTokenStore(load_tokens_settings(book.config).file).tokens()
    except (SettingsError, TokenStoreError) as error:
        click.echo(f"rt-proxy: budgets are not told: {error}", err=True)
        return {}
    if whole is not None:
        budgets[None] = (None, whole)
    for token in tokens:
        if token.budget is not None:
            budgets[token.id] = (token.name, token.budget)
    return {of: _state(book, of, name, budget, now) for of, (name, budget) in budgets.items()}


def _state(
    book: _Book, token_id: str | None, name: str | None, budget: Budget, now: datetime
) -> BudgetState:
    zone = time_zone(budget.time_zone or book.zone_name)
    start, end = period_start(now, budget.per, zone), period_end(now, budget.per, zone)
    return BudgetState(name, budget, start, end, spent_of(book.connection, token_id, start))


def _left(state: BudgetState) -> str:
    """Return what is left of a budget, for people."""
    left = []
    if state.budget.usd is not None:
        left.append(f"{_usd(state.left.nano_usd)} USD")
    if state.budget.tokens is not None:
        left.append(f"{state.left.tokens:,} tokens")
    return " and ".join(left)


# For people


def _print_table(
    by: By, found: Sequence[UsageSum], states: Mapping[str | None, BudgetState]
) -> None:
    whole = total(list(found))
    header = [
        by.upper(),
        "RESP",
        "TRANS",
        "TOKENS IN",
        "TOKENS OUT",
        "AUDIO IN",
        "AUDIO OUT",
        "USD",
    ]
    rows = [_cells(by, one) for one in found]
    rows.append(["total", *_cells(by, whole)[1:]])
    if any(of is not None for of in states):
        header.append("LEFT")
        for row, one in zip(rows, found, strict=False):
            state = states.get(one.key)
            row.append("" if state is None else _left(state))
        rows[-1].append("")
    if sys.stdout.isatty():
        header.append("")
        most = max(map(_size, found)) or 1
        for row, one in zip(rows, found, strict=False):
            row.append("█" * round(_BAR_WIDTH * _size(one) / most))
        rows[-1].append("")
    else:
        header.append("")
        rows = [[*row, ""] for row in rows]
    for line in table(header, rows, right=_NUMBERS):
        click.echo(line)
    notes = []
    if whole.estimated:
        notes.append(f"~ with estimates ({whole.estimated} rows)")
    if whole.unpriced:
        notes.append(f"? the price of {whole.unpriced} rows is not known; see [prices]")
    if notes:
        click.echo("; ".join(notes))


def _cells(by: By, one: UsageSum) -> list[str]:
    tokens = one.tokens
    audio_in = tokens.audio_in + tokens.audio_cached_in
    given = audio_in + tokens.text_in + tokens.text_cached_in
    given += tokens.image_in + tokens.image_cached_in
    marks = ("~" if one.estimated else "") + ("?" if one.unpriced else "")
    return [
        _printable(_label(by, one)),
        f"{one.responses:,}",
        f"{one.transcriptions:,}",
        f"{given:,}",
        f"{tokens.text_out + tokens.audio_out:,}",
        f"{audio_in:,}",
        f"{tokens.audio_out:,}",
        f"{marks}{_usd(one.nano_usd)}",
    ]


def _label(by: By, one: UsageSum) -> str:
    if by == "token":
        return one.name
    if by == "session":
        return f"{one.key} {one.name}"
    return one.key or "(not known)"


def _printable(text: str) -> str:
    """Return a text with everything escaped that could act on a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _usd(nano_usd: int) -> str:
    """Return an amount for people: four decimals, rounded half to even."""
    return f"{Decimal(nano_usd) / NANO_USD_PER_USD:,.4f}"


def _size(one: UsageSum) -> int:
    """Return what a bar stands for: money, or tokens where there is none."""
    return one.nano_usd or one.tokens.total


# For programs


def _fields(by: By, one: UsageSum) -> dict[str, Any]:
    match by:
        case "token":
            names = {"token_id": one.key, "name": one.name}
        case "session":
            names = {"session_id": one.key, "token": one.name}
        case _:
            names = {by: one.key}
    return {
        **names,
        "responses": one.responses,
        "transcriptions": one.transcriptions,
        **attrs.asdict(one.tokens),
        "tokens": one.tokens.total,
        "milliseconds": one.milliseconds,
        "usd": usd_text(one.nano_usd),
        "nano_usd": one.nano_usd,
        "unpriced": one.unpriced,
        "estimated": one.estimated,
    }


def _budget_fields(state: BudgetState) -> dict[str, Any]:
    budget = state.budget
    return {
        "per": budget.per,
        "usd": None if budget.usd is None else f"{budget.usd:f}",
        "usd_left": None if budget.usd is None else usd_text(state.left.nano_usd),
        "tokens": budget.tokens,
        "tokens_left": None if budget.tokens is None else state.left.tokens,
        "end": _iso(state.end),
    }


def _print_json(
    book: _Book,
    by: By,
    since: datetime | None,
    until: datetime | None,
    found: Sequence[UsageSum],
    states: Mapping[str | None, BudgetState],
) -> None:
    rows = []
    for one in found:
        state = states.get(one.key) if by == "token" else None
        rows.append(_fields(by, one) | ({"budget": _budget_fields(state)} if state else {}))
    whole = states.get(None)
    told = {
        "by": by,
        "since": _iso(since),
        "until": _iso(until),
        "time_zone": book.zone_name,
        "rows": rows,
        "total": {
            name: value
            for name, value in _fields("model", total(list(found))).items()
            if name != "model"
        },
        "budget": None if whole is None else _budget_fields(whole),
    }
    click.echo(json.dumps(told, ensure_ascii=False, indent=2))


def _print_csv(by: By, found: Sequence[UsageSum], states: Mapping[str | None, BudgetState]) -> None:
    names = [*_fields(by, UsageSum("")), *(["usd_left", "tokens_left"] if by == "token" else [])]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n", restval="")
    writer.writeheader()
    for one in found:
        fields = _fields(by, one)
        state = states.get(one.key) if by == "token" else None
        if state is not None:
            left = _budget_fields(state)
            fields |= {name: left[name] for name in ("usd_left", "tokens_left")}
        writer.writerow({name: _cell(value) for name, value in fields.items()})


def _cell(value: object) -> object:
    """Return a value of which no spreadsheet makes a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# As it comes


def _follow(book: _Book, *, as_json: bool) -> NoReturn:
    """Print each row as it comes; Ctrl-C is how one leaves."""
    row = last_row(book.connection)
    click.echo(f"Waiting for what is written to {book.file}; Ctrl-C ends it.", err=True)
    try:
        while True:
            for number, record in rows_after(book.connection, row):
                row = number
                click.echo(_json_line(record) if as_json else _line(record, book.zone))
            sys.stdout.flush()
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        sys.exit(0)


def _line(record: UsageRecord, zone: tzinfo) -> str:
    cost = "?" if record.nano_usd is None else _usd(record.nano_usd)
    moment = record.time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    status = record.status or record.kind.value
    parts = (
        moment,
        f"{'~' if record.estimated else ''}{cost:>9} USD",
        f"{record.tokens.total:>8,} tokens",
        _printable(record.token_name),
        record.channel,
        _printable(record.model or "-"),
        _printable(status),
        record.session_id,
    )
    return "  ".join(parts)


def _json_line(record: UsageRecord) -> str:
    fields = attrs.asdict(record, recurse=False) | attrs.asdict(record.tokens)
    fields |= {"tokens": record.tokens.total, "time": _iso(record.time)}
    fields["usd"] = None if record.nano_usd is None else usd_text(record.nano_usd)
    return json.dumps(fields, ensure_ascii=False)
