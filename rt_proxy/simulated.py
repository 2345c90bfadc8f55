"""Lends the simulator its legs: over a socket, or in memory as a channel.

The simulator itself is a conversation over two callables; here it meets the
HTTP head, the WebSocket and its close codes.
"""

import contextlib
import logging

import trio

from rt_proxy.channels import Channel
from rt_proxy.listener.answers import send_answer
from rt_proxy.listener.head import read_head
from rt_proxy.listener.pages import refusal_answer, render
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import BINARY, Message
from rt_proxy.realtime.hello import Hello, RequestHead, read_hello
from rt_proxy.realtime.refusals import Refusal, http_only
from rt_proxy.session.forwarding import ForwardingStream
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import accept_leg
from rt_proxy.simulator import Fault, SimulatorEnd, converse, parse_fault

_logger = logging.getLogger("rt_proxy.simulator")

_HEAD_BYTES = 16_384
_HEAD_SECONDS = 10
_MESSAGE_BYTES = 33_554_432
_GOODBYE_SECONDS = 2
#: A stalled simulator does not see its client leave; no session is longer than this.
_LONGEST_SECONDS = 3_700


async def serve_simulated(
    stream: trio.abc.Stream,
    fault: Fault,
    *,
    dialect: Dialect = Dialect.GA,
    pace: float = 0.0,
) -> None:
    """Be a simulated provider for one connection, from its head to its end.

    Any credential will do, and Beta is spoken to clients that do not ask for it too. The
    stream is closed when this returns, and nothing comes out of here: a fault of
    ours is logged, and ends this connection alone. Cancelling cuts the connection.

    Args:
        stream: A connected stream.
        fault: What goes wrong.
        dialect: The shape of the events.
        pace: How fast answers are streamed, as a share of real time; 0: at once.
    """
    try:
        await _serve(stream, fault, dialect, pace)
    except* Exception:
        _logger.exception("a simulated session failed by a fault of rt-proxy itself")
    finally:
        with trio.CancelScope(shield=True):  # closing by force cannot block
            await trio.aclose_forcefully(stream)


async def _serve(stream: trio.abc.Stream, fault: Fault, dialect: Dialect, pace: float) -> None:
    opened = None
    with trio.move_on_after(_HEAD_SECONDS):
        opened = await read_head(stream, _HEAD_BYTES)
    if opened is None:
        return
    hello = opened if isinstance(opened, Refusal) else _hello(opened.head, fault)
    if isinstance(hello, Refusal):
        answer = render(refusal_answer(hello))
        await send_answer(stream, answer, _GOODBYE_SECONDS)
    elif not isinstance(opened, Refusal):
        await _converse(stream, hello, opened.rest, fault, dialect, pace)


def _hello(head: RequestHead, fault: Fault) -> Hello | Refusal:
    if fault.refuse is not None:
        message = f"Simulated fault: refuse={fault.refuse}."
        return http_only(fault.refuse, "simulated_fault", message, type="server_error")
    return read_hello(head)


async def _converse(
    stream: trio.abc.Stream,
    hello: Hello,
    rest: bytes,
    fault: Fault,
    dialect: Dialect,
    pace: float,
) -> None:
    frames = FrameReader(masked=True, message_bytes=_MESSAGE_BYTES, parsed_bytes=_MESSAGE_BYTES)
    async with trio.open_nursery() as room:
        with contextlib.suppress(trio.BrokenResourceError):
            leg = await accept_leg(
                room,
                stream,
                key=hello.websocket_key,
                subprotocol=hello.subprotocol,
                frames=frames,
                unread=rest,
            )
            with trio.move_on_after(_LONGEST_SECONDS):
                end = await converse(
                    lambda: _receive(leg),
                    lambda text: leg.send_event(text.encode()),
                    model=hello.model,
                    intent=hello.intent,
                    fault=fault,
                    dialect=dialect,
                    asked=hello.dialect,
                    pace=pace,
                )
                await _close(leg, end)
        room.cancel_scope.cancel("the simulated session is over")


async def _receive(leg: Leg) -> str | bytes | None:
    message = await leg.read_message()
    if not isinstance(message, Message):
        return None
    if message.opcode == BINARY:
        return message.payload
    return message.payload.decode(errors="replace")


async def _close(leg: Leg, end: SimulatorEnd) -> None:
    if end.kind == "drop":
        await leg.wire.cut()
        return
    with trio.move_on_after(_GOODBYE_SECONDS):
        await leg.close(end.code, end.reason)


class _SimulatedStream(ForwardingStream):
    """Our end of a simulated upstream; closing it ends the simulator at the other end."""

    def __init__(self, near: trio.abc.Stream, scope: trio.CancelScope) -> None:
        super().__init__(near)
        self._scope = scope

    async def aclose(self) -> None:
        self._scope.cancel("the session is over")
        await super().aclose()


async def open_simulated(nursery: trio.Nursery, channel: Channel) -> trio.abc.Stream:
    """Connect to a simulator of our own, over a pair of sockets and without a port.

    Cancelling before it returns leaves nothing open.

    Args:
        nursery: Where the simulator lives until the stream is closed.
        channel: The channel whose dialect it speaks, and whose fault it shows.
    """
    fault = parse_fault(channel.fault)
    near, far = (trio.SocketStream(end) for end in trio.socket.socketpair())
    scope = trio.CancelScope()

    async def simulate() -> None:
        with scope:
            await serve_simulated(far, fault, dialect=channel.dialect)

    nursery.start_soon(simulate)
    return _SimulatedStream(near, scope)
