"""The stream of one leg: whole frames go out under one lock, and times are noted.

A send that was interrupted leaves an unknown part of a frame on the wire. The
wire is *tainted* then: it is never written again, only cut.
"""

import trio

from rt_proxy.session.direct import direct

_PIECE_BYTES = 65_536
#: How much is read at once, in bytes, unless less is wanted.
RECEIVE_BYTES = 65_536


class Wire:
    """A byte stream that several tasks may write to (mutable: it holds the state of the stream).

    Attributes:
        tainted: A send was interrupted or failed; nothing more may be written.
        sending_since: When the piece now being sent was begun, on Trio's clock; None: no send.
        receiving_since: Since when a task waits for bytes, on Trio's clock; None: nobody reads.
    """

    __slots__ = (
        "_lock",
        "_stream",
        "receiving_since",
        "sending_since",
        "tainted",
    )

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = direct(stream)
        self._lock = trio.Lock()
        self.tainted = False
        self.sending_since: float | None = None
        self.receiving_since: float | None = None

    async def receive(self, most: int = RECEIVE_BYTES) -> bytes:
        """Wait for bytes, at most so many; ``b""`` means that the peer is gone, in whatever way.

        Cancelling is safe: nothing that has arrived is lost.
        """
        self.receiving_since = trio.current_time()
        try:
            return bytes(await self._stream.receive_some(most))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        finally:
            self.receiving_since = None

    async def send(self, frames: bytes | memoryview) -> None:
        """Send whole frames, in pieces of at most 64 KiB.

        Cancelling while the stream is being written taints the wire; cancelling
        while another task writes leaves it as it was.

        Raises:
            trio.BrokenResourceError: The peer is gone, or the wire is tainted.
        """
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()
        try:
            if self.tainted:
                raise trio.BrokenResourceError("a send was interrupted before")
            self.tainted = True
            self.sending_since = trio.current_time()
            if len(frames) <= _PIECE_BYTES:
                await self._stream.send_all(frames)
            else:
                await self._send_pieces(memoryview(frames))
            self.tainted = False
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("the stream was closed") from error
        finally:
            self.sending_since = None
            self._lock.release()

    async def _send_pieces(self, frames: memoryview) -> None:
        for start in range(0, len(frames), _PIECE_BYTES):
            self.sending_since = trio.current_time()
            await self._stream.send_all(frames[start : start + _PIECE_BYTES])

    async def wait_sent(self) -> None:
        """Wait until the sends that were begun before have ended. Cancelling is safe."""
        async with self._lock:
            pass

    async def cut(self) -> None:
        """Close the stream at once, whatever is under way. Cancelling changes nothing."""
        self.tainted = True
        await trio.aclose_forcefully(self._stream)
