"""One turn as a Realtime client, to try a server: say a text, follow the answer to its end.

It speaks the GA dialect (API reference, client and server events) and comes in by the
same dialer and the same leg that reach an upstream. Nothing is printed here.
"""

import base64
import contextlib
import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import attrs
import trio

from rt_proxy.channels import Channel, UpstreamRequest, make_channels, problems, upstream_request
from rt_proxy.listener.dial import Dial, TcpDial, dial_failure
from rt_proxy.realtime.codec import parse_object, structure_event
from rt_proxy.realtime.events import ResponseDone, Usage
from rt_proxy.realtime.framereader import FrameReader
from rt_proxy.realtime.frames import Close, Message
from rt_proxy.session.leg import Leg
from rt_proxy.session.wslegs import UpgradeFailedError, open_leg
from rt_proxy.settings import ChannelSettings, Secret, Settings

#: The answer's audio: samples a second, of 16 bits each, one channel.
SAMPLE_RATE = 24_000
SAMPLE_BYTES = 2
#: More audio than this is counted and not kept, in bytes; over half an hour.
MOST_AUDIO_BYTES = 100_000_000

_MESSAGE_BYTES = 33_554_432
_REFUSAL_BYTES = 16_384
#: Longest text of a server in a problem, in characters.
_LONGEST_TEXT = 500
#: How long a server may take to say the rest of a refusal, or to answer our close, in seconds.
_GOODBYE_SECONDS = 2
_TEXT_DELTAS = ("response.output_text.delta", "response.output_audio_transcript.delta")
_AUDIO_DELTA = "response.output_audio.delta"


@attrs.frozen
class Question:
    """What is said, and how the answer is wanted: spoken, or as text."""

    text: str
    spoken: bool = True

    def events(self) -> tuple[dict[str, Any], ...]:
        """Return the client events that ask it (API reference, client events)."""
        content = {"type": "input_text", "text": self.text}
        item = {"type": "message", "role": "user", "content": [content]}
        return (
            {"type": "session.update", "session": self._session()},
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create"},
        )

    def _session(self) -> dict[str, Any]:
        if not self.spoken:
            return {"type": "realtime", "output_modalities": ["text"]}
        # Asked for although it is the default: a server may have another.
        audio = {"output": {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE}}}
        return {"type": "realtime", "output_modalities": ["audio"], "audio": audio}


@attrs.frozen
class Times:
    """When things had come, in seconds since the turn began; None: they never did."""

    session_created: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    total: float = 0.0


@attrs.frozen
class Reply:
    """What came of a turn.

    Attributes:
        completed: The response was completed.
        problems: What went wrong, a sentence each; parts of them may be the server's words.
        audio: What is kept of the audio, as little-endian samples of 16 bits.
        audio_bytes: How much audio there was in all.
        usage: What the response cost; None: the server did not say.
        times: When things had come.
    """

    completed: bool
    problems: tuple[str, ...]
    audio: bytes = attrs.field(repr=False)
    audio_bytes: int
    usage: Usage | None
    times: Times


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
    timeout: float = 60,
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
        timeout: For the whole turn, in seconds.
        dial: How the server is reached; default: TCP, and TLS with the system's certificates.
    """
    turn = Turn(trio.current_time(), hear, keep_audio=keep_audio)
    request = upstream_request(server, model=model, intent=None)
    leg = None
    async with trio.open_nursery() as room:
        try:
            with trio.move_on_after(timeout) as patience:
                leg = await _connect(room, dial or TcpDial(), server, request, turn)
                if leg is not None:
                    await _converse(leg, question, turn)
            if patience.cancelled_caught:
                turn.fail(f"timed out: {turn.waits_for} within {timeout:g} s")
            if leg is not None:
                await _leave(leg, turn)
        finally:
            if leg is not None:
                with trio.CancelScope(shield=True):  # cutting cannot block
                    await leg.wire.cut()
        room.cancel_scope.cancel("the turn is over")
    return turn.reply(trio.current_time())


async def _connect(
    room: trio.Nursery, dial: Dial, server: Channel, request: UpstreamRequest, turn: "Turn"
) -> Leg | None:
    """Open the WebSocket; None: it cannot be had, and the turn knows why."""
    try:
        stream = await dial(server, request)
    except (OSError, trio.BrokenResourceError) as error:
        why = dial_failure(error)
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
        turn.refuse(str(error), await overheard.body())
        await trio.aclose_forcefully(stream)
        return None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    turn.connected = True
    return leg


async def _converse(leg: Leg, question: Question, turn: "Turn") -> None:
    """Ask at once: some servers say nothing until they are spoken to."""
    with contextlib.suppress(trio.BrokenResourceError):  # what it said before it left is there
        for event in question.events():
            await leg.send_event(json.dumps(event).encode())
    while not turn.over:
        match await leg.read_message():
            case Message(payload=payload):
                turn.take(payload, trio.current_time())
            case Close() as close:
                turn.close(close)
            case None:
                turn.fail("the connection ended without a close frame")
            case fault:
                turn.fail(f"the server broke the protocol: {fault.message}")


async def _leave(leg: Leg, turn: "Turn") -> None:
    """Say goodbye; a server that refused us is first heard out, for it says why in its CLOSE."""
    with trio.move_on_after(_GOODBYE_SECONDS):
        while turn.refused:
            said = await leg.read_message()
            if isinstance(said, Close):
                turn.close(said)
            if not isinstance(said, Message):
                break
    with trio.move_on_after(_GOODBYE_SECONDS):
        await leg.close(1000, "")


class Turn:
    """A turn as it goes on, without any I/O (mutable: it follows the events).

    Attributes:
        connected: The WebSocket is open.
        over: Nothing more is to be waited for.
        refused: The server sent an error in place of a response.
    """

    def __init__(self, now: float, hear: Callable[[str], None], *, keep_audio: bool) -> None:
        self.connected = False
        self.over = False
        self.refused = False
        self._began = now
        self._hear = hear
        self._keep_audio = keep_audio
        self._responds = False
        self._completed = False
        self._problems: list[str] = []
        self._audio = bytearray()
        self._audio_bytes = 0
        self._usage: Usage | None = None
        self._times = Times()

    @property
    def waits_for(self) -> str:
        """What has not happened yet, as the end of a sentence."""
        if not self.connected:
            return "no connection"
        if self._times.session_created is None:
            return "no session.created"
        return "the response was not done" if self._responds else "no response"

    def fail(self, problem: str) -> None:
        """End the turn with a problem."""
        self._problems.append(problem)
        self.over = True

    def refuse(self, why: str, body: bytes) -> None:
        """End the turn because the server answered our upgrade with something else.

        Args:
            why: Such as ``HTTP 401``.
            body: Of that answer, as far as it came; an error in JSON says more.
        """
        answer = parse_object(body)
        error = answer.get("error") if answer is not None else None
        self.fail(f"refused: {why} {_error_text(error)}".rstrip())

    def close(self, close: Close) -> None:
        """End the turn because the server sent CLOSE."""
        reason = f" ({_short(close.reason)})" if close.reason else ""
        self.fail(f"closed by the server with code {close.code}{reason}")

    def take(self, payload: bytes, now: float) -> None:
        """Follow one event of the server; an unknown one changes nothing."""
        event = parse_object(payload)
        if event is None:
            return
        match event.get("type"):
            case "session.created":
                self._note(session_created=now)
            case "response.created":
                self._responds = True
            case kind if kind in _TEXT_DELTAS:
                self._take_text(event.get("delta"), now)
            case kind if kind == _AUDIO_DELTA:
                self._take_audio(event.get("delta"), now)
            case "response.done":
                self._take_done(event)
            case "error":
                self._take_error(event.get("error"))

    def reply(self, now: float) -> Reply:
        """Return what came of it."""
        self._note(total=now)
        whole = len(self._audio) - len(self._audio) % SAMPLE_BYTES
        return Reply(
            completed=self._completed,
            problems=tuple(self._problems),
            audio=bytes(self._audio[:whole]),
            audio_bytes=self._audio_bytes,
            usage=self._usage,
            times=self._times,
        )

    def _note(self, **moments: float) -> None:
        """Note when something came for the first time."""
        news = {name: now - self._began for name, now in moments.items()}
        new = {name: news[name] for name in news if not getattr(self._times, name)}
        self._times = attrs.evolve(self._times, **new)

    def _take_text(self, delta: object, now: float) -> None:
        if isinstance(delta, str):
            self._note(first_text=now)
            self._hear(delta)

    def _take_audio(self, delta: object, now: float) -> None:
        try:
            audio = base64.b64decode(delta, validate=True) if isinstance(delta, str) else b""
        except ValueError:
            self.fail("the server sent audio that is not base64")
            return
        self._note(first_audio=now)
        self._audio_bytes += len(audio)
        if self._keep_audio:
            self._audio += audio[: MOST_AUDIO_BYTES - len(self._audio)]

    def _take_done(self, event: dict[str, Any]) -> None:
        """End the turn with the response; ``status_details`` says why it did not complete."""
        self.over = True
        done = structure_event(event)
        if not isinstance(done, ResponseDone):
            self.fail("the server sent a response.done that cannot be read")
            return
        self._usage = done.response.usage
        self._completed = done.response.status == "completed"
        if not self._completed:
            details = event["response"].get("status_details")
            self.fail(f"the response {_ended(done.response.status, details)}")

    def _take_error(self, error: object) -> None:
        """Note an error; one that comes before the response comes in its place."""
        self._problems.append(f"error {_error_text(error)}".rstrip())
        if not self._responds:
            self.refused = self.over = True


class _Overheard(trio.abc.Stream):
    """A stream that remembers what it received first, for the words of a refused upgrade."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._start = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._stream.receive_some(max_bytes))
        self._start += data[: _REFUSAL_BYTES - len(self._start)]
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

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


def _ended(status: str | None, details: object) -> str:
    """Say how a response ended that did not complete (API reference, ``response.done``)."""
    if not isinstance(details, dict):
        return f"is {status or 'without a status'}"
    reason = details.get("reason")
    said = reason if isinstance(reason, str) else _error_text(details.get("error"))
    return f"is {status}: {_short(said)}" if said else f"is {status}"


def _error_text(error: object) -> str:
    """Return ``code: message`` of an error object, as far as they are there."""
    if not isinstance(error, dict):
        return ""
    code = error.get("code") or error.get("type")
    said = [part for part in (code, error.get("message")) if isinstance(part, str) and part]
    return _short(": ".join(said))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
