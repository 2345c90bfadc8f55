"""Who is let in, and to what: pure decisions on a hello.

Nothing here dials, reads a stream or asks for the time.
"""

from collections.abc import Sequence
from datetime import datetime
from random import Random

import attrs

from rt_proxy.channels import Channel, choose, first_model, served_models
from rt_proxy.realtime import refusals
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import ClientDialect, Secret
from rt_proxy.tokens.store import TokenStore
from rt_proxy.tokens.token import ANY_MODEL, Token

_INTENTS = (None, "realtime", "transcription")


@attrs.frozen
class Ticket:
    """What a client was let in for, frozen at the gate.

    Attributes:
        hello: What it asked for.
        token: What let it in.
        model: The model by the client's name; None: a transcription session.
        dialect: The shape of its events; None: the first event that shows one decides.
        channels: The channels to try, in order; never empty.
    """

    hello: Hello
    token: Token
    model: str | None
    dialect: Dialect | None
    channels: tuple[Channel, ...]


def authenticate(secret: Secret | None, tokens: TokenStore, now: datetime) -> Token | Refusal:
    """Return the token of a credential, or the refusal that says what is wrong with it."""
    if secret is None:
        return refusals.invalid_api_key(
            "No token was given: send it as 'Authorization: Bearer TOKEN', as an api-key header, "
            "as the subprotocol 'openai-insecure-api-key.TOKEN', or as ?token=."
        )
    token = tokens.authenticate(secret)
    if token is None:
        return refusals.invalid_api_key("The token is not known here.")
    if token.disabled:
        return refusals.invalid_api_key("The token is disabled.")
    if token.expires is not None and token.expires <= now:
        return refusals.invalid_api_key("The token has expired.")
    return token


def admit(
    hello: Hello,
    token: Token,
    channels: Sequence[Channel],
    *,
    default_model: str | None,
    client_dialect: ClientDialect,
    random: Random,
) -> Ticket | Refusal:
    """Decide what an authenticated client gets.

    Args:
        hello: What it asks for.
        token: What let it in.
        channels: All channels.
        default_model: The model of the settings for clients that name none.
        client_dialect: The dialect of the settings for clients whose token names none.
        random: The source of chance among channels of one priority.
    """
    if hello.intent not in _INTENTS:
        return refusals.invalid_intent(hello.intent or "")
    model = None
    if hello.intent != "transcription":
        named = hello.model or token.default_model or default_model
        model = named or first_model(channels)
        if model is None:
            return refusals.missing_model()
    elif not token.allows_any:
        return refusals.transcription_not_allowed()
    chosen = choose(channels, model=model, random=random)
    if model is not None and not chosen:
        return refusals.model_unknown(model)
    if model is not None and not token.allows(model):
        return refusals.model_not_allowed(model)
    dialect = _dialect(token.client_dialect or client_dialect, hello)
    return Ticket(hello, token, model, dialect, chosen)


def _dialect(wish: str, hello: Hello) -> Dialect | None:
    return hello.dialect if wish == "auto" else Dialect(wish)


def models_for(
    token: Token, channels: Sequence[Channel], *, default_model: str | None
) -> list[str]:
    """Return the models that a token may use, by the names that clients give them.

    A channel with ``*`` names none; there the names that the token and the settings know help.
    """
    known = [*served_models(channels), *token.models, token.default_model, default_model]
    return [
        model
        for model in dict.fromkeys(known)
        if model is not None and model != ANY_MODEL
        if token.allows(model)
        if any(channel.upstream_model(model) is not None for channel in channels)
    ]
