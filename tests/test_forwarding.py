"""Facts about the stream that passes everything on."""

import trio
from trio.testing import memory_stream_pair

from rt_proxy.session.forwarding import ForwardingStream


async def test_passes_on() -> None:
    """What goes in comes out, both ways, and closing it closes what is below."""
    near, far = memory_stream_pair()
    stream = ForwardingStream(near)

    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"up")
    assert await far.receive_some() == b"up"
    await far.send_all(b"down")
    assert await stream.receive_some(2) == b"do"
    assert await stream.receive_some() == b"wn"
    await stream.aclose()
    assert await far.receive_some() == b""


async def test_blocks_as_it_does_below() -> None:
    """It waits where the stream below waits, and can be cancelled there."""
    near, _ = memory_stream_pair()
    with trio.move_on_after(0) as scope:
        await ForwardingStream(near).receive_some()
    assert scope.cancelled_caught
