"""Facts about whole sessions: what goes through, how they end, and that both sides are told."""

import json
from datetime import UTC, datetime
from random import Random

import kit
import pytest
import trio
from kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, channel, farewells, frame, open_house
from trio.testing import MockClock

from rt_proxy import Standing
from rt_proxy.realtime import closing

DELTA = {"type": "response.output_audio.delta", "delta": "AAAA"}


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.05)


async def test_nothing_is_invented(autojump_clock: MockClock) -> None:
    """Events go both ways byte by byte and in order, and nothing else does."""
    async with open_house() as house:
        client, upstream = await house.open()
        up = [b'{"type":"response.create"}', kit.append(70_000), b'{"x":1}', b"[]", kit.append(5)]
        down = [json.dumps(DELTA).encode(), b'{"type":"response.done"}', b"{}", b"null"]
        for payload in up:
            await client.say(payload)
        for payload in down:
            await upstream.say(payload)
        for payload in up:
            assert (await upstream.receive_message() or ())[2] == payload
        for payload in down:
            assert (await client.receive_message() or ())[2] == payload
        await client.close()
        await farewells(client, upstream)
        assert [part.opcode for part in upstream.frames if part.opcode >= CLOSE] == [CLOSE]


async def test_what_the_record_says(autojump_clock: MockClock) -> None:
    """The record holds who, where, how long, how much and what it cost, and no payload."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say({"type": "response.create", "secret": "payload"})
        for event in (kit.response_created(), DELTA, kit.response_done()):
            await upstream.say(event)
            await client.hear()
        await trio.sleep(3)
        await client.close(1000, b"bye")
        await farewells(client, upstream)
        record = await house.record()
        assert record.token_id == house.token_id
        assert (record.token_name, record.channel) == ("tester", "main")
        assert (record.model, record.upstream_model) == (kit.MODEL, kit.UPSTREAM_MODEL)
        assert (record.dialect, record.ended_by, record.ending) == ("ga", "client", "client_closed")
        assert (record.close_code, record.reason) == (1000, "bye")
        assert record.duration == pytest.approx(3)
        assert (record.opening, record.attempts) == (0, ())
        assert (record.events_up, record.events_down, record.responses) == (1, 4, 1)
        assert record.usage == {"total_tokens": 30, "input_tokens": 10, "output_tokens": 20}
        assert record.bytes_down == sum(
            len(frame(TEXT, json.dumps(event).encode()))
            for event in (
                kit.created(kit.MODEL),
                kit.response_created(),
                DELTA,
                kit.response_done(),
            )
        )
        assert house.token not in str(record)
        assert "payload" not in str(record)


async def test_a_session_that_was_revoked(autojump_clock: MockClock) -> None:
    """A session whose token is revoked ends within 2 s: error event and 3000."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await trio.sleep(5.5)
        house.tokens.revoke("tester")
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("token_revoked", 3000, "token_revoked")
        assert upstream_told.told == (None, 1000, "token_revoked")
        assert trio.current_time() < 7.5
        assert (await house.record()).ending == "token_revoked"


async def test_a_session_whose_token_expires(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session whose token has expired ends within 2 s: error event and 3000."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await trio.sleep(5.5)
        monkeypatch.setattr(house.tokens, "standing", lambda _id, _now: Standing.EXPIRED)
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("token_expired", 3000, "token_expired")
        assert upstream_told.told == (None, 1000, "token_expired")
        assert trio.current_time() < 7.5
        assert (await house.record()).ending == "token_expired"


async def test_drain_asks_idle_sessions_to_leave_at_once(autojump_clock: MockClock) -> None:
    """A session without a response gets error ``drain`` and 1001 in no time."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        gone: list[bool] = []

        async def drain() -> None:
            gone.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            told, upstream_told = await farewells(client, upstream)
        assert told.told == ("drain", 1001, "drain")
        assert upstream_told.told == (None, 1000, "drain")
        assert gone == [True]
        assert trio.current_time() < 0.2
        late = await house.knock()
        status, headers, error = await late.read_answer()
        assert (status, error["code"], b"retry-after" in headers) == (503, "drain", True)
        await late.stream.aclose()


async def test_drain_waits_for_a_response(autojump_clock: MockClock) -> None:
    """A session with a response in progress may finish it."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()

        async def finish() -> None:
            await trio.sleep(7)
            await upstream.say(kit.response_done())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.proxy.drain, 20)
            nursery.start_soon(finish)
            told, _ = await farewells(client, upstream)
        assert [event["type"] for event in told.events] == ["response.done", "error"]
        assert told.told == ("drain", 1001, "drain")
        assert trio.current_time() == pytest.approx(7, abs=0.3)


async def test_drain_at_its_deadline(autojump_clock: MockClock) -> None:
    """A response that does not end holds a drain no longer than its deadline."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()
        gone: list[bool] = []

        async def drain() -> None:
            gone.append(await house.proxy.drain(20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            told, _ = await farewells(client, upstream)
        assert told.told == ("drain", 1001, "drain")
        assert gone == [False]
        assert trio.current_time() == pytest.approx(20, abs=1)


@pytest.mark.parametrize("busy", [False, True])
async def test_cut(autojump_clock: MockClock, *, busy: bool) -> None:
    """Cancelling cuts a session: both sides are still told, within a quarter of a second."""
    async with open_house() as house:
        far, near = await kit.stream_pair("memory")
        client = kit.Client(far, near)
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def visit() -> None:
                with scope:
                    await house.proxy.handle_stream(near)

            nursery.start_soon(visit)
            await client.send_raw(kit.request_head(house.token))
            upstream = await house.upstream()
            await upstream.accept(kit.created())
            await client.read_101()
            await client.hear()
            if busy:
                await upstream.say(kit.response_created())
                await client.hear()
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            told, upstream_told = await farewells(client, upstream)
            assert told.told == ("cut", 1001, "cut")
            assert upstream_told.told == (None, 1000, "cut")
            assert trio.current_time() <= 0.25
        assert house.records.pop().ending == "cut"


async def test_goodbyes_are_said_in_parallel(autojump_clock: MockClock) -> None:
    """A side that does not answer the goodbye delays neither the other one nor the record."""
    async with open_house(timeouts={"session": 10}) as house:
        client, upstream = await house.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.farewell)
            await trio.sleep(10.01)
            assert [record.ending for record in house.records] == ["session_expired"]
        assert trio.current_time() < 10.1
        await house.record()
        assert trio.current_time() == pytest.approx(12)
        await client.stream.aclose()


async def test_goodbye_in_no_time(socket_clock: MockClock) -> None:
    """Where both sides answer, a goodbye takes no part of its deadline, over sockets too."""
    async with open_house(upstream_kind="tcp") as house:
        client, upstream = await house.open(kind="tcp")
        house.tokens.revoke("tester")
        house.tokens.add("next", now=datetime.now(UTC))
        told, _ = await farewells(client, upstream)
        assert told.code == 3000
        await house.record()
        assert trio.current_time() < 1.5
        _, secret = house.tokens.add("good", now=datetime.now(UTC))
        house.token = secret.reveal()


async def test_no_event_of_ours_in_a_fragmented_message(autojump_clock: MockClock) -> None:
    """An ``error`` event would become part of a message that is open; CLOSE may stand in it."""
    async with open_house(timeouts={"session": 10}) as house:
        client, upstream = await house.open()
        await upstream.send(TEXT, b'{"type":"response.output_audio.delta",', fin=False)
        await upstream.send(CONTINUATION, b'"delta":"', fin=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.farewell)
            while (part := await client.receive()) is not None and part.opcode != CLOSE:
                assert not part.fin
            assert part is not None
            assert part.payload == kit.close_payload(1001, b"session_expired")
            await client.send(CLOSE, part.payload)


async def test_an_answer_of_ours_waits_for_the_end_of_a_message(autojump_clock: MockClock) -> None:
    """An event of ours in a living session goes between messages, never into one."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.send(TEXT, b'{"type":"response.output_audio.delta"', fin=False)
        assert (await client.receive() or ())[0] is False
        await client.say({"type": "session.update", "event_id": "e1", "session": {"model": "no"}})
        await trio.testing.wait_all_tasks_blocked()
        await upstream.send(CONTINUATION, b"}")
        last = await client.receive()
        assert last is not None
        assert (last.fin, last.opcode) == (True, CONTINUATION)
        error = (await client.hear())["error"]
        assert (error["code"], error["event_id"], error["param"]) == (
            "model_not_found",
            "e1",
            "session.model",
        )
        await client.close()
        await farewells(client, upstream)
        assert all(b"session.update" not in part.payload for part in upstream.frames)


async def test_the_model_in_a_session_update(autojump_clock: MockClock) -> None:
    """The client's name of the model becomes the channel's; every other byte stays."""
    async with open_house() as house:
        client, upstream = await house.open()
        start, end = b'{"type": "session.update","session":{"model" : "', b'" , "x":[1, 2]}}'
        await client.say(start + kit.MODEL.encode() + end)
        seen = await upstream.receive_message()
        assert seen is not None
        assert seen.payload == start + kit.UPSTREAM_MODEL.encode() + end
        await client.close()
        await farewells(client, upstream)


async def test_the_client_sees_its_own_model(autojump_clock: MockClock) -> None:
    """Sessions and responses are shown by the client's name; every other byte stays."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept(kit.created())
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        for kind, holder in (
            (b"session.updated", b"session"),
            (b"response.created", b"response"),
            (b"response.done", b"response"),
        ):
            text = b'{"type": "%b","%b":{"id":"r","x" : 1.0,"model" :"%b"} }'
            await upstream.say(text % (kind, holder, kit.UPSTREAM_MODEL.encode()))
            seen = await client.receive_message()
            assert seen is not None
            assert seen.payload == text % (kind, holder, kit.MODEL.encode())
        await client.close()
        await farewells(client, upstream)


HIDDEN = [
    b'{"type":"input_audio_buffer.append","type":"session.update","session":{"model":"dear"}}',
    b'{"type":"session.update","session":{"model":"dear"},"session":{"model":"%b"}}',
    b'{"type":"session.update","session":{"model":"dear","model":"%b"}}',
    b'{"type":"x","t\\u0079pe":"session.update","session":{"model":"dear"}}',
    b'{"type":"response.cancel","type":"response.create","response":{"model":"dear"}}',
]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("shown", ["session.updated", "response.created", "response.done"])
async def test_a_model_that_a_client_hides(
    autojump_clock: MockClock, hidden: bytes, shown: str
) -> None:
    """Whatever gets past us by what it looks like, the session ends when the upstream shows it."""
    name = kit.UPSTREAM_MODEL.encode()
    text = hidden % name if b"%b" in hidden else hidden
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say(text)
        seen = await upstream.receive_message()
        assert seen is not None
        assert seen.payload == text
        holder = shown.partition(".")[0]
        await upstream.say({"type": shown, holder: {"id": "i", "model": "dear"}})
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("model_changed", 4004, "model_changed")
        assert [event["type"] for event in told.events] == ["error"]
        assert upstream_told.told == (None, 1000, "model_changed")


async def test_fields_that_a_channel_drops(autojump_clock: MockClock) -> None:
    """They do not reach the upstream; what is left does, even if it is nothing."""
    async with open_house(channel(drop_fields=("tracing", "audio.output.speed"))) as house:
        client, upstream = await house.open()
        sent = {"type": "realtime", "tracing": "auto"}
        await client.say({"type": "session.update", "session": sent})
        assert (await upstream.hear())["session"] == {"type": "realtime"}
        sent = {"instructions": "x", "tracing": None}
        await client.say({"type": "response.create", "response": sent})
        assert (await upstream.hear())["response"] == {"instructions": "x"}
        whole = b'{ "type":"response.create","response":{"n":1.0} }'
        await client.say(whole)
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == whole
        await client.close()
        await farewells(client, upstream)


async def test_mcp_tools_where_there_are_none(autojump_clock: MockClock) -> None:
    """The client is told, the upstream hears nothing of it, and the session goes on."""
    tools = [{"type": "mcp", "server_label": "s", "server_url": "https://mcp.test"}]
    async with open_house(channel(mcp=False)) as house:
        client, upstream = await house.open()
        for type_, holder in (("session.update", "session"), ("response.create", "response")):
            await client.say({"type": type_, "event_id": type_, holder: {"tools": tools}})
            error = (await client.hear())["error"]
            assert (error["code"], error["param"], error["event_id"]) == (
                "invalid_value",
                f"{holder}.tools[0].type",
                type_,
            )
        await client.say({"type": "response.cancel"})
        assert await upstream.hear() == {"type": "response.cancel"}
        await client.close()
        await farewells(client, upstream)


async def test_a_response_that_is_too_large_to_be_read(autojump_clock: MockClock) -> None:
    """It goes on unread, with all that is in it: nobody is cut for the size of a response."""
    text = b'{"type":"response.create","response":{"tracing":1,"x":"%b"}}' % (b"A" * 200_000)
    async with open_house(
        channel(drop_fields=("tracing",)), limits={"parsed_bytes": 100_000}
    ) as house:
        client, upstream = await house.open()
        await client.say(text)
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == text
        await client.close()
        await farewells(client, upstream)


async def test_a_transcript_that_is_too_large_to_be_read(autojump_clock: MockClock) -> None:
    """It goes on unread: nobody is cut for the length of a transcript."""
    kind = b"conversation.item.input_audio_transcription.completed"
    text = b'{"type":"%b","item_id":"i","transcript":"%b"}' % (kind, b"A" * 200_000)
    async with open_house(limits={"parsed_bytes": 100_000}) as house:
        client, upstream = await house.open()
        await upstream.say(text)
        message = await client.receive_message()
        assert message is not None
        assert message.payload == text
        await client.close()
        await farewells(client, upstream)


async def test_no_data_after_our_close(autojump_clock: MockClock) -> None:
    """Once our CLOSE has gone out no data frame follows, whatever the other side still says."""
    async with open_house(timeouts={"session": 10}) as house:
        client, upstream = await house.open()

        async def chatter() -> None:
            try:
                for _ in range(1_000):
                    await upstream.say(DELTA)
                    await trio.sleep(0.02)
            except trio.BrokenResourceError:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            parts = []
            while (part := await client.receive()) is not None:
                parts.append(part)
                if part.opcode == CLOSE:
                    await client.send(PING, b"after CLOSE")
                    await trio.sleep(0.5)
                    await client.send(CLOSE, part.payload)
            nursery.cancel_scope.cancel()
        assert parts[-1].opcode == CLOSE
        assert json.loads(parts[-2].payload)["error"]["code"] == "session_expired"
        await upstream.stream.aclose()


async def test_pings_are_answered_in_the_middle_of_a_large_message(
    autojump_clock: MockClock,
) -> None:
    """A large frame goes on as fragments, so that a ping of either side is answered meanwhile."""
    async with open_house() as house:
        client, upstream = await house.open()
        whole = frame(TEXT, kit.append(5_000_000), key=client.key)
        await client.send_raw(whole[:2_000_000])
        first = await upstream.receive()
        assert first is not None
        assert (first.opcode, first.fin) == (TEXT, False)
        await upstream.send(PING, b"are you there?")
        while (part := await upstream.receive()) is not None and part.opcode != PONG:
            assert (part.opcode, part.fin) == (CONTINUATION, False)
        assert part is not None
        assert part.payload == b"are you there?"
        await client.send_raw(whole[2_000_000:])
        size = len(first.payload)
        while (part := await upstream.receive()) is not None and not part.fin:
            assert part.opcode == CONTINUATION
        assert part is not None
        data = [part for part in upstream.frames if part.opcode < CLOSE]
        assert b"".join(part.payload for part in data) == kit.append(5_000_000)
        assert size > 0
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_memory_does_not_grow_with_a_message(socket_clock: MockClock, direction: str) -> None:
    """A message of 20 MB passes in either direction and is never held in whole."""
    async with open_house(upstream_kind="tcp") as house:
        client, upstream = await house.open(kind="tcp")
        source, sink = (client, upstream) if direction == "up" else (upstream, client)
        size, chunk = 20_000_000, b"A" * 65_536
        # The source sends and the sink forgets in chunks, so that only the proxy could grow.
        head = frame(TEXT, b'{"type":"x.delta","d":"' + chunk, key=source.key, length=size)
        key = source.key or b""

        async def send() -> None:
            await source.send_raw(head)
            left = size - 23 - len(chunk)
            masked = kit.apply_mask(chunk, key[3:] + key[:3]) if key else chunk
            while left:
                await source.send_raw(masked[:left])
                left -= len(masked[:left])

        grown = 0
        before = kit.resident_bytes()
        received = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while received < size:
                part = await sink.receive()
                assert part is not None
                received += len(part.payload)
                sink.frames.clear()
                grown = max(grown, kit.resident_bytes() - before)
        assert received == size
        assert part is not None
        assert part.fin
        assert grown < 6_000_000
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    ("base_url", "kept"),
    [
        ("ws://127.0.0.1:9/v1", True),
        ("ws://[::1]:9/v1", True),
        ("ws://localhost:9/v1", True),
        ("wss://10.0.0.1:9/v1", True),
        ("ws://10.0.0.1:9/v1", False),
        ("ws://voice.example:9/v1", False),
    ],
)
@pytest.mark.parametrize("size", [10, 1_000, 200_000])
async def test_masks(autojump_clock: MockClock, base_url: str, size: int, *, kept: bool) -> None:
    """The client's mask is kept where nobody can listen in, else each frame gets a fresh one."""
    async with open_house(channel(base_url=base_url)) as house:
        client, upstream = await house.open()
        payload = kit.append(size)
        whole = frame(TEXT, payload, key=client.key)
        await client.send_raw(whole[:100])
        await client.send_raw(whole[100:])
        await client.send(BINARY, b"x", fin=False)
        await client.send(CONTINUATION, b"y")
        seen = await upstream.receive_message()
        assert seen is not None
        assert seen.payload == payload
        assert (await upstream.receive_message() or ())[2] == b"xy"
        keys = [part.key for part in upstream.frames]
        if kept:
            assert set(keys) == {client.key}
        else:
            assert client.key not in keys
            assert len(set(keys)) == len(keys)
        await client.close()
        await farewells(client, upstream)


async def test_an_idle_session_holds_no_buffers(autojump_clock: MockClock) -> None:
    """Between events nothing of them is kept."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say(kit.append(500_000))
        await upstream.receive_message()
        await upstream.say({**DELTA, "delta": "A" * 500_000})
        await client.receive_message()
        await trio.testing.wait_all_tasks_blocked()
        [guest] = house.proxy._roster.guests()
        for pump in (guest.session._up, guest.session._down):
            assert pump._outgoing == []
        for leg in (guest.session._client, guest.session._upstream):
            assert leg._pieces == ()
            assert leg._unread == b""
            assert leg._frames._rest == b""
            assert leg._frames._collecting is None
            assert leg._frames._held is None
        await client.close()
        await farewells(client, upstream)


# Last words, and goodbyes that must not be kept waiting.


@pytest.mark.parametrize("leaving", ["client", "upstream"])
async def test_last_words_of_a_leg_that_cannot_be_written(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, leaving: str
) -> None:
    """What a peer said before it left arrives, though what it was sent meanwhile could not.

    The peers act in the same step, in an order that is another one each time.
    """
    async with open_house() as house:
        for seed in range(60):
            monkeypatch.setattr("trio._core._run._r", Random(seed))
            client, upstream = await house.open()
            gone, other = (client, upstream) if leaving == "client" else (upstream, client)
            event = kit.error("session_expired")
            last = frame(TEXT, json.dumps(event).encode(), key=gone.key)
            last += frame(CLOSE, kit.close_payload(1001, b"too long"), key=gone.key)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say_and_leave, gone, last)
                for _ in range(seed % 4):
                    await trio.lowlevel.checkpoint()
                await other.say(kit.append(5))
                [told] = await farewells(other)
            assert told == ([event], 1001, "too long"), seed
            record = await house.record()
            assert (record.ending, record.ended_by) == (f"{leaving}_closed", leaving), seed


async def say_and_leave(peer: kit.Peer, last: bytes) -> None:
    """Send bytes and close the connection, without waiting for an answer."""
    await peer.send_raw(last)
    await peer.stream.aclose()


@pytest.mark.log_says("session ended")
@pytest.mark.parametrize("leaving", ["client", "upstream"])
async def test_a_leg_that_cannot_be_written_and_says_nothing_more(
    autojump_clock: MockClock, leaving: str
) -> None:
    """A peer is not waited for without end where only our side of the connection is broken."""
    async with open_house() as house:
        client, upstream = await house.open()
        gone, other = (client, upstream) if leaving == "client" else (upstream, client)
        assert isinstance(gone.stream, trio.StapledStream)
        await gone.stream.receive_stream.aclose()
        await other.say({"type": "response.cancel"})
        [told] = await farewells(other)
        assert told.reason == f"{leaving}_lost"
        assert trio.current_time() == 0.5
        await gone.stream.aclose()


async def test_cancelled_during_the_goodbye(autojump_clock: MockClock) -> None:
    """A goodbye that is cancelled, at any moment, still tells both sides, and hurries."""
    async with open_house() as house:
        for steps in range(40):
            client, upstream = await house.open()
            [guest], [visit] = house.proxy._roster.guests(), house.proxy._visits
            goodbyes: dict[kit.Peer, kit.Farewell] = {}

            async def read(peer: kit.Peer, told: dict[kit.Peer, kit.Farewell] = goodbyes) -> None:
                told[peer] = await peer.farewell(answer=False)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, client)
                nursery.start_soon(read, upstream)
                await trio.testing.wait_all_tasks_blocked()
                guest.session.end(closing.TOKEN_REVOKED)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                cancelled_at = trio.current_time()
                visit.cancel()
            assert goodbyes[client].told == ("token_revoked", 3000, "token_revoked"), steps
            assert goodbyes[upstream].told == (None, 1000, "token_revoked"), steps
            assert (await house.record()).ending == "token_revoked"
            assert trio.current_time() - cancelled_at <= 0.25, steps


async def test_no_time_for_goodbyes(autojump_clock: MockClock) -> None:
    """With ``goodbye`` at 0 nobody is waited for, and everybody is told all the same."""
    async with open_house(timeouts={"goodbye": 0, "session": 10}) as house:
        client, upstream = await house.open()
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("session_expired", 1001, "session_expired")
        assert upstream_told.told == (None, 1000, "session_expired")
        silent = await house.knock(token="sk-rt-wrong")
        await silent.read_101()
        refused = await silent.farewell(answer=False)
        assert refused.told[:2] == ("invalid_api_key", 3000)
        await house.record()
        assert trio.current_time() <= 10.1


async def test_the_end_beside_a_client_that_does_not_read(autojump_clock: MockClock) -> None:
    """A send that is stuck holds the record for half a second, and the end for a goodbye more."""
    timeouts = {"session": 10, "send_stall": 0, "ping_interval": 0}
    async with open_house(timeouts=timeouts) as house:
        client, upstream = await house.open(kind="lockstep")
        async with trio.open_nursery() as nursery:
            await upstream.say(DELTA)
            await trio.sleep_until(10.5)
            await trio.testing.wait_all_tasks_blocked()
            assert [record.ending for record in house.records] == ["session_expired"]
            nursery.start_soon(client.over.wait)
            told = await upstream.farewell(answer=False)
        assert told.told == (None, 1000, "session_expired")
        assert trio.current_time() <= 12.5
        await client.stream.aclose()


@pytest.mark.log_says("session ended")
@pytest.mark.parametrize("offender", ["client", "upstream"])
async def test_goodbye_to_a_peer_that_broke_the_protocol(
    autojump_clock: MockClock, offender: str
) -> None:
    """Its CLOSE cannot be understood any more: it is told, and let go after a quarter second."""
    async with open_house() as house:
        client, upstream = await house.open()
        broken = client if offender == "client" else upstream
        await broken.send_raw(frame(5, b"no such opcode", key=broken.key))
        told, upstream_told = await farewells(client, upstream)
        await house.record()
        assert trio.current_time() == 0.25
        for_client, for_upstream = (1002, 1000) if offender == "client" else (1011, 1002)
        assert told.told == ("protocol_error", for_client, "protocol_error")
        assert upstream_told.told == (None, for_upstream, "protocol_error")
