"""What the command `usage` prints: marks, bars, and words for programs."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from test_usage_journal import MOMENT, record

from rt_proxy.cli.usageforms import (
    States,
    csv_text,
    json_text,
    left_words,
    row_json,
    row_line,
    table_lines,
)
from rt_proxy.realtime.counts import Tokens
from rt_proxy.settings import Budget
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.report import UsageSum

BAR = "\u2588"


def state(spent: Spent, **budget: object) -> BudgetState:
    """Return how a budget stands of which something is spent."""
    return BudgetState("alice", Budget(**budget), None, datetime(2027, 1, 1, tzinfo=UTC), spent)


def bars(*found: UsageSum) -> list[int]:
    """Return how long the bars are, without that of the total."""
    lines = table_lines("model", found, {}, has_bars=True)[1 : len(found) + 2]
    lengths = [line.count(BAR) for line in lines]
    assert lengths.pop() == 0
    return lengths


class TestTable:
    """A table for people."""

    def test_bars_of_money(self) -> None:
        """Where money was spent a bar is a share of it; what cost nothing has none."""
        cheap = UsageSum("b", nano_usd=250)
        free = UsageSum("c", tokens=Tokens(text_in=10_000), unpriced=1)
        assert bars(UsageSum("a", nano_usd=1_000), cheap, free) == [20, 5, 0]

    def test_bars_of_tokens(self) -> None:
        """Where no money was spent at all, bars are of tokens."""
        small = UsageSum("a", tokens=Tokens(text_in=1))
        assert bars(UsageSum("b", tokens=Tokens(audio_out=4)), small) == [20, 5]

    def test_bars_of_nothing(self) -> None:
        """Records of nothing have no bars."""
        assert bars(UsageSum("a", responses=1)) == [0]

    def test_marks(self) -> None:
        """A mark is in the row that it is about, and in the total, and counted below."""
        found = [
            UsageSum("a", nano_usd=10**9, estimated=1_200),
            UsageSum("b", unpriced=1),
            UsageSum("c"),
        ]
        *rows, notes = table_lines("model", found, {})
        assert [row.split()[-1] for row in rows[1:]] == ["~1.0000", "?0.0000", "0.0000", "~?1.0000"]
        assert notes == (
            "~ with estimates, in 1,200 rows; ? the price of 1 row is not known; see [prices]"
        )

    def test_no_marks(self) -> None:
        """Where nothing is guessed or unknown, there is nothing to explain."""
        assert len(table_lines("model", [UsageSum("a", nano_usd=1)], {})) == 3

    def test_all_of_the_input(self) -> None:
        """Cached tokens and images are among the tokens in, and cached audio among the audio."""
        row = table_lines("model", [UsageSum("a", tokens=Tokens(1, 2, 4, 8, 16, 32, 64, 128))], {})
        assert row[1].split() == ["a", "0", "0", "63", "192", "12", "128", "0.0000"]

    def test_labels(self) -> None:
        """A session shows its token; a model that is not known is said to be so."""
        assert table_lines("session", [UsageSum("s1", "bob")], {})[1].startswith("s1 bob")
        assert table_lines("model", [UsageSum("")], {})[1].startswith("(not known)")

    def test_acts_on_no_terminal(self) -> None:
        """What could act on a terminal is escaped."""
        lines = table_lines("token", [UsageSum("tok_1", "a\x1b[2J\u202e")], {})
        assert "\x1b" not in "".join(lines)
        assert lines[1].startswith(r"a\x1b[2J\u202e ")

    def test_left(self) -> None:
        """What is left stands with the tokens that have a budget, and a dash with the others."""
        states: States = {"t1": state(Spent(10**9, 0), usd=Decimal(3))}
        found = [UsageSum("t1", "alice", nano_usd=2), UsageSum("t2", "bob", nano_usd=1)]
        header, alice, bob, total = table_lines("token", found, states)
        assert header.endswith("LEFT")
        assert alice.endswith("2.0000 USD")
        assert bob.endswith("  -")
        assert total.endswith("  -")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"usd": Decimal(2)}, "0.5000 USD"),
        ({"tokens": 2_000}, "1,900 tokens"),
        ({"usd": Decimal(1), "tokens": 50}, "0.0000 USD and 0 tokens"),
    ],
)
def test_left_words(budget: dict[str, object], words: str) -> None:
    """What has a limit is told, and never less than nothing."""
    assert left_words(state(Spent(1_500_000_000, 100), **budget)) == words


class TestJson:
    """One object for programs."""

    def test_whole(self) -> None:
        """The time, the rows with their budgets, the total, and the budget of the proxy."""
        states: States = {
            None: state(Spent(1, 5), tokens=7, per="ever"),
            "t1": state(Spent(1, 5), usd=Decimal("0.10")),
        }
        found = [UsageSum("t1", "alice", nano_usd=1), UsageSum("t2", "bob", nano_usd=2)]
        text = json_text("token", found, states, since=MOMENT, until=None, zone_name="UTC")
        told = json.loads(text)
        assert told["since"] == MOMENT.isoformat().replace("+00:00", "Z")
        assert (told["by"], told["until"], told["time_zone"]) == ("token", None, "UTC")
        assert told["rows"][0]["budget"] == {
            "per": "month",
            "usd": "0.10",
            "usd_left": "0.099999999",
            "tokens": None,
            "tokens_left": None,
            "end": "2027-01-01T00:00:00Z",
        }
        assert "budget" not in told["rows"][1]
        assert (told["total"]["nano_usd"], told["total"]["usd"]) == (3, "0.000000003")
        assert (told["budget"]["tokens_left"], told["budget"]["usd_left"]) == (2, None)

    @pytest.mark.parametrize("by", ["model", "channel", "day"])
    def test_keys(self, by: str) -> None:
        """A row is called by what it was summed up by."""
        text = json_text(by, [UsageSum("k")], {}, since=None, until=None, zone_name="UTC")
        assert json.loads(text)["rows"][0][by] == "k"


class TestCsv:
    """Rows for spreadsheets."""

    @pytest.mark.parametrize("first", ["=", "+", "-", "@"])
    def test_no_formula(self, first: str) -> None:
        """What a spreadsheet would work out is a text, in a name and in a key."""
        text = csv_text("session", [UsageSum(f"{first}1", f"{first}2")], {})
        [row] = csv.DictReader(io.StringIO(text, newline=""))
        assert (row["session_id"], row["token"]) == (f"'{first}1", f"'{first}2")

    @pytest.mark.parametrize("control", ["\r", "\n", "\t", "\x1b", "\x9b"])
    @pytest.mark.parametrize("before", ["", "m"])
    def test_no_row_of_its_own(self, control: str, before: str) -> None:
        """What could begin another row, or act on a terminal, is escaped."""
        text = csv_text("model", [UsageSum(f"{before}{control}=1")], {})
        [row] = csv.DictReader(io.StringIO(text, newline=""))
        assert row["model"] == f"{before}{ascii(control)[1:-1]}=1"

    def test_other_cells_stay(self) -> None:
        """Commas, quotes and letters of all kinds come back as they were."""
        name = 'a "b", c=e \u4e16'
        [row] = csv.DictReader(
            io.StringIO(csv_text("token", [UsageSum("t", name)], {}), newline="")
        )
        assert row["name"] == name

    def test_left(self) -> None:
        """By token there is what is left, empty where there is no budget; else there is not."""
        states: States = {"t1": state(Spent(0, 5), tokens=7)}
        text = csv_text("token", [UsageSum("t1"), UsageSum("t2")], states)
        rows = [(row["usd_left"], row["tokens_left"]) for row in csv.DictReader(io.StringIO(text))]
        assert rows == [("", "2"), ("", "")]
        assert "left" not in csv_text("day", [UsageSum("2026-11-26")], {})

    def test_no_rows(self) -> None:
        """Without rows the header is there all the same."""
        assert csv_text("model", [], {}).startswith("model,responses,")


class TestRow:
    """One record, as it comes."""

    def test_line(self) -> None:
        """The time is that of the zone; what is guessed or unknown is marked."""
        one = record("r1", time=datetime(2026, 7, 1, 12, tzinfo=UTC), estimated=True, nano_usd=None)
        line = row_line(one, ZoneInfo("Europe/Berlin"))
        assert line.startswith("2026-07-01 14:00:00  ~        ? USD")

    def test_acts_on_no_terminal(self) -> None:
        """No text in it can act on a terminal."""
        bad = "\x1b[2J"
        one = record("r1", token_name=bad, channel=bad, model=bad, status=bad)
        assert row_line(one, UTC).count(r"\x1b[2J") == 4
        assert "\x1b" not in row_line(one, UTC)

    @pytest.mark.parametrize("char", ["\x1b", "\x7f", "\x9b", "\u202e"])
    def test_json_acts_on_no_terminal(self, char: str) -> None:
        """Nor does what is for programs, in a row or in a sum."""
        row = row_json(record("r1", token_name=char, channel=char, model=char, status=char))
        found = [UsageSum(char, char)]
        text = json_text("token", found, {}, since=None, until=None, zone_name="UTC")
        assert char not in row + text
        assert (json.loads(row)["model"], json.loads(text)["rows"][0]["name"]) == (char, char)

    def test_json(self) -> None:
        """All that is known of it, on one line; a price that is not known is null."""
        text = row_json(record("r1\n", nano_usd=None))
        told = json.loads(text)
        assert "\n" not in text
        assert (told["upstream_id"], told["usd"], told["nano_usd"]) == ("r1\n", None, None)
        assert told["kind"] == "response"
