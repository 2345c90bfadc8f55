"""Facts about failover: whatever channels do, one good one is enough, and is all that is seen."""

from itertools import product

import pytest
import trio
from failing import KEY_START, OWN_WORDS, WAYS, Network, Way, event, listened_to, upgrades, use
from kit import channel, farewells, open_house
from trio.testing import MockClock

from rt_proxy.settings import ChannelSettings, HealthSettings, Secret

pytestmark = pytest.mark.log_says("session ended")

NAMES = ("a", "b", "c")


def channels(*names: str) -> list[ChannelSettings]:
    """Return channels with keys, to be tried in this order."""
    return [
        channel(name, priority=-place, auth="bearer", api_key=Secret(f"{KEY_START}{name}"))
        for place, name in enumerate(names)
    ]


def assert_clean(text: str) -> None:
    """Check that a text has nothing of an upstream's own words, and no key."""
    for word in (*OWN_WORDS.split(", "), KEY_START, "127.0.0.1:9"):
        assert word not in text


@pytest.mark.parametrize("place", [0, 1, 2], ids=["good first", "good second", "good last"])
@pytest.mark.parametrize(("one", "other"), list(product(WAYS, WAYS)))
async def test_one_good_channel_is_enough(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, one: str, other: str, place: int
) -> None:
    """Of three channels one is good: the client is served in time, and sees nothing else."""
    with listened_to(caplog) as log:
        health = HealthSettings(cooldown=60)
        async with open_house(*channels(*NAMES), health=health, still_serves=False) as house:
            network = Network(house, *NAMES)
            bad = [name for name in NAMES if name != NAMES[place]]
            network.ways = {bad[0]: WAYS[one], bad[1]: WAYS[other]}
            seen = await use(await house.knock())
            record = await house.record()

            tried = bad[:place]
            assert network.dials == [*tried, NAMES[place]]
            assert record.channel == NAMES[place]
            assert record.attempts == tuple(f"{name}: {network.ways[name].why}" for name in tried)
            assert record.opening is not None
            seconds = sum(network.ways[name].seconds for name in tried)
            assert record.opening == pytest.approx(seconds, abs=0.6)
            assert_clean(seen.decode("latin-1"))
            assert not any(f"{name}:" in seen.decode("latin-1") for name in NAMES)

            network.dials.clear()
            await use(await house.knock())
            assert network.dials == [NAMES[place]], "what has failed is not tried again"
            assert (await house.record()).attempts == ()
    text = "\n".join(log)
    assert_clean(text)
    for name in tried:
        assert f"channel {name} failed ({network.ways[name].why})" in text


@pytest.mark.parametrize(("one", "other"), list(product(WAYS, WAYS)))
async def test_no_good_channel(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, one: str, other: str
) -> None:
    """If both of two fail, refusal and record name both, the first too, without secrets."""
    with listened_to(caplog) as log:
        async with open_house(*channels("a", "b"), still_serves=False) as house:
            Network(house, "a", "b").ways = {"a": WAYS[one], "b": WAYS[other]}
            client = await house.knock()
            head = await client.read_101()
            told = await client.farewell()
            assert told.told == ("upstream_unavailable", 1013, "server_error.upstream_unavailable")
            message = told.events[0]["error"]["message"]
            assert message == (f"No channel could serve. a: {WAYS[one].why}; b: {WAYS[other].why}.")
            record = await house.record()
            assert record.attempts == (f"a: {WAYS[one].why}", f"b: {WAYS[other].why}")
            assert_clean(head.decode() + message)
    assert_clean("\n".join(log))


async def test_the_deadline_of_all_channels(autojump_clock: MockClock) -> None:
    """``opening`` ends it, however many channels are left; each that was tried is named."""
    names = "abcdef"
    timeouts = {"opening": 12}
    async with open_house(*channels(*names), timeouts=timeouts, still_serves=False) as house:
        network = Network(house, *names)
        network.ways = {
            name: WAYS["no first event" if name in "bd" else "blackhole"] for name in names
        }
        client = await house.knock()
        await client.read_101()
        told = await client.farewell()
        assert told.events[0]["error"]["message"] == (
            "No channel could serve. a: no connection within 5 s; b: no first event within 5 s; "
            "c: no answer within 12 s for all channels."
        )
        assert (await house.record()).ending == "opening_timeout"
        assert trio.current_time() == pytest.approx(12, abs=0.1)
        assert network.dials == ["a", "b", "c"]


async def test_the_deadlines_of_each_channel(autojump_clock: MockClock) -> None:
    """Each channel has ``dial`` and then ``first_event`` seconds of its own."""
    timeouts = {"dial": 2, "first_event": 3}
    async with open_house(*channels(*NAMES), timeouts=timeouts, still_serves=False) as house:

        async def late(stream: trio.abc.Stream) -> None:
            await trio.sleep(1.9)
            await upgrades(stays=True)(stream)

        network = Network(house, *NAMES)
        network.ways = {"a": WAYS["blackhole"], "b": Way("", late)}
        await use(await house.knock())
        record = await house.record()
        assert record.attempts == (
            "a: no connection within 2 s",
            "b: no first event within 3 s",
        )
        assert record.opening == pytest.approx(2 + 1.9 + 3, abs=0.1)


async def test_no_time_left_is_not_a_failure(autojump_clock: MockClock) -> None:
    """A channel for which the others left less than a second is tried, and not blamed."""
    async with open_house(
        *channels("a", "b"),
        timeouts={"opening": 5.5},
        health=HealthSettings(cooldown=60),
        still_serves=False,
    ) as house:
        network = Network(house, "a", "b")
        network.ways = {"a": WAYS["blackhole"], "b": WAYS["blackhole"]}
        client = await house.knock()
        await client.read_101()
        assert "b: no answer within 5.5 s" in str((await client.farewell()).events)
        await client.over.wait()
        del network.ways["b"]
        network.dials.clear()
        await use(await house.knock())
        assert network.dials == ["b"]


@pytest.mark.parametrize("code", ["model_not_found", "invalid_model", "missing_model"])
async def test_a_wish_that_a_channel_does_not_grant(autojump_clock: MockClock, code: str) -> None:
    """A first event about what was asked for is failed over, and the channel stays well."""
    async with open_house(*channels("a", "b"), still_serves=False) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", event(code, 4004))
        for _ in range(3):
            await use(await house.knock())
            assert (await house.record()).attempts == (f"a: error {code}",)
        assert network.dials == ["a", "b"] * 3


# After the opening.


@pytest.mark.parametrize("after", [0, 1, 3_000])
@pytest.mark.parametrize("how", ["hangs up", "closes", "breaks the protocol"])
async def test_never_after_the_session_has_begun(
    autojump_clock: MockClock, how: str, after: float
) -> None:
    """Once the client has its session nothing is failed over: it is told, and may come again."""
    timeouts = {"ping_interval": 0}
    async with open_house(*channels("a", "b"), timeouts=timeouts, still_serves=False) as house:
        client, upstream = await house.open()
        assert upstream.channel.name == "a"
        await trio.sleep(after)
        network = Network(house, "a", "b")
        match how:
            case "hangs up":
                await upstream.stream.aclose()
                expected = ("upstream_lost", 1011, "upstream_lost")
            case "closes":
                await upstream.close(1011, b"server_error")
                expected = (None, 1011, "server_error")
            case _:
                await upstream.send_raw(b"\xff\xff")
                expected = ("protocol_error", 1011, "protocol_error")
        if how == "hangs up":
            assert (await client.farewell()).told == expected
        else:
            told, _ = await farewells(client, upstream)
            assert told.told == expected
        record = await house.record()
        assert record.ended_by == "upstream"
        assert record.attempts == ()
        assert network.dials == []
