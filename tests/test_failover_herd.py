"""Facts about many clients at once: all are served, and a sick channel is left alone."""

import failing
import kit
import pytest
import trio
from failing import KEY_START, WAYS, Network, Way, answers, use
from kit import channel, open_house
from trio.testing import MockClock

from rt_proxy.settings import HealthSettings, Secret

pytestmark = pytest.mark.log_says("session ended", "refused")

HERD = 500
MOST = 1.25
COOLDOWN = 10

SICK = {
    "refused": WAYS["refused"],
    "blackhole": WAYS["blackhole"],
    "no first event": WAYS["no first event"],
    "Retry-After": Way("", answers("429 X", "Retry-After: 60")),
    "key": Way("", answers("401 X")),
}


async def herd(house: kit.House, count: int = HERD, pause: float = 0) -> None:
    """Let many clients come, and hold a whole session each."""

    async def come(after: float) -> None:
        await trio.sleep(after)
        await use(await house.knock())

    with trio.fail_after(kit.LONG + pause * count):
        async with trio.open_nursery() as nursery:
            for index in range(count):
                nursery.start_soon(come, index * pause)


@pytest.mark.parametrize("sick", SICK)
async def test_a_herd(autojump_clock: MockClock, sick: str) -> None:
    """500 at once are served while the first channel is down, and only one asks after it.

    Those who come before anybody knows may all dial it; after that nobody does until its
    time is over, and then one does.
    """
    first = channel("a", priority=1, auth="bearer", api_key=Secret(KEY_START))
    health = HealthSettings(COOLDOWN, 10 * COOLDOWN)
    async with open_house(first, channel("b"), health=health, still_serves=False) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = SICK[sick]
        await herd(house)
        assert {record.channel for record in house.records} == {"b"}
        assert network.count("b") == HERD
        assert network.count("a") <= HERD

        await herd(house, 100)
        assert network.count("a") == 0
        assert network.count("b") == 100

        await trio.sleep(70)
        await herd(house, 100)
        assert network.count("a") == (0 if sick == "key" else 1)
        assert network.count("b") == 100
        assert house.proxy.sessions == 0
        assert house.proxy._health.of("a").busy == 0
        assert house.proxy._health.of("b").busy == 0


@pytest.mark.parametrize("sick", ["refused", "blackhole"])
async def test_a_stream_of_clients(autojump_clock: MockClock, sick: str) -> None:
    """Over a long outage the sick channel is asked once in each cooldown, ever more rarely."""
    health = HealthSettings(COOLDOWN, 8 * COOLDOWN)
    async with open_house(
        channel("a", priority=1), channel("b"), health=health, still_serves=False
    ) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = SICK[sick]
        await use(await house.knock())
        network.dials.clear()
        await herd(house, 300, pause=2)
        # 10, 20, 40, then 80 s each: at most 3 + 530 / 80 cooldowns end in 600 s.
        asked = network.count("a")
        assert 4 <= asked <= 10
        assert network.count("b") == 300
        slow = [record for record in house.records[1:] if (record.opening or 0) > 0.5]
        assert len(slow) == (asked if sick == "blackhole" else 0)
        del network.ways["a"]
        await trio.sleep(8 * COOLDOWN * MOST)
        await use(await house.knock())
        await herd(house, 50)
        assert network.count("a") == 51


async def test_two_channels_go_down_one_after_the_other(autojump_clock: MockClock) -> None:
    """Clients that wait for a first channel do not all run into a second one that is down too."""
    health = HealthSettings(60)
    channels = [channel(name, priority=-place) for place, name in enumerate("abc")]
    async with open_house(*channels, health=health, still_serves=False) as house:
        network = Network(house, "a", "b", "c")
        network.ways = {"a": WAYS["blackhole"], "b": WAYS["blackhole"]}
        await herd(house, 300, pause=0.05)
        assert {record.channel for record in house.records} == {"c"}
        # a is known to be down after 5 s, and b after 10; who comes later asks neither.
        assert network.count("a") <= 110
        assert network.count("b") <= 220
        await herd(house, 100)
        assert network.count("a") == network.count("b") == 0
        assert max(record.opening or 0 for record in house.records) < 10.5


async def test_seats_in_a_herd(autojump_clock: MockClock) -> None:
    """However many come at once, a channel never holds more than ``max_sessions``."""
    most = 20
    held = 0
    highest = 0

    async def counts(stream: trio.abc.Stream) -> None:
        nonlocal held, highest
        held += 1
        highest = max(highest, held)
        try:
            await trio.sleep(0.1)
            await failing.serves(stream)
        finally:
            held -= 1

    async with open_house(
        channel("a", priority=1, max_sessions=most), channel("b"), still_serves=False
    ) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", counts)
        await herd(house)
        assert highest <= most + 1  # the far end ends a moment later
        assert network.count("a") >= most
        assert {record.channel for record in house.records} == {"a", "b"}
        assert house.proxy._health.of("a").busy == 0
