"""Measure rt-proxy beside a plain relay and beside no relay, and print the figures as tables.

README.md says what is measured, how, and how to read it.
"""

import argparse
import gc
import json
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import attrs
import load
import uvloop
from clients import (
    BetaBurstSession,
    BrokenSessionError,
    BurstSession,
    PacedSession,
    PingPongSession,
)
from figures import Mode, Sample, percentiles
from processes import Memory, ProcessError
from relays import COOLDOWN, Bench, Endpoint, First, Relay, Transport
from report import report

#: What sessions do, in the modes in which events are relayed.
_WORK = {
    Mode.PING_PONG: PingPongSession,
    Mode.BURSTS: BurstSession,
    Mode.BETA_BURSTS: BurstSession,
    Mode.PACED: PacedSession,
}
#: How long a process may take until it holds a session, in seconds.
_READY_SECONDS = 30.0
#: So much longer than it is set a cooldown may be, with the rest that a timer needs.
_MOST_JITTER = 1.3


@attrs.frozen
class Plan:
    """What to measure, and how long.

    Attributes:
        modes: What the sessions do.
        relays: What stands between.
        transports: What the upstream speaks.
        seconds: The length of a measured window.
        warmup: Seconds of work before each window.
        rounds: How often each measurement is taken.
        rate: Appends per second of a paced session; each is answered by one delta.
        settle: How many seconds idle sessions are held before memory is read.
        sessions: How many sessions each mode has.
    """

    modes: tuple[Mode, ...]
    relays: tuple[Relay, ...]
    transports: tuple[Transport, ...]
    seconds: float
    warmup: float
    rounds: int
    rate: float
    settle: float
    sessions: Mapping[Mode, int]


def measure(plan: Plan, bench: Bench) -> Iterator[Sample]:
    """Take every sample of the plan; each mode has fresh processes.

    Raises:
        BrokenSessionError: A relay lost a session or an event.
        ProcessError: A process did not start, or ended on its own.
    """
    for transport in plan.transports:
        for mode in plan.modes:
            with ExitStack() as stack:
                upstream = stack.enter_context(bench.upstream(transport))
                _wait_ready(upstream)
                if mode is Mode.FAILOVER:
                    yield from _take_setups(plan, bench, stack, upstream, transport)
                    continue
                endpoints = [
                    stack.enter_context(bench.relay(relay, upstream))
                    for relay in plan.relays
                    if relay is not Relay.METERED or mode is Mode.PACED
                ]
                for endpoint in endpoints:
                    _wait_ready(endpoint)
                yield from _take_turns(plan, mode, transport, endpoints)


def _take_turns(
    plan: Plan, mode: Mode, transport: Transport, endpoints: Sequence[Endpoint]
) -> Iterator[Sample]:
    """Measure all in turn, round after round, so that noise of the machine meets all alike."""
    for round_ in range(plan.rounds):
        for endpoint in endpoints:
            if not _is_needed(mode, endpoint.relay, round_):
                continue
            where = f"{mode}, {transport.upper()} upstream, {endpoint.relay}"
            _progress(f"{where}, round {round_ + 1} of {plan.rounds}")
            empty = Sample(mode, transport, endpoint.relay, round_, plan.sessions[mode])
            with _explained(where, endpoint):
                yield _take(plan, endpoint, empty)
                if mode is Mode.BETA_BURSTS:
                    yield _take(plan, endpoint, attrs.evolve(empty, translated=True))


def _take_setups(
    plan: Plan, bench: Bench, stack: ExitStack, upstream: Endpoint, transport: Transport
) -> Iterator[Sample]:
    """Measure setups: direct, through rt-proxy, and through rt-proxy with a dead first channel.

    One session finds out that the channel is dead. What many cost is measured right after it,
    and the next round when that is forgotten: when the cooldown has passed.
    """
    pairs = [(Relay.DIRECT, First.WELL), *((Relay.RT_PROXY, first) for first in First)]
    endpoints = [
        (first, stack.enter_context(bench.relay(relay, upstream, first)))
        for relay, first in pairs
        if relay in plan.relays
    ]
    for _, endpoint in endpoints:
        _wait_ready(endpoint)
    for round_ in range(plan.rounds):
        _progress(f"failover, {transport.upper()} upstream, round {round_ + 1} of {plan.rounds}")
        time.sleep(COOLDOWN * _MOST_JITTER)
        for first, endpoint in endpoints:
            sessions = plan.sessions[Mode.FAILOVER]
            sample = Sample(Mode.FAILOVER, transport, endpoint.relay, round_, sessions, first=first)
            one = attrs.evolve(sample, sessions=1, known=first is First.WELL)
            yield _take_setup(endpoint, one)
            yield _take_setup(endpoint, sample)


def _take_setup(endpoint: Endpoint, sample: Sample) -> Sample:
    with _explained(f"failover, {sample.relay}, first channel {sample.first}", endpoint):
        window = uvloop.run(load.measure_setup(endpoint.target, sample.sessions))
    return attrs.evolve(
        sample, wall=window.wall, events=window.events, delays=percentiles(window.delays)
    )


@contextmanager
def _explained(where: str, endpoint: Endpoint) -> Iterator[None]:
    """Tell of a broken session where it broke, and what the other side wrote about it."""
    try:
        yield
    except BrokenSessionError as error:
        endpoint.child.check(grace=1.0)
        raise BrokenSessionError(f"{where}: {error}\n{endpoint.child.log_tail()}") from error


def _is_needed(mode: Mode, relay: Relay, round_: int) -> bool:
    """Whether to measure this relay in this round of this mode.

    Only rt-proxy translates, and is its own measure; what it costs to meter is told by the pace of
    calls. Memory does not vary, and a second reading in
    the same process would miss what the first left behind. Without a relay there is no memory to
    measure, and of its work one round tells enough: how much load generator and upstream can do.
    """
    match mode, relay:
        case _, Relay.METERED:
            return mode is Mode.PACED
        case Mode.BETA_BURSTS, _:
            return relay is Relay.RT_PROXY
        case Mode.IDLE, _:
            return relay is not Relay.DIRECT and round_ == 0
        case ((Mode.PING_PONG | Mode.BURSTS), Relay.DIRECT):
            return round_ == 0
        case _:
            return True


def _take(plan: Plan, endpoint: Endpoint, sample: Sample) -> Sample:
    """Measure, and fill in the sample."""
    match sample.mode:
        case Mode.IDLE:
            return _take_memory(plan, endpoint, sample)
        case Mode.OPENING:
            opening = load.measure_opening(endpoint.target, sample.sessions, cpu=endpoint.cpu)
            window = uvloop.run(opening)
        case mode:
            working = load.measure_work(
                endpoint.target,
                BetaBurstSession if sample.translated else _WORK[mode],
                sample.sessions,
                rate=plan.rate,
                warmup=plan.warmup,
                seconds=plan.seconds,
                cpu=endpoint.cpu,
            )
            window = uvloop.run(working)
    if not window.events:
        raise BrokenSessionError("no event came through in the whole window")
    return attrs.evolve(
        sample,
        wall=window.wall,
        cpu=window.cpu,
        events=window.events,
        delays=percentiles(window.delays) if window.delays else None,
    )


def _take_memory(plan: Plan, endpoint: Endpoint, sample: Sample) -> Sample:
    before = endpoint.child.memory()
    held: list[Memory] = []
    holding = load.hold_idle(
        endpoint.target,
        sample.sessions,
        plan.settle,
        then=lambda: held.append(endpoint.child.memory()),
    )
    uvloop.run(holding)
    return attrs.evolve(sample, before=before, holding=held[0])


def _wait_ready(endpoint: Endpoint) -> None:
    """Wait until a session can be opened; the first also pays what only the first one costs."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        endpoint.child.check()
        with _explained(f"first session, {endpoint.relay}", endpoint):
            if uvloop.run(load.try_session(endpoint.target)):
                return
        time.sleep(0.05)
    raise ProcessError(f"{endpoint.child.name} does not listen\n{endpoint.child.log_tail()}")


def _parse() -> tuple[Plan, Path | None]:
    """The plan, and the file for the samples."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="short windows and few sessions: does it work?")
    add("--modes", nargs="+", type=Mode, choices=list(Mode), default=list(Mode), metavar="MODE")
    add(
        "--relays", nargs="+", type=Relay, choices=list(Relay), default=list(Relay), metavar="RELAY"
    )
    add("--upstream", choices=[*Transport, "both"], default="both", help="default: both")
    add("--seconds", type=float, help="length of a measured window (default: 4)")
    add("--repeat", type=int, help="rounds of each measurement (default: 5)")
    add("--rate", type=float, default=50.0, help="appends/s of a paced session (default: 50)")
    add("--json", type=Path, metavar="FILE", help="write the samples to a file, too")
    given = parser.parse_args()
    quick = given.quick
    seconds = given.seconds or (0.5 if quick else 4.0)
    plan = Plan(
        modes=tuple(given.modes),
        relays=tuple(given.relays),
        transports=tuple(Transport) if given.upstream == "both" else (Transport(given.upstream),),
        seconds=seconds,
        warmup=min(1.0, seconds / 2),
        rounds=given.repeat or (1 if quick else 5),
        rate=given.rate,
        settle=0.5 if quick else 3.0,
        sessions={
            Mode.PING_PONG: 8,
            Mode.BURSTS: 8,
            Mode.BETA_BURSTS: 8,
            Mode.PACED: 20 if quick else 100,
            Mode.OPENING: 50 if quick else 500,
            Mode.FAILOVER: 20 if quick else 200,
            Mode.IDLE: 100 if quick else 1000,
        },
    )
    return plan, given.json


def _environment() -> dict[str, str]:
    """What the figures depend on."""
    names = ("rt-proxy", "trio", "trio-websocket", "wsproto", "picows", "uvloop")
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in names},
        "kernel": platform.release(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _raise_file_limit() -> None:
    """A thousand sessions are two thousand descriptors in a relay; children inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _on_terminate(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)  # unwinds, so that every process is ended


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and print the tables; status 0 if everything could be measured."""
    plan, json_file = _parse()
    environment = _environment()
    _raise_file_limit()
    signal.signal(signal.SIGTERM, _on_terminate)
    if len(os.sched_getaffinity(0)) == 1:
        _progress("only one core: the relay shares it with load generator and upstream")
    gc.freeze()
    try:
        with Bench.open(sessions=max(plan.sessions.values()) + 100) as bench:
            samples = list(measure(plan, bench))
    except (BrokenSessionError, ProcessError) as error:
        sys.exit(f"relay.py: {error}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if json_file is not None:
        rows = [attrs.asdict(sample) for sample in samples]
        json_file.write_text(json.dumps({"environment": environment, "samples": rows}, indent=1))
    print(", ".join(f"{name} {value}" for name, value in environment.items()))
    print(f"windows of {plan.seconds:g} s, {plan.rounds} rounds; figures are medians\n")
    print(report(samples))


if __name__ == "__main__":
    main()
