"""Channels made from settings, and what can be wrong with them."""

from typing import Any

import pytest

from rt_proxy.channels.channel import Channel, make_channels, problems
from rt_proxy.errors import SettingsError
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings, Secret, Settings

KEY = Secret("sk-hunter2")
GOOD: dict[str, dict[str, Any]] = {
    "openai": {"api_key": KEY},
    "azure": {"api_key": KEY, "endpoint": "https://my.openai.azure.com"},
    "compatible": {"api_key": KEY, "base_url": "ws://127.0.0.1:9000/v1"},
    "simulator": {},
}


def written(provider: Any, **changes: Any) -> ChannelSettings:
    """Return good settings of a provider, with some changes."""
    return ChannelSettings(
        **{"name": "c", "provider": provider, "models": {"*": "*"}} | GOOD[provider] | changes
    )


def made(provider: str, **changes: Any) -> Channel:
    """Return the channel of such settings."""
    return make_channels(Settings((written(provider, **changes),)))[0]


@pytest.mark.parametrize("provider", GOOD)
def test_least_settings(provider: str) -> None:
    """What each provider needs is enough."""
    assert problems(written(provider)) == []


@pytest.mark.parametrize(
    ("provider", "auth"),
    [("openai", "bearer"), ("azure", "api-key"), ("compatible", "bearer"), ("simulator", "none")],
)
def test_default_auth(provider: str, auth: str) -> None:
    """Azure takes the key as api-key, the simulator takes none, all others a bearer."""
    assert auth == made(provider).auth


@pytest.mark.parametrize("auth", ["bearer", "api-key", "none"])
def test_auth_can_be_set(auth: str) -> None:
    """The operator's auth overrides the provider's."""
    assert auth == made("azure", auth=auth).auth


def test_dialects() -> None:
    """GA is the default, Beta that of Azure's preview form, and the operator can say it."""
    assert Dialect.GA is made("openai").dialect
    assert Dialect.GA is made("azure").dialect
    assert Dialect.BETA is made("azure", api_version="2025-04-01-preview").dialect
    assert Dialect.BETA is made("compatible", dialect="beta").dialect
    assert Dialect.BETA is made("simulator", dialect="beta").dialect
    assert Dialect.GA is made("azure", api_version="v", dialect="ga").dialect


def test_the_dialect_of_a_url() -> None:
    """A dated api-version in the URL of any server is the mark of a preview, which speaks Beta."""
    preview = "wss://h/openai?api-version=2025-04-01-preview"
    assert Dialect.BETA is made("compatible", base_url=preview).dialect
    assert Dialect.GA is made("compatible", base_url=preview, dialect="ga").dialect
    assert Dialect.GA is made("compatible", base_url="wss://h/v1?version=1").dialect


def test_everything_else_is_taken_over() -> None:
    """Name, models, priority, weight, first_event, fault and key come from the settings."""
    channel = made(
        "simulator",
        models={"a": "b"},
        priority=-3,
        weight=7,
        first_event=False,
        fault="stall",
        api_key=KEY,
    )

    assert (
        channel.name,
        channel.provider,
        channel.models,
        channel.priority,
        channel.weight,
        channel.first_event,
        channel.fault,
        channel.api_key,
    ) == ("c", "simulator", {"a": "b"}, -3, 7, False, "stall", KEY)


def test_upstream_model() -> None:
    """The exact alias comes first, then the star; an unknown name is not served."""
    exact = made("openai", models={"a": "x"})
    star = made("openai", models={"a": "x", "*": "*"})
    fixed = made("openai", models={"a": "x", "*": "y"})

    assert (exact.upstream_model("a"), exact.upstream_model("b")) == ("x", None)
    assert (star.upstream_model("a"), star.upstream_model("b")) == ("x", "b")
    assert (fixed.upstream_model("a"), fixed.upstream_model("b")) == ("x", "y")


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
        ("azure", {"api_version": ""}, "api_version", "must not be empty"),
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


def test_a_query_of_the_operator_is_fine() -> None:
    """What the proxy does not set itself may stand in the query, an API version too."""
    assert problems(written("compatible", base_url="wss://h/voice?api-version=1&key=k")) == []


def test_all_problems_at_once() -> None:
    """Several mistakes are all told."""
    found = problems(written("azure", endpoint=None, api_key=None, models={}, weight=-1))

    assert [field for field, _ in found] == ["endpoint", "api_key", "models", "weight"]


def test_wrong_settings_make_no_channels() -> None:
    """Making channels of wrong settings raises all problems, each with its place."""
    wrong = Settings((written("openai"), written("azure", endpoint=None, weight=0)))

    with pytest.raises(SettingsError) as caught:
        make_channels(wrong)

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "channels[1].endpoint",
        "channels[1].weight",
    ]


def test_channels_keep_their_order() -> None:
    """Channels come in the order of the settings, whatever their priority."""
    settings = Settings((written("openai", name="a"), written("simulator", name="b", priority=9)))

    assert [channel.name for channel in make_channels(settings)] == ["a", "b"]


def test_repr_has_no_secret() -> None:
    """Neither a key nor an operator's query is shown."""
    channel = made("compatible", base_url="ws://h/v1?key=sk-hunter2")

    assert "hunter2" not in repr(channel)
