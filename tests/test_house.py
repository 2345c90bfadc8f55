"""Facts about what is in force for a visitor."""

from random import Random

import attrs
import pytest

from rt_proxy.channels import Health
from rt_proxy.listener.dial import TcpDial
from rt_proxy.listener.house import House
from rt_proxy.listener.keys import Keys
from rt_proxy.settings import HealthSettings, Settings
from rt_proxy.tokens.store import MemoryTokenStore


def test_a_house_does_not_change() -> None:
    """A visitor keeps what was in force when it came: nothing in a house can be replaced."""
    house = House(
        settings=Settings(channels=()),
        channels=(),
        trusted_proxies=(),
        tokens=MemoryTokenStore(),
        dial=TcpDial(),
        keys=Keys(),
        health=Health(HealthSettings(), Random(1)),
    )

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        house.channels = ()  # type: ignore[misc]  # that it fails is the point
