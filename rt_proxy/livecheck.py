"""Opens a session on every channel, side by side, and says what came of each.

A channel is opened as the gate opens it, by the same ``UpstreamOpener`` with the same
dialer, keys and deadlines, so that what works here works there. Nothing is printed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import Random

import attrs
import trio

from rt_proxy.channels import Channel, Health, UpstreamRequest, make_channels
from rt_proxy.listener.admission import Ticket, admit
from rt_proxy.listener.dial import Dial, TcpDial
from rt_proxy.listener.house import House
from rt_proxy.listener.keys import Keys
from rt_proxy.listener.opening import Upstream, UpstreamOpener, dismiss
from rt_proxy.realtime.dialects import Dialect, dialect_of_first_event
from rt_proxy.realtime.frames import Message
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.realtime.looks import text_at
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.session.forwarding import ForwardingStream
from rt_proxy.settings import Settings
from rt_proxy.simulated import open_simulated
from rt_proxy.tokens.store import MemoryTokenStore
from rt_proxy.tokens.token import Token

_NO_MODEL = "it cannot be tried without a model: give --model NAME, or set default_model"
#: Of what an upstream calls its model or its event no more is shown.
_LONGEST_NAME = 128


@attrs.frozen
class Probe:
    """One session to open: on one channel, with one key.

    Attributes:
        channel: The channel; of several keys it has the one to try.
        key: Which key that is, counted from 1.
        keys: How many keys the settings have for the channel.
        model: The model to ask for, by the client's name; None: a transcription session.
        problem: Why it cannot be opened at all; None: it can be tried.
    """

    channel: Channel
    key: int = 1
    keys: int = 1
    model: str | None = None
    problem: str | None = None

    @property
    def label(self) -> str:
        """What people call it: the channel, and which of several keys."""
        several = f" (key {self.key} of {self.keys})" if self.keys > 1 else ""
        return f"{self.channel.name}{several}"

    @property
    def upstream_model(self) -> str | None:
        """The channel's name of the model; None: none is asked for."""
        return None if self.model is None else self.channel.upstream_model(self.model)

    @property
    def intent(self) -> str:
        """What the session is for: ``realtime`` or ``transcription``."""
        asks_for_none = self.model is None and self.problem is None
        return "transcription" if asks_for_none else "realtime"


@attrs.frozen
class Times:
    """How long each step took, in seconds; None: it was not reached.

    Attributes:
        connect: DNS, TCP and TLS, and a proxy on the way.
        upgrade: From there to the first bytes of the answer to the upgrade.
        first_event: From there to the first event.
        total: From the dial to the first event, or to the failure.
    """

    connect: float | None = None
    upgrade: float | None = None
    first_event: float | None = None
    total: float | None = None


@attrs.frozen
class Shown:
    """What an upstream showed with its first event.

    Attributes:
        event: The type of the event, such as ``session.created``.
        model: Its own name of the model, if it showed one.
        dialect: The dialect of the event; None: it fits both.
    """

    event: str
    model: str | None
    dialect: Dialect | None


@attrs.frozen
class LiveResult:
    """What came of a probe.

    Attributes:
        probe: The probe.
        times: How long the steps took.
        failure: Why it failed, in the words of the gate; None: a session was opened.
        shown: What the upstream showed; None: nothing was waited for, or nothing good came.
    """

    probe: Probe
    times: Times
    failure: str | None = None
    shown: Shown | None = None

    @property
    def wrong_dialect(self) -> Dialect | None:
        """The dialect that the upstream showed, where the channel has the other one."""
        shown = None if self.shown is None else self.shown.dialect
        return None if shown is self.probe.channel.dialect else shown


def probes(
    settings: Settings, *, model: str | None = None, transcription: bool = False
) -> tuple[Probe, ...]:
    """Return the sessions to open: one for each key of each channel, in their order.

    Args:
        settings: What is in force.
        model: What to ask for on channels that serve it; on others it is a model of theirs.
        transcription: Open transcription sessions, on the channels that take them, and no others.

    Raises:
        SettingsError: A channel is wrong.
    """
    return tuple(
        probe
        for channel in make_channels(settings)
        if channel.transcription or not transcription
        for probe in _probes_of(channel, settings, model, transcription=transcription)
    )


def _probes_of(
    channel: Channel, settings: Settings, model: str | None, *, transcription: bool
) -> Iterator[Probe]:
    asked = None if transcription else _model_of(channel, settings, model)
    only_transcribes = channel.transcription and channel.name == settings.transcription_channel
    can_be_tried = transcription or asked is not None or only_transcribes
    problem = None if can_be_tried else _NO_MODEL
    if not channel.api_keys:
        yield Probe(channel, model=asked, problem=problem)
    for number, key in enumerate(channel.api_keys, 1):
        yield Probe(
            attrs.evolve(channel, api_keys=(key,)),
            number,
            len(channel.api_keys),
            asked,
            problem,
        )


def _model_of(channel: Channel, settings: Settings, model: str | None) -> str | None:
    """Return a model to ask a channel for; None: only whoever asks could name one."""
    if model is not None and channel.upstream_model(model) is not None:
        return model
    default = settings.default_model
    if default in channel.models:
        return default
    named = next((name for name in channel.models if name != "*"), default)
    if named is None and channel.models["*"] != "*":
        return channel.models["*"]  # whatever clients say, this is what it becomes
    return named


async def check_live(
    settings: Settings,
    planned: Sequence[Probe],
    on_result: Callable[[LiveResult], None] = lambda _result: None,
    *,
    dial: Dial | None = None,
) -> list[LiveResult]:
    """Open every session, side by side, and close each as soon as it stands.

    What an upstream or the network does is told in the results, never raised.
    Cancelling closes whatever is open; sessions that stand are told so within a quarter
    of a second, and ``on_result`` has had all that was finished.

    Args:
        settings: What is in force; its deadlines hold for each session.
        planned: From ``probes``.
        on_result: Called with each result as it comes.
        dial: How upstreams are reached; default: TCP, and TLS with the system's certificates.

    Returns:
        The results, in the order of the probes.
    """
    dial = dial or TcpDial(keepalive=settings.timeouts.tcp_keepalive)
    results: dict[int, LiveResult] = {}

    async def run(index: int, probe: Probe) -> None:
        results[index] = await _run(probe, settings, dial)
        on_result(results[index])

    async with trio.open_nursery() as nursery:
        for index, probe in enumerate(planned):
            nursery.start_soon(run, index, probe)
    return [results[index] for index in sorted(results)]


async def _run(probe: Probe, settings: Settings, dial: Dial) -> LiveResult:
    if probe.problem is not None:
        await trio.lowlevel.checkpoint()
        return LiveResult(probe, Times(), probe.problem)
    async with trio.open_nursery() as room:
        watch = _Stopwatch(room, dial)
        opener = UpstreamOpener(room, _house(settings, probe.channel, watch))
        ticket = _ticket(probe)
        outcome = ticket if isinstance(ticket, Refusal) else await opener.open(ticket)
        if isinstance(outcome, Upstream):
            result = await _look_at(probe, outcome, watch)
        else:
            why = "; ".join(failure.why for failure in opener.failures) or outcome.message
            result = LiveResult(probe, attrs.evolve(watch.times(), first_event=None), why)
        room.cancel_scope.cancel("the session is over")
    return result


async def _look_at(probe: Probe, upstream: Upstream, watch: "_Stopwatch") -> LiveResult:
    """See what a session that stands has shown, and leave it."""
    times, shown = watch.times(), None
    try:
        if not probe.channel.first_event:
            times = attrs.evolve(times, first_event=None)
        else:
            first = await upstream.leg.read_message()
            if isinstance(first, Message):
                shown = _shown(first.payload)
    finally:
        upstream.seat.close()
        await dismiss(upstream.leg)
    return LiveResult(probe, times, shown=shown)


def _shown(payload: bytes) -> Shown | None:
    event = parse_object(payload)
    if event is None:
        return None
    model = text_at(event, "session", "model")
    return Shown(
        _readable(text_at(event, "type") or "an event without a type"),
        _readable(model) if model else None,
        dialect_of_first_event(event),
    )


def _readable(text: str) -> str:
    """Return a text of an upstream's with everything escaped that could act on a terminal."""
    return (text if text.isprintable() else ascii(text)[1:-1])[:_LONGEST_NAME]


def _house(settings: Settings, channel: Channel, dial: Dial) -> House:
    """Return a house for one session: keys and health of its own, so that none spoils another."""
    return House(
        settings=settings,
        channels=(channel,),
        trusted_proxies=(),
        tokens=MemoryTokenStore(),
        dial=dial,
        keys=Keys(),
        health=Health(settings.health, _random()),
    )


def _ticket(probe: Probe) -> Ticket | Refusal:
    return admit(
        Hello.asking_for(probe.model, transcription=probe.intent == "transcription"),
        Token("tok_check", "check", "0" * 64, datetime.now(UTC)),
        (probe.channel,),
        default_model=None,
        client_dialect="auto",
        transcription_channel=None,
        health={},
        now=trio.current_time(),
        random=_random(),
    )


def _random() -> Random:
    return Random(0)  # noqa: S311 - with one channel nothing is left to chance


class _Stopwatch:
    """Dials for one session, and notes when each step was done (mutable: it notes)."""

    def __init__(self, room: trio.Nursery, dial: Dial) -> None:
        self._room = room
        self._dial = dial
        self._began = trio.current_time()
        self._connected = math.inf
        self._answered = math.inf

    async def __call__(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        """Dial as the proxy does. Cancelling leaves nothing open."""
        self._began = trio.current_time()  # a key that had to be fetched does not count
        if channel.provider == "simulator":
            stream = await open_simulated(self._room, channel)
        else:
            stream = await self._dial(channel, request)
        self._connected = trio.current_time()
        return _Watched(stream, self)

    def note_bytes(self) -> None:
        """Note that bytes came; the first of them answer the upgrade."""
        self._answered = min(self._answered, trio.current_time())

    def times(self) -> Times:
        """Return the times, of a session that stands or has failed now."""
        now = trio.current_time()
        return Times(
            _step(self._began, self._connected),
            _step(self._connected, self._answered),
            _step(self._answered, now),
            now - self._began,
        )


def _step(begin: float, end: float) -> float | None:
    return end - begin if math.isfinite(begin) and math.isfinite(end) else None


class _Watched(ForwardingStream):
    """A stream that tells a stopwatch when bytes come."""

    def __init__(self, stream: trio.abc.Stream, watch: _Stopwatch) -> None:
        super().__init__(stream)
        self._watch = watch

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await super().receive_some(max_bytes)
        self._watch.note_bytes()
        return data
