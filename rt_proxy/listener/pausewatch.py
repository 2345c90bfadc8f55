"""Says when the whole process stood still, which looks like silence of all peers at once."""

import logging

import trio

_logger = logging.getLogger("rt_proxy")

#: How often it is looked, and how late that must be to be told, in seconds.
_PAUSE = 1.0
_LATE = 5.0


async def watch_for_pauses() -> None:
    """Look for ever. Cancelling is safe."""
    while True:
        due = trio.current_time() + _PAUSE
        await trio.sleep_until(due)
        late = trio.current_time() - due
        if late > _LATE:
            _logger.warning(
                "the process stood still for %.0f s: it was stopped, or had no processor", late
            )
