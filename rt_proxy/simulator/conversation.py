"""A simulated session over two async callables: the time and the order of things.

What is said is decided in ``dialogue.py``; here it is sent, paced and ended,
and here the faults happen. Nothing here knows a WebSocket.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Literal

import attrs
import trio

from rt_proxy.realtime import refusals
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.simulator.dialogue import Dialogue
from rt_proxy.simulator.events import EventRefused, error, write
from rt_proxy.simulator.faults import Fault, fatal_error
from rt_proxy.simulator.manners import MANNERS
from rt_proxy.simulator.turns import DELTA_MS

Receive = Callable[[], Awaitable[str | bytes | None]]
Send = Callable[[str], Awaitable[None]]

#: How long one event of a response takes at a pace of 1, in seconds.
_SECONDS = {
    "response.output_audio.delta": DELTA_MS / 1000,
    "response.audio.delta": DELTA_MS / 1000,
    "response.output_text.delta": 0.05,
    "response.text.delta": 0.05,
    "response.function_call_arguments.delta": 0.05,
}


@attrs.frozen
class SimulatorEnd:
    """How a conversation ended, and what is left to do for whoever holds the connection.

    Attributes:
        kind: ``close``: send a close frame with ``code`` and ``reason``;
            ``left``: the client is gone; ``drop``: cut the connection without a close.
        code: The close code.
        reason: The reason in the close frame.
    """

    kind: Literal["close", "left", "drop"]
    code: int = 1000
    reason: str = ""


#: What the API says today to whoever asks for Beta.
_BETA_DISABLED = Refusal(
    400,
    "invalid_request_error",
    "beta_api_shape_disabled",
    "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
    4000,
)

LEFT = SimulatorEnd("left")
DROP = SimulatorEnd("drop")


async def converse(
    receive: Receive,
    send: Send,
    *,
    model: str | None,
    intent: str | None = None,
    fault: Fault | None = None,
    dialect: Dialect = Dialect.GA,
    asked: Dialect | None = None,
    pace: float = 0.0,
    now: Callable[[], float] = time.time,
) -> SimulatorEnd:
    """Hold one session with a client, as the provider.

    Every model is accepted but a transcription model, and names that begin with
    ``missing-``: these are refused with ``model_not_found``, to try a refusal.

    Nothing is queued: while ``send`` blocks nothing is read, and a frame is
    answered before the next is read. Nothing outlives the call. Cancelling it is
    always safe; the client is then told nothing. With ``fault.stall`` it returns
    only by being cancelled. ``fault.refuse`` has no meaning here.

    Args:
        receive: Waits for the client's next frame; None: the client left.
        send: Sends one event, as JSON text. It is never called by two tasks at once.
            ``trio.BrokenResourceError`` and ``trio.ClosedResourceError`` out of either
            mean that the client left; anything else is a bug of the caller's and
            comes out, as a rule in an exception group.
        model: The ``model`` of the URL.
        intent: The ``intent`` of the URL; ``transcription`` goes without a model.
        fault: What goes wrong.
        dialect: The shape of the events.
        asked: The dialect that the client's request asks for; None: it does not say. As
            with the API of today, who asks for Beta is refused where GA is spoken.
        pace: How fast answers are streamed, as a share of real time: 1 is real time, 0.5
            twice as fast, 0 as fast as the client reads.
        now: Tells the Unix time, for ``session.expires_at``.

    Returns:
        How it ended; the caller closes.
    """
    fault = fault or Fault()
    manner = MANNERS[dialect]
    exchange = _Exchange(receive, send, fault, pace, manner.session_minutes)
    if fault.error is not None:
        return await exchange.run(fatal_error(fault.error))
    if dialect is Dialect.GA and asked is Dialect.BETA:
        return await exchange.run(_BETA_DISABLED)
    refusal = _refusal(model, intent)
    if refusal is not None:
        return await exchange.run(refusal)
    return await exchange.run(Dialogue(model, int(now()) + 60 * manner.session_minutes, manner))


class _Exchange:
    """One conversation under way; its state is the lock, the count and the end."""

    def __init__(
        self, receive: Receive, send: Send, fault: Fault, pace: float, minutes: int
    ) -> None:
        self._receive = receive
        self._send = send
        self._fault = fault
        self._pace = pace
        self._minutes = minutes
        # Who holds it changes the dialogue and tells the client, so what is told is in order.
        self._floor = trio.Lock()
        self._something_to_say = trio.Event()
        self._sent = 0
        self._end = LEFT
        self._scope = trio.CancelScope()

    async def run(self, session: Dialogue | Refusal) -> SimulatorEnd:
        with self._scope:
            if self._fault.drop == 0:
                self._finish(DROP)
            await trio.sleep(self._fault.delay)
            if isinstance(session, Refusal):
                await self._refuse(session)
            else:
                await self._open(session)
        return self._end

    async def _refuse(self, refusal: Refusal) -> None:
        await self._tell(refusal.event().decode())
        self._finish(SimulatorEnd("close", refusal.close_code or 4000, refusal.close_reason))

    async def _open(self, dialogue: Dialogue) -> None:
        await self._tell(write(dialogue.opening()))
        if self._fault.close is not None:
            self._finish(SimulatorEnd("close", self._fault.close, "simulated"))
            return
        if self._fault.stall:
            await trio.sleep_forever()
        for event in dialogue.introduction():
            await self._tell(write(event))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak, dialogue)
            nursery.start_soon(self._expire)
            await self._listen(dialogue)

    async def _listen(self, dialogue: Dialogue) -> None:
        while (frame := await self._frame()) is not None:
            async with self._floor:
                for event in dialogue.hear(frame):
                    await self._tell(write(event))
                if dialogue.is_speaking:
                    self._something_to_say.set()
        self._finish(LEFT)

    async def _frame(self) -> str | bytes | None:
        try:
            return await self._receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return None

    async def _speak(self, dialogue: Dialogue) -> None:
        while True:
            await self._something_to_say.wait()
            async with self._floor:
                event = dialogue.advance()
                if event is None:
                    self._something_to_say = trio.Event()
                    continue
                await self._tell(write(event))
            await trio.sleep(self._pace * _SECONDS.get(event["type"], 0))

    async def _expire(self) -> None:
        await trio.sleep(60 * self._minutes)
        message = f"Your session hit the maximum duration of {self._minutes} minutes."
        async with self._floor:
            await self._tell(write(error(EventRefused("session_expired", message), None)))
            self._finish(SimulatorEnd("close", 1001, message))

    async def _tell(self, text: str) -> None:
        await trio.lowlevel.checkpoint()  # others have their turn, also where the client has room
        try:
            await self._send(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._finish(LEFT)
        self._sent += 1
        if self._sent == self._fault.drop:
            self._finish(DROP)

    def _finish(self, end: SimulatorEnd) -> None:
        """Note the end and stop all tasks at their next checkpoint; the first end stands."""
        if not self._scope.cancel_called:
            self._end = end
            self._scope.cancel()


def _refusal(model: str | None, intent: str | None) -> Refusal | None:
    """Return why the session is refused, if it is (the provider's own rules)."""
    if intent not in (None, "realtime", "transcription"):
        return refusals.invalid_intent(str(intent))
    if intent == "transcription":
        return (
            None
            if model is None
            else _invalid_model(
                "You must not provide a model parameter for transcription sessions."
            )
        )
    if not model:
        return refusals.missing_model()
    if model.startswith("missing-"):
        message = f"The model `{model}` does not exist or you do not have access to it."
        return Refusal(404, "invalid_request_error", "model_not_found", message, 4004, "model")
    if "transcribe" in model or "whisper" in model:
        return _invalid_model(
            f'Model "{model}" is a transcription model and cannot be used as the realtime '
            "session model."
        )
    return None


def _invalid_model(message: str) -> Refusal:
    return Refusal(400, "invalid_request_error", "invalid_model", message, 4000, "model")
