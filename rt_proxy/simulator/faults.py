"""Faults: how a simulated provider may misbehave, as one frozen value.

Only what is wished for is said here; ``conversation.py`` acts on it, and
whoever does the WebSocket handshake acts on ``refuse``.
"""

import math
import re
from collections.abc import Callable

import attrs

from rt_proxy.realtime.frames import is_legal_close_code
from rt_proxy.realtime.refusals import Refusal

_FORMS = "delay=SECONDS, stall, drop=EVENTS, close=CODE, refuse=STATUS or error=CODE"

#: Error code -> (error type, close code), where they are not the usual ones.
_FATAL = {
    "invalid_api_key": ("invalid_request_error", 3000),
    "model_not_found": ("invalid_request_error", 4004),
    "session_expired": ("invalid_request_error", 1001),
    "credit_balance_exhausted": ("insufficient_quota", 1013),
    "insufficient_quota": ("insufficient_quota", 1013),
    "rate_limit_exceeded": ("rate_limit_exceeded", 1013),
    "server_error": ("server_error", 1011),
}


@attrs.frozen
class Fault:
    """What goes wrong; the default is nothing.

    Attributes:
        delay: Seconds of silence before ``session.created``.
        stall: After ``session.created`` nothing is sent and nothing is read.
        drop: After this many events the connection is dropped without a close.
        close: The close code that follows ``session.created`` at once.
        refuse: The HTTP status that is given instead of the upgrade.
        error: The code of the ``error`` that comes instead of ``session.created``,
            followed by the close that belongs to it.
    """

    delay: float = 0.0
    stall: bool = False
    drop: int | None = None
    close: int | None = None
    refuse: int | None = None
    error: str | None = None


def parse_fault(text: str | None) -> Fault:
    """Return the fault that ``text`` names, such as ``close=1011``; None names none.

    Raises:
        ValueError: The text is none of the known forms, or its value is out of range.
    """
    if text is None:
        return Fault()
    kind, equals, value = text.strip().partition("=")
    if kind == "stall" and not equals:
        return Fault(stall=True)
    parse = _PARSERS.get(kind)
    if parse is None or not equals:
        raise ValueError(f"unknown fault {text!r}: give {_FORMS}")
    return parse(value.strip())


def fault_problem(text: str | None) -> str | None:
    """Say what is wrong with the name of a fault; None: nothing is."""
    try:
        parse_fault(text)
    except ValueError as error:
        return str(error)
    return None


def fatal_error(code: str) -> Refusal:
    """Return the refusal in which a provider says ``code`` before it closes."""
    kind, close_code = _FATAL.get(code, ("invalid_request_error", 4000))
    return Refusal(400, kind, code, f"Simulated fault: {code}.", close_code)


def _delay(value: str) -> Fault:
    problem = f"fault delay={value}: the delay is a number of seconds, 0 or more"
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError(problem) from None
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(problem)
    return Fault(delay=seconds)


def _whole(kind: str, value: str, meaning: str, allowed: Callable[[int], bool]) -> int:
    # isdecimal alone would let other scripts' digits through; nine digits are plenty.
    if re.fullmatch("[0-9]{1,9}", value) is None or not allowed(int(value)):
        raise ValueError(f"fault {kind}={value}: {meaning}")
    return int(value)


def _drop(value: str) -> Fault:
    meaning = "the number of events before the drop is a whole number, 0 or more"
    return Fault(drop=_whole("drop", value, meaning, lambda events: events >= 0))


def _close(value: str) -> Fault:
    meaning = "the close code is 1000-1003, 1007-1014 or 3000-4999"
    return Fault(close=_whole("close", value, meaning, is_legal_close_code))


def _refuse(value: str) -> Fault:
    meaning = "the HTTP status is 300-599"
    return Fault(refuse=_whole("refuse", value, meaning, lambda status: 300 <= status <= 599))


def _error(value: str) -> Fault:
    if re.fullmatch("[a-z][a-z0-9_]{0,63}", value) is None:
        raise ValueError(
            f"fault error={value}: the code is small letters, digits and _, such as invalid_api_key"
        )
    return Fault(error=value)


_PARSERS: dict[str, Callable[[str], Fault]] = {
    "delay": _delay,
    "drop": _drop,
    "close": _close,
    "refuse": _refuse,
    "error": _error,
}
