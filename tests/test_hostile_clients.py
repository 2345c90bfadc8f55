"""Facts about clients that break rules, leave, stall or flood: all are told and survived."""

import contextlib
import json
from collections.abc import Sequence

import kit
import pytest
import trio
from kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, farewells, frame, open_house
from trio.testing import MockClock

KEY = b"\x11\x22\x33\x44"
UPDATE = b'{"type":"session.update","session":{"type":"realtime"}}'


@pytest.fixture
def socket_clock() -> MockClock:
    """Jump only when nothing has happened for a while: the kernel may be about to wake us."""
    return MockClock(autojump_threshold=0.05)


# Before the upgrade.


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET /v1/realtime\r\n\r\n",
        b"GET /v1/realtime HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
    ],
)
async def test_garbage_is_a_400(autojump_clock: MockClock, garbage: bytes) -> None:
    """What is no HTTP request is answered with a 400 and recorded."""
    async with open_house() as house:
        client = await house.visit()
        await client.send_raw(garbage)
        status, _, error = await client.read_answer()
        assert (status, error["code"]) == (400, "bad_request")
        await client.stream.aclose()
        assert (await house.record()).ending == "bad_request"


async def test_half_a_head_and_gone(autojump_clock: MockClock) -> None:
    """A head that ends early is a 400, for a client that closed only its sending side."""
    async with open_house() as house:
        client = await house.visit()
        await client.send_raw(b"GET /v1/realtime HTTP/1.1\r\nHost:")
        assert isinstance(client.stream, trio.StapledStream)
        await client.stream.send_eof()
        assert (await client.read_answer())[0] == 400


async def test_half_a_head_and_silence(autojump_clock: MockClock) -> None:
    """A head that does not arrive in time is a 408, ``head_timeout``, and the visit is over."""
    async with open_house() as house:
        client = await house.visit()
        await client.send_raw(b"GET /v1/realtime HTTP/1.1\r\nHost:")
        status, _, error = await client.read_answer()
        assert (status, error["code"]) == (408, "head_timeout")
        assert trio.current_time() == 10
        assert (await house.record()).ending == "head_timeout"
        assert trio.current_time() <= 12


async def test_a_head_byte_by_byte(autojump_clock: MockClock) -> None:
    """A head in drips is cut at the deadline too: it counts from the beginning."""
    async with open_house() as house:
        client = await house.visit()
        with trio.move_on_after(60):
            try:
                for byte in kit.request_head(house.token) * 10:
                    await client.send_raw(bytes([byte]))
                    await trio.sleep(0.5)
            except trio.BrokenResourceError:
                pass
        assert (await house.record()).ending == "head_timeout"
        assert trio.current_time() <= 13


async def test_a_visitor_that_says_nothing(autojump_clock: MockClock) -> None:
    """A visitor that leaves without a word leaves no record."""
    async with open_house() as house:
        house.silent_visits = 1
        client = await house.visit()
        await client.stream.aclose()


async def test_a_head_of_a_megabyte(socket_clock: MockClock) -> None:
    """A head over ``head_bytes`` is a 431 that even a client still sending can read."""
    async with open_house() as house:
        client = await house.visit("tcp")

        async def flood() -> None:
            with trio.move_on_after(20):
                with contextlib.suppress(trio.BrokenResourceError):
                    await client.send_raw(b"GET / HTTP/1.1\r\nCookie: " + b"a" * 1_000_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            status, _, error = await client.read_answer()
        assert (status, error["code"]) == (431, "head_too_large")
        await client.stream.aclose()


@pytest.mark.parametrize(
    "line", ["Cookie: \xe4\xf6\xfc", "User-Agent: \xff\xfe", "X-Anything: \xe2\x82\xac"]
)
async def test_non_ascii_headers_are_harmless(autojump_clock: MockClock, line: str) -> None:
    """Headers of no meaning here may hold any byte."""
    async with open_house() as house:
        client, upstream = await house.open(line)
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    ("lines", "without", "status"),
    [
        (["Sec-WebSocket-Protocol: r\xe9altime"], [], 400),
        (["Connection: \xff, Upgrade"], ["Connection"], 101),
        ([f"Sec-WebSocket-Key: {kit.KEY}"], [], 400),
        (["Content-Length: 5"], [], 400),
        (["Transfer-Encoding: chunked"], [], 400),
        (["Sec-WebSocket-Version: 8"], ["Sec-WebSocket-Version"], 426),
        (["Sec-WebSocket-Version: \xb2"], ["Sec-WebSocket-Version"], 426),
        (["Sec-WebSocket-Key: short"], ["Sec-WebSocket-Key"], 400),
        (["Host: \xff\xfe"], ["Host"], 101),
        (["Host: xn--a.example"], ["Host"], 101),
        ([], ["Upgrade"], 426),
    ],
)
async def test_odd_upgrades(
    autojump_clock: MockClock, lines: Sequence[str], without: Sequence[str], status: int
) -> None:
    """A wrong upgrade is refused with its status, an odd one served; none of them harms."""
    async with open_house() as house:
        client = await house.knock(*lines, without=without)
        if status == 101:
            upstream = await house.upstream()
            await upstream.accept(kit.created())
            await client.read_101()
            await client.close()
            await farewells(client, upstream)
            return
        answer, headers, _ = await client.read_answer()
        assert answer == status
        if "Version" in "".join(lines):
            assert headers[b"sec-websocket-version"] == b"13"
        await client.stream.aclose()


async def test_garbage_and_a_reset(socket_clock: MockClock) -> None:
    """A visitor that sends anything and resets the connection harms nobody."""
    async with open_house() as house:
        for data in (b"", b"GET / HTTP/1.1\r\n", b"\x00\x01", kit.request_head("wrong")):
            client = await house.visit("tcp")
            if data:
                await client.send_raw(data)
            assert isinstance(client.stream, trio.SocketStream)
            kit.reset(client.stream)
            with trio.fail_after(60):
                await client.over.wait()
        house.silent_visits = len(house.clients) - len(house.records)


# Frames that break RFC 6455.


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(TEXT, UPDATE), 1002),
        (frame(TEXT, UPDATE, key=KEY, reserved=4), 1002),
        (frame(TEXT, UPDATE, key=KEY, reserved=1), 1002),
        (frame(3, UPDATE, key=KEY), 1002),
        (frame(11, b"", key=KEY), 1002),
        (frame(PING, b"p" * 126, key=KEY), 1002),
        (frame(PING, b"p", key=KEY, fin=False), 1002),
        (frame(CLOSE, b"\x03", key=KEY), 1002),
        (frame(CLOSE, kit.close_payload(999), key=KEY), 1002),
        (frame(CLOSE, kit.close_payload(1005), key=KEY), 1002),
        (frame(CLOSE, kit.close_payload(5000), key=KEY), 1002),
        (frame(CLOSE, kit.close_payload(1000, b"\xff\xfe"), key=KEY), 1007),
        (frame(CONTINUATION, UPDATE, key=KEY), 1002),
        (frame(TEXT, b"{", key=KEY, fin=False) + frame(TEXT, b"}", key=KEY), 1002),
        (frame(TEXT, UPDATE, key=KEY, length_size=8), 1002),
        (frame(TEXT, b"hi", key=KEY, length_size=2), 1002),
        (frame(TEXT, b"", key=KEY, length=1 << 63, length_size=8), 1002),
        (frame(TEXT, b'{"type":"session.update","x":"\xff"}', key=KEY), 1007),
    ],
)
async def test_a_broken_frame(autojump_clock: MockClock, broken: bytes, code: int) -> None:
    """A client that breaks the framing gets an error event and 1002 or 1007, the upstream 1000."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.send_raw(broken)
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].told == ("protocol_error", code, "protocol_error")
        assert goodbyes[1].told == (None, 1000, "protocol_error")
        record = await house.record()
        assert (record.ending, record.ended_by, record.close_code) == (
            "protocol_error",
            "client",
            code,
        )
        assert trio.current_time() <= 2


async def test_frames_before_a_broken_one_arrive(autojump_clock: MockClock) -> None:
    """What came before the fault, even in the same read, still goes to the upstream."""
    async with open_house() as house:
        client, upstream = await house.open()
        good = b'{"type":"response.cancel"}'
        await client.send_raw(frame(TEXT, good, key=KEY) + frame(TEXT, UPDATE))
        goodbyes = await farewells(client, upstream)
        assert goodbyes[1].events == [json.loads(good)]


@pytest.mark.parametrize("start", [b'{"type":"input_audio_buffer.append","audio":"', b"\x00\x01"])
async def test_a_frame_of_40_megabytes(autojump_clock: MockClock, start: bytes) -> None:
    """A frame over ``message_bytes`` is refused by its header, with an error event and 1009."""
    async with open_house() as house:
        client, upstream = await house.open()
        opcode = TEXT if start[:1] == b"{" else BINARY
        await client.send_raw(frame(opcode, start, key=KEY, length=40_000_000))
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].told == ("message_too_big", 1009, "message_too_big")
        assert goodbyes[1].told == (None, 1000, "message_too_big")
        assert goodbyes[1].events == []
        assert (await house.record()).ending == "message_too_big"


async def test_fragments_of_40_megabytes(autojump_clock: MockClock) -> None:
    """A message over ``message_bytes`` in many fragments is refused too."""
    async with open_house(limits={"message_bytes": 1_000_000, "parsed_bytes": 500_000}) as house:
        client, upstream = await house.open()
        await client.send(TEXT, b'{"type":"input_audio_buffer.append","audio":"', fin=False)
        for _ in range(20):
            await client.send(CONTINUATION, b"A" * 60_000, fin=False)
        goodbye, _ = await farewells(client, upstream)
        # The message was cut in the middle: an event of ours would have become part of it.
        assert goodbye.told == (None, 1009, "message_too_big") or goodbye.error_code


@pytest.mark.parametrize("start", [b"", b" ", b"{", b'{"type":"session.update"'])
async def test_fragments_of_nothing(autojump_clock: MockClock, start: bytes) -> None:
    """Endless empty fragments of an event that must be read whole are not kept."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.send(TEXT, start, fin=False)
        empty = frame(CONTINUATION, b"", key=KEY, fin=False)
        await client.send_raw(empty * 50_000)
        await client.send(CONTINUATION, b"}")
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == start + b"}"
        assert len(upstream.frames) < 100
        await client.close()
        await farewells(client, upstream)


async def test_a_session_update_of_20_megabytes(autojump_clock: MockClock) -> None:
    """An event to be read that is over ``parsed_bytes`` ends its own session, and no other."""
    async with open_house() as house:
        other, other_upstream = await house.open()
        client, upstream = await house.open()
        payload = b'{"type":"session.update","x":"' + b"A" * 20_000_000 + b'"}'
        await client.say(payload)
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].told == ("message_too_big", 1009, "message_too_big")
        assert (await house.record()).ending == "message_too_big"
        await other.say({"type": "response.create"})
        assert (await other_upstream.hear())["type"] == "response.create"
        await other.close()
        await farewells(other, other_upstream)


async def test_a_message_that_only_shows_itself_when_it_is_too_long(
    autojump_clock: MockClock,
) -> None:
    """An event that hides its type must be read whole, and so may not exceed ``parsed_bytes``."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say(b'{"audio":"' + b"A" * 5_000_000 + b'","type":"x"}')
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].told == ("message_too_big", 1009, "message_too_big")


# Events of every kind pass.

DEEP = b'{"type":"session.update","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"


@pytest.mark.parametrize(
    "payload",
    [
        b"[1,2]",
        b'"text"',
        b"null",
        b"{",
        b"{}",
        b"",
        b" ",
        b"no JSON at all",
        b'{"event_id":"a"}',
        b'{"type":null}',
        b'{"type":["session.update"]}',
        b'{"type":"session.update"}',
        b'{"type":"session.update","session":[]}',
        b'{"type":"session.update","session":{"model":5}}',
        b'{"session":' + b" " * 100_000 + b'{},"type":"session.update"}',
        b'{"type":"input_audio_buffer.append","type":"response.create"}',
        b'{"item":{"type":"message"},"type":"conversation.item.create"}',
        b'{"t\\u0079pe":"session.update","session":{}}',
        b'{"event_id":"' + b"e" * 5_000 + b'","type":"response.cancel"}',
        b'{"type":"session.update","n":1e999,"m":NaN}',
        b'{"type":"session.update","n":' + b"9" * 5_000 + b"}",
        b'{"type":"session.update","x":"\\ud800"}',
        kit.append(200_000),
    ],
    ids=lambda payload: repr(payload[:40]),
)
async def test_odd_events_pass_untouched(autojump_clock: MockClock, payload: bytes) -> None:
    """What is no event, or an odd one, is the upstream's to judge: it arrives byte by byte."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say(payload)
        message = await upstream.receive_message()
        assert message is not None
        assert (message.opcode, message.payload) == (TEXT, payload)
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    "payload",
    [b'\xef\xbb\xbf{"type":"session.update"}', DEEP],
    ids=lambda payload: repr(payload[:40]),
)
async def test_an_update_that_cannot_be_read(autojump_clock: MockClock, payload: bytes) -> None:
    """What may be an update, and cannot be read, is told to the client and goes no further."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.say(payload)
        event = await client.hear()
        assert event["error"]["message"] == "The event is no JSON object that can be read."
        await client.say(kit.append(10))
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == kit.append(10)
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize(
    "inner",
    [b"[" * 300_000 + b"]" * 300_000, b'"' + b"\xff" * 600_000 + b'"', b"[" * 600_000],
    ids=["too deep", "not UTF-8", "broken"],
)
async def test_a_large_event_that_proves_nothing(autojump_clock: MockClock, inner: bytes) -> None:
    """What shows no type at its start, and can be no ``session.update``, is not even parsed."""
    async with open_house() as house:
        client, upstream = await house.open()
        payload = b'{"x":' + inner + b',"type":"response.cancel"}'
        await client.say(payload)
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == payload
        await client.close()
        await farewells(client, upstream)


async def test_invalid_utf8_in_an_event_that_passes(autojump_clock: MockClock) -> None:
    """Text that nobody here reads is not looked at: invalid UTF-8 in it is the other side's."""
    async with open_house() as house:
        client, upstream = await house.open()
        payload = b'{"type":"input_audio_buffer.append","audio":"\xff"}'
        await client.say(payload)
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == payload
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("cut", [1, 10, 30, 60, 2_000])
@pytest.mark.parametrize(
    "payload",
    [kit.append(3_000), UPDATE + b" " * 3_000, b'{"x":"' + b"y" * 3_000 + b'"}'],
    ids=["pass", "edit", "unproven"],
)
async def test_fragments_with_pings_between(
    autojump_clock: MockClock, payload: bytes, cut: int
) -> None:
    """A fragmented message arrives whole in every lane, and pings between are answered at once."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.send(TEXT, payload[:cut], fin=False)
        await client.send(PING, b"one")
        assert await client.receive() == (True, PONG, b"one", None)
        await client.send(CONTINUATION, b"", fin=False)
        await client.send(CONTINUATION, payload[cut : cut + 500], fin=False)
        await client.send(PING, b"two")
        await client.send(CONTINUATION, payload[cut + 500 :])
        assert await client.receive() == (True, PONG, b"two", None)
        message = await upstream.receive_message()
        assert message is not None
        assert message.payload == payload
        await client.close()
        await farewells(client, upstream)


async def test_a_binary_message_passes(autojump_clock: MockClock) -> None:
    """Binary messages are the upstream's to judge."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.send(BINARY, b"\x00\xff")
        assert await upstream.receive() is not None
        assert upstream.frames[-1][1:3] == (BINARY, b"\x00\xff")
        await client.close()
        await farewells(client, upstream)


async def test_unasked_pongs_are_ignored(autojump_clock: MockClock) -> None:
    """A pong that answers no ping is dropped (RFC 6455, 5.5.3)."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.send(PONG, b"unasked")
        await client.close()
        goodbyes = await farewells(client, upstream)
        assert [goodbye.told for goodbye in goodbyes] == [(None, 1000, "")] * 2
        assert all(seen.opcode != PONG for seen in upstream.frames)


# Clients that leave, stall or flood.


@pytest.mark.parametrize("half", [False, True], ids=["close", "half-close"])
async def test_leaving_during_the_dial(autojump_clock: MockClock, *, half: bool) -> None:
    """A client that leaves while we dial cancels the dial, and the upstream is let go."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        await upstream.read_head()
        if half:
            assert isinstance(client.stream, trio.StapledStream)
            await client.stream.send_eof()
        else:
            await client.stream.aclose()
        assert await upstream.receive() is None
        record = await house.record()
        assert (record.ending, record.ended_by) == ("client_lost", "client")
        assert trio.current_time() < 0.1
        await upstream.stream.aclose()


async def test_leaving_during_the_first_event(autojump_clock: MockClock) -> None:
    """A client that leaves while we wait for the first event: the upstream is told 1000."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await (await house.upstream()).accept()
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.aclose()
        assert (await upstream.farewell()).code == 1000
        assert (await house.record()).ending == "client_lost"


@pytest.mark.log_says("session ended")
async def test_leaving_after_a_channel_timed_out(autojump_clock: MockClock) -> None:
    """A client that leaves while the second channel is tried is lost, whatever the first did."""
    async with open_house(kit.channel("a", priority=2), kit.channel("b")) as house:
        client = await house.knock()
        first = await (await house.upstream()).accept()
        await first.farewell()
        second = await house.upstream()
        await client.stream.aclose()
        record = await house.record()
        assert record.ending == "client_lost"
        assert record.attempts == ("a: no first event within 5 s",)
        await second.stream.aclose()


async def test_bytes_before_the_101_go_upstream(autojump_clock: MockClock) -> None:
    """Frames of a hasty client are kept while we dial, and go upstream after the 101."""
    async with open_house() as house:
        client = await house.knock()
        await client.say({"type": "response.create"})
        upstream = await house.upstream()
        await upstream.accept(kit.created())
        await client.read_101()
        assert await upstream.hear() == {"type": "response.create"}
        await client.close()
        await farewells(client, upstream)


async def test_too_many_bytes_before_the_101(autojump_clock: MockClock) -> None:
    """A client that streams more than ``head_bytes`` before its answer gets a 400."""
    async with open_house() as house:
        client = await house.knock()
        upstream = await house.upstream()
        await client.say(kit.append(20_000))
        status, _, _ = await client.read_answer()
        assert status == 400
        await client.stream.aclose()
        assert (await house.record()).ending == "bad_request"
        await upstream.stream.aclose()


@pytest.mark.parametrize("kind", ["lockstep", "tcp"])
async def test_a_client_that_stops_reading(socket_clock: MockClock, kind: str) -> None:
    """A client that does not read is cut after ``send_stall``; the upstream is told 1000."""
    async with open_house() as house:
        client, upstream = await house.open(kind=kind)

        async def flood() -> None:
            try:
                for _ in range(200):
                    await upstream.say({"type": "response.audio.delta", "delta": "A" * 60_000})
            except trio.BrokenResourceError:
                pass

        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            goodbye = await upstream.farewell()
        assert goodbye.told == (None, 1000, "client_stalled")
        record = await house.record()
        assert (record.ending, record.close_code) == ("client_stalled", 4409)
        assert 10 <= trio.current_time() - started <= 13
        await client.stream.aclose()


async def test_close_in_mid_response(autojump_clock: MockClock) -> None:
    """A client's CLOSE ends the session at once, response or not, with its own code both ways."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.say(kit.response_created())
        await client.hear()
        await client.close(4001, b"hung up")
        await upstream.say({"type": "response.output_audio.delta"})
        goodbyes = await farewells(client, upstream)
        assert [goodbye.told for goodbye in goodbyes] == [(None, 4001, "hung up")] * 2
        record = await house.record()
        assert (record.ending, record.ended_by, record.close_code, record.reason) == (
            "client_closed",
            "client",
            4001,
            "hung up",
        )
        assert trio.current_time() < 0.1


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1013, 1014, 3000, 4999, 1002])
async def test_close_codes_from_the_client(autojump_clock: MockClock, code: int) -> None:
    """A client's close code goes on where it is legal for the upstream, else 1000 does."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.close(code, b"mine")
        told, upstream_told = await farewells(client, upstream)
        assert told.code in (code, 1000, 1005)
        assert upstream_told.told == (None, 1000 if code == 1002 else code, "mine")
        assert trio.current_time() < 0.1


async def test_close_without_a_code(autojump_clock: MockClock) -> None:
    """A CLOSE without a code is answered in kind, and is 1000 for the upstream."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.close(None)
        goodbyes = await farewells(client, upstream)
        assert goodbyes[0].code in (1000, 1005)
        assert goodbyes[1].code == 1000


async def test_close_and_keep_the_socket(autojump_clock: MockClock) -> None:
    """A client that sends CLOSE and keeps the connection does not keep us."""
    async with open_house() as house:
        client, upstream = await house.open()
        await client.close()
        await upstream.farewell()
        await house.record()
        assert trio.current_time() < 0.1


async def test_half_close(autojump_clock: MockClock) -> None:
    """A client that closes its sending side is lost, and told so, for it may still read."""
    async with open_house() as house:
        client, upstream = await house.open()
        assert isinstance(client.stream, trio.StapledStream)
        await client.stream.send_eof()
        goodbye = await upstream.farewell()
        assert goodbye.told == (None, 1000, "client_lost")
        frames = [await client.receive(), await client.receive()]
        assert json.loads(frames[0].payload if frames[0] else b"")["error"]["code"] == "client_lost"
        assert frames[1] is not None
        assert frames[1].payload == kit.close_payload(1001, b"client_lost")
        assert (await house.record()).ending == "client_lost"
        assert trio.current_time() < 0.1


async def test_half_close_over_tcp(socket_clock: MockClock) -> None:
    """The same over a real socket."""
    async with open_house() as house:
        client, upstream = await house.open(kind="tcp")
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        goodbye = await upstream.farewell()
        assert goodbye.told == (None, 1000, "client_lost")
        seen = await client.farewell(answer=False)
        assert seen.told == ("client_lost", 1001, "client_lost")


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_client_that_drops_the_connection(socket_clock: MockClock, kind: str) -> None:
    """A connection that ends without CLOSE is ``client_lost``; the upstream is told 1000."""
    async with open_house() as house:
        client, upstream = await house.open(kind=kind)
        if isinstance(client.stream, trio.SocketStream):
            kit.reset(client.stream)
        else:
            await client.stream.aclose()
        assert (await upstream.farewell()).told == (None, 1000, "client_lost")
        record = await house.record()
        assert (record.ending, record.ended_by) == ("client_lost", "client")


async def test_a_client_that_vanishes(autojump_clock: MockClock) -> None:
    """A client that answers no ping is given up after ``ping_interval`` and ``pong``."""
    async with open_house() as house:
        _, upstream = await house.open()
        assert (await upstream.farewell()).told == (None, 1000, "client_pong_timeout")
        assert trio.current_time() == 40
        assert (await house.record()).ending == "client_pong_timeout"


@pytest.mark.parametrize("size", [1_000, 1_000_000])
async def test_a_client_that_stalls_in_mid_frame(autojump_clock: MockClock, size: int) -> None:
    """A frame that stops arriving ends the session after ``frame_stall``; both legs are told."""
    async with open_house(timeouts={"ping_interval": 0}) as house:
        client, upstream = await house.open()
        whole = frame(TEXT, kit.append(size), key=KEY)
        await client.send_raw(whole[: len(whole) // 2])
        goodbyes: list[kit.Farewell] = []

        async def end(peer: kit.Peer) -> None:
            goodbyes.append(await peer.farewell(answer=peer is upstream))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end, upstream)
            nursery.start_soon(end, client)
        assert {goodbye.reason for goodbye in goodbyes} == {"client_frame_stalled"}
        assert sorted(goodbye.code or 0 for goodbye in goodbyes) == [1000, 1001]
        assert (await house.record()).ending == "client_frame_stalled"
        assert 30 <= trio.current_time() <= 33


async def test_streaming_while_refused(socket_clock: MockClock) -> None:
    """A client that keeps streaming while we refuse it still reads the error event and CLOSE."""
    async with open_house() as house:
        client = await house.knock(kind="tcp", token="sk-rt-wrong")
        await client.read_101()
        for _ in range(100):
            await client.say(kit.append(50_000))
        frames = [await client.receive(), await client.receive()]
        assert frames[0] is not None
        assert json.loads(frames[0].payload)["error"]["code"] == "invalid_api_key"
        assert frames[1] is not None
        assert frames[1].payload[:2] == (3000).to_bytes(2, "big")
        await client.stream.aclose()
        assert (await house.record()).ending == "invalid_api_key"


@pytest.mark.log_says("session ended")
async def test_streaming_while_a_session_ends(socket_clock: MockClock) -> None:
    """A client that streams while its session ends still reads the error event and CLOSE."""
    async with open_house() as house:
        client, upstream = await house.open(kind="tcp")
        await client.say(kit.append(50_000))
        await upstream.receive()
        await upstream.stream.aclose()
        for _ in range(100):
            await client.say(kit.append(50_000))
        frames = [await client.receive(), await client.receive()]
        assert frames[0] is not None
        assert json.loads(frames[0].payload)["error"]["code"] == "upstream_lost"
        assert frames[1] is not None
        assert frames[1].payload == kit.close_payload(1011, b"upstream_lost")
        await client.stream.aclose()
        assert (await house.record()).ending == "upstream_lost"


async def test_a_refused_client_that_never_closes(autojump_clock: MockClock) -> None:
    """A refused client that keeps the connection open keeps it no longer than ``goodbye``."""
    async with open_house() as house:
        client = await house.knock(token=None)
        await client.read_101()
        await house.record()
        assert trio.current_time() == 2
