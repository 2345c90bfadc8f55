"""What the signals of ``serve`` do: drain, cut, reload.

Theory: SIGTERM ends a Python program at once. Practice: a gateway has calls in
it, so the first one drains, and only a second one cuts.
"""

import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

from rt_proxy.proxy import Proxy

_logger = logging.getLogger("rt_proxy")

_OBEYED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def receive_signals() -> Iterator[AsyncIterator[int]]:
    """Receive the signals that are obeyed, and outlive those that come too late.

    Theory: ``trio.open_signal_receiver`` is all that is needed.
    Practice: what comes while it closes goes on to the handlers from before, and those
    kill the process; a third Ctrl-C would take the place of the exit status. So the
    handlers from before do nothing; and after it, where Python puts the deadly ones back
    in its last moments, the signals are ignored, which it leaves alone.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _OBEYED)  # so that none is lost in between
    try:
        for number in _OBEYED:
            signal.signal(number, _do_nothing)
        with trio.open_signal_receiver(*_OBEYED) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _OBEYED)
            yield signals
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _OBEYED)
        for number in _OBEYED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OBEYED)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


async def obey_signals(
    signals: AsyncIterator[int],
    proxy: Proxy,
    *,
    reload: Callable[[], None],
    drain_seconds: Callable[[], float],
    on_drain: Callable[[float], None] = lambda _seconds: None,
) -> bool:
    """Obey signals until the proxy has stopped; return whether everybody left in time.

    Cancelling stops a drain that is under way.

    Args:
        signals: From ``receive_signals``.
        proxy: The proxy at work.
        reload: Reads the settings again.
        drain_seconds: How long a drain may take, as set now.
        on_drain: Called when a drain begins, with the time that it may take.
    """
    clean = False
    draining: trio.CancelScope | None = None

    async def drain(scope: trio.CancelScope) -> None:
        nonlocal clean
        seconds = drain_seconds()
        on_drain(seconds)
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
