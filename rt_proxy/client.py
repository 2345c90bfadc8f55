"""A Realtime client for one turn, to try a server: connect, ask, follow the answer to its end.

It comes in by the same dialer and the same leg that reach an upstream. Nothing is printed
here; what the turn amounts to is decided in ``clientturn.py``.
"""

import contextlib
import ssl
from collections.abc import Callable
from types import MappingProxyType

import trio

from rt_proxy.channels import Channel, UpstreamRequest, make_channels, problems, upstream_request
from rt_proxy.clientturn import Question, Reply, Turn
from rt_proxy.listener.dial import Dial, TcpDial
from rt_proxy.listener.dialfailure import dial_failure
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Close, Message
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.session.forwarding import ForwardingStream
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import UpgradeFailedError, open_leg
from rt_proxy.settings import ChannelSettings, Secret, Settings

_MESSAGE_BYTES = 33_554_432
_REFUSAL_BYTES = 16_384
#: How long a server may take to say the rest of a refusal, or to answer our close, in seconds.
_GOODBYE_SECONDS = 2
#: How long a server may take to show its dialect, before it is spoken to in GA, in seconds.
_FIRST_WORD_SECONDS = 1


def server_at(url: str, token: Secret | None = None) -> Channel:
    """Return a server as a channel, which has all that a client must know of it.

    Args:
        url: What SDKs call the base URL, such as ``http://127.0.0.1:8080/v1``; its query is kept.
        token: Sent as ``Authorization: Bearer``; None: no credential is sent.

    Raises:
        ValueError: The URL or the token cannot be one; the text repeats neither.
    """
    server = ChannelSettings(
        name="server",
        provider="compatible",
        base_url=url,
        api_key=token,
        auth="none" if token is None else "bearer",
        models=MappingProxyType({"*": "*"}),
    )
    for field, problem in problems(server):
        raise ValueError(f"the {'token' if field == 'api_key' else 'URL'} {problem}")
    return make_channels(Settings(channels=(server,)))[0]


async def take_turn(
    server: Channel,
    question: Question,
    *,
    model: str | None = None,
    hear: Callable[[str], None] = lambda _text: None,
    keep_audio: bool = True,
    seconds: float = 60,
    dial: Dial | None = None,
) -> Reply:
    """Ask one question and follow the answer to its end.

    What the server or the network does is told in the reply, never raised.
    Cancelling cuts the connection, and the server hears no goodbye.

    Args:
        server: From ``server_at``.
        question: What to ask.
        model: The model to ask for; None: the server's default.
        hear: Called with each piece of text or transcript; what it raises comes out as
            part of an exception group.
        keep_audio: Whether the reply holds the audio.
        seconds: How long the whole turn may take.
        dial: How the server is reached; default: TCP, and TLS with the system's certificates.
    """
    turn = Turn(trio.current_time(), hear, keep_audio=keep_audio)
    request = upstream_request(
        server, key=next(iter(server.api_keys), None), model=model, intent=None
    )
    leg = None
    async with trio.open_nursery() as room:
        try:
            with trio.move_on_after(seconds) as patience:
                leg = await _connect(room, dial or TcpDial(), server, request, turn)
                if leg is not None:
                    await _converse(leg, question, turn)
            if patience.cancelled_caught:
                turn.fail(f"timed out: {turn.waits_for} within {seconds:g} s")
            ended = trio.current_time()
            if leg is not None:
                await _leave(leg, turn)
        finally:
            if leg is not None:
                with trio.CancelScope(shield=True):  # cutting cannot block
                    await leg.wire.cut()
        room.cancel_scope.cancel("the turn is over")
    return turn.reply(ended)


async def _connect(
    room: trio.Nursery, dial: Dial, server: Channel, request: UpstreamRequest, turn: Turn
) -> Leg | None:
    """Open the WebSocket; None: it cannot be had, and the turn knows why."""
    try:
        stream = await dial(server, request)
    except (OSError, trio.BrokenResourceError) as error:
        why = _failed_handshake(error) if request.tls else None
        why = why or dial_failure(error)
        turn.fail(f"cannot connect to {request.host} port {request.port}: {why}")
        return None
    overheard = _Overheard(stream)
    try:
        leg = await open_leg(
            room,
            overheard,
            host=request.host_header,
            resource=request.resource,
            headers=request.header_bytes(),
            frames=FrameReader(
                masked=False, message_bytes=_MESSAGE_BYTES, parsed_bytes=_MESSAGE_BYTES
            ),
        )
    except UpgradeFailedError as error:
        why = str(error)
        if error.status is None and not request.tls:
            why += "; does the server speak https (wss)?"
        turn.refuse(why, await overheard.body())
        await trio.aclose_forcefully(stream)
        return None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    turn.connected = True
    return leg


def _failed_handshake(error: OSError | trio.BrokenResourceError) -> str | None:
    """Say in plain words that TLS itself failed; None: something else did."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLCertVerificationError):
        return "no TLS could be agreed on; does the server speak http (ws)?"
    return None


async def _converse(leg: Leg, question: Question, turn: Turn) -> None:
    """Ask when the server has shown its dialect; some say nothing until they are spoken to."""
    with trio.move_on_after(_FIRST_WORD_SECONDS):
        await _hear(leg, turn)
    with contextlib.suppress(trio.BrokenResourceError):  # what it said before it left is there
        for event in () if turn.over else turn.questions(question):
            await leg.send_event(event)
    while not turn.over:
        await _hear(leg, turn)


async def _hear(leg: Leg, turn: Turn) -> None:
    """Wait for the next message of the server. Cancelling is safe."""
    match await leg.read_message():
        case Message(payload=payload):
            turn.take(payload, trio.current_time())
        case Close() as close:
            turn.close(close)
        case None:
            turn.fail("the connection ended without a close frame")
        case fault:
            turn.fail(f"the server broke the protocol: {fault.message}")


async def _leave(leg: Leg, turn: Turn) -> None:
    """Say goodbye; a server that refused us is first heard out, for its CLOSE says more."""
    if turn.refused:
        with trio.move_on_after(_GOODBYE_SECONDS):
            while isinstance(said := await leg.read_message(), Message):
                pass
            if isinstance(said, Close):
                turn.close(said)
    with trio.move_on_after(_GOODBYE_SECONDS):
        await leg.close(1000, "")


class _Overheard(ForwardingStream):
    """A stream that remembers what it received first, for the words of a refused upgrade."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self._start = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await super().receive_some(max_bytes))
        self._start += data[: _REFUSAL_BYTES - len(self._start)]
        return data

    async def body(self) -> bytes:
        """Wait for the body of the HTTP answer that came; it may be cut. Cancelling is safe."""
        with trio.move_on_after(_GOODBYE_SECONDS), contextlib.suppress(trio.BrokenResourceError):
            while len(self._start) < _REFUSAL_BYTES and not self._has_body():
                if not await self.receive_some():
                    break
        _head, _, body = self._start.partition(b"\r\n\r\n")
        # A body in one chunk stands between its size and the size of the last, empty one.
        return body[body.find(b"{") : body.rfind(b"}") + 1]

    def _has_body(self) -> bool:
        _head, _, body = self._start.partition(b"\r\n\r\n")
        return parse_object(body) is not None
