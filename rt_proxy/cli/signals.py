"""What the signals of ``serve`` do: drain, cut, reload.

Theory: SIGTERM ends a Python program at once. Practice: a gateway has calls in
it, so the first one drains, and only a second one cuts.
"""

import logging
import signal
from collections.abc import AsyncIterator, Callable

import trio

from rt_proxy.proxy import Proxy

_logger = logging.getLogger("rt_proxy")


async def obey_signals(
    signals: AsyncIterator[int],
    proxy: Proxy,
    *,
    reload: Callable[[], None],
    drain_seconds: Callable[[], float],
) -> bool:
    """Obey signals until the proxy has stopped; return whether everybody left in time.

    Cancelling stops a drain that is under way.

    Args:
        signals: From ``trio.open_signal_receiver``.
        proxy: The proxy at work.
        reload: Reads the settings again.
        drain_seconds: How long a drain may take, as set now.
    """
    clean = False
    draining: trio.CancelScope | None = None

    async def drain(scope: trio.CancelScope) -> None:
        nonlocal clean
        seconds = drain_seconds()
        _logger.info("draining", extra={"fields": {"sessions": proxy.sessions, "seconds": seconds}})
        with scope:
            clean = await proxy.drain(seconds)
        nursery.cancel_scope.cancel("stopped")

    async with trio.open_nursery() as nursery:
        async for number in signals:
            if number == signal.SIGHUP:
                reload()
            elif draining is None:
                draining = trio.CancelScope()
                nursery.start_soon(drain, draining)
            else:
                _logger.warning("cutting", extra={"fields": {"sessions": proxy.sessions}})
                draining.cancel("a second signal")
    return clean
