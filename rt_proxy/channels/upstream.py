"""The request that opens an upstream, built anew for every session.

Nothing of the client's request can come in here but the model and the intent.
"""

import attrs

from rt_proxy.channels.channel import Channel
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


def upstream_request(channel: Channel, *, model: str | None, intent: str | None) -> UpstreamRequest:
    """Return the request that opens a session on a channel.

    A transcription session is opened without a model (API reference, "Realtime
    transcription"); ``realtime`` is the default intent and is not sent.

    Args:
        channel: The channel.
        model: The client's name of the model, which the channel serves; None: name no model.
        intent: The client's intent; None: it gave none.

    Raises:
        ValueError: The channel does not serve the model.
    """
    url = channel.url
    if intent == "transcription":
        url = url.with_parameter("intent", intent)
    elif model is not None:
        name = channel.upstream_model(model)
        if name is None:
            raise ValueError(f"channel {channel.name!r} does not serve the model {model!r}")
        url = url.with_parameter(channel.model_parameter, name)
    return UpstreamRequest(
        tls=url.tls,
        host=url.host,
        port=url.port,
        host_header=url.host_header,
        resource=url.resource,
        headers=tuple(_headers(channel)),
    )


def _headers(channel: Channel) -> list[tuple[str, Secret | str]]:
    headers: list[tuple[str, Secret | str]] = [("User-Agent", "rt-proxy")]
    if channel.api_key is not None:
        match channel.auth:
            case "bearer":
                bearer = Secret(f"Bearer {channel.api_key.reveal()}")
                headers.append(("Authorization", bearer))
            case "api-key":
                headers.append(("api-key", channel.api_key))
            case "none":
                pass
    if channel.dialect is Dialect.BETA:
        headers.append(("OpenAI-Beta", "realtime=v1"))
    return headers
