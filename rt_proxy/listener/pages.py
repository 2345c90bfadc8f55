"""The plain HTTP answers on the Realtime port: health, readiness, models, refusals.

Values in, values and bytes out; nothing here touches a stream (see ``answers.py``).
"""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import attrs

from rt_proxy.channels import ChannelState
from rt_proxy.moments import utc_text
from rt_proxy.realtime.hello import RequestHead, unknown_url
from rt_proxy.realtime.refusals import Refusal, http_only
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.ledger import Spent
from rt_proxy.usage.record import NANO_USD_PER_USD

HEALTHZ = "/healthz"
READYZ = "/readyz"
MODELS = "/v1/models"
USAGE = "/v1/usage"


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


def refuse_page(head: RequestHead) -> Refusal | None:
    """Say why a request, of a path that is not one of the Realtime API, asks for no page of ours.

    None: it asks for one.
    """
    if head.path not in (HEALTHZ, READYZ, MODELS, USAGE):
        return unknown_url()
    if head.method not in ("GET", "HEAD"):
        message = "This page can be asked for with GET or HEAD."
        return http_only(405, "method_not_allowed", message, ("Allow", "GET, HEAD"))
    return None


def health_answer() -> Answer:
    """Return that the process is well."""
    return _json_answer({"status": "ok"})


def readiness_answer(states: Iterable[ChannelState] | None, *, is_ready: bool) -> Answer:
    """Return whether a session could be opened now.

    Args:
        states: How the channels do; None: whoever asks may not know.
        is_ready: Whether one could.
    """
    message = "Not ready: the proxy is draining, or no channel can be tried now."
    refusal = http_only(503, "not_ready", message, type="server_error")
    if states is None:
        return _json_answer({"status": "ready"}) if is_ready else refusal_answer(refusal)
    told: dict[str, Any] = {"status": "ready"} if is_ready else json.loads(refusal.body())
    answer = _json_answer(told | {"channels": [state.as_json() for state in states]})
    return answer if is_ready else attrs.evolve(answer, status=refusal.status)


def models_answer(names: Iterable[str]) -> Answer:
    """Return the list of models in the API's own form (API reference, "List models")."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "rt-proxy"} for name in names]
    return _json_answer({"object": "list", "data": data})


def usage_answer(
    token_id: str,
    token_name: str,
    *,
    since: datetime | None,
    spent: Spent,
    state: BudgetState | None,
) -> Answer:
    """Return what the holder of a token has spent, and how its budget stands.

    Money is a string of USD, to the last digit.

    Args:
        token_id: The token.
        token_name: Its name.
        since: When the present month began.
        spent: What was spent since then.
        state: How the budget of the token stands; None: it has none.
    """
    month = {"start": _moment(since), "usd": _usd(spent.nano_usd), "tokens": spent.tokens}
    return _json_answer(
        {
            "object": "usage",
            "token": {"id": token_id, "name": token_name},
            "this_month": month,
            "budget": None if state is None else _budget(state),
        }
    )


def _budget(state: BudgetState) -> dict[str, object]:
    budget = state.budget
    return {
        "per": budget.per,
        "start": _moment(state.start),
        "end": _moment(state.end),
        "usd": None if budget.usd is None else str(budget.usd),
        "usd_spent": _usd(state.spent.nano_usd),
        "usd_left": None if budget.usd is None else _usd(state.left.nano_usd),
        "tokens": budget.tokens,
        "tokens_spent": state.spent.tokens,
        "tokens_left": None if budget.tokens is None else state.left.tokens,
    }


def _usd(nano_usd: int) -> str:
    return f"{Decimal(nano_usd) / NANO_USD_PER_USD:f}"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else utc_text(moment)


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


def _json_answer(value: object) -> Answer:
    return Answer(200, json.dumps(value, ensure_ascii=False).encode() + b"\n")
