"""The clients of the bench: sessions that send, check every event that comes back, and count.

An event is one message relayed in one direction. A session that breaks, or hears anything that it
does not expect, ends the measurement with `BrokenSessionError`: no figure is made from a run in
which an event was lost, changed or out of order.
"""

import asyncio
import json
import time
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import ClassVar

import events
from messages import MessageListener
from picows import WSTransport


class BrokenSessionError(Exception):
    """A session ended, or heard something that it did not expect."""


class Load:
    """What the sessions of one measurement share.

    Attributes:
        running: While true, sessions ask again when they were answered.
        recording: While true, delays are noted.
        relayed: The events that came through so far, in both directions.
        delays: The delay of each event while recording, in nanoseconds.
    """

    def __init__(self) -> None:
        self.running = False
        self.recording = False
        self.relayed = 0
        self.delays = array("q")
        self._problem: str | None = None
        self._broken = asyncio.Event()

    def fail(self, problem: str) -> None:
        """Note the first thing that went wrong, and wake whoever is in `pause`."""
        self._problem = self._problem or problem
        self._broken.set()

    async def pause(self, seconds: float) -> None:
        """Let the sessions work for a while; raises BrokenSessionError if one broke."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._broken.wait(), seconds)
        self.check()

    def check(self) -> None:
        """Raise BrokenSessionError if a session broke."""
        if self._problem is not None:
            raise BrokenSessionError(self._problem)


class Session(MessageListener):
    """A client that connects and says nothing; the other kinds build on it.

    Attributes:
        headers: What it sends in its upgrade beside its token.
        setup: Nanoseconds from connecting to `session.created`, once it has come.
    """

    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, load: Load) -> None:
        super().__init__()
        self.load = load
        self.created = asyncio.Event()
        self.closing = False
        self.setup = 0

    def start(self) -> None:
        """Begin to send."""

    def settled(self) -> bool:
        """Whether everything that was asked has been answered."""
        return True

    def on_answer(self, payload: bytes) -> None:
        """A message after `session.created`."""
        self.fail(f"unexpected event {_excerpt(payload)}")

    def fail(self, problem: str) -> None:
        """End the measurement."""
        self.load.fail(problem)
        self.created.set()

    def abort(self) -> None:
        """Cut the connection if it is still there."""
        self.closing = True
        if hasattr(self, "transport"):
            self.transport.disconnect(graceful=False)

    def on_message(self, payload: bytes) -> None:
        if self.created.is_set():
            self.on_answer(payload)
        elif payload == events.SESSION_CREATED:
            self.created.set()
        else:
            self.fail(f"expected session.created, got {_excerpt(payload)}")

    def on_close_frame(self, why: str) -> None:
        if not self.closing:
            self.fail(f"session closed by the other side: {why}")
        self.transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.closing:
            self.fail("session lost without a close frame")


class EchoSession(Session):
    """Sends appends, each answered by one delta; what asks for the next one is left open."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self._unanswered: deque[int] = deque()

    def append(self) -> None:
        """Send one append."""
        now = time.monotonic_ns()
        self._unanswered.append(now)
        self.send(events.append(now))

    def settled(self) -> bool:
        return not self._unanswered

    def on_answer(self, payload: bytes) -> None:
        now = time.monotonic_ns()
        if len(payload) != events.DELTA_BYTES or not payload.startswith(events.DELTA_START):
            self.fail(f"expected a delta, got {_excerpt(payload)}")
            return
        sent, arrived, answered = events.read_delta(payload)
        if not self._unanswered or sent != self._unanswered.popleft():
            self.fail("a delta was lost, repeated or out of order")
            return
        load = self.load
        load.relayed += 2
        if load.recording:
            load.delays.append(arrived - sent)
            load.delays.append(now - answered)


class PingPongSession(EchoSession):
    """Sends the next append as soon as the last one was answered."""

    def start(self) -> None:
        self.append()

    def on_answer(self, payload: bytes) -> None:
        super().on_answer(payload)
        if self.load.running:
            self.append()


class BurstSession(Session):
    """Asks for a response, takes all of it, and asks for the next one."""

    _RESPONSE: ClassVar[tuple[object, ...]] = (
        events.RESPONSE_CREATED,
        *[events.BURST_DELTA] * events.BURST_DELTAS,
        events.RESPONSE_DONE,
    )

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self._expected: Iterator[object] = iter(())
        self._left = 0
        self._open = False

    def start(self) -> None:
        self._expected = iter(self._RESPONSE)
        self._left = len(self._RESPONSE)
        self._open = True
        self.send(events.RESPONSE_CREATE)

    def settled(self) -> bool:
        return not self._open

    def on_answer(self, payload: bytes) -> None:
        if not self._is(payload, next(self._expected, None)):
            self.fail(f"an event of a response was lost or out of order: {_excerpt(payload)}")
            return
        self.load.relayed += 1
        self._left -= 1
        if not self._left:
            self.load.relayed += 1  # the request
            self._open = False
            if self.load.running:
                self.start()

    def _is(self, payload: bytes, expected: object) -> bool:
        return payload == expected


class BetaBurstSession(BurstSession):
    """Does the same as a client of the Beta, whose events have to be translated."""

    headers: ClassVar[Mapping[str, str]] = {"OpenAI-Beta": "realtime=v1"}

    _RESPONSE = (
        events.beta(events.RESPONSE_CREATED),
        *[events.BETA_BURST_DELTA] * events.BURST_DELTAS,
        events.beta(events.RESPONSE_DONE),
    )

    def on_message(self, payload: bytes) -> None:
        if self.created.is_set():
            self.on_answer(payload)
            return
        event = json.loads(payload)
        if event["type"] == "conversation.created":
            self.created.set()
        elif event["type"] != "session.created" or "modalities" not in event["session"]:
            self.fail(f"expected a Beta session.created, got {_excerpt(payload)}")

    def _is(self, payload: bytes, expected: object) -> bool:
        return payload == expected or (
            isinstance(expected, dict) and json.loads(payload) == expected
        )


class PacedSession(EchoSession):
    """Sends an append whenever the load generator says so, answered or not."""


def _excerpt(payload: bytes) -> str:
    return payload[:200].decode(errors="replace")
