"""What several commands share: the option ``--config``, numbers, examples, lines to paste."""

import math
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

_NAME = "rt-proxy"
_DEFAULT_CONFIG = Path("config.toml")

config_option = click.option(
    "--config",
    "path",
    metavar="FILE",
    default=_DEFAULT_CONFIG,
    show_default=True,
    type=click.Path(path_type=Path, readable=False),  # who reads it says it better
    help="The config file.",
)


class Number(click.FloatRange):
    """A number, in words for people where it is none; "not a number" is none."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, as click has it."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return number


class WholeNumber(click.IntRange):
    """A whole number, in words for people where it is none."""

    name = "whole number"


def examples(*lines: str) -> str:
    """Return an epilog for click that shows these command lines as they are."""
    # The control character "\b" keeps click from filling the paragraph; a raw docstring has none.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def program() -> str:
    """Return how the command can be called here: by its path where it is not on the PATH."""
    called = sys.argv[0]
    if Path(called).name != _NAME or shutil.which(_NAME) is not None:
        return _NAME
    return shlex.quote(called)


def command_line(words: str, config: Path) -> str:
    """Return a command line to paste, for the same config file as this command has."""
    option = "" if config == _DEFAULT_CONFIG else f" --config {shlex.quote(str(config))}"
    return f"{program()} {words}{option}"
