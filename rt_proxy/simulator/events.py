"""Events as plain dictionaries: reading the client's, making and writing the server's.

The only place of this room that knows JSON text. What an event means is
decided elsewhere.
"""

import json
import math
import secrets
from typing import Any

from rt_proxy.realtime.jsontext import is_intricate, unhurried

Event = dict[str, Any]

_DEEPEST = 64
_LONGEST_MESSAGE = 1024
_LONGEST_PARAM = 256


class EventRefused(Exception):  # noqa: N818 - an outcome of a client event, told to the client
    """A client event cannot be carried out; nothing of it was applied.

    Attributes:
        code: The error's code, such as ``unknown_parameter``.
        message: A sentence for people.
        param: The path of the field at fault, such as ``session.type``.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:_LONGEST_MESSAGE]
        self.param = None if param is None else param[:_LONGEST_PARAM]


def new_id(kind: str) -> str:
    """Return a fresh id, such as ``item_`` and twenty characters."""
    return f"{kind}_{secrets.token_hex(10)}"


def event(type: str, **fields: Any) -> Event:  # noqa: A002 - the field's own name in the API
    """Return a server event with an id of its own; ``type`` stands first, as on the wire."""
    return {"type": type, "event_id": new_id("event"), **fields}


def error(refused: EventRefused, client_event_id: str | None) -> Event:
    """Return the ``error`` event that tells the client why its event was refused."""
    return event(
        "error",
        error={
            "type": "invalid_request_error",
            "code": refused.code,
            "message": refused.message,
            "param": refused.param,
            "event_id": client_event_id,
        },
    )


def write(server_event: Event) -> str:
    """Return the JSON text of a server event; always valid JSON and valid Unicode."""
    text = json.dumps(server_event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A client can smuggle in half a surrogate pair as "\ud800"; no frame may carry one.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def read(frame: str | bytes) -> Event:
    """Return the client event in a frame.

    Raises:
        EventRefused: It is no JSON object with a ``type``, or is nested too deeply.
    """
    if isinstance(frame, bytes):
        raise EventRefused("invalid_event", "Binary frames are not supported; send JSON text.")
    payload = frame.encode("utf-8", "replace")
    if is_intricate(payload):
        raise EventRefused("invalid_json", "The message has too many members and elements.")
    try:
        with unhurried(payload):
            value = json.loads(frame, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise EventRefused("invalid_json", "The message is not valid JSON.") from None
    if not isinstance(value, dict):
        raise EventRefused("invalid_event", "The message must be a JSON object.")
    if not _shallow(value):
        raise EventRefused("invalid_json", f"JSON nested more than {_DEEPEST} levels deep.")
    if "type" not in value:
        raise EventRefused("invalid_event", "The 'type' field is missing.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _shallow(value: Event) -> bool:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        children = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for row in children for child in row if isinstance(child, dict | list)]
        if not level:
            return True
    return False
