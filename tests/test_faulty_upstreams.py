"""Facts about upstreams that refuse, hang, break rules or vanish: what each side is told."""

import json
import socket
from collections.abc import Sequence
from typing import Any

import kit
import pytest
import trio
from kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, channel, farewells, frame, open_house
from trio.testing import MockClock

from rt_proxy.channels import Channel, UpstreamRequest

pytestmark = pytest.mark.log_says("session ended")

KEY = b"\x11\x22\x33\x44"
DELTA = b'{"type":"response.output_audio.delta","delta":"AAAA"}'


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.05)


def unavailable(tried: str) -> str:
    """Return what a client is told when every channel failed."""
    return f"No channel could serve. {tried}."


async def refused(house: kit.House, client: kit.Client, tried: str) -> None:
    """Check that a client is refused in the event form, with the channel's fault and no more."""
    await client.read_101()
    with trio.fail_after(kit.LONG):
        goodbye = await client.farewell()
    assert goodbye.told == (
        "upstream_unavailable",
        1013,
        "server_error.upstream_unavailable",
    )
    assert goodbye.events[-1]["error"]["message"] == unavailable(tried)
    record = await house.record()
    assert (record.ended_by, record.close_code) == ("proxy", 1013)
    assert record.attempts == tuple(tried.split("; "))


# Refusals of the upgrade.

_ODD_101 = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWERS = [
    (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nsecret", "HTTP 401"),
    (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "HTTP 401"),
    (b"HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP 429"),
    (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\n\r\n", "HTTP 302"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP 200"),
    (b"HTTP/1.1 500\r\n\r\n", "HTTP 500"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP"),
    (b"HTTP/2 200\r\n\r\n", "the answer is not HTTP"),
    (b"\xff" * 5_000, "the answer is not HTTP"),
    (b"HTTP/1.1 101 X\r\nX: " + b"a" * 20_000, "the head of the answer is too long"),
    (b"", "the connection was closed"),
    (b"HTTP/1.1 401 Unauth", "the connection was closed"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "the connection was closed"),
    (b"HTTP/1.1 101 X\r\n\r\n", "the 101 answer is not valid"),
    (_ODD_101 + b"Sec-WebSocket-Accept: wrong\r\n\r\n", "the 101 answer is not valid"),
    (
        _ODD_101 + b"\xff: \xff\r\n\r\n",
        "the 101 answer is not valid",
    ),
]


@pytest.mark.parametrize(("answer", "why"), ANSWERS, ids=[str(i) for i in range(len(ANSWERS))])
@pytest.mark.parametrize("keeps", [False, True], ids=["hangs up", "keeps the connection"])
async def test_an_upgrade_that_fails(
    autojump_clock: MockClock, answer: bytes, why: str, *, keeps: bool
) -> None:
    """An upstream that does not upgrade is named with its status and never with its own words."""
    hangs = keeps and why == "the connection was closed"
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        if keeps:
            await upstream.read_head()
            await upstream.send_raw(answer)
        else:
            await upstream.refuse(answer)
        await refused(house, client, f"main: {'no connection within 5 s' if hangs else why}")
        assert trio.current_time() == pytest.approx(5 if hangs else 0, abs=0.1)
        await upstream.stream.aclose()


@pytest.mark.parametrize(("answer", "why"), ANSWERS, ids=[str(i) for i in range(len(ANSWERS))])
async def test_the_next_channel_is_tried(
    autojump_clock: MockClock, answer: bytes, why: str
) -> None:
    """Whatever way an upgrade fails, the next channel serves, and the record names the first."""
    async with open_house(channel("a", priority=1), channel("b")) as house:
        client = await house.knock()
        await (await house.upstream()).refuse(answer)
        upstream = await house.upstream()
        assert upstream.channel.name == "b"
        await upstream.accept(kit.created())
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        await client.close()
        await farewells(client, upstream)
        record = await house.record()
        assert (record.channel, record.attempts) == ("b", (f"a: {why}",))
        house.dial_faults["a"] = refuse_to_connect


async def refuse_to_connect(_channel: Channel, _request: UpstreamRequest) -> trio.abc.Stream:
    """Dial a port where nobody listens."""
    raise ConnectionRefusedError(111, "Connection refused")


async def test_early_hints_then_101(autojump_clock: MockClock) -> None:
    """Informational answers before the 101 are passed over (RFC 9110, 15.2)."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        upstream.head = await upstream.read_head()
        await upstream.send_raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await upstream.send_raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" + upstream.answer_101())
        await upstream.say(kit.created())
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        await client.close()
        await farewells(client, upstream)


async def test_a_101_byte_by_byte(autojump_clock: MockClock) -> None:
    """The answer and the first event may come in any pieces."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        upstream.head = await upstream.read_head()
        first = frame(TEXT, json.dumps(kit.created()).encode())
        for byte in upstream.answer_101() + first:
            await upstream.send_raw(bytes([byte]))
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        await client.close()
        await farewells(client, upstream)


async def test_an_upstream_that_resets(socket_clock: MockClock) -> None:
    """A reset during the upgrade is a failed channel."""
    async with open_house(upstream_kind="tcp") as house:
        client = await house.knock()
        upstream = await house.upstream()
        assert isinstance(upstream.stream, trio.SocketStream)
        kit.reset(upstream.stream)
        await refused(house, client, "main: the connection was closed")


async def test_an_upstream_that_hangs(autojump_clock: MockClock) -> None:
    """An upstream that never answers the upgrade is given up after ``dial`` seconds."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        await refused(house, client, "main: no connection within 5 s")
        assert trio.current_time() == 5
        assert (await upstream.read_head()).startswith(b"GET /v1/realtime?model=")
        assert await upstream.receive() is None


async def hang(_channel: Channel, _request: UpstreamRequest) -> trio.abc.Stream:
    """Never connect."""
    await trio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connection refused"),
        socket.gaierror(-2, "Name or service not known"),
        OSError("all attempts to connect to secret.test:1 failed"),
        trio.BrokenResourceError(),
    ],
)
async def test_a_dial_that_fails(autojump_clock: MockClock, error: Exception) -> None:
    """A dial that fails is a failed channel, told without the address."""

    async def fail(_channel: Channel, _request: UpstreamRequest) -> trio.abc.Stream:
        raise error

    async with open_house() as house:
        house.dial_faults["main"] = fail
        client = await house.knock()
        await client.read_101()
        goodbye = await client.farewell()
        assert goodbye.code == 1013
        assert "secret.test" not in str(goodbye.events)
        house.dial_faults.clear()


async def test_opening_timeout(autojump_clock: MockClock) -> None:
    """All channels together may take ``opening`` seconds; the record says ``opening_timeout``."""
    names = "abcdefgh"
    async with open_house(*(channel(name) for name in names)) as house:
        house.dial_faults = dict.fromkeys(names, hang)
        client = await house.knock()
        await client.read_101()
        goodbye = await client.farewell()
        assert goodbye.told == ("upstream_unavailable", 1013, "server_error.upstream_unavailable")
        assert (await house.record()).ending == "opening_timeout"
        assert trio.current_time() == 30
        house.dial_faults.clear()


# The first event.


async def test_a_late_first_event(autojump_clock: MockClock) -> None:
    """An upstream that is silent after its 101 is told 1000 after ``first_event`` seconds."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept()
        goodbye = await upstream.farewell()
        assert goodbye.code == 1000
        await refused(house, client, "main: no first event within 5 s")
        assert (await house.record()).ending == "first_event_timeout"
        assert trio.current_time() == pytest.approx(5, abs=0.3)


async def test_a_first_event_just_in_time(autojump_clock: MockClock) -> None:
    """The deadlines of the dial and of the first event are counted apart."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        await trio.sleep(4.5)
        await upstream.accept()
        await trio.sleep(4.5)
        await upstream.send(PING, b"early")
        await upstream.say(kit.created())
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        frame_seen = await upstream.receive()
        assert frame_seen is not None
        assert frame_seen[1:3] == (PONG, b"early")
        await client.close()
        await farewells(client, upstream)


async def test_all_that_came_with_the_first_event(autojump_clock: MockClock) -> None:
    """What came with the first event, fragments and pings too, follows our 101 in order."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        upstream.head = await upstream.read_head()
        first = json.dumps(kit.created()).encode()
        await upstream.send_raw(
            upstream.answer_101()
            + frame(TEXT, first[:9], fin=False)
            + frame(PING, b"between")
            + frame(CONTINUATION, first[9:])
            + frame(TEXT, DELTA)
            + frame(BINARY, b"\x00", fin=False)
            + frame(CONTINUATION, b"\x01")
            + frame(TEXT, json.dumps(kit.response_created()).encode())
        )
        await client.read_101()
        assert await client.hear() == kit.created(kit.MODEL)
        assert await client.hear() == json.loads(DELTA)
        binary = await client.receive_message()
        assert binary is not None
        assert binary[1:3] == (BINARY, b"\x00\x01")
        assert await client.hear() == kit.response_created()
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_large_delta_behind_the_first_event(socket_clock: MockClock, kind: str) -> None:
    """Only the first event is read whatever it is: a large delta in the same read passes."""
    delta = b'{"type":"response.output_audio.delta","delta":"' + b"A" * 5_000_000 + b'"}'
    async with open_house(upstream_kind=kind) as house:
        client = await house.knock()
        upstream = await house.upstream()
        upstream.head = await upstream.read_head()
        first = frame(TEXT, json.dumps(kit.created()).encode())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                upstream.send_raw, upstream.answer_101() + first + frame(TEXT, delta)
            )
            await client.read_101()
            assert await client.hear() == kit.created(kit.MODEL)
            message = await client.receive_message()
        assert message is not None
        assert message.payload == delta
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ([kit.error("server_error")], "error server_error"),
        ([kit.error("Your key sk-123 is bad")], "error without a known code"),
        ([{"type": "error"}], "error without a known code"),
        ([{"type": "error", "error": "text"}], "error without a known code"),
        ([frame(CLOSE, kit.close_payload(4000, b"no"))], "closed with 4000 before the first event"),
        ([frame(CLOSE)], "closed with 1005 before the first event"),
        ([frame(TEXT, b"{}", key=KEY)], "broke the protocol: protocol_error"),
        ([frame(TEXT, b"", length=5_000_000)], "broke the protocol: message_too_big"),
        ([b""], "hung up before the first event"),
        ([frame(TEXT, b"", length=50)[:1], b""], "hung up before the first event"),
    ],
)
async def test_a_bad_first_event(autojump_clock: MockClock, sent: Sequence[Any], why: str) -> None:
    """An ``error``, a CLOSE or a fault instead of a first event is a failed channel."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept()
        for item in sent:
            if item == b"":
                await upstream.stream.aclose()
            elif isinstance(item, bytes):
                await upstream.send_raw(item)
            else:
                await upstream.say(item)
        await refused(house, client, f"main: {why}")
        if b"" not in sent:
            goodbye = await upstream.farewell()
            assert goodbye.code is not None


@pytest.mark.parametrize(
    "first", [b"[]", b"no JSON", b'{"type":"session.created"}', b'{"type":"unheard.of"}', b"\xff"]
)
async def test_any_other_first_event_is_good(autojump_clock: MockClock, first: bytes) -> None:
    """Any first message but ``error`` is good, and is the first thing after our 101."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept()
        await upstream.say(first)
        await client.read_101()
        message = await client.receive_message()
        assert message is not None
        assert message.payload == first
        await client.close()
        await farewells(client, upstream)


async def test_model_not_found_from_the_only_channel(autojump_clock: MockClock) -> None:
    """``model_not_found`` from the only channel tried is given as such, in our words."""
    async with open_house() as house:
        client = await house.knock()
        await (await house.upstream()).accept(kit.error("model_not_found"))
        await client.read_101()
        goodbye = await client.farewell()
        assert goodbye.told == (
            "model_not_found",
            4004,
            "invalid_request_error.model_not_found",
        )
        assert "upstream's own words" not in str(goodbye.events)
        assert (await house.record()).ending == "model_not_found"


async def test_invalid_intent_is_tried_elsewhere(autojump_clock: MockClock) -> None:
    """What one upstream does not know another may; where none does, the client is told."""
    async with open_house(channel("a", priority=1), channel("b")) as house:
        target = f"/v1/realtime?model={kit.MODEL}&intent=realtime"
        client = await house.knock(target=target)
        await (await house.upstream()).accept(kit.error("invalid_intent"))
        await (await house.upstream()).accept(kit.error("invalid_intent"))
        await client.read_101()
        goodbye = await client.farewell()
        assert goodbye.told == (
            "invalid_intent",
            4000,
            "invalid_request_error.invalid_intent",
        )
        assert len(house.records) == 1
        house.dial_faults["a"] = refuse_to_connect


async def test_every_channel_failed(autojump_clock: MockClock) -> None:
    """If no channel is left the client is told what each of them did."""
    names = ("a", "b", "c")
    channels = [channel(name, priority=-index) for index, name in enumerate(names)]
    async with open_house(*channels) as house:
        house.dial_faults["c"] = refuse_to_connect
        client = await house.knock()
        await (await house.upstream()).refuse(b"HTTP/1.1 503 X\r\n\r\n")
        await (await house.upstream()).accept(kit.error("insufficient_quota"))
        await refused(
            house, client, "a: HTTP 503; b: error insufficient_quota; c: connection refused"
        )


async def test_no_first_event_wanted(autojump_clock: MockClock) -> None:
    """With ``first_event = false`` the client is answered right after the dial."""
    async with open_house(channel(first_event=False), still_serves=False) as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept()
        await client.read_101()
        await client.say({"type": "session.update"})
        assert await upstream.hear() == {"type": "session.update"}
        await upstream.say(kit.created())
        assert await client.hear() == kit.created(kit.MODEL)
        await client.close()
        await farewells(client, upstream)


# Frames that break RFC 6455.


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(TEXT, DELTA, key=KEY), 1002),
        (frame(TEXT, DELTA, reserved=4), 1002),
        (frame(5, DELTA), 1002),
        (frame(PING, b"p" * 126), 1002),
        (frame(PONG, b"p", fin=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, kit.close_payload(999)), 1002),
        (frame(CLOSE, kit.close_payload(1004)), 1002),
        (frame(CLOSE, kit.close_payload(1006)), 1002),
        (frame(CLOSE, kit.close_payload(1000, b"\xff")), 1007),
        (frame(CONTINUATION, DELTA), 1002),
        (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
        (frame(TEXT, DELTA, length_size=2), 1002),
    ],
)
async def test_a_broken_frame(autojump_clock: MockClock, broken: bytes, code: int) -> None:
    """An upstream that breaks the framing is told 1002 or 1007, the client error and 1011."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.send_raw(frame(TEXT, DELTA) + broken)
        told, upstream_told = await farewells(client, upstream)
        assert told.events[0] == json.loads(DELTA)
        assert told.told == ("protocol_error", 1011, "protocol_error")
        assert upstream_told.told == (None, code, "protocol_error")
        record = await house.record()
        assert (record.ending, record.ended_by) == ("protocol_error", "upstream")
        assert trio.current_time() <= 2


@pytest.mark.parametrize(
    "payload", [DELTA, DELTA + b" " * 100_000, b'{"type":"response.done"}', b'{"x":1}']
)
@pytest.mark.parametrize("cut", [1, 8, 20])
async def test_fragments_with_pings_between(
    autojump_clock: MockClock, payload: bytes, cut: int
) -> None:
    """A fragmented message arrives whole in every lane, and pings between are answered at once."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.send(TEXT, payload[:cut], fin=False)
        await upstream.send(PING, b"one")
        pong = await upstream.receive()
        assert pong is not None
        assert pong[1:3] == (PONG, b"one")
        await upstream.send(CONTINUATION, b"", fin=False)
        await upstream.send(CONTINUATION, payload[cut:])
        message = await client.receive_message()
        assert message is not None
        assert message.payload == payload
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"response.done","x":"\xff\xfe"}',
        b'{"type":"response.done","x":' + b"[" * 100_000,
        b'{"type":"response.done","response":{"usage":{"total_tokens":true}}}',
        b'{"type":"response.created","response":[]}',
        b'{"type":"session.updated","session":{"model":7}}',
        b'{"type":"error"}',
        b"[]",
        b"",
        b'{"delta":"' + b"A" * 100_000 + b'","type":"response.output_audio.delta"}',
    ],
    ids=lambda payload: repr(payload[:40]),
)
async def test_odd_events_pass_untouched(autojump_clock: MockClock, payload: bytes) -> None:
    """What is read on its way and cannot be understood goes on all the same, byte by byte."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.say(payload)
        message = await client.receive_message()
        assert message is not None
        assert message.payload == payload
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("type_", ["response.done", "response.output_audio.delta"])
async def test_a_message_that_is_too_big(autojump_clock: MockClock, type_: str) -> None:
    """An upstream message over its limit ends the session: 1009 to the client, 1000 to it."""
    size = 5_000_000 if type_ == "response.done" else 40_000_000
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.send_raw(frame(TEXT, b'{"type":"' + type_.encode() + b'"', length=size))
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("message_too_big", 1009, "message_too_big")
        assert upstream_told.told == (None, 1000, "message_too_big")


# Ends.


@pytest.mark.parametrize(
    ("code", "for_client"),
    [
        (1000, 1000),
        (1001, 1001),
        (1003, 1003),
        (1007, 1007),
        (1011, 1011),
        (1014, 1014),
        (3000, 3000),
        (4999, 4999),
        (1002, 1011),
        (None, 1011),
    ],
)
async def test_close_codes_from_the_upstream(
    autojump_clock: MockClock, code: int | None, for_client: int
) -> None:
    """A CLOSE of the upstream goes on; a code that may not becomes an error event and 1011."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.close(code, b"" if code is None else b"done")
        told, upstream_told = await farewells(client, upstream)
        reason = "upstream_closed" if code is None else "done"
        error = None if code == for_client else "upstream_closed"
        assert told.told == (error, for_client, reason)
        assert upstream_told.code in (code, 1000, 1005)
        record = await house.record()
        assert (record.ending, record.ended_by, record.close_code) == (
            "upstream_closed",
            "upstream",
            for_client,
        )
        assert trio.current_time() < 0.1


async def test_close_and_keep_the_socket(autojump_clock: MockClock) -> None:
    """An upstream that sends CLOSE and keeps the connection keeps nobody."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.close(1001, b"maintenance")
        assert (await client.farewell()).told == (None, 1001, "maintenance")
        await house.record()
        assert trio.current_time() < 0.1
        assert await upstream.receive() is not None
        assert await upstream.receive() is None


async def test_close_and_no_answer_to_ours(autojump_clock: MockClock) -> None:
    """An upstream that ignores our CLOSE is cut after ``goodbye``; the client need not wait."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.close()
        assert (await client.farewell()).code == 1000
        assert trio.current_time() < 0.1
        await house.record()
        assert trio.current_time() == 2
        await upstream.stream.aclose()


async def test_an_error_event_is_relayed(autojump_clock: MockClock) -> None:
    """An ``error`` event in a session is the client's to read; the session goes on."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.say(kit.error("invalid_value"))
        assert await client.hear() == kit.error("invalid_value")
        await client.say({"type": "response.create"})
        assert await upstream.hear() == {"type": "response.create"}
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_an_upstream_that_drops_the_connection(socket_clock: MockClock, kind: str) -> None:
    """An upstream that is gone without CLOSE: error event and 1011 ``upstream_lost``."""
    async with open_house(upstream_kind=kind) as house:
        client, upstream = await house.open()
        if isinstance(upstream.stream, trio.SocketStream):
            kit.reset(upstream.stream)
        else:
            await upstream.stream.aclose()
        assert (await client.farewell()).told == ("upstream_lost", 1011, "upstream_lost")
        record = await house.record()
        assert (record.ending, record.ended_by) == ("upstream_lost", "upstream")


async def test_an_upstream_that_never_answers_pings(autojump_clock: MockClock) -> None:
    """A deaf upstream is given up after ``ping_interval`` and ``pong``; the client is told."""
    async with open_house() as house:
        client, upstream = await house.open()
        told = await client.farewell()
        assert told.told == ("upstream_pong_timeout", 1011, "upstream_pong_timeout")
        assert trio.current_time() == 40
        assert [(await upstream.receive())[1] for _ in "12"] == [PING, CLOSE]  # type: ignore[index]
        assert upstream.frames[-1].payload == kit.close_payload(1001, b"upstream_pong_timeout")
        await upstream.stream.aclose()


async def test_an_upstream_that_falls_silent(autojump_clock: MockClock) -> None:
    """Silence during a response ends the session after ``upstream_idle``, pongs or not."""
    async with open_house() as house:
        client, upstream = await house.open()
        await trio.sleep(0)
        await upstream.say(kit.response_created())
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("upstream_idle", 1011, "upstream_idle")
        assert upstream_told.told == (None, 1001, "upstream_idle")
        assert trio.current_time() == pytest.approx(60, abs=0.1)
        assert (await house.record()).ending == "upstream_idle"


@pytest.mark.parametrize("kind", ["lockstep", "tcp"])
async def test_an_upstream_that_stops_reading(socket_clock: MockClock, kind: str) -> None:
    """An upstream that does not read is cut after ``send_stall``; the client gets 1011."""
    async with open_house(upstream_kind=kind, still_serves=False) as house:
        client, upstream = await house.open()
        started = trio.current_time()

        async def flood() -> None:
            try:
                for _ in range(200):
                    await client.say(kit.append(60_000))
            except trio.BrokenResourceError:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            told = await client.farewell()
        assert told.told == ("upstream_stalled", 1011, "upstream_stalled")
        assert 10 <= trio.current_time() - started <= 13
        assert (await house.record()).ending == "upstream_stalled"
        await upstream.stream.aclose()


@pytest.mark.parametrize("gone", [True, False], ids=["vanishes", "stalls"])
@pytest.mark.parametrize("size", [1_000, 1_000_000])
async def test_half_a_frame(autojump_clock: MockClock, size: int, *, gone: bool) -> None:
    """A frame that breaks off leaves a client that can still be told why.

    Half of a large frame has gone on already, as a fragment: no event may follow, but
    CLOSE may, and a ping of the client's is answered meanwhile.
    """
    async with open_house(timeouts={"ping_interval": 0}) as house:
        client, upstream = await house.open()
        whole = frame(TEXT, b'{"type":"response.output_audio.delta","d":"' + b"A" * size + b'"}')
        await upstream.send_raw(whole[: len(whole) // 2])
        await trio.testing.wait_all_tasks_blocked()
        await client.send(PING, b"still there?")
        parts = []
        while (part := await client.receive()) is not None and part.opcode != PONG:
            parts.append(part)
        assert part is not None
        assert part.payload == b"still there?"
        assert sum(len(part.payload) for part in parts) == (
            0 if size == 1_000 else len(whole) // 2 - 10
        )
        if gone:
            await upstream.stream.aclose()
        word = "upstream_lost" if gone else "upstream_frame_stalled"
        frames = []
        with trio.fail_after(kit.LONG):
            while (part := await client.receive()) is not None:
                frames.append(part)
                if part.opcode == CLOSE:
                    await client.send(CLOSE, part.payload)
        assert frames[-1].payload == kit.close_payload(1011, word.encode())
        assert [part.opcode for part in frames] == ([TEXT, CLOSE] if size == 1_000 else [CLOSE])
        assert (await house.record()).ending == word
        assert trio.current_time() == pytest.approx(0 if gone else 30, abs=2.1)
        await upstream.stream.aclose()


@pytest.mark.parametrize("type_", ["session.created", "session.updated"])
async def test_another_model(autojump_clock: MockClock, type_: str) -> None:
    """A session whose upstream shows another model is ended: 4004 ``model_changed``."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.say({**kit.created("gpt-expensive"), "type": type_})
        told, upstream_told = await farewells(client, upstream)
        assert told.told == ("model_changed", 4004, "model_changed")
        assert upstream_told.told == (None, 1000, "model_changed")
