"""Facts about opening a session on every channel, to see which of them work."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import attrs
import kit
import pytest
import trio
import trustme
from dialkit import Handler, hang_up, server, server_context

from rt_proxy import Settings
from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.livecheck import LiveResult, Probe, Shown, check_live, probes
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings, KeySource, Secret, Timeouts
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import Fault

SHORT = Timeouts(dial=2, first_event=2)
pytestmark = pytest.mark.log_says("its upstream speaks the", "its key is refused", "no new key")


def channel(name: str = "c", port: int = 9, **fields: object) -> ChannelSettings:
    """Return a channel of a server on this machine."""
    made = ChannelSettings(
        name, "compatible", ["m"], base_url=f"ws://127.0.0.1:{port}/v1", auth="none"
    )
    return attrs.evolve(made, **fields)


def simulator(name: str, **fields: object) -> ChannelSettings:
    """Return a channel that is a simulator, in memory."""
    return attrs.evolve(ChannelSettings(name, "simulator", ["m"]), **fields)


async def check(*channels: ChannelSettings, timeouts: Timeouts = SHORT) -> list[LiveResult]:
    """Check channels."""
    settings = Settings(channels=channels, timeouts=timeouts)
    with trio.fail_after(kit.LONG):
        return await check_live(settings, probes(settings))


@asynccontextmanager
async def simulators(*faults: Fault, dialect: Dialect = Dialect.GA) -> AsyncIterator[list[int]]:
    """Serve a simulated provider for each fault, and give the ports."""
    async with AsyncExitStack() as stack:
        handlers = [partial(serve_simulated, fault=fault, dialect=dialect) for fault in faults]
        yield [await stack.enter_async_context(server(handler)) for handler in handlers]


def upstream(*events: dict[str, object], goodbyes: list[int | None]) -> Handler:
    """Return an upstream that says some events, and notes how it was left."""

    async def handle(stream: trio.SocketStream) -> None:
        peer = kit.Peer(stream, masks=False)
        head = await peer.read_head()
        accepting = kit.Upstream(stream, None, None)  # type: ignore[arg-type]
        accepting.head = head
        await accepting.send_raw(accepting.answer_101())
        for event in events:
            await accepting.say(event)
        goodbyes.append((await accepting.farewell()).code)

    return handle


class Gate:
    """A server that takes one key (mutable: it remembers those that it saw)."""

    def __init__(self, good: str) -> None:
        self.good = good
        self.keys: list[str] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        async with stream:
            peer = kit.Upstream(stream, None, None)  # type: ignore[arg-type]
            peer.head = await peer.read_head()
            key = peer.head.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()
            self.keys.append(key)
            if key != self.good:
                await peer.send_raw(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
                return
            await peer.send_raw(peer.answer_101())
            await peer.say(kit.created())
            await peer.farewell()


class TestProbes:
    """What is going to be tried."""

    @pytest.mark.parametrize(
        ("models", "default", "asked", "model", "far"),
        [
            ({"a": "A", "b": "B"}, None, None, "a", "A"),
            ({"a": "A", "b": "B"}, "b", None, "b", "B"),
            ({"a": "A", "b": "B"}, "b", "a", "a", "A"),
            ({"a": "A", "b": "B"}, None, "x", "a", "A"),
            ({"*": "*", "a": "A"}, "x", None, "a", "A"),
            ({"*": "*"}, "x", None, "x", "x"),
            ({"*": "*"}, None, "y", "y", "y"),
            ({"*": "only"}, None, None, "only", "only"),
        ],
    )
    def test_model(
        self,
        models: dict[str, str],
        default: str | None,
        asked: str | None,
        model: str,
        far: str,
    ) -> None:
        """What was asked for if it is served, else the default, else one of the channel's own."""
        others = channel("other", models=["x", "b"])
        settings = Settings((channel(models=models), others), default_model=default)
        probe, _ = probes(settings, model=asked)

        assert (probe.model, probe.upstream_model, probe.intent) == (model, far, "realtime")
        assert probe.problem is None

    def test_no_model(self) -> None:
        """A channel that serves any model cannot be tried where nobody names one."""
        [probe] = probes(Settings((channel(models=["*"]),)))

        assert probe.problem is not None
        assert "--model NAME" in probe.problem

    def test_a_channel_for_transcription(self) -> None:
        """The channel of transcription sessions is tried with one, where it has no model."""
        settings = Settings((channel(models=["*"]),), transcription_channel="c")
        [probe] = probes(settings)

        assert (probe.model, probe.intent, probe.problem) == (None, "transcription", None)

    def test_transcription(self) -> None:
        """Transcription sessions are tried on the channels that take them."""
        settings = Settings((channel("a"), channel("b", transcription=False)))

        assert [
            (probe.channel.name, probe.intent) for probe in probes(settings, transcription=True)
        ] == [("a", "transcription")]

    def test_keys(self) -> None:
        """Each of several keys is tried, and told by its number."""
        keys = (Secret("sk-one"), Secret("sk-two"))
        settings = Settings((channel("a", auth="bearer", api_keys=keys), channel("b")))
        planned = probes(settings)

        assert [probe.label for probe in planned] == ["a (key 1 of 2)", "a (key 2 of 2)", "b"]
        assert [probe.channel.api_keys for probe in planned] == [keys[:1], keys[1:], ()]


async def test_simulators_in_memory() -> None:
    """Simulators are opened without a port; each result has its times and what was shown."""
    good, beta, refused = await check(
        simulator("good"), simulator("beta", dialect="beta"), simulator("no", fault="refuse=503")
    )

    assert good.failure is None
    assert good.shown == Shown("session.created", "m", Dialect.GA)
    assert good.wrong_dialect is None
    assert beta.shown == Shown("session.created", "m", Dialect.BETA)
    assert refused.failure == "HTTP 503"
    assert refused.shown is None


async def test_times() -> None:
    """The steps make up the total, which is that to the first event."""
    async with simulators(Fault(delay=0.15)) as [port]:
        [result] = await check(channel(port=port), timeouts=Timeouts())
    times = result.times
    assert times.connect is not None
    assert times.upgrade is not None
    assert times.first_event is not None

    assert times.first_event >= 0.14
    assert times.total == pytest.approx(times.connect + times.upgrade + times.first_event)


async def test_failures() -> None:
    """Each failure has the words of the gate, and the times of the steps that were reached."""
    faults = Fault(refuse=429), Fault(error="model_not_found"), Fault(delay=60)
    async with simulators(*faults) as ports, server(hang_up) as rude, server(hang) as silent:
        results = await check(
            *(channel(f"c{port}", port) for port in [*ports, rude, silent]),
            channel("refused", port=1),
        )

    assert [result.failure for result in results] == [
        "HTTP 429",
        "error model_not_found",
        "no first event within 2 s",
        "the connection was closed",
        "no connection within 2 s",
        "connection refused",
    ]
    for result in results:
        assert result.times.first_event is None
        assert result.times.total is not None
    assert results[2].times.upgrade is not None
    assert results[4].times.upgrade is None
    assert results[5].times.connect is None


async def hang(stream: trio.SocketStream) -> None:
    """Be a server that takes connections and says nothing."""
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass


async def test_side_by_side() -> None:
    """All channels are waited for at once, and told in the order of coming."""
    faults = [Fault(delay=0.3), Fault(delay=0.2), Fault(), Fault(delay=0.3)]
    told: list[str] = []
    async with simulators(*faults) as ports:
        channels = tuple(channel(f"c{index}", port) for index, port in enumerate(ports))
        settings = Settings(channels=channels)
        began = trio.current_time()
        results = await check_live(
            settings, probes(settings), lambda result: told.append(result.probe.channel.name)
        )
        took = trio.current_time() - began

    assert [result.probe.channel.name for result in results] == ["c0", "c1", "c2", "c3"]
    assert told[:2] == ["c2", "c1"]
    assert took < 0.75


async def test_keys() -> None:
    """One bad key does not hide a good one, nor the other way around."""
    gate = Gate("sk-good")
    keys = tuple(map(Secret, ("sk-bad", "sk-good", "sk-old")))
    async with server(gate) as port:
        results = await check(channel(port=port, auth="bearer", api_keys=keys), timeouts=Timeouts())

    assert [result.failure for result in results] == ["HTTP 401", None, "HTTP 401"]
    assert sorted(gate.keys) == ["sk-bad", "sk-good", "sk-old"]


async def test_a_key_from_a_command() -> None:
    """A key is fetched as the gate fetches it; without one the channel fails by its words."""
    gate = Gate("sk-good")
    async with server(gate) as port:
        results = await check(
            channel("a", port, auth="bearer", api_key_from=KeySource(("echo", "sk-good"))),
            channel("b", port, auth="bearer", api_key_from=KeySource(("false",))),
            timeouts=Timeouts(),
        )

    assert results[0].failure is None
    assert results[1].failure == "no key: its command ended with status 1"
    assert gate.keys == ["sk-good"]


@pytest.mark.parametrize("shown", [Dialect.GA, Dialect.BETA])
async def test_wrong_dialect(shown: Dialect) -> None:
    """An upstream that shows the other dialect is served by the gate, and told of here."""
    async with simulators(Fault(), dialect=shown) as [port]:
        ga, beta = await check(
            channel("ga", port, dialect="ga"), channel("beta", port, dialect="beta")
        )
    wrong = beta if shown is Dialect.GA else ga
    if shown is Dialect.GA:
        # A GA simulator does not take clients of Beta, as OpenAI does not.
        assert wrong.failure == "error beta_api_shape_disabled"
        return

    assert wrong.failure is None
    assert wrong.wrong_dialect is Dialect.BETA
    assert beta.wrong_dialect is None


async def test_leaves_at_once() -> None:
    """A session that stands is closed with 1000, and nothing is said in it."""
    goodbyes: list[int | None] = []
    async with server(upstream(kit.created(), goodbyes=goodbyes)) as port:
        [result] = await check(channel(port=port))

    assert result.failure is None
    assert goodbyes == [1000]


async def test_tls(tmp_path: Path) -> None:
    """Certificates are verified as the gate verifies them, by the channel's own authority too."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = server_context(authority.issue_cert("127.0.0.1"))
    plain = upstream(kit.created(), goodbyes=[])

    async def handle(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        with contextlib.suppress(trio.BrokenResourceError):
            await secure.do_handshake()
            await plain(cast("trio.SocketStream", secure))

    async with server(handle) as port:
        url = f"wss://127.0.0.1:{port}/v1"
        own = channel("own", base_url=url, ca_file=tmp_path / "ca.pem")
        results = await check(own, channel("system", base_url=url), timeouts=Timeouts())

    assert results[0].failure is None
    assert (results[1].failure or "").startswith("TLS: ")


async def test_speaks_when_spoken_to() -> None:
    """A channel without a first event is good once it is upgraded."""
    goodbyes: list[int | None] = []
    async with server(upstream(goodbyes=goodbyes)) as port:
        [result] = await check(channel(port=port, first_event=False))

    assert (result.failure, result.shown) == (None, None)
    assert result.times.first_event is None
    assert goodbyes == [1000]


async def test_names_of_upstreams() -> None:
    """What an upstream calls its model cannot act on a terminal, nor fill it."""
    created = kit.created("\x1b[2J" + "x" * 1_000)
    async with server(upstream(created, goodbyes=[])) as port:
        [result] = await check(channel(port=port))

    assert result.shown is not None
    assert result.shown.model is not None
    assert result.shown.model.startswith("\\x1b[2Jxxx")
    assert len(result.shown.model) == 128


@pytest.mark.parametrize("event", [{"type": 5}, {}, {"type": "session.created", "session": 1}])
async def test_odd_first_events(event: dict[str, object]) -> None:
    """Whatever comes first and is no error is good, as at the gate."""
    async with server(upstream(event, goodbyes=[])) as port:
        [result] = await check(channel(port=port))

    assert result.failure is None
    assert result.shown is not None


async def test_transcription() -> None:
    """A transcription session is asked for as the gate asks for it."""
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        peer = kit.Upstream(stream, None, None)  # type: ignore[arg-type]
        peer.head = await peer.read_head()
        asked.append(peer.head.splitlines()[0])
        await peer.send_raw(peer.answer_101())
        await peer.say({"type": "transcription_session.created", "session": {}})
        await peer.farewell()

    async with server(handle) as port:
        settings = Settings((channel(port=port),))
        [result] = await check_live(settings, probes(settings, transcription=True))

    assert asked == [b"GET /v1/realtime?intent=transcription HTTP/1.1"]
    assert result.failure is None
    assert result.shown is not None
    assert result.shown.event == "transcription_session.created"


async def test_no_model() -> None:
    """A channel that cannot be tried has failed, and is not dialled."""
    [result] = await check(channel(models=["*"]))

    assert result.failure is not None
    assert "without a model" in result.failure
    assert result.times.total is None


async def test_full_channels() -> None:
    """Several keys of a channel that holds one session are not in each other's way."""
    gate = Gate("sk-good")
    keys = (Secret("sk-good"), Secret("sk-bad"))
    async with server(gate) as port:
        results = await check(channel(port=port, auth="bearer", api_keys=keys, max_sessions=1))

    assert [result.failure for result in results] == [None, "HTTP 401"]


async def test_a_dialer_of_ones_own() -> None:
    """Whoever reaches upstreams in a way of their own checks them in that way."""
    dialled: list[str] = []

    async def dial(channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        dialled.append(request.host)
        raise ConnectionRefusedError(111, "refused")

    settings = Settings((channel(), simulator("s")))
    results = await check_live(settings, probes(settings), dial=dial)

    assert dialled == ["127.0.0.1"]
    assert [result.failure for result in results] == ["connection refused", None]


@pytest.mark.parametrize("fault", [Fault(delay=60), None])
async def test_cancelled(fault: Fault | None) -> None:
    """Cancelling leaves soon, and what was finished has been told."""
    told: list[LiveResult] = []
    async with AsyncExitStack() as stack:
        slow: Handler = hang if fault is None else partial(serve_simulated, fault=fault)
        port = await stack.enter_async_context(server(slow))
        settings = Settings((simulator("s"), channel(port=port)))
        began = trio.current_time()
        with trio.move_on_after(0.5) as scope:
            await check_live(settings, probes(settings), told.append)

    assert scope.cancelled_caught
    assert [result.probe.channel.name for result in told] == ["s"]
    assert trio.current_time() - began < 2


async def test_no_secret_in_a_repr() -> None:
    """Neither a probe nor a result shows a key."""
    secret = Secret("sk-hush")
    settings = Settings((channel(auth="bearer", api_keys=(secret, Secret("sk-hush2"))),))
    planned: Sequence[Probe] = probes(settings)
    results = await check_live(settings, planned)

    assert "sk-hush" not in f"{planned}{results}"
