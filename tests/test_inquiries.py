"""Facts about questions by plain HTTP, which the house answers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import kit
import pytest
from kit import open_house
from trio.testing import MockClock

from rt_proxy.errors import LedgerError
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import UsageRecord


class BrokenLedger:
    """A ledger that cannot be read."""

    async def write(self, records: Sequence[UsageRecord]) -> None:
        """Forget records."""

    async def spent(self, token_id: str | None, since: datetime | None) -> Spent:
        """Fail."""
        raise LedgerError("usage.db: another process has locked it")


async def ask(house: kit.House, path: str) -> tuple[int, dict[str, Any]]:
    """Ask for a page with a good token."""
    client = await house.visit()
    house.silent_visits += 1
    bearer = f"Authorization: Bearer {house.token}"
    await client.send_raw(f"GET {path} HTTP/1.1\r\nHost: h\r\n{bearer}\r\n\r\n".encode())
    head = await client.read_head()
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), json.loads(await client._take(length) or b"")


async def test_every_page(autojump_clock: MockClock) -> None:
    """Health, readiness, models and usage are answered from what is in force."""
    async with open_house() as house:
        assert await ask(house, "/healthz") == (200, {"status": "ok"})
        status, ready = await ask(house, "/readyz")
        assert (status, ready["channels"][0]["name"]) == (200, "main")
        _, models = await ask(house, "/v1/models")
        assert [model["id"] for model in models["data"]] == [kit.MODEL]
        status, usage = await ask(house, "/v1/usage")
        assert (status, usage["token"]["id"], usage["budget"]) == (200, house.token_id, None)


async def test_this_month_in_the_time_zone(autojump_clock: MockClock) -> None:
    """The month begins where the settings say."""
    async with open_house() as house:
        _, usage = await ask(house, "/v1/usage")
        start = datetime.fromisoformat(usage["this_month"]["start"])
        assert (start.day, start.hour, start.tzinfo) == (1, 0, UTC)


async def test_draining(autojump_clock: MockClock) -> None:
    """A proxy that drains is not ready."""
    async with open_house(still_serves=False) as house:
        assert await house.proxy.drain()
        assert (await ask(house, "/readyz"))[0] == 503


@pytest.mark.log_says("GET /v1/usage cannot be answered")
async def test_a_ledger_that_cannot_be_read() -> None:
    """It is told with 503, and the log says why; what is wrong stays ours."""

    async def ask_it() -> None:
        async with open_house(hooks={"ledger": BrokenLedger()}, still_serves=False) as house:
            status, told = await ask(house, "/v1/usage")
            assert (status, told["error"]["code"]) == (503, "usage_unavailable")
            assert "locked" not in str(told)

    with pytest.raises(AssertionError, match="another process has locked it"):  # what was logged
        await ask_it()
