"""The one table of what providers differ in.

Whoever needs to know that Azure is different asks this table; a new provider is
a new row, and each column can be set otherwise for a channel. No logic beyond
finding the row and what is set. ``docs/providers.md`` tells operators the same,
and what is not known.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import Auth, ChannelSettings, CloseMeaning, TranscriptionUrl


@attrs.frozen
class ProviderFacts:
    """How one provider's Realtime endpoint is reached, and what it is like.

    Attributes:
        url_setting: The setting that holds its URL; None: there is nothing to set.
        default_url: The URL where none is set; None: one must be set.
        example_url: What such a URL looks like.
        path: What follows the path of that URL.
        auth: How the key is sent, unless the channel says otherwise.
        dialect: The shape of its events, unless the channel says otherwise.
        redundant: Ends of that URL which ``path`` repeats, longest first; they are dropped.
        model_parameter: The query parameter that names the model; None: the URL names none.
        session_parameter: The query parameter that gets an id of ours, new for each session.
        fixed_parameters: Query parameters that are always the same.
        api_version: The ``api-version`` where none is set; None: then there is none.
        own_parameters: Query parameters which the proxy alone sets.
        transcription: Whether it is known to take sessions with ``intent=transcription``.
        transcription_url: How the URL of such a session names what it is for.
        mcp: Whether it may know MCP tools; False: it is known that it does not.
        refused_fields: Fields of sessions and responses that are left out, as it does not
            know them; paths below ``session`` and ``response``.
        first_event: Whether it speaks first.
        close_codes: What it closes with, beyond what RFC 6455 says, and what it means by it.
    """

    url_setting: Literal["base_url", "endpoint"] | None
    default_url: str | None
    path: str
    auth: Auth
    example_url: str = ""
    dialect: Dialect = Dialect.GA
    redundant: tuple[str, ...] = ()
    model_parameter: str | None = "model"
    session_parameter: str | None = None
    fixed_parameters: tuple[tuple[str, str], ...] = ()
    api_version: str | None = None
    own_parameters: tuple[str, ...] = ("model", "intent")
    transcription: bool = True
    transcription_url: TranscriptionUrl = "intent"
    mcp: bool = True
    refused_fields: tuple[str, ...] = ()
    first_event: bool = True
    close_codes: Mapping[int, CloseMeaning] = MappingProxyType({})

    @property
    def takes_api_version(self) -> bool:
        """Whether its URLs have a version of the API."""
        return "api-version" in self.own_parameters


#: Any server that speaks the protocol. Nothing is known of it, so it is asked for everything:
#: it may be a gateway with OpenAI behind it.
_COMPATIBLE = ProviderFacts(
    url_setting="base_url",
    default_url=None,
    example_url="wss://voice.example.com/v1",
    path="/realtime",
    redundant=("/realtime",),
    auth="bearer",
)

#: A provider with models and an account of its own. Clients made for OpenAI send ``tracing``
#: (the agents SDKs by default), which names a service that only OpenAI has.
_OTHER = attrs.evolve(_COMPATIBLE, transcription=False, refused_fields=("tracing",))

#: Source: "Use the GPT Realtime API" of Azure OpenAI, and its page on troubleshooting:
#: ``api-version`` in a URL of the GA form is answered with 401.
_AZURE = ProviderFacts(
    url_setting="endpoint",
    default_url=None,
    example_url="https://my-resource.openai.azure.com",
    path="/openai/v1/realtime",
    redundant=("/openai/v1/realtime", "/openai/realtime", "/openai/v1", "/openai"),
    auth="api-key",
    own_parameters=("model", "deployment", "intent", "api-version"),
)

PROVIDERS: Mapping[str, ProviderFacts] = MappingProxyType(
    {
        # Source: the API reference of OpenAI; its close codes as its clients tell of them.
        "openai": attrs.evolve(
            _COMPATIBLE,
            default_url="https://api.openai.com/v1",
            close_codes=MappingProxyType(
                {1001: "age", 1013: "load", 3000: "key", 4000: "request", 4004: "model"}
            ),
        ),
        "azure": _AZURE,
        # Transcription as in older samples of Azure; the deployment is of the realtime model.
        "azure preview": attrs.evolve(
            _AZURE,
            path="/openai/realtime",
            model_parameter="deployment",
            dialect=Dialect.BETA,
            transcription_url="model and intent",
        ),
        # Source: the Voice Live API of Azure; its first version that is no preview.
        "azure-voice-live": attrs.evolve(
            _AZURE,
            example_url="https://my-resource.services.ai.azure.com",
            path="/voice-live/realtime",
            redundant=("/voice-live/realtime", "/voice-live"),
            api_version="2025-10-01",
            own_parameters=("model", "intent", "api-version"),
            dialect=Dialect.BETA,
            transcription=False,
            refused_fields=("tracing",),
        ),
        # Source: Qwen-Omni-Realtime in the documentation of Alibaba Cloud Model Studio.
        "dashscope": attrs.evolve(
            _OTHER,
            default_url="wss://dashscope.aliyuncs.com/api-ws/v1",
            dialect=Dialect.BETA,
        ),
        # Source: the plugins of LiveKit and Pipecat for xAI, and its own documentation.
        "xai": attrs.evolve(_OTHER, default_url="https://api.x.ai/v1"),
        # Source: the SDK of Zhipu; that the URL names the model, some of its clients.
        "glm": attrs.evolve(
            _OTHER,
            default_url="wss://open.bigmodel.cn/api/paas/v4",
            dialect=Dialect.BETA,
        ),
        # Source: the documentation of Inworld. A session gets its model in ``session.model``.
        "inworld": attrs.evolve(
            _OTHER,
            default_url="wss://api.inworld.ai/api/v1",
            path="/realtime/session",
            redundant=("/realtime/session", "/realtime"),
            auth="basic",
            model_parameter=None,
            session_parameter="key",
            fixed_parameters=(("protocol", "realtime"),),
            own_parameters=("intent", "key", "protocol"),
        ),
        # Source: the documentation of Speaches. In a transcription session the model of the
        # URL is the one that transcribes, which OpenAI refuses.
        "speaches": attrs.evolve(
            _OTHER,
            example_url="ws://127.0.0.1:8000/v1",
            dialect=Dialect.BETA,
            transcription=True,
            transcription_url="model and intent",
        ),
        # Source: the documentation of LocalAI.
        "localai": attrs.evolve(_OTHER, example_url="ws://127.0.0.1:8080/v1"),
        # A gateway: what it takes depends on what stands behind it.
        "litellm": attrs.evolve(
            _COMPATIBLE, example_url="http://127.0.0.1:4000/v1", transcription=False
        ),
        # Source: the documentation of vLLM. It only transcribes, by events of its own, with
        # the one model that it was started with.
        "vllm": attrs.evolve(
            _OTHER,
            example_url="ws://127.0.0.1:8000/v1",
            model_parameter=None,
            own_parameters=(),
            transcription_url="neither",
            mcp=False,
        ),
        "compatible": _COMPATIBLE,
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
    """Return the row of a channel, with what the channel sets otherwise about its URL and codes.

    With ``api_version`` Azure has its preview form.
    """
    is_preview = channel.provider == "azure" and channel.api_version is not None
    facts = PROVIDERS["azure preview" if is_preview else channel.provider]
    changes: dict[str, Any] = {
        name: getattr(channel, name) or None
        for name in ("model_parameter", "session_parameter")
        if getattr(channel, name) is not None
    }
    parameters = {value for value in changes.values() if value} - {*facts.own_parameters}
    if parameters:
        changes["own_parameters"] = (*facts.own_parameters, *sorted(parameters))
    if channel.path is not None:
        changes |= {"path": channel.path, "redundant": (channel.path,)}
    if channel.transcription_url is not None:
        changes["transcription_url"] = channel.transcription_url
    if channel.close_codes is not None:
        changes["close_codes"] = channel.close_codes
    return attrs.evolve(facts, **changes) if changes else facts
