"""The load generator: opens sessions on a target, lets them work, and measures meanwhile."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

import attrs
from clients import BrokenSessionError, Load, PacedSession, Session
from events import MODEL
from picows import WSCloseCode, WSError, ws_connect

#: How many sessions are being opened or closed at a time.
CONCURRENCY = 16
#: How long an opening, a goodbye or the next answer may take, in seconds.
PATIENCE = 30.0


@attrs.frozen
class Target:
    """Where sessions connect: a relay, or the upstream itself.

    Attributes:
        base_url: As a client is given it, such as `ws://127.0.0.1:8080/v1`.
        token: What lets the client in, where that is asked for.
        tls: How to verify the other side of a `wss://` URL.
    """

    base_url: str
    token: str = "none"
    tls: ssl.SSLContext | None = None


@attrs.frozen
class Window:
    """What happened between the start and the end of a measured window.

    Attributes:
        wall: Its length in seconds.
        cpu: CPU time, user and system, that the relay used in it, in seconds.
        events: The events relayed in it.
        delays: The delay of each of these events, in nanoseconds, sorted; where it was noted.
    """

    wall: float
    cpu: float
    events: int
    delays: Sequence[int] = ()


async def measure_work(
    target: Target,
    kind: type[Session],
    count: int,
    *,
    rate: float,
    warmup: float,
    seconds: float,
    cpu: Callable[[], float],
) -> Window:
    """Let `count` sessions of a kind work, and measure after a warm-up.

    Args:
        target: Where they connect.
        kind: What they do.
        count: How many they are.
        rate: Appends per second and session, for sessions that wait to be told.
        warmup: Seconds of work before the window.
        seconds: The length of the window.
        cpu: Reads the CPU time that the relay has used so far, in seconds.

    Raises:
        BrokenSessionError: A session broke, or an answer never came.
    """
    load = Load()
    async with open_sessions(target, load, kind, count) as sessions:
        load.running = True
        pacer = asyncio.create_task(_pace(load, sessions, rate))
        for session in sessions:
            session.start()
        await load.pause(warmup)
        load.recording = True
        wall_before, cpu_before, events_before = time.monotonic(), cpu(), load.relayed
        await load.pause(seconds)
        window = Window(
            wall=time.monotonic() - wall_before,
            cpu=cpu() - cpu_before,
            events=load.relayed - events_before,
            delays=sorted(load.delays),
        )
        load.recording = load.running = False
        await pacer
        await _settle(load, sessions)
    return window


async def measure_opening(target: Target, count: int, *, cpu: Callable[[], float]) -> Window:
    """Open `count` sessions, up to `session.created` each; here an event is a session opened."""
    wall_before, cpu_before = time.monotonic(), cpu()
    async with open_sessions(target, Load(), Session, count):
        return Window(wall=time.monotonic() - wall_before, cpu=cpu() - cpu_before, events=count)


async def measure_setup(target: Target, count: int) -> Window:
    """Open `count` sessions at once; their delays are from connecting to `session.created`."""
    load = Load()
    before = time.monotonic()
    async with open_sessions(target, load, Session, count, at_once=count) as sessions:
        wall = time.monotonic() - before
        delays = sorted(session.setup for session in sessions)
        return Window(wall=wall, cpu=0.0, events=count, delays=delays)


async def hold_idle(target: Target, count: int, settle: float, then: Callable[[], None]) -> None:
    """Hold `count` sessions that say nothing; call `then` once they have settled for a while."""
    load = Load()
    async with open_sessions(target, load, Session, count):
        await load.pause(settle)
        then()


async def try_session(target: Target) -> bool:
    """Open one session and close it; false if nobody listens yet."""
    try:
        async with open_sessions(target, Load(), Session, 1):
            return True
    except ConnectionRefusedError:
        return False


@asynccontextmanager
async def open_sessions(
    target: Target, load: Load, kind: type[Session], count: int, *, at_once: int = CONCURRENCY
) -> AsyncIterator[list[Session]]:
    """Sessions that have heard `session.created`; closed politely at the end.

    No more than `at_once` are being opened at a time.

    Raises:
        BrokenSessionError: A session was refused, or broke before the end.
        ConnectionRefusedError: Nobody listens there.
    """
    sessions = [kind(load) for _ in range(count)]
    try:
        await _some_at_a_time((_open(target, session) for session in sessions), at_once)
        load.check()
        yield sessions
        load.check()
        await _some_at_a_time(_close(session) for session in sessions)
    finally:
        for session in sessions:
            session.abort()


async def _open(target: Target, session: Session) -> None:
    before = time.monotonic_ns()
    try:
        await ws_connect(
            lambda: session,
            f"{target.base_url}/realtime?model={MODEL}",
            ssl_context=target.tls,
            websocket_handshake_timeout=PATIENCE,
            extra_headers={"Authorization": f"Bearer {target.token}", **session.headers},
            max_redirects=0,
        )
        await asyncio.wait_for(session.created.wait(), PATIENCE)
        session.setup = time.monotonic_ns() - before
    except (WSError, TimeoutError) as error:
        raise BrokenSessionError(f"a session did not open: {error!r}") from error


async def _close(session: Session) -> None:
    session.closing = True
    session.transport.send_close(WSCloseCode.OK)
    try:
        await asyncio.wait_for(session.transport.wait_disconnected(), PATIENCE)
    except TimeoutError as error:
        raise BrokenSessionError("a close frame was not answered") from error


async def _some_at_a_time(
    work: Iterable[Coroutine[None, None, None]], at_once: int = CONCURRENCY
) -> None:
    """Run all of it, never more than `at_once` at a time."""
    waiting = iter(work)

    async def worker() -> None:
        for coroutine in waiting:
            await coroutine

    workers = [asyncio.create_task(worker()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()


async def _pace(load: Load, sessions: Sequence[Session], rate: float) -> None:
    """Tell paced sessions when to send: evenly spread, and never waiting for answers."""
    paced = [session for session in sessions if isinstance(session, PacedSession)]
    if not paced:
        return
    turns = cycle(paced)
    interval = 1 / (rate * len(paced))
    due = time.monotonic()
    while load.running:
        now = time.monotonic()
        while due <= now:
            next(turns).append()
            due += interval
        await asyncio.sleep(0.001)


async def _settle(load: Load, sessions: Sequence[Session]) -> None:
    """Wait until everything that was asked has been answered; a slow relay may take its time."""
    relayed, deadline = load.relayed, time.monotonic() + PATIENCE
    while not all(session.settled() for session in sessions):
        if load.relayed > relayed:
            relayed, deadline = load.relayed, time.monotonic() + PATIENCE
        elif time.monotonic() > deadline:
            raise BrokenSessionError(f"answers are missing, and none came for {PATIENCE:.0f} s")
        await load.pause(0.01)
