"""What ``rt-proxy check --explain`` prints: who serves a client, and why not the others."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from rt_proxy.cli.outcome import COULD_NOT, fail
from rt_proxy.cli.table import table
from rt_proxy.cli.token import find_token
from rt_proxy.errors import TokenStoreError
from rt_proxy.listener.explain import Explanation, Place, explain
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import Settings
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.token import Token

_CLIENTS = {Dialect.GA: "GA clients", Dialect.BETA: "Beta clients"}


def print_explanation(
    settings: Settings,
    config: Path,
    *,
    model: str | None,
    token_name: str | None,
    transcription: bool,
    as_json: bool,
) -> None:
    """Print what becomes of a client; the exit status is 1 where it is refused.

    Args:
        settings: What is in force.
        config: Where they come from, for a line to paste.
        model: The model that the client names; None: none.
        token_name: The name or the id of its token; None: one that may use everything.
        transcription: Whether it asks for a transcription session.
        as_json: Print one object in JSON.
    """
    token = None if token_name is None else _find(settings, config, token_name)
    told = explain(
        settings, model=model, token=token, now=datetime.now(UTC), transcription=transcription
    )
    if as_json:
        described = _described(told, token, settings, transcription=transcription)
        click.echo(json.dumps(described, ensure_ascii=False, indent=2))
    else:
        client = _client(told, model, token, transcription=transcription)
        for line in _lines(told, client, settings):
            click.echo(line)
    if told.refusal is not None:
        sys.exit(COULD_NOT)


def _find(settings: Settings, config: Path, name_or_id: str) -> Token:
    try:
        return find_token(FileTokenStore(settings.tokens.file), name_or_id, config)
    except TokenStoreError as error:
        fail(str(error))


def _client(
    told: Explanation, model: str | None, token: Token | None, *, transcription: bool
) -> str:
    """Say in words which client this is about."""
    who = "with a token for everything" if token is None else f"with the token {token.name}"
    if transcription:
        what = "asks for a transcription session"
    elif model is not None:
        what = f"asks for {model}"
    elif told.model is not None:
        what = f"names no model, and so gets {told.model},"
    else:
        what = "names no model"
    return f"A client {who} that {what}"


def _lines(told: Explanation, client: str, settings: Settings) -> Iterator[str]:
    if told.refusal is None:
        yield f"{client} is served by the first of these channels that can:"
        yield ""
        yield from _table_of(told.places)
        if any(place.first < place.last for place in told.places):
            yield ""
            yield "Where TRY is a range, chance decides by weight; CHANCE is that of coming first."
    else:
        yield click.style(f"{client} is refused:", fg="red")
        yield ""
        yield from _refused(told.refusal, settings)
    if told.passed_over:
        yield ""
        yield "Not tried:"
        yield ""
        yield from table(("CHANNEL", "WHY"), [list(pair) for pair in told.passed_over.items()])


def _table_of(places: tuple[Place, ...]) -> list[str]:
    header = (
        "TRY", "CHANCE", "CHANNEL", "UPSTREAM", "MODEL THERE", "DIALECT", "TRANSLATED FOR",
        "SESSIONS", "LEFT OUT",
    )  # fmt: skip
    return table(header, list(map(_row, places)), right=("TRY", "CHANCE"))


def _row(place: Place) -> tuple[str, ...]:
    channel = place.channel
    alone = place.first == place.last
    return (
        str(place.first) if alone else f"{place.first}-{place.last}",
        "" if alone else f"{place.chance * 100:.0f} %",
        channel.name,
        place.upstream or "simulator, in memory",
        place.upstream_model or "none named",
        channel.dialect.value,
        ", ".join(_CLIENTS[dialect] for dialect in place.translated_for) or "nobody",
        f"at most {channel.max_sessions}" if channel.max_sessions else "no limit",
        ", ".join([*sorted(channel.drop_fields), *([] if channel.mcp else ["MCP tools"])]) or "-",
    )


def _refused(refusal: Refusal, settings: Settings) -> list[str]:
    where = "everywhere" if settings.refusals == "http" else "on the paths of Azure"
    rows = [
        ("code", refusal.code),
        ("type", refusal.type),
        ("close code", f"{refusal.close_code}, with the reason {refusal.close_reason}"),
        ("HTTP status", f"{refusal.status}, in place of the close code {where}"),
        ("message", refusal.message),
    ]
    names = max(len(name) for name, _ in rows)
    return [f"{name:<{names}}  {value}" for name, value in rows]


def _described(
    told: Explanation, token: Token | None, settings: Settings, *, transcription: bool
) -> dict[str, object]:
    return {
        "token": None if token is None else {"id": token.id, "name": token.name},
        "model": told.model,
        "intent": "transcription" if transcription else "realtime",
        "served": told.refusal is None,
        "channels": list(map(_place, told.places)),
        "passed_over": [{"channel": name, "why": why} for name, why in told.passed_over.items()],
        "refusal": None if told.refusal is None else _refusal(told.refusal, settings),
    }


def _place(place: Place) -> dict[str, object]:
    channel = place.channel
    return {
        "channel": channel.name,
        "provider": channel.provider,
        "tries": [place.first, place.last],
        "chance": round(place.chance, 4),
        "priority": channel.priority,
        "weight": channel.weight,
        "upstream": place.upstream,
        "upstream_model": place.upstream_model,
        "dialect": channel.dialect.value,
        "translated_for": [dialect.value for dialect in place.translated_for],
        "drop_fields": sorted(channel.drop_fields),
        "mcp": channel.mcp,
        "max_sessions": channel.max_sessions or None,
    }


def _refusal(refusal: Refusal, settings: Settings) -> dict[str, object]:
    return {
        "form": settings.refusals,
        "type": refusal.type,
        "code": refusal.code,
        "message": refusal.message,
        "close_code": refusal.close_code,
        "close_reason": refusal.close_reason,
        "status": refusal.status,
    }
