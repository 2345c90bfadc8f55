"""A stream that passes everything on to another one, for those that do a little more."""

import trio


class ForwardingStream(trio.abc.Stream):
    """Does what the stream does that it is made of; cancelling means what it means there."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Cancelling is as in the stream below."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something can be sent. Cancelling is as in the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive what comes next. Cancelling is as in the stream below."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close it. Cancelling is as in the stream below."""
        await self._stream.aclose()
