"""Asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).

What the proxy does is a value; none of its own words come out of here.
"""

import h11
import trio

from rt_proxy.channels.proxyurl import ProxyUrl
from rt_proxy.realtime.headbytes import is_illegal_head

#: How long the head of the answer may be, with all that goes before it.
_HEAD_BYTES = 16_384


async def ask_for_tunnel(
    stream: trio.abc.Stream, proxy: ProxyUrl, host: str, port: int
) -> str | None:
    """Ask for a tunnel to a host and port.

    Without a deadline of its own: the caller sets it. Cancelling leaves the stream of no use.

    Args:
        stream: To the proxy; it is not closed here.
        proxy: What it is shown.
        host: A name, which the proxy resolves, or an address.
        port: A TCP port.

    Returns:
        None if the stream now leads to the host; else why not, in a few words.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    request = connection.send(_request(proxy, f"[{host}]" if ":" in host else host, port)) or b""
    connection.send(h11.EndOfMessage())
    try:
        await stream.send_all(request)
        return await _answer(stream, connection)
    except trio.BrokenResourceError:
        return "hung up"


def _request(proxy: ProxyUrl, host: str, port: int) -> h11.Request:
    target = f"{host}:{port}"
    headers = [("Host", target), ("User-Agent", "rt-proxy")]
    if proxy.authorization is not None:
        headers.append(("Proxy-Authorization", proxy.authorization.reveal()))
    return h11.Request(method="CONNECT", target=target, headers=headers)


async def _answer(stream: trio.abc.ReceiveStream, connection: h11.Connection) -> str | None:
    """Read the answer, and not a byte more than its head may have."""
    seen = bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return "its answer is not HTTP"
        if isinstance(event, h11.Response):
            return _verdict(event, connection)
        if event is not h11.NEED_DATA:  # a 1xx, which announces the answer
            continue
        if len(seen) == _HEAD_BYTES:
            return f"its answer is longer than {_HEAD_BYTES} bytes"
        data = await stream.receive_some(_HEAD_BYTES - len(seen))
        if not data:
            return "hung up"
        seen += data
        if is_illegal_head(seen, len(seen) - len(data)):
            return "its answer is not HTTP"
        connection.receive_data(bytes(data))


def _verdict(answer: h11.Response, connection: h11.Connection) -> str | None:
    if not 200 <= answer.status_code < 300:
        return f"HTTP {answer.status_code}"
    early, _ = connection.trailing_data
    # A WebSocket's server speaks only when it is spoken to, with TLS and without.
    return "data came through it before anything was sent" if early else None
