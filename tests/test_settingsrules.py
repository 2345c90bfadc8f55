"""Settings: values that keep secrets, and the rules across them."""

import math
from datetime import date
from decimal import Decimal
from types import MappingProxyType

import attrs
import pytest

from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    HealthSettings,
    Limits,
    ListenSettings,
    PriceSettings,
    ScopeLimits,
    Secret,
    Settings,
    Timeouts,
    TokensSettings,
    UsageSettings,
)
from rt_proxy.settingsrules import HIGHEST_LIMIT, check

CHANNEL = ChannelSettings(name="one", provider="simulator", models=MappingProxyType({"m": "m"}))


def settings(**changes: object) -> Settings:
    """Return good settings, with changes."""
    return attrs.evolve(Settings(channels=(CHANNEL,)), **changes)


def places(wrong: Settings) -> list[str]:
    """Return only where the broken rules are."""
    return [problem.partition(": ")[0] for problem in check(wrong)]


class TestSecret:
    """A secret never shows itself."""

    def test_shows_nothing(self) -> None:
        """Neither repr nor str nor a format gives the text away, also inside of settings."""
        secret = Secret("sk-hush")
        shown = f"{secret!r} {secret} {attrs.evolve(CHANNEL, api_key=secret)!r}"

        assert "hush" not in shown

    def test_reveals_on_demand(self) -> None:
        """The text is there for the one place that asks."""
        assert Secret("sk-hush").reveal() == "sk-hush"

    def test_compares_by_text(self) -> None:
        """Equal texts are equal secrets, so that settings can be compared."""
        assert Secret("a") == Secret("a") != Secret("b")


class TestValues:
    """Settings are frozen and start at their defaults."""

    def test_models_as_names(self) -> None:
        """Names of models stand for themselves, as an array does in the config file."""
        for names in (["a", "*"], ("a", "*")):
            assert dict(ChannelSettings("s", "simulator", names).models) == {"a": "a", "*": "*"}

    def test_frozen(self) -> None:
        """No field of settings can be set again."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            settings().default_model = "x"  # type: ignore[misc]

    def test_defaults_break_no_rule(self) -> None:
        """A channel is all that has to be said."""
        assert check(settings()) == []


class TestChannels:
    """Rules across channels."""

    def test_at_least_one(self) -> None:
        """A proxy without a channel is a mistake."""
        assert places(settings(channels=())) == ["channels"]

    def test_unique_names(self) -> None:
        """The second channel of a name is at fault, and the first is named."""
        other = attrs.evolve(CHANNEL, name="two")

        assert check(settings(channels=(CHANNEL, other, CHANNEL))) == [
            "channels[2].name: is the name of channels[0] too"
        ]

    @pytest.mark.parametrize("name", ["", " ", "two words", " one", "a\nb", "a\x1b[1m"])
    def test_names_are_words(self, name: str) -> None:
        """A name can stand in a log line without breaking it."""
        channel = attrs.evolve(CHANNEL, name=name)

        assert places(settings(channels=(channel,))) == ["channels[0].name"]


class TestDefaultModel:
    """The default model must be one that can be served."""

    def test_served_by_name(self) -> None:
        """A model that a channel names is good."""
        assert check(settings(default_model="m")) == []

    def test_served_by_star(self) -> None:
        """A channel that takes any model takes the default one too."""
        channel = attrs.evolve(CHANNEL, models=MappingProxyType({"*": "*"}))

        assert check(settings(channels=(channel,), default_model="other")) == []

    @pytest.mark.parametrize("model", ["other", "*", "", "a b"])
    def test_not_served(self, model: str) -> None:
        """A model that no channel serves, or that is no single model, is a mistake."""
        assert places(settings(default_model=model)) == ["default_model"]


class TestListen:
    """Rules of the listener."""

    @pytest.mark.parametrize("port", [0, 1, 65_535])
    def test_ports(self, port: int) -> None:
        """Any TCP port is good, and 0 for a free one."""
        assert check(settings(listen=ListenSettings(port=port))) == []

    @pytest.mark.parametrize("port", [-1, 65_536])
    def test_ports_out_of_range(self, port: int) -> None:
        """What is no TCP port is a mistake."""
        assert places(settings(listen=ListenSettings(port=port))) == ["listen.port"]

    def test_host(self) -> None:
        """An empty host would silently mean every address."""
        assert places(settings(listen=ListenSettings(host=""))) == ["listen.host"]

    @pytest.mark.parametrize(
        "origin",
        ["https://app.example.com", "http://localhost:3000", "http://[::1]:80", "null", "app://a"],
    )
    def test_origins(self, origin: str) -> None:
        """What browsers send is good."""
        assert check(settings(listen=ListenSettings(origins=(origin,)))) == []

    @pytest.mark.parametrize(
        "origin",
        ["", "*", "example.com", "https://", "https://a/", "https://a/b", "https://u@a",
         "https://a:x", "https://a:99999", "https://[::1", "https://a?b", "https://a b"],
    )  # fmt: skip
    def test_bad_origins(self, origin: str) -> None:
        """What no browser sends would never match, and is named with its index."""
        listen = ListenSettings(origins=("https://good", origin))

        assert places(settings(listen=listen)) == ["listen.origins[1]"]

    @pytest.mark.parametrize("network", ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"])
    def test_trusted_proxies(self, network: str) -> None:
        """Addresses and networks of both families are good."""
        assert check(settings(listen=ListenSettings(trusted_proxies=(network,)))) == []

    @pytest.mark.parametrize("network", ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "1.2.3"])
    def test_bad_trusted_proxies(self, network: str) -> None:
        """Anything else is a mistake, also a network with bits of a host."""
        listen = ListenSettings(trusted_proxies=("::1", network))

        assert places(settings(listen=listen)) == ["listen.trusted_proxies[1]"]


class TestHealth:
    """Rules of the cooldowns."""

    @pytest.mark.parametrize("name", ["cooldown", "max_cooldown"])
    def test_negative(self, name: str) -> None:
        """A time is not negative."""
        health = HealthSettings(**{name: -1.0})
        assert f"health.{name}" in places(settings(health=health))

    def test_the_first_is_not_longer_than_the_longest(self) -> None:
        """A cooldown grows from the first to the longest."""
        health = HealthSettings(cooldown=11, max_cooldown=10)
        assert places(settings(health=health)) == ["health.cooldown"]


class TestTranscriptionChannel:
    """Rules of the channel for transcription sessions."""

    @pytest.mark.parametrize(
        ("name", "transcription", "wrong"),
        [("c", None, False), ("c", True, False), ("c", False, True), ("d", None, True)],
    )
    def test_it_must_take_them(self, name: str, transcription: bool | None, *, wrong: bool) -> None:
        """It must be there, and must not be one that takes none."""
        channel = ChannelSettings("c", "simulator", {"*": "*"}, transcription=transcription)
        found = places(settings(channels=(channel,), transcription_channel=name))
        assert found == (["transcription_channel"] if wrong else [])


class TestLimits:
    """Rules of the limits."""

    @pytest.mark.parametrize("name", ["sessions", "sessions_per_address"])
    def test_counts(self, name: str) -> None:
        """0 switches a count off, less makes no sense, and no float can hold any number."""
        assert check(settings(limits=Limits(**{name: 0}))) == []
        assert check(settings(limits=Limits(**{name: HIGHEST_LIMIT}))) == []
        for count in (-1, HIGHEST_LIMIT + 1, 10**400):
            assert places(settings(limits=Limits(**{name: count}))) == [f"limits.{name}"]

    @pytest.mark.parametrize("name", ["head_bytes", "parsed_bytes"])
    def test_sizes(self, name: str) -> None:
        """A size of nothing makes no sense."""
        assert check(settings(limits=Limits(**{name: 1}))) == []
        assert places(settings(limits=Limits(**{name: 0}))) == [f"limits.{name}"]

    def test_size_beyond_measure(self) -> None:
        """Nor does one of a size that nothing has."""
        limits = Limits(message_bytes=HIGHEST_LIMIT + 1)
        assert places(settings(limits=limits)) == ["limits.message_bytes"]

    def test_parsed_within_message(self) -> None:
        """What is parsed is a message, and cannot be longer than one."""
        assert check(settings(limits=Limits(message_bytes=10, parsed_bytes=10))) == []
        assert places(settings(limits=Limits(message_bytes=10, parsed_bytes=11))) == [
            "limits.parsed_bytes"
        ]


class TestTimeouts:
    """Rules of the timeouts."""

    @pytest.mark.parametrize("name", [field.name for field in attrs.fields(Timeouts)])
    def test_seconds(self, name: str) -> None:
        """Every timeout can be off or a part of a second, and is never negative or no number."""
        for seconds in (0, 0.5):
            assert check(settings(timeouts=Timeouts(**{name: seconds}))) == []
        for seconds in (-0.1, math.nan, math.inf, 10**400):
            assert f"timeouts.{name}" in places(settings(timeouts=Timeouts(**{name: seconds})))

    def test_send_stall_below_upstream_pings(self) -> None:
        """A stuck send must end before an upstream misses an answer to its pings."""
        assert check(settings(timeouts=Timeouts(send_stall=15))) == []
        assert places(settings(timeouts=Timeouts(send_stall=15.1))) == ["timeouts.send_stall"]


class TestPrices:
    """Prices, of all channels and of one."""

    def test_amounts(self) -> None:
        """A price may be 0 or missing, and is never negative, nor beyond measure."""
        free = {"m": PriceSettings(text_in=0)}
        assert check(settings(prices=free)) == []
        assert check(settings(prices={"m": PriceSettings(text_in=Decimal("1e-30"))})) == []
        beyond = ("-1", "NaN", "Infinity", "1e7", "1e-31", "1e-99999999")
        for amount in map(Decimal, beyond):
            wrong = {"m": PriceSettings(audio_out=amount)}
            assert places(settings(prices=wrong)) == ['prices."m".audio_out']
            channel = attrs.evolve(CHANNEL, prices=wrong)
            assert places(settings(channels=(channel,))) == ['channels[0].prices."m".audio_out']

    def test_times(self) -> None:
        """Of two prices with one day nobody knows which holds."""
        day = date(2026, 12, 1)
        two = (PriceSettings(valid_from=day), PriceSettings(text_in=1, valid_from=day))
        assert places(settings(prices={"m": two})) == ['prices."m"']
        assert check(settings(prices={"m": (PriceSettings(), two[0])})) == []


class TestUsage:
    """The ledger."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sync", -1),
            ("sync", float("inf")),
            ("reserve", -1),
            ("reserve", 4_000),
            ("keep_days", -1),
            ("keep_days", 31),
            ("keep_days", 36_501),
            ("keep_days", 10**12),
            ("time_zone", "Nowhere/Land"),
            ("time_zone", "../../etc/passwd"),
            ("time_zone", ""),
            ("time_zone", "\0"),
        ],
    )
    def test_wrong(self, name: str, value: object) -> None:
        """Each rule is told with its place."""
        usage = UsageSettings(**{name: value})  # type: ignore[arg-type]
        assert places(settings(usage=usage)) == [f"usage.{name}"]

    def test_right(self) -> None:
        """Zones that the host knows, and a ledger that keeps a month and a day, are good."""
        usage = UsageSettings(time_zone="Europe/Berlin", keep_days=32, sync=0, reserve=0)
        assert check(settings(usage=usage)) == []


class TestBudget:
    """The budget of the proxy; those of tokens have the same rules."""

    @pytest.mark.parametrize(
        ("budget", "place"),
        [
            (Budget(), "budget.usd"),
            (Budget(usd=Decimal(-1)), "budget.usd"),
            (Budget(usd=Decimal("NaN")), "budget.usd"),
            (Budget(usd=Decimal(10**7)), "budget.usd"),
            (Budget(usd=Decimal("1e-99999999")), "budget.usd"),
            (Budget(tokens=-1), "budget.tokens"),
            (Budget(tokens=10**16), "budget.tokens"),
            (Budget(tokens=1, warn_percent=101), "budget.warn_percent"),
            (Budget(tokens=1, time_zone="Mars"), "budget.time_zone"),
        ],
    )
    def test_wrong(self, budget: Budget, place: str) -> None:
        """Each rule is told with its place."""
        assert places(settings(budget=budget)) == [place]

    def test_right(self) -> None:
        """A budget of nothing is one."""
        assert check(settings(budget=Budget(usd=Decimal(0), tokens=0, warn_percent=0))) == []


class TestScopeLimits:
    """Limits of all, of tokens and of addresses."""

    @pytest.mark.parametrize("field", [field.name for field in attrs.fields(ScopeLimits)])
    @pytest.mark.parametrize("scope", ["per_token", "per_address"])
    def test_negative(self, scope: str, field: str) -> None:
        """No limit of a scope may be negative."""
        limits = Limits(**{scope: ScopeLimits(**{field: -1})})  # type: ignore[arg-type]
        assert places(settings(limits=limits)) == [f"limits.{scope}.{field}"]

    @pytest.mark.parametrize("side", ["client", "upstream"])
    @pytest.mark.parametrize("what", ["events", "bytes"])
    def test_negative_rates(self, side: str, what: str) -> None:
        """Nor may one of the proxy."""
        name = f"{side}_{what}_per_second"
        assert places(settings(limits=Limits(**{name: -1}))) == [f"limits.{name}"]  # type: ignore[arg-type]
        assert places(settings(limits=Limits(sessions_per_minute=-1))) == [
            "limits.sessions_per_minute"
        ]

    @pytest.mark.parametrize("field", [field.name for field in attrs.fields(ScopeLimits)])
    def test_beyond_measure(self, field: str) -> None:
        """A whole number that no float can hold is none."""
        limits = Limits(per_token=ScopeLimits(**{field: 10**400}))  # type: ignore[arg-type]
        assert places(settings(limits=limits)) == [f"limits.per_token.{field}"]

    @pytest.mark.parametrize("length", [math.nan, math.inf])
    def test_no_length(self, length: float) -> None:
        """A length must be a number."""
        limits = Limits(per_token=ScopeLimits(session_seconds=length))
        assert places(settings(limits=limits)) == ["limits.per_token.session_seconds"]

    def test_one_limit_in_two_places(self) -> None:
        """The sessions of an address are set once."""
        limits = Limits(sessions_per_address=1, per_address=ScopeLimits(sessions=2))
        assert places(settings(limits=limits)) == ["limits.per_address.sessions"]


def test_all_at_once() -> None:
    """Every broken rule is reported, and none hides another."""
    wrong = settings(
        channels=(CHANNEL, CHANNEL),
        default_model="other",
        listen=ListenSettings(port=-1),
        tokens=TokensSettings(),
        limits=Limits(sessions=-1),
        timeouts=Timeouts(pong=-1),
    )

    assert places(wrong) == [
        "channels[1].name",
        "default_model",
        "listen.port",
        "limits.sessions",
        "timeouts.pong",
    ]
