"""The request that opens an upstream."""

from typing import Any

import pytest

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.upstream import UpstreamRequest, upstream_request
from rt_proxy.settings import ChannelSettings, Secret, Settings

KEY = Secret("sk-hunter2")
PREVIEW = "2025-04-01-preview"


def channel(provider: Any, **written: Any) -> Channel:
    """Return a channel that maps the model ``m`` to ``up/m``."""
    values: dict[str, Any] = {"name": "c", "models": {"m": "up/m"}, "api_key": KEY} | written
    return make_channels(Settings((ChannelSettings(provider=provider, **values),)))[0]


def request(provider: Any, *, intent: str | None = None, **written: Any) -> UpstreamRequest:
    """Return the request that opens such a channel for the model ``m``."""
    return upstream_request(channel(provider, **written), model="m", intent=intent)


def shown(opened: UpstreamRequest) -> dict[str, str]:
    """Return the headers with their secrets shown."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in opened.headers
    }


def test_openai() -> None:
    """OpenAI is reached at its public address, by TLS, with the key as bearer."""
    opened = request("openai")

    assert (
        opened.tls,
        opened.host,
        opened.port,
        opened.host_header,
        opened.resource,
    ) == (True, "api.openai.com", 443, "api.openai.com", "/v1/realtime?model=up%2Fm")
    assert shown(opened) == {"User-Agent": "rt-proxy", "Authorization": "Bearer sk-hunter2"}


@pytest.mark.parametrize(
    ("base_url", "resource"),
    [
        ("ws://h:9000/v1", "/v1/realtime?model=up%2Fm"),
        ("http://h:9000/v1/", "/v1/realtime?model=up%2Fm"),
        ("ws://h:9000", "/realtime?model=up%2Fm"),
        ("ws://h:9000/a%20b/?x=1&y", "/a%20b/realtime?x=1&y&model=up%2Fm"),
    ],
)
def test_base_url(base_url: str, resource: str) -> None:
    """The base without its slash, then /realtime, then its own query, then the model."""
    opened = request("compatible", base_url=base_url)

    assert (False, "h", 9000, "h:9000", resource) == (
        opened.tls,
        opened.host,
        opened.port,
        opened.host_header,
        opened.resource,
    )


@pytest.mark.parametrize(
    "path", ["", "/", "/openai", "/openai/v1", "/openai/v1/", "/openai/v1/realtime"]
)
def test_azure(path: str) -> None:
    """Azure's GA form has the deployment as model; a known path is not doubled."""
    opened = request("azure", endpoint="https://r.openai.azure.com" + path)

    assert opened.resource == "/openai/v1/realtime?model=up%2Fm"
    assert shown(opened) == {"User-Agent": "rt-proxy", "api-key": "sk-hunter2"}


@pytest.mark.parametrize("path", ["", "/openai/", "/openai/v1", "/openai/realtime"])
def test_azure_preview(path: str) -> None:
    """With an API version the preview form is used, with the Beta header."""
    opened = request("azure", endpoint="https://r.openai.azure.com" + path, api_version=PREVIEW)

    assert f"/openai/realtime?api-version={PREVIEW}&deployment=up%2Fm" == opened.resource
    assert shown(opened)["OpenAI-Beta"] == "realtime=v1"


def test_azure_behind_a_gateway() -> None:
    """A path of the operator's own stays in front, and so does a query."""
    opened = request("azure", endpoint="https://gw:8443/team/openai?key=k", api_version="a b")

    assert opened.resource == "/team/openai/realtime?key=k&api-version=a%20b&deployment=up%2Fm"
    assert opened.host_header == "gw:8443"


def test_azure_with_bearer() -> None:
    """An Entra token goes as bearer."""
    opened = request("azure", endpoint="https://r.openai.azure.com", auth="bearer")

    assert shown(opened) == {"User-Agent": "rt-proxy", "Authorization": "Bearer sk-hunter2"}


def test_no_auth_sends_no_key() -> None:
    """With auth none a key stays at home."""
    opened = request("compatible", base_url="ws://h", auth="none")

    assert shown(opened) == {"User-Agent": "rt-proxy"}


def test_beta_header_follows_the_dialect() -> None:
    """OpenAI-Beta is sent to channels of the Beta dialect, and to no other."""
    beta = request("compatible", base_url="ws://h", dialect="beta")
    ga = request("azure", endpoint="https://h", api_version=PREVIEW, dialect="ga")

    assert shown(beta)["OpenAI-Beta"] == "realtime=v1"
    assert "OpenAI-Beta" not in shown(ga)


def test_transcription_names_no_model() -> None:
    """A transcription session has its intent in the place of a model."""
    azure = {"endpoint": "https://h"}

    assert request("openai", intent="transcription").resource == "/v1/realtime?intent=transcription"
    assert (
        request("azure", intent="transcription", **azure).resource
        == "/openai/v1/realtime?intent=transcription"
    )
    assert (
        f"/openai/realtime?api-version={PREVIEW}&intent=transcription"
        == request("azure", intent="transcription", api_version=PREVIEW, **azure).resource
    )


def test_transcription_needs_no_model() -> None:
    """Any channel can open a transcription session, whatever models it serves."""
    opened = upstream_request(channel("openai"), model=None, intent="transcription")

    assert opened.resource == "/v1/realtime?intent=transcription"


def test_the_default_intent_is_not_sent() -> None:
    """Intent realtime is the upstream's default."""
    assert request("openai", intent="realtime").resource == "/v1/realtime?model=up%2Fm"


def test_without_model_and_intent() -> None:
    """Where nothing is known nothing is named."""
    opened = upstream_request(channel("openai"), model=None, intent=None)

    assert opened.resource == "/v1/realtime"


def test_a_model_cannot_add_parameters() -> None:
    """A client's model is one value, whatever it contains."""
    star = channel("openai", models={"*": "*"})
    opened = upstream_request(star, model="a&intent=x#y\r\nz", intent=None)

    assert opened.resource == "/v1/realtime?model=a%26intent%3Dx%23y%0D%0Az"


def test_a_model_that_is_not_served() -> None:
    """Asking a channel for what it does not serve is a mistake of the caller."""
    with pytest.raises(ValueError, match="does not serve"):
        upstream_request(channel("openai"), model="other", intent=None)


def test_simulator() -> None:
    """A simulator channel has a handshake too, without a key."""
    opened = request("simulator", api_key=None)

    assert (opened.tls, opened.resource) == (False, "/v1/realtime?model=up%2Fm")
    assert shown(opened) == {"User-Agent": "rt-proxy"}


@pytest.mark.parametrize("auth", ["bearer", "api-key"])
def test_repr_has_no_secret(auth: str) -> None:
    """Neither a key nor an operator's query is shown."""
    opened = request("compatible", base_url="ws://h/?key=hunter2", auth=auth)

    assert "hunter2" not in repr(opened)
