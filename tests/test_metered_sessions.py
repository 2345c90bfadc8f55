"""Facts about what whole sessions are billed: by real events, over streams, to the last token."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import kit
import pytest
import trio
from eventexamples import USAGE
from kit import CONTINUATION, TEXT, channel, farewells, open_house
from test_metering import TOKENS
from trio.testing import MockClock

from rt_proxy.errors import LedgerError
from rt_proxy.realtime import closing
from rt_proxy.realtime.counts import Tokens
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageKind, UsageRecord


def a_tenth_of_a_cent(record: UsageRecord) -> Decimal:
    """Be a price function: each token costs 0.001 USD."""
    return Decimal(record.tokens.total) / 1000


def hooks(records: list[UsageRecord]) -> dict[str, Any]:
    """Return the arguments of a proxy whose usage is gathered, and costs something."""
    return {"on_usage": records.append, "price": a_tenth_of_a_cent}


def done(id_: str = "resp_1", status: str = "completed", usage: object = USAGE) -> dict[str, Any]:
    """Return the event that ends a response."""
    response = {"id": id_, "status": status, "usage": usage, "conversation_id": "conv_1"}
    return {"type": "response.done", "response": response}


def speech(milliseconds: int, id_: str = "resp_1") -> dict[str, Any]:
    """Return an event with so much audio."""
    return {
        "type": "response.output_audio.delta",
        "response_id": id_,
        "delta": base64.b64encode(bytes(48 * milliseconds)).decode(),
    }


async def say_all(
    upstream: kit.Upstream, client: kit.Client, *events: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Have the upstream say events, and return what the client hears."""
    heard = []
    for event in events:
        # As the API writes it, without spaces, so that deltas pass unread.
        await upstream.send(TEXT, json.dumps(event, separators=(",", ":")).encode())
        heard.append(await client.hear())
    return heard


async def test_a_response(autojump_clock: MockClock) -> None:
    """One record tells who had what from where, and what it cost; the session's adds it up."""
    records: list[UsageRecord] = []
    async with open_house(hooks=hooks(records)) as house:
        client, upstream = await house.open()
        await say_all(upstream, client, kit.response_created(), speech(100), done())
        await say_all(upstream, client, kit.response_created("resp_2"), done("resp_2"))
        await client.close()
        await farewells(client, upstream)
        session = await house.record()
        assert len(records) == 2
        [record, _] = records
        assert record.kind is UsageKind.RESPONSE
        assert record.session_id == session.session_id
        assert (record.token_id, record.token_name) == (house.token_id, "tester")
        assert (record.channel, record.model) == ("main", kit.MODEL)
        assert (record.upstream_model, record.upstream_session_id) == (kit.UPSTREAM_MODEL, "sess_1")
        assert (record.upstream_id, record.status) == ("resp_1", "completed")
        assert (record.tokens, record.usd) == (TOKENS, Decimal("0.253"))
        assert not record.estimated
        assert session.usd == Decimal("0.506")
        assert session.fields()["usd"] == "0.506"


@pytest.mark.log_says("session ended")
async def test_of_a_beta_upstream_for_a_ga_client(autojump_clock: MockClock) -> None:
    """Where events are translated what they cost stays the same."""
    records: list[UsageRecord] = []
    first = kit.created()
    del first["session"]["type"]
    beta = channel(dialect="beta")
    async with open_house(beta, hooks=hooks(records), still_serves=False) as house:
        client, upstream = await house.open(first=first)
        delta = speech(1_000) | {"type": "response.audio.delta"}
        heard = await say_all(upstream, client, kit.response_created(), delta)
        assert heard[-1]["type"] == "response.output_audio.delta"
        await trio.aclose_forcefully(upstream.stream)
        await client.farewell()
        [record] = records
        assert record.tokens == Tokens(audio_out=20)
        client, upstream = await house.open(first=first)
        await say_all(upstream, client, kit.response_created())
        await upstream.say(done())
        while (await client.hear())["type"] != "response.done":
            pass
        await client.close()
        await farewells(client, upstream)
        assert (records[-1].tokens, records[-1].estimated) == (TOKENS, False)


async def test_counted_once(autojump_clock: MockClock) -> None:
    """A response whose end comes twice is passed on twice, and billed once."""
    records: list[UsageRecord] = []
    async with open_house(hooks=hooks(records)) as house:
        client, upstream = await house.open()
        await say_all(upstream, client, done(), done())
        await client.close()
        await farewells(client, upstream)
        session = await house.record()
        assert (len(records), session.responses, session.usd) == (1, 1, Decimal("0.253"))


class TestTranscriptions:
    """Transcriptions cost what the model costs that transcribed."""

    @staticmethod
    def completed(item_id: str, **usage: Any) -> dict[str, Any]:
        """Return the event that ends a transcription."""
        kind = "conversation.item.input_audio_transcription.completed"
        return {"type": kind, "item_id": item_id, "content_index": 0, "usage": usage}

    @staticmethod
    def updated(model: str) -> dict[str, Any]:
        """Return the event that tells of another model that transcribes."""
        transcription = {"audio": {"input": {"transcription": {"model": model}}}}
        return {"type": "session.updated", "session": {"type": "realtime"} | transcription}

    async def test_of_the_model_at_the_commit(self, autojump_clock: MockClock) -> None:
        """A model that is changed before the transcription is there changes nothing."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(
                upstream,
                client,
                self.updated("gpt-4o-transcribe"),
                {"type": "input_audio_buffer.committed", "item_id": "item_1"},
                self.updated("whisper-1"),
                {"type": "input_audio_buffer.committed", "item_id": "item_2"},
                self.completed("item_2", type="duration", seconds=3.2),
                self.completed("item_1", type="tokens", input_tokens=17, output_tokens=9),
                self.completed("item_1", type="tokens", input_tokens=17, output_tokens=9),
            )
            await client.close()
            await farewells(client, upstream)
            assert [(one.kind, one.upstream_id, one.model) for one in records] == [
                (UsageKind.TRANSCRIPTION, "item_2", "whisper-1"),
                (UsageKind.TRANSCRIPTION, "item_1", "gpt-4o-transcribe"),
            ]
            assert [one.milliseconds for one in records] == [3_200, 0]
            assert records[1].tokens == Tokens(audio_in=17, text_out=9)


class TestUnfinished:
    """A response whose end does not come is not forgotten."""

    async def test_the_client_leaves(self, autojump_clock: MockClock) -> None:
        """The upstream is told to cancel, and heard until it has told what the response cost."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created(), speech(100))
            await client.close(1000, b"bye")
            assert await upstream.hear() == {"type": "response.cancel", "response_id": "resp_1"}
            await trio.sleep(1.5)
            await upstream.say(speech(100))
            await upstream.say(done(status="cancelled"))
            told = await upstream.farewell()
            assert (told.told, trio.current_time()) == ((None, 1000, "bye"), pytest.approx(1.5))
            session = await house.record()
            [record] = records
            assert (record.status, record.tokens, record.estimated) == ("cancelled", TOKENS, False)
            assert (session.ending, session.responses) == ("client_closed", 1)
            assert session.usd == Decimal("0.253")

    async def test_the_client_is_told_at_once(self, autojump_clock: MockClock) -> None:
        """A client that leaves does not wait for what the upstream has to tell."""
        async with open_house(hooks=hooks([]), still_serves=False) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created())
            await client.close(1000)
            told = await client.farewell()
            assert (told.code, trio.current_time()) == (1000, 0)
            await upstream.farewell()

    async def test_a_transcription_is_waited_for(self, autojump_clock: MockClock) -> None:
        """A client that leaves before it is told what it said pays for it all the same."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(
                upstream,
                client,
                TestTranscriptions.updated("gpt-4o-transcribe"),
                {"type": "input_audio_buffer.committed", "item_id": "item_1"},
            )
            await client.close()
            assert (await client.farewell()).code == 1000
            await trio.sleep(1)
            usage = {"type": "tokens", "input_tokens": 17, "output_tokens": 9}
            await upstream.say(TestTranscriptions.completed("item_1", **usage))
            told = await upstream.farewell()
            assert (told.events, trio.current_time()) == ([], pytest.approx(1))
            await house.record()
            assert [record.tokens for record in records] == [Tokens(audio_in=17, text_out=9)]

    async def test_a_response_that_begins_too_late(self, autojump_clock: MockClock) -> None:
        """A response that voice activity begins after the client has left is cancelled, too."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created("r1"))
            await client.close()
            assert await upstream.hear() == {"type": "response.cancel", "response_id": "r1"}
            await upstream.say(kit.response_created("r2"))
            assert await upstream.hear() == {"type": "response.cancel", "response_id": "r2"}
            await upstream.say(done("r1", status="cancelled"))
            await upstream.say(done("r2", status="cancelled"))
            assert (await upstream.farewell()).events == []
            await house.record()
            assert [one.upstream_id for one in records] == ["r1", "r2"]

    async def test_audio_whose_type_stands_last(self, autojump_clock: MockClock) -> None:
        """Audio of the client counts in whatever order the members of its event stand."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records), timeouts={"usage": 0}) as house:
            client, upstream = await house.open()
            audio = json.dumps({"audio": "A" * 640_000, "type": "input_audio_buffer.append"})
            await client.send(TEXT, audio.encode())
            await upstream.hear()
            committed = {"type": "input_audio_buffer.committed", "item_id": "item_1"}
            await say_all(upstream, client, committed, kit.response_created())
            await client.close()
            await upstream.farewell()
            assert [record.tokens for record in records] == [Tokens(audio_in=100)]

    async def test_the_upstream_says_nothing(self, autojump_clock: MockClock) -> None:
        """After ``timeouts.usage`` what it cost is estimated from what passed, and marked so."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records), timeouts={"usage": 2}) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created(), speech(1_000))
            await client.close()
            assert (await upstream.hear())["type"] == "response.cancel"
            await upstream.farewell()
            assert trio.current_time() == pytest.approx(2)
            await house.record()
            [record] = records
            assert (record.upstream_id, record.status) == ("resp_1", "unfinished")
            assert (record.tokens, record.estimated) == (Tokens(audio_out=20), True)
            assert record.usd == Decimal("0.020")

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize("by", ["close", "reset"])
    async def test_the_upstream_is_lost(self, autojump_clock: MockClock, by: str) -> None:
        """An upstream that goes in the midst of a response leaves an estimate."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created(), speech(2_000))
            if by == "close":
                await upstream.close(1011)
            else:
                await trio.aclose_forcefully(upstream.stream)
            await client.farewell()
            await house.record()
            [record] = records
            assert (record.tokens, record.status) == (Tokens(audio_out=40), "unfinished")

    async def test_it_is_switched_off(self, autojump_clock: MockClock) -> None:
        """With ``timeouts.usage = 0`` nothing is sent and nobody is waited for."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records), timeouts={"usage": 0}) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created())
            await client.close(1000)
            told = await upstream.farewell()
            assert (told.events, told.code, trio.current_time()) == ([], 1000, 0)
            assert len(records) == 1

    async def test_a_cut(self, autojump_clock: MockClock) -> None:
        """A session that is cut gives the upstream a quarter of a second, and is recorded."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records), still_serves=False) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created(), speech(1_000))
            house.proxy._gate._roster.end_all(closing.CUT)
            assert (await upstream.hear())["type"] == "response.cancel"
            await upstream.say(done(status="cancelled"))
            await farewells(client, upstream)
            assert [one.status for one in records] == ["cancelled"]

    async def test_every_response_in_progress(self, autojump_clock: MockClock) -> None:
        """Each response is cancelled by its id."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, *(kit.response_created(id_) for id_ in ("a", "b")))
            await client.close()
            assert [(await upstream.hear())["response_id"] for _ in "ab"] == ["a", "b"]
            await upstream.say(done("b", status="cancelled"))
            await upstream.say(done("a", status="cancelled"))
            await upstream.farewell()
            await house.record()
            assert [one.upstream_id for one in records] == ["b", "a"]

    async def test_in_the_midst_of_a_message(self, autojump_clock: MockClock) -> None:
        """Where a client leaves half-way in a message it is ended as no event, then cancelled."""
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(records)) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created())
            await client.send(TEXT, kit.append(70_000), fin=False)
            assert (await upstream.receive()) is not None
            await trio.aclose_forcefully(client.stream)
            part = await upstream.receive()
            while part is not None and part.opcode == CONTINUATION and not part.fin:
                part = await upstream.receive()
            assert part is not None
            assert (part.opcode, part.fin, part.payload) == (CONTINUATION, True, b"\0")
            assert await upstream.hear() == {"type": "response.cancel", "response_id": "resp_1"}
            await upstream.say(done(status="cancelled"))
            await upstream.farewell()
            await house.record()
            assert [one.status for one in records] == ["cancelled"]


@pytest.mark.log_says("price function failed", "on_usage raised", "is not known")
async def test_a_hook_that_raises(autojump_clock: MockClock) -> None:
    """A price function or a hook that fails is told in the log, and the session goes on."""

    def fail(_: object) -> None:
        raise RuntimeError("of the embedder's own")

    codes: list[int | None] = []

    async def hold_a_session() -> None:
        async with open_house(hooks={"on_usage": fail, "price": fail}) as house:
            client, upstream = await house.open()
            await say_all(upstream, client, kit.response_created(), done())
            await client.close()
            codes.extend(told.code for told in await farewells(client, upstream))

    with pytest.raises(AssertionError, match="of the embedder's own"):  # what was logged
        await hold_a_session()
    assert codes == [1000, 1000]


async def test_nobody_counts(autojump_clock: MockClock) -> None:
    """Without a ledger, a hook and a budget the upstream is not waited for, as nobody asks."""
    async with open_house() as house:
        client, upstream = await house.open()
        await say_all(upstream, client, kit.response_created())
        await client.close(1000)
        told = await upstream.farewell()
        assert (told.events, trio.current_time()) == ([], 0)
        assert (await house.record()).usd is None


class BrokenLedger:
    """A ledger that can be written as soon as it is mended."""

    is_mended = False

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Forget records, or fail."""
        await trio.lowlevel.checkpoint()
        if not self.is_mended:
            raise LedgerError("usage.db: the disk is full")

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Return nothing."""
        await trio.lowlevel.checkpoint()
        return Spent()


@pytest.mark.log_says("the ledger cannot be written", "is written again")
async def test_a_ledger_in_trouble(autojump_clock: MockClock) -> None:
    """The proxy tells how much waits and how often writing failed; what waits is written later."""
    with pytest.raises(AssertionError, match="the disk is full"):  # what was logged
        await meter_into(BrokenLedger())


async def meter_into(ledger: BrokenLedger) -> None:
    """Have one response, and mend the ledger after a minute."""
    async with open_house(hooks={"ledger": ledger}) as house:
        assert (house.proxy.usage_waiting, house.proxy.ledger_failures) == (0, 0)
        client, upstream = await house.open()
        await say_all(upstream, client, kit.response_created(), done())
        await client.close()
        await farewells(client, upstream)
        await trio.sleep(60)
        assert house.proxy.usage_waiting == 1
        assert house.proxy.ledger_failures > 1
        ledger.is_mended = True
        await trio.sleep(60)
        assert house.proxy.usage_waiting == 0
