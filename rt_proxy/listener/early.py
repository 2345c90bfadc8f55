"""What a client does while its upstream is being opened: it may talk, wait, or leave."""

import attrs
import trio

_RECEIVE_BYTES = 65_536


@attrs.define
class EarlyBytes:
    """What a client sends before our 101 (mutable: it fills).

    Attributes:
        data: The bytes, to be read as frames later.
        too_many: It sent more than it may.
    """

    data: bytes
    too_many: bool = False


async def gather_early(
    stream: trio.abc.Stream, early: EarlyBytes, limit: int, opening: trio.CancelScope
) -> None:
    """Gather what a client says before it is answered; cancel the opening when it leaves.

    Cancelling is safe: what has arrived is in ``early``.

    Args:
        stream: The client's.
        early: Where the bytes go.
        limit: How many there may be.
        opening: What is cancelled when the client leaves, or says too much.
    """
    while len(early.data) <= limit:
        try:
            data = await stream.receive_some(_RECEIVE_BYTES)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            opening.cancel("the client left")
            return
        early.data += data
    early.too_many = True
    opening.cancel("the client did not wait for its answer")
