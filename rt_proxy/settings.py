"""Settings as frozen values, with their defaults, and the rules across them.

Values only: nothing here reads a file, an environment variable or a clock.
``configfile.py`` makes these values from TOML; embedders may build them directly.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import attrs

Provider = Literal["openai", "azure", "compatible", "simulator"]
Auth = Literal["bearer", "api-key", "none"]
DialectName = Literal["ga", "beta"]
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
class ChannelSettings:
    """One configured upstream route."""

    name: str
    provider: Provider
    #: The client's name of a model -> the upstream's; ``*`` -> ``*`` lets any name through.
    models: Mapping[str, str]
    api_key: Secret | None = None
    priority: int = 0
    weight: int = 1
    base_url: str | None = None
    endpoint: str | None = None
    api_version: str | None = None
    #: None: the provider's own.
    dialect: DialectName | None = None
    auth: Auth | None = None
    first_event: bool = True
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
    goodbye: float = 2
    drain: float = 20


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
    refusals: Refusals = "event"
    listen: ListenSettings = attrs.field(factory=ListenSettings)
    tokens: TokensSettings = attrs.field(factory=TokensSettings)
    usage: UsageSettings | None = None
    limits: Limits = attrs.field(factory=Limits)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    log: LogSettings = attrs.field(factory=LogSettings)
    prices: Mapping[str, PriceSettings] = attrs.field(
        factory=lambda: MappingProxyType({})
    )
