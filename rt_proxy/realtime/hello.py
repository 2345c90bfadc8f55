"""The hello: what a client asks for in the head of its WebSocket upgrade.

Reads the head into one frozen value, or says why it cannot.
Whether the credential is good and the model exists is decided elsewhere.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

import attrs

from rt_proxy.realtime.dialects import Dialect, dialect_of_head
from rt_proxy.realtime.refusals import Refusal, bad_request, http_only
from rt_proxy.settings import Secret

#: The addresses of the Realtime API -> whether clients built for Azure use it.
REALTIME_PATHS: Mapping[str, bool] = MappingProxyType(
    {
        "/v1/realtime": False,
        "/realtime": False,
        "/openai/v1/realtime": True,
        "/openai/realtime": True,
    }
)

_KEY_SUBPROTOCOL = b"openai-insecure-api-key."
_CREDENTIAL_HEADERS = (b"api-key", b"x-api-key")
_CREDENTIAL_QUERY_KEYS = ("token", "api-key", "api_key")

# A request target in absolute form (RFC 9112 3.2.2).
_ORIGIN = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)
# RFC 9110 5.6.2.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Base64 of 16 bytes (RFC 6455 4.2.1).
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


def _path_of(target: str) -> str:
    return _ORIGIN.sub("", target.partition("?")[0])


@attrs.frozen
class RequestHead:
    """The head of an HTTP request; its repr shows neither target nor headers.

    Attributes:
        method: Such as ``GET``, as sent.
        target: The request target with its query, as sent.
        headers: Names in lower case, and values without outer white space.
        http_version: ``1.1`` or ``1.0``.
    """

    method: str
    target: str = attrs.field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(repr=False)
    http_version: str = "1.1"

    @property
    def path(self) -> str:
        """The path of the target, as sent, without the query."""
        return _path_of(self.target)

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of each header of this (lower-case) name."""
        return [value for header, value in self.headers if header == name]

    def list_items(self, name: bytes) -> list[bytes]:
        """Return the items of a comma-separated header, over all its lines.

        Empty items are left out (RFC 9110 5.6.1.2).
        """
        items = (item.strip() for value in self.values(name) for item in value.split(b","))
        return [item for item in items if item]

    def query(self, name: str) -> list[bytes]:
        """Return the percent-decoded value of each query item of this name."""
        fields = (field.partition("=") for field in self.target.partition("?")[2].split("&"))
        return [
            unquote_to_bytes(value.replace("+", " ")) for key, _, value in fields if key == name
        ]


@attrs.frozen
class Hello:
    """What a client asks for, as it came: nothing of it is checked against anything.

    Attributes:
        path: One of ``REALTIME_PATHS``.
        azure: Whether this is an address for clients built for Azure.
        dialect: The shape of events that the client asks for; None: it does not say.
        model: The model named by ``model=`` or ``deployment=``; None: not named.
        intent: The ``intent=``; None: absent, ``""``: there, but empty.
        credential: What should let the client in; None: there is none.
        offers_realtime: Whether the subprotocol ``realtime`` was offered.
        websocket_key: The ``Sec-WebSocket-Key``, well formed.
    """

    path: str
    azure: bool
    dialect: Dialect | None
    model: str | None
    intent: str | None
    credential: Secret | None
    offers_realtime: bool
    websocket_key: str

    @classmethod
    def asking_for(cls, model: str | None, *, transcription: bool) -> "Hello":
        """Return the hello of a client that asks for this and shows nothing else of itself."""
        return cls(
            path="/v1/realtime",
            azure=False,
            dialect=None,
            model=model,
            intent="transcription" if transcription else None,
            credential=None,
            offers_realtime=False,
            websocket_key="",
        )

    @property
    def subprotocol(self) -> str | None:
        """What is echoed: ``realtime`` if it was offered, and never one that carries a key."""
        return "realtime" if self.offers_realtime else None


def is_realtime_path(target: str) -> bool:
    """Tell whether a request target is an address of the Realtime API."""
    return _realtime_path(target) in REALTIME_PATHS


def read_hello(head: RequestHead) -> Hello | Refusal:
    """Read an upgrade request on one of the Realtime addresses.

    Never raises, whatever the head holds, and no refusal quotes from it.

    Returns:
        The hello, or the refusal (HTTP form only) of a request that is no
        WebSocket upgrade as RFC 6455 4.2.1 has it, or whose model cannot be shown to anybody.
    """
    path = _realtime_path(head.target)
    if path not in REALTIME_PATHS:
        return unknown_url()
    refusal = _request_refusal(head) or _handshake_refusal(head)
    if refusal is not None:
        return refusal
    model = _model(head)
    if model is not None and not model.isprintable():
        return bad_request("The name of the model has characters that cannot be printed.")
    subprotocols = head.list_items(b"sec-websocket-protocol")
    intent = head.query("intent")
    return Hello(
        path=path,
        azure=REALTIME_PATHS[path],
        dialect=dialect_of_head(path, head.list_items(b"openai-beta"), subprotocols),
        model=model,
        intent=intent[0].decode("utf-8", "replace") if intent else None,
        credential=credential(head),
        offers_realtime=b"realtime" in subprotocols,
        websocket_key=head.values(b"sec-websocket-key")[0].decode("ascii"),
    )


def credential(head: RequestHead) -> Secret | None:
    """Return the credential of a request; the first that is not empty decides.

    In this order: ``Authorization: Bearer``, the headers ``api-key`` and
    ``x-api-key``, the subprotocol ``openai-insecure-api-key.``, and the query
    items ``token``, ``api-key`` and ``api_key``. A byte that is not ASCII is
    read as latin-1: such a credential is only ever wrong, never an error.
    """
    first = next((found for found in _credentials(head) if found), None)
    return None if first is None else Secret(first.decode("latin-1"))


def unknown_url() -> Refusal:
    """Refuse a path that is not served here."""
    message = "There is nothing at this path. The Realtime API is at /v1/realtime."
    return http_only(404, "unknown_url", message)


def _realtime_path(target: str) -> str:
    return _path_of(target).removesuffix("/")


def _credentials(head: RequestHead) -> Iterator[bytes]:
    for value in head.values(b"authorization"):
        scheme, *rest = value.strip().split(maxsplit=1) or [b""]
        if scheme.lower() == b"bearer":
            yield from rest
    for name in _CREDENTIAL_HEADERS:
        yield from head.values(name)
    for item in head.list_items(b"sec-websocket-protocol"):
        if item.startswith(_KEY_SUBPROTOCOL):
            yield item.removeprefix(_KEY_SUBPROTOCOL)
    for key in _CREDENTIAL_QUERY_KEYS:
        yield from head.query(key)


def _model(head: RequestHead) -> str | None:
    named = [value for value in head.query("model") + head.query("deployment") if value]
    return named[0].decode("utf-8", "replace") if named else None


def _request_refusal(head: RequestHead) -> Refusal | None:
    if head.method != "GET":
        message = "A Realtime session is opened by GET with a WebSocket upgrade."
        return http_only(405, "method_not_allowed", message, ("Allow", "GET"))
    if _has_body(head):
        return bad_request("A WebSocket upgrade must not have a body.")
    if not _asks_for_websocket(head):
        message = "This address speaks WebSocket only: connect with ws:// or wss://."
        return http_only(426, "upgrade_required", message, ("Upgrade", "websocket"))
    if len(head.values(b"host")) != 1:
        return bad_request("There must be exactly one Host header.")
    return None


def _has_body(head: RequestHead) -> bool:
    # Anything but zeros counts, so that what is no number at all is refused too.
    lengths = head.values(b"content-length")
    return bool(head.values(b"transfer-encoding")) or any(length.strip(b"0") for length in lengths)


def _asks_for_websocket(head: RequestHead) -> bool:
    # An Upgrade in an HTTP/1.0 request must be ignored (RFC 9110 7.8).
    protocols = (protocol.lower() for protocol in head.list_items(b"upgrade"))
    return head.http_version != "1.0" and b"websocket" in protocols


def _handshake_refusal(head: RequestHead) -> Refusal | None:
    if b"upgrade" not in (option.lower() for option in head.list_items(b"connection")):
        return bad_request("A WebSocket upgrade needs the header 'Connection: Upgrade'.")
    versions = head.values(b"sec-websocket-version")
    if not versions:
        return bad_request("A WebSocket upgrade needs the header 'Sec-WebSocket-Version: 13'.")
    if versions != [b"13"]:
        return http_only(
            426,
            "upgrade_required",
            "Only version 13 of the WebSocket protocol is spoken here.",
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
        )
    keys = head.values(b"sec-websocket-key")
    if len(keys) != 1 or not _WEBSOCKET_KEY.fullmatch(keys[0]):
        return bad_request("Sec-WebSocket-Key must be there once, as the base64 of 16 bytes.")
    if not all(map(_TOKEN.fullmatch, head.list_items(b"sec-websocket-protocol"))):
        return bad_request(
            "Each item of Sec-WebSocket-Protocol must be a token: "
            "letters, digits and !#$%&'*+-.^_`|~ only."
        )
    return None
