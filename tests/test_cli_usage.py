"""The command `usage`: what it prints, where, and its exit status."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from commands import Command
from test_usage_journal import record
from test_usage_report import keep

from rt_proxy.cli.usage import usage
from rt_proxy.realtime.counts import Tokens
from rt_proxy.settings import Budget
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.usage.record import UsageKind
from rt_proxy.usage.sqliteledger import SqliteLedger

CONFIG = '[usage]\nfile = "usage.db"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a config that has a ledger."""
    (tmp_path / "config.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def book(folder: Path) -> Path:
    """A ledger in which two tokens have spent something now, and one a year ago."""
    now = datetime.now(UTC)
    keep(
        folder / "usage.db",
        record(
            "r1", time=now, nano_usd=1_234_567_891, model="m", tokens=Tokens(1, 2, 3, 4, 0, 0, 5, 6)
        ),
        record("r2", time=now, nano_usd=None, estimated=True),
        record("r3", time=now, token_id="tok_2", token_name="b\u00f6b \u4e16", nano_usd=5_000),
        record("i1", time=now, kind=UsageKind.TRANSCRIPTION, nano_usd=1, tokens=Tokens()),
        record("old", time=now - timedelta(days=365), nano_usd=10**12),
    )
    return folder / "usage.db"


def run(*arguments: str) -> Result:
    """Run `rt-proxy usage` with these arguments."""
    return CliRunner().invoke(usage, arguments, prog_name="rt-proxy usage")


def done(*arguments: str) -> Result:
    """Run `rt-proxy usage`, and expect that it is done."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_table(book: Path) -> None:
    """By token, this month: columns that line up, totals last, and marks that are explained."""
    lines = done().stdout.splitlines()
    assert [re.split(r" {2,}", line.strip()) for line in lines[:-1]] == [
        ["TOKEN", "RESP", "TRANS", "TOKENS IN", "TOKENS OUT", "AUDIO IN", "AUDIO OUT", "USD"],
        ["alice", "2", "1", "10", "18", "7", "13", "~?1.2346"],
        ["b\u00f6b \u4e16", "1", "0", "0", "7", "0", "7", "0.0000"],
        ["total", "3", "1", "10", "25", "7", "20", "~?1.2346"],
    ]
    assert "~ with estimates, in 1 row; ? the price of 1 row is not known" in lines[-1]
    assert len({len(line) + line.count("\u4e16") for line in lines[:-1]}) == 1


def test_no_bars_in_a_pipe(book: Path) -> None:
    """What goes to a file has no bars and no colours."""
    assert "\u2588" not in done().stdout
    assert "\x1b" not in done().stdout


def test_bars_on_a_terminal(book: Path) -> None:
    """A terminal has a bar for each row, the longest for the dearest."""
    read, write = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "rt_proxy", "usage"], stdout=write) as process:
        os.close(write)
        text = b""
        try:
            while chunk := os.read(read, 4_096):
                text += chunk
        except OSError:
            pass  # the terminal is closed with its last user
        assert process.wait(60) == 0
    os.close(read)
    bars = re.findall(r"\u2588+", text.decode())
    assert [len(bar) for bar in bars] == [20]


def test_left_of_budgets(book: Path, folder: Path) -> None:
    """A token that has a budget shows what is left of it, and the proxy below the table."""
    (folder / "config.toml").write_text(CONFIG + "[budget]\nusd = 3\ntokens = 1000\n")
    tokens = FileTokenStore(folder / "tokens.toml")
    tokens.add("nobody")
    made, _ = tokens.add("carol", budget=Budget(usd=Decimal("0.5"), per="day"))
    keep(
        book,
        record("c1", time=datetime.now(UTC), token_id=made.id, token_name="carol", nano_usd=10**8),
    )
    lines = done().stdout.splitlines()
    [carol] = [line for line in lines if line.startswith("carol")]
    assert carol.split()[-2:] == ["0.4000", "USD"]
    assert lines[-1].startswith("Budget of the whole proxy: 1.6654 USD and 9")
    assert lines[-1].endswith("tokens left of 3 USD or 1000 tokens per month")
    told = json.loads(done("--json").stdout)
    by_name = {row["name"]: row for row in told["rows"]}
    assert by_name["carol"]["budget"]["usd_left"] == "0.4"
    assert "budget" not in by_name["alice"]
    assert told["budget"]["usd_left"] == "1.665427108"


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("model", ["m", "(not known)"]),
        ("channel", ["main"]),
        ("session", ["s1"]),
    ],
)
def test_by(book: Path, by: str, keys: list[str]) -> None:
    """Each way to sum up has a row for each of its things."""
    lines = done("--by", by).stdout.splitlines()
    assert lines[0].split()[0] == by.upper()
    assert [line.startswith(key) for line, key in zip(lines[1:], keys, strict=False)] == [
        True
    ] * len(keys)


class TestTimes:
    """What --since and --until take."""

    @pytest.mark.parametrize("since", ["400d", "60w", "2020-01-01", "2020-01-01T00:00Z"])
    def test_since(self, book: Path, since: str) -> None:
        """A time ago, a day and a moment."""
        assert "1,001.2346" in done("--since", since).stdout

    def test_until(self, book: Path) -> None:
        """What comes later is left out."""
        assert "1,000.0000" in done("--since", "2020-01-01", "--until", "30d").stdout

    def test_in_the_time_zone_of_the_settings(self, folder: Path) -> None:
        """A day begins at the midnight of the settings, and so do the days of a report."""
        (folder / "config.toml").write_text(CONFIG + 'time_zone = "Asia/Tokyo"\n')
        keep(folder / "usage.db", record("r1", time=datetime(2026, 3, 1, 15, tzinfo=UTC)))
        told = json.loads(done("--by", "day", "--since", "2026-03-02", "--json").stdout)
        assert [row["day"] for row in told["rows"]] == ["2026-03-02"]
        assert (told["since"], told["time_zone"]) == ("2026-03-01T15:00:00Z", "Asia/Tokyo")
        assert json.loads(done("--since", "2026-03-03", "--json").stdout)["rows"] == []

    @pytest.mark.parametrize(
        "when",
        [
            *("yesterday", "", "2026-13-01", "7 d", "-1d"),
            *("300000w", "9999-12-31T23:59-12:00", "0001-01-01T00:00+12:00"),
        ],
    )
    def test_no_time(self, book: Path, when: str) -> None:
        """What is no time is told, with what one may write; status 2."""
        result = run("--since", when)
        assert result.exit_code == 2
        assert "is no time; write a day" in result.stderr

    def test_before_the_first_year(self, book: Path, folder: Path) -> None:
        """A day that began before the first year, in the zone of the settings, is no time."""
        (folder / "config.toml").write_text(CONFIG + 'time_zone = "Asia/Tokyo"\n')
        result = run("--since", "0001-01-01")
        assert result.exit_code == 2
        assert "is no time; write a day" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [("--since", "1d", "--until", "1w"), ("--since", "2026-01-01", "--until", "2026-01-01")],
    )
    def test_ends_before_it_begins(self, book: Path, arguments: tuple[str, ...]) -> None:
        """A time that nothing can be in is told, and is not taken for one without usage."""
        result = run(*arguments)
        assert result.exit_code == 2
        assert "--until must be later than --since" in result.stderr


def test_json(book: Path) -> None:
    """One object; money as text to the last digit, and as a whole number."""
    told = json.loads(done("--json").stdout)
    assert (told["by"], told["until"], told["budget"]) == ("token", None, None)
    [alice, _] = told["rows"]
    assert (alice["token_id"], alice["name"]) == ("tok_1", "alice")
    assert (alice["usd"], alice["nano_usd"]) == ("1.234567892", 1_234_567_892)
    assert (alice["text_cached_in"], alice["tokens"]) == (2, 28)
    assert (alice["unpriced"], alice["estimated"]) == (1, 1)
    assert told["total"]["responses"] == 3


def test_csv(folder: Path) -> None:
    """A header and a row for each; what a spreadsheet would take for a formula is quoted."""
    now = datetime.now(UTC)
    keep(folder / "usage.db", record("r1", time=now, token_name="=HYPERLINK(1)", nano_usd=7))
    [row] = csv.DictReader(io.StringIO(done("--csv").stdout))
    assert (row["name"], row["usd"], row["audio_out"]) == ("'=HYPERLINK(1)", "0.000000007", "7")


def test_nothing_was_used(folder: Path) -> None:
    """A time without rows is told on stderr, and is no failure."""
    keep(folder / "usage.db")
    result = done()
    assert result.stdout == ""
    assert "Nothing was used in this time" in result.stderr
    assert json.loads(done("--json").stdout)["rows"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "--csv"),
        ("--follow", "--csv"),
        ("--follow", "--since", "1d"),
        ("--follow", "--until", ""),
        ("--follow", "--by", "token"),
        ("--by", "hour"),
    ],
)
def test_wrong_arguments(book: Path, arguments: tuple[str, ...]) -> None:
    """What does not go together is told, with status 2."""
    assert run(*arguments).exit_code == 2


class TestCannot:
    """Without a ledger there is nothing to tell."""

    def test_no_section(self, folder: Path) -> None:
        """A config without [usage] keeps nothing."""
        (folder / "config.toml").write_text("")
        result = run()
        assert result.exit_code == 1
        assert "has no section [usage]" in result.stderr

    def test_no_file(self, folder: Path) -> None:
        """A ledger that is not there is not made."""
        result = run()
        assert result.exit_code == 1
        assert "there is no such file; rt-proxy serve makes it" in result.stderr
        assert not (folder / "usage.db").exists()

    def test_no_config(self, folder: Path) -> None:
        """A missing config is told as everywhere."""
        assert run("--config", "no.toml").exit_code == 1

    def test_no_time_zone(self, folder: Path) -> None:
        """A zone that the host does not know is told."""
        (folder / "config.toml").write_text(CONFIG + 'time_zone = "Mars"\n')
        result = run()
        assert result.exit_code == 1
        assert "usage.time_zone: must be a time zone" in result.stderr

    def test_a_damaged_file(self, book: Path) -> None:
        """A ledger that cannot be read is told, without a traceback."""
        content = bytearray(book.read_bytes())
        content[4_096:] = b"\xff" * (len(content) - 4_096)
        book.write_bytes(content)
        result = run()
        assert result.exit_code == 1
        assert "damaged" in result.stderr

    def test_a_broken_token_file(self, book: Path, folder: Path) -> None:
        """Without tokens there are no budgets to tell, and the rest is told all the same."""
        (folder / "tokens.toml").write_text("[[")
        result = done()
        assert "budgets are not told" in result.stderr
        assert "alice" in result.stdout

    @pytest.mark.parametrize(
        ("budget", "problem"),
        [
            ('usd = 5\ntime_zone = "Mars"', "budget.time_zone: must be a time zone"),
            ("usd = -5", "budget.usd: must be"),
            ('per = "day"', "budget.usd: is required, or tokens"),
        ],
    )
    def test_a_wrong_budget(self, book: Path, folder: Path, budget: str, problem: str) -> None:
        """A budget that breaks a rule is told with its place, and the rest all the same."""
        (folder / "config.toml").write_text(f"{CONFIG}[budget]\n{budget}\n")
        result = done()
        assert f"budgets are not told: config.toml: {problem}" in result.stderr
        assert "Budget of the whole proxy" not in result.stdout
        assert "alice" in result.stdout


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_follow(book: Path, folder: Path, form: tuple[str, ...]) -> None:
    """New rows are printed as they come, until Ctrl-C, which is no failure."""
    with Command(folder, "usage", "--follow", *form) as following:
        following.stderr.wait_for("Waiting for what is written")
        keep(book, record("new", time=datetime.now(UTC), model="m\x1b[31m", status="completed"))
        following.stdout.wait_for("completed")
        following.signal(signal.SIGINT)
        assert following.wait() == 0
        text = following.stdout.text
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
    if form:
        told = json.loads(text)
        assert (told["upstream_id"], told["nano_usd"], told["usd"]) == ("new", 3, "0.000000003")
    else:
        assert "alice" in text
        assert "7 tokens" in text


def test_follow_to_another_ledger(book: Path, folder: Path) -> None:
    """When another ledger has its place, all rows of that one are printed."""
    keep(folder / "other.db", record("r1", time=datetime.now(UTC), status="incomplete"))
    with Command(folder, "usage", "--follow") as following:
        following.stderr.wait_for("Waiting for what is written")
        (folder / "other.db").replace(book)
        following.stdout.wait_for("incomplete")
        following.signal(signal.SIGINT)
        assert following.wait() == 0


def test_follow_what_goes_away(book: Path, folder: Path) -> None:
    """When the ledger is taken away it is told, and the rows of the next one are printed."""
    with Command(folder, "usage", "--follow") as following:
        following.stderr.wait_for("Waiting for what is written")
        book.rename(book.with_name("usage.old"))
        following.stderr.wait_for(r"usage\.db is not there any more; waiting for the next one")
        keep(book, record("new", time=datetime.now(UTC), status="incomplete"))
        following.stdout.wait_for("incomplete")
        following.signal(signal.SIGINT)
        assert following.wait() == 0
    assert "Traceback" not in following.stderr.text


def test_while_a_proxy_writes(book: Path) -> None:
    """It reads on while a proxy has the ledger open and has put nothing into the one file yet."""

    async def write_and_ask() -> None:
        ledger = await SqliteLedger.open(book)
        await ledger.write([record("fresh", time=datetime.now(UTC), nano_usd=10**9)])
        assert "2.2346" in done().stdout
        await ledger.aclose()

    trio.run(write_and_ask)


def test_help_has_examples() -> None:
    """The help shows how it is called."""
    assert "rt-proxy usage --follow" in done("--help").stdout
