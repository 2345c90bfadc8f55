"""The table of what providers differ in."""

from typing import Any, get_args

import pytest

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.providers import PROVIDERS, provider_facts
from rt_proxy.channels.upstream import upstream_request
from rt_proxy.channels.urls import Url
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings, Provider, Secret, Settings

BEARER = {"Authorization": "Bearer k"}
BETA = {"OpenAI-Beta": "realtime=v1"}

#: Of each provider: what is written, the URL of a session, its headers, and what else is known.
ROWS: dict[str, tuple[dict[str, str], str, dict[str, str], dict[str, Any]]] = {
    "openai": ({}, "wss://api.openai.com/v1/realtime?model=m", BEARER, {}),
    "azure": (
        {"endpoint": "https://r.openai.azure.com"},
        "wss://r.openai.azure.com/openai/v1/realtime?model=m",
        {"api-key": "k"},
        {},
    ),
    "azure preview": (
        {"endpoint": "https://r.openai.azure.com", "api_version": "2025-04-01-preview"},
        "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=m",
        {"api-key": "k"} | BETA,
        {},
    ),
    "azure-voice-live": (
        {"endpoint": "https://r.services.ai.azure.com/"},
        "wss://r.services.ai.azure.com/voice-live/realtime?api-version=2025-10-01&model=m",
        {"api-key": "k"} | BETA,
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "dashscope": (
        {},
        "wss://dashscope.aliyuncs.com/api-ws/v1/realtime?model=m",
        BEARER | BETA,
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "xai": (
        {},
        "wss://api.x.ai/v1/realtime?model=m",
        BEARER,
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "glm": (
        {},
        "wss://open.bigmodel.cn/api/paas/v4/realtime?model=m",
        BEARER | BETA,
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "inworld": (
        {},
        "wss://api.inworld.ai/api/v1/realtime/session?protocol=realtime&key=id",
        {"Authorization": "Basic k"},
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "speaches": (
        {"base_url": "ws://h:8000/v1"},
        "ws://h:8000/v1/realtime?model=m",
        BEARER | BETA,
        {"drop_fields": {"tracing"}},
    ),
    "localai": (
        {"base_url": "ws://h:8080/v1"},
        "ws://h:8080/v1/realtime?model=m",
        BEARER,
        {"transcription": False, "drop_fields": {"tracing"}},
    ),
    "litellm": (
        {"base_url": "http://h:4000/v1"},
        "ws://h:4000/v1/realtime?model=m",
        BEARER,
        {"transcription": False},
    ),
    "vllm": (
        {"base_url": "ws://h:8000/v1"},
        "ws://h:8000/v1/realtime",
        BEARER,
        {"transcription": False, "mcp": False, "drop_fields": {"tracing"}},
    ),
    "compatible": ({"base_url": "ws://h/v1"}, "ws://h/v1/realtime?model=m", BEARER, {}),
    "simulator": ({}, "ws://simulator/v1/realtime?model=m", {}, {}),
}


def settings_of(row: str, **changes: Any) -> ChannelSettings:
    """Return the settings of a channel that falls into a row of the table."""
    provider: Any = row.removesuffix(" preview")
    values: dict[str, Any] = ROWS[row][0] | {"api_key": Secret("k")} | changes
    return ChannelSettings("c", provider, {"*": "*"}, **values)


def channel(row: str, **changes: Any) -> Channel:
    """Return such a channel."""
    return make_channels(Settings((settings_of(row, **changes),)))[0]


def url(route: Channel) -> str:
    """Return the URL that a session on a channel is opened with, for the model ``m``."""
    opened = upstream_request(
        route, key=route.api_keys[0], model="m", intent=None, new_id=lambda: "id"
    )
    return f"{'wss' if opened.tls else 'ws'}://{opened.host_header}{opened.resource}"


def test_every_row_is_held() -> None:
    """The rows above are those of the table, and each provider of the settings has one."""
    assert ROWS.keys() == PROVIDERS.keys()
    assert {*get_args(Provider)} == PROVIDERS.keys() - {"azure preview"}


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str) -> None:
    """URL, headers, dialect and abilities of a provider, where only what it needs is written."""
    route = channel(row)
    opened = upstream_request(route, key=route.api_keys[0], model="m", intent=None)
    headers = {
        name: value if isinstance(value, str) else value.reveal() for name, value in opened.headers
    }
    known = {"transcription": True, "mcp": True, "drop_fields": set(), "first_event": True}
    _, address, sent, different = ROWS[row]

    assert provider_facts(settings_of(row)) is PROVIDERS[row]
    assert url(route) == address
    assert headers == {"User-Agent": "rt-proxy"} | sent
    assert route.dialect is (Dialect.BETA if "OpenAI-Beta" in sent else Dialect.GA)
    assert {name: getattr(route, name) for name in known} == known | different


@pytest.mark.parametrize("row", sorted(ROWS.keys() - {"simulator"}))
def test_another_place_of_the_same_api(row: str) -> None:
    """A URL may be written with or without what is added to it, at any host, with a query."""
    facts = PROVIDERS[row]
    setting = facts.url_setting or ""
    expected = url(channel(row, **{setting: "https://gw:8443/team?x=1"}))

    assert expected.startswith(f"wss://gw:8443/team{facts.path}?x=1")
    for end in ("", "/", facts.path, facts.path + "/", *facts.redundant):
        written = f"https://gw:8443/team{end}?x=1"
        assert url(channel(row, **{setting: written})) == expected


def test_azure_has_two_forms() -> None:
    """With an API version Azure has its preview form, which speaks Beta."""
    preview = ChannelSettings("c", "azure", {"*": "*"}, api_version="2025-04-01-preview")

    assert PROVIDERS["azure preview"] is provider_facts(preview)
    assert Dialect.BETA is provider_facts(preview).dialect


def test_a_later_version_of_voice_live() -> None:
    """Voice Live has one form, whatever its version."""
    route = channel("azure-voice-live", api_version="2026-04-10")

    assert url(route) == (
        "wss://r.services.ai.azure.com/voice-live/realtime?api-version=2026-04-10&model=m"
    )


def test_close_codes() -> None:
    """What OpenAI closes with is known; other providers' codes are not."""
    assert {row for row, facts in PROVIDERS.items() if facts.close_codes} == {"openai"}
    assert channel("openai").close_codes[3000] == "key"


@pytest.mark.parametrize("row", PROVIDERS)
def test_rows_fit_together(row: str) -> None:
    """URLs are valid, what the proxy sets is its own, long ends come first."""
    facts = PROVIDERS[row]
    set_by_us = {facts.model_parameter, facts.session_parameter} - {None}
    set_by_us |= {name for name, _ in facts.fixed_parameters}
    if facts.transcription_url != "neither":
        set_by_us.add("intent")

    assert facts.default_url is None or Url.parse(facts.default_url)
    assert facts.default_url is not None or Url.parse(facts.example_url)
    assert set_by_us <= {*facts.own_parameters}
    assert facts.takes_api_version or facts.api_version is None
    assert "/realtime" in facts.path
    assert sorted(facts.redundant, key=len, reverse=True) == list(facts.redundant)
