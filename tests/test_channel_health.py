"""Facts about the health of channels at work: cooldowns, probes, keys, seats, and who is told."""

import re

import attrs
import failing
import pytest
import trio
from failing import (
    FAILS,
    KEY_START,
    MOST,
    REFUSES_KEY,
    WAYS,
    Network,
    Way,
    a_and_b,
    answers,
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
from kit import MODEL, channel, farewells
from trio.testing import MockClock, wait_all_tasks_blocked

pytestmark = pytest.mark.log_says("session ended", "refused")

# Cooldown.


async def test_cooldowns(autojump_clock: MockClock) -> None:
    """A channel that failed is passed over, twice as long each time, up to the longest."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = FAILS
        for seconds in (10, 20, 40, 40):
            assert await served(house) == ("a: HTTP 500", "b")
            failed_at = trio.current_time()
            while trio.current_time() < failed_at + seconds - 2:
                assert await served(house) == ("b",)
                await trio.sleep(1)
            await trio.sleep(failed_at + seconds * MOST - trio.current_time())


async def test_a_success_begins_anew(autojump_clock: MockClock) -> None:
    """A channel that served again is tried first, and its next cooldown is the shortest."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        for _ in range(3):
            network.ways["a"] = FAILS
            assert await served(house) == ("a: HTTP 500", "b")
            await trio.sleep(10 * MOST)
            del network.ways["a"]
            assert await served(house) == ("a",)


async def test_the_last_resort(autojump_clock: MockClock) -> None:
    """Where all cool down they are tried all the same, the one first whose time ends first."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways = {"a": WAYS["refused"]}
        await served(house)
        await trio.sleep(5)
        network.ways = {"b": WAYS["refused"]}
        assert await served(house) == ("b: connection refused", "a")
        await trio.sleep(4)
        network.ways = {"a": WAYS["refused"], "b": WAYS["refused"]}
        await refusal(house)
        network.ways = {}
        # a is newly sick since its last success; the cooldown of b ends before.
        assert await served(house) == ("b",)


async def test_the_only_channel_is_always_tried(autojump_clock: MockClock) -> None:
    """A cooldown never keeps a client from the only channel."""
    async with house_of(channel("a")) as house:
        network = Network(house, "a")
        network.ways["a"] = FAILS
        for _ in range(5):
            assert await refusal(house) == (503, None, "No channel could serve. a: HTTP 500.")
        del network.ways["a"]
        assert await served(house) == ("a",)


@pytest.mark.parametrize(("patience", "found_out"), [(1.5, False), (3, True)])
async def test_impatient_clients(
    autojump_clock: MockClock, patience: float, *, found_out: bool
) -> None:
    """A silent channel is found out by clients that leave before its deadline too."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = WAYS["blackhole"]
        client = await house.knock()
        await trio.sleep(patience)
        await client.stream.aclose()
        await client.over.wait()
        await house.record()
        network.dials.clear()
        assert (await served(house))[-1] == "b"
        assert network.dials == (["b"] if found_out else ["a", "b"])


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found"])
async def test_a_model_that_is_not_there(autojump_clock: MockClock, status: str) -> None:
    """What a client asked for is not the channel's fault: others are served there as before."""
    async with house_of(*a_and_b(models={"*": "*"})) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", answers(status))
        assert (await served(house))[-1] == "b"
        del network.ways["a"]
        assert await served(house) == ("a",)


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found"])
async def test_a_model_that_ought_to_be_there(autojump_clock: MockClock, status: str) -> None:
    """Where the operator wrote the model it is the channel that is wrong: it cools down."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", answers(status))
        assert (await served(house))[-1] == "b"
        del network.ways["a"]
        assert await served(house) == ("b",)


async def test_a_channel_that_breaks_off(autojump_clock: MockClock) -> None:
    """A channel that opens sessions and drops them at once is tried last for a while."""
    async with house_of(*a_and_b()) as house:
        client, upstream = await house.open()
        assert upstream.channel.name == "a"
        await trio.sleep(1)
        await trio.aclose_forcefully(upstream.stream)
        assert (await client.farewell()).told[0] == "upstream_lost"
        await client.over.wait()
        await house.record()
        again, upstream = await house.open()
        assert upstream.channel.name == "b"
        await again.close()
        await farewells(again, upstream)


async def test_a_session_that_is_cut_later_blames_nobody(autojump_clock: MockClock) -> None:
    """A session that was held for a while is no sign of a bad channel."""
    async with house_of(*a_and_b()) as house:
        client, upstream = await house.open()
        await trio.sleep(6)
        await trio.aclose_forcefully(upstream.stream)
        await client.farewell()
        await client.over.wait()
        await house.record()
        again, upstream = await house.open()
        assert upstream.channel.name == "a"
        await again.close()
        await farewells(again, upstream)


async def test_a_401_for_a_model_that_only_a_client_named(autojump_clock: MockClock) -> None:
    """No key is given up because a client named a model of its own, nor a channel that works."""
    async with house_of(*a_and_b(models={"*": "*"}, **keyed("1", "2"))) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = REFUSES_KEY
        assert await served(house) == ("a: HTTP 401", "b")
        assert network.count("a") == 2
        del network.ways["a"]
        await trio.sleep(10 * MOST)  # it may be that both of its keys were wrong
        assert await served(house) == ("a",)
        network.ways["a"] = REFUSES_KEY
        assert await served(house) == ("a: HTTP 401", "b")
        del network.ways["a"]
        assert await served(house) == ("a",)


async def test_a_key_that_is_refused_where_another_is_taken(autojump_clock: MockClock) -> None:
    """Of two keys the one that is refused is bad, whoever named the model."""
    async with house_of(*a_and_b(models={"*": "*"}, **keyed("1", "2"))) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = refusing(network, "1")
        assert await served(house) == ("a: HTTP 401", "a")
        for _ in range(3):
            assert await served(house) == ("a",)
        assert [key.removeprefix(KEY_START) for key in network.keys] == ["1", *"2222"]


async def test_a_reload_keeps_what_is_known_of_the_same_channel(
    autojump_clock: MockClock,
) -> None:
    """A channel that asked for time gets it, also after a reload that does not change it."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", answers("429 X", "Retry-After: 600"))
        assert await served(house) == ("a: HTTP 429", "b")
        house.proxy.reload(attrs.evolve(settings_with(house), default_model=MODEL))
        network.dials.clear()
        assert await served(house) == ("b",)
        assert network.count("a") == 0


async def test_a_reload_in_a_try_leaves_no_probe(autojump_clock: MockClock) -> None:
    """A try that began before a reload does not pass for a probe after it."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways = {"a": WAYS["blackhole"]}
        client = await house.knock()
        await trio.sleep(1)
        house.proxy.reload(attrs.evolve(settings_with(house), default_model=MODEL))
        house.proxy._health.note_failure("b", "HTTP 500", trio.current_time())
        await use(client)
        await house.record()
        assert not house.proxy._health.of("b").probing


async def test_a_seat_that_is_freed_meanwhile(autojump_clock: MockClock) -> None:
    """A channel that was full when a client came is looked at again when all others failed."""
    a, b = a_and_b()
    async with house_of(attrs.evolve(a, max_sessions=1), b) as house:
        network = Network(house, "a", "b")
        first = await house.knock()
        await wait_all_tasks_blocked()
        network.ways["b"] = WAYS["blackhole"]
        second = await house.knock()
        await trio.sleep(1)
        await use(first)
        await use(second)
        assert network.dials == ["a", "b", "a"]


async def test_a_flapping_channel(autojump_clock: MockClock) -> None:
    """A channel that fails every other time costs no client its session."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        for round_ in range(40):
            network.ways = {"a": FAILS} if round_ % 2 else {}
            assert (await served(house))[-1] in ("a", "b")
            await trio.sleep(3)
        assert 5 <= network.count("a") <= 25


async def test_what_fails_meanwhile_is_tried_last(autojump_clock: MockClock) -> None:
    """A channel that others found sick while a client was waiting is not its next try."""
    async with house_of(*a_and_b(), channel("c", priority=-1)) as house:
        network = Network(house, "a", "b", "c")
        network.ways = {"a": WAYS["blackhole"], "b": FAILS}
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(use, await house.knock())
                await wait_all_tasks_blocked()
                await trio.sleep(0.01)
        assert network.dials.count("b") == 1
        assert network.dials.count("c") == 20


# Probes.


@pytest.mark.parametrize("well", [True, False])
async def test_one_probe(autojump_clock: MockClock, *, well: bool) -> None:
    """After a cooldown one of many clients finds out; the others are served elsewhere at once."""

    async def slow(stream: trio.abc.Stream) -> None:
        await trio.sleep(2)
        await (failing.serves if well else failing.hangs_up)(stream)

    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = FAILS
        await served(house)
        await trio.sleep(10 * MOST)
        network.ways["a"] = Way("", slow)
        network.dials.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(use, await house.knock())
        assert network.count("a") == 1
        slowest = sorted(record.opening or 0 for record in house.records[1:])
        assert slowest[-1] == pytest.approx(2, abs=0.5)
        assert slowest[-2] < 0.1
        assert await served(house) == ("a" if well else "b",)
        assert network.count("a") == well


async def test_a_probe_whose_client_leaves(autojump_clock: MockClock) -> None:
    """A client that leaves while it probes proves nothing; the next one probes."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = FAILS
        await served(house)
        await trio.sleep(10 * MOST)
        network.ways["a"] = WAYS["blackhole"]
        network.dials.clear()
        client = await house.knock()
        await trio.sleep(1)
        assert await served(house) == ("b",)
        await client.stream.aclose()
        await client.over.wait()
        assert network.count("a") == 1
        del network.ways["a"]
        assert await served(house) == ("a",)


# Retry-After.


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_retry_after(autojump_clock: MockClock, status: str) -> None:
    """A channel that asked for time gets it, even if it is the only one; the client is told."""
    async with house_of(channel("a")) as house:
        network = Network(house, "a")
        network.ways["a"] = Way("", answers(status, "Retry-After: 60"))
        code = f"HTTP {status[:3]}"
        assert await refusal(house) == (503, 60, f"No channel could serve. a: {code}.")
        del network.ways["a"]
        network.dials.clear()
        await trio.sleep(30.5)
        assert await refusal(house) == (
            503, 30, f"No channel can serve now. a: it asked to be left alone for 30 s ({code})."
        )  # fmt: skip
        assert network.dials == []
        await trio.sleep(30)
        assert await served(house) == ("a",)


async def test_retry_after_of_two(autojump_clock: MockClock) -> None:
    """Of two that asked for time the shorter one is told; without a number, none is."""
    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", answers("429 X", "Retry-After: 60"))
        network.ways["b"] = Way("", answers("429 X", "Retry-After: 20"))
        assert (await refusal(house))[1] == 20
        await trio.sleep(20)
        network.ways["b"] = FAILS
        assert (await refusal(house))[1] is None


async def test_a_success_that_was_under_way(autojump_clock: MockClock) -> None:
    """A session that opens after its channel asked for time does not take that back."""

    async def slow(stream: trio.abc.Stream) -> None:
        await trio.sleep(1)
        await failing.serves(stream)

    async with house_of(*a_and_b()) as house:
        network = Network(house, "a", "b")
        network.ways["a"] = Way("", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, await house.knock())
            await wait_all_tasks_blocked()
            network.ways["a"] = Way("", answers("429 X", "Retry-After: 60"))
            assert await served(house) == ("a: HTTP 429", "b")
        network.dials.clear()
        assert await served(house) == ("b",)


# Who is told.


async def test_readyz(autojump_clock: MockClock) -> None:
    """It is 200 as long as one channel would be tried, be it the last resort, and 503 else."""
    async with house_of(*a_and_b(**keyed("1"))) as house:
        network = Network(house, "a", "b")
        assert await status_of(house) == 200
        network.ways["a"] = FAILS
        await served(house)
        assert await status_of(house) == 200
        network.ways["b"] = FAILS
        await refusal(house)
        assert await status_of(house) == 200
        network.ways["a"] = REFUSES_KEY
        network.ways["b"] = Way("", answers("429 X", "Retry-After: 600"))
        await refusal(house)
        assert await status_of(house) == 503
        await trio.sleep(600)
        assert await status_of(house) == 200
        await refusal(house)
        assert await status_of(house) == 503
        house.proxy.reload(settings_with(house))
        assert await status_of(house) == 200
        house.proxy._roster.draining = True
        assert await status_of(house) == 503
        assert await status_of(house, "/healthz") == 200


async def test_the_log_tells_each_change(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each change of a channel is one line, without secrets; what stays as it is, none."""
    with listened_to(caplog) as log:
        async with house_of(*a_and_b(**keyed("1"))) as house:
            network = Network(house, "a", "b")
            for way in (FAILS, None, Way("", answers("429 X", "Retry-After: 60")), REFUSES_KEY):
                network.ways = {} if way is None else {"a": way}
                for _ in range(3):
                    await served(house)
                await trio.sleep(60)
    told = [re.sub(r"1[0-2] s", "10 s", line) for line in log if line.startswith("channel")]
    assert told == [
        "channel a failed (HTTP 500); it is tried last for 10 s",
        "channel a is well again",
        "channel a failed (HTTP 429); it is left alone, as it asked, for 60 s",
        "channel a: its key is refused (HTTP 401); it is not tried until a reload",
    ]
    for word in (KEY_START, *failing.OWN_WORDS.split(", ")):
        assert word not in "\n".join(log)
