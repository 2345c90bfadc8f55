"""A channel: one configured upstream route, resolved and ready to be chosen.

Made of what an operator wrote and what the table of providers says; whether that is
right is checked in ``checks.py``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from rt_proxy.channels.checks import auth_of, problems, written_url
from rt_proxy.channels.providers import ProviderFacts, provider_facts
from rt_proxy.channels.urls import Url
from rt_proxy.errors import SettingsError
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import (
    Auth,
    ChannelSettings,
    CloseMeaning,
    KeySource,
    Provider,
    Secret,
    Settings,
    TlsSettings,
    TranscriptionUrl,
)

#: A dated version of an API in a URL.
_PREVIEW = re.compile(r"(?:^|&)api-version=20\d\d-")


@attrs.frozen
class Channel:
    """One upstream route.

    Attributes:
        name: The operator's name for it.
        provider: Whose endpoint it is; ``simulator`` is never dialled.
        dialect: The shape of the upstream's events; for clients of the other they are translated.
        models: The client's name of a model -> the upstream's; ``*`` stands for any other name.
        priority: Higher is tried first.
        weight: The share inside one priority, at least 1.
        first_event: Whether the upstream speaks first.
        fault: What a simulator channel does wrong.
        url: The Realtime endpoint, with all of its query that does not depend on the session.
        model_parameter: The query parameter that names the model; None: the URL names none.
        session_parameter: The query parameter that gets a new id for each session.
        transcription_url: What the URL of a transcription session names.
        auth: How the key is sent.
        api_keys: The provider's keys, used in turn; none only where ``auth`` is ``none``, or
            where they come from ``api_key_from``.
        api_key_from: Where a key that changes by itself comes from.
        max_sessions: Sessions at once; 0: no limit.
        transcription: Whether transcription sessions may go here.
        mcp: Whether it knows MCP tools.
        drop_fields: Fields of sessions and responses that the upstream would refuse.
        close_codes: What the upstream closes with, and what it means by it.
        extra_headers: Further headers of the upgrade request, by the operator.
        ca_file: The authorities that the upstream is verified by; None: the system's.
        client_cert: What the upstream verifies us by.
        proxy: The HTTP proxy on the way, ``direct``: none; None: as the environment says.
    """

    name: str
    provider: Provider
    dialect: Dialect
    models: Mapping[str, str]
    priority: int
    weight: int
    first_event: bool
    fault: str | None
    url: Url
    model_parameter: str | None
    session_parameter: str | None
    transcription_url: TranscriptionUrl
    auth: Auth
    api_keys: tuple[Secret, ...]
    api_key_from: KeySource | None
    max_sessions: int
    transcription: bool
    mcp: bool
    drop_fields: frozenset[str]
    close_codes: Mapping[int, CloseMeaning]
    extra_headers: Mapping[str, Secret]
    ca_file: Path | None
    client_cert: TlsSettings | None
    proxy: Secret | None

    def upstream_model(self, model: str) -> str | None:
        """Return the upstream's name of a client's model; None: it is not served here."""
        if model in self.models:
            name = self.models[model]
        elif "*" in self.models:
            name = self.models["*"]
        else:
            return None
        return model if name == "*" else name


def make_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return the channels of the settings, in their order.

    Raises:
        SettingsError: A channel is wrong; ``problems`` names everything that is.
    """
    wrong = [
        f"channels[{index}].{field}: {problem}"
        for index, channel in enumerate(settings.channels)
        for field, problem in problems(channel)
    ]
    if wrong:
        raise SettingsError("settings", wrong)
    return tuple(_make_channel(channel) for channel in settings.channels)


def _make_channel(channel: ChannelSettings) -> Channel:
    facts = provider_facts(channel)
    url = _endpoint(channel, facts)
    drop_fields = facts.refused_fields if channel.drop_fields is None else channel.drop_fields
    return Channel(
        name=channel.name,
        provider=channel.provider,
        dialect=_dialect(channel, facts, url),
        models=MappingProxyType(dict(channel.models)),
        priority=channel.priority,
        weight=channel.weight,
        first_event=_either(channel.first_event, facts.first_event),
        fault=channel.fault,
        url=url,
        model_parameter=facts.model_parameter,
        session_parameter=facts.session_parameter,
        transcription_url=facts.transcription_url,
        auth=auth_of(channel, facts),
        api_keys=_keys(channel),
        api_key_from=channel.api_key_from,
        max_sessions=channel.max_sessions,
        transcription=_either(channel.transcription, facts.transcription),
        mcp=_either(channel.mcp, facts.mcp),
        drop_fields=frozenset(drop_fields),
        close_codes=MappingProxyType(dict(facts.close_codes)),
        extra_headers=MappingProxyType(dict(channel.headers or {})),
        ca_file=channel.ca_file,
        client_cert=channel.client_cert,
        proxy=channel.proxy,
    )


def _either(written: bool | None, known: bool) -> bool:
    return known if written is None else written


def _keys(channel: ChannelSettings) -> tuple[Secret, ...]:
    return tuple(channel.api_keys or ()) if channel.api_key is None else (channel.api_key,)


def _dialect(channel: ChannelSettings, facts: ProviderFacts, url: Url) -> Dialect:
    """Return the upstream's dialect: as set, or as its URL and its provider say.

    Only previews have a dated ``api-version`` in their URL, and those speak Beta.
    """
    if channel.dialect is not None:
        return Dialect(channel.dialect)
    return Dialect.BETA if _PREVIEW.search(url.query) else facts.dialect


def _endpoint(channel: ChannelSettings, facts: ProviderFacts) -> Url:
    """Return the URL of the Realtime endpoint itself; ValueError: what is written is no URL."""
    url = Url.parse(written_url(channel, facts) or facts.default_url or "")
    end = next((end for end in facts.redundant if url.path.endswith(end)), "")
    url = attrs.evolve(url, path=url.path.removesuffix(end) + facts.path)
    version = facts.api_version if channel.api_version is None else channel.api_version
    parameters = (() if version is None else (("api-version", version),)) + facts.fixed_parameters
    for name, value in parameters:
        url = url.with_parameter(name, value)
    return url
