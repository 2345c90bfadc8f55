"""Decides whether an upstream is reached through an HTTP proxy, and through which.

Pure: the environment comes in as a mapping. What an operator set for the channel goes first;
then the variables that other programs know count as well.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.channels.proxyurl import DIRECT, ProxyUrl, proxy_of
from rt_proxy.listener.addresses import Network, parse_address

#: An entry of NO_PROXY with its port; an IPv6 address with one is in brackets.
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>[0-9]{1,5})")


def proxy_for(
    channel: Channel, request: UpstreamRequest, environ: Mapping[str, str]
) -> ProxyUrl | None:
    """Return the proxy on the way to an upstream; None: it is reached directly.

    Args:
        channel: Its ``proxy`` goes before the environment, and before ``NO_PROXY``.
        request: Where it goes. This machine is never reached through a proxy of the environment.
        environ: Of ``HTTPS_PROXY`` for TLS, ``HTTP_PROXY`` for none, ``ALL_PROXY`` for either,
            and ``NO_PROXY``, the first with a value counts; lower case goes before upper case.

    Raises:
        ValueError: What is set is no HTTP proxy; the text says what, without repeating it.
    """
    if channel.proxy is not None:
        try:
            return proxy_of(channel.proxy.reveal())
        except ValueError as error:
            raise ValueError(f"the setting {error}") from None
    name = _first_set(environ, "https_proxy" if request.tls else "http_proxy", "all_proxy")
    if name is None or _is_loopback(request.host) or _is_exempt(request, environ):
        return None
    text = environ[name].strip()
    try:
        return ProxyUrl.parse(text if "://" in text else f"http://{text}")
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def stays_here(channel: Channel, request: UpstreamRequest) -> bool:
    """Tell whether what is sent to an upstream cannot be seen outside of this machine."""
    direct = channel.proxy is None or channel.proxy.reveal() == DIRECT
    return direct and _is_loopback(request.host)


def _first_set(environ: Mapping[str, str], *names: str) -> str | None:
    """Return the first variable that has a value, in its spelling."""
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next((name for name in spellings if environ.get(name, "").strip()), None)


def _is_loopback(host: str) -> bool:
    address = parse_address(host)
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def _is_exempt(request: UpstreamRequest, environ: Mapping[str, str]) -> bool:
    name = _first_set(environ, "no_proxy")
    entries = [] if name is None else re.split(r"[,\s]+", environ[name])
    return any(_covers(entry, request.host, request.port) for entry in entries)


def _covers(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of ``NO_PROXY`` is about a host and port."""
    if entry == "*":
        return True
    if with_port := _WITH_PORT.fullmatch(entry):
        if int(with_port["port"]) != port:
            return False
        entry = with_port["host"]
    address = parse_address(host)
    if address is not None:
        return any(address in network for network in _networks(entry))
    domain = entry.lower().removeprefix("*").removeprefix(".").rstrip(".")
    name = host.lower().rstrip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _networks(entry: str) -> Iterator[Network]:
    """Yield the network that an entry is: of one address, or in the form ``10.0.0.0/8``."""
    text = entry.strip("[]")
    try:
        yield ipaddress.ip_network(parse_address(text) or text, strict=False)
    except ValueError:
        return
