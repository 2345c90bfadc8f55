"""An operator's URL, taken apart and checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels.urls import Url


@pytest.mark.parametrize(
    ("text", "tls", "port"),
    [
        ("http://h/v1", False, 80),
        ("ws://h/v1", False, 80),
        ("https://h/v1", True, 443),
        ("WSS://H/v1", True, 443),
        ("ws://h:9000/v1", False, 9000),
        ("https://h:/v1", True, 443),
    ],
)
def test_schemes_and_ports(text: str, tls: bool, port: int) -> None:
    """All four schemes are taken, with their own port or any other."""
    assert Url(tls, "h", port, "/v1", "") == Url.parse(text)


@pytest.mark.parametrize(
    ("text", "host_header"),
    [
        ("https://h", "h"),
        ("https://h:443", "h"),
        ("https://h:80", "h:80"),
        ("http://h:443", "h:443"),
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("ws://[::1]", "[::1]"),
        ("ws://[::1]:9000", "[::1]:9000"),
    ],
)
def test_host_header(text: str, host_header: str) -> None:
    """Host names the port unless it is the scheme's own, and keeps an IPv6 address in brackets."""
    assert host_header == Url.parse(text).host_header


def test_ipv6_host_is_dialled_without_brackets() -> None:
    """The host of an IPv6 URL is the bare address."""
    assert Url.parse("wss://[::1]:9000/v1").host == "::1"


def test_trailing_slash_is_dropped() -> None:
    """The path never ends in a slash."""
    assert [Url.parse(t).path for t in ("ws://h/v1/", "ws://h/", "ws://h")] == ["/v1", "", ""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must start with"),
        ("h/v1", "must start with"),
        ("localhost:9000/v1", "must start with"),
        ("ftp://h", "must start with"),
        ("https:///v1", "no host"),
        ("https:h", "no host"),
        ("https://:443", "no host"),
        ("https://user@h", "user or password"),
        ("https://user:hunter2@h", "user or password"),
        ("https://h/v1#part", "fragment"),
        ("https://h/v1#", "fragment"),
        ("https://h:0", "port 0"),
        ("https://h:65536", "malformed"),
        ("https://h:port", "malformed"),
        ("https://[::1", "malformed"),
        ("https://[zz]", "malformed"),
        ("https://[fe80::1%25eth0]", "zone"),
        ("https://a,b", "malformed host"),
        ("https://h\n.example", "ASCII"),
        (" https://h", "ASCII"),
        ("https://bücher.example", "ASCII"),
    ],
)
def test_bad_urls(text: str, why: str) -> None:
    """What no upstream can have is refused with the reason, and without the text itself."""
    with pytest.raises(ValueError, match=why) as caught:
        Url.parse(text)

    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40) | st.text(max_size=40).map("https://".__add__))
def test_any_text(text: str) -> None:
    """Any text is a URL whose request target is one visible word, or a ValueError."""
    try:
        url = Url.parse(text)
    except ValueError:
        return
    target = url.with_parameter("model", text).resource
    assert target.startswith("/")
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target


def test_resource() -> None:
    """The request target is path and query; without a path it is a slash."""
    assert Url.parse("ws://h/v1/?a=b").resource == "/v1?a=b"
    assert Url.parse("ws://h/v1").resource == "/v1"
    assert Url.parse("ws://h?a=b").resource == "/?a=b"
    assert Url.parse("ws://h").resource == "/"


def test_with_parameter() -> None:
    """A parameter is percent-encoded and follows what is there."""
    url = Url.parse("ws://h/v1?a=b")

    assert url.with_parameter("model", "x/y&z ü").query == "a=b&model=x%2Fy%26z%20%C3%BC"
    assert Url.parse("ws://h").with_parameter("model", "\udc80").query == "model=%3F"


def test_query_names() -> None:
    """The names of parameters are found decoded, valued or not."""
    assert {"a", "model"} == Url.parse("ws://h?a&m%6fdel=1").query_names()


def test_repr_hides_the_query() -> None:
    """A key in an operator's query is not shown."""
    assert "hunter2" not in repr(Url.parse("ws://h/v1?key=hunter2"))
