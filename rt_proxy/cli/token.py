"""The command `token`: add, list, show, set and revoke what lets clients in.

Only words and arguments are dealt with here; the rules and the file are in ``tokens/``.
A secret is printed once, by `add`; nothing else here has one, and no hash is ever printed.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args

import click

from rt_proxy.cli.allowance import (
    allowance_options,
    budget_json,
    budget_of,
    budget_words,
    limit_words,
)
from rt_proxy.cli.help import command_line, config_option, examples
from rt_proxy.cli.outcome import fail, fail_by_config
from rt_proxy.cli.table import table
from rt_proxy.configfile import load_settings, load_tokens_settings
from rt_proxy.errors import SettingsError, TokenStoreError
from rt_proxy.moments import utc_text
from rt_proxy.settings import BudgetPeriod, ChannelSettings, ClientDialect
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import Allowance, Standing
from rt_proxy.tokens.token import (
    ANY_MODEL,
    Token,
    models_problem,
    name_problem,
    parse_duration,
)

_COLOURS = {Standing.GOOD: "green", Standing.REVOKED: "red", Standing.EXPIRED: "yellow"}


def _duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _new_name(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if problem := name_problem(value):
        raise click.BadParameter(f"it {problem}")
    return value


def _examples(*lines: str) -> str:
    return examples(*(f"rt-proxy token {line}" for line in lines))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def token() -> None:
    """Make, list and revoke the tokens that let clients in.

    A running proxy takes up each change at once, without a reload.
    """


@token.command(
    epilog=_examples(
        "add alice",
        "add kiosk --expires 30d --model gpt-realtime-2.1",
        "add ci --expires 2h > secret.txt",
        "add old-phone --client-dialect beta",
        "add bob --budget-usd 5 --budget-per day --limit sessions=2",
    )
)
@click.argument("name", callback=_new_name)
@click.option(
    "--expires",
    metavar="DURATION",
    callback=_duration,
    help="How long the token is good, such as 2w, 30d, 12h, 90m or 45s.  [default: for ever]",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model that the token may use; may be given more than once.  [default: any]",
)
@click.option("--default-model", help="The model of a client that names none.")
@click.option(
    "--client-dialect",
    type=click.Choice(get_args(ClientDialect)),
    help="The dialect of its clients; auto: each shows its own.  [default: as in the config]",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    help="A channel that the token may use; may be given more than once.  [default: any]",
)
@click.option(
    "--transcription-channel",
    metavar="CHANNEL",
    help="Where its transcription sessions go.  [default: as in the config]",
)
@allowance_options
@_json
@config_option
def add(
    name: str,
    expires: timedelta | None,
    models: tuple[str, ...],
    default_model: str | None,
    client_dialect: ClientDialect | None,
    channels: tuple[str, ...],
    transcription_channel: str | None,
    budget_usd: Decimal | None,
    budget_tokens: int | None,
    budget_per: BudgetPeriod | None,
    budget_time_zone: str | None,
    limits: dict[str, float],
    as_json: bool,
    path: Path,
) -> None:
    """Make a token and print its secret.

    The secret is shown this once and kept nowhere. It is the only thing on stdout.
    """
    models = tuple(dict.fromkeys(models))
    if problem := models_problem(models, default_model):
        raise click.UsageError(problem)
    budget = budget_of(
        None, usd=budget_usd, tokens=budget_tokens, per=budget_per, time_zone=budget_time_zone
    )
    store = _open_store(path)
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        made, secret = store.add(
            name,
            now=now,
            expires=None if expires is None else now + expires,
            models=models,
            default_model=default_model,
            client_dialect=client_dialect,
            channels=tuple(dict.fromkeys(channels)),
            transcription_channel=transcription_channel,
            limits=limits,
            budget=budget,
        )
    except TokenStoreError as error:
        fail(str(error))
    until = "" if made.expires is None else f", good until {utc_text(made.expires)}"
    dialect = "" if client_dialect is None else f", the dialect of its clients is {client_dialect}"
    click.echo(f"Token {made.name} ({made.id}) is in {store.path}{until}{dialect}.", err=True)
    click.echo("Keep the secret now: it is not shown again.", err=True)
    if as_json:
        _print_json(_described(made) | {"secret": secret.reveal()})
    else:
        click.echo(secret.reveal())
    _warn_of_what_is_not_there(made, path)


@token.command(name="list", epilog=_examples("list", "list --json"))
@_json
@config_option
def list_tokens(as_json: bool, path: Path) -> None:
    """List every token, also those that are revoked or have expired."""
    store = _open_store(path)
    tokens = store.tokens()
    if as_json:
        _print_json([_described(token) for token in tokens])
    elif tokens:
        now = datetime.now(UTC)
        _print_table([(token, store.standing(token.id, now)) for token in tokens])
    else:
        make_one = command_line("token add NAME", path)
        click.echo(f"No token in {store.path}. Make one: {make_one}", err=True)


@token.command(epilog=_examples("show alice", "show tok_9f86d081884c --json"))
@click.argument("name_or_id", metavar="NAME|ID")
@_json
@config_option
def show(name_or_id: str, as_json: bool, path: Path) -> None:
    """Show one token, by its name or its id."""
    store = _open_store(path)
    found = find_token(store, name_or_id, path)
    if as_json:
        _print_json(_described(found))
        return
    standing = store.standing(found.id, datetime.now(UTC))
    click.echo(f"id             {found.id}")
    click.echo(f"name           {found.name}")
    click.echo(f"state          {click.style(standing.value, fg=_COLOURS[standing])}")
    click.echo(f"created        {utc_text(found.created)}")
    click.echo(f"expires        {_expiry(found)}")
    click.echo(f"models         {_models(found)}")
    click.echo(f"default model  {found.default_model or 'the default of the proxy'}")
    click.echo(f"dialect        {found.client_dialect or 'the default of the proxy'}")
    click.echo(f"channels       {', '.join(found.channels) or 'any'}")
    click.echo(f"transcription  {found.transcription_channel or 'the default of the proxy'}")
    click.echo(f"budget         {budget_words(found.budget)}")
    click.echo(f"limits         {limit_words(found.limits)}")


@token.command(
    name="set",
    epilog=_examples(
        "set alice --budget-usd 10 --budget-per day",
        "set alice --limit sessions=2 --limit session_seconds=600",
        "set alice --no-budget --no-limits",
    ),
)
@click.argument("name_or_id", metavar="NAME|ID")
@allowance_options
@click.option("--no-budget", is_flag=True, help="It may spend what the proxy may.")
@click.option("--no-limits", is_flag=True, help="Its limits are those of the config.")
@config_option
def set_allowance(
    name_or_id: str,
    budget_usd: Decimal | None,
    budget_tokens: int | None,
    budget_per: BudgetPeriod | None,
    budget_time_zone: str | None,
    limits: dict[str, float],
    no_budget: bool,
    no_limits: bool,
    path: Path,
) -> None:
    """Change what a token may spend and do; its secret stays.

    What is not named stays as it is. It holds for new sessions.
    """
    of_budget = (budget_usd, budget_tokens, budget_per, budget_time_zone)
    if not (limits or no_budget or no_limits or any(each is not None for each in of_budget)):
        raise click.UsageError("nothing is to change; name a budget or a limit, or see --help")

    def allowance(found: Token) -> Allowance:
        budget = budget_of(
            None if no_budget else found.budget,
            usd=budget_usd,
            tokens=budget_tokens,
            per=budget_per,
            time_zone=budget_time_zone,
        )
        return Allowance(({} if no_limits else dict(found.limits)) | limits, budget)

    store = _open_store(path)
    found = find_token(store, name_or_id, path)
    try:
        store.change(found.id, allowance)
    except TokenStoreError as error:
        fail(str(error))
    changed = find_token(store, found.id, path)
    click.echo(f"Token {changed.name} ({changed.id}):", err=True)
    click.echo(f"budget  {budget_words(changed.budget)}", err=True)
    click.echo(f"limits  {limit_words(changed.limits)}", err=True)


@token.command(epilog=_examples("revoke alice", "revoke tok_9f86d081884c"))
@click.argument("name_or_id", metavar="NAME|ID")
@config_option
def revoke(name_or_id: str, path: Path) -> None:
    """Disable a token, by its name or its id.

    Its sessions end within 2 seconds. It stays listed, and its name stays taken.
    """
    store = _open_store(path)
    found = find_token(store, name_or_id, path)
    try:
        store.revoke(found.id)
    except TokenStoreError as error:
        fail(str(error))
    outcome = "was revoked already" if found.disabled else "is revoked"
    click.echo(f"Token {found.name} ({found.id}) {outcome}.", err=True)


def _warn_of_what_is_not_there(made: Token, path: Path) -> None:
    try:
        channels = load_settings(path).channels
    except SettingsError:  # it may be on its way to be right; ``check`` and ``serve`` tell
        return
    for problem in unserved(made, channels):
        click.echo(f"rt-proxy: warning: {problem}", err=True)


def unserved(token: Token, channels: Sequence[ChannelSettings]) -> Iterator[str]:
    """Yield what a token names that no channel has."""
    names = {channel.name for channel in channels}
    models = {model for channel in channels for model in channel.models}
    for name in dict.fromkeys((*token.channels, token.transcription_channel)):
        if name is not None and name not in names:
            yield f"there is no channel {name!r}"
    if ANY_MODEL in models:
        return
    for name in dict.fromkeys((*token.models, token.default_model)):
        if name not in (None, ANY_MODEL) and name not in models:
            yield f"no channel serves model {name!r}"


def _open_store(path: Path) -> FileTokenStore:
    try:
        return FileTokenStore(load_tokens_settings(path).file)
    except SettingsError as error:
        fail_by_config(error)
    except TokenStoreError as error:
        fail(str(error))


def find_token(store: FileTokenStore, name_or_id: str, config: Path) -> Token:
    """Return the token of that name or id; without one, say so and leave with status 1.

    Args:
        store: Where to look.
        name_or_id: Which one.
        config: The config that names the store, for a line to paste.
    """
    found = store.find(name_or_id)
    if found is None:  # what was asked for is not repeated: it may be a secret
        see = command_line("token list", config)
        fail(f"no token in {store.path} has that name or id; see: {see}")
    return found


def _described(token: Token) -> dict[str, object]:
    """Return what may be told of a token, as JSON has it: not its hash."""
    return {
        "id": token.id,
        "name": token.name,
        "created": utc_text(token.created),
        "expires": None if token.expires is None else utc_text(token.expires),
        "disabled": token.disabled,
        "models": list(token.models),
        "default_model": token.default_model,
        "client_dialect": token.client_dialect,
        "channels": list(token.channels),
        "transcription_channel": token.transcription_channel,
        "limits": dict(token.limits),
        "budget": budget_json(token.budget),
    }


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _expiry(token: Token) -> str:
    return "never" if token.expires is None else utc_text(token.expires)


def _models(token: Token) -> str:
    return ", ".join(token.models) or "any"


def _print_table(tokens: Sequence[tuple[Token, Standing]]) -> None:
    header = ("ID", "NAME", "CREATED", "EXPIRES", "STATE", "MODELS")
    head, *lines = table(header, [_row(*each) for each in tokens])
    click.echo(head)
    for line, (_, standing) in zip(lines, tokens, strict=True):
        click.secho(line, fg=_COLOURS[standing])


def _row(token: Token, standing: Standing) -> tuple[str, ...]:
    created, expires, models = utc_text(token.created), _expiry(token), _models(token)
    return token.id, token.name, created, expires, standing.value, models
