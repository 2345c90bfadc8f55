"""Where a client comes from: its address behind trusted proxies, and its browser's origin.

Pure decisions over a request head; what follows from them is decided elsewhere.
"""

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from rt_proxy.realtime.hello import RequestHead

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: The part of an IPv6 address that its host chooses (RFC 4291, 2.5.1).
_HOST_BITS = 64
# 1.2.3.4:55, [::1]:55 and [::1]; a bare IPv6 address has colons, but no brackets.
_WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and networks, such as ``127.0.0.1`` and ``10.0.0.0/8``.

    Raises:
        ValueError: One of them is neither.
    """
    return tuple(map(ip_network, texts))


def client_address(peer: str | None, head: RequestHead, trusted: Sequence[Network]) -> str | None:
    """Return the address of the client itself, behind proxies that are trusted.

    Walks ``X-Forwarded-For`` from its right end, which the nearest proxy
    wrote, and stops at the first address that is not trusted, since all to
    the left of it may be invented. An entry that is no address is not
    believed: the hop that reported it is then the client.

    Args:
        peer: The address of the other end of the connection; None: it has none.
        head: The request.
        trusted: Whose ``X-Forwarded-For`` is believed.

    Returns:
        The address, IPv4 where it is IPv4 mapped into IPv6; None if there is none.
    """
    client = None if peer is None else parse_address(peer)
    if client is None:
        return peer
    for entry in reversed(head.list_items(b"x-forwarded-for")):
        if not _is_trusted(client, trusted):
            break
        hop = _parse_hop(entry.decode("latin-1"))
        if hop is None:
            break
        client = hop
    return str(client)


def place_of(address: str | None) -> str | None:
    """Return what shares the limits of an address: it alone, or with IPv6 its network.

    A site has at least a whole /64 (RFC 6177), and its hosts choose their addresses in it freely.
    """
    parsed = None if address is None else parse_address(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(IPv6Network((int(parsed) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))


def origin_allowed(head: RequestHead, origins: tuple[str, ...] | None) -> bool:
    """Tell whether the page that a browser is on may connect (RFC 6454 7).

    Args:
        head: The request; without ``Origin`` it is not a browser's, and allowed.
        origins: ``scheme://host`` or ``scheme://host:port`` as browsers write
            them, in any case; ``null`` only if listed; None: any.
    """
    if origins is None:
        return True
    allowed = {origin.lower() for origin in origins}
    return all(value.decode("latin-1").lower() in allowed for value in head.values(b"origin"))


def _parse_hop(text: str) -> Address | None:
    # A zone is only ever meaningful on the host itself, and may hold any characters.
    if "%" in text:
        return None
    match = _WITH_PORT.fullmatch(text)
    return parse_address(text if match is None else match[1] or match[2])


def parse_address(text: str) -> Address | None:
    """Return an address, IPv4 where it is IPv4 mapped into IPv6; None: the text is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
