"""Why a session ends, as a value, and what each side is told.

All close codes of the proxy are decided here and nowhere else; the table is
public (``docs/endings.md``). Legal codes pass both ways (RFC 6455, 7.4, and the
IANA registry); a code that may not stand in a frame becomes one that may.
"""

import enum

import attrs

from rt_proxy.realtime.frames import Fault, FaultKind, is_legal_close_code
from rt_proxy.realtime.refusals import Refusal, error_event

_REASON_BYTES = 123


class Side(enum.StrEnum):
    """Who a session was ended by."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    PROXY = "proxy"


@attrs.frozen
class Ending:
    """Why a session ended, and what both sides are told.

    Attributes:
        side: Who ended it.
        word: The cause, as it stands in the log.
        client_code: The close code for the client.
        upstream_code: The close code for the upstream.
        reason: The reason in the client's close frame, at most 123 bytes of UTF-8.
        error_type: The type of the ``error`` event that goes before the client's close
            frame; None: no event of ours.
        message: What the event says.
        error_code: The code of that event; None: the word.
    """

    side: Side
    word: str
    client_code: int
    upstream_code: int = 1000
    reason: str = ""
    error_type: str | None = None
    message: str = ""
    error_code: str | None = None

    def event(self) -> bytes | None:
        """Return the ``error`` event for the client, or None where none is due."""
        if self.error_type is None:
            return None
        return error_event(self.error_type, self.error_code or self.word, self.message)


_UPSTREAM_FAULT = "server_error"
_CLIENT_FAULT = "invalid_request_error"


def _own(
    word: str,
    client_code: int,
    message: str,
    *,
    side: Side = Side.PROXY,
    upstream_code: int = 1000,
    error_type: str = _CLIENT_FAULT,
) -> Ending:
    return Ending(side, word, client_code, upstream_code, word, error_type, message)


def _upstream(word: str, message: str) -> Ending:
    return _own(
        word, 1011, message, side=Side.UPSTREAM, upstream_code=1001, error_type=_UPSTREAM_FAULT
    )


def _client(word: str, code: int, message: str) -> Ending:
    return _own(word, code, message, side=Side.CLIENT)


CLIENT_IDLE = _client("client_idle", 4408, "The client sent nothing for too long.")
CLIENT_STALLED = _client("client_stalled", 4409, "The client does not read what it is sent.")
CLIENT_PONG_TIMEOUT = _client("client_pong_timeout", 1001, "The client did not answer a ping.")
CLIENT_LOST = _client("client_lost", 1001, "The client's connection ended without a close frame.")
CLIENT_FRAME_STALLED = _client(
    "client_frame_stalled", 1001, "A frame from the client stopped arriving."
)
UPSTREAM_IDLE = _upstream("upstream_idle", "The upstream fell silent during a response.")
UPSTREAM_PONG_TIMEOUT = _upstream("upstream_pong_timeout", "The upstream did not answer a ping.")
UPSTREAM_STALLED = _upstream("upstream_stalled", "The upstream does not read what it is sent.")
UPSTREAM_LOST = _upstream("upstream_lost", "The upstream's connection ended without a close frame.")
UPSTREAM_FRAME_STALLED = _upstream(
    "upstream_frame_stalled", "A frame from the upstream stopped arriving."
)
SESSION_EXPIRED = _own(
    "session_expired", 1001, "Your session hit the maximum duration of this proxy."
)
#: Laid to the upstream, for the limit is its own; the client is told what it would be told there.
UPSTREAM_EXPIRES = _own(
    "session_expired",
    1001,
    "Your session is about to hit the maximum duration of the upstream.",
    side=Side.UPSTREAM,
)
DRAIN = _own(
    "drain", 1001, "The proxy is shutting down; connect again.", error_type=_UPSTREAM_FAULT
)
TOKEN_REVOKED = _own("token_revoked", 3000, "The token of this session was revoked.")
TOKEN_EXPIRED = _own("token_expired", 3000, "The token of this session has expired.")
BUDGET_SPENT = attrs.evolve(
    _own(
        "budget_spent",
        4003,
        "The budget of this token or of the whole proxy is spent; a new session is told when it "
        "begins anew.",
        error_type="insufficient_quota",
    ),
    error_code="insufficient_quota",
)
MODEL_CHANGED = _own(
    "model_changed", 4004, "The upstream shows another model than this session was opened for."
)
CUT = _own("cut", 1001, "The proxy is stopping at once; connect again.", error_type=_UPSTREAM_FAULT)
INTERNAL_ERROR = _own(
    "internal_error", 1011, "The proxy failed; its log says more.", error_type=_UPSTREAM_FAULT
)

#: Every ending with one fixed meaning, for the docs and their test.
FIXED_ENDINGS = (
    CLIENT_IDLE,
    CLIENT_STALLED,
    CLIENT_PONG_TIMEOUT,
    CLIENT_LOST,
    CLIENT_FRAME_STALLED,
    UPSTREAM_IDLE,
    UPSTREAM_PONG_TIMEOUT,
    UPSTREAM_STALLED,
    UPSTREAM_LOST,
    UPSTREAM_FRAME_STALLED,
    SESSION_EXPIRED,
    UPSTREAM_EXPIRES,
    DRAIN,
    TOKEN_REVOKED,
    TOKEN_EXPIRED,
    BUDGET_SPENT,
    MODEL_CHANGED,
    CUT,
    INTERNAL_ERROR,
)


def _passes(code: int) -> bool:
    return is_legal_close_code(code) and code != 1002


def client_closed(code: int, reason: str) -> Ending:
    """End because the client sent CLOSE; ``code`` is 1005 where it named none."""
    told = code if _passes(code) else 1000
    return Ending(Side.CLIENT, "client_closed", told, told, cut_reason(reason))


def upstream_closed(code: int, reason: str) -> Ending:
    """End because the upstream sent CLOSE; ``code`` is 1005 where it named none."""
    if _passes(code):
        return Ending(Side.UPSTREAM, "upstream_closed", code, code, cut_reason(reason))
    return Ending(
        Side.UPSTREAM,
        "upstream_closed",
        1011,
        1000,
        cut_reason(reason or "upstream_closed"),
        _UPSTREAM_FAULT,
        "The upstream closed the connection without a close code that may be passed on.",
    )


def fault_ending(offender: Side, fault: Fault) -> Ending:
    """End because a peer broke a rule of RFC 6455, or sent a message that is too big."""
    by_client = offender is Side.CLIENT
    if fault.kind is FaultKind.TOO_BIG:
        client_code, upstream_code = 1009, 1000
    elif by_client:
        client_code, upstream_code = fault.code, 1000
    else:
        client_code, upstream_code = 1011, fault.code
    return Ending(
        offender,
        fault.kind.value,
        client_code,
        upstream_code,
        fault.kind.value,
        _CLIENT_FAULT if by_client else _UPSTREAM_FAULT,
        fault.message,
    )


def refused(refusal: Refusal) -> Ending:
    """End a session before it began, in the event form of a refusal.

    Raises:
        ValueError: The refusal has the HTTP form only.
    """
    if refusal.close_code is None:
        raise ValueError(f"the refusal {refusal.code} has no event form")
    return Ending(
        Side.PROXY,
        refusal.code,
        refusal.close_code,
        reason=cut_reason(refusal.close_reason),
    )


def cut_reason(reason: str) -> str:
    """Cut a close reason to the 123 bytes that a frame can carry (RFC 6455, 5.5)."""
    return reason.encode()[:_REASON_BYTES].decode(errors="ignore")
