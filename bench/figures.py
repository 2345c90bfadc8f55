"""Samples, one for each measurement, and the figures that are made from them. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from statistics import median

import attrs
from processes import Memory
from relays import First, Relay, Transport


class Mode(StrEnum):
    """What the sessions do while they are measured."""

    PING_PONG = "ping-pong"
    BURSTS = "bursts"
    BETA_BURSTS = "beta-bursts"
    PACED = "paced"
    OPENING = "opening"
    FAILOVER = "failover"
    IDLE = "idle"


#: CPU per event of rt-proxy, as a share of what the plain relay needs: at most this.
CPU_TARGETS = {
    (Mode.PING_PONG, Transport.TCP): 0.6,
    (Mode.BURSTS, Transport.TCP): 0.25,
    (Mode.PACED, Transport.TCP): 0.55,
    (Mode.PING_PONG, Transport.TLS): 0.7,
    (Mode.BURSTS, Transport.TLS): 0.5,
    (Mode.PACED, Transport.TLS): 0.7,
}
#: CPU per event of rt-proxy for a Beta client, as a share of what a GA client needs: at most this.
TRANSLATION_TARGET = 1.6
#: What metering may cost at most in `paced`, as a share of what rt-proxy costs without it.
METERING_TARGET = 1.05
#: Memory per idle session of rt-proxy, in KiB of resident memory: at most this.
MEMORY_TARGET = 80.0


@attrs.frozen
class Percentiles:
    """Delays of events in milliseconds: half, 99 % and 99.9 % of the events took at most this."""

    p50: float
    p99: float
    p999: float


@attrs.frozen
class Sample:
    """One measurement.

    Attributes:
        mode: What the sessions did.
        transport: What the upstream spoke.
        relay: What stood between.
        round: Counted from 0; the samples of a round were taken side by side.
        sessions: How many sessions there were.
        translated: The clients spoke Beta, and the upstream GA.
        first: What the channel was like that was tried first, in mode `failover`.
        known: That it is dead had been found out before, if it was.
        wall: The length of the window, in seconds.
        cpu: CPU time of the relay in the window, user and system, in seconds.
        events: Events relayed in the window; in mode `opening`, sessions opened.
        delays: The delays of the events, in mode `paced`; of whole setups in `failover`.
        before: Memory of the relay before the sessions, in mode `idle`.
        holding: Memory of the relay while it held them, in mode `idle`.
    """

    mode: Mode
    transport: Transport
    relay: Relay
    round: int
    sessions: int
    translated: bool = False
    first: First = First.WELL
    known: bool = True
    wall: float = 0.0
    cpu: float = 0.0
    events: int = 0
    delays: Percentiles | None = None
    before: Memory | None = None
    holding: Memory | None = None


@attrs.frozen
class Spread:
    """A figure of several rounds: its median and its extremes."""

    middle: float
    low: float
    high: float


def percentiles(delays: Sequence[int]) -> Percentiles:
    """From delays in nanoseconds, sorted, at least one."""
    p50, p99, p999 = (delays[int(share * (len(delays) - 1))] for share in (0.5, 0.99, 0.999))
    return Percentiles(p50 / 1e6, p99 / 1e6, p999 / 1e6)


def cpu_per_event(sample: Sample) -> float:
    """Microseconds."""
    return sample.cpu / sample.events * 1e6


def events_per_second(sample: Sample) -> float:
    """Relayed in both directions together; in mode `opening`, sessions."""
    return sample.events / sample.wall


def core_share(sample: Sample) -> float:
    """The share of its core that the relay used."""
    return sample.cpu / sample.wall


def delay_p50(sample: Sample) -> float:
    """Milliseconds; so are the other two."""
    return _delays(sample).p50


def delay_p99(sample: Sample) -> float:
    """See `delay_p50`."""
    return _delays(sample).p99


def delay_p999(sample: Sample) -> float:
    """See `delay_p50`."""
    return _delays(sample).p999


def _delays(sample: Sample) -> Percentiles:
    if sample.delays is None:
        raise ValueError(f"no delays were noted in mode {sample.mode}")
    return sample.delays


def mib_before(sample: Sample) -> float:
    """Resident memory of the relay before the sessions."""
    return _memories(sample)[0].rss / 2**20


def rss_per_session(sample: Sample) -> float:
    """Growth in KiB for each session held; so are the other two."""
    before, holding = _memories(sample)
    return (holding.rss - before.rss) / 2**10 / sample.sessions


def pss_per_session(sample: Sample) -> float:
    """See `rss_per_session`."""
    before, holding = _memories(sample)
    return (holding.pss - before.pss) / 2**10 / sample.sessions


def uss_per_session(sample: Sample) -> float:
    """See `rss_per_session`."""
    before, holding = _memories(sample)
    return (holding.uss - before.uss) / 2**10 / sample.sessions


def _memories(sample: Sample) -> tuple[Memory, Memory]:
    if sample.before is None or sample.holding is None:
        raise ValueError(f"no memory was read in mode {sample.mode}")
    return sample.before, sample.holding


def spread(values: Iterable[float]) -> Spread:
    """From at least one value."""
    every = sorted(values)
    return Spread(median(every), every[0], every[-1])


def compare(
    figure: Callable[[Sample], float],
    how: Callable[[float, float], float],
    samples: Iterable[Sample],
    reference: Iterable[Sample],
) -> Spread | None:
    """Compare samples with those of a reference, round by round; None if no round has both."""
    by_round = {sample.round: figure(sample) for sample in reference}
    pairs = [
        how(figure(sample), by_round[sample.round])
        for sample in samples
        if sample.round in by_round
    ]
    return spread(pairs) if pairs else None
