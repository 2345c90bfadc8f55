"""Facts about tokens of sessions that live: who is ended, and that a bad store ends nobody."""

from datetime import UTC, datetime, timedelta

import pytest
import trio
from kit import farewells, open_house
from test_proxy import SIMULATED, begin, one_token, visitor
from trio.testing import MockClock

from rt_proxy import MemoryTokenStore, Secret, Standing, Token, open_proxy


async def test_revoked_token(autojump_clock: MockClock) -> None:
    """A session whose token is revoked ends within 2 seconds, and both sides are told."""
    async with open_house(still_serves=False) as house:
        client, upstream = await house.open()
        house.tokens.revoke("tester")
        goodbyes = await farewells(client, upstream, within=2)
        record = await house.record()

    assert [goodbye.told for goodbye in goodbyes] == [
        ("token_revoked", 3000, "token_revoked"),
        (None, 1000, "token_revoked"),
    ]
    assert record.ending == "token_revoked"


async def test_expired_token(autojump_clock: MockClock) -> None:
    """A session whose token expires ends within 2 seconds, and is told."""

    class Expiring(MemoryTokenStore):
        expired = False

        def standing(self, token_id: str, now: datetime) -> Standing:
            return super().standing(token_id, now + timedelta(days=2) * self.expired)

    tokens = Expiring()
    now = datetime.now(UTC)
    _, secret = tokens.add("tester", now=now, expires=now + timedelta(days=1))
    async with open_proxy(SIMULATED, tokens=tokens) as proxy, visitor(proxy) as client:
        await begin(client, secret.reveal())
        tokens.expired = True
        with trio.fail_after(2):
            goodbye = await client.farewell()

    assert goodbye.told == ("token_expired", 3000, "token_expired")


@pytest.mark.log_says("the token store failed")
async def test_store_that_fails(autojump_clock: MockClock) -> None:
    """A store of the embedder's own that fails for a while costs nobody the session."""

    class Failing:
        fails = False

        def __init__(self) -> None:
            self._tokens, self.secret = one_token()

        async def refresh(self) -> None:
            await trio.lowlevel.checkpoint()
            if self.fails:
                raise ConnectionError("the database is away")

        def authenticate(self, secret: Secret) -> Token | None:
            return self._tokens.authenticate(secret)

        def standing(self, token_id: str, now: datetime) -> Standing:
            return self._tokens.standing(token_id, now)

    tokens = Failing()
    async with open_proxy(SIMULATED, tokens=tokens) as proxy, visitor(proxy) as client:
        await begin(client, tokens.secret)
        tokens.fails = True
        await trio.sleep(3)
        tokens.fails = False
        await client.say({"type": "session.update", "session": {"type": "realtime"}})
        assert (await client.hear())["type"] == "session.updated"


@pytest.mark.log_says("the token store does not answer")
async def test_a_token_store_that_does_not_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it knew last counts, after a few seconds, for clients and for pages."""

    async def come() -> None:
        async with open_house(still_serves=False) as house:
            monkeypatch.setattr(house.tokens, "refresh", trio.sleep_forever)
            client, upstream = await house.open()
            assert trio.current_time() == 5
            await client.close()
            await farewells(client, upstream)
            house.silent_visits = 1
            visitor = await house.visit()
            await visitor.send_raw(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await visitor.read_answer())[0] == 200
            assert trio.current_time() == 10
            await visitor.stream.aclose()

    with pytest.raises(AssertionError, match="the token store does not answer"):  # in the log
        await come()
