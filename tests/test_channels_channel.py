"""Channels made from settings."""

from pathlib import Path
from typing import Any, get_args

import pytest

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.providers import PROVIDERS
from rt_proxy.errors import SettingsError
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import (
    ChannelSettings,
    KeySource,
    Provider,
    Secret,
    Settings,
    TlsSettings,
)

KEY = Secret("sk-hunter2")


def written(provider: Any, **changes: Any) -> ChannelSettings:
    """Return good settings of a provider, with some changes."""
    facts = PROVIDERS[provider]
    values: dict[str, Any] = {"name": "c", "provider": provider, "models": {"*": "*"}}
    if facts.auth != "none":
        values["api_key"] = KEY
    if facts.url_setting is not None and facts.default_url is None:
        values[facts.url_setting] = facts.example_url
    return ChannelSettings(**values | changes)


def made(provider: str, **changes: Any) -> Channel:
    """Return the channel of such settings."""
    return make_channels(Settings((written(provider, **changes),)))[0]


@pytest.mark.parametrize("provider", get_args(Provider))
def test_what_the_table_says(provider: str) -> None:
    """What is not written comes from the row of the provider."""
    channel, facts = made(provider), PROVIDERS[provider]

    assert (
        channel.auth,
        channel.dialect,
        channel.first_event,
        channel.model_parameter,
        channel.session_parameter,
        channel.transcription_url,
        channel.transcription,
        channel.mcp,
        channel.drop_fields,
        channel.close_codes,
    ) == (
        facts.auth,
        facts.dialect,
        facts.first_event,
        facts.model_parameter,
        facts.session_parameter,
        facts.transcription_url,
        facts.transcription,
        facts.mcp,
        frozenset(facts.refused_fields),
        facts.close_codes,
    )
    assert (channel.max_sessions, channel.extra_headers) == (0, {})


@pytest.mark.parametrize("provider", get_args(Provider))
def test_the_table_can_be_overridden(provider: str) -> None:
    """What is written counts, either way."""
    for yes in (True, False):
        channel = made(
            provider,
            first_event=yes,
            transcription=yes,
            mcp=yes,
            drop_fields=("a",) if yes else (),
            auth="bearer" if yes else "api-key",
            dialect="ga" if yes else "beta",
            api_key=KEY,
        )

        assert (channel.first_event, channel.transcription, channel.mcp) == (yes, yes, yes)
        assert channel.drop_fields == ({"a"} if yes else set())
        assert channel.auth == ("bearer" if yes else "api-key")
        assert channel.dialect is (Dialect.GA if yes else Dialect.BETA)


@pytest.mark.parametrize("provider", get_args(Provider))
def test_the_form_of_the_url_can_be_overridden(provider: str) -> None:
    """The columns of the URL and the close codes can be set, to something and to nothing."""
    channel = made(
        provider,
        path="/a",
        model_parameter="m",
        session_parameter="s",
        transcription_url="neither",
        close_codes={4001: "age"},
    )
    bare = made(provider, path="", model_parameter="", session_parameter="", close_codes={})

    assert channel.url.path.endswith("/a")
    assert (channel.model_parameter, channel.session_parameter) == ("m", "s")
    assert (channel.transcription_url, channel.close_codes) == ("neither", {4001: "age"})
    assert not bare.url.path.endswith("/realtime")
    assert (bare.model_parameter, bare.session_parameter, bare.close_codes) == (None, None, {})


@pytest.mark.parametrize("auth", ["bearer", "api-key", "basic", "none"])
def test_auth_can_be_set(auth: str) -> None:
    """The operator's auth overrides the provider's."""
    assert auth == made("azure", auth=auth).auth


@pytest.mark.parametrize("provider", ["azure", "azure-voice-live", "openai", "inworld"])
def test_a_key_that_changes_is_a_token(provider: str) -> None:
    """A key that changes by itself goes as bearer, unless the operator says otherwise."""
    source = {"api_key": None, "api_key_from": KeySource(command=("token",))}

    assert made(provider, **source).auth == "bearer"
    assert made(provider, **source, auth="api-key").auth == "api-key"
    assert made("simulator", **source).auth == "none"


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
    assert Dialect.BETA is made("openai", base_url=preview).dialect
    assert Dialect.GA is made("compatible", base_url=preview, dialect="ga").dialect
    assert Dialect.GA is made("compatible", base_url="wss://h/v1?version=1").dialect


def test_everything_else_is_taken_over() -> None:
    """Whatever does not depend on the provider comes from the settings as it is."""
    certificate = TlsSettings(Path("cert"), Path("key"))
    channel = made(
        "simulator",
        models={"a": "b"},
        priority=-3,
        weight=7,
        fault="stall",
        api_key=KEY,
        max_sessions=9,
        headers={"X-A": KEY},
        ca_file=Path("ca"),
        client_cert=certificate,
        proxy=Secret("direct"),
    )

    assert (
        channel.name,
        channel.provider,
        channel.models,
        channel.priority,
        channel.weight,
        channel.fault,
        channel.api_keys,
        channel.max_sessions,
        channel.extra_headers,
        channel.ca_file,
        channel.client_cert,
        channel.proxy,
    ) == (
        "c",
        "simulator",
        {"a": "b"},
        -3,
        7,
        "stall",
        (KEY,),
        9,
        {"X-A": KEY},
        Path("ca"),
        certificate,
        Secret("direct"),
    )


def test_keys() -> None:
    """One key, several, or where one comes from: a channel has them all in the same place."""
    source = KeySource(file=Path("token"))
    one = made("openai")
    several = made("openai", api_key=None, api_keys=[KEY, Secret("b")])
    changing = made("openai", api_key=None, api_key_from=source)

    assert (one.api_keys, one.api_key_from) == ((KEY,), None)
    assert (several.api_keys, several.api_key_from) == ((KEY, Secret("b")), None)
    assert (changing.api_keys, changing.api_key_from) == ((), source)


def test_channels_do_not_change_with_what_they_were_made_of() -> None:
    """A program that changes its mapping later on changes no channel."""
    headers, models = {"X-A": KEY}, {"a": "b"}
    channel = made("openai", headers=headers, models=models)
    headers.clear()
    models.clear()

    assert (channel.extra_headers, channel.models) == ({"X-A": KEY}, {"a": "b"})


def test_upstream_model() -> None:
    """The exact alias comes first, then the star; an unknown name is not served."""
    exact = made("openai", models={"a": "x"})
    star = made("openai", models={"a": "x", "*": "*"})
    fixed = made("openai", models={"a": "x", "*": "y"})

    assert (exact.upstream_model("a"), exact.upstream_model("b")) == ("x", None)
    assert (star.upstream_model("a"), star.upstream_model("b")) == ("x", "b")
    assert (fixed.upstream_model("a"), fixed.upstream_model("b")) == ("x", "y")


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
    """Neither a key, a header, a query of the operator nor the command of a key is shown."""
    several = made("compatible", base_url="ws://h/v1?key=hunter2", headers={"X-A": KEY})
    source = KeySource(command=("curl", "hunter2"))
    changing = made("compatible", api_key=None, api_key_from=source)

    assert "hunter2" not in repr(several) + repr(changing)
