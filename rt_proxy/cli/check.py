"""``rt-proxy check``: would ``serve`` start with this config file, and what would it do?"""

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from rt_proxy.cli.explain import print_explanation
from rt_proxy.cli.help import config_option, examples
from rt_proxy.cli.live import print_live
from rt_proxy.cli.outcome import fail_by_config
from rt_proxy.cli.token import unserved
from rt_proxy.configfile import load_settings
from rt_proxy.errors import SettingsError, TokenStoreError
from rt_proxy.listener.certificate import certificate_problems, upstream_file_problems
from rt_proxy.settings import KeySource, Settings
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import Standing

_SQLITE = b"SQLite format 3\0"
#: What ``--explain`` has for a model where none is given.
_NO_MODEL = ""


def _visible(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Take a name that can be printed; where it may be left out, it may be empty."""
    if name and not name.isprintable():
        raise click.BadParameter("it must not have control characters")
    return name


def _not_empty(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    if name == "":
        raise click.BadParameter("it must not be empty")
    return _visible(context, option, name)


@click.command(
    epilog=examples(
        "rt-proxy check",
        "rt-proxy check --config /etc/rt-proxy/config.toml",
        "rt-proxy check --live",
        "rt-proxy check --live --model gpt-realtime-2.1 --json",
        "rt-proxy check --explain gpt-realtime-2.1 --token alice",
        "rt-proxy check --explain --transcription",
    )
)
@click.option("--live", is_flag=True,
              help="Open a session on every channel, with each of its keys, "
              "and close it at once.")  # fmt: skip
@click.option("--explain", "explained", metavar="[MODEL]", is_flag=False, flag_value=_NO_MODEL,
              callback=_visible,
              help="Say which channels a client is served by that asks for MODEL, and why not by "
              "the others; without MODEL: a client that names none.")  # fmt: skip
@click.option("--token", "token_name", metavar="NAME|ID",
              help="With --explain: the client's token, by its name or its id.  "
              "[default: one that may use everything]")  # fmt: skip
@click.option("--model", callback=_not_empty,
              help="With --live: what to ask for on channels that serve it.  "
              "[default: a model of each channel]")  # fmt: skip
@click.option("--transcription", is_flag=True,
              help="With --live or --explain: it is about transcription sessions.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="With --live or --explain: print JSON.")
@config_option
def check(
    live: bool,
    explained: str | None,
    token_name: str | None,
    model: str | None,
    transcription: bool,
    as_json: bool,
    path: Path,
) -> None:
    """Check the config file and what it names, and change nothing.

    All is well: one line on stdout and exit status 0; a token that names a channel or a model
    which no channel has is warned of on stderr.
    Else one line for each problem, with its place in the file, on stderr and exit status 1.

    --live opens a session on every channel, all side by side, as the proxy would, and prints
    how long each step took. Nothing is said in it. Exit status: 0 all were opened; 1 one was
    not; 130 stopped with Ctrl-C.

    --explain dials nothing. Exit status: 0 there is a channel; 1 the client is refused, and
    the refusal is printed. What a running proxy knows of failures is not in it.
    """
    _check_arguments(
        live=live,
        explain=explained is not None,
        of_explain={"--token": token_name is not None},
        of_live={"--model": model is not None},
        of_both={"--transcription": transcription, "--json": as_json},
    )
    if model is not None and transcription:
        raise click.UsageError("--transcription sessions name no model; leave out --model")
    try:
        settings = load_settings(path, inspect=_file_problems)
    except SettingsError as error:
        fail_by_config(error)
    if live:
        print_live(settings, model=model, transcription=transcription, as_json=as_json)
    elif explained is not None:
        print_explanation(
            settings,
            path,
            model=explained or None,
            token_name=token_name,
            transcription=transcription,
            as_json=as_json,
        )
    else:
        for warning in _token_warnings(settings):
            click.echo(f"{settings.tokens.file}: warning: {warning}", err=True)
        click.echo(f"{path}: ok, {summary(settings)}")


def _check_arguments(
    *,
    live: bool,
    explain: bool,
    of_explain: Mapping[str, bool],
    of_live: Mapping[str, bool],
    of_both: Mapping[str, bool],
) -> None:
    """Refuse options that have no meaning beside the others."""
    if live and explain:
        raise click.UsageError("give --live or --explain, not both")
    for needed, is_there, options in (
        ("--explain", explain, of_explain),
        ("--live", live, of_live),
        ("--live or --explain", live or explain, of_both),
    ):
        for option, is_given in options.items():
            if is_given and not is_there:
                raise click.UsageError(f"{option} goes with {needed}")


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
    return ", ".join(parts)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _file_problems(settings: Settings) -> Iterator[str]:
    """Look at the files that serve would read."""
    if settings.listen.tls is not None:
        yield from certificate_problems(settings.listen.tls)
    for index, channel in enumerate(settings.channels):
        yield from upstream_file_problems(
            channel.ca_file, channel.client_cert, f"channels[{index}]."
        )
        if channel.api_key_from is not None:
            yield from _key_source_problems(channel.api_key_from, f"channels[{index}].api_key_from")
    yield from _tokens_problems(settings.tokens.file)
    if settings.usage is not None:
        yield from _ledger_problems(settings.usage.file)


def _key_source_problems(source: KeySource, place: str) -> Iterator[str]:
    if source.command and shutil.which(source.command[0]) is None:
        yield f"{place}.command: there is no program {source.command[0]!r} that can be run"
    if source.file is not None and not os.access(source.file, os.R_OK):
        yield f"{place}.file: {source.file} is not there or cannot be read"


def _tokens_problems(path: Path) -> Iterator[str]:
    try:
        FileTokenStore(path)
    except TokenStoreError as error:
        yield f"tokens.file: {error}"
        return
    if not path.exists() and not _is_writable_folder(path.parent):
        yield f"tokens.file: {path} is not there and cannot be made in its folder"


def _ledger_problems(path: Path) -> Iterator[str]:
    """Look at the ledger from outside: opening it, even to read, makes files beside it."""
    if path.is_dir():
        yield f"usage.file: {path} is a folder"
    elif not _is_writable_folder(path.parent):
        yield f"usage.file: {path} cannot be kept in its folder, which is not there or not writable"
    elif path.exists() and not os.access(path, os.R_OK | os.W_OK):
        yield f"usage.file: {path} may not be read and written"
    elif path.is_file() and not _begins_as_database(path):
        yield f"usage.file: {path} is no usage ledger; name another file, or move that one away"


def _begins_as_database(path: Path) -> bool:
    """Whether a file is empty, or one of SQLite (Database File Format, 1.3)."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) in (b"", _SQLITE)
    except OSError:
        return False


def _is_writable_folder(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _token_warnings(settings: Settings) -> Iterator[str]:
    """Tell of the tokens that let clients in, but name what no channel has."""
    try:
        store = FileTokenStore(settings.tokens.file)
    except TokenStoreError as error:  # it was good a moment ago
        yield str(error)
        return
    now = datetime.now(UTC)
    for token in store.tokens():
        if store.standing(token.id, now) is Standing.GOOD:
            for problem in unserved(token, settings.channels):
                yield f"{token.name} ({token.id}): {problem}"
