"""The tables of a run, as text."""

from collections.abc import Callable, Iterator, Sequence
from operator import sub, truediv
from statistics import median

import attrs
import figures
from figures import Mode, Sample, Spread
from relays import First, Relay, Transport

#: Columns of words; all others hold numbers, and stand at the right.
_WORDS = (
    "mode",
    "client",
    "usage",
    "upstream",
    "relay",
    "first",
    "when",
    "target",
    "verdict",
    "note",
)
#: A relay that lets less than this share of the events through in time has a growing queue.
_KEEPS_UP = 0.97

Row = tuple[str, ...]


@attrs.frozen
class Group:
    """The samples of one relay in one mode and transport, and those it is compared with."""

    mode: Mode
    transport: Transport
    relay: Relay
    own: Sequence[Sample]
    plain: Sequence[Sample]
    direct: Sequence[Sample]

    @property
    def names(self) -> Row:
        """The first cells of its row."""
        return (self.mode, self.transport.upper(), self.relay)

    def middle(self, figure: Callable[[Sample], float]) -> float:
        """The median of a figure."""
        return median(figure(sample) for sample in self.own)


def report(samples: Sequence[Sample]) -> str:
    """All tables for which something was measured."""
    tables = (
        _cpu(samples),
        _translation(samples),
        _metering(samples),
        _memory(samples),
        _delays(samples),
        _openings(samples),
        _setups(samples),
    )
    return "\n".join(table for table in tables if table)


def _cpu(samples: Sequence[Sample]) -> str:
    modes = (Mode.PING_PONG, Mode.BURSTS, Mode.PACED)
    return _table(
        "CPU of the relay per event: user + system; an event is one message relayed one way",
        "mode upstream relay sessions events/s core us/event of-plain range target verdict",
        [_cpu_row(group) for group in _groups(samples, *modes)],
    )


def _cpu_row(group: Group) -> Row:
    sessions = f"{group.own[0].sessions}"
    rate = f"{group.middle(figures.events_per_second):,.0f}"
    if group.relay is Relay.DIRECT:
        return (*group.names, sessions, rate, "-", "-", "-", "-", "", "")
    cpu = f"{group.middle(figures.cpu_per_event):.1f}"
    core = f"{group.middle(figures.core_share):.0%}"
    ratio = figures.compare(figures.cpu_per_event, truediv, group.own, group.plain)
    cells = (*group.names, sessions, rate, core, cpu)
    if ratio is None or group.relay is Relay.PLAIN:
        return (*cells, "-", "-", "", "")
    target = figures.CPU_TARGETS[group.mode, group.transport]
    shares = (f"{ratio.middle:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}")
    return (*cells, *shares, f"<= {target:.2f}", _verdict(ratio.middle, target))


def _translation(samples: Sequence[Sample]) -> str:
    return _table(
        "CPU of rt-proxy per event in bursts: a GA client and a Beta client on a GA upstream",
        "client upstream sessions events/s core us/event of-GA range target verdict",
        [row for group in _groups(samples, Mode.BETA_BURSTS) for row in _translation_rows(group)],
    )


def _translation_rows(group: Group) -> Iterator[Row]:
    ga = [sample for sample in group.own if not sample.translated]
    beta = [sample for sample in group.own if sample.translated]
    ratio = figures.compare(figures.cpu_per_event, truediv, beta, ga)
    for client, own in (("GA", ga), ("Beta", beta)):
        taken = attrs.evolve(group, own=own)
        cells = (client, group.transport.upper(), f"{own[0].sessions}")
        rate = f"{taken.middle(figures.events_per_second):,.0f}"
        cpu = f"{taken.middle(figures.cpu_per_event):.1f}"
        cells = (*cells, rate, f"{taken.middle(figures.core_share):.0%}", cpu)
        if ratio is None or own is ga:
            yield (*cells, "-", "-", "", "")
            continue
        target = figures.TRANSLATION_TARGET
        shares = (f"{ratio.middle:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}")
        yield (*cells, *shares, f"<= {target:.2f}", _verdict(ratio.middle, target))


def _metering(samples: Sequence[Sample]) -> str:
    return _table(
        "CPU of rt-proxy per event at the pace of calls: without usage, and with a ledger and a "
        "budget",
        "usage upstream sessions events/s core us/event of-without range target verdict",
        [row for transport in Transport for row in _metering_rows(samples, transport)],
    )


def _metering_rows(samples: Sequence[Sample], transport: Transport) -> Iterator[Row]:
    of = {
        relay: [s for s in samples if (s.mode, s.transport, s.relay) == place]
        for relay in (Relay.RT_PROXY, Relay.METERED)
        if (place := (Mode.PACED, transport, relay))
    }
    without, metered = of[Relay.RT_PROXY], of[Relay.METERED]
    ratio = figures.compare(figures.cpu_per_event, truediv, metered, without)
    if ratio is None:
        return
    for name, own in (("without", without), ("metered", metered)):
        group = Group(Mode.PACED, transport, own[0].relay, own, [], [])
        rate = f"{group.middle(figures.events_per_second):,.0f}"
        core = f"{group.middle(figures.core_share):.0%}"
        cpu = f"{group.middle(figures.cpu_per_event):.2f}"
        cells = (name, transport.upper(), f"{own[0].sessions}", rate, core, cpu)
        if own is without:
            yield (*cells, "-", "-", "", "")
            continue
        target = figures.METERING_TARGET
        shares = (f"{ratio.middle:.3f}", f"{ratio.low:.3f}-{ratio.high:.3f}")
        yield (*cells, *shares, f"<= {target:.2f}", _verdict(ratio.middle, target))


def _memory(samples: Sequence[Sample]) -> str:
    return _table(
        "Memory per idle session: growth of the relay's process / sessions, in KiB",
        "mode upstream relay sessions MiB-before resident PSS USS target verdict",
        [_memory_row(group) for group in _groups(samples, Mode.IDLE)],
    )


def _memory_row(group: Group) -> Row:
    before = group.middle(figures.mib_before)
    kinds = (figures.rss_per_session, figures.pss_per_session, figures.uss_per_session)
    rss, pss, uss = (group.middle(kind) for kind in kinds)
    cells = (*group.names, f"{group.own[0].sessions}", f"{before:.1f}")
    cells = (*cells, f"{rss:.1f}", f"{pss:.1f}", f"{uss:.1f}")
    if group.relay is not Relay.RT_PROXY:
        return (*cells, "", "")
    target = figures.MEMORY_TARGET
    return (*cells, f"<= {target:.0f}", _verdict(rss, target))


def _delays(samples: Sequence[Sample]) -> str:
    return _table(
        "Delay of an event from sender to receiver, in ms, and what the relay adds to direct",
        "mode upstream relay sessions p50 p99 p99.9 added-p50 added-p99 added-p99.9 note",
        [_delay_row(group) for group in _groups(samples, Mode.PACED)],
    )


def _delay_row(group: Group) -> Row:
    kinds = (figures.delay_p50, figures.delay_p99, figures.delay_p999)
    delays = [f"{group.middle(kind):.2f}" for kind in kinds]
    cells = (*group.names, f"{group.own[0].sessions}", *delays)
    if group.relay is Relay.DIRECT:
        return (*cells, "-", "-", "-", "")
    added = [figures.compare(kind, sub, group.own, group.direct) for kind in kinds]
    through = figures.compare(figures.events_per_second, truediv, group.own, group.direct)
    behind = through is not None and through.middle < _KEEPS_UP
    return (*cells, *map(_added, added), "falls behind" if behind else "")


def _openings(samples: Sequence[Sample]) -> str:
    return _table(
        "Sessions opened, up to session.created",
        "mode upstream relay sessions opened/s CPU-ms/session",
        [_opening_row(group) for group in _groups(samples, Mode.OPENING)],
    )


def _opening_row(group: Group) -> Row:
    rate = f"{group.middle(figures.events_per_second):,.0f}"
    cpu = f"{group.middle(figures.cpu_per_event) / 1e3:.2f}"
    cells = (*group.names, f"{group.own[0].sessions}", rate)
    return (*cells, "-" if group.relay is Relay.DIRECT else cpu)


def _setups(samples: Sequence[Sample]) -> str:
    return _table(
        "Setup of a session, from connecting to session.created, in ms, all at once",
        "upstream relay first when sessions p50 p99 added-p50 range",
        [row for group in _groups(samples, Mode.FAILOVER) for row in _setup_rows(group)],
    )


def _setup_rows(group: Group) -> Iterator[Row]:
    """A row for each kind of first channel, alone and at once: beside direct, or beside well."""
    well = [sample for sample in group.own if sample.first is First.WELL]
    kinds = dict.fromkeys((one.first, one.sessions, one.known) for one in group.own)
    for kind in sorted(kinds, key=lambda kind: (kind[1], list(First).index(kind[0]))):
        first, sessions, known = kind
        own = [one for one in group.own if (one.first, one.sessions, one.known) == kind]
        taken = attrs.evolve(group, own=own)
        is_direct = group.relay is Relay.DIRECT
        reference = group.direct if first is First.WELL else well
        reference = [one for one in reference if one.sessions == sessions]
        added = None if is_direct else figures.compare(figures.delay_p50, sub, own, reference)
        yield (
            group.transport.upper(),
            group.relay,
            "-" if is_direct else first,
            "-" if first is First.WELL else ("after" if known else "before"),
            f"{sessions}",
            f"{taken.middle(figures.delay_p50):.1f}",
            f"{taken.middle(figures.delay_p99):.1f}",
            "-" if added is None else f"{added.middle:+.1f}",
            "-" if added is None else f"{added.low:+.1f}..{added.high:+.1f}",
        )


def _groups(samples: Sequence[Sample], *modes: Mode) -> Iterator[Group]:
    for mode in modes:
        for transport in Transport:
            of = {
                relay: [s for s in samples if (s.mode, s.transport, s.relay) == place]
                for relay in Relay
                if relay is not Relay.METERED
                if (place := (mode, transport, relay))
            }
            for relay, own in of.items():
                if own:
                    yield Group(mode, transport, relay, own, of[Relay.PLAIN], of[Relay.DIRECT])


def _verdict(value: float, target: float) -> str:
    return "met" if value <= target else "MISSED"


def _added(delay: Spread | None) -> str:
    return "-" if delay is None else f"{delay.middle:+.2f}"


def _table(title: str, heading: str, rows: Sequence[Row]) -> str:
    """Columns in line under a title; nothing without rows."""
    if not rows:
        return ""
    columns = tuple(heading.split())
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    aligns = ["<" if column in _WORDS else ">" for column in columns]
    texts = [
        "  ".join(f"{cell:{a}{w}}" for cell, a, w in zip(line, aligns, widths, strict=True))
        for line in lines
    ]
    return "\n".join([title, "", *(f"  {text}".rstrip() for text in texts), ""])
