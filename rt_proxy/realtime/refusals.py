"""Refusals: why a client is not let in, in both forms in which it may be told.

One value holds a refusal; it knows its HTTP form (status and JSON body) and
its event form (an ``error`` event, then a close frame whose reason is
``<type>.<code>``), which is OpenAI's own way of refusing.
"""

import json
import math
import secrets

import attrs


def new_event_id() -> str:
    """Return a fresh id for an event that the proxy itself sends."""
    return "event_" + secrets.token_urlsafe(12)


def error_event(
    type: str,  # noqa: A002 - the field's own name in the API
    code: str,
    message: str,
    *,
    param: str | None = None,
    client_event_id: str | None = None,
) -> bytes:
    """Return the JSON of an ``error`` server event.

    Args:
        type: Such as ``invalid_request_error``.
        code: Such as ``model_not_found``.
        message: A sentence for people.
        param: The path of the field at fault, such as ``session.model``.
        client_event_id: The ``event_id`` of the client event at fault.
    """
    error = {
        "type": type,
        "code": code,
        "message": message,
        "param": param,
        "event_id": client_event_id,
    }
    event = {"type": "error", "event_id": new_event_id(), "error": error}
    return json.dumps(event, separators=(",", ":")).encode()


@attrs.frozen
class Refusal:
    """Why a request is refused.

    Attributes:
        status: The HTTP status of the HTTP form.
        type: The error's type, as the API spells it.
        code: The error's code.
        message: A sentence for people: what is wrong and what to do. No secrets.
        close_code: The close code of the event form; None: only the HTTP form exists.
        param: The query item or field at fault.
        headers: Further headers of the HTTP form, such as ``Retry-After``.
        cause: What the log calls it, where that is not the code.
    """

    status: int
    type: str
    code: str
    message: str
    close_code: int | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cause: str | None = None

    @property
    def log_word(self) -> str:
        """What the log calls it."""
        return self.cause or self.code

    def body(self) -> bytes:
        """Return the JSON body of the HTTP form."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}).encode() + b"\n"

    def event(self) -> bytes:
        """Return the JSON of the ``error`` event of the event form."""
        return error_event(self.type, self.code, self.message, param=self.param)

    @property
    def close_reason(self) -> str:
        """The reason in the close frame of the event form."""
        return f"{self.type}.{self.code}"


def _invalid(status: int, code: str, message: str, close_code: int, param: str | None) -> Refusal:
    return Refusal(status, "invalid_request_error", code, message, close_code, param)


def _retry(seconds: float | None) -> tuple[tuple[str, str], ...]:
    """Return the header that says when to try again, if that is known (RFC 9110, 10.2.3)."""
    return () if seconds is None else (("Retry-After", str(math.ceil(seconds))),)


def invalid_api_key(why: str) -> Refusal:
    """Refuse a missing, wrong, expired or disabled token; ``why`` is a sentence."""
    return _invalid(401, "invalid_api_key", why, 3000, None)


def model_unknown(model: str) -> Refusal:
    """Refuse a model that no channel has."""
    message = f"The model {model!r} does not exist here; GET /v1/models lists what there is."
    return _invalid(404, "model_not_found", message, 4004, "model")


def model_not_allowed(model: str) -> Refusal:
    """Refuse a model that the token may not use."""
    message = f"This token may not use the model {model!r}; GET /v1/models lists what it may."
    return _invalid(403, "model_not_found", message, 4004, "model")


def transcription_not_allowed() -> Refusal:
    """Refuse a transcription session, which names no model, to a token that is limited to some."""
    message = "This token is limited to certain models, and a transcription session names none."
    return _invalid(403, "model_not_found", message, 4004, "intent")


def invalid_intent(intent: str) -> Refusal:
    """Refuse an ``intent`` that is neither ``realtime`` nor ``transcription``."""
    message = f"Invalid intent {intent!r}. Supported values are: 'realtime' and 'transcription'."
    return _invalid(400, "invalid_intent", message, 4000, "intent")


def missing_model() -> Refusal:
    """Refuse a client that named no model where no default can be found."""
    message = "You must provide a model parameter, for example ?model=gpt-realtime-2.1."
    return _invalid(400, "missing_model", message, 4000, "model")


def rate_limit_exceeded(why: str, retry_after: int) -> Refusal:
    """Refuse a token that has too many sessions; ``retry_after`` in seconds."""
    return Refusal(
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        why,
        1013,
        headers=_retry(retry_after),
    )


def budget_spent(why: str, retry_after: int | None = None) -> Refusal:
    """Refuse because a budget is spent; ``retry_after`` in seconds, if it begins anew."""
    code = "insufficient_quota"
    return Refusal(429, code, code, why, 4003, headers=_retry(retry_after))


def upstream_unavailable(
    why: str, cause: str | None = None, retry_after: float | None = None
) -> Refusal:
    """Refuse because no channel could serve; ``why`` names each one tried.

    Args:
        why: A sentence.
        cause: Which deadline passed, if it was one, such as ``opening_timeout``.
        retry_after: In how many seconds one may be able to, if that is known.
    """
    return Refusal(
        503,
        "server_error",
        "upstream_unavailable",
        why,
        1013,
        headers=_retry(retry_after),
        cause=cause,
    )


def no_channel(model: str | None) -> Refusal:
    """Refuse what is served here, but by no channel that this token may use."""
    what = "transcription sessions" if model is None else f"the model {model!r}"
    message = f"No channel that this token may use serves {what}."
    param = "intent" if model is None else "model"
    return _invalid(403, "model_not_found", message, 4004, param)


def bad_request(message: str) -> Refusal:
    """Refuse a request that is not well formed (HTTP form only)."""
    return Refusal(400, "invalid_request_error", "bad_request", message)


def http_only(
    status: int,
    code: str,
    message: str,
    *headers: tuple[str, str],
    type: str = "invalid_request_error",  # noqa: A002 - the field's own name in the API
) -> Refusal:
    """Return a refusal that exists in the HTTP form only, such as a 404 or a 426."""
    return Refusal(status, type, code, message, headers=headers)


def head_timeout() -> Refusal:
    """Refuse a visitor whose request head did not arrive in time."""
    return http_only(408, "head_timeout", "The request head did not arrive in time.")


def origin_not_allowed() -> Refusal:
    """Refuse a browser whose page is not listed."""
    message = "Pages of this origin may not connect here (the setting listen.origins)."
    return http_only(403, "origin_not_allowed", message)


def at_capacity(retry_after: int) -> Refusal:
    """Refuse because the proxy holds as many sessions as it may; ``retry_after`` in seconds."""
    message = "The proxy holds as many sessions as it may; try again later."
    return http_only(503, "at_capacity", message, *_retry(retry_after), type="server_error")


def too_many_from_address(retry_after: int) -> Refusal:
    """Refuse because one address holds as many sessions as it may."""
    message = "Too many sessions from this address; close one or try again later."
    return http_only(
        429, "rate_limit_exceeded", message, *_retry(retry_after), type="rate_limit_error"
    )


def too_many_newcomers(retry_after: int) -> Refusal:
    """Refuse because too many sessions were opened in the last minute, by anybody."""
    message = "Too many sessions are being opened here; try again later."
    return http_only(503, "at_capacity", message, *_retry(retry_after), type="server_error")


def too_often_from_address(retry_after: int) -> Refusal:
    """Refuse because one address has opened too many sessions in the last minute."""
    message = "Too many sessions were opened from this address; try again later."
    return http_only(
        429, "rate_limit_exceeded", message, *_retry(retry_after), type="rate_limit_error"
    )


def draining(retry_after: int) -> Refusal:
    """Refuse because the proxy is shutting down."""
    message = "The proxy is shutting down; connect again."
    return http_only(503, "drain", message, *_retry(retry_after), type="server_error")


def usage_unavailable() -> Refusal:
    """Refuse to tell what was spent, for the ledger cannot be read."""
    message = "The usage ledger cannot be read now; the proxy's log says more."
    return http_only(503, "usage_unavailable", message, type="server_error")


def internal_error() -> Refusal:
    """Refuse because the proxy itself failed."""
    return http_only(
        500, "internal_error", "The proxy failed; its log says more.", type="server_error"
    )
