"""Opens the listeners and lets every visitor in through the barrier."""

import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

from rt_proxy.errors import ListenError
from rt_proxy.listener.keepalive import keep_alive
from rt_proxy.listener.livecertificate import LiveCertificate, TlsListener
from rt_proxy.session.direct import DirectListener, DirectStream
from rt_proxy.settings import ListenSettings

#: What to do where an address cannot be bound.
_REMEDIES = {
    errno.EADDRINUSE: "; stop what listens there, or change listen.port",
    errno.EACCES: "; take a port from 1024 on, or let systemd hold the listener (rt-proxy.socket)",
    errno.EADDRNOTAVAIL: "; no interface of this host has that address: change listen.host",
}

Listener = DirectListener | TlsListener


async def open_listeners(listen: ListenSettings) -> list[trio.SocketListener]:
    """Bind the address of the settings. Cancelling closes what was bound.

    Raises:
        ListenError: The address cannot be bound.
    """
    where = f"{listen.host}:{listen.port}"
    try:
        return await trio.open_tcp_listeners(listen.port, host=listen.host)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise ListenError(f"cannot listen on {where}: {_reason(error)}{remedy}") from error
    except UnicodeError as error:  # from IDNA
        raise ListenError(f"cannot listen on {where}: that is no host name") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def doors(
    listeners: Sequence[trio.SocketListener], certificate: LiveCertificate | None
) -> list[Listener]:
    """Return listeners as visitors come in by them: direct, and with TLS where there is one."""
    plain = [DirectListener(listener) for listener in listeners]
    if certificate is None:
        return [*plain]
    return [TlsListener(listener, certificate) for listener in plain]


async def serve_listeners(
    listeners: Sequence[Listener],
    visitors: trio.Nursery,
    handle: Callable[[trio.abc.Stream], Awaitable[None]],
) -> None:
    """Accept visitors until cancelled; they live in a nursery of their own.

    Cancelling closes the listeners and leaves the visitors alone.
    """
    await trio.serve_listeners(handle, list(listeners), handler_nursery=visitors)


def addresses_of(listeners: Sequence[trio.SocketListener], *, tls: bool) -> tuple[str, ...]:
    """Return where listeners are reached: ``http://127.0.0.1:8080``, or ``unix:/run/rt.sock``."""
    return tuple(_address_of(listener.socket, "https" if tls else "http") for listener in listeners)


def _address_of(listening: trio.socket.SocketType, scheme: str) -> str:
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        path = name.decode(errors="replace") if isinstance(name, bytes) else name
        return f"unix:{path.replace(chr(0), '@')}"
    host, port, *_ = name
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def probe_when_silent(stream: trio.abc.Stream, seconds: float) -> None:
    """Have the system ask a silent TCP peer whether it is still there; see ``keep_alive``.

    Args:
        stream: Where there is no TCP connection under it nothing happens.
        seconds: Of silence; 0: never ask.
    """
    connection = _socket_under(stream)
    if connection is not None:
        with contextlib.suppress(OSError):  # it has left already
            keep_alive(connection, seconds)


def peer_address(stream: trio.abc.Stream) -> str | None:
    """Return the address at the other end of a stream, where it has one."""
    connection = _socket_under(stream)
    if connection is None:
        return None
    try:
        name = connection.getpeername()
    except OSError:
        return None
    return str(name[0]) if isinstance(name, tuple) else None


def _socket_under(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream.socket if isinstance(stream, trio.SocketStream | DirectStream) else None
