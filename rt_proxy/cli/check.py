"""``rt-proxy check``: would ``serve`` start with this config file?"""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from rt_proxy.cli.help import config_option, examples
from rt_proxy.cli.outcome import fail_by_config
from rt_proxy.configfile import load_settings, not_in_force
from rt_proxy.errors import SettingsError, TokenStoreError
from rt_proxy.listener.certificate import certificate_problems
from rt_proxy.settings import Settings
from rt_proxy.tokens.file import FileTokenStore


@click.command(
    epilog=examples("rt-proxy check", "rt-proxy check --config /etc/rt-proxy/config.toml")
)
@config_option
def check(path: Path) -> None:
    """Check the config file and what it names, and change nothing.

    All is well: one line on stdout and exit status 0.
    Else one line for each problem, with its place in the file, on stderr and exit status 1.
    """
    try:
        settings = load_settings(path, inspect=_file_problems)
    except SettingsError as error:
        fail_by_config(error)
    click.echo(f"{path}: ok, {summary(settings)}")


def summary(settings: Settings) -> str:
    """Say in a line what settings amount to: ``2 channels, 3 models, would listen on ...``."""
    names = {name for channel in settings.channels for name in channel.models}
    models = [_count(len(names - {"*"}), "model")] if names - {"*"} else []
    if "*" in names:
        models.append("any other model" if models else "any model")
    host = settings.listen.host
    address = f"[{host}]" if ":" in host else host
    parts = [
        _count(len(settings.channels), "channel"),
        " and ".join(models),
        f"would listen on {address}:{settings.listen.port}",
    ]
    if idle := not_in_force(settings):
        parts.append(f"not in force yet: {' and '.join(f'[{name}]' for name in idle)}")
    return ", ".join(parts)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _file_problems(settings: Settings) -> Iterator[str]:
    """Look at the files that serve would read."""
    if settings.listen.tls is not None:
        yield from certificate_problems(settings.listen.tls)
    yield from _tokens_problems(settings.tokens.file)


def _tokens_problems(path: Path) -> Iterator[str]:
    try:
        FileTokenStore(path)
    except TokenStoreError as error:
        yield f"tokens.file: {error}"
        return
    if not path.exists() and not os.access(path.parent, os.W_OK | os.X_OK):
        yield f"tokens.file: {path} is not there and cannot be made in its folder"
