"""Facts about limits in whole sessions: who is refused, who is slowed down, what is given back."""

import json
from typing import Any

import kit
import pytest
import trio
from kit import BINARY, TEXT, farewells, open_house
from trio.testing import MockClock

from rt_proxy.listener import gate as gate_module
from rt_proxy.realtime.counts import Tokens
from rt_proxy.settings import ScopeLimits
from rt_proxy.tokens.store import Allowance

RATE = "rate_limit_exceeded"


def limited(house: kit.House, name: str = "limited", **limits: float) -> str:
    """Make a token with limits of its own, and return its secret."""
    _, secret = house.tokens.add(name, limits=limits)
    return secret.reveal()


async def part(client: kit.Client, upstream: kit.Upstream) -> None:
    """End a session."""
    await client.close()
    await farewells(client, upstream)
    await client.over.wait()


class TestSessions:
    """How many sessions there may be."""

    async def test_of_a_token(self, autojump_clock: MockClock) -> None:
        """One too many is refused in the event form, before any dial; a seat left is free."""
        async with open_house() as house:
            secret = limited(house, sessions=1)
            session = await house.open(token=secret)
            client = await house.knock(token=secret)
            await client.read_101()
            told = await client.farewell()
            assert told.told == (RATE, 1013, f"rate_limit_error.{RATE}")
            assert len(house.far_ends) == 1
            other = await house.open()
            await part(*session)
            await part(*await house.open(token=secret))
            await part(*other)

    async def test_of_every_token(self, autojump_clock: MockClock) -> None:
        """A limit for all tokens holds for each; one of its own counts before it."""
        async with open_house(limits={"per_token": ScopeLimits(sessions=1)}) as house:
            secret = limited(house, sessions=2)
            sessions = [await house.open(token=secret), await house.open(token=secret)]
            sessions.append(await house.open())
            for token in (secret, house.token):
                client = await house.knock(token=token)
                await client.read_101()
                assert (await client.farewell()).error_code == RATE
            for session in sessions:
                await part(*session)

    async def test_over_http(self, autojump_clock: MockClock) -> None:
        """Where refusals are HTTP it is 429, with when to try again."""
        async with open_house(refusals="http") as house:
            secret = limited(house, sessions_per_minute=2)
            for _ in range(2):
                await part(*await house.open(token=secret))
            client = await house.knock(token=secret)
            status, headers, error = await client.read_answer()
            assert (status, error["code"]) == (429, RATE)
            await client.over.wait()
            await trio.sleep(int(headers[b"retry-after"]))
            await part(*await house.open(token=secret))

    async def test_a_minute_in_total(self, autojump_clock: MockClock) -> None:
        """Too many newcomers are HTTP 503, before the token is looked at."""
        async with open_house(limits={"sessions_per_minute": 1}, still_serves=False) as house:
            await part(*await house.open())
            client = await house.knock(token="wrong")
            status, headers, error = await client.read_answer()
            assert (status, error["code"], headers[b"retry-after"]) == (503, "at_capacity", b"60")
            await client.over.wait()

    async def test_a_minute_from_an_address(self, autojump_clock: MockClock) -> None:
        """Too many from one address are HTTP 429; from another one they are let in."""
        per_address = ScopeLimits(sessions_per_minute=1)
        listen = {"trusted_proxies": ("127.0.0.1",)}
        async with open_house(
            limits={"per_address": per_address}, listen=listen, still_serves=False
        ) as house:
            for address, status in (("10.0.0.1", 101), ("10.0.0.1", 429), ("10.0.0.2", 101)):
                forwarded = f"X-Forwarded-For: {address}"
                if status == 101:
                    await part(*await house.open(forwarded, kind="tcp"))
                    continue
                client = await house.knock(forwarded, kind="tcp")
                told, _, error = await client.read_answer()
                assert (told, error["code"]) == (status, RATE)
                await client.over.wait()

    async def test_at_once_from_an_address(self, autojump_clock: MockClock) -> None:
        """``per_address.sessions`` is the same as ``sessions_per_address``."""
        per_address = ScopeLimits(sessions=1)
        async with open_house(limits={"per_address": per_address}, still_serves=False) as house:
            session = await house.open(kind="tcp")
            client = await house.knock(kind="tcp")
            assert (await client.read_answer())[0] == 429
            await client.over.wait()
            await part(*session)

    async def test_of_a_network(self, autojump_clock: MockClock) -> None:
        """Whoever takes another IPv6 address of its own network stays under its limit."""
        listen = {"trusted_proxies": ("127.0.0.1",)}
        limits = {"per_address": ScopeLimits(sessions=1)}
        async with open_house(limits=limits, listen=listen, still_serves=False) as house:

            async def come(address: str) -> kit.Client:
                return await house.knock(f"X-Forwarded-For: {address}", kind="tcp")

            first = await come("2001:db8::1")
            upstream = await house.upstream()
            await upstream.accept(kit.created())
            await first.read_101()
            await first.hear()
            second = await come("2001:db8::2")
            assert (await second.read_answer())[0] == 429
            await second.over.wait()
            await part(first, upstream)

    async def test_an_edit_of_a_token(self, autojump_clock: MockClock) -> None:
        """A token's limits hold for newcomers as soon as they change; who is here keeps its own."""
        async with open_house() as house:
            token, secret = house.tokens.add("edited", limits={"client_events_per_second": 1})
            session = await house.open(token=secret.reveal())
            house.tokens.change(token.id, lambda _token: Allowance({"sessions": 1}, None))
            client = await house.knock(token=secret.reveal())
            await client.read_101()
            assert (await client.farewell()).error_code == RATE
            house.tokens.change(token.id, lambda _token: Allowance({"sessions": 2}, None))
            other = await house.open(token=secret.reveal())
            for peers, seconds in ((other, 0), (session, 4)):
                begun = trio.current_time()
                for _ in range(6):
                    await peers[0].say({"type": "x"})
                    await peers[1].hear()
                assert seconds <= trio.current_time() - begun <= seconds + 1
            await part(*session)
            await part(*other)


class TestGivenBack:
    """A seat is free again, whatever happened to who had it."""

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize("end", ["no upstream", "client leaves", "cut", "lost"])
    async def test_after(self, autojump_clock: MockClock, end: str) -> None:
        """An opening that fails, one that is given up, a cut, and an upstream that is lost."""
        async with open_house() as house:
            secret = limited(house, sessions=1)
            for _ in range(3):
                if end in ("no upstream", "client leaves"):
                    client = await house.knock(token=secret)
                    upstream = await house.upstream()
                    left = client if end == "client leaves" else upstream
                    await trio.aclose_forcefully(left.stream)
                    if end == "no upstream":
                        await client.read_101()
                        await client.farewell()
                else:
                    client, upstream = await house.open(token=secret)
                    left = client if end == "cut" else upstream
                    await trio.aclose_forcefully(left.stream)
                    other = upstream if end == "cut" else client
                    await other.farewell()
                await client.over.wait()

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize("opened", [False, True])
    async def test_after_a_cancellation(self, autojump_clock: MockClock, opened: bool) -> None:
        """A visit that its embedder cancels, while it is opened or later, leaves its seat free."""
        async with open_house() as house:
            secret = limited(house, sessions=1)
            for _ in range(3):
                client = kit.Client(*await kit.stream_pair("memory"))
                house.clients.append(client)
                async with trio.open_nursery() as visit:
                    visit.start_soon(house.proxy.handle_stream, client.near)
                    await client.send_raw(kit.request_head(secret))
                    upstream = await house.upstream()
                    if opened:
                        await upstream.accept(kit.created())
                        await client.read_101()
                    visit.cancel_scope.cancel()
                client.over.set()
            await part(*await house.open(token=secret))

    @pytest.mark.log_says("by a fault of rt-proxy")
    async def test_after_a_crash(
        self, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A fault of ours in a session costs that session, and not its seat."""

        async def crash(*_: object) -> None:
            raise ZeroDivisionError

        async def visit_three_times() -> None:
            async with open_house(still_serves=False) as house:
                secret = limited(house, sessions=1)
                with monkeypatch.context() as broken:
                    broken.setattr(gate_module.Gate, "_hold", crash)
                    for _ in range(3):
                        client = await house.knock(token=secret)
                        await (await house.upstream()).accept(kit.created())
                        await client.over.wait()
                await part(*await house.open(token=secret))
                assert house.proxy.faults == 3
                house.proxy._gate.faults = 0

        with pytest.raises(AssertionError, match="ZeroDivisionError"):  # what was logged
            await visit_three_times()


class TestLengthAndSize:
    """How long a session may be, and how large a message."""

    async def test_the_shortest_length(self, autojump_clock: MockClock) -> None:
        """The shortest of the proxy's, the address's and the token's length ends the session."""
        limits = {"per_address": ScopeLimits(session_seconds=50)}
        async with open_house(limits=limits, timeouts={"session": 100}) as house:
            secret = limited(house, session_seconds=7.5)
            client, upstream = await house.open(token=secret)
            told, _ = await farewells(client, upstream)
            assert (told.error_code, trio.current_time()) == ("session_expired", 7.5)

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize("by", ["client", "upstream"])
    async def test_the_smallest_size(self, autojump_clock: MockClock, by: str) -> None:
        """A message beyond what the token may send, or get, ends the session with 1009."""
        async with open_house() as house:
            client, upstream = await house.open(token=limited(house, message_bytes=1_000))
            sender, receiver = (client, upstream) if by == "client" else (upstream, client)
            await sender.say(kit.append(900))
            await receiver.hear()
            await sender.say(kit.append(1_000))
            told, _ = await farewells(client, upstream)
            assert told.told[:2] == ("message_too_big", 1009)


class TestSlow:
    """Who is too fast is read later."""

    async def test_events_of_the_client(self, autojump_clock: MockClock) -> None:
        """A second's worth goes at once, and then as many each second; nothing is lost."""
        async with open_house() as house:
            secret = limited(house, client_events_per_second=10)
            client, upstream = await house.open(token=secret)
            moments = []
            for _ in range(50):
                await client.say({"type": "input_audio_buffer.clear"})
                await upstream.hear()
                moments.append(trio.current_time())
            assert moments[9] == 0
            assert 3.5 <= moments[-1] <= 5
            assert await self.is_well(client, upstream)
            await part(client, upstream)

    @staticmethod
    async def is_well(client: kit.Client, upstream: kit.Upstream) -> bool:
        """Whether events still go both ways."""
        await client.say({"type": "x"})
        await upstream.say({"type": "y"})
        return (await upstream.hear(), await client.hear()) == ({"type": "x"}, {"type": "y"})

    async def test_bytes_of_the_upstream(self, autojump_clock: MockClock) -> None:
        """An upstream that is too fast is read later, without a word."""
        async with open_house(limits={"upstream_bytes_per_second": 100_000}) as house:
            client, upstream = await house.open()

            async def talk() -> None:
                for _ in range(50):
                    await upstream.say(kit.append(10_000))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk)
                for _ in range(50):
                    await client.hear()
            assert 3 <= trio.current_time() <= 5.5
            await part(client, upstream)

    async def test_shared_by_the_sessions_of_a_token(self, autojump_clock: MockClock) -> None:
        """Two sessions of one token are together as fast as one."""
        async with open_house() as house:
            secret = limited(house, client_events_per_second=10)
            sessions = [await house.open(token=secret) for _ in range(2)]

            async def talk(client: kit.Client) -> None:
                for _ in range(25):
                    await client.say({"type": "input_audio_buffer.clear"})
                    await trio.sleep(0.01)

            async def listen(upstream: kit.Upstream) -> None:
                for _ in range(25):
                    await upstream.hear()

            async with trio.open_nursery() as nursery:
                for client, upstream in sessions:
                    nursery.start_soon(talk, client)
                    nursery.start_soon(listen, upstream)
            assert 3 <= trio.current_time() <= 5.5
            for session in sessions:
                await part(*session)

    async def test_pings_are_answered(self, autojump_clock: MockClock) -> None:
        """A peer that is far too fast is read again after ten seconds, so that it gets its pong."""
        async with open_house(limits={"upstream_bytes_per_second": 1_000}) as house:
            client, upstream = await house.open()
            await upstream.say(kit.append(60_000))
            await client.hear()
            await upstream.send(kit.PING, b"there?")
            frame = await upstream.receive()
            while frame is not None and frame.opcode == kit.PING:
                frame = await upstream.receive()
            assert frame is not None
            assert (frame.opcode, frame.payload) == (kit.PONG, b"there?")
            assert trio.current_time() <= 11
            await part(client, upstream)

    async def test_pings_of_the_client_are_answered(self, autojump_clock: MockClock) -> None:
        """A client that is far too fast hears its pong within ten seconds too."""
        async with open_house() as house:
            secret = limited(house, client_bytes_per_second=1_000)
            client, upstream = await house.open(token=secret)
            await client.say(kit.append(60_000))
            await upstream.hear()
            await client.send(kit.PING, b"there?")
            frame = await client.receive()
            while frame is not None and frame.opcode == kit.PING:
                frame = await client.receive()
            assert frame is not None
            assert (frame.opcode, frame.payload) == (kit.PONG, b"there?")
            assert trio.current_time() <= 11
            await part(client, upstream)

    @pytest.mark.log_says("session ended")
    async def test_a_flood_of_tiny_events(self, autojump_clock: MockClock) -> None:
        """Twenty sessions of a token that send all they can are held to its rate together.

        What they have sent before that shows is bounded too: ten seconds' worth for each.
        """
        heard = 0

        async def flood(client: kit.Client) -> None:
            block = kit.frame(TEXT, b"[]", key=client.key) * 4_000
            while True:
                await client.send_raw(block)

        async def count(upstream: kit.Upstream) -> None:
            nonlocal heard
            while await upstream.receive() is not None:
                heard += 1

        async with open_house(timeouts={"ping_interval": 0}, still_serves=False) as house:
            secret = limited(house, client_events_per_second=20)
            sessions = [await house.open(token=secret, kind="tcp") for _ in range(20)]
            async with trio.open_nursery() as nursery:
                for client, upstream in sessions:
                    nursery.start_soon(flood, client)
                    nursery.start_soon(count, upstream)
                await trio.sleep(9)
                at_first = heard
                await trio.sleep(50)
                nursery.cancel_scope.cancel()
            assert at_first <= 20 * 20 * 10
            assert 0 < heard - at_first <= 20 * 50
            for client, upstream in sessions:
                await trio.aclose_forcefully(client.stream)
                await upstream.farewell()
                await client.over.wait()

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize(
        ("sessions", "size", "kind"),
        [(20, 60_000, "input_audio_buffer.append"), (1, 2_000_000, "session.update")],
    )
    async def test_a_flood_of_large_events(
        self, autojump_clock: MockClock, sessions: int, size: int, kind: str
    ) -> None:
        """However large the events and however many the sessions, a rate of bytes is kept."""
        heard, rate = 0, 10_000
        event = json.dumps({"type": kind, "padding": "A" * size}).encode()

        async def flood(client: kit.Client) -> None:
            while True:
                await client.say(event)

        async def count(upstream: kit.Upstream) -> None:
            nonlocal heard
            while await upstream.receive() is not None:
                heard += len(event)

        async with open_house(timeouts={"ping_interval": 0}, still_serves=False) as house:
            secret = limited(house, client_bytes_per_second=rate)
            pairs = [await house.open(token=secret, kind="tcp") for _ in range(sessions)]
            with trio.move_on_after(60):
                async with trio.open_nursery() as nursery:
                    for client, upstream in pairs:
                        nursery.start_soon(flood, client)
                        nursery.start_soon(count, upstream)
            assert 0 < heard <= 61 * rate + len(event)
            for client, upstream in pairs:
                await trio.aclose_forcefully(client.stream)
                await trio.aclose_forcefully(upstream.stream)
                await client.over.wait()

    async def test_its_silence_is_ours(self, autojump_clock: MockClock) -> None:
        """A client that we do not read is not idle, however short its patience is set."""
        timeouts = {"client_idle": 3, "frame_stall": 3, "pong": 3, "ping_interval": 2}
        async with open_house(
            limits={"client_bytes_per_second": 1_000}, timeouts=timeouts, still_serves=False
        ) as house:
            client, upstream = await house.open()
            await client.say(kit.append(8_000))
            await client.say(kit.append(10))

            async def keep_alive(peer: kit.Peer) -> None:
                while True:
                    frame = await peer.receive()
                    if frame is None:
                        return
                    if frame.opcode == kit.PING:
                        await peer.send(kit.PONG, frame.payload)

            with trio.move_on_after(6):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(keep_alive, upstream)
                    nursery.start_soon(keep_alive, client)
            assert house.records == []
            await trio.aclose_forcefully(client.stream)
            await upstream.farewell()
            await client.over.wait()


class TestRefused:
    """With ``over_rate = "error"`` a client hears of each event that was too much."""

    async def test_the_event_is_told(self, autojump_clock: MockClock) -> None:
        """The events beyond the rate get an error each, with their id, and go no further."""
        async with open_house(limits={"over_rate": "error"}) as house:
            secret = limited(house, client_events_per_second=3)
            client, upstream = await house.open(token=secret)
            for number in range(5):
                await client.say({"type": "response.create", "event_id": f"e{number}"})
            assert [(await upstream.hear())["event_id"] for _ in range(3)] == ["e0", "e1", "e2"]
            errors = [(await client.hear())["error"] for _ in range(2)]
            assert [error["event_id"] for error in errors] == ["e3", "e4"]
            assert {(error["type"], error["code"]) for error in errors} == {
                ("rate_limit_error", RATE)
            }
            assert "client_events_per_second of this token" in errors[0]["message"]
            await trio.sleep(0.5)
            await client.say({"type": "response.create", "event_id": "e5"})
            assert (await upstream.hear())["event_id"] == "e5"
            await part(client, upstream)

    async def test_bytes(self, autojump_clock: MockClock) -> None:
        """Events beyond a rate of bytes are refused at once, and not read later."""
        async with open_house(limits={"over_rate": "error"}) as house:
            secret = limited(house, client_bytes_per_second=1_000)
            client, upstream = await house.open(token=secret)
            await client.say(kit.append(1_200))
            await upstream.hear()
            for _ in range(3):
                await client.say(kit.append(100))
                message = (await client.hear())["error"]["message"]
                assert "client_bytes_per_second of this token" in message
            assert trio.current_time() == 0
            await part(client, upstream)

    async def test_what_is_read_is_counted(self, autojump_clock: MockClock) -> None:
        """Audio of a client whose events are all read costs what it costs where it passes."""
        estimates = []
        for rate in (0, 1_000):
            records: list[Any] = []
            async with open_house(
                hooks={"on_usage": records.append},
                limits={"over_rate": "error"},
                still_serves=False,
            ) as house:
                secret = limited(house, client_events_per_second=rate)
                client, upstream = await house.open(token=secret)
                for _ in range(10):
                    await client.say(kit.append(64_000))
                    await upstream.hear()
                await upstream.say({"type": "input_audio_buffer.committed", "item_id": "i"})
                await upstream.say(kit.response_created())
                for _ in range(2):
                    await client.hear()
                await client.close()
                await client.over.wait()
            estimates.append([(record.estimated, record.tokens) for record in records])
        assert estimates[0] == estimates[1]
        assert estimates[0] == [(True, Tokens(audio_in=100))]

    async def test_many_in_one_piece(self, autojump_clock: MockClock) -> None:
        """Audio counts like all else, also where much of it comes at once."""
        async with open_house(limits={"over_rate": "error"}) as house:
            secret = limited(house, client_events_per_second=10)
            client, upstream = await house.open(token=secret)
            append = kit.append(40)
            await client.send_raw(
                b"".join(kit.frame(TEXT, append, key=client.key) for _ in range(100))
            )
            heard: list[dict[str, Any]] = []
            with trio.move_on_after(0.01):
                while True:
                    heard.append(await client.hear())
            assert [event["error"]["code"] for event in heard] == [RATE] * 90
            for _ in range(10):
                assert (await upstream.hear()) == json.loads(append)
            await part(client, upstream)

    async def test_what_cannot_be_read(self, autojump_clock: MockClock) -> None:
        """Binary messages, and those too large to be read, are slowed down instead."""
        async with open_house(limits={"over_rate": "error", "parsed_bytes": 2_000}) as house:
            secret = limited(house, client_events_per_second=2)
            client, upstream = await house.open(token=secret)
            for _ in range(4):
                await client.send(BINARY, b"\x00" * 3_000)
                assert (await upstream.receive_message()) is not None
                await client.say(kit.append(3_000))
                assert (await upstream.receive_message()) is not None
            assert trio.current_time() >= 2
            await part(client, upstream)

    async def test_the_upstream_is_slowed_down(self, autojump_clock: MockClock) -> None:
        """What comes from the upstream is never thrown away."""
        async with open_house(limits={"over_rate": "error"}) as house:
            secret = limited(house, upstream_events_per_second=5)
            client, upstream = await house.open(token=secret)
            for number in range(20):
                await upstream.say({"type": "x", "number": number})
                assert (await client.hear())["number"] == number
            assert trio.current_time() >= 2
            await part(client, upstream)


@pytest.mark.log_says("session ended", "is not known")
async def test_put_back(autojump_clock: MockClock) -> None:
    """What was read of an upstream when its session ended is heard for what it cost.

    The client does not read, so that the end of the response is behind what cannot be sent.
    """
    records: list[Any] = []
    async with open_house(
        hooks={"on_usage": records.append}, timeouts={"send_stall": 3}, still_serves=False
    ) as house:
        client, upstream = await house.open(kind="tcp")
        await upstream.say(kit.response_created())
        await client.hear()
        block = kit.frame(
            TEXT, b'{"type":"response.output_audio.delta","delta":"%b"}' % (b"A" * 60_000)
        )
        done = kit.frame(TEXT, json.dumps(kit.response_done()).encode())

        async def talk() -> None:
            for _ in range(200):
                await upstream.send_raw(block + kit.frame(kit.PING, b"") + done)

        with trio.move_on_after(20):
            await talk()
        await client.over.wait()
        assert [record.status for record in records] == ["done"]
