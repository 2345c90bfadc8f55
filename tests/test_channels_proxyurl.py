"""The URL of an HTTP proxy: taken apart, or wrong in a way that is said without a secret."""

import base64
import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rt_proxy.channels.proxyurl import DIRECT, ProxyUrl, proxy_of, proxy_problem


@pytest.mark.parametrize(
    ("text", "tls", "host", "port"),
    [
        ("http://10.0.0.1:3128", False, "10.0.0.1", 3128),
        ("http://Proxy.Example.COM", False, "proxy.example.com", 80),
        ("https://proxy.example.com/", True, "proxy.example.com", 443),
        ("HTTP://[::1]:8080", False, "::1", 8080),
    ],
)
def test_place(text: str, tls: bool, host: str, port: int) -> None:
    """Scheme, host and port are read; the port is the scheme's own where none is given."""
    assert ProxyUrl.parse(text) == ProxyUrl(tls, host, port, None)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("user:password", b"user:password"),
        ("user", b"user:"),
        (":password", b":password"),
        ("us%40er:p%3Aa%2Fss%25", b"us@er:p:a/ss%"),
        ("user:pass:word", b"user:pass:word"),
        ("user@corp:secret", b"user@corp:secret"),
        ("%C3%A9:%E2%82%AC", "é:€".encode()),
        ("user:50%zz", b"user:50%zz"),
    ],
)
def test_credentials(written: str, shown: bytes) -> None:
    """User and password are percent-decoded, and shown in the Basic way."""
    proxy = ProxyUrl.parse(f"http://{written}@proxy.test:3128")

    assert (proxy.host, proxy.port) == ("proxy.test", 3128)
    assert proxy.authorization is not None
    assert proxy.authorization.reveal() == f"Basic {base64.b64encode(shown).decode()}"


def test_no_credentials() -> None:
    """An @ with nothing in front of it shows nothing."""
    assert ProxyUrl.parse("http://@proxy.test").authorization is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must start with http:// or https://"),
        ("10.0.0.1:3128", "must start with http:// or https://"),
        ("proxy.test", "must start with http:// or https://"),
        ("socks5://proxy.test", "must start with http:// or https://"),
        ("ws://proxy.test", "must start with http:// or https://"),
        ("http://", "has no host"),
        ("http:proxy.test", "has no host"),
        ("http://user:hush@", "has no host"),
        ("http://proxy.test:port", "has a malformed host or port"),
        ("http://proxy.test:65536", "has a malformed host or port"),
        ("http://[::1", "has a malformed host or port"),
        ("http://pro%78y", "has a malformed host name"),
        ("http://proxy.test:0", "has port 0, which nothing listens on"),
        ("http://user:hu/sh@proxy.test", "has a malformed host or port"),
        ("http://user:1/sh@proxy.test", "must end with the host or the port; "),
        ("http://proxy.test/path", "must end with the host or the port; "),
        ("http://proxy.test?hush", "must end with the host or the port; "),
        ("http://proxy.test#hush", "must not contain a fragment (#...)"),
        ("http://us%3Aer:hush@proxy.test", "has a user with a colon in it, "),
        ("http://user:hu%0Dsh@proxy.test", "has a control character in its user or password"),
        ("http://us er@proxy.test", "must be a URL of ASCII characters without spaces"),
        ("http://pröxy.test", "must be a URL of ASCII characters without spaces"),
        ("http://proxy.test\n", "must be a URL of ASCII characters without spaces"),
    ],
)
def test_wrong(text: str, why: str) -> None:
    """What is wrong is said."""
    with pytest.raises(ValueError, match=f"^{re.escape(why)}") as caught:
        ProxyUrl.parse(text)

    assert proxy_problem(text) == f"{caught.value}; or write 'direct' for no proxy"


def test_setting() -> None:
    """A channel's setting is a URL, or the word for none."""
    assert proxy_of(DIRECT) is None
    assert proxy_of("http://proxy.test") == ProxyUrl(False, "proxy.test", 80, None)
    assert proxy_problem(DIRECT) is None
    assert proxy_problem("http://proxy.test") is None


def test_repr_is_silent() -> None:
    """Credentials are not in the repr."""
    shown = repr(ProxyUrl.parse("http://user:hush@proxy.test"))

    assert "hush" not in shown
    assert base64.b64encode(b"user:hush").decode() not in shown


_NEAR = st.text(st.sampled_from("http s:/@[]%0aA.?#&=~é\n\\"), max_size=30)


@given(_NEAR | st.text() | _NEAR.map("http://{}".format) | _NEAR.map("https://u:p@{}".format))
@example("http://[")
@example("http://[v1.x]/")
@example("http://\u2100")
def test_any_text(text: str) -> None:
    """Whatever is written is a proxy or a problem, never another exception."""
    try:
        proxy = ProxyUrl.parse(text)
    except ValueError:
        return
    assert proxy.host
    assert 0 < proxy.port < 65_536


@given(st.binary(), st.binary())
def test_any_credentials(user: bytes, password: bytes) -> None:
    """What is percent-encoded comes out as it was, or is told without being repeated."""
    text = f"http://{quote(user, safe='')}:{quote(password, safe='')}@proxy.test"
    if b":" in user or any(byte < 32 or byte == 127 for byte in user + password):
        with pytest.raises(ValueError, match=r"^has a (user with a colon|control character)"):
            ProxyUrl.parse(text)
        return
    proxy = ProxyUrl.parse(text)
    assert proxy.authorization is not None
    shown = proxy.authorization.reveal().removeprefix("Basic ")
    assert base64.b64decode(shown) == user + b":" + password
