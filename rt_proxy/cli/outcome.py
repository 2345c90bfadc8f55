"""How a command says that it could not: one clear line on stderr, exit status 1."""

from typing import NoReturn

import click

from rt_proxy.errors import SettingsError

#: Exit statuses; 2 (wrong arguments) is click's own.
COULD_NOT = 1
UNCLEAN_STOP = 3


def fail(*messages: str) -> NoReturn:
    """Print each message on a line of its own on stderr and leave with status 1."""
    for message in messages:
        click.echo(f"rt-proxy: {message}", err=True)
    raise SystemExit(COULD_NOT)


def fail_by_config(error: SettingsError) -> NoReturn:
    """Print each problem of a config file on a line that begins with the file; status 1."""
    click.echo(str(error), err=True)
    raise SystemExit(COULD_NOT) from None
