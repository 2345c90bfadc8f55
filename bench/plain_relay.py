"""The yardstick: a relay as anybody would write it with trio-websocket, message in, message out.

Run as `plain_relay.py PORT BASE_URL`; it serves until it is killed.
"""

import sys

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,  # noqa: TID251  this is what rt-proxy is measured against
)

PORT, UPSTREAM = int(sys.argv[1]), sys.argv[2]


async def pump(source: WebSocketConnection, sink: WebSocketConnection) -> None:
    while True:
        await sink.send_message(await source.get_message())


async def relay(request: WebSocketRequest) -> None:
    client = await request.accept()
    async with open_websocket_url(UPSTREAM + request.path.removeprefix("/v1")) as upstream:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, upstream)
                nursery.start_soon(pump, upstream, client)
        except* ConnectionClosed:
            await client.aclose()


trio.run(serve_websocket, relay, "127.0.0.1", PORT, None)
