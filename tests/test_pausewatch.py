"""Facts about telling that the process stood still."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rt_proxy.listener.pausewatch import watch_for_pauses


@pytest.mark.log_says("the process stood still for 59 s")
async def test_told_once(
    mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """A pause is told when it is over, and being a little late is none."""
    nursery.start_soon(watch_for_pauses)
    await wait_all_tasks_blocked()
    for seconds in (5, 60, 1, 1):
        mock_clock.jump(seconds)
        await wait_all_tasks_blocked()
    assert caplog.text.count("stood still") == 1
    nursery.cancel_scope.cancel("seen")
