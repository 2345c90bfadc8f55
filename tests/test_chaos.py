"""Facts that hold whatever both sides do: random visits leave one record, and nothing else."""

import contextlib
import json
from random import Random

import kit
import pytest
import trio
from kit import BINARY, CONTINUATION, PING, PONG, TEXT, frame, open_house
from trio.testing import MockClock

pytestmark = pytest.mark.log_says("session ended")

_GONE = (AssertionError, trio.BrokenResourceError, trio.ClosedResourceError)
EVENTS = [
    b'{"type":"response.create"}',
    b'{"type":"session.update","session":{"model":"%s"}}' % kit.MODEL.encode(),
    b'{"type":"session.update","session":{"model":"other"}}',
    b'{"type":"session.update","x":"\xff"}',
    b'{"x":1,"type":"session.update"}',
    b"[]",
    kit.append(70_000),
    kit.append(300_000),
    *(json.dumps(event()).encode() for event in (kit.response_created, kit.response_done)),
    json.dumps(kit.error("whatever")).encode(),
    json.dumps(kit.created()).encode(),
]


async def act(peer: kit.Peer, random: Random) -> None:
    """Do something that a peer may do, or may not."""
    match random.choices(range(10), [9, 4, 2, 3, 1, 2, 1, 1, 1, 2])[0]:
        case 0:
            await peer.say(random.choice(EVENTS))
        case 1:
            payload = random.choice(EVENTS)
            cut = random.randrange(len(payload))
            await peer.send(TEXT, payload[:cut], fin=False)
            if random.random() < 0.5:
                await peer.send(PING, b"between")
            if random.random() < 0.8:
                await peer.send(CONTINUATION, payload[cut:])
        case 2:
            await peer.send(BINARY, random.randbytes(random.randrange(200)))
        case 3:
            await peer.send(random.choice([PING, PONG]), random.randbytes(random.randrange(125)))
        case 4:
            await peer.send_raw(random.randbytes(random.randrange(1, 50)))
        case 5:
            whole = frame(TEXT, random.choice(EVENTS), key=peer.key)
            await peer.send_raw(whole[: random.randrange(len(whole))])
        case 6:
            await peer.close(random.choice([1000, 1001, 1014, 4000, 999, None]))
        case 7:
            await peer.stream.aclose()
        case 8:
            await trio.sleep(random.choice([1, 11, 25, 45]))
        case 9:
            await trio.sleep(0)


async def play(peer: kit.Peer, random: Random) -> None:
    """Act some times and read, in whatever order; then leave."""
    with contextlib.suppress(*_GONE):
        async with trio.open_nursery() as nursery:
            if random.random() < 0.8:
                nursery.start_soon(read, peer, random.random() < 0.8)
            for _ in range(random.randrange(12)):
                with contextlib.suppress(*_GONE):
                    await act(peer, random)
                if random.random() < 0.5:
                    await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(random.choice([0, 0, 0.1, 3, 60]))
            nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(peer.stream)


async def read(peer: kit.Peer, answers: bool) -> None:
    """Read to the end."""
    with contextlib.suppress(*_GONE, UnicodeDecodeError, ValueError):
        if answers:
            await peer.farewell()
        else:
            while await peer.stream.receive_some(65_536):
                pass


@pytest.mark.parametrize("seed", range(60))
async def test_chaos(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever they do: both streams closed, one record, no fault, no task, still serving."""
    random = Random(seed)
    monkeypatch.setattr("trio._core._run._r", Random(seed))
    kinds = ["memory", "memory", "lockstep"]
    async with open_house(upstream_kind=random.choice(kinds[:2]), still_serves=True) as house:
        async with trio.open_nursery() as nursery:
            for _ in range(random.randrange(1, 4)):
                client = await house.visit(random.choice(kinds))
                nursery.start_soon(visit, house, client, random)
        with trio.fail_after(kit.LONG):
            for client in house.clients:
                await client.over.wait()
        house.forget_dials()


async def visit(house: kit.House, client: kit.Client, random: Random) -> None:
    """Knock, be served or not, and play."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, house, random)
        with contextlib.suppress(*_GONE):
            await client.send_raw(kit.request_head(house.token))
            if random.random() < 0.9:
                with trio.move_on_after(40):
                    await client.read_101()
        await play(client, random)
        await client.over.wait()
        nursery.cancel_scope.cancel()


async def serve(house: kit.House, random: Random) -> None:
    """Be the upstream of one dial."""
    upstream = await house.upstream()
    with contextlib.suppress(*_GONE):
        if random.random() < 0.9:
            await upstream.accept(*([kit.created()] if random.random() < 0.9 else []))
        await trio.sleep(random.choice([0, 0, 1, 7]))
    await play(upstream, random)
