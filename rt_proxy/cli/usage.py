"""The command `usage`: what was used, by whom, and what is left.

Reads the ledger and prints. The sums are made in ``usage/report.py``, and what is printed of
them in ``cli/usageforms.py``.
"""

import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Literal, NoReturn, get_args

import attrs
import click

from rt_proxy.cli.help import config_option, examples
from rt_proxy.cli.outcome import fail, fail_by_config
from rt_proxy.cli.usageforms import States, csv_text, json_text, row_json, row_line, table_lines
from rt_proxy.configfile import load_budget, load_tokens_settings, load_usage_settings
from rt_proxy.errors import LedgerError, SettingsError, TokenStoreError
from rt_proxy.settings import Budget
from rt_proxy.settingsrules import budget_problems, time_zone_problem
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.token import Token, parse_duration
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.periods import midnight, period_end, period_start, time_zone
from rt_proxy.usage.report import By, last_row, rows_after, spent_of, sums
from rt_proxy.usage.schema import open_to_read, reason_of

#: How often it is looked for new rows, in seconds.
_LOOK = 1.0
#: So often a file that is no ledger is looked at, before it is believed to stay so.
_LOOKS = 5

_Form = Literal["table", "json", "csv"]


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
    help="What to sum up by.  [default: token]",
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
    by: By | None,
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
    if follow and (as_csv or any(option is not None for option in (by, since, until))):
        raise click.UsageError("--follow goes with --json only: it prints what is yet to come")
    book = _open(path)
    with closing(book.connection):
        try:
            if follow:
                _follow(book, as_json=as_json)
            else:
                form: _Form = "json" if as_json else "csv" if as_csv else "table"
                _report(book, by or "token", since, until, form)
        except LedgerError as error:
            fail(str(error))
        except sqlite3.Error as error:
            fail(f"{book.file}: cannot be read: {reason_of(error, is_written=False)}")


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


def _report(book: _Book, by: By, since: str | None, until: str | None, form: _Form) -> None:
    now = datetime.now(UTC)
    begin = period_start(now, "month", book.zone) if since is None else _when(since, now, book.zone)
    end = None if until is None else _when(until, now, book.zone)
    if begin is not None and end is not None and begin >= end:
        raise click.UsageError(
            "--until must be later than --since (else the beginning of this month)"
        )
    found = sums(book.connection, by, since=begin, until=end, zone=book.zone)
    states = _states(book, now) if by == "token" else {}
    if form == "json":
        told = json_text(by, found, states, since=begin, until=end, zone_name=book.zone_name)
        click.echo(told)
    elif form == "csv":
        click.echo(csv_text(by, found, states), nl=False)
    elif found:
        for line in table_lines(by, found, states, has_bars=sys.stdout.isatty()):
            click.echo(line)
    else:
        click.echo(f"Nothing was used in this time, says {book.file}.", err=True)


def _when(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the moment that an option names."""
    for read in (_time_ago, _day, _moment):
        try:
            return read(text, now, zone)
        except (ValueError, OverflowError):  # not written so, or before the first or last year
            continue
    raise click.UsageError(
        f"{text!r} is no time; write a day (2026-11-26), a moment (2026-11-26T12:00Z), or a "
        "time ago (7d, 12h, 90m)"
    )


def _time_ago(text: str, now: datetime, _zone: tzinfo) -> datetime:
    return now - parse_duration(text)


def _day(text: str, _now: datetime, zone: tzinfo) -> datetime:
    return midnight(date.fromisoformat(text), zone)


def _moment(text: str, _now: datetime, zone: tzinfo) -> datetime:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


# Budgets


def _states(book: _Book, now: datetime) -> States:
    """Return how the budgets stand, by the id of the token; None: of the whole proxy."""
    budgets: dict[str | None, tuple[str | None, Budget]] = {}
    try:
        whole = _sound_budget(book.config)
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


def _sound_budget(config: Path) -> Budget | None:
    """Return the budget of the whole proxy; None: it has none.

    Raises:
        SettingsError: It is no budget, or breaks a rule.
    """
    budget = load_budget(config)
    if budget is not None:
        problems = [f"budget.{field}: {problem}" for field, problem in budget_problems(budget)]
        if problems:
            raise SettingsError(str(config), problems)
    return budget


# As it comes


def _open_the_next(file: Path) -> sqlite3.Connection:
    """Open a ledger in the place of one that was moved away; the next usage makes it.

    Raises:
        LedgerError: There is something else, and stays there.
    """
    click.echo(f"{file} is not there any more; waiting for the next one.", err=True)
    patience = _LOOKS
    while True:
        time.sleep(_LOOK)
        try:
            return open_to_read(file)
        except LedgerError:  # not there yet, or not whole yet
            patience -= file.exists()
            if patience <= 0:
                raise


def _follow(book: _Book, *, as_json: bool) -> NoReturn:
    """Print each row as it comes; Ctrl-C is how one leaves.

    The ledger is opened anew at each look: another may have its place by then, and who may not
    write beside it sees nothing new otherwise.
    """
    try:
        row = last_row(book.connection)
        click.echo(f"Waiting for what is written to {book.file}; Ctrl-C ends it.", err=True)
        while True:
            if book.file.exists():
                connection = open_to_read(book.file)
            else:
                connection, row = _open_the_next(book.file), 0
            with closing(connection):
                if last_row(connection) < row:
                    row = 0  # another ledger, of which nothing was printed yet
                found = rows_after(connection, row)
            for number, record in found:
                row = number
                click.echo(row_json(record) if as_json else row_line(record, book.zone))
            sys.stdout.flush()
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        sys.exit(0)
