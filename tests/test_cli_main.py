"""The command as a whole: its name, its version, its help, wrong arguments."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from commands import PATIENCE, run

from rt_proxy.cli import main

RUNNER = CliRunner()


def commands(group: click.Group, *names: str) -> list[tuple[str, ...]]:
    """Return the names that lead to each command."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, *names, name)
        else:
            found.append((*names, name))
    return found


COMMANDS = commands(main)


def test_version() -> None:
    """``--version`` prints the name and the version of the package, and no more."""
    outcome = RUNNER.invoke(main, ["--version"])

    assert outcome.exit_code == 0
    assert outcome.stdout == f"rt-proxy {version('rt-proxy')}\n"
    assert re.fullmatch(r"rt-proxy \d+\.\d+\.\d+\n", outcome.stdout)


def test_module(tmp_path: Path) -> None:
    """``python -m rt_proxy`` is the same command, under the same name."""
    outcome = run(tmp_path, "--help")

    assert outcome.returncode == 0
    assert outcome.stdout.startswith("Usage: rt-proxy [OPTIONS] COMMAND")


def test_script() -> None:
    """The script is installed beside the interpreter."""
    script = Path(sys.executable).with_name("rt-proxy")
    outcome = subprocess.run(
        [script, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )

    assert outcome.stdout == f"rt-proxy {version('rt-proxy')}\n"


def test_commands() -> None:
    """The commands are those that are documented."""
    assert {names[0] for names in COMMANDS} == {
        "check",
        "init",
        "say",
        "serve",
        "simulate",
        "token",
        "translate",
        "usage",
    }


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_help(names: tuple[str, ...]) -> None:
    """The help of each command has an example that can be pasted."""
    outcome = RUNNER.invoke(main, [*names, "--help"], prog_name="rt-proxy")

    assert outcome.exit_code == 0
    _, _, examples = outcome.stdout.partition("Examples:\n")
    assert re.search(f"(?m)^ +rt-proxy {' '.join(names)}", examples)


@pytest.mark.parametrize("group", [(), ("token",)], ids=" ".join)
def test_summaries_are_whole(group: tuple[str, ...]) -> None:
    """In a terminal of 80 columns no command's summary is cut."""
    outcome = RUNNER.invoke(main, [*group, "--help"], terminal_width=80)

    _, _, commands = outcome.stdout.partition("Commands:\n")
    assert commands
    assert "..." not in commands


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_wrong_arguments(names: tuple[str, ...]) -> None:
    """An option that does not exist is a wrong argument: status 2."""
    outcome = RUNNER.invoke(main, [*names, "--no-such-option"])

    assert outcome.exit_code == 2


def test_unknown_command() -> None:
    """A command that does not exist is a wrong argument: status 2."""
    assert RUNNER.invoke(main, ["dance"]).exit_code == 2


def test_light_start(tmp_path: Path) -> None:
    """The library prints nothing when it is imported, and configures no logging."""
    code = "import logging, rt_proxy; print(logging.getLogger().handlers)"
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert (outcome.stdout, outcome.stderr) == ("[]\n", "")
