"""Settings that were made by hand with values of wrong types."""

from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

import rt_proxy
from rt_proxy.fieldtypes import wrong_types
from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    ListenSettings,
    LogSettings,
    PriceSettings,
    Settings,
    Timeouts,
)
from rt_proxy.settingsrules import check

CHANNEL = ChannelSettings("s", "simulator", {"*": "*"})
GOOD = Settings(channels=(CHANNEL,))
AMOUNT = 'an exact amount is an int, or such as Decimal("0.10")'


def settings(value: Any = (CHANNEL,), **more: Any) -> Settings:
    """Return settings as a program would make them that no type checker looked at."""
    return Settings(channels=value, **more)


def channel(**fields: Any) -> Settings:
    """Return settings of one channel with other fields."""
    return Settings(channels=(attrs.evolve(CHANNEL, **fields),))


def listen(**fields: Any) -> Settings:
    """Return settings with another listener."""
    return Settings(channels=(CHANNEL,), listen=ListenSettings(**fields))


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        settings([CHANNEL]),
        listen(origins=["https://app.example.com"]),
        settings(timeouts=Timeouts(drain=1, pong=0.5)),
        settings(prices={"m": PriceSettings(text_in=1)}),
        settings(prices={"m": PriceSettings(valid_from=date(2026, 12, 1))}),
    ],
)
def test_right_types(good: Settings) -> None:
    """Whole numbers are good for numbers, and lists for tuples."""
    assert list(wrong_types(good)) == check(good) == []


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (settings(CHANNEL), "channels: must be a tuple, not ChannelSettings"),
        (settings("s"), "channels: must be a tuple, not str"),
        (settings([{"name": "s"}]), "channels[0]: must be ChannelSettings, not dict"),
        (channel(models="*"), "channels[0].models: must be a mapping, not str"),
        (channel(models={"a": 1}), 'channels[0].models."a": must be str, not int'),
        (channel(api_key="sk-hush"), "channels[0].api_key: must be Secret, not str"),
        (channel(weight=True), "channels[0].weight: must be int, not bool"),
        (channel(auth="hush"),
         "channels[0].auth: must be one of 'bearer', 'api-key', 'basic', 'none'"),
        (listen(port="8080"), "listen.port: must be int, not str"),
        (listen(host=None), "listen.host: must be str, not NoneType"),
        (listen(origins="https://a"), "listen.origins: must be a tuple, not str"),
        (settings(timeouts={"drain": 1}), "timeouts: must be Timeouts, not dict"),
        (settings(timeouts=Timeouts(drain="1")), "timeouts.drain: must be float, not str"),  # type: ignore[arg-type]
        (settings(prices={"m": PriceSettings(text_in="1")}),  # type: ignore[arg-type]
         f'prices."m"[0].text_in: must be Decimal, not str; {AMOUNT}'),
        (settings(prices={"m": PriceSettings(text_in=0.1)}),  # type: ignore[arg-type]
         f'prices."m"[0].text_in: must be Decimal, not float; {AMOUNT}'),
        (settings(prices={"m": PriceSettings(valid_from=datetime(2026, 12, 1, tzinfo=UTC))}),
         'prices."m"[0].valid_from: must be date, not datetime'),
        (settings(prices=[]), "prices: must be a mapping, not list"),
        (settings(budget=Budget(usd=0.1)),  # type: ignore[arg-type]
         f"budget.usd: must be Decimal, not float; {AMOUNT}"),
        (settings(budget=Budget(usd=True)),
         f"budget.usd: must be Decimal, not bool; {AMOUNT}"),
        (settings(log=LogSettings(level="loud")),  # type: ignore[arg-type]
         "log.level: must be one of 'debug', 'info', 'warning', 'error'"),
    ],
)  # fmt: skip
def test_wrong_types(wrong: Settings, problem: str) -> None:
    """Each is told with its place and what belongs there, and no value is repeated."""
    assert check(wrong) == [problem]


def test_all_at_once() -> None:
    """Every wrong type is told."""
    wrong = attrs.evolve(channel(weight="1", priority="0"), listen=None)

    assert len(check(wrong)) == 3


async def test_what_an_embedder_gets() -> None:
    """A proxy that is opened with them raises SettingsError, which has each problem."""
    with pytest.raises(rt_proxy.SettingsError) as caught:
        async with rt_proxy.open_proxy(listen(port="8080")):
            pass

    assert caught.value.problems == ("listen.port: must be int, not str",)
