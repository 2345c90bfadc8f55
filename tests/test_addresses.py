"""Facts about a client's address behind proxies, and a browser's origin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.listener.addresses import client_address, origin_allowed, parse_networks, place_of
from rt_proxy.realtime.hello import RequestHead

TRUSTED = parse_networks(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])


def forwarded(*lines: str) -> RequestHead:
    """Return a request with these X-Forwarded-For lines."""
    headers = tuple((b"x-forwarded-for", line.encode("latin-1")) for line in lines)
    return RequestHead("GET", "/v1/realtime", headers)


def address(*lines: str, peer: str | None = "127.0.0.1") -> str | None:
    """Return the client's address behind the trusted proxies."""
    return client_address(peer, forwarded(*lines), TRUSTED)


def test_peer_without_proxies() -> None:
    """Without trusted proxies the peer is the client, whatever the header says."""
    assert client_address("203.0.113.9", forwarded("1.2.3.4"), ()) == "203.0.113.9"


@pytest.mark.parametrize(
    ("whole", "place"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("no address", "no address"),
        (None, None),
    ],
)
def test_places(whole: str | None, place: str | None) -> None:
    """All addresses of one IPv6 network are one place, for one host may have all of them."""
    assert place_of(whole) == place


def test_untrusted_peer_is_not_believed() -> None:
    """A peer that is not trusted cannot name another address."""
    assert address("1.2.3.4", peer="203.0.113.9") == "203.0.113.9"


def test_trusted_peer_without_the_header() -> None:
    """A trusted peer that says nothing is the client itself."""
    assert address() == "127.0.0.1"
    assert address("") == "127.0.0.1"


def test_rightmost_untrusted_address() -> None:
    """The rightmost address that is not trusted counts; what is left of it may be invented."""
    assert address("1.2.3.4") == "1.2.3.4"
    assert address("6.6.6.6, 1.2.3.4, 10.0.0.1") == "1.2.3.4"
    assert address("6.6.6.6,1.2.3.4,10.1.1.1 , 10.0.0.1") == "1.2.3.4"


def test_repeated_header() -> None:
    """Several header lines count as one list."""
    assert address("6.6.6.6", "1.2.3.4, 10.0.0.2", "10.0.0.1") == "1.2.3.4"


def test_all_trusted() -> None:
    """Where every hop is trusted, the first one is the client."""
    assert address("10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("1.2.3.4:55", "1.2.3.4"),
        ("[2001:db8::1]:123", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:5", "1.2.3.4"),
        ("::1:55", "::1:55"),
    ],
)
def test_forms(entry: str, expected: str) -> None:
    """Ports and brackets are tolerated, and one address has one spelling."""
    assert address(entry) == expected


@pytest.mark.parametrize(
    "garbage",
    [
        "unknown",
        "_hidden",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.4:",
        "1.2.3.4:x",
        "[::1",
        "01.2.3.4",
        "fe80::1%eth0",
        "::1%\xff",
        "\xb2.1.1.1",
        '"1.2.3.4"',
        "for=1.2.3.4",
        "1.2.3.4 5.6.7.8",
    ],
)
def test_garbage(garbage: str) -> None:
    """An entry that is no address ends the walk; the hop that reported it is the client."""
    assert address(f"1.2.3.4, {garbage}") == "127.0.0.1"
    assert address(f"1.2.3.4, {garbage}, 10.0.0.7") == "10.0.0.7"


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
        ("somewhere", "somewhere"),
        (None, None),
    ],
)
def test_peers(peer: str | None, expected: str | None) -> None:
    """Mapped peers are told as IPv4; a peer that is no address is told as it is."""
    assert address("1.2.3.4", peer=peer) == expected


def test_mapped_peer_is_trusted() -> None:
    """A trusted IPv4 proxy is trusted through a dual-stack socket too."""
    assert address("1.2.3.4", peer="::ffff:10.0.0.1") == "1.2.3.4"


@given(st.lists(st.binary(max_size=30)), st.none() | st.text())
def test_never_raises(values: list[bytes], peer: str | None) -> None:
    """No header and no peer makes it raise."""
    head = RequestHead("GET", "/", tuple((b"x-forwarded-for", value) for value in values))
    client_address(peer, head, TRUSTED)
    client_address("10.0.0.1", head, TRUSTED)


def test_parse_networks() -> None:
    """Addresses and networks of both families are read."""
    assert [str(network) for network in TRUSTED] == ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"]


# Origins


def from_origin(*origins: bytes) -> RequestHead:
    """Return a request from a page with this origin."""
    return RequestHead("GET", "/v1/realtime", tuple((b"origin", origin) for origin in origins))


LISTED = ("https://app.example.com", "http://LOCALHOST:3000")


@pytest.mark.parametrize(
    "origin", [b"https://app.example.com", b"HTTPS://APP.example.COM", b"http://localhost:3000"]
)
def test_listed_origins(origin: bytes) -> None:
    """A listed origin may connect; case does not matter."""
    assert origin_allowed(from_origin(origin), LISTED)


@pytest.mark.parametrize(
    "origin",
    [
        b"http://app.example.com",
        b"https://app.example.com:444",
        b"https://app.example.com.evil.org",
        b"https://evil.org/https://app.example.com",
        b"https://app.example.com/",
        b"http://localhost",
        b"null",
        b"",
        b"\xff",
    ],
)
def test_other_origins(origin: bytes) -> None:
    """Scheme, host and port must all be equal, and null is an origin like any other."""
    assert not origin_allowed(from_origin(origin), LISTED)
    assert not origin_allowed(from_origin(origin), ())


def test_null_origin_if_listed() -> None:
    """The origin null is allowed where it is listed."""
    assert origin_allowed(from_origin(b"null"), ("null",))


def test_no_origin() -> None:
    """A request without Origin is no browser's, and allowed."""
    assert origin_allowed(from_origin(), ())


def test_any_origin() -> None:
    """Without a list any origin is allowed."""
    assert origin_allowed(from_origin(b"https://evil.org"), None)


def test_two_origins() -> None:
    """A second Origin header cannot smuggle in a listed one."""
    assert not origin_allowed(from_origin(b"https://app.example.com", b"https://evil.org"), LISTED)
