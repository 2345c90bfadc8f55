"""A plain socket as a stream, without the detours of the general one.

Theory: ``trio.SocketStream`` is all that is needed.
Practice: it tries before it waits, and yields once more after every success, which
is half the cost of relaying a small event. Here a socket is waited for first and
then read, and written at once where its buffer has room; what does not go so is
left to the stream that is wrapped.
"""

import os

import trio


class DirectStream(trio.abc.HalfCloseableStream):
    """A socket stream that is cheap to relay on.

    Unlike Trio's own streams ``send_all`` is no checkpoint where the socket takes
    everything at once; ``receive_some`` always is one.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket; as long as it is open, only this stream may use it."""
        return self._stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte; ``b""`` is the end. Cancelling is safe.

        Raises:
            trio.BrokenResourceError: The connection is broken.
            trio.ClosedResourceError: This stream was closed.
        """
        socket = self._stream.socket
        while True:
            try:
                await trio.lowlevel.wait_readable(socket)
                # A socket closed meanwhile has no descriptor, so that another one's is never read.
                return os.read(socket.fileno(), max_bytes or 65_536)
            except BlockingIOError:
                continue
            except ValueError as error:  # from epoll, where the socket was closed before
                raise trio.ClosedResourceError("this socket was closed") from error
            except OSError as error:
                raise _translated(error, socket) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Cancelling leaves an unknown part of it on the wire.

        Raises:
            trio.BrokenResourceError: The connection is broken.
            trio.ClosedResourceError: This stream was closed.
        """
        socket = self._stream.socket
        try:
            sent = os.write(socket.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise _translated(error, socket) from error
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the socket takes something. Cancelling is safe."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Close the sending side alone. Cancelling changes nothing."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the socket. Cancelling changes nothing."""
        await self._stream.aclose()


class DirectListener(trio.abc.Listener[trio.abc.Stream]):
    """A socket listener whose streams are direct ones."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener

    @property
    def socket(self) -> trio.socket.SocketType:
        """The listening socket."""
        return self._listener.socket

    async def accept(self) -> trio.abc.Stream:
        """Wait for a connection. Cancelling is safe."""
        return direct(await self._listener.accept())

    async def aclose(self) -> None:
        """Stop listening. Cancelling changes nothing."""
        await self._listener.aclose()


def direct(stream: trio.abc.Stream) -> trio.abc.Stream:
    """Return the direct form of a plain socket stream, and any other stream as it is."""
    if isinstance(stream, trio.SocketStream) and os.name == "posix":
        return DirectStream(stream)
    return stream


def _translated(error: OSError, socket: trio.socket.SocketType) -> Exception:
    if socket.fileno() < 0:
        return trio.ClosedResourceError("this socket was closed")
    return trio.BrokenResourceError(f"the peer is gone: {error.strerror}")
