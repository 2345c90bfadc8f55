"""Whole sessions between the dialects: what goes through, to the byte where nothing changes."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import kit
import pytest
from kit import BINARY, CONTINUATION, TEXT, Client, Upstream, channel, farewells, frame, open_house
from trio.testing import MockClock

MARK = "OpenAI-Beta: realtime=v1"
GA_DELTA = b'{"type":"response.output_audio.delta","event_id":"e","item_id":"i","delta":"%b"}'
BETA_DELTA = GA_DELTA.replace(b"output_", b"")
BETA_CREATED = {"type": "session.created", "event_id": "e", "session": {"modalities": ["text"]}}


@asynccontextmanager
async def beta_on_ga(**limits: Any) -> AsyncIterator[tuple[Client, Upstream]]:
    """Open a session of a Beta client whose upstream speaks GA."""
    async with open_house(limits=limits) as house:
        client, upstream = await house.open(MARK)
        assert (await client.hear())["type"] == "conversation.created"
        yield client, upstream
        await client.close()
        await farewells(client, upstream)
        assert (house.records[-1].dialect, house.records[-1].upstream_dialect) == ("beta", "ga")


@asynccontextmanager
async def ga_on_beta(**limits: Any) -> AsyncIterator[tuple[Client, Upstream]]:
    """Open a session of a GA client whose upstream speaks Beta."""
    async with open_house(channel(dialect="beta"), still_serves=False, limits=limits) as house:
        client, upstream = await house.open(first=BETA_CREATED)
        yield client, upstream
        await client.close()
        await farewells(client, upstream)
        assert (house.records[-1].dialect, house.records[-1].upstream_dialect) == ("ga", "beta")


async def payload(peer: Client | Upstream) -> bytes:
    """Read the next message as the bytes that it is."""
    message = await peer.receive_message()
    assert message is not None
    return message.payload


async def test_deltas_are_renamed_in_their_frames(autojump_clock: MockClock) -> None:
    """Of an audio delta the type alone changes; whatever its audio is, nobody reads it."""
    odd = b"\xff not base64, not even UTF-8: \xc3"
    async with beta_on_ga() as (client, upstream):
        audio = [b"", b"AAAA", odd, b"A" * 118, b"A" * 126, b"A" * 65_600]
        await upstream.send_raw(b"".join(frame(TEXT, GA_DELTA % delta) for delta in audio))
        assert [await payload(client) for _ in audio] == [BETA_DELTA % delta for delta in audio]
    async with ga_on_beta() as (client, upstream):
        await upstream.send_raw(b"".join(frame(TEXT, BETA_DELTA % delta) for delta in audio))
        assert [await payload(client) for _ in audio] == [GA_DELTA % delta for delta in audio]


async def test_neighbours_leave_in_one_send(autojump_clock: MockClock) -> None:
    """Deltas that arrived together go on together, those between them that pass included."""
    other = b'{"type":"rate_limits.updated","rate_limits":[]}'
    async with beta_on_ga() as (client, upstream):
        sent = [GA_DELTA % b"AAAA", other, GA_DELTA % b"BBBB"]
        await upstream.send_raw(b"".join(frame(TEXT, one) for one in sent))
        expected = [BETA_DELTA % b"AAAA", other, BETA_DELTA % b"BBBB"]
        together = b"".join(frame(TEXT, one) for one in expected)
        assert await client.stream.receive_some() == together


async def test_a_delta_that_is_too_large_to_wait_for(autojump_clock: MockClock) -> None:
    """It goes on in fragments as it arrives, with its type replaced in the first one."""
    audio = b"A" * 200_000
    whole = frame(TEXT, GA_DELTA % audio)
    async with beta_on_ga() as (client, upstream):
        await upstream.send_raw(whole[:100_000])
        first = await client.receive()
        assert first is not None
        assert not first.fin
        assert first.payload.startswith(b'{"type":"response.audio.delta",')
        await upstream.send_raw(whole[100_000:])
        rest = b""
        while True:
            part = await client.receive()
            assert part is not None
            assert part.opcode == CONTINUATION
            rest += part.payload
            if part.fin:
                break
        assert first.payload + rest == BETA_DELTA % audio


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
async def test_a_delta_in_fragments(autojump_clock: MockClock, cut: int) -> None:
    """An upstream may cut its messages anywhere, also in the type."""
    async with beta_on_ga() as (client, upstream):
        text = GA_DELTA % (b"A" * 300)
        await upstream.send(TEXT, text[:cut], fin=False)
        await upstream.send(CONTINUATION, text[cut:])
        assert json.loads(await payload(client)) == json.loads(BETA_DELTA % (b"A" * 300))


async def test_a_type_that_stands_last(autojump_clock: MockClock) -> None:
    """Where the first bytes do not prove the type the event is read, and renamed all the same."""
    async with beta_on_ga() as (client, upstream):
        await upstream.say(b'{"delta":"AA==","type":"response.output_audio.delta"}')
        assert await payload(client) == b'{"delta":"AA==","type":"response.audio.delta"}'


async def test_what_needs_no_change_keeps_its_bytes(autojump_clock: MockClock) -> None:
    """Events that are the same in both dialects pass both ways to the letter, masks included."""
    up = [kit.append(70_000), b'{ "type" : "response.cancel", "x":1e400 }', b'{"type":"x"}']
    up += [b'{"type":"response.create"}', b'{"event_id":"e","type":"conversation.item.delete"}']
    down = [b'{ "type": "rate_limits.updated", "n": 0.10 }', b'{"type":"new.event"}', b"[1,2]"]
    for pair in (beta_on_ga, ga_on_beta):
        async with pair() as (client, upstream):
            for one in up:
                await client.say(one)
            for one in down:
                await upstream.say(one)
            assert [await payload(upstream) for _ in up] == up
            assert [await payload(client) for _ in down] == down
            assert {part.key for part in upstream.frames if part.opcode == TEXT} == {client.key}


MALFORMED = [
    b"",
    b"{",
    b'{"type":"session.update","session":5}',
    b'{"type":"response.create","response":[]}',
    b'{"type":"conversation.item.create","item":"x"}',
    b'{"type":"conversation.item.create"}',
    b'{"type":["session.update"]}',
]
#: Of these nobody knows what rules speak of them.
UNREADABLE = [
    b'{"type":"session.update","session":',
    b'{"type":"response.create","response":{"input":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
]


async def test_malformed_events_of_a_client(autojump_clock: MockClock) -> None:
    """What is malformed goes to the upstream, or is refused, and the session lives on."""
    for pair in (beta_on_ga, ga_on_beta):
        async with pair() as (client, upstream):
            for one in UNREADABLE:
                await client.say(one)
                event = await client.hear()
                assert event["error"]["message"].startswith("The event is no JSON object")
            for one in MALFORMED:
                await client.say(one)
                assert await payload(upstream) == one
            await client.send(BINARY, b"\x00\xff")
            assert await payload(upstream) == b"\x00\xff"


async def test_malformed_events_of_an_upstream(autojump_clock: MockClock) -> None:
    """What cannot be read goes to the client as it is, not UTF-8 included."""
    down = [
        *(one.replace(b"session.update", b"session.updated") for one in MALFORMED + UNREADABLE),
        b'{"type":"response.done","response":{"output":"\xff"}}',
        b'{"type":"conversation.item.added","item":null}',
        b'{"type":"error","error":"x"}',
    ]
    async with ga_on_beta() as (client, upstream):
        for one in down:
            await upstream.say(one)
            assert await payload(client) == one


async def test_what_has_no_counterpart(autojump_clock: MockClock) -> None:
    """An image is refused by the client's event id, the upstream never sees it; life goes on."""
    part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    item = {"type": "message", "role": "user", "content": [part]}
    async with ga_on_beta() as (client, upstream):
        await client.say({"type": "conversation.item.create", "event_id": "mine", "item": item})
        told = await client.hear()
        assert (told["type"], told["error"]["event_id"]) == ("error", "mine")
        assert (told["error"]["code"], told["error"]["param"]) == (
            "invalid_value",
            "item.content[0].type",
        )
        await client.say({"type": "response.cancel"})
        assert (await upstream.hear())["type"] == "response.cancel"


async def test_an_item_that_is_retrieved(autojump_clock: MockClock) -> None:
    """An item comes with all of its audio, and may be larger than other events that are read."""
    audio = base64.b64encode(bytes(400_000)).decode()
    part = {"type": "output_audio", "audio": audio, "transcript": "Hi"}
    item = {"id": "i", "type": "message", "role": "assistant", "content": [part]}
    retrieved = {"type": "conversation.item.retrieved", "event_id": "e", "item": item}
    shown = {**item, "object": "realtime.item", "content": [{**part, "type": "audio"}]}
    async with beta_on_ga(parsed_bytes=200_000) as (client, upstream):
        await upstream.say(retrieved)
        assert (await client.hear())["item"] == shown
        text = json.dumps(retrieved).encode()
        for start in range(0, len(text), 50_000):
            piece, fin = text[start : start + 50_000], start + 50_000 >= len(text)
            await upstream.send(CONTINUATION if start else TEXT, piece, fin=fin)
        assert (await client.hear())["item"] == shown


async def test_an_item_that_is_too_large_to_be_read(autojump_clock: MockClock) -> None:
    """A client's larger item goes on as it is: what is large in it is the same in both."""
    part = {"type": "input_audio", "audio": "A" * 200_000}
    item = {"type": "message", "role": "user", "content": [part]}
    text = json.dumps({"type": "conversation.item.create", "item": item}).encode()
    for pair in (beta_on_ga, ga_on_beta):
        async with pair(parsed_bytes=100_000) as (client, upstream):
            await client.say(text)
            assert await payload(upstream) == text
            for start in range(0, len(text), 60_000):
                piece, fin = text[start : start + 60_000], start + 60_000 >= len(text)
                await client.send(CONTINUATION if start else TEXT, piece, fin=fin)
            assert await payload(upstream) == text


async def test_a_large_item_of_a_client_that_has_shown_no_dialect(
    autojump_clock: MockClock,
) -> None:
    """Looking for the dialect refuses nothing: what is too large to be read goes on."""
    text = b'{"type":"conversation.item.create","item":{"x":"%b"}}' % (b"A" * 200_000)
    async with open_house(limits={"parsed_bytes": 100_000}) as house:
        client, upstream = await house.open()
        await client.say(text)
        assert await payload(upstream) == text
        await client.close()
        await farewells(client, upstream)


async def test_a_client_that_is_found_out_late(autojump_clock: MockClock) -> None:
    """What was on its way stays as it was; from the client's first Beta event on all changes."""
    async with open_house() as house:
        client, upstream = await house.open()
        await upstream.say(GA_DELTA % b"before")
        assert await payload(client) == GA_DELTA % b"before"
        await client.say({"type": "session.update", "session": {"voice": "alloy"}})
        assert (await upstream.hear())["session"] == {
            "type": "realtime",
            "audio": {"output": {"voice": "alloy"}},
        }
        await upstream.say(GA_DELTA % b"after")
        assert await payload(client) == BETA_DELTA % b"after"
        await upstream.say({**kit.created(), "type": "session.updated"})
        assert (await client.hear())["type"] == "conversation.created"
        assert "type" not in (await client.hear())["session"]
        await client.close()
        await farewells(client, upstream)


async def test_a_client_that_speaks_before_its_answer(autojump_clock: MockClock) -> None:
    """Even a client whose first words come before our 101 is found out by them."""
    update = json.dumps({"type": "session.update", "session": {"voice": "alloy"}}).encode()
    async with open_house() as house:
        client = await house.knock()
        await client.send_raw(frame(TEXT, update, key=client.key))
        upstream = await (await house.upstream()).accept(kit.created())
        await client.read_101()
        assert (await upstream.hear())["session"]["type"] == "realtime"
        kinds = [(await client.hear())["type"]]
        await upstream.say({**kit.created(), "type": "session.updated"})
        kinds += [(await client.hear())["type"], (await client.hear())["type"]]
        assert kinds == ["session.created", "conversation.created", "session.updated"]
        await client.close()
        await farewells(client, upstream)


@pytest.mark.parametrize("setting", ["settings", "token"])
async def test_a_dialect_that_is_set(autojump_clock: MockClock, setting: str) -> None:
    """An unmarked client of a Beta token, or in a Beta house, gets Beta from the first event on."""
    wish: dict[str, Any] = {"client_dialect": "beta"} if setting == "settings" else {}
    async with open_house(still_serves=False, **wish) as house:
        token = house.token
        if setting == "token":
            token = house.tokens.add("old", client_dialect="beta")[1].reveal()
        client, upstream = await house.open(token=token)
        assert (await client.hear())["type"] == "conversation.created"
        await client.close()
        await farewells(client, upstream)


async def test_a_mark_that_does_not_count(autojump_clock: MockClock) -> None:
    """With ``client_dialect = "ga"`` the header of a Beta client is not looked at."""
    async with open_house(client_dialect="ga") as house:
        client, upstream = await house.open(MARK)
        await upstream.say(GA_DELTA % b"AAAA")
        assert await payload(client) == GA_DELTA % b"AAAA"
        await client.close()
        await farewells(client, upstream)


async def test_another_model_is_refused_in_translation(autojump_clock: MockClock) -> None:
    """The model is held to the session's, and a session that shows another is ended."""
    async with open_house() as house:
        client, upstream = await house.open(MARK)
        await client.hear()
        update = {"type": "session.update", "event_id": "m", "session": {"model": "other"}}
        await client.say(update)
        assert (await client.hear())["error"]["event_id"] == "m"
        await client.say({"type": "session.update", "session": {"model": kit.MODEL}})
        sent = (await upstream.hear())["session"]
        assert sent == {"type": "realtime", "model": kit.UPSTREAM_MODEL}
        await upstream.say({**kit.created("other"), "type": "session.updated"})
        told, _ = await farewells(client, upstream)
        assert (told.code, told.reason) == (4004, "model_changed")


@pytest.mark.parametrize("mark", [MARK, None])
@pytest.mark.parametrize("dialect", ["ga", "beta"])
async def test_the_client_sees_its_own_model(
    autojump_clock: MockClock, mark: str | None, dialect: str
) -> None:
    """Whatever the dialects, the client's name of the model is all that it is shown."""
    beta = {"modalities": ["text"], "model": kit.UPSTREAM_MODEL}
    first = kit.created() if dialect == "ga" else {**BETA_CREATED, "session": beta}
    async with open_house(channel(dialect=dialect), still_serves=False) as house:
        client = await house.knock(*([mark] if mark else []))
        upstream = await (await house.upstream()).accept(first)
        await client.read_101()
        assert (await client.hear())["session"]["model"] == kit.MODEL
        if mark and dialect == "ga":
            assert (await client.hear())["type"] == "conversation.created"
        response = {"id": "r", "model": kit.UPSTREAM_MODEL}
        await upstream.say({"type": "response.created", "response": response})
        assert (await client.hear())["response"]["model"] == kit.MODEL
        await client.close()
        await farewells(client, upstream)


async def test_fields_are_dropped_after_translation(autojump_clock: MockClock) -> None:
    """A channel's ``drop_fields`` are named as its upstream knows them."""
    fields = ("audio.output.speed", "tracing")
    async with open_house(channel(drop_fields=fields)) as house:
        client, upstream = await house.open(MARK)
        await client.hear()
        update = {"type": "session.update", "session": {"speed": 1.5, "tracing": "auto"}}
        await client.say(update)
        assert (await upstream.hear())["session"] == {"type": "realtime", "audio": {"output": {}}}
        await client.close()
        await farewells(client, upstream)
    beta = channel(dialect="beta", drop_fields=("speed",))
    async with open_house(beta, still_serves=False) as house:
        client, upstream = await house.open(first=BETA_CREATED)
        session = {"type": "realtime", "audio": {"output": {"speed": 1.5, "voice": "ash"}}}
        await client.say({"type": "session.update", "session": session})
        assert (await upstream.hear())["session"] == {"voice": "ash"}
        await client.close()
        await farewells(client, upstream)


async def test_another_model_of_a_response_in_translation(autojump_clock: MockClock) -> None:
    """A response that shows another model ends the session, in whatever dialect."""
    async with open_house() as house:
        client, upstream = await house.open(MARK)
        await client.hear()
        await upstream.say({"type": "response.created", "response": {"id": "r", "model": "other"}})
        told, _ = await farewells(client, upstream)
        assert told.told == ("model_changed", 4004, "model_changed")
