"""Facts about who is let in, and to what."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from rt_proxy.channels import Channel, Condition, make_channels
from rt_proxy.listener.admission import Ticket, admit, authenticate, models_for
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import ChannelSettings, ClientDialect, Secret, Settings
from rt_proxy.tokens.store import MemoryTokenStore
from rt_proxy.tokens.token import Token

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def hello(**fields: Any) -> Hello:
    """Return a hello of a GA client that names nothing."""
    given = {
        "path": "/v1/realtime",
        "azure": False,
        "dialect": Dialect.GA,
        "model": None,
        "intent": None,
        "credential": None,
        "offers_realtime": False,
        "websocket_key": "x",
    }
    return Hello(**(given | fields))


def channels(*models: Mapping[str, str], **fields: Any) -> tuple[Channel, ...]:
    """Return channels with these models, the first of the highest priority."""
    return make_channels(
        Settings(
            channels=tuple(
                ChannelSettings(
                    f"channel-{index}",
                    "compatible",
                    names,
                    base_url="ws://127.0.0.1:9/v1",
                    auth="none",
                    priority=-index,
                    **fields,
                )
                for index, names in enumerate(models)
            )
        )
    )


def token(**fields: Any) -> Token:
    """Return a token that may use everything."""
    return Token("tok_1", "tester", "0" * 64, NOW, **fields)


def admitted(
    asked: Hello,
    *,
    holder: Token | None = None,
    served: tuple[Channel, ...] | None = None,
    default_model: str | None = None,
    client_dialect: ClientDialect = "auto",
    transcription_channel: str | None = None,
    health: Mapping[str, Condition] | None = None,
) -> Ticket | Refusal:
    """Decide on a hello."""
    return admit(
        asked,
        holder or token(),
        channels({"a": "up-a"}, {"b": "up-b"}) if served is None else served,
        default_model=default_model,
        client_dialect=client_dialect,
        transcription_channel=transcription_channel,
        health=health or {},
        now=0,
        random=Random(0),
    )


def code_of(decision: Ticket | Token | Refusal) -> tuple[int, str, int | None]:
    """Return how a refusal is told."""
    assert isinstance(decision, Refusal)
    return decision.status, decision.code, decision.close_code


def test_authenticate() -> None:
    """A token lets in whoever holds its secret, until it is disabled or has expired."""
    store = MemoryTokenStore()
    good, secret = store.add("good", now=NOW)
    _, brief = store.add("brief", now=NOW, expires=NOW + timedelta(seconds=1))
    _, off = store.add("off", now=NOW)
    store.revoke("off")
    assert authenticate(secret, store, NOW) == good
    assert isinstance(authenticate(brief, store, NOW), Token)
    later = NOW + timedelta(seconds=1)
    for credential, at in [(None, NOW), (Secret("x"), NOW), (off, NOW), (brief, later)]:
        refusal = authenticate(credential, store, at)
        assert code_of(refusal) == (401, "invalid_api_key", 3000)
        assert isinstance(refusal, Refusal)
        assert credential is None or credential.reveal() not in refusal.body().decode()[30:60]


@pytest.mark.parametrize(
    ("named", "of_token", "of_settings", "expected"),
    [
        ("b", "a", "a", "b"),
        (None, "b", "a", "b"),
        (None, None, "b", "b"),
        (None, None, None, "a"),
    ],
)
def test_the_model(
    named: str | None, of_token: str | None, of_settings: str | None, expected: str
) -> None:
    """The client's model, else the token's, else the settings', else the first channel's."""
    decision = admitted(
        hello(model=named), holder=token(default_model=of_token), default_model=of_settings
    )
    assert isinstance(decision, Ticket)
    assert decision.model == expected
    assert [channel.upstream_model(expected) for channel in decision.channels] == [f"up-{expected}"]


def test_refusals() -> None:
    """What cannot be served is refused with the code of its kind."""
    assert code_of(admitted(hello(intent="dance"))) == (400, "invalid_intent", 4000)
    assert code_of(admitted(hello(intent=""))) == (400, "invalid_intent", 4000)
    assert code_of(admitted(hello(model="no"))) == (404, "model_not_found", 4004)
    assert code_of(admitted(hello(model="b"), holder=token(models=("a",)))) == (
        403,
        "model_not_found",
        4004,
    )
    assert code_of(admitted(hello(), served=channels({"*": "*"}))) == (400, "missing_model", 4000)


def test_an_unknown_model_is_not_told_apart_by_the_token() -> None:
    """A model that is not there is unknown, whatever the token may use."""
    decision = admitted(hello(model="no"), holder=token(models=("a",)))
    assert code_of(decision) == (404, "model_not_found", 4004)


def test_the_channels_of_a_token() -> None:
    """A token that is limited to channels gets no model of another one."""
    served = channels({"a": "x"}, {"b": "y"})
    holder = token(channels=("channel-1",))
    decision = admitted(hello(model="b"), holder=holder, served=served)
    assert isinstance(decision, Ticket)
    assert [channel.name for channel in decision.channels] == ["channel-1"]
    refused = admitted(hello(model="a"), holder=holder, served=served)
    assert code_of(refused) == (403, "model_not_found", 4004)
    assert models_for(holder, served, default_model=None) == ["b"]


def test_the_channel_of_transcriptions() -> None:
    """The token's channel for transcriptions, else the settings', is the one that is tried."""
    asked = hello(intent="transcription")
    for of_token, expected in ((None, ["channel-1"]), ("channel-0", ["channel-0"])):
        decision = admitted(
            asked,
            holder=token(transcription_channel=of_token),
            transcription_channel="channel-1",
        )
        assert isinstance(decision, Ticket)
        assert [channel.name for channel in decision.channels] == expected
    limited = token(models=("a",), transcription_channel="channel-0")
    assert isinstance(admitted(asked, holder=limited), Ticket)
    nowhere = admitted(asked, transcription_channel="gone")
    assert code_of(nowhere) == (403, "model_not_found", 4004)


def test_when_no_channel_can_serve_now() -> None:
    """Where all that could are full, barred or refused, the client is told so, and when to come."""
    health = {
        "channel-0": Condition(failures=1, why="HTTP 429", barred_until=7),
        "channel-1": Condition(key_refused=True, why="HTTP 401"),
    }
    served = channels({"a": "x"}, {"a": "y"})
    refused = admitted(hello(model="a"), served=served, health=health)
    assert code_of(refused) == (503, "upstream_unavailable", 1013)
    assert isinstance(refused, Refusal)
    assert refused.headers == (("Retry-After", "7"),)
    assert refused.message == (
        "No channel can serve now. channel-0: it asked to be left alone for 7 s (HTTP 429); "
        "channel-1: its key was refused (HTTP 401), it waits for a reload."
    )


@pytest.mark.parametrize("channel_dialect", ["ga", "beta"])
@pytest.mark.parametrize("dialect", [None, *Dialect])
def test_dialects(channel_dialect: str, dialect: Dialect | None) -> None:
    """A channel serves clients of either dialect; the ticket says what the head has shown."""
    served = channels({"a": "a"}, dialect=channel_dialect)
    decision = admitted(hello(model="a", dialect=dialect), served=served)
    assert isinstance(decision, Ticket)
    assert decision.dialect is dialect


@pytest.mark.parametrize("shown", [None, *Dialect])
@pytest.mark.parametrize(
    ("of_token", "of_settings", "expected"),
    [
        (None, "ga", Dialect.GA),
        (None, "beta", Dialect.BETA),
        ("ga", "beta", Dialect.GA),
        ("beta", "auto", Dialect.BETA),
    ],
)
def test_a_dialect_that_is_set(
    shown: Dialect | None, of_token: Any, of_settings: Any, expected: Dialect
) -> None:
    """The token's dialect, else the settings', overrides what the head shows."""
    decision = admitted(
        hello(dialect=shown), holder=token(client_dialect=of_token), client_dialect=of_settings
    )
    assert isinstance(decision, Ticket)
    assert decision.dialect is expected


@pytest.mark.parametrize("shown", [None, *Dialect])
def test_a_token_that_is_left_to_show_its_dialect(shown: Dialect | None) -> None:
    """With ``auto`` a token takes its clients out of the dialect of the settings."""
    decision = admitted(
        hello(dialect=shown), holder=token(client_dialect="auto"), client_dialect="beta"
    )
    assert isinstance(decision, Ticket)
    assert decision.dialect is shown


def test_transcription() -> None:
    """A transcription session has no model, and any channel may serve it."""
    decision = admitted(hello(intent="transcription", model="b"))
    assert isinstance(decision, Ticket)
    assert decision.model is None
    assert len(decision.channels) == 2


@pytest.mark.parametrize(
    ("named", "models", "in_url"),
    [("b", (), "b"), ("b", ("a",), None), ("a", ("a",), "a"), (None, (), None)],
)
def test_the_model_in_the_url_of_a_transcription_session(
    named: str | None, models: tuple[str, ...], in_url: str | None
) -> None:
    """What the client named goes on to an upstream that wants it, if the token allows it."""
    holder = token(models=models, transcription_channel="channel-0")
    decision = admitted(hello(intent="transcription", model=named), holder=holder)
    assert isinstance(decision, Ticket)
    assert decision.model_in_url == in_url


def test_transcription_with_a_token_of_certain_models() -> None:
    """A session that names no model is not for a token that may use only some."""
    decision = admitted(hello(intent="transcription"), holder=token(models=("a",)))
    assert code_of(decision) == (403, "model_not_found", 4004)
    assert isinstance(decision, Refusal)
    assert decision.param == "intent"


@pytest.mark.parametrize("models", [(), ("*",), ("a", "*")])
def test_transcription_with_a_token_of_any_model(models: tuple[str, ...]) -> None:
    """A token without a list, or with ``*`` in it, may use what has no name too."""
    decision = admitted(hello(intent="transcription"), holder=token(models=models))
    assert isinstance(decision, Ticket)


@pytest.mark.parametrize("dialect", [None, *Dialect])
def test_the_first_model_is_the_same_for_all_dialects(dialect: Dialect | None) -> None:
    """A client that names no model gets the first one by priority, whatever it speaks."""
    served = channels({"beta-model": "y"}, {"ga-model": "x"}, dialect="beta")
    decision = admitted(hello(dialect=dialect), served=served)
    assert isinstance(decision, Ticket)
    assert decision.model == "beta-model"


def test_the_models_of_a_token() -> None:
    """A token sees what it may use and what is served, each once; ``*`` names nothing."""
    named = channels({"a": "up-a", "b": "up-b"}, {"a": "other", "c": "up-c"})
    assert models_for(token(), named, default_model="b") == ["a", "b", "c"]
    assert models_for(token(models=("c", "no")), named, default_model="b") == ["c"]


def test_the_models_of_a_channel_that_serves_any() -> None:
    """Where a channel has ``*`` the names that the token and the settings give are listed."""
    any_model = channels({"*": "*"})
    assert models_for(token(), any_model, default_model=None) == []
    assert models_for(token(), any_model, default_model="of-settings") == ["of-settings"]
    holder = token(models=("mine", "own"), default_model="own")
    assert models_for(holder, any_model, default_model="of-settings") == ["mine", "own"]
    holder = token(models=("*",), default_model="own")
    assert models_for(holder, any_model, default_model="of-settings") == ["own", "of-settings"]
