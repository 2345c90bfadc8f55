"""Reads the HTTP head that opens every connection, bounded in size.

A door of h11. The deadline is the caller's; a body is never read.
"""

import attrs
import h11
import trio

from rt_proxy.realtime.headbytes import is_illegal_head
from rt_proxy.realtime.hello import RequestHead
from rt_proxy.realtime.refusals import Refusal, bad_request, http_only

#: How a client of TLS begins (RFC 8446, 5.1: the record of a handshake).
_TLS_HANDSHAKE = 0x16


@attrs.frozen
class Opened:
    """A head, and what already came after it.

    Attributes:
        head: The request.
        rest: The bytes behind the head: a body, or frames of a hasty client.
    """

    head: RequestHead
    rest: bytes = attrs.field(repr=False)


async def read_head(stream: trio.abc.ReceiveStream, limit: int) -> Opened | Refusal | None:
    """Read one HTTP/1.x request head.

    At most one byte more than ``limit`` is ever taken from the stream.
    Cancelling is safe, but what was read is lost: the stream is then good
    for an answer and for nothing else.

    Args:
        stream: The client's; it is neither written nor closed here.
        limit: The largest head, in bytes, with its final empty line.

    Returns:
        The head; or the refusal of one that is too large or malformed; or
        None if the client left without a word.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    seen = bytearray()
    while True:
        try:
            data = await stream.receive_some(limit + 1 - len(seen))
        except trio.BrokenResourceError:
            return None
        if not data:
            # A client that closed only its sending side still reads our answer.
            return bad_request("The request head ended early.") if seen else None
        if not seen and data[0] == _TLS_HANDSHAKE:
            return bad_request(
                "The client speaks TLS (https, wss); this port does not (the setting listen.tls)."
            )
        seen += data
        if is_illegal_head(seen, len(seen) - len(data)):
            return _malformed()
        connection.receive_data(bytes(data))
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return _too_large(limit) if error.error_status_hint == 431 else _malformed()
        if isinstance(event, h11.Request):
            rest, _ = connection.trailing_data
            # h11 measures only what it could not parse yet.
            if len(seen) - len(rest) > limit:
                return _too_large(limit)
            return _opened(event, rest)


def _opened(request: h11.Request, rest: bytes) -> Opened | Refusal:
    version = request.http_version.decode("ascii")
    if not version.startswith("1."):
        return http_only(505, "http_version_not_supported", "Only HTTP/1.1 is spoken here.")
    head = RequestHead(
        request.method.decode("ascii"),
        request.target.decode("ascii"),
        tuple(request.headers),
        version,
    )
    return Opened(head, rest)


def _too_large(limit: int) -> Refusal:
    message = f"The request head is larger than {limit} bytes (the setting limits.head_bytes)."
    return http_only(431, "head_too_large", message)


def _malformed() -> Refusal:
    # h11's own words quote the line at fault, which may hold a credential.
    return bad_request(
        "The request head is not well-formed HTTP/1.1: look at the request line, for exactly one "
        "Host header, for control characters, and at Content-Length and Transfer-Encoding."
    )
