"""Facts about the keys and the seats of channels: which key is used, and that no seat is lost."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import kit
import pytest
import trio
from failing import (
    KEY_START,
    MOST,
    REFUSES_KEY,
    WAYS,
    Network,
    Way,
    a_and_b,
    event,
    house_of,
    keyed,
    listened_to,
    refusal,
    refusing,
    served,
    settings_with,
    status_of,
    use,
)
from kit import channel, farewells
from trio.testing import MockClock, wait_all_tasks_blocked

from rt_proxy.settings import KeySource

pytestmark = pytest.mark.log_says("session ended", "refused")


# Keys.


@pytest.mark.parametrize(
    "way",
    [
        REFUSES_KEY,
        Way("error invalid_api_key", event("invalid_api_key", 3000)),
        Way("error credit_balance_exhausted", event("credit_balance_exhausted", 1013)),
    ],
    ids=lambda way: way.why,
)
async def test_a_refused_key(autojump_clock: MockClock, way: Way) -> None:
    """A channel whose key is refused is passed over until a reload, not only for a cooldown."""
    async with house_of(*a_and_b(**keyed("1"))) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = way
        assert await served(house) == (f"a: {way.why}", "b")
        await trio.sleep(1_000)
        assert await served(house) == ("b",)
        del network.ways["a"]
        house.proxy.reload(settings_with(house))
        assert await served(house) == ("a",)


async def test_a_refused_key_of_the_only_channel(autojump_clock: MockClock) -> None:
    """Nobody can be served until a reload, and no time is promised."""
    async with house_of(channel("a", **keyed("1"))) as house:
        network = Network(house, "a")
        network.ways["a"] = REFUSES_KEY
        assert await refusal(house) == (503, None, "No channel could serve. a: HTTP 401.")
        assert await refusal(house) == (
            503,
            None,
            "No channel can serve now. a: its key was refused (HTTP 401), it waits for a reload.",
        )
        assert network.count("a") == 1


async def test_a_refused_key_is_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """However many sessions find out side by side that a key is refused, the log says it once."""

    async def slow(stream: trio.abc.Stream) -> None:
        await trio.sleep(1)
        await REFUSES_KEY.behave(stream)

    with listened_to(caplog) as log:
        async with house_of(*a_and_b(**keyed("1"))) as house:
            network = Network(house, "a", "b")
            network.ways["a"] = Way("", slow)
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(use, await house.knock())
            assert network.count("a") == 20
            assert network.count("b") == 20
    assert len([line for line in log if line.startswith("channel a")]) == 1


async def test_a_key_that_does_not_come(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A key that is waited for takes half of the time for all; the rest is the next channel's."""
    pipe = tmp_path / "token"
    os.mkfifo(pipe)
    silent = {"auth": "bearer", "api_key_from": KeySource(file=pipe)}
    async with house_of(*a_and_b(**silent), timeouts={"opening": 20}) as house:
        Network(house, "a", "b")
        await use(await house.knock())
        record = await house.record()
    os.close(os.open(pipe, os.O_RDWR))  # whoever still waits to read is let go
    assert (record.attempts, record.channel) == (("a: no key: it does not come",), "b")
    assert record.opening == pytest.approx(10, abs=0.1)


async def test_401_where_there_is_no_key(autojump_clock: MockClock) -> None:
    """A channel without a key that is refused has failed like any other."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = REFUSES_KEY
        assert await served(house) == ("a: HTTP 401", "b")
        await trio.sleep(10 * MOST)
        assert await served(house) == ("a: HTTP 401", "b")


async def test_a_reload_while_a_key_is_refused(autojump_clock: MockClock) -> None:
    """What an opening finds out with the keys of before a reload is not held against the new."""

    async def slow(stream: trio.abc.Stream) -> None:
        await trio.sleep(1)
        await REFUSES_KEY.behave(stream)

    async with house_of(*a_and_b(**keyed("old"))) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, await house.knock())
            await wait_all_tasks_blocked()
            del network.ways["a"]
            house.proxy.reload(settings_with(house, a_and_b(**keyed("new"))))
        assert await served(house) == ("a",)
        assert network.keys == [f"{KEY_START}old", f"{KEY_START}new"]


async def test_keys_take_turns(autojump_clock: MockClock) -> None:
    """Of several keys each session takes the next one."""
    async with house_of(channel("a", **keyed("1", "2", "3"))) as house:
        network = Network(house, "a")
        for _ in range(5):
            assert await served(house) == ("a",)
        assert [key.removeprefix(KEY_START) for key in network.keys] == ["1", "2", "3", "1", "2"]


async def test_one_refused_key_of_several(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The next key is tried in the same opening; the channel stays well, the key is out."""
    with listened_to(caplog) as log:
        async with house_of(*a_and_b(**keyed("1", "2", "3"))) as house:
            network = Network(house, "a", "b")
            network.ways["a"] = refusing(network, "1")
            assert await served(house) == ("a: HTTP 401", "a")
            for _ in range(4):
                assert await served(house) == ("a",)
            keys = [key.removeprefix(KEY_START) for key in network.keys]
            assert keys == ["1", "2", "3", "2", "3", "2"]
            assert await status_of(house) == 200
            network.ways["a"] = refusing(network, "1", "2", "3")
            assert await served(house) == ("a: HTTP 401", "b")
            network.dials.clear()
            assert await served(house) == ("b",)
    warnings = [line for line in log if "refused" in line]
    passed_over = "is refused (HTTP 401); it is not used until a reload"
    assert warnings[0] == f"channel a: key 1 of 3 {passed_over}"
    assert warnings[1].startswith("channel a: key 3 of 3")
    assert warnings[2:] == [
        "channel a: all of its keys are refused (HTTP 401); it is not tried until a reload"
    ]
    assert KEY_START not in "\n".join(log)


# Seats.


@pytest.mark.parametrize("max_sessions", [1, 3])
async def test_overflow(autojump_clock: MockClock, max_sessions: int) -> None:
    """Over ``max_sessions`` the next channel serves; with none left the client is told when."""
    channels = [
        channel("a", priority=1, max_sessions=max_sessions),
        channel("b", max_sessions=max_sessions),
    ]
    async with house_of(*channels) as house:
        opened = [await house.open() for _ in range(2 * max_sessions)]
        names = [upstream.channel.name for _, upstream in opened]
        assert names == ["a"] * max_sessions + ["b"] * max_sessions
        status, after, message = await refusal(house)
        assert (status, after) == (503, 5)
        assert (
            f"a: it is full, with {max_sessions} of {max_sessions} sessions; b: it is full"
            in message
        )
        client, upstream = opened[0]
        await client.close()
        await farewells(client, upstream)
        await client.over.wait()
        again, upstream = await house.open()
        assert upstream.channel.name == "a"
        opened[0] = again, upstream
        for client, upstream in opened:
            await client.close()
            await farewells(client, upstream)


async def test_a_full_channel_is_told_with_those_that_failed(autojump_clock: MockClock) -> None:
    """Who is refused learns of every channel, those included that were not tried."""
    a, b = a_and_b()
    async with house_of(attrs.evolve(a, max_sessions=1), b) as house:
        network = Network(house, "a", "b")
        client = await house.knock()
        await wait_all_tasks_blocked()
        network.ways["b"] = WAYS["refused"]
        _, _, message = await refusal(house)
        await use(client)
    assert message == (
        "No channel could serve. b: connection refused; "
        "a: not tried, it is full, with 1 of 1 sessions."
    )


async def _client_closes(client: kit.Client, upstream: kit.Upstream) -> None:
    await client.close()
    await farewells(client, upstream)


async def _upstream_closes(client: kit.Client, upstream: kit.Upstream) -> None:
    await upstream.close(1011)
    await farewells(client, upstream)


async def _client_vanishes(client: kit.Client, upstream: kit.Upstream) -> None:
    await client.stream.aclose()
    await upstream.farewell()


async def _upstream_vanishes(client: kit.Client, upstream: kit.Upstream) -> None:
    await upstream.stream.aclose()
    await client.farewell()


async def _client_breaks_the_protocol(client: kit.Client, upstream: kit.Upstream) -> None:
    await client.send_raw(b"\xff\xff")
    await farewells(client, upstream)


async def _session_expires(client: kit.Client, upstream: kit.Upstream) -> None:
    await trio.sleep(1_000)
    await farewells(client, upstream)


@pytest.mark.parametrize(
    "end",
    [
        _client_closes,
        _upstream_closes,
        _client_vanishes,
        _upstream_vanishes,
        _client_breaks_the_protocol,
        _session_expires,
    ],
)
async def test_a_seat_is_given_back(
    autojump_clock: MockClock, end: Callable[[kit.Client, kit.Upstream], Any]
) -> None:
    """However a session ends, the next one finds the seat of its channel free."""
    timeouts = {"session": 900, "ping_interval": 0}
    async with house_of(channel("a", max_sessions=1), timeouts=timeouts) as house:
        for _ in range(2):
            client, upstream = await house.open()
            await end(client, upstream)
            await client.over.wait()
        assert house.proxy._health.of("a").busy == 0


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_a_failed_opening_gives_its_seat_back(autojump_clock: MockClock, way: Way) -> None:
    """However an opening fails, or is left by its client, no seat is lost."""
    async with house_of(channel("a", max_sessions=1)) as house:
        network = Network(house, "a")
        network.ways["a"] = way
        await refusal(house)
        client = await house.knock()
        await client.stream.aclose()
        await client.over.wait()
        assert house.proxy._health.of("a").busy == 0
        assert not house.proxy._health.of("a").probing
        del network.ways["a"]
        assert await served(house) == ("a",)


async def test_a_cut_opening_gives_its_seat_back(autojump_clock: MockClock) -> None:
    """A client that says too much before its answer loses its upstream, and no seat."""
    async with house_of(channel("a", max_sessions=1)) as house:
        network = Network(house, "a")
        network.ways["a"] = WAYS["no answer"]
        client = await house.knock()
        await client.send_raw(b"x" * 20_000)
        assert (await client.read_answer())[0] == 400
        await client.stream.aclose()
        await client.over.wait()
        del network.ways["a"]
        assert await served(house) == ("a",)
