"""The one table of what providers differ in.

Whoever needs to know that Azure is different asks this table; a new provider is
a new row. No logic beyond finding the row.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import Auth, ChannelSettings


@attrs.frozen
class ProviderFacts:
    """How one provider's Realtime endpoint is reached.

    Attributes:
        url_setting: The setting that holds its URL; None: there is nothing to set.
        default_url: The URL where none is set; None: one must be set.
        path: What follows the path of that URL.
        redundant: Ends of that URL which ``path`` repeats, longest first; they are dropped.
        model_parameter: The query parameter that names the model.
        own_parameters: Query parameters which the proxy alone sets.
        auth: How the key is sent, unless the channel says otherwise.
        dialect: The shape of its events, unless the channel says otherwise.
    """

    url_setting: Literal["base_url", "endpoint"] | None
    default_url: str | None
    path: str
    auth: Auth
    dialect: Dialect = Dialect.GA
    redundant: tuple[str, ...] = ()
    model_parameter: str = "model"
    own_parameters: tuple[str, ...] = ("model", "intent")


_AZURE = ProviderFacts(
    url_setting="endpoint",
    default_url=None,
    path="/openai/v1/realtime",
    redundant=("/openai/v1/realtime", "/openai/realtime", "/openai/v1", "/openai"),
    auth="api-key",
    own_parameters=("model", "deployment", "intent", "api-version"),
)

#: Source: the API reference of OpenAI; "Use the GPT Realtime API" of Azure OpenAI.
PROVIDERS: Mapping[str, ProviderFacts] = MappingProxyType(
    {
        "openai": ProviderFacts(
            url_setting="base_url",
            default_url="https://api.openai.com/v1",
            path="/realtime",
            redundant=("/realtime",),
            auth="bearer",
        ),
        "azure": _AZURE,
        "azure preview": attrs.evolve(
            _AZURE,
            path="/openai/realtime",
            model_parameter="deployment",
            dialect=Dialect.BETA,
        ),
        "compatible": ProviderFacts(
            url_setting="base_url",
            default_url=None,
            path="/realtime",
            redundant=("/realtime",),
            auth="bearer",
        ),
        # Never dialled: the URL only fills the handshake that is held in memory.
        "simulator": ProviderFacts(
            url_setting=None,
            default_url="ws://simulator/v1",
            path="/realtime",
            auth="none",
        ),
    }
)


def provider_facts(channel: ChannelSettings) -> ProviderFacts:
    """Return the row of a channel; with ``api_version`` Azure has its preview form."""
    if channel.provider == "azure" and channel.api_version is not None:
        return PROVIDERS["azure preview"]
    return PROVIDERS[channel.provider]
