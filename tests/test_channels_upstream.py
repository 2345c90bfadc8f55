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


def opened_on(route: Channel, *, model: str | None, intent: str | None = None) -> UpstreamRequest:
    """Return the request that opens a channel with its first key."""
    key = next(iter(route.api_keys), None)
    return upstream_request(route, key=key, model=model, intent=intent, new_id=lambda: "new-id")


def request(provider: Any, *, intent: str | None = None, **written: Any) -> UpstreamRequest:
    """Return the request that opens such a channel for the model ``m``."""
    return opened_on(channel(provider, **written), model="m", intent=intent)


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
    ("written", "resource"),
    [
        ({"path": "/voice"}, "/v1/voice?model=up%2Fm"),
        ({"path": "/v1"}, "/v1?model=up%2Fm"),
        ({"path": ""}, "/v1?model=up%2Fm"),
        ({"model_parameter": "engine"}, "/v1/realtime?engine=up%2Fm"),
        ({"model_parameter": ""}, "/v1/realtime"),
        ({"session_parameter": "sid"}, "/v1/realtime?model=up%2Fm&sid=new-id"),
    ],
)
def test_another_form(written: dict[str, Any], resource: str) -> None:
    """An operator can say how the URL of a provider is formed."""
    assert request("compatible", base_url="ws://h/v1", **written).resource == resource


def test_another_form_of_transcription() -> None:
    """An operator can say what the URL of a transcription session names."""
    for form, resource in {
        "intent": "/v1/realtime?intent=transcription",
        "model and intent": "/v1/realtime?model=up%2Fm&intent=transcription",
        "neither": "/v1/realtime",
    }.items():
        opened = request("openai", transcription_url=form, intent="transcription")
        assert opened.resource == resource


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


@pytest.mark.parametrize("provider", ["openai", "azure", "compatible"])
def test_transcription_names_no_model(provider: str) -> None:
    """A transcription session has its intent in the place of a model."""
    url = {"azure": {"endpoint": "https://h"}, "compatible": {"base_url": "ws://h"}}
    opened = request(provider, intent="transcription", **url.get(provider, {}))

    assert opened.resource.endswith("/realtime?intent=transcription")


@pytest.mark.parametrize(
    ("provider", "written", "url"),
    [
        (
            "azure",
            {"endpoint": "https://h", "api_version": PREVIEW},
            f"/openai/realtime?api-version={PREVIEW}&deployment={{}}&intent=transcription",
        ),
        (
            "speaches",
            {"base_url": "ws://h/v1?language=en"},
            "/v1/realtime?language=en&model={}&intent=transcription",
        ),
    ],
)
def test_transcription_with_a_model(provider: str, written: dict[str, Any], url: str) -> None:
    """Where the URL needs a model it is the client's, or else the first of the channel."""
    several = channel(provider, models={"*": "*", "n": "up/n", "m": "up/m"}, **written)
    any_model = channel(provider, models={"*": "*"}, **written)

    def resource(route: Channel, model: str | None) -> str:
        return opened_on(route, model=model, intent="transcription").resource

    assert resource(several, "m") == url.format("up%2Fm")
    assert resource(several, None) == url.format("up%2Fn")
    assert resource(channel(provider, **written), "unknown") == url.format("up%2Fm")
    assert resource(any_model, "whisper") == url.format("whisper")
    parameter = "deployment" if provider == "azure" else "model"
    assert resource(any_model, None) == url.replace(f"{parameter}={{}}&", "")


def test_transcription_that_the_url_does_not_name() -> None:
    """Where the server does nothing but transcribe, its URL stays as it is."""
    opened = request("vllm", base_url="ws://h/v1", intent="transcription", transcription=True)

    assert opened.resource == "/v1/realtime"


def test_transcription_needs_no_model() -> None:
    """Any channel can open a transcription session, whatever models it serves."""
    opened = opened_on(channel("openai"), model=None, intent="transcription")

    assert opened.resource == "/v1/realtime?intent=transcription"


def test_the_default_intent_is_not_sent() -> None:
    """Intent realtime is the upstream's default."""
    assert request("openai", intent="realtime").resource == "/v1/realtime?model=up%2Fm"


def test_without_model_and_intent() -> None:
    """Where nothing is known nothing is named."""
    opened = opened_on(channel("openai"), model=None)

    assert opened.resource == "/v1/realtime"


def test_a_model_cannot_add_parameters() -> None:
    """A client's model is one value, whatever it contains."""
    star = channel("openai", models={"*": "*"})
    opened = opened_on(star, model="a&intent=x#y\r\nz")

    assert opened.resource == "/v1/realtime?model=a%26intent%3Dx%23y%0D%0Az"


def test_a_model_that_is_not_served() -> None:
    """Asking a channel for what it does not serve is a mistake of the caller."""
    with pytest.raises(ValueError, match="does not serve"):
        opened_on(channel("openai"), model="other")


def test_simulator() -> None:
    """A simulator channel has a handshake too, without a key."""
    opened = request("simulator", api_key=None)

    assert (opened.tls, opened.resource) == (False, "/v1/realtime?model=up%2Fm")
    assert shown(opened) == {"User-Agent": "rt-proxy"}


def test_each_session_has_a_new_id() -> None:
    """Where a provider wants an id for each session it is a new one each time."""
    inworld = channel("inworld")
    resources = {
        upstream_request(inworld, key=KEY, model="m", intent=None).resource for _ in range(9)
    }

    assert len(resources) == 9
    assert request("inworld").resource == "/api/v1/realtime/session?protocol=realtime&key=new-id"


def test_headers_of_the_operator() -> None:
    """They are sent beside the key; only User-Agent takes the place of ours."""
    further = {"X-Account": Secret("hunter2 b"), "user-agent": Secret("mine")}
    opened = request("openai", headers=further)

    assert shown(opened) == {
        "X-Account": "hunter2 b",
        "user-agent": "mine",
        "Authorization": "Bearer sk-hunter2",
    }
    assert (b"X-Account", b"hunter2 b") in opened.header_bytes()
    assert shown(request("openai", headers={"X-A": Secret("a")}))["User-Agent"] == "rt-proxy"


def test_the_key_is_the_callers() -> None:
    """The key that is given is sent, and no other; without one there is no credential."""
    several = channel("openai", api_key=None, api_keys=(KEY, Secret("b")))
    opened = upstream_request(several, key=Secret("c"), model="m", intent=None)
    without = upstream_request(several, key=None, model="m", intent=None)

    assert shown(opened)["Authorization"] == "Bearer c"
    assert shown(without) == {"User-Agent": "rt-proxy"}


def test_basic() -> None:
    """A Basic key is sent as the provider gave it, which is encoded already."""
    opened = request("compatible", base_url="ws://h", auth="basic")

    assert shown(opened)["Authorization"] == "Basic sk-hunter2"


@pytest.mark.parametrize("auth", ["bearer", "api-key", "basic"])
def test_repr_has_no_secret(auth: str) -> None:
    """Neither a key, a header nor a query of the operator is shown."""
    opened = request(
        "compatible", base_url="ws://h/?key=hunter2", auth=auth, headers={"X-A": Secret("hunter2")}
    )

    assert "hunter2" not in repr(opened)
