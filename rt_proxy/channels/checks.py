"""What can be wrong with a channel as an operator wrote it.

Each rule knows the provider by its row in the table. Nothing here reads a file, and no
text repeats a secret, or a value that may be one.
"""

import math
import re
from collections.abc import Iterator, Mapping

from rt_proxy.channels.providers import ProviderFacts, provider_facts
from rt_proxy.channels.proxyurl import proxy_problem
from rt_proxy.channels.urls import Url
from rt_proxy.settings import Auth, ChannelSettings, KeySource, Secret
from rt_proxy.tomlvalues import toml_key

#: A field and what is wrong with it.
_Problem = tuple[str, str]

_KEY_TEXT = re.compile(r"[\x21-\x7e]+")
#: RFC 9110, 5.5, without what only old servers take.
_FIELD_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
#: RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: A field of a session or a response, or one inside of it.
_FIELD_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
#: A path of a URL (RFC 3986, 3.3).
_PATH = re.compile(r"/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*(?<!/)")
_PARAMETER = re.compile(r"[A-Za-z0-9._~-]+")
#: RFC 6455, 7.4.2.
_CLOSE_CODES = (1000, 4999)
#: Which setting a query parameter comes from.
_SOURCES = {"api-version": "api_version", "model": "models", "deployment": "models"}
_API_KEY_SETTINGS = ("api_key", "api_keys", "api_key_from")

#: Headers that the handshake is made of (RFC 9110, 7.6.1; RFC 6455, 4.1), by lower-case names.
_OF_THE_HANDSHAKE = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Which header carries the key.
_KEY_HEADERS: Mapping[Auth, str] = {
    "bearer": "authorization",
    "basic": "authorization",
    "api-key": "api-key",
}


def problems(channel: ChannelSettings) -> list[_Problem]:
    """Return all that is wrong with a channel, each with the field at fault.

    What the texts name is the operator's to change; none repeats a secret.
    """
    facts = provider_facts(channel)
    return [
        *_url_problems(channel, facts),
        *_key_problems(channel, facts),
        *_model_problems(channel.models),
        *_header_problems(channel, auth_of(channel, facts)),
        *_number_problems(channel),
        *_other_problems(channel, facts),
    ]


def auth_of(channel: ChannelSettings, facts: ProviderFacts) -> Auth:
    """Return how a channel's key is sent; one that changes by itself is a token, for a bearer."""
    if channel.auth is not None:
        return channel.auth
    if channel.api_key_from is not None and facts.auth != "none":
        return "bearer"
    return facts.auth


def written_url(channel: ChannelSettings, facts: ProviderFacts) -> str | None:
    """Return the URL that an operator wrote for a channel, if any."""
    return channel.endpoint if facts.url_setting == "endpoint" else channel.base_url


def _url_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[_Problem]:
    needed = facts.url_setting
    for setting, text in (("base_url", channel.base_url), ("endpoint", channel.endpoint)):
        if setting == needed:
            if text is not None:
                for problem in _problems_of_url(text, facts):
                    yield setting, problem
            elif facts.default_url is None:
                yield setting, f"is required, such as {facts.example_url!r}"
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
        source = _SOURCES.get(name, "what each session is")
        yield f"must not have {name!r} in its query; it is made from {source}"


def _key_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[_Problem]:
    written = [name for name in _API_KEY_SETTINGS if getattr(channel, name) is not None]
    auth = auth_of(channel, facts)
    if not written and auth != "none":
        yield (
            "api_key",
            f"is required with auth {auth!r}; an upstream without a key has auth 'none'",
        )
    for further in written[1:]:
        yield further, f"cannot stand beside {written[0]}; a channel has one of them"
    if channel.api_key is not None:
        yield from _problems_of_key("api_key", channel.api_key)
    if channel.api_keys is not None:
        yield from _problems_of_keys(channel.api_keys)
    if channel.api_key_from is not None:
        yield from _problems_of_source(channel.api_key_from)


def _problems_of_key(field: str, key: Secret) -> Iterator[_Problem]:
    if not _KEY_TEXT.fullmatch(key.reveal()):
        yield field, "must be ASCII characters without spaces or line ends, and not empty"


def _problems_of_keys(keys: tuple[Secret, ...]) -> Iterator[_Problem]:
    if not keys:
        yield "api_keys", "names no key"
    first_of_key: dict[str, int] = {}
    for index, key in enumerate(keys):
        yield from _problems_of_key(f"api_keys[{index}]", key)
        first = first_of_key.setdefault(key.reveal(), index)
        if first != index:
            yield f"api_keys[{index}]", f"is the same key as api_keys[{first}]"


def _problems_of_source(source: KeySource) -> Iterator[_Problem]:
    if (source.command is None) == (source.file is None):
        yield "api_key_from", "must have either a command or a file"
    if source.command is not None:
        if not source.command or not source.command[0]:
            yield "api_key_from.command", "names no program"
        if any("\0" in argument for argument in source.command):
            yield "api_key_from.command", "must not have a null character"
    if not (math.isfinite(source.seconds) and source.seconds > 0):
        yield "api_key_from.seconds", "must be a number of seconds, more than 0"


def _model_problems(models: Mapping[str, str]) -> Iterator[_Problem]:
    if not models:
        yield "models", "names no model; '*' stands for any"
    for alias, name in models.items():
        if not alias or not name:
            yield "models", "has an empty name"
        elif name == "*" != alias:
            yield "models", f"maps {alias!r} to '*', which only '*' can be mapped to"


def _header_problems(channel: ChannelSettings, auth: Auth) -> Iterator[_Problem]:
    seen: set[str] = set()
    for name, value in (channel.headers or {}).items():
        lowered = name.lower()
        if not _TOKEN.fullmatch(name):
            yield "headers", "has a name with characters that no header can have"
            continue
        field = f"headers.{toml_key(name)}"
        if lowered in _OF_THE_HANDSHAKE or lowered.startswith("sec-websocket-"):
            yield field, "belongs to the handshake, which rt-proxy makes itself"
        elif lowered == _KEY_HEADERS.get(auth):
            yield field, f"is what auth {auth!r} sends the key in; set api_key or auth instead"
        elif lowered == "openai-beta":
            yield field, "is what dialect = 'beta' sends; set dialect instead"
        elif lowered in seen:
            yield field, "stands there twice, for the case of letters makes no difference"
        elif not _FIELD_VALUE.fullmatch(value.reveal()):
            yield field, "must be ASCII characters, not empty, without line ends or outer spaces"
        seen.add(lowered)


def _number_problems(channel: ChannelSettings) -> Iterator[_Problem]:
    if channel.weight < 1:
        yield (
            "weight",
            f"must be at least 1, not {channel.weight}; a lower priority makes a reserve",
        )
    if channel.max_sessions < 0:
        yield "max_sessions", "must not be negative; 0 is no limit"


def _other_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[_Problem]:
    if channel.api_version is not None:
        if not facts.takes_api_version:
            yield "api_version", f"has no meaning for provider {channel.provider!r}"
        elif not channel.api_version:
            yield "api_version", f"must not be empty; leave it out for {_without_version(facts)}"
    for index, name in enumerate(channel.drop_fields or ()):
        if not _FIELD_PATH.fullmatch(name):
            yield (
                f"drop_fields[{index}]",
                "must be the name of a field, such as 'tracing' or 'audio.input.noise_reduction'",
            )
    yield from _form_problems(channel, facts)
    if channel.proxy is not None:
        problem = proxy_problem(channel.proxy.reveal())
        if problem is not None:
            yield "proxy", problem
    if channel.provider != "simulator" and channel.fault is not None:
        yield (
            "fault",
            f"has no meaning for provider {channel.provider!r}; only a simulator has faults",
        )


def _form_problems(channel: ChannelSettings, facts: ProviderFacts) -> Iterator[_Problem]:
    """Find what is wrong with the form of the URL and the codes that differ from the provider's."""
    if channel.path and not _PATH.fullmatch(channel.path):
        yield "path", "must start with / and be percent-encoded, without a query and an end of /"
    taken = {"intent", "api-version", *(name for name, _ in facts.fixed_parameters)}
    for setting in ("model_parameter", "session_parameter"):
        name = getattr(channel, setting)
        if name and not _PARAMETER.fullmatch(name):
            yield setting, "must be the name of a query parameter, such as 'model'; '' is none"
        elif name in taken:
            yield setting, f"must not be {name!r}, which has a meaning of its own"
    if facts.model_parameter is not None and facts.model_parameter == facts.session_parameter:
        yield "session_parameter", "must not be the one that names the model"
    for code in channel.close_codes or ():
        if not (_CLOSE_CODES[0] <= code <= _CLOSE_CODES[1]):
            yield f"close_codes.{code}", "is no close code; these are 1000 to 4999"


def _without_version(facts: ProviderFacts) -> str:
    return "the GA form" if facts.api_version is None else f"{facts.api_version!r}"
