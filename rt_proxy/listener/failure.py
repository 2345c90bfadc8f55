"""Why a channel could not serve, and who is to blame: it, its key, or what was asked for.

Pure: what an upstream did comes in, and a ``Failure`` goes out. What follows from it for the
channel is noted by whoever opens.
"""

import re
from http import HTTPStatus

import attrs

from rt_proxy.channels import Channel
from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.frames import Close, Fault, Message
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.session.wslegs import UpgradeFailedError

_CODE = re.compile(r"[a-z0-9_]{1,64}")
#: Codes by which an upstream says that a key is of no use (API reference, error codes).
_KEY_CODES = frozenset({"invalid_api_key", "credit_balance_exhausted", "account_deactivated"})
#: Codes that are about what was asked for; the channel is as well as before.
_WISH_CODES = frozenset({"invalid_intent", "model_not_found", "invalid_model", "missing_model"})
#: What may be said of a model that is not known, not allowed, or longer than a name can be; Azure
#: has 404 for a deployment that is not there.
_MODEL_STATUSES = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
#: Codes by which an upstream says that it has a fault or is overloaded (RFC 6455, 7.4.1, and the
#: registry of close codes).
_FAULT_CLOSE_CODES = frozenset({1011, 1012, 1013, 1014})


@attrs.frozen
class Failure:
    """Why one channel could not serve.

    Attributes:
        channel: Its name.
        why: In a few words, without anything of the upstream's own.
        code: The code of an ``error`` first event.
        timeout: ``first_event_timeout`` or ``opening_timeout``, if that is what passed.
        status: The HTTP status of a refused upgrade.
        retry_after: For how long it asked to be left alone, in seconds.
        is_channels: Whether the channel is to blame, and not what was asked for.
        refuses_key: The upstream said that the key is of no use.
    """

    channel: str
    why: str
    code: str | None = None
    timeout: str | None = None
    status: int | None = None
    retry_after: float | None = None
    is_channels: bool = True
    refuses_key: bool = False

    def __str__(self) -> str:
        return f"{self.channel}: {self.why}"


def at_upgrade(channel: Channel, error: UpgradeFailedError) -> Failure:
    """Return the failure of an upgrade that was refused."""
    return Failure(
        channel.name,
        str(error),
        status=error.status,
        retry_after=error.retry_after,
        refuses_key=error.status == HTTPStatus.UNAUTHORIZED,
    )


def at_first_event(channel: Channel, came: Message | Close | Fault | None) -> Failure | None:
    """Return the failure of an upstream by what came first; None: it is a good event.

    Args:
        channel: The channel.
        came: A message, a CLOSE, a breach of the protocol, or None: it hung up.
    """
    match came:
        case Message(payload=payload):
            code = _error_code(payload)
            if code is None:
                return None
            return Failure(
                channel.name,
                f"error {code}",
                code=code,
                is_channels=code not in _WISH_CODES,
                refuses_key=code in _KEY_CODES,
            )
        case Close(code=close_code):
            meaning = channel.close_codes.get(close_code)
            return Failure(
                channel.name,
                f"closed with {close_code} before the first event",
                is_channels=meaning not in ("request", "model"),
                refuses_key=meaning == "key",
            )
        case None:
            return Failure(channel.name, "hung up before the first event")
        case Fault(kind=kind):
            return Failure(channel.name, f"broke the protocol: {kind.value}")


def for_unwritten_model(failure: Failure, *, has_worked: bool) -> Failure:
    """Return a failure where a client named a model that the operator did not write.

    Whoever has a token can name one, so it condemns no key: gateways say 401 where a key may
    not use a model. Nor is the channel blamed, unless it may be that none of its keys is good.

    Args:
        failure: What the upstream did.
        has_worked: Whether any of the channel's keys has opened a session.
    """
    if failure.status in _MODEL_STATUSES:
        return attrs.evolve(failure, is_channels=False)
    if failure.status == HTTPStatus.UNAUTHORIZED:
        return attrs.evolve(failure, refuses_key=False, is_channels=not has_worked)
    return failure


def breaks_off(ending: Ending) -> bool:
    """Whether an upstream ended a session by a fault of its own."""
    if ending.side is not Side.UPSTREAM or ending == closing.UPSTREAM_EXPIRES:
        return False
    return ending.word != "upstream_closed" or ending.client_code in _FAULT_CLOSE_CODES


def _error_code(payload: bytes) -> str | None:
    """Return the code of an ``error`` event in plain characters; None: another event."""
    event = parse_object(payload)
    if event is None or event.get("type") != "error":
        return None
    error = event.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "without a known code"
