"""Who is let in, and to what: pure decisions on a hello.

Nothing here dials, reads a stream or asks for the time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

import attrs

from rt_proxy.channels import (
    Channel,
    Choice,
    Condition,
    Wish,
    choose,
    first_model,
    served_models,
    unfit,
)
from rt_proxy.realtime import refusals
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import ClientDialect, Secret
from rt_proxy.tokens.store import Standing, TokenStore
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
        choice: The channels to try, of which there is at least one.
    """

    hello: Hello
    token: Token
    model: str | None
    dialect: Dialect | None
    choice: Choice

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels to try, in order; never empty."""
        return self.choice.channels

    @property
    def model_in_url(self) -> str | None:
        """The model for the upstream's URL, by the client's name; None: it wants none.

        A transcription session has no model, but some upstreams want one in its URL; there
        the client's word counts if its token allows it.
        """
        named = self.model or self.hello.model
        return named if named is not None and self.token.allows(named) else None


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
    return out_of_force(token, now) or token


def out_of_force(token: Token, now: datetime) -> Refusal | None:
    """Return the refusal of a token that is known and does not count any more; None: it does."""
    if token.disabled:
        return refusals.invalid_api_key("The token is disabled.")
    if token.expires is not None and token.expires <= now:
        return late_refusal(Standing.EXPIRED)
    return None


def late_refusal(standing: Standing) -> Refusal:
    """Return the refusal of a token that was good when it was shown, and is not any more."""
    why = "The token has expired." if standing is Standing.EXPIRED else "The token was revoked."
    return refusals.invalid_api_key(why)


def wanted_model(
    hello: Hello, token: Token, channels: Sequence[Channel], *, default_model: str | None
) -> str | None:
    """Return the model that a client gets if it may; None: a transcription session, or no model.

    The client's word counts first, then that of its token, then that of the settings.
    """
    if hello.intent == "transcription":
        return None
    return hello.model or token.default_model or default_model or first_model(channels)


def admit(
    hello: Hello,
    token: Token,
    channels: Sequence[Channel],
    *,
    default_model: str | None,
    client_dialect: ClientDialect,
    transcription_channel: str | None,
    health: Mapping[str, Condition],
    now: float,
    random: Random,
) -> Ticket | Refusal:
    """Decide what an authenticated client gets.

    Args:
        hello: What it asks for.
        token: What let it in.
        channels: All channels.
        default_model: The model of the settings for clients that name none.
        client_dialect: The dialect of the settings for clients whose token names none.
        transcription_channel: Where the settings send the transcription sessions of clients
            whose token names no channel for them.
        health: How the channels do.
        now: The moment, on the clock of ``health``.
        random: The source of chance among channels of one priority.
    """
    if hello.intent not in _INTENTS:
        return refusals.invalid_intent(hello.intent or "")
    model = wanted_model(hello, token, channels, default_model=default_model)
    if hello.intent != "transcription":
        if model is None:
            return refusals.missing_model()
    elif not token.allows_any and token.transcription_channel is None:
        return refusals.transcription_not_allowed()
    wish = wish_of(token, model, transcription_channel)
    if model is not None:
        if all(channel.upstream_model(model) is None for channel in channels):
            return refusals.model_unknown(model)
        if not token.allows(model):
            return refusals.model_not_allowed(model)
    fit = [channel for channel in channels if unfit(channel, wish) is None]
    if not fit:
        return refusals.no_channel(model)
    choice = choose(fit, wish, health=health, now=now, random=random)
    if not choice.channels:
        why = "; ".join(f"{name}: {why}" for name, why in choice.passed_over.items())
        return refusals.upstream_unavailable(
            f"No channel can serve now. {why}.", retry_after=choice.retry_after
        )
    dialect = _dialect(token.client_dialect or client_dialect, hello)
    return Ticket(hello, token, model, dialect, choice)


def wish_of(token: Token, model: str | None, transcription_channel: str | None) -> Wish:
    """Return what a client with a token wants of a channel.

    Args:
        token: What let it in.
        model: The model by the client's name; None: a transcription session.
        transcription_channel: As the settings have it.
    """
    return Wish(model, token.channels, token.transcription_channel or transcription_channel)


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
        if any(unfit(channel, wish_of(token, model, None)) is None for channel in channels)
    ]
