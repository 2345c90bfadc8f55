"""Facts about budgets in whole sessions: they hold at the door, at each response, and within one.

Each token costs 0.001 USD here, and speech is twenty tokens a second: 0.02 USD.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import kit
import pytest
import trio
from kit import TEXT, farewells, open_house
from test_metered_sessions import a_tenth_of_a_cent, done, say_all, speech
from trio.testing import MockClock

from rt_proxy import Secret
from rt_proxy.settings import Budget, UsageSettings
from rt_proxy.usage.budgets import BudgetState, Purse
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageRecord

QUOTA = "insufficient_quota"
NO_RESERVE = UsageSettings(reserve=0)


class RememberedLedger:
    """A ledger of an embedder's own, which lives in memory."""

    def __init__(self, spent: Spent | None = None) -> None:
        self.records: list[UsageRecord] = []
        self._before = Spent() if spent is None else spent

    async def write(self, records: Any) -> None:
        """Keep records."""
        self.records += records

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Add up what is kept, and what was spent before."""
        spent = self._before
        for record in self.records:
            if token_id in (None, record.token_id):
                spent += Spent(record.nano_usd or 0, record.tokens.total)
        return spent


def hooks(**more: Any) -> dict[str, Any]:
    """Return the arguments of a proxy in which each token costs something."""
    return {"ledger": RememberedLedger(), "price": a_tenth_of_a_cent} | more


def budget(usd: str | None = "0.100", **more: Any) -> Budget:
    """Return a budget."""
    return Budget(usd=None if usd is None else Decimal(usd), warn_percent=0, **more)


def poor(house: kit.House, of: Budget, name: str = "poor") -> str:
    """Make a token with a budget, and return its secret."""
    _, secret = house.tokens.add(name, budget=of)
    return secret.reveal()


def cost(milli_usd: int) -> dict[str, int]:
    """Return a usage that costs so much."""
    return {
        "total_tokens": milli_usd,
        "input_tokens": milli_usd,
        "output_tokens": 0,
        "input_token_details": {"text_tokens": milli_usd},  # type: ignore[dict-item]
    }


async def answer(
    client: kit.Client, upstream: kit.Upstream, id_: str, usage: Mapping[str, Any]
) -> None:
    """Have one response in a session."""
    await client.say({"type": "response.create"})
    assert (await upstream.hear())["type"] == "response.create"
    events = (kit.response_created(id_), done(id_, usage=usage))
    heard = await say_all(upstream, client, *events)
    assert [event["type"] for event in heard] == ["response.created", "response.done"]


class TestAtTheDoor:
    """A client whose budget is spent is not let in, and nothing is dialled."""

    async def test_refused_in_the_event_form(self, autojump_clock: MockClock) -> None:
        """It gets 101, the error insufficient_quota and 4003, as from the provider."""
        async with open_house(hooks=hooks()) as house:
            secret = poor(house, budget("0"))
            client = await house.knock(token=secret)
            await client.read_101()
            told = await client.farewell()
            assert told.told == (QUOTA, 4003, f"{QUOTA}.{QUOTA}")
            assert "begins anew at" in told.events[0]["error"]["message"]
            assert (await house.record()).ending == QUOTA
            assert house.far_ends == []

    async def test_refused_in_the_http_form(self, autojump_clock: MockClock) -> None:
        """It gets 429, and when the budget begins anew."""
        async with open_house(hooks=hooks()) as house:
            secret = poor(house, budget("0", per="day"))
            target = f"/openai/v1/realtime?model={kit.MODEL}"
            client = await house.knock(token=secret, target=target)
            status, headers, error = await client.read_answer()
            assert (status, error["code"], error["type"]) == (429, QUOTA, QUOTA)
            assert 0 < int(headers[b"retry-after"]) <= 24 * 3600
            await house.record()

    async def test_for_ever(self, autojump_clock: MockClock) -> None:
        """A budget that never begins anew has no time to try again."""
        async with open_house(hooks=hooks(), refusals="http") as house:
            client = await house.knock(token=poor(house, budget("0", per="ever")))
            status, headers, _ = await client.read_answer()
            assert (status, headers.get(b"retry-after")) == (429, None)
            await house.record()

    async def test_what_was_spent_before_the_start(self, autojump_clock: MockClock) -> None:
        """What the ledger has of the present period counts after a restart."""
        ledger = RememberedLedger(Spent(nano_usd=100_000_000))
        async with open_house(hooks=hooks(ledger=ledger), still_serves=True) as house:
            client = await house.knock(token=poor(house, budget("0.100")))
            await client.read_101()
            assert (await client.farewell()).code == 4003
            await house.record()

    async def test_reserved_for_each_session(self, autojump_clock: MockClock) -> None:
        """Each session holds what ten seconds of speech cost, until it leaves."""
        async with open_house(hooks=hooks()) as house:  # ten seconds: 0.2 USD
            secret = poor(house, budget("0.65"))
            sessions = [await house.open(token=secret) for _ in range(3)]
            refused = await house.knock(token=secret)
            await refused.read_101()
            assert (await refused.farewell()).code == 4003
            client, upstream = sessions.pop()
            await client.close()
            await farewells(client, upstream)
            await client.over.wait()
            sessions.append(await house.open(token=secret))
            for client, upstream in sessions:
                await client.close()
                await farewells(client, upstream)

    async def test_one_alone_may_have_what_is_left(self, autojump_clock: MockClock) -> None:
        """A budget that is smaller than a reserve is no budget for nobody."""
        async with open_house(hooks=hooks()) as house:
            client, upstream = await house.open(token=poor(house, budget("0.010")))
            await client.close()
            await farewells(client, upstream)

    async def test_and_no_more_than_that(self, autojump_clock: MockClock) -> None:
        """What is reserved for one alone is what is left, not what a reserve would be."""
        async with open_house(hooks=hooks()) as house:
            client, upstream = await house.open(token=poor(house, budget("0.030")))
            await say_all(upstream, client, kit.response_created(), speech(1_000))
            await upstream.send(TEXT, json.dumps(speech(600), separators=(",", ":")).encode())
            assert (await upstream.hear())["type"] == "response.cancel"
            await upstream.say(done("resp_1", "cancelled", cost(31)))
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")

    @pytest.mark.log_says("session ended")
    async def test_given_back_if_no_upstream_opens(self, autojump_clock: MockClock) -> None:
        """What is held for a client that no channel can serve is held no more."""
        async with open_house(hooks=hooks()) as house:
            secret = poor(house, budget("0.3"))
            for _ in range(3):
                client = await house.knock(token=secret)
                upstream = await house.upstream()
                await trio.aclose_forcefully(upstream.stream)
                await client.read_101()
                assert (await client.farewell()).code == 1013
                await client.over.wait()
            house.forget_dials()
            first = await house.open(token=secret)
            second = await house.knock(token=secret)
            await second.read_101()
            assert (await second.farewell()).code == 4003
            await first[0].close()
            await farewells(*first)

    async def test_of_the_whole_proxy(self, autojump_clock: MockClock) -> None:
        """What all tokens spend together counts against the budget of the proxy."""
        async with open_house(
            hooks=hooks(), budget=budget("0.1"), usage=NO_RESERVE, still_serves=False
        ) as house:
            secrets = [house.tokens.add(name)[1].reveal() for name in ("one", "two")]
            for secret in secrets:
                client, upstream = await house.open(token=secret)
                await answer(client, upstream, f"resp_{secret[-5:]}", cost(50))
                await client.close()
                await farewells(client, upstream)
            client = await house.knock()
            await client.read_101()
            told = await client.farewell()
            assert told.code == 4003
            assert "this proxy" in told.events[0]["error"]["message"]


class TestAtEachResponse:
    """A session that has spent its budget gets no further response."""

    async def test_that_the_client_asks_for(self, autojump_clock: MockClock) -> None:
        """At ``response.create`` it gets the error and 4003, and nothing goes upstream."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await answer(client, upstream, "r1", cost(30))
            await answer(client, upstream, "r2", cost(70))
            await client.say({"type": "response.create"})
            told, upstream_told = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")
            assert told.events[-1]["error"]["type"] == QUOTA
            assert upstream_told.told == (None, 1000, "budget_spent")
            assert upstream_told.events == []
            session = await house.record()
            assert (session.ending, session.ended_by) == ("budget_spent", "proxy")
            assert session.usd == Decimal("0.100")

    @pytest.mark.parametrize("frames", [1, 2])
    async def test_that_begins_by_itself(self, autojump_clock: MockClock, frames: int) -> None:
        """One that voice activity starts, or a client's hidden event, is cancelled at once."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await answer(client, upstream, "r1", cost(150))
            hidden = rb'{"type":"response.\u0063reate"}'
            if frames == 2:
                await client.send(TEXT, hidden[:20], fin=False)
                await client.send(kit.CONTINUATION, hidden[20:])
            else:
                await client.say(hidden)
            await upstream.receive_message()
            await upstream.say(kit.response_created("r2"))
            assert await upstream.hear() == {"type": "response.cancel", "response_id": "r2"}
            await upstream.say(done("r2", "cancelled", cost(7)))
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")
            assert "response.created" not in [event["type"] for event in told.events]
            assert (await house.record()).usd == Decimal("0.157")

    async def test_a_response_that_was_begun_may_end(self, autojump_clock: MockClock) -> None:
        """The end of a response that has spent the rest reaches the client, and it may stay."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await answer(client, upstream, "r1", cost(5_000))
            await client.say({"type": "input_audio_buffer.clear"})
            assert (await upstream.hear())["type"] == "input_audio_buffer.clear"
            await client.close()
            assert [told.code for told in await farewells(client, upstream)] == [1000, 1000]

    async def test_a_transcription(self, autojump_clock: MockClock) -> None:
        """A session that only transcribes ends at the transcription that spends the rest."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await upstream.say(
                {
                    "type": "conversation.item.input_audio_transcription.completed",
                    "item_id": "i",
                    "content_index": 0,
                    "usage": {"type": "tokens", "input_tokens": 100, "output_tokens": 0},
                }
            )
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")

    @pytest.mark.log_says("is not known")
    async def test_in_tokens(self, autojump_clock: MockClock) -> None:
        """A budget in tokens needs no price."""
        async with open_house(hooks={"ledger": RememberedLedger()}, usage=NO_RESERVE) as house:
            secret = poor(house, budget(None, tokens=100))
            client, upstream = await house.open(token=secret)
            await answer(client, upstream, "r1", cost(100))
            await client.say({"type": "response.create"})
            told, _ = await farewells(client, upstream)
            assert told.code == 4003

    async def test_shared_by_all_sessions(self, autojump_clock: MockClock) -> None:
        """What one session spends is missing in the other one."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            secret = poor(house, budget("0.1"))
            first, second = [await house.open(token=secret) for _ in range(2)]
            await answer(*first, "r1", cost(100))
            await second[0].say({"type": "response.create"})
            assert [told.code for told in await farewells(*second)] == [4003, 1000]
            await first[0].close()
            await farewells(*first)


class TestWithinAResponse:
    """A budget holds in the middle of a sentence."""

    async def test_by_the_audio_that_has_passed(self, autojump_clock: MockClock) -> None:
        """At the limit the response is cancelled and the client told, half a second late at most.

        Five seconds of speech are the whole budget; a second comes at a time.
        """
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(on_usage=records.append), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await say_all(upstream, client, kit.response_created())
            for _ in range(4):
                await say_all(upstream, client, speech(1_000))
            await upstream.send(TEXT, json.dumps(speech(1_000), separators=(",", ":")).encode())
            assert (await upstream.hear())["type"] == "response.cancel"
            usage = cost(0) | {"output_tokens": 103, "total_tokens": 103}
            await upstream.say(done("resp_1", "cancelled", usage))
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")
            assert [record.usd for record in records] == [Decimal("0.103")]
            session = await house.record()
            assert (session.ending, session.usd) == ("budget_spent", Decimal("0.103"))

    async def test_by_the_text_that_has_passed(self, autojump_clock: MockClock) -> None:
        """Text counts too: a hundred tokens are four hundred characters."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await say_all(upstream, client, kit.response_created())
            text = {"type": "response.output_text.delta", "delta": "word " * 10}
            sent = 0
            while house.proxy.sessions and sent < 20:
                await upstream.send(TEXT, json.dumps(text, separators=(",", ":")).encode())
                sent += 1
                await trio.sleep(0.01)
                if house.proxy._gate._roster.guests()[0].session.ending is not None:
                    break
            assert sent == 8
            await upstream.say(done(status="cancelled"))
            told, _ = await farewells(client, upstream)
            assert told.code == 4003

    async def test_where_a_message_is_half_said(self, autojump_clock: MockClock) -> None:
        """A client that leaves a message open, already whole as JSON, does not keep a response."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            await client.send(TEXT, b'{"type":"x"}', fin=False)
            assert (await upstream.receive()) is not None
            await say_all(upstream, client, kit.response_created())
            await upstream.send(TEXT, _raw(speech(6_000)))
            part = await upstream.receive()
            assert part is not None
            assert (part.opcode, part.fin, part.payload) == (kit.CONTINUATION, True, b"\0")
            assert (await upstream.hear())["type"] == "response.cancel"
            assert trio.current_time() == 0
            await upstream.say(done("resp_1", "cancelled", cost(120)))
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")

    async def test_an_open_microphone(self, autojump_clock: MockClock) -> None:
        """Silence costs nothing: it is in no response, and ends no session."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            client, upstream = await house.open(token=poor(house, budget("0.1")))
            silence = _raw({"type": "input_audio_buffer.append", "audio": "A" * 64_000})
            for _ in range(60):
                await client.send(TEXT, silence)
                await upstream.receive_message()
            first = 59_000
            heard = await say_all(
                upstream,
                client,
                {"type": "input_audio_buffer.speech_started", "audio_start_ms": first},
                {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": first + 900},
                {"type": "input_audio_buffer.committed", "item_id": "item_1"},
                kit.response_created("r1"),
                speech(4_000, "r1"),
            )
            assert len(heard) == 5
            await upstream.send(TEXT, _raw(speech(1_000, "r1")))
            assert (await upstream.hear())["type"] == "response.cancel"
            await upstream.say(done("r1", "cancelled", cost(109)))
            await farewells(client, upstream)

    @pytest.mark.parametrize("when", ["before it begins", "while it speaks"])
    async def test_others_leave_little(self, autojump_clock: MockClock, when: str) -> None:
        """A session that thought much to be left hears at once that others have spent it."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            secret = poor(house, budget("100"))
            first, second = [await house.open(token=secret) for _ in range(2)]
            client, upstream = first
            begun = (kit.response_created("r1"), speech(100, "r1"))
            if when == "before it begins":
                await say_all(upstream, client, *begun, done("r1", usage=cost(2)))
                begun = (kit.response_created("r2"),)
            else:
                await say_all(upstream, client, *begun)
                begun = ()
            await answer(*second, "other", cost(99_980))
            await say_all(upstream, client, *begun)
            passed = 0
            [mine] = [
                guest.session
                for guest in house.proxy._gate._roster.guests()
                if guest.session.response_in_progress
            ]
            while mine.ending is None and passed < 100:
                await upstream.send(TEXT, _raw(speech(250, "r2")))
                passed += 5
                await trio.sleep(0.01)
            assert passed <= 30
            assert (await upstream.hear())["type"] == "response.cancel"
            await upstream.say(done("r2", "cancelled", cost(passed)))
            await upstream.say(done("r1", "cancelled", cost(passed)))
            told, _ = await farewells(client, upstream)
            assert told.told == (QUOTA, 4003, "budget_spent")
            await second[0].close()
            await farewells(*second)

    @pytest.mark.log_says("session ended")
    @pytest.mark.parametrize("how", ["done", "lost"])
    async def test_what_has_ended_counts_once(self, autojump_clock: MockClock, how: str) -> None:
        """A large response that ends cuts off nobody else while half of the budget is left."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE, still_serves=False) as house:
            secret = poor(house, budget("4"))
            others = [await house.open(token=secret) for _ in range(5)]
            for number, (client, upstream) in enumerate(others):
                begun = kit.response_created(f"b{number}"), speech(500, f"b{number}")
                await say_all(upstream, client, *begun)
            client, upstream = await house.open(token=secret)
            await say_all(upstream, client, kit.response_created("a"))
            for _ in range(105):
                await say_all(upstream, client, speech(1_000, "a"))
            if how == "done":
                await say_all(upstream, client, done("a", usage=cost(2_100)))
                await client.close()
                await farewells(client, upstream)
            else:
                await trio.aclose_forcefully(upstream.stream)
                await client.farewell()
            for number, (client, upstream) in enumerate(others):
                await say_all(upstream, client, done(f"b{number}", usage=cost(10)))
                await client.close()
                told, _ = await farewells(client, upstream)
                assert told.code == 1000

    async def test_ten_sessions_of_one_token(self, autojump_clock: MockClock) -> None:
        """The most that is spent too much is what ten responses cost beyond what has passed.

        Ten sessions speak at once, a second each in turn, of a budget of 2 USD, which is a
        hundred seconds. At the limit each of them is cut off at its next half second, so that
        by the audio that passed no more than ten half seconds are too many; and the upstream
        says of each that it had spoken five seconds more than it had sent.
        """
        records: list[UsageRecord] = []
        async with open_house(hooks=hooks(on_usage=records.append), usage=NO_RESERVE) as house:
            secret = poor(house, budget("2"))
            sessions = [await house.open(token=secret) for _ in range(10)]
            sent = [0] * 10
            for number, (client, upstream) in enumerate(sessions):
                await say_all(upstream, client, kit.response_created(f"r{number}"))

            def is_over(number: int) -> bool:
                peer = sessions[number][0]
                guests = house.proxy._gate._roster.guests()
                living = sum(guest.session.ending is None for guest in guests)
                return peer.over.is_set() or living == 0

            async def speak(number: int) -> None:
                client, upstream = sessions[number]
                event = json.dumps(speech(500, f"r{number}"), separators=(",", ":")).encode()
                with trio.move_on_after(500):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_drain, client)
                        while not is_over(number):
                            await upstream.send(TEXT, event)
                            sent[number] += 10
                            await trio.sleep(1 + number / 100)
                            if upstream_heard_cancel[number]:
                                break
                        nursery.cancel_scope.cancel("it was cancelled")
                usage = cost(0) | {
                    "output_tokens": sent[number] + 100,
                    "total_tokens": sent[number] + 100,
                }
                await upstream.say(done(f"r{number}", "cancelled", usage))
                await upstream.farewell()

            upstream_heard_cancel = [False] * 10

            async def listen(number: int) -> None:
                _, upstream = sessions[number]
                event = await upstream.hear()
                assert event["type"] == "response.cancel"
                upstream_heard_cancel[number] = True

            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(listen, number)
                    nursery.start_soon(speak, number)
            for client, _ in sessions:
                await client.over.wait()
            assert len(records) == 10
            assert {record.status for record in records} == {"cancelled"}
            total = sum((record.usd or Decimal(0) for record in records), Decimal(0))
            passed = Decimal(sum(sent)) / 1000
            assert Decimal(2) <= passed <= Decimal(2) + 10 * Decimal("0.010")
            assert total <= Decimal(2) + 10 * (Decimal("0.010") + Decimal("0.100"))
            assert [record.ending for record in house.records] == ["budget_spent"] * 10


def _raw(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


async def _drain(client: kit.Client) -> None:
    while await client.receive_message() is not None:
        pass


class TestWarning:
    """An operator hears of a budget before it is spent."""

    @pytest.mark.log_says("80 % of the budget of token rich")
    async def test_once_in_a_period(self, autojump_clock: MockClock) -> None:
        """At the threshold one line is logged and the hook called, and then no more."""
        states: list[BudgetState] = []
        given = hooks(on_budget_warning=states.append)
        async with open_house(hooks=given, usage=NO_RESERVE) as house:
            _, secret = house.tokens.add("rich", budget=Budget(usd=Decimal(1)))
            client, upstream = await house.open(token=secret.reveal())
            for number in range(7):
                await answer(client, upstream, f"r{number}", cost(100))
            await answer(client, upstream, "r7", cost(99))
            assert states == []
            await answer(client, upstream, "r8", cost(1))
            await answer(client, upstream, "r9", cost(150))
            [state] = states
            assert (state.owner, state.spent.nano_usd) == ("rich", 800_000_000)
            assert state.left.nano_usd == 200_000_000
            await client.close()
            await farewells(client, upstream)


class TestUsagePage:
    """``GET /v1/usage`` tells the bearer of a token what it spends."""

    @staticmethod
    async def ask(house: kit.House, token: str | None) -> tuple[int, dict[str, Any]]:
        """Ask, and return the status and the body."""
        client = await house.visit()
        house.silent_visits += 1
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        await client.send_raw(f"GET /v1/usage HTTP/1.1\r\nHost: h\r\n{bearer}\r\n".encode())
        head = await client.read_head()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = json.loads(await client._take(length) or b"")
        return int(head.split()[1]), body

    async def test_spend_and_budget(self, autojump_clock: MockClock) -> None:
        """The spend of this month and how the budget stands, of this token alone."""
        async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
            secret = poor(house, budget("0.500", per="day"))
            client, upstream = await house.open()
            await answer(client, upstream, "r0", cost(7))
            await client.close()
            await farewells(client, upstream)
            client, upstream = await house.open(token=secret)
            await answer(client, upstream, "r1", cost(123))
            status, told = await self.ask(house, secret)
            assert status == 200
            assert told["token"]["name"] == "poor"
            assert (told["this_month"]["usd"], told["this_month"]["tokens"]) == ("0.123", 123)
            assert told["budget"]["usd_left"] == "0.377"
            start = datetime.fromisoformat(told["budget"]["start"])
            assert start == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            await client.close()
            await farewells(client, upstream)

    async def test_needs_a_token(self, autojump_clock: MockClock) -> None:
        """Without a good token it is 401, and nothing is looked up."""
        async with open_house(hooks=hooks()) as house:
            for token in (None, "wrong", Secret("sk-rt-x").reveal()):
                assert (await self.ask(house, token))[0] == 401


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_whole_response_in_one_piece(autojump_clock: MockClock, kind: str) -> None:
    """A response that arrives faster than it is spoken is cut all the same, and told so."""
    async with open_house(hooks=hooks(), usage=NO_RESERVE) as house:
        client, upstream = await house.open(token=poor(house, budget("0.030")), kind=kind)
        events = [kit.response_created(), *[speech(100)] * 40, done(usage=cost(800))]
        texts = [json.dumps(event, separators=(",", ":")).encode() for event in events]
        raw = b"".join(kit.frame(TEXT, text) for text in texts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.send_raw, raw)
            told = await client.farewell()
        assert told.told == (QUOTA, 4003, "budget_spent")
        assert "response.done" not in [event["type"] for event in told.events]
        await upstream.farewell()
        assert (await house.record()).usd == Decimal("0.800")


async def test_it_is_looked_at_when_something_changes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that cost nothing are no reason to add up what each response has taken so far."""
    looks = 0
    tokens_until_look = Purse.tokens_until_look

    def count(purse: Purse, now: float, nano_usd_per_token: int) -> int:
        nonlocal looks
        looks += 1
        return tokens_until_look(purse, now, nano_usd_per_token)

    monkeypatch.setattr(Purse, "tokens_until_look", count)
    async with open_house(hooks=hooks()) as house:
        client, upstream = await house.open(token=poor(house, budget("5")))
        await say_all(upstream, client, *(kit.response_created(f"resp_{n}") for n in range(50)))
        before = looks
        assert before >= 50
        await say_all(upstream, client, *[{"type": "error", "error": {}}] * 50)
        assert looks == before
        await say_all(upstream, client, done("resp_7"))
        assert looks > before
        await client.close()
        await farewells(client, upstream)
