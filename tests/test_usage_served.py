"""Facts about usage in the real command: a process that is killed, stopped, and started again."""

import json
import signal
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from commands import PATIENCE, SIMULATOR, Served
from conftest import Serve

from rt_proxy.cli.say import say
from rt_proxy.settings import Budget
from rt_proxy.tokens.file import FileTokenStore

USAGE = '[usage]\nfile = "usage.db"\n'
#: The price of the built-in table.
MODEL = "gpt-realtime-2.1"


def ask(served: Served, *arguments: str) -> None:
    """Have one response, to its end."""
    result = CliRunner(env={"RT_PROXY_TOKEN": served.token}).invoke(
        say, ["Hello", "--url", served.url, "--model", MODEL, *arguments]
    )
    assert result.exit_code == 0, result.stderr


def rows(path: Path) -> list[sqlite3.Row]:
    """Return what is in the ledger."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return list(connection.execute("SELECT * FROM usage ORDER BY id"))


def usage_of(served: Served, token: str) -> dict[str, Any]:
    """Ask ``GET /v1/usage``."""
    request = urllib.request.Request(
        f"{served.url}/usage", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def test_a_bill_at_the_public_prices(serve: Serve) -> None:
    """What a response took is in the ledger, with what it cost at the built-in price."""
    served = serve(SIMULATOR + USAGE)
    ask(served)
    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    [row] = rows(served.folder / "usage.db")
    assert (row["model"], row["status"], row["estimated"]) == (MODEL, "completed", 0)
    assert row["audio_out"] > 0
    prices = {"text_in": 4_000, "audio_in": 32_000, "text_out": 24_000, "audio_out": 64_000}
    assert row["nano_usd"] == sum(row[name] * price for name, price in prices.items())


def test_stopped(serve: Serve) -> None:
    """A process that stops in order has written everything, and left one file."""
    served = serve(SIMULATOR + USAGE.replace("[usage]", "[usage]\nsync = 60"))
    ask(served)
    assert rows(served.folder / "usage.db") == []
    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    assert len(rows(served.folder / "usage.db")) == 1
    assert sorted(file.name for file in served.folder.glob("usage.db*")) == ["usage.db"]


def test_killed(serve: Serve) -> None:
    """What a client was told more than a second before ``kill -9`` is there, and counts on."""
    served = serve(SIMULATOR + USAGE)
    ask(served)
    told = time.monotonic()
    ask(served)
    while time.monotonic() < told + 1:
        time.sleep(0.01)  # the promise is of real time, kept by a disk
    served.signal(signal.SIGKILL)
    served.wait()
    assert len(rows(served.folder / "usage.db")) >= 1
    token = served.token
    served = serve(SIMULATOR + USAGE)
    spent = usage_of(served, token)["this_month"]
    before = rows(served.folder / "usage.db")
    assert spent["tokens"] == sum(row["tokens"] for row in before)
    served.token = token
    ask(served)
    assert usage_of(served, token)["this_month"]["tokens"] > spent["tokens"]


def test_a_budget_outlives_a_restart(serve: Serve) -> None:
    """What was spent before a restart is spent after it."""
    budget = '[budget]\nusd = 0.002\nper = "month"\nwarn_percent = 0\n'
    served = serve(SIMULATOR + USAGE + budget)
    ask(served)
    token = served.token
    served.signal(signal.SIGTERM)
    served.wait()
    served = serve(SIMULATOR + USAGE + budget)
    refused = CliRunner(env={"RT_PROXY_TOKEN": token}).invoke(
        say, ["Hello", "--url", served.url, "--model", MODEL]
    )
    assert refused.exit_code == 1
    assert "insufficient_quota" in refused.stderr


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.write_text("no data base" * 100), "is no usage ledger"),
    ],
)
def test_a_ledger_that_cannot_be_opened(tmp_path: Path, make: Any, why: str) -> None:
    """Without its ledger the command does not start, and says which file, and why."""
    make(tmp_path / "usage.db")
    with pytest.raises(AssertionError, match=why):
        Served(tmp_path, SIMULATOR + USAGE)


@pytest.mark.log_says("another process writes to the usage ledger")
def test_two_processes(tmp_path: Path) -> None:
    """What one process spends is missing in the budget of the other one, a moment later."""
    config = (
        SIMULATOR
        + f'[tokens]\nfile = "{tmp_path}/tokens.toml"\n'
        + f'[usage]\nfile = "{tmp_path}/usage.db"\nsync = 0.1\n'
        + "[budget]\nusd = 100\n"
    )
    secret = FileTokenStore(tmp_path / "tokens.toml").add("both", budget=Budget(usd=5))[1].reveal()
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with Served(folders[0], config) as first, Served(folders[1], config) as second:
        first.token = second.token = secret
        for served in (first, second):
            assert usage_of(served, secret)["budget"]["usd_spent"] == "0"
        ask(first)
        spent = usage_of(first, secret)["budget"]["usd_spent"]
        assert spent != "0"
        deadline = time.monotonic() + PATIENCE
        while usage_of(second, secret)["budget"]["usd_spent"] != spent:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # two processes have no clock in common that could be stepped
        ask(second)
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
    assert len(rows(tmp_path / "usage.db")) == 2
