"""``rt-proxy check --explain``: who serves a client, and why not the others."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rt_proxy.cli.check import check
from rt_proxy.tokens.file import FileTokenStore

CONFIG = """
default_model = "b"

[[channels]]
name = "main"
provider = "openai"
api_key = "sk-hush"
base_url = "https://voice.example.com/v1?tenant=sk-hush"
models = { "a" = "far-a", "b" = "far-b" }
priority = 10
headers = { "X-Team" = "sk-hush" }

[[channels]]
name = "east"
provider = "azure"
endpoint = "https://east.example.com"
api_version = "2025-04-01-preview"
api_key = "sk-hush"
models = { "a" = "my-a" }
weight = 3

[[channels]]
name = "spare"
provider = "simulator"
models = ["*"]
drop_fields = ["tracing", "prompt"]
max_sessions = 5
mcp = false

[[channels]]
name = "other"
provider = "speaches"
base_url = "http://127.0.0.1:8000/v1"
auth = "none"
models = ["whisper"]
"""

TABLE = """\
A client with a token for everything that asks for a is served by the first of these channels that can:

TRY  CHANCE  CHANNEL  UPSTREAM                 MODEL THERE  DIALECT  TRANSLATED FOR  SESSIONS   LEFT OUT
  1       -  main     wss://voice.example.com  far-a        ga       Beta clients    no limit   -
2-3    75 %  east     wss://east.example.com   my-a         beta     GA clients      no limit   -
2-3    25 %  spare    simulator, in memory     a            ga       Beta clients    at most 5  prompt, tracing, MCP tools

Where TRY is a range, chance decides by weight; CHANCE is that of coming first.

Not tried:

CHANNEL  WHY
other    it does not serve the model 'a'
"""  # noqa: E501 - as it is printed


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(CONFIG)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str, config: str | None = None) -> Result:
    """Run ``rt-proxy check`` with a config file."""
    if config is not None:
        Path("config.toml").write_text(config)
    result = CliRunner().invoke(check, arguments)
    assert "sk-hush" not in result.output
    return result


def described(*arguments: str, status: int = 0, config: str | None = None) -> dict[str, Any]:
    """Run it with ``--json``, and return what it printed."""
    result = run(*arguments, "--json", config=config)
    assert (result.exit_code, result.stderr) == (status, "")
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value


def tokens() -> FileTokenStore:
    """Return the token file of the config."""
    return FileTokenStore(Path("tokens.toml"))


def test_a_table() -> None:
    """The channels in their order, with all that becomes of events there; then the others."""
    result = run("--explain", "a")

    assert result.stdout == TABLE
    assert (result.exit_code, result.stderr) == (0, "")


def test_one_channel() -> None:
    """Where nothing is left to chance, nothing is said of it."""
    config = '[[channels]]\nname = "s"\nprovider = "simulator"\nmodels = ["a"]\n'
    result = run("--explain", "a", config=config)

    assert "CHANCE is" not in result.stdout
    assert "Not tried" not in result.stdout
    assert result.exit_code == 0


def test_json() -> None:
    """One object, with a row for each channel."""
    told = described("--explain", "a")

    assert {key: told[key] for key in ("token", "model", "intent", "served", "refusal")} == {
        "token": None, "model": "a", "intent": "realtime", "served": True, "refusal": None,
    }  # fmt: skip
    assert [row["channel"] for row in told["channels"]] == ["main", "east", "spare"]
    assert told["channels"][1] == {
        "channel": "east",
        "provider": "azure",
        "tries": [2, 3],
        "chance": 0.75,
        "priority": 0,
        "weight": 3,
        "upstream": "wss://east.example.com",
        "upstream_model": "my-a",
        "dialect": "beta",
        "translated_for": ["ga"],
        "drop_fields": [],
        "mcp": True,
        "max_sessions": None,
    }
    assert told["passed_over"] == [{"channel": "other", "why": "it does not serve the model 'a'"}]


def test_no_model() -> None:
    """Without MODEL it is about a client that names none, and says which it gets."""
    result = run("--explain")

    assert result.stdout.startswith(
        "A client with a token for everything that names no model, and so gets b, is served"
    )
    assert described("--explain")["model"] == "b"


def test_token() -> None:
    """A token is found by its name or its id; its lists and its default count."""
    token, secret = tokens().add("kiosk", channels=["spare"], models=["x"], default_model="x")
    for name in ("kiosk", token.id):
        result = run("--explain", "--token", name)

        assert result.stdout.startswith(
            "A client with the token kiosk that names no model, and so gets x, is served"
        )
        assert "main     the token may not use it" in result.stdout
        assert secret.reveal() not in result.output
        assert token.sha256 not in result.output
    assert described("--explain", "--token", "kiosk")["token"] == {"id": token.id, "name": "kiosk"}


def test_refused() -> None:
    """A refusal is printed as a client gets it, and the status is 1."""
    tokens().add("limited", models=["b"])
    result = run("--explain", "a", "--token", "limited")
    lines = result.stdout.splitlines()

    assert result.exit_code == 1
    assert lines[:7] == [
        "A client with the token limited that asks for a is refused:",
        "",
        "code         model_not_found",
        "type         invalid_request_error",
        "close code   4004, with the reason invalid_request_error.model_not_found",
        "HTTP status  403, in place of the close code on the paths of Azure",
        "message      This token may not use the model 'a'; GET /v1/models lists what it may.",
    ]
    assert "main     the client is refused before a channel is chosen" in lines


def test_refused_in_json() -> None:
    """The refusal is in the object, with the form that is in force."""
    told = described("--explain", "a", "--token", "old", status=1, config=old_token())

    assert told["served"] is False
    assert told["channels"] == []
    assert told["refusal"] == {
        "form": "http",
        "type": "invalid_request_error",
        "code": "invalid_api_key",
        "message": "The token has expired.",
        "close_code": 3000,
        "close_reason": "invalid_request_error.invalid_api_key",
        "status": 401,
    }


def old_token() -> str:
    """Make a token that has expired, and return a config that refuses by HTTP."""
    now = datetime.now(UTC)
    tokens().add("old", now=now - timedelta(days=2), expires=now - timedelta(days=1))
    return f'refusals = "http"\n{CONFIG}'


def test_refused_by_http() -> None:
    """Where all refusals are HTTP answers, that is said."""
    result = run("--explain", "--token", "old", config=old_token())

    assert "HTTP status  401, in place of the close code everywhere" in result.stdout


def test_revoked() -> None:
    """A revoked token is found, and refused."""
    tokens().add("gone")
    tokens().revoke("gone")
    result = run("--explain", "--token", "gone")

    assert "message      The token is disabled." in result.stdout
    assert result.exit_code == 1


def test_no_such_token() -> None:
    """What may be a secret, given in the place of a name, is not repeated."""
    result = run("--explain", "--token", "sk-rt-secret")

    assert "sk-rt-secret" not in result.output
    assert "tokens.toml has that name or id; see: " in result.stderr
    assert (result.exit_code, result.stdout) == (1, "")


def test_transcription() -> None:
    """Transcription sessions have channels of their own, and name a model only where they must."""
    told = described("--explain", "--transcription")

    assert (told["intent"], told["model"]) == ("transcription", None)
    assert {row["channel"]: row["upstream_model"] for row in told["channels"]} == {
        "main": None, "east": "my-a", "spare": None, "other": "whisper",
    }  # fmt: skip
    assert "that asks for a transcription session" in run("--explain", "--transcription").stdout


def test_missing_model() -> None:
    """Where a model must be named, a client that names none is refused."""
    config = '[[channels]]\nname = "s"\nprovider = "simulator"\nmodels = ["*"]\n'
    result = run("--explain", config=config)

    assert result.stdout.startswith(
        "A client with a token for everything that names no model is refused:\n"
    )
    assert "code         missing_model" in result.stdout


def test_changes_nothing(tmp_path: Path) -> None:
    """No token file is made."""
    run("--explain", "a")

    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
