"""What the command ``usage`` prints: a table for people, JSON and CSV for programs.

Only words made of sums, records and budgets; nothing here reads a file, a clock or an option,
and nothing prints.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

import attrs

from rt_proxy.cli.allowance import budget_words
from rt_proxy.cli.table import table
from rt_proxy.moments import utc_text
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.record import NANO_USD_PER_USD, UsageRecord
from rt_proxy.usage.report import By, UsageSum, total, usd_text

#: How budgets stand, by the id of the token; None: the budget of the whole proxy.
States = Mapping[str | None, BudgetState]

_BAR_WIDTH = 20
#: A cell of a spreadsheet that begins so is a formula, and must not be.
_FORMULAS = ("=", "+", "-", "@")
_NUMBERS = ("RESP", "TRANS", "TOKENS IN", "TOKENS OUT", "AUDIO IN", "AUDIO OUT", "USD")
_LEFT = "LEFT"


# For people


def table_lines(
    by: By, found: Sequence[UsageSum], states: States, *, has_bars: bool = False
) -> list[str]:
    """Return the lines of a table, its totals, and what its marks mean.

    Args:
        by: What was summed up by.
        found: The sums; at least one.
        states: How the budgets stand, where they are to be told.
        has_bars: Whether each row ends with a bar.
    """
    whole = total(list(found))
    header = [by.upper(), *_NUMBERS]
    rows = [_cells(by, one) for one in found]
    rows.append(["total", *_cells(by, whole)[1:]])
    if any(of is not None for of in states):
        header.append(_LEFT)
        for row, one in zip(rows, [*found, None], strict=True):
            state = None if one is None else states.get(one.key)
            row.append("" if state is None else left_words(state))
    header.append("")
    for row, bar in zip(
        rows, [*(_bars(found) if has_bars else [""] * len(found)), ""], strict=True
    ):
        row.append(bar)
    lines = table(header, rows, right=(*_NUMBERS, _LEFT))
    notes = []
    if whole.estimated:
        notes.append(f"~ with estimates, in {_counted(whole.estimated)}")
    if whole.unpriced:
        notes.append(f"? the price of {_counted(whole.unpriced)} is not known; see [prices]")
    if notes:
        lines.append("; ".join(notes))
    if None in states:
        left, budget = left_words(states[None]), budget_words(states[None].budget)
        lines.append(f"Budget of the whole proxy: {left} left of {budget}")
    return lines


def row_line(record: UsageRecord, zone: tzinfo) -> str:
    """Return a record as a line, with its time in a time zone."""
    cost = "?" if record.nano_usd is None else _usd(record.nano_usd)
    moment = record.time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    parts = (
        moment,
        f"{'~' if record.estimated else ''}{cost:>9} USD",
        f"{record.tokens.total:>8,} tokens",
        _printable(record.token_name),
        _printable(record.channel),
        _printable(record.model or "-"),
        _printable(record.status or record.kind.value),
        record.session_id,
    )
    return "  ".join(parts)


def left_words(state: BudgetState) -> str:
    """Return what is left of a budget, such as ``0.4000 USD and 120 tokens``."""
    left = []
    if state.budget.usd is not None:
        left.append(f"{_usd(state.left.nano_usd)} USD")
    if state.budget.tokens is not None:
        left.append(f"{state.left.tokens:,} tokens")
    return " and ".join(left)


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


def _bars(found: Sequence[UsageSum]) -> list[str]:
    """Return a bar for each sum: of money, or of tokens where no money was spent at all."""
    sizes = [one.nano_usd for one in found]
    if not any(sizes):
        sizes = [one.tokens.total for one in found]
    most = max(sizes) or 1
    return ["█" * round(_BAR_WIDTH * size / most) for size in sizes]


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _printable(text: str) -> str:
    """Return a text with everything escaped that could act on a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _usd(nano_usd: int) -> str:
    """Return an amount for people: four decimals, rounded half to even."""
    return f"{Decimal(nano_usd) / NANO_USD_PER_USD:,.4f}"


# For programs


def json_text(
    by: By,
    found: Sequence[UsageSum],
    states: States,
    *,
    since: datetime | None,
    until: datetime | None,
    zone_name: str,
) -> str:
    """Return one JSON object with the sums, their total, the time and the budgets.

    Args:
        by: What was summed up by.
        found: The sums.
        states: How the budgets stand, where they are to be told.
        since: Where the time begins; None: with the first row.
        until: Where it ends; None: with the last row.
        zone_name: The time zone in which days begin.
    """
    rows = []
    for one in found:
        state = states.get(one.key)
        rows.append(_names(by, one) | _amounts(one) | _budget_of(state))
    told = {
        "by": by,
        "since": _iso(since),
        "until": _iso(until),
        "time_zone": zone_name,
        "rows": rows,
        "total": _amounts(total(list(found))),
        "budget": None,
    }
    return json.dumps(told | _budget_of(states.get(None)), indent=2)


def csv_text(by: By, found: Sequence[UsageSum], states: States) -> str:
    """Return the sums as CSV, with a header; no cell is a formula to a spreadsheet."""
    left = ["usd_left", "tokens_left"] if by == "token" else []
    nothing = UsageSum("")
    text = io.StringIO()
    names = [*_names(by, nothing), *_amounts(nothing), *left]
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    for one in found:
        fields = _names(by, one) | _amounts(one)
        state = states.get(one.key)
        if state is not None:
            told = _budget_fields(state)
            fields |= {name: told[name] for name in left}
        writer.writerow({name: _cell(value) for name, value in fields.items()})
    return text.getvalue()


def row_json(record: UsageRecord) -> str:
    """Return a record as one line of JSON."""
    fields = attrs.asdict(record, recurse=False) | attrs.asdict(record.tokens)
    fields |= {"tokens": record.tokens.total, "time": _iso(record.time)}
    fields["usd"] = None if record.nano_usd is None else usd_text(record.nano_usd)
    return json.dumps(fields)


def _names(by: By, one: UsageSum) -> dict[str, Any]:
    match by:
        case "token":
            return {"token_id": one.key, "name": one.name}
        case "session":
            return {"session_id": one.key, "token": one.name}
        case _:
            return {by: one.key}


def _amounts(one: UsageSum) -> dict[str, Any]:
    return {
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


def _budget_of(state: BudgetState | None) -> dict[str, Any]:
    return {} if state is None else {"budget": _budget_fields(state)}


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


def _cell(value: object) -> object:
    """Return a value of which no spreadsheet makes a formula, or a row of its own.

    The csv module leaves a carriage return unquoted, and a row may begin behind it.
    """
    if not isinstance(value, str):
        return value
    text = _printable(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else utc_text(moment)
