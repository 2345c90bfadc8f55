"""The upstream of the bench: a Realtime endpoint that knows two requests.

Run as `upstream.py PORT [CERTIFICATE.pem]`; it serves until it is killed. It greets with
`session.created`, answers each `input_audio_buffer.append` with one delta and each
`response.create` with a whole response. On another path it takes every session and says nothing.
"""

import gc
import ssl
import sys
import time

import events
import uvloop
from messages import MessageListener
from picows import WSCloseCode, WSTransport, WSUpgradeRequest, ws_create_server


class UpstreamSession(MessageListener):
    """One session, seen from the upstream."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self.send(events.SESSION_CREATED)

    def on_message(self, payload: bytes) -> None:
        if payload == events.RESPONSE_CREATE:
            self._respond()
        else:
            arrived = time.monotonic_ns()
            self.send(events.delta(events.read_append(payload), arrived, time.monotonic_ns()))

    def _respond(self) -> None:
        self.send(events.RESPONSE_CREATED)
        for _ in range(events.BURST_DELTAS):
            self.send(events.BURST_DELTA)
        self.send(events.RESPONSE_DONE)

    def on_close_frame(self, why: str) -> None:
        self.transport.send_close(WSCloseCode.OK)
        self.transport.disconnect()


class SilentSession(MessageListener):
    """A session that never speaks, not even first."""

    def on_message(self, payload: bytes) -> None:
        """Say nothing."""

    def on_close_frame(self, why: str) -> None:
        self.transport.send_close(WSCloseCode.OK)
        self.transport.disconnect()


def new_session(request: WSUpgradeRequest) -> MessageListener | None:
    """A session on the address of the Realtime API, a silent one beside it, and 404 elsewhere."""
    if request.path.startswith(b"/silent/realtime?"):
        return SilentSession()
    return UpstreamSession() if request.path.startswith(b"/v1/realtime?") else None


async def serve(port: int, certificate: str | None) -> None:
    """Serve until killed, over TLS if there is a certificate."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await ws_create_server(new_session, "127.0.0.1", port, ssl=context, backlog=1024)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
