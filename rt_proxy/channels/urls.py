"""An operator's URL, taken apart and checked.

Text in, a value or a clear ``ValueError`` out; no message repeats the URL, for it
may hold a password.
"""

import ipaddress
import re
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

import attrs

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HOST_NAME = re.compile(r"[a-z0-9._-]+")


@attrs.frozen
class Url:
    """Where an upstream listens.

    Attributes:
        tls: Whether the connection is encrypted.
        host: A name or an address, an IPv6 address without its brackets.
        port: A TCP port.
        path: Empty, or begins with ``/`` and does not end with it.
        query: Without its ``?``; kept out of the repr, for some upstreams take a key there.
    """

    tls: bool
    host: str
    port: int
    path: str
    query: str = attrs.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a URL apart.

        Raises:
            ValueError: It is no URL that an upstream can have; the text says why.
        """
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ValueError("must be a URL of ASCII characters without spaces")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("has a malformed host or port") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("must start with https://, http://, wss:// or ws://")
        if "@" in parts.netloc:
            raise ValueError("must not contain a user or password; use api_key")
        if "#" in text:
            raise ValueError("must not contain a fragment (#...)")
        if port == 0:
            raise ValueError("has port 0, which nothing listens on")
        return cls(
            tls=parts.scheme in ("https", "wss"),
            host=_host(parts),
            port=port or _DEFAULT_PORTS[parts.scheme],
            path=parts.path.rstrip("/"),
            query=parts.query,
        )

    @property
    def host_header(self) -> str:
        """The ``Host`` header: no port where it is the scheme's own (RFC 9110, 4.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def resource(self) -> str:
        """The request target: path and query (RFC 9112, 3.2.1)."""
        return f"{self.path or '/'}?{self.query}" if self.query else self.path or "/"

    def with_parameter(self, name: str, value: str) -> Self:
        """Return the URL with one more query parameter, percent-encoded."""
        item = f"{name}={quote(value, safe='', errors='replace')}"
        return attrs.evolve(self, query=f"{self.query}&{item}" if self.query else item)

    def query_names(self) -> set[str]:
        """Return the names of the parameters in the query."""
        return {name for name, _ in parse_qsl(self.query, keep_blank_values=True)}


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host:
        raise ValueError("has no host")
    if "[" in parts.netloc:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("has a malformed IPv6 address") from None
        if address.scope_id is not None:
            raise ValueError("must not contain an IPv6 zone (%...)")
    elif not _HOST_NAME.fullmatch(host):
        raise ValueError("has a malformed host name")
    return host
