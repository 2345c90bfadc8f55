"""Sends a plain HTTP answer so that the client surely gets it, and closes.

What the answer says is none of its business (see ``pages.py``).
"""

import contextlib

import trio

_DISCARD_BYTES = 65_536


async def send_answer(stream: trio.abc.Stream, data: bytes, linger: float) -> None:
    """Send an answer whole, then close once the client has left or time is up.

    A stream that is closed while the client still sends is reset, and the
    reset destroys what the client has not read yet (RFC 9112 9.6). So what
    comes is read and thrown away until the client closes. Where the stream
    can close one direction alone (TLS cannot), ours is closed right after
    the answer, so that a client that reads to the end need not wait.

    Never raises because of the client. Cancelling is safe: the stream is
    closed at once, and the answer may be cut.

    Args:
        stream: Closed when this returns, however it does.
        data: The whole answer, small enough for the sockets' own buffers: a
            client that only sends does not read it until we have read on.
        linger: Seconds, over 0, for the sending and the waiting together.
    """
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        try:
            with trio.move_on_after(linger):
                await stream.send_all(data)
                if isinstance(stream, trio.abc.HalfCloseableStream):
                    await stream.send_eof()
                while await stream.receive_some(_DISCARD_BYTES):
                    pass
        finally:
            await trio.aclose_forcefully(stream)
