"""Facts about sessions over TLS on both sides: what holds in the clear holds there."""

import contextlib
from datetime import UTC, datetime

import kit
import pytest
import trio
from kit import farewells, open_house
from trio.testing import MockClock

pytestmark = pytest.mark.log_says("session ended")


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.05)


async def test_a_session(socket_clock: MockClock) -> None:
    """Large events go both ways, and the goodbye takes no time."""
    async with open_house(upstream_kind="tls upstream") as house:
        client, upstream = await house.open(kind="tls client")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.say, kit.append(3_000_000))
            nursery.start_soon(upstream.say, b'{"type":"x","d":"' + b"A" * 3_000_000 + b'"}')
            for peer in (client, upstream):
                message = await peer.receive_message()
                assert message is not None
                assert len(message.payload) > 3_000_000
        await client.close(4001, b"bye")
        goodbyes = await farewells(client, upstream)
        assert [goodbye.told for goodbye in goodbyes] == [(None, 4001, "bye")] * 2
        assert trio.current_time() < 1


async def test_an_end_of_ours(socket_clock: MockClock) -> None:
    """An ending of ours is told on both sides: the error event, CLOSE, and a clean end."""
    async with open_house(upstream_kind="tls upstream", still_serves=False) as house:
        client, upstream = await house.open(kind="tls client")
        house.tokens.revoke("tester")
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].told == ("token_revoked", 3000, "token_revoked")
        assert goodbyes[1].told == (None, 1000, "token_revoked")
        assert trio.current_time() < 2


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_side_that_drops_the_connection(socket_clock: MockClock, who: str) -> None:
    """A connection that ends without ``close_notify`` is a lost one, and the other side is told."""
    async with open_house(upstream_kind="tls upstream") as house:
        client, upstream = await house.open(kind="tls client")
        gone, other = (client, upstream) if who == "client" else (upstream, client)
        assert isinstance(gone.stream, trio.SSLStream)
        kit.reset(gone.stream.transport_stream)
        goodbye = await other.farewell()
        assert goodbye.reason == f"{who}_lost"
        assert (await house.record()).ending == f"{who}_lost"


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_side_that_stops_reading(socket_clock: MockClock, who: str) -> None:
    """A send that is not taken ends the session in time, and the other side is told."""
    async with open_house(upstream_kind="tls upstream") as house:
        client, upstream = await house.open(kind="tls client")
        deaf, other = (client, upstream) if who == "client" else (upstream, client)

        async def flood() -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                for _ in range(200):
                    await other.say(kit.append(60_000))

        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            goodbye = await other.farewell(answer=False)
        assert goodbye.reason == f"{who}_stalled"
        assert 10 <= trio.current_time() - started <= 14
        await trio.aclose_forcefully(deaf.stream)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 99, b""],
)
async def test_no_tls_on_a_tls_port(socket_clock: MockClock, garbage: bytes) -> None:
    """Who does not speak TLS is let go, whether it leaves or stays."""
    async with open_house() as house:
        house.silent_visits = 0
        client = await house.visit("tls client")
        assert isinstance(client.stream, trio.SSLStream)
        plain = client.stream.transport_stream
        if garbage:
            await plain.send_all(garbage)
        with trio.fail_after(60):
            await client.over.wait()
        assert trio.current_time() <= 12.1
        house.silent_visits = 1 - len(house.records)
        await plain.aclose()


async def test_refused(socket_clock: MockClock) -> None:
    """A refusal can be read over TLS, in both forms."""
    async with open_house() as house:
        client = await house.knock(kind="tls client", token="sk-rt-wrong")
        await client.read_101()
        assert (await client.farewell()).code == 3000
        client = await house.knock(
            kind="tls client", token="sk-rt-wrong", target="/openai/v1/realtime"
        )
        assert (await client.read_answer())[0] == 401
        await client.stream.aclose()
        assert datetime.now(UTC) > house.records[-1].started
