"""What a client does while its upstream is being opened."""

import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from rt_proxy.listener.early import EarlyBytes, gather_early

LIMIT = 10


async def gathered(sent: list[bytes | None], *, data: bytes = b"") -> tuple[EarlyBytes, bool]:
    """Return what came of a client that sends (None: leaves), and whether the opening goes on."""
    client, stream = memory_stream_pair()
    early = EarlyBytes(data)
    with trio.CancelScope() as opening:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gather_early, stream, early, LIMIT, opening)
            for chunk in sent:
                if chunk is None:
                    await client.aclose()
                else:
                    await client.send_all(chunk)
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel("the test has seen enough")
    return early, not opening.cancel_called


async def test_a_client_that_waits() -> None:
    """A silent client changes nothing."""
    assert await gathered([]) == (EarlyBytes(b""), True)


async def test_a_client_that_talks() -> None:
    """What comes is kept in order, behind what came with the head, up to the limit."""
    assert await gathered([b"cd", b"efgh"], data=b"ab") == (EarlyBytes(b"abcdefgh"), True)
    assert await gathered([b"x" * LIMIT]) == (EarlyBytes(b"x" * LIMIT), True)


async def test_a_client_that_talks_too_much() -> None:
    """One byte over the limit ends the opening."""
    early, goes_on = await gathered([b"x" * LIMIT, b"y"])
    assert (early.too_many, goes_on) == (True, False)
    early, goes_on = await gathered([], data=b"x" * (LIMIT + 1))
    assert (early.too_many, goes_on) == (True, False)


async def test_a_client_that_leaves() -> None:
    """An end, polite or not, ends the opening."""
    early, goes_on = await gathered([b"x", None])
    assert (early.data, early.too_many, goes_on) == (b"x", False, False)
