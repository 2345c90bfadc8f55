"""The simulator on its legs: the HTTP head, the WebSocket and its close codes."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from kit import BINARY, TEXT, Client, request_head
from trio.testing import MockClock, memory_stream_pair

from rt_proxy import MemoryTokenStore, Settings, open_proxy, simulated
from rt_proxy.channels import make_channels
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings
from rt_proxy.simulated import open_simulated, serve_simulated
from rt_proxy.simulator import Fault, converse

SIMULATOR = ChannelSettings("simulator", "simulator", {"*": "*"})
UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}


@asynccontextmanager
async def simulator(
    fault: Fault | None = None, dialect: Dialect = Dialect.GA
) -> AsyncIterator[Client]:
    """Connect to a simulator; when the block is left, so has it."""
    far, near = memory_stream_pair()
    serve = functools.partial(serve_simulated, dialect=dialect)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, near, fault or Fault())
        yield Client(far, near)
        await far.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def begin(client: Client, *extra: str, **head: Any) -> dict[str, Any]:
    """Upgrade, with more lines in the head, and return the first event."""
    await client.send_raw(request_head(None, *extra, **head))
    await client.read_101()
    return await client.hear()


async def test_session(autojump_clock: MockClock) -> None:
    """It opens a session for the model of the URL, and understands what it is sent."""
    async with simulator() as client:
        created = await begin(client, target="/v1/realtime?model=m")
        await client.say(UPDATE)
        updated = await client.hear()
        await client.close(1000)
        goodbye = await client.farewell()

    assert (created["type"], created["session"]["model"]) == ("session.created", "m")
    assert updated["session"]["instructions"] == "Be brief."
    assert goodbye.code == 1000


BETA_HEADER = "OpenAI-Beta: realtime=v1"
BETA_SUBPROTOCOL = "Sec-WebSocket-Protocol: realtime, openai-beta.realtime-v1"


@pytest.mark.parametrize(
    ("extra", "target"),
    [
        (BETA_HEADER, "/v1/realtime?model=m"),
        (BETA_SUBPROTOCOL, "/v1/realtime?model=m"),
        ("X-Any: x", "/openai/realtime?api-version=v&deployment=d"),
    ],
)
async def test_beta_is_over(autojump_clock: MockClock, extra: str, target: str) -> None:
    """Who asks for Beta in any way is refused by a GA server, as OpenAI does it."""
    async with simulator() as client:
        event = await begin(client, extra, target=target)
        goodbye = await client.farewell()

    assert (event["type"], event["error"]["code"]) == ("error", "beta_api_shape_disabled")
    assert goodbye.told == (None, 4000, "invalid_request_error.beta_api_shape_disabled")


@pytest.mark.parametrize("extra", [BETA_HEADER, BETA_SUBPROTOCOL, "X-Any: x"])
async def test_beta(autojump_clock: MockClock, extra: str) -> None:
    """A Beta server opens a session of the old shape for whoever comes."""
    async with simulator(dialect=Dialect.BETA) as client:
        created = await begin(client, extra, target="/v1/realtime?model=m")
        conversation = await client.hear()
        await client.say({"type": "session.update", "session": {"voice": "verse"}})
        updated = await client.hear()

    assert (created["type"], created["session"]["model"]) == ("session.created", "m")
    assert conversation["type"] == "conversation.created"
    assert updated["session"]["voice"] == "verse"


async def test_early_frame(autojump_clock: MockClock) -> None:
    """A frame that comes right behind the head is not lost."""
    far, near = memory_stream_pair()
    early = Client(far, near)
    await early.send_raw(request_head(None))
    await early.say(UPDATE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_simulated, near, Fault())
        await early.read_101()
        kinds = [(await early.hear())["type"] for _ in range(2)]
        await far.aclose()

    assert kinds == ["session.created", "session.updated"]


@pytest.mark.parametrize(
    ("opcode", "payload"), [(BINARY, b"\x00\x01"), (TEXT, b"hello"), (TEXT, b"\xff{}")]
)
async def test_no_event(autojump_clock: MockClock, opcode: int, payload: bytes) -> None:
    """A frame that is no event is answered with an error; the session goes on."""
    async with simulator() as client:
        await begin(client)
        await client.send(opcode, payload)
        error = await client.hear()
        await client.say(UPDATE)
        updated = await client.hear()

    assert error["type"] == "error"
    assert updated["type"] == "session.updated"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"hello\r\n\r\n", 400),
    ],
)
async def test_no_upgrade(autojump_clock: MockClock, head: bytes, status: int) -> None:
    """What is no upgrade gets the HTTP answer that it would get elsewhere."""
    async with simulator() as client:
        await client.send_raw(head)
        assert (await client.read_answer())[0] == status


async def test_silence(autojump_clock: MockClock) -> None:
    """Who connects and says nothing is left after a while."""
    async with simulator() as client:
        with trio.fail_after(11):
            assert not await client.stream.receive_some()


@pytest.mark.parametrize("status", [302, 401, 503, 599])
async def test_refuse(autojump_clock: MockClock, status: int) -> None:
    """A refusal has its status, also one without a name, and a body that tells of the fault."""
    async with simulator(Fault(refuse=status)) as client:
        await client.send_raw(request_head(None))
        found, _, error = await client.read_answer()

    assert (found, error["code"]) == (status, "simulated_fault")


async def test_drop(autojump_clock: MockClock) -> None:
    """A drop ends the connection without a close frame, after as many events."""
    async with simulator(Fault(drop=1)) as client:
        assert (await begin(client))["type"] == "session.created"
        goodbye = await client.farewell()

    assert (goodbye.events, goodbye.code) == ([], None)


async def test_close(autojump_clock: MockClock) -> None:
    """A close comes with its code, after the first event."""
    async with simulator(Fault(close=4321)) as client:
        assert (await begin(client))["type"] == "session.created"
        assert (await client.farewell()).code == 4321


async def test_error(autojump_clock: MockClock) -> None:
    """An error comes in place of the first event, with the close that belongs to it."""
    async with simulator(Fault(error="invalid_api_key")) as client:
        event = await begin(client)
        goodbye = await client.farewell()

    assert (event["type"], event["error"]["code"]) == ("error", "invalid_api_key")
    assert goodbye.told == (None, 3000, "invalid_request_error.invalid_api_key")


async def test_vanished_client(autojump_clock: MockClock) -> None:
    """A client that vanishes in the midst of an answer leaves nothing behind."""
    async with simulator() as client:
        await begin(client)
        await client.say({"type": "response.create"})
        await client.hear()


async def test_as_a_channel() -> None:
    """A channel's simulator shows the channel's fault, and ends with the stream to it."""
    faulty = ChannelSettings("simulator", "simulator", {"*": "*"}, fault="close=4321")
    (channel,) = make_channels(Settings(channels=(faulty,)))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            stream = await open_simulated(nursery, channel)
            upstream = Client(stream, stream)
            assert (await begin(upstream))["type"] == "session.created"
            assert (await upstream.farewell()).code == 4321
            idle = await open_simulated(nursery, channel)
            await idle.aclose()


async def test_as_a_channel_of_beta() -> None:
    """A channel's simulator speaks the channel's dialect."""
    old = ChannelSettings("simulator", "simulator", {"*": "*"}, dialect="beta")
    (channel,) = make_channels(Settings(channels=(old,)))
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            stream = await open_simulated(nursery, channel)
            created = await begin(Client(stream, stream))
            await stream.aclose()

    assert created["session"]["modalities"] == ["text", "audio"]


@pytest.mark.log_says("a fault of rt-proxy itself", "session ended")
async def test_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the simulator ends one session; the proxy it serves goes on."""
    tokens = MemoryTokenStore()
    _, secret = tokens.add("tester", now=datetime.now(UTC))

    async def break_once(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(simulated, "converse", converse)
        raise RuntimeError("a bug")

    monkeypatch.setattr(simulated, "converse", break_once)
    kinds = []
    with trio.fail_after(60):
        async with open_proxy(Settings(channels=(SIMULATOR,)), tokens=tokens) as proxy:
            for _ in range(2):
                far, near = memory_stream_pair()
                client = Client(far, near)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(proxy.handle_stream, near)
                    await client.send_raw(request_head(secret.reveal()))
                    await client.read_101()
                    kinds.append((await client.hear())["type"])
                    await client.close(1000)
                    await client.farewell()

    assert kinds == ["error", "session.created"]
