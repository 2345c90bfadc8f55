"""An HTTP proxy's URL, taken apart and checked.

Text in, a value or a clear ``ValueError`` out; no message repeats the text, for it may hold
a password.
"""

import base64
import re
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

import attrs

from rt_proxy.channels.urls import Url
from rt_proxy.settings import Secret

#: What an operator writes for no proxy at all, whatever the environment says.
DIRECT = "direct"

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@attrs.frozen
class ProxyUrl:
    """Where an HTTP proxy listens, and what it is shown.

    Attributes:
        tls: Whether the proxy itself is spoken to by TLS.
        host: A name or an address, an IPv6 address without its brackets.
        port: A TCP port.
        authorization: The value of ``Proxy-Authorization``; None: it asks for none.
    """

    tls: bool
    host: str
    port: int
    authorization: Secret | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a URL such as ``http://user:password@10.0.0.1:3128`` apart.

        User and password are percent-decoded.

        Raises:
            ValueError: It is no URL of an HTTP proxy; the text says why.
        """
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError("must be a URL of ASCII characters without spaces")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("has a malformed host or port") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError("must start with http:// or https://")
        user_and_password, _, place = parts.netloc.rpartition("@")
        url = Url.parse(urlunsplit(parts._replace(netloc=place)))
        if url.path or url.query:
            raise ValueError("must end with the host or the port; no path or query follows")
        return cls(url.tls, url.host, url.port, _basic(user_and_password))


def proxy_of(text: str) -> ProxyUrl | None:
    """Return the proxy of a channel's setting; None: ``direct``.

    Raises:
        ValueError: It is neither; the text says why.
    """
    return None if text == DIRECT else ProxyUrl.parse(text)


def proxy_problem(text: str) -> str | None:
    """Return what is wrong with a channel's ``proxy``; None: nothing."""
    try:
        proxy_of(text)
    except ValueError as error:
        return f"{error}; or write {DIRECT!r} for no proxy"
    return None


def _basic(user_and_password: str) -> Secret | None:
    """Return Basic credentials (RFC 7617, section 2)."""
    if not user_and_password:
        return None
    user, _, password = map(unquote_to_bytes, user_and_password.partition(":"))
    if b":" in user:
        raise ValueError("has a user with a colon in it, which no proxy can tell from the password")
    credentials = user + b":" + password
    if _CONTROL.search(credentials):
        raise ValueError("has a control character in its user or password")
    return Secret(f"Basic {base64.b64encode(credentials).decode('ascii')}")
