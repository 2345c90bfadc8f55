"""What differs between two settings: each difference told once, and no secret in it."""

import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    HealthSettings,
    KeySource,
    Limits,
    ListenSettings,
    LogSettings,
    PriceSettings,
    Secret,
    Settings,
    Timeouts,
    TlsSettings,
    TokensSettings,
    UsageSettings,
)
from rt_proxy.settingsdiff import changes, needs_restart

CHANNEL = ChannelSettings(
    "openai",
    "openai",
    {"a": "a", "b": "b"},
    api_key=Secret("sk-hush"),
    drop_fields=("speed",),
)
OTHER = ChannelSettings("reserve", "compatible", {"*": "*"}, base_url="wss://up.test/v1")
SETTINGS = Settings(channels=(CHANNEL, OTHER))
TLS = TlsSettings(Path("/etc/cert.pem"), Path("/etc/key.pem"))


def of(**fields: Any) -> tuple[str, ...]:
    """Return what is told where these fields of the settings become others."""
    return changes(SETTINGS, attrs.evolve(SETTINGS, **fields))


def of_channel(**fields: Any) -> tuple[str, ...]:
    """Return what is told where these fields of the first channel become others."""
    return of(channels=(attrs.evolve(CHANNEL, **fields), OTHER))


# What is told


def test_nothing() -> None:
    """Of settings that are equal nothing is told."""
    same = attrs.evolve(
        SETTINGS, channels=(attrs.evolve(CHANNEL, api_key=Secret("sk-hush")), OTHER)
    )

    assert changes(SETTINGS, same) == ()


def test_harmless_values() -> None:
    """Numbers, switches, words of a list, paths and open texts are shown, as TOML has them."""
    told = of(
        default_model="a",
        refusals="http",
        listen=ListenSettings(host="::", port=80, origins=("https://a.test",)),
        tokens=TokensSettings(Path("/var/tokens.toml")),
        limits=Limits(sessions=7),
        timeouts=Timeouts(drain=30, head=0.5),
        log=LogSettings(level="debug"),
    )

    assert told == (
        'default_model: not set -> "a"',
        'refusals: "event" -> "http"',
        'listen.host: "127.0.0.1" -> "::"',
        "listen.port: 8080 -> 80",
        'listen.origins: not set -> ["https://a.test"]',
        'tokens.file: "tokens.toml" -> "/var/tokens.toml"',
        "limits.sessions: 1000 -> 7",
        "timeouts.head: 10 -> 0.5",
        "timeouts.drain: 20 -> 30",
        'log.level: "info" -> "debug"',
    )


def test_numbers_as_they_are_written() -> None:
    """A whole number is the same with and without a point, and is shown without."""
    assert of(timeouts=Timeouts(drain=20.0)) == ()
    assert of(timeouts=Timeouts(drain=30.0)) == ("timeouts.drain: 20 -> 30",)


def test_channels_that_come_and_go() -> None:
    """Channels are told by their names, wherever they stand."""
    new = attrs.evolve(OTHER, name="new")

    assert of(channels=(CHANNEL, new)) == ("channels[reserve] removed", "channels[new] added")
    assert of(channels=(new, CHANNEL, OTHER)) == ("channels[new] added",)


def test_order_of_channels() -> None:
    """Another order is told once, for the first model may be the default."""
    assert of(channels=(OTHER, CHANNEL)) == ("channels: order changed",)


def test_channel_fields() -> None:
    """What changed in a channel is told with the channel's name."""
    assert of_channel(priority=5, weight=2, dialect="beta", drop_fields=("tracing",)) == (
        "channels[openai].priority: 0 -> 5",
        "channels[openai].weight: 1 -> 2",
        'channels[openai].dialect: not set -> "beta"',
        'channels[openai].drop_fields: ["speed"] -> ["tracing"]',
    )


def test_models() -> None:
    """Models are told one by one, and their order too."""
    assert of_channel(models={"a": "x", "c.d": "c"}) == (
        'channels[openai].models.a: "a" -> "x"',
        "channels[openai].models.b removed",
        'channels[openai].models."c.d" added',
    )
    assert of_channel(models=["b", "a"]) == ("channels[openai].models: order changed",)


def test_tables_that_come_and_go() -> None:
    """A table that was not there is added as a whole; what changes inside it is told alone."""
    with_tls = attrs.evolve(SETTINGS, listen=ListenSettings(tls=TLS))
    renamed = attrs.evolve(TLS, key=Path("/etc/new.pem"))

    assert of(listen=ListenSettings(tls=TLS)) == ("listen.tls added",)
    assert changes(with_tls, SETTINGS) == ("listen.tls removed",)
    assert changes(with_tls, attrs.evolve(SETTINGS, listen=ListenSettings(tls=renamed))) == (
        'listen.tls.key: "/etc/key.pem" -> "/etc/new.pem"',
    )


def test_prices() -> None:
    """Of a price it is told that it changed, and which models have come and gone."""
    old = attrs.evolve(SETTINGS, prices={"gpt.1": PriceSettings(text_in=1), "b": PriceSettings()})
    new = attrs.evolve(SETTINGS, prices={"gpt.1": PriceSettings(text_in=2)})

    assert changes(old, new) == ('prices."gpt.1" changed', "prices.b removed")


# Secrets


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("api_key", Secret("hush-1"), Secret("hush-2")),
        ("api_keys", (Secret("hush-1"),), (Secret("hush-1"), Secret("hush-2"))),
        ("proxy", Secret("http://u:hush-1@p:1"), Secret("http://u:hush-2@p:1")),
        ("headers", {"X-Key": Secret("hush-1")}, {"X-Key": Secret("hush-2")}),
        ("api_key_from", KeySource(("get", "hush-1")), KeySource(("get", "hush-2"))),
        ("base_url", "https://up.test/v1?key=hush-1", "https://up.test/v1?key=hush-2"),
        ("base_url", "https://u:hush-1@up.test/v1", "https://u:hush-2@up.test/v1"),
        ("base_url", "https://up.test/hush-1", "https://up.test/hush-2"),
        ("base_url", "https://[hush-1", "https://[hush-2"),
        ("base_url", "hush-1", "hush-2"),
    ],
)
def test_secrets(field: str, old: Any, new: Any) -> None:
    """Of a secret, and of what may hold one, it is told that it changed, and nothing else."""
    before, after = (
        attrs.evolve(SETTINGS, channels=(attrs.evolve(CHANNEL, **{field: value}),))
        for value in (old, new)
    )
    [told] = changes(before, after)

    assert told.startswith(f"channels[openai].{field}")
    assert told.endswith(" changed")
    assert "hush" not in told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_keys", (Secret("hush"),)),
        ("proxy", Secret("hush")),
        ("headers", {"X-Key": Secret("hush")}),
        ("api_key_from", KeySource(("get", "hush"))),
    ],
)
def test_secrets_that_come_and_go(field: str, value: Any) -> None:
    """Of a secret that was not there it is told that it came, and later that it went."""
    without = attrs.evolve(SETTINGS, channels=(attrs.evolve(CHANNEL, api_key=None),))
    with_it = attrs.evolve(
        SETTINGS, channels=(attrs.evolve(CHANNEL, **{"api_key": None, field: value}),)
    )

    for old, new in itertools.permutations((without, with_it)):
        [told] = changes(old, new)
        assert told.startswith(f"channels[openai].{field}")
        assert told.split()[-1] in {"added", "removed", "changed"}
        assert "hush" not in told


def test_where_an_upstream_is() -> None:
    """Of a URL the origin is shown, without a user and what follows the host."""
    url = "https://me:hush@[::1]:444/v1?key=hush"

    assert of(channels=(CHANNEL, attrs.evolve(OTHER, base_url=url))) == (
        "channels[reserve].base_url: wss://up.test -> https://[::1]:444",
    )
    assert of(channels=(CHANNEL, attrs.evolve(OTHER, base_url=None))) == (
        "channels[reserve].base_url: wss://up.test -> not set",
    )


# Nothing is left out


def others() -> Iterator[tuple[str, Settings]]:
    """Yield a change of every field, with its place."""
    groups: dict[str, Any] = {
        "listen": ListenSettings(),
        "tokens": TokensSettings(),
        "limits": Limits(),
        "health": HealthSettings(),
        "timeouts": Timeouts(),
        "log": LogSettings(),
    }
    assert {field.name for field in attrs.fields(Settings)} - {
        "channels", "default_model", "client_dialect", "transcription_channel", "refusals",
        "usage", "budget", "prices",
    } == set(groups)  # fmt: skip
    yield "usage", attrs.evolve(SETTINGS, usage=UsageSettings())
    yield "budget", attrs.evolve(SETTINGS, budget=Budget(tokens=1))
    evolve: Any = attrs.evolve  # a value of another type will do here
    for name in ("default_model", "client_dialect", "transcription_channel", "refusals"):
        yield name, evolve(SETTINGS, **{name: "another"})
    for group, value in groups.items():
        for field in attrs.fields(type(value)):
            other = evolve(value, **{field.name: "another"})
            yield f"{group}.{field.name}", evolve(SETTINGS, **{group: other})
    for field in attrs.fields(ChannelSettings):
        if field.name not in {"name", "models", "headers", "prices"}:
            channel = evolve(CHANNEL, **{field.name: "another"})
            place = f"channels[openai].{field.name}"
            yield place, attrs.evolve(SETTINGS, channels=(channel, OTHER))


@pytest.mark.parametrize(("place", "other"), [pytest.param(*each, id=each[0]) for each in others()])
def test_every_setting(place: str, other: Settings) -> None:
    """A change of any one setting is told once, with its place, and so is its undoing."""
    for old, new in itertools.permutations((SETTINGS, other)):
        [told] = changes(old, new)
        assert told.startswith((f"{place} ", f"{place}:"))


def test_text_of_unknown_kind_is_not_shown() -> None:
    """A field that nobody listed as open is not shown, so that a new one cannot leak."""

    @attrs.frozen
    class Newer(Timeouts):
        passphrase: str = "hush-1"

    told = changes(
        attrs.evolve(SETTINGS, timeouts=Newer()),
        attrs.evolve(SETTINGS, timeouts=Newer(passphrase="hush-2")),
    )

    assert told == ("timeouts.passphrase changed",)


# What needs a restart


def test_restart() -> None:
    """Host, port, and TLS or not are named; other files of TLS, and origins, are not."""

    def listening(**fields: Any) -> Settings:
        return attrs.evolve(SETTINGS, listen=ListenSettings(**fields))

    bound = listening()
    assert needs_restart(bound, listening(origins=())) == ()
    assert needs_restart(bound, listening(host="::", port=1, tls=TLS)) == (
        "listen.host",
        "listen.port",
        "listen.tls",
    )
    with_tls = listening(tls=TLS)
    assert needs_restart(with_tls, bound) == ("listen.tls",)
    assert needs_restart(with_tls, listening(tls=TlsSettings(Path("a"), Path("b")))) == ()


def test_restart_for_the_ledger() -> None:
    """A ledger that comes, goes, or is another one, is named; its time zone and reserve are not."""
    without = attrs.evolve(SETTINGS, usage=None)
    bound = attrs.evolve(SETTINGS, usage=UsageSettings())
    assert needs_restart(without, bound) == ("usage",)
    assert needs_restart(bound, without) == ("usage",)
    other = UsageSettings(Path("x"), sync=2, keep_days=99, time_zone="Asia/Tokyo", reserve=1)
    assert needs_restart(bound, attrs.evolve(SETTINGS, usage=other)) == (
        "usage.file",
        "usage.sync",
        "usage.keep_days",
    )


def test_money() -> None:
    """Money and days are shown as they are written; they are no secrets."""
    budget = Budget(usd=Decimal("0.10"))
    old, new = (attrs.evolve(SETTINGS, budget=one) for one in (budget, Budget(usd=Decimal(2))))

    assert changes(old, new) == ("budget.usd: 0.10 -> 2",)
