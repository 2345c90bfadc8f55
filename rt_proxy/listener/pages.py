"""The plain HTTP answers on the Realtime port: health, readiness, models, refusals.

Values in, values and bytes out; nothing here touches a stream (see ``answers.py``).
"""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import attrs

from rt_proxy.channels import ChannelState
from rt_proxy.realtime.hello import RequestHead, credential, unknown_url
from rt_proxy.realtime.refusals import Refusal, http_only
from rt_proxy.settings import Secret

_HEALTHZ = "/healthz"
_READYZ = "/readyz"
_MODELS = "/v1/models"


@attrs.frozen
class Answer:
    """A whole HTTP answer with a JSON body.

    Attributes:
        status: The HTTP status.
        body: The JSON.
        headers: What goes beyond the headers that every answer has.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def page(
    head: RequestHead,
    *,
    is_ready: bool,
    states: Callable[[Secret | None], Iterable[ChannelState] | Refusal],
    models: Callable[[Secret | None], Answer | Refusal],
) -> Answer:
    """Answer a request whose path is not one of the Realtime API.

    Args:
        head: The request.
        is_ready: Whether a session could be opened now.
        states: Tells how the channels of the holder of a credential do, or refuses to.
        models: Gives the answer for the holder of a credential, or refuses it.
    """
    if head.path not in (_HEALTHZ, _READYZ, _MODELS):
        return refusal_answer(unknown_url())
    if head.method not in ("GET", "HEAD"):
        message = "This page can be asked for with GET or HEAD."
        allow = ("Allow", "GET, HEAD")
        return refusal_answer(http_only(405, "method_not_allowed", message, allow))
    if head.path == _HEALTHZ:
        return _json_answer({"status": "ok"})
    if head.path == _READYZ:
        return _readiness(states(credential(head)), is_ready=is_ready)
    answer = models(credential(head))
    return refusal_answer(answer) if isinstance(answer, Refusal) else answer


def models_answer(names: Iterable[str]) -> Answer:
    """Return the list of models in the API's own form (API reference, "List models")."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "rt-proxy"} for name in names]
    return _json_answer({"object": "list", "data": data})


def refusal_answer(refusal: Refusal) -> Answer:
    """Return the HTTP form of a refusal."""
    headers = refusal.headers
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        # Required with a 401 (RFC 9110 15.5.2).
        headers = (*headers, ("WWW-Authenticate", "Bearer"))
    return Answer(refusal.status, refusal.body(), headers)


def render(answer: Answer, *, head_only: bool = False) -> bytes:
    """Return a whole HTTP/1.1 response, after which the connection closes.

    Args:
        answer: What to say.
        head_only: Leave the body out, as the answer to HEAD must.
    """
    # Who sends Upgrade must list it in Connection (RFC 9110 7.8).
    upgrade = any(name == "Upgrade" for name, _ in answer.headers)
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("Connection", "Upgrade, close" if upgrade else "close"),
        *answer.headers,
    )
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (b"" if head_only else answer.body)


def _phrase(status: int) -> str:
    """Return the reason phrase of a status; a status without a name may have none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _readiness(states: Iterable[ChannelState] | Refusal, *, is_ready: bool) -> Answer:
    """Answer whether it is ready; to holders of a token also how their channels do."""
    message = "Not ready: the proxy is draining, or no channel can be tried now."
    refusal = http_only(503, "not_ready", message, type="server_error")
    if isinstance(states, Refusal):
        return _json_answer({"status": "ready"}) if is_ready else refusal_answer(refusal)
    told: dict[str, Any] = {"status": "ready"} if is_ready else json.loads(refusal.body())
    answer = _json_answer(told | {"channels": [state.as_json() for state in states]})
    return answer if is_ready else attrs.evolve(answer, status=refusal.status)


def _json_answer(value: object) -> Answer:
    return Answer(200, json.dumps(value, ensure_ascii=False).encode() + b"\n")
