"""What can be wrong with a channel as an operator wrote it."""

import math
from pathlib import Path
from typing import Any, get_args

import pytest

from rt_proxy.channels.checks import problems
from rt_proxy.channels.providers import PROVIDERS
from rt_proxy.settings import ChannelSettings, KeySource, Provider, Secret

KEY = Secret("sk-hunter2")
COMMAND = KeySource(command=("token", "--of", "hunter2"))


def written(provider: Any, **changes: Any) -> ChannelSettings:
    """Return good settings of a provider, with some changes."""
    facts = PROVIDERS[provider]
    values: dict[str, Any] = {"name": "c", "provider": provider, "models": {"*": "*"}}
    if facts.auth != "none":
        values["api_key"] = KEY
    if facts.url_setting is not None and facts.default_url is None:
        values[facts.url_setting] = facts.example_url
    return ChannelSettings(**values | changes)


@pytest.mark.parametrize("provider", get_args(Provider))
def test_least_settings(provider: str) -> None:
    """What each provider needs is enough."""
    assert problems(written(provider)) == []


@pytest.mark.parametrize("provider", sorted({*get_args(Provider)} - {"simulator"}))
def test_a_key_is_required(provider: str) -> None:
    """Without a key and without a word about it no provider is reached."""
    [(field, problem)] = problems(written(provider, api_key=None))

    assert (field, problem[:11]) == ("api_key", "is required")


@pytest.mark.parametrize(
    ("provider", "changes", "field", "text"),
    [
        ("openai", {"api_key": None}, "api_key", "is required"),
        ("azure", {"api_key": None}, "api_key", "is required"),
        ("compatible", {"api_key": None}, "api_key", "is required"),
        ("simulator", {"auth": "bearer"}, "api_key", "is required"),
        ("openai", {"api_key": Secret("")}, "api_key", "not empty"),
        ("openai", {"api_key": Secret("hunter2\n")}, "api_key", "line ends"),
        ("openai", {"api_key": Secret("hunter2 é")}, "api_key", "ASCII"),
        ("azure", {"endpoint": None}, "endpoint", "is required"),
        ("compatible", {"base_url": None}, "base_url", "is required"),
        ("azure", {"endpoint": "my.openai.azure.com"}, "endpoint", "must start with"),
        ("compatible", {"base_url": "ws://u:hunter2@h"}, "base_url", "user or password"),
        ("openai", {"base_url": "https://h/v1#x"}, "base_url", "fragment"),
        ("openai", {"base_url": ""}, "base_url", "must start with"),
        ("openai", {"base_url": "https://h/v1?model=m"}, "base_url", "'model'"),
        ("compatible", {"base_url": "ws://h/v1?intent=x"}, "base_url", "'intent'"),
        ("azure", {"endpoint": "https://h?api-version=1"}, "endpoint", "api_version"),
        ("azure", {"endpoint": "https://h?deployment=d"}, "endpoint", "'deployment'"),
        ("azure", {"base_url": "https://h"}, "base_url", "set endpoint instead"),
        ("openai", {"endpoint": "https://h"}, "endpoint", "set base_url instead"),
        ("simulator", {"base_url": "https://h"}, "base_url", "has no meaning"),
        ("simulator", {"endpoint": "https://h"}, "endpoint", "has no meaning"),
        ("openai", {"api_version": "v"}, "api_version", "has no meaning"),
        ("azure", {"api_version": ""}, "api_version", "for the GA form"),
        ("azure-voice-live", {"api_version": ""}, "api_version", "for '2025-10-01'"),
        ("azure-voice-live", {"endpoint": None}, "endpoint", "services.ai.azure.com"),
        ("inworld", {"base_url": "wss://h?key=k"}, "base_url", "'key' in its query"),
        ("inworld", {"base_url": "wss://h?protocol=p"}, "base_url", "'protocol' in its query"),
        ("speaches", {"base_url": None}, "base_url", "ws://127.0.0.1:8000/v1"),
        ("xai", {"endpoint": "https://h"}, "endpoint", "set base_url instead"),
        ("glm", {"api_version": "v"}, "api_version", "has no meaning"),
        ("compatible", {"path": "voice"}, "path", "start with /"),
        ("compatible", {"path": "/voice/"}, "path", "an end of /"),
        ("compatible", {"path": "/voice?a"}, "path", "without a query"),
        ("compatible", {"path": "/voi ce"}, "path", "percent-encoded"),
        ("compatible", {"model_parameter": "a&b"}, "model_parameter", "name of a query parameter"),
        ("compatible", {"session_parameter": "a=b"}, "session_parameter", "name of a query"),
        ("compatible", {"model_parameter": "intent"}, "model_parameter", "of its own"),
        ("azure", {"session_parameter": "api-version"}, "session_parameter", "of its own"),
        ("inworld", {"model_parameter": "protocol"}, "model_parameter", "of its own"),
        ("compatible", {"session_parameter": "model"}, "session_parameter", "names the model"),
        ("compatible", {"close_codes": {999: "key"}}, "close_codes.999", "1000 to 4999"),
        ("compatible", {"close_codes": {5000: "key"}}, "close_codes.5000", "1000 to 4999"),
        ("openai", {"api_key": None, "api_keys": ()}, "api_keys", "names no key"),
        (
            "openai",
            {"api_key": None, "api_keys": (KEY, Secret("b hunter2"))},
            "api_keys[1]",
            "without spaces",
        ),
        (
            "openai",
            {"api_key": None, "api_keys": (KEY, Secret("b"), KEY)},
            "api_keys[2]",
            "the same key as api_keys[0]",
        ),
        ("openai", {"api_keys": (Secret("b"),)}, "api_keys", "beside api_key;"),
        ("openai", {"api_key_from": COMMAND}, "api_key_from", "beside api_key;"),
        (
            "openai",
            {"api_key": None, "api_keys": (KEY,), "api_key_from": COMMAND},
            "api_key_from",
            "beside api_keys;",
        ),
        *(
            ("openai", {"api_key": None, "api_key_from": source}, f"api_key_from{field}", text)
            for source, field, text in [
                (KeySource(), "", "either a command or a file"),
                (KeySource(("c",), Path("f")), "", "either a command or a file"),
                (KeySource(()), ".command", "names no program"),
                (KeySource(("", "hunter2")), ".command", "names no program"),
                (KeySource(("c", "hunter2\0")), ".command", "null character"),
                (KeySource(("c",), seconds=0), ".seconds", "more than 0"),
                (KeySource(("c",), seconds=-1.5), ".seconds", "more than 0"),
                (KeySource(("c",), seconds=math.inf), ".seconds", "more than 0"),
                (KeySource(("c",), seconds=math.nan), ".seconds", "more than 0"),
            ]
        ),
        *(
            (provider, {"headers": {name: Secret(value)}, "auth": auth}, place, text)
            for provider, auth, name, value, place, text in [
                ("openai", None, "", "v", "headers", "characters that no header can have"),
                ("openai", None, "X A", "v", "headers", "characters that no header can have"),
                ("openai", None, "X:hunter2", "v", "headers", "characters that no header"),
                ("openai", None, "Äh", "v", "headers", "characters that no header can have"),
                ("openai", None, "Host", "v", "headers.Host", "belongs to the handshake"),
                ("openai", None, "upgrade", "v", "headers.upgrade", "belongs to the handshake"),
                (
                    "openai",
                    None,
                    "Sec-WebSocket-Protocol",
                    "realtime",
                    "headers.Sec-WebSocket-Protocol",
                    "belongs to the handshake",
                ),
                ("openai", None, "authorization", "v", "headers.authorization", "auth 'bearer'"),
                ("inworld", None, "Authorization", "v", "headers.Authorization", "auth 'basic'"),
                ("azure", None, "API-Key", "v", "headers.API-Key", "auth 'api-key'"),
                ("azure", "bearer", "Authorization", "v", "headers.Authorization", "'bearer'"),
                ("openai", None, "OpenAI-Beta", "v", "headers.OpenAI-Beta", "set dialect"),
                ("openai", None, "X-A", "", "headers.X-A", "not empty"),
                ("openai", None, "X-A", "hunter2 ", "headers.X-A", "outer spaces"),
                ("openai", None, "X-A", "hunter2\r\nb", "headers.X-A", "line ends"),
                ("openai", None, "X.A", "hunter2é", 'headers."X.A"', "ASCII"),
            ]
        ),
        (
            "openai",
            {"headers": {"X-A": Secret("a"), "x-a": Secret("b")}},
            "headers.x-a",
            "stands there twice",
        ),
        ("openai", {"max_sessions": -1}, "max_sessions", "must not be negative"),
        ("openai", {"drop_fields": ("",)}, "drop_fields[0]", "the name of a field"),
        ("openai", {"drop_fields": ("a", "b c")}, "drop_fields[1]", "the name of a field"),
        ("openai", {"drop_fields": ("a..b",)}, "drop_fields[0]", "the name of a field"),
        ("openai", {"drop_fields": ("a[0]",)}, "drop_fields[0]", "the name of a field"),
        ("openai", {"proxy": Secret("socks5://hunter2")}, "proxy", "must start with http"),
        ("openai", {"fault": "stall"}, "fault", "only a simulator"),
        ("openai", {"weight": 0}, "weight", "at least 1"),
        ("openai", {"models": {}}, "models", "no model"),
        ("openai", {"models": {"": "a"}}, "models", "empty name"),
        ("openai", {"models": {"a": ""}}, "models", "empty name"),
        ("openai", {"models": {"a": "*"}}, "models", "only '*'"),
    ],
)
def test_problems(provider: str, changes: dict[str, Any], field: str, text: str) -> None:
    """Each mistake is told once, with its field, in words, without a secret."""
    [(place, problem)] = problems(written(provider, **changes))

    assert field == place
    assert text in problem
    assert "hunter2" not in problem


def test_no_key_without_auth() -> None:
    """An upstream that takes no key needs none."""
    assert problems(written("compatible", auth="none", api_key=None)) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "two words", "x.b!#$%&'*+-.^_`|~1": "v"},
        {"User-Agent": "mine"},
        {"api-key": "for somebody else on the way"},
    ],
)
def test_good_headers(headers: dict[str, str]) -> None:
    """What HTTP allows and the handshake does not need may be added."""
    secrets = {name: Secret(value) for name, value in headers.items()}

    assert problems(written("openai", headers=secrets)) == []


def test_a_key_in_a_header_of_its_own() -> None:
    """Where auth sends nothing the operator's headers may carry any credential."""
    headers = {"Authorization": Secret("Special a b"), "X-API-Key": Secret("k")}

    assert problems(written("speaches", auth="none", api_key=None, headers=headers)) == []


@pytest.mark.parametrize(
    "keys",
    [
        {"api_keys": (KEY, Secret("b"))},
        {"api_key_from": COMMAND},
        {"api_key_from": KeySource(file=Path("f"), seconds=0.5)},
        {"api_key_from": COMMAND, "auth": "none"},
    ],
)
def test_every_source_of_keys_is_enough(keys: dict[str, Any]) -> None:
    """Several keys, or a place where one comes from, stand for the one that is required."""
    assert problems(written("openai", **({"api_key": None} | keys))) == []


def test_fields_to_drop() -> None:
    """A field may be named with the way to it."""
    assert problems(written("openai", drop_fields=("tracing", "audio.input.turn_detection"))) == []


def test_a_query_of_the_operator_is_fine() -> None:
    """What the proxy does not set itself may stand in the query, an API version too."""
    assert problems(written("compatible", base_url="wss://h/voice?api-version=1&key=k")) == []
    assert problems(written("vllm", base_url="ws://h/v1?model=m")) == []
    speaches = "ws://h/v1?transcription_model=t&language=en"
    assert problems(written("speaches", base_url=speaches)) == []


def test_all_problems_at_once() -> None:
    """Several mistakes are all told."""
    found = problems(written("azure", endpoint=None, api_key=None, models={}, weight=-1))

    assert [field for field, _ in found] == ["endpoint", "api_key", "models", "weight"]
