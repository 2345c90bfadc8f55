"""A channel: one configured upstream route, resolved and ready to be chosen.

Checks what an operator wrote about a channel, and makes the value from it.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs

from rt_proxy.channels.providers import ProviderFacts, provider_facts
from rt_proxy.channels.urls import Url
from rt_proxy.errors import SettingsError
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import Auth, ChannelSettings, Provider, Secret, Settings

_EXAMPLE_URL = {
    "base_url": "wss://voice.example.com/v1",
    "endpoint": "https://my-resource.openai.azure.com",
}
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")


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
        model_parameter: The query parameter that names the model.
        auth: How the key is sent.
        api_key: The provider's key; None only where ``auth`` is ``none``.
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
    model_parameter: str
    auth: Auth
    api_key: Secret | None

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


def problems(channel: ChannelSettings) -> list[tuple[str, str]]:
    """Return all that is wrong with a channel, each with the field at fault.

    What the texts name is the operator's to change; none repeats a secret.
    """
    facts = provider_facts(channel)
    return [
        *_url_problems(channel, facts),
        *_key_problems(channel, facts),
        *_model_problems(channel.models),
        *_other_problems(channel),
    ]


def _make_channel(channel: ChannelSettings) -> Channel:
    facts = provider_facts(channel)
    url = _endpoint(channel, facts)
    return Channel(
        name=channel.name,
        provider=channel.provider,
        dialect=_dialect(channel, facts, url),
        models=MappingProxyType(dict(channel.models)),
        priority=channel.priority,
        weight=channel.weight,
        first_event=channel.first_event,
        fault=channel.fault,
        url=url,
        model_parameter=facts.model_parameter,
        auth=channel.auth or facts.auth,
        api_key=channel.api_key,
    )


def _dialect(channel: ChannelSettings, facts: ProviderFacts, url: Url) -> Dialect:
    """Return the upstream's dialect: as set, or as its URL and its provider say.

    Only previews have a dated ``api-version`` in their URL, and those speak Beta.
    """
    if channel.dialect is not None:
        return Dialect(channel.dialect)
    return Dialect.BETA if "api-version" in url.query_names() else facts.dialect


def _endpoint(channel: ChannelSettings, facts: ProviderFacts) -> Url:
    """Return the URL of the Realtime endpoint itself; ValueError: what is written is no URL."""
    url = Url.parse(_written_url(channel, facts) or facts.default_url or "")
    end = next((end for end in facts.redundant if url.path.endswith(end)), "")
    endpoint = attrs.evolve(url, path=url.path.removesuffix(end) + facts.path)
    if channel.api_version is None:
        return endpoint
    return endpoint.with_parameter("api-version", channel.api_version)


def _written_url(channel: ChannelSettings, facts: ProviderFacts) -> str | None:
    return channel.endpoint if facts.url_setting == "endpoint" else channel.base_url


def _url_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[tuple[str, str]]:
    needed = facts.url_setting
    for setting, text in (("base_url", channel.base_url), ("endpoint", channel.endpoint)):
        if setting == needed:
            if text is not None:
                for problem in _problems_of_url(text, facts):
                    yield setting, problem
            elif facts.default_url is None:
                yield setting, f"is required, such as {_EXAMPLE_URL[setting]!r}"
        elif text is not None:
            instead = f"; set {needed} instead" if needed else ""
            yield setting, f"has no meaning for provider {channel.provider!r}{instead}"


def _problems_of_url(text: str, facts: ProviderFacts) -> Iterator[str]:
    try:
        url = Url.parse(text)
    except ValueError as error:
        yield str(error)
        return
    for name in sorted(url.query_names().intersection(facts.own_parameters)):
        source = "api_version" if name == "api-version" else "models"
        yield f"must not have {name!r} in its query; it is made from {source}"


def _key_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[tuple[str, str]]:
    auth = channel.auth or facts.auth
    if channel.api_key is None:
        if auth != "none":
            yield (
                "api_key",
                f"is required with auth {auth!r}; an upstream without a key has auth 'none'",
            )
    elif not _HEADER_TEXT.fullmatch(channel.api_key.reveal()):
        yield "api_key", "must be ASCII characters without spaces or line ends, and not empty"


def _model_problems(models: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not models:
        yield "models", "names no model; '*' stands for any"
    for alias, name in models.items():
        if not alias or not name:
            yield "models", "has an empty name"
        elif name == "*" != alias:
            yield "models", f"maps {alias!r} to '*', which only '*' can be mapped to"


def _other_problems(channel: ChannelSettings) -> Iterator[tuple[str, str]]:
    if channel.weight < 1:
        yield (
            "weight",
            f"must be at least 1, not {channel.weight}; a lower priority makes a reserve",
        )
    if channel.api_version is not None:
        if channel.provider != "azure":
            yield "api_version", f"has no meaning for provider {channel.provider!r}"
        elif not channel.api_version:
            yield "api_version", "must not be empty; leave it out for the GA form"
    if channel.provider != "simulator" and channel.fault is not None:
        yield (
            "fault",
            f"has no meaning for provider {channel.provider!r}; only a simulator has faults",
        )
