"""Settings as frozen values, with their defaults, and the rules across them.

Values only: nothing here reads a file, an environment variable or a clock.
``configfile.py`` makes these values from TOML; embedders may build them directly.
"""

import ipaddress
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast
from urllib.parse import urlsplit

import attrs

from rt_proxy.fieldtypes import wrong_types


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
    """The usage ledger (accepted and checked, not in force yet)."""

    file: Path = Path("usage.db")


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
    #: A fault that a simulator channel shows, such as ``close=1011``.
    fault: str | None = None


@attrs.frozen
class Limits:
    """What one proxy holds at once; sizes in bytes, 0 of a count switches it off."""

    sessions: int = 1000
    sessions_per_address: int = 0
    head_bytes: int = 16_384
    message_bytes: int = 33_554_432
    parsed_bytes: int = 4_194_304


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
class PriceSettings:
    """USD per million tokens (per minute where named so); None: the built-in price."""

    text_in: float | None = None
    text_cached_in: float | None = None
    text_out: float | None = None
    audio_in: float | None = None
    audio_cached_in: float | None = None
    audio_out: float | None = None
    image_in: float | None = None
    image_cached_in: float | None = None
    per_minute_in: float | None = None


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
    prices: Mapping[str, PriceSettings] = attrs.field(factory=lambda: MappingProxyType({}))


#: Seconds. A stuck send leaves an upstream's pings unanswered, and they come every 20 seconds.
_LONGEST_SEND_STALL = 15


def check(settings: Settings) -> list[str]:
    """Return every rule that the settings break, each as ``place: what is wrong``.

    Only what needs no knowledge of a provider; ``rt_proxy.channels.problems`` has the rest.
    """
    # The rules below rely on the types, which settings that were made by hand may not have.
    return list(wrong_types(settings)) or [
        *_wrong_channels(settings.channels),
        *_wrong_default_model(settings),
        *_wrong_listen(settings.listen),
        *_wrong_limits(settings.limits),
        *_wrong_health(settings.health),
        *_wrong_transcription_channel(settings),
        *_wrong_timeouts(settings.timeouts),
        *_wrong_prices(settings.prices),
    ]


def _wrong_channels(channels: tuple[ChannelSettings, ...]) -> Iterator[str]:
    if not channels:
        yield "channels: there is none; at least one [[channels]] is needed"
    first_of_name: dict[str, int] = {}
    for index, channel in enumerate(channels):
        first = first_of_name.setdefault(channel.name, index)
        if first != index:
            yield f"channels[{index}].name: is the name of channels[{first}] too"
        if not _is_word(channel.name):
            yield f"channels[{index}].name: must be a visible text without spaces"


def _wrong_default_model(settings: Settings) -> Iterator[str]:
    model = settings.default_model
    if model is None:
        return
    if model == "*" or not _is_word(model):
        yield "default_model: must be the name of one model"
    elif settings.channels and not any(
        model in channel.models or "*" in channel.models for channel in settings.channels
    ):
        yield "default_model: no channel serves this model; add it to the models of one"


def _wrong_listen(listen: ListenSettings) -> Iterator[str]:
    if not _is_word(listen.host):
        yield "listen.host: must be a host name or an address; 0.0.0.0 and :: mean every one"
    if not 0 <= listen.port <= 65_535:
        yield "listen.port: must be from 0 (any free port) to 65535"
    for index, origin in enumerate(listen.origins or ()):
        if not _is_origin(origin):
            yield (
                f"listen.origins[{index}]: must be what a browser sends, such as "
                "https://app.example.com, without a path"
            )
    for index, network in enumerate(listen.trusted_proxies):
        if not _is_network(network):
            yield (
                f"listen.trusted_proxies[{index}]: must be an address or a network, "
                "such as 127.0.0.1 or 10.0.0.0/8"
            )


def _wrong_limits(limits: Limits) -> Iterator[str]:
    for name in ("sessions", "sessions_per_address"):
        if getattr(limits, name) < 0:
            yield f"limits.{name}: must not be negative; 0 switches it off"
    for name in ("head_bytes", "message_bytes", "parsed_bytes"):
        if getattr(limits, name) < 1:
            yield f"limits.{name}: must be at least 1"
    if limits.parsed_bytes > limits.message_bytes:
        yield f"limits.parsed_bytes: must not exceed message_bytes, {limits.message_bytes}"


def _wrong_health(health: HealthSettings) -> Iterator[str]:
    for field in attrs.fields(HealthSettings):
        if not _is_amount(getattr(health, field.name)):
            yield f"health.{field.name}: must be a number of seconds, 0 or more"
    if health.cooldown > health.max_cooldown:
        yield f"health.cooldown: must not exceed max_cooldown, {health.max_cooldown:g}"


def _wrong_transcription_channel(settings: Settings) -> Iterator[str]:
    wanted = settings.transcription_channel
    if wanted is not None and wanted not in [channel.name for channel in settings.channels]:
        yield "transcription_channel: there is no channel of this name"
    for index, channel in enumerate(settings.channels):
        if channel.name == wanted and channel.transcription is False:
            yield f"transcription_channel: channels[{index}] of this name has transcription = false"


def _wrong_timeouts(timeouts: Timeouts) -> Iterator[str]:
    for field in attrs.fields(Timeouts):
        if not _is_amount(getattr(timeouts, field.name)):
            yield f"timeouts.{field.name}: must be a number of seconds, 0 or more"
    if timeouts.send_stall > _LONGEST_SEND_STALL:
        yield (
            f"timeouts.send_stall: must not exceed {_LONGEST_SEND_STALL}, "
            "for upstreams ping every 20 seconds"
        )


def _wrong_prices(prices: Mapping[str, PriceSettings]) -> Iterator[str]:
    for model, price in prices.items():
        for field in attrs.fields(PriceSettings):
            amount = getattr(price, field.name)
            if amount is not None and not _is_amount(amount):
                yield f'prices."{model}".{field.name}: must be an amount in USD, 0 or more'


def _is_word(text: str) -> bool:
    """Tell whether a text can stand in a log line or a host name as one word."""
    return text.isprintable() and len(text.split()) == 1 and text == text.strip()


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and number >= 0


def _is_origin(text: str) -> bool:
    """Tell whether a browser can send this as ``Origin`` (RFC 6454, section 6.2)."""
    if text == "null":  # a sandboxed page, or one from a file
        return True
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # raises if the port is no number
    except ValueError:
        return False
    whole = f"{parts.scheme}://{parts.netloc}"
    return bool(host) and text.lower() == whole.lower() and "@" not in text and _is_word(text)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
