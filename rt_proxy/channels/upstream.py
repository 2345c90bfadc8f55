"""The request that opens an upstream, built anew for every session.

Nothing of the client's request can come in here but the model and the intent; the
operator's own headers can.
"""

from collections.abc import Callable
from uuid import uuid4

import attrs

from rt_proxy.channels.channel import Channel
from rt_proxy.channels.urls import Url
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import Secret


@attrs.frozen
class UpstreamRequest:
    """A WebSocket upgrade request, without what the WebSocket library adds itself.

    Attributes:
        tls: Whether the connection is encrypted.
        host: A name or an address to connect to, an IPv6 address without brackets.
        port: A TCP port.
        host_header: The value of ``Host``.
        resource: Path and query; not in the repr, for an operator's query may hold a key.
        headers: Further headers. Those with a secret have it as a ``Secret``.
    """

    tls: bool
    host: str
    port: int
    host_header: str
    resource: str = attrs.field(repr=False)
    headers: tuple[tuple[str, Secret | str], ...]

    def header_bytes(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as they go on the wire, their secrets in clear."""
        return [
            (name.encode(), (value if isinstance(value, str) else value.reveal()).encode())
            for name, value in self.headers
        ]


def upstream_request(
    channel: Channel,
    *,
    key: Secret | None,
    model: str | None,
    intent: str | None,
    new_id: Callable[[], str] = lambda: uuid4().hex,
) -> UpstreamRequest:
    """Return the request that opens a session on a channel.

    ``realtime`` is the default intent and is not sent. Transcription sessions have a URL
    of their own, which each provider forms in its way.

    Args:
        channel: The channel.
        key: The provider's key to use; None where the channel's ``auth`` is ``none``.
        model: The client's name of the model, which the channel serves; None: name no model.
        intent: The client's intent; None: it gave none.
        new_id: Makes the id of the session, for providers that want one.

    Raises:
        ValueError: The channel does not serve the model.
    """
    if intent == "transcription":
        url = _transcription_url(channel, model)
    else:
        url = channel.url if model is None else _with_model(channel, _served(channel, model))
    if channel.session_parameter is not None:
        url = url.with_parameter(channel.session_parameter, new_id())
    return UpstreamRequest(
        tls=url.tls,
        host=url.host,
        port=url.port,
        host_header=url.host_header,
        resource=url.resource,
        headers=tuple(_headers(channel, key)),
    )


def _served(channel: Channel, model: str) -> str:
    name = channel.upstream_model(model)
    if name is None:
        raise ValueError(f"channel {channel.name!r} does not serve the model {model!r}")
    return name


def _with_model(channel: Channel, name: str) -> Url:
    if channel.model_parameter is None:
        return channel.url
    return channel.url.with_parameter(channel.model_parameter, name)


def _transcription_url(channel: Channel, model: str | None) -> Url:
    """Return the URL of a transcription session.

    OpenAI refuses a model in it (API reference, "Realtime transcription"). Where it
    must have one and the client named none that is served, it is the channel's first.
    """
    match channel.transcription_url:
        case "neither":
            return channel.url
        case "intent":
            return channel.url.with_parameter("intent", "transcription")
        case "model and intent":
            name = None if model is None else channel.upstream_model(model)
            if name is None:
                name = next((first for first in channel.models.values() if first != "*"), None)
            url = channel.url if name is None else _with_model(channel, name)
            return url.with_parameter("intent", "transcription")


def _headers(channel: Channel, key: Secret | None) -> list[tuple[str, Secret | str]]:
    headers: list[tuple[str, Secret | str]] = list(channel.extra_headers.items())
    if "user-agent" not in (name.lower() for name in channel.extra_headers):
        headers.insert(0, ("User-Agent", "rt-proxy"))
    if key is not None:
        match channel.auth:
            case "bearer":
                headers.append(("Authorization", Secret(f"Bearer {key.reveal()}")))
            case "basic":
                headers.append(("Authorization", Secret(f"Basic {key.reveal()}")))
            case "api-key":
                headers.append(("api-key", key))
            case "none":
                pass
    if channel.dialect is Dialect.BETA:
        headers.append(("OpenAI-Beta", "realtime=v1"))
    return headers
