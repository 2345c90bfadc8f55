"""Settings as frozen values, with their defaults.

Values only: nothing here reads a file, an environment variable or a clock.
``configfile.py`` makes these values from TOML; embedders may build them directly.
The rules across them are in ``settingsrules.py``.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

import attrs


def no_limit_if_zero(seconds: float) -> float:
    """Return a deadline's length, endless where the setting is 0."""
    return seconds or math.inf


#: Nobody is left without a word, even where ``timeouts.goodbye`` is 0; in seconds.
_LEAST_GOODBYE = 0.1

Provider = Literal[
    "openai",
    "azure",
    "azure-voice-live",
    "dashscope",
    "xai",
    "glm",
    "inworld",
    "speaches",
    "localai",
    "litellm",
    "vllm",
    "compatible",
    "simulator",
]
Auth = Literal["bearer", "api-key", "basic", "none"]
DialectName = Literal["ga", "beta"]
#: What the URL of a transcription session has in its query.
TranscriptionUrl = Literal["intent", "model and intent", "neither"]
#: What a close code of an upstream speaks of: our key, the request, the model, the account's
#: credits or the upstream's load, the age of the session.
CloseMeaning = Literal["key", "request", "model", "load", "age"]
ClientDialect = Literal["auto", "ga", "beta"]
Refusals = Literal["event", "http"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
BudgetPeriod = Literal["day", "week", "month", "ever"]
#: What becomes of a client's events beyond its rate: they wait, or are answered with an error.
OverRate = Literal["slow", "error"]


@attrs.frozen(repr=False)
class Secret:
    """A text that never shows itself: not in a repr, a log or an error."""

    _value: str

    def reveal(self) -> str:
        """Return the text, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__


@attrs.frozen
class TlsSettings:
    """The certificate chain and private key of the listener, as PEM files."""

    cert: Path
    key: Path


@attrs.frozen
class ListenSettings:
    """Where clients connect, and whose word about them is believed."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls: TlsSettings | None = None
    #: Origins that browsers may come from; None: any.
    origins: tuple[str, ...] | None = None
    #: Addresses or networks whose ``X-Forwarded-For`` is believed.
    trusted_proxies: tuple[str, ...] = ()


@attrs.frozen
class TokensSettings:
    """The token file."""

    file: Path = Path("tokens.toml")


@attrs.frozen
class UsageSettings:
    """The usage ledger."""

    file: Path = Path("usage.db")
    #: How long a row may wait until it is on disk, in seconds.
    sync: float = 1
    #: How many days a row is kept; 0: for ever.
    keep_days: int = 0
    #: Where the days of budgets and reports begin, such as ``Europe/Berlin``.
    time_zone: str = "UTC"
    #: What each session of a budget is kept for at its opening, in seconds of its model's speech.
    reserve: float = 10


def _as_money(amount: Decimal | int | None) -> Decimal | None:
    """Return an amount as a Decimal; a float is none, for nobody knows what it was meant to be.

    A file has 5.0 for 5.
    """
    if type(amount) is int:
        return Decimal(amount)
    if isinstance(amount, Decimal) and amount.is_finite() and amount == amount.to_integral_value():
        return amount.to_integral_value()
    return cast("Decimal | None", amount)  # anything else is told by ``check``


@attrs.frozen
class Budget:
    """What may be spent in a period, in USD or in tokens; whichever is spent first counts."""

    usd: Decimal | None = attrs.field(default=None, converter=_as_money)
    tokens: int | None = None
    per: BudgetPeriod = "month"
    #: Where its days begin; None: as the section [usage] has it.
    time_zone: str | None = None
    #: From how many percent on it is warned of, once in each period; 0: never.
    warn_percent: int = 80


@attrs.frozen
class PriceSettings:
    """USD per million tokens (per minute where named so); None: the built-in price.

    The names are those of the counts in ``rt_proxy.realtime.counts.Tokens``.
    """

    text_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    text_cached_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    text_out: Decimal | None = attrs.field(default=None, converter=_as_money)
    audio_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    audio_cached_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    audio_out: Decimal | None = attrs.field(default=None, converter=_as_money)
    image_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    image_cached_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    per_minute_in: Decimal | None = attrs.field(default=None, converter=_as_money)
    #: From this day on, in UTC; None: always.
    valid_from: date | None = None


#: Models by the beginning of their names -> their prices, one for each time.
PriceTable = Mapping[str, tuple[PriceSettings, ...]]


def _as_price_table(
    prices: Mapping[str, PriceSettings | tuple[PriceSettings, ...]],
) -> PriceTable:
    """Return prices as lists; one alone stands for a list of one, as in the config file."""
    if not isinstance(prices, Mapping):
        return prices  # told by ``check``
    return MappingProxyType(
        {
            model: (price,) if isinstance(price, PriceSettings) else price
            for model, price in prices.items()
        }
    )


_NO_PRICES: PriceTable = MappingProxyType({})


@attrs.frozen
class KeySource:
    """Where a key comes from that changes by itself: a command or a file, read again in time."""

    #: A program and its arguments, which may hold a secret; what it prints is the key.
    command: tuple[str, ...] | None = attrs.field(default=None, repr=False)
    file: Path | None = None
    #: How long a key is used at most; a token that expires sooner is replaced before it does.
    seconds: float = 1800


def _as_mapping(models: Mapping[str, str] | Sequence[str]) -> Mapping[str, str]:
    """Return models as a mapping; a name alone stands for itself, as in the config file."""
    if isinstance(models, list | tuple):
        return MappingProxyType({name: name for name in models})
    return cast("Mapping[str, str]", models)  # anything else is told by ``check``


@attrs.frozen
class ChannelSettings:
    """One configured upstream route."""

    name: str
    provider: Provider
    #: The client's name of a model -> the upstream's; ``*`` -> ``*`` lets any name through.
    #: Also taken as a sequence of names.
    models: Mapping[str, str] = attrs.field(converter=_as_mapping)
    api_key: Secret | None = None
    priority: int = 0
    weight: int = 1
    base_url: str | None = None
    endpoint: str | None = None
    api_version: str | None = None
    #: None: the provider's own.
    dialect: DialectName | None = None
    auth: Auth | None = None
    #: Whether the upstream speaks first; None: as the provider does.
    first_event: bool | None = None
    #: Several keys, used in turn.
    api_keys: tuple[Secret, ...] | None = None
    #: A key that changes by itself, such as an Entra token, in place of ``api_key``.
    api_key_from: KeySource | None = None
    #: Sessions at once; 0: no limit.
    max_sessions: int = 0
    #: Whether transcription sessions may go here; None: as the provider does.
    transcription: bool | None = None
    #: Whether it knows MCP tools; None: as the provider does.
    mcp: bool | None = None
    #: Fields of sessions and responses that the upstream would refuse, such as ``tracing``;
    #: None: those of the provider.
    drop_fields: tuple[str, ...] | None = None
    #: What follows the path of the URL; None: what the provider has there.
    path: str | None = None
    #: The query parameter that names the model, empty: none; None: the provider's own.
    model_parameter: str | None = None
    #: The query parameter that gets a new id for each session, empty: none; None: the provider's.
    session_parameter: str | None = None
    #: How the URL of a transcription session names what it is for; None: as the provider has it.
    transcription_url: TranscriptionUrl | None = None
    #: What the upstream closes with, and what it means by it; None: as the provider does.
    close_codes: Mapping[int, CloseMeaning] | None = None
    #: Further headers of the upgrade request.
    headers: Mapping[str, Secret] | None = None
    #: The certificate authorities that this upstream is verified by, as a PEM file.
    ca_file: Path | None = None
    #: What the upstream verifies us by.
    client_cert: TlsSettings | None = None
    #: An HTTP proxy on the way, such as ``http://user:password@10.0.0.1:3128``; ``direct``: none.
    proxy: Secret | None = None
    #: What its models cost, where that differs from what they cost elsewhere.
    prices: PriceTable = attrs.field(default=_NO_PRICES, converter=_as_price_table)
    #: A fault that a simulator channel shows, such as ``close=1011``.
    fault: str | None = None


@attrs.frozen
class ScopeLimits:
    """What all sessions of one token, or from one address, may do together; 0: no limit."""

    sessions: int = 0
    sessions_per_minute: int = 0
    session_seconds: float = 0
    message_bytes: int = 0
    client_events_per_second: int = 0
    client_bytes_per_second: int = 0
    upstream_events_per_second: int = 0
    upstream_bytes_per_second: int = 0


@attrs.frozen
class Limits:
    """What one proxy holds at once; sizes in bytes, 0 of a count switches it off."""

    sessions: int = 1000
    sessions_per_address: int = 0
    sessions_per_minute: int = 0
    head_bytes: int = 16_384
    message_bytes: int = 33_554_432
    parsed_bytes: int = 4_194_304
    client_events_per_second: int = 0
    client_bytes_per_second: int = 0
    upstream_events_per_second: int = 0
    upstream_bytes_per_second: int = 0
    over_rate: OverRate = "slow"
    #: Of a token that has no limits of its own.
    per_token: ScopeLimits = attrs.field(factory=ScopeLimits)
    per_address: ScopeLimits = attrs.field(factory=ScopeLimits)


@attrs.frozen
class HealthSettings:
    """How long a channel that failed is passed over, in seconds."""

    #: After the first failure; each further one doubles it.
    cooldown: float = 5
    #: The longest.
    max_cooldown: float = 300


@attrs.frozen
class Timeouts:
    """How long things may take, in seconds; 0 switches a deadline off."""

    head: float = 10
    dial: float = 5
    first_event: float = 5
    opening: float = 30
    client_idle: float = 0
    upstream_idle: float = 60
    ping_interval: float = 20
    pong: float = 20
    send_stall: float = 10
    frame_stall: float = 30
    session: float = 0
    before_expiry: float = 10
    tcp_keepalive: float = 60
    goodbye: float = 2
    usage: float = 3
    drain: float = 20

    @property
    def farewell(self) -> float:
        """How long telling a peer why may take: as set, but time enough to write it."""
        return max(self.goodbye, _LEAST_GOODBYE)


@attrs.frozen
class LogSettings:
    """How the command writes its log; the library itself configures no logging."""

    format: LogFormat = "text"
    level: LogLevel = "info"


@attrs.frozen
class Settings:
    """Everything that an operator can set."""

    channels: tuple[ChannelSettings, ...]
    default_model: str | None = None
    #: The dialect of all clients; ``auto``: each shows its own.
    client_dialect: ClientDialect = "auto"
    #: The channel of transcription sessions; None: any that may have them.
    transcription_channel: str | None = None
    refusals: Refusals = "event"
    listen: ListenSettings = attrs.field(factory=ListenSettings)
    tokens: TokensSettings = attrs.field(factory=TokensSettings)
    usage: UsageSettings | None = None
    limits: Limits = attrs.field(factory=Limits)
    health: HealthSettings = attrs.field(factory=HealthSettings)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    log: LogSettings = attrs.field(factory=LogSettings)
    #: Of all tokens together.
    budget: Budget | None = None
    prices: PriceTable = attrs.field(default=_NO_PRICES, converter=_as_price_table)
