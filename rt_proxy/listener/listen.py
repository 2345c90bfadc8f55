"""Opens the listeners and lets every visitor in through the barrier."""

import errno
from collections.abc import Awaitable, Callable, Sequence

import trio

from rt_proxy.errors import ListenError
from rt_proxy.listener.certificate import server_context
from rt_proxy.session.direct import DirectListener, DirectStream
from rt_proxy.settings import ListenSettings

_IN_USE = "; stop what listens there, or change listen.port"

Listener = DirectListener | trio.SSLListener[trio.abc.Stream]


async def open_listeners(listen: ListenSettings) -> list[Listener]:
    """Bind the address of the settings. Cancelling closes what was bound.

    Raises:
        ListenError: The address cannot be bound, or the certificate cannot be used.
    """
    context = None if listen.tls is None else server_context(listen.tls)
    where = f"{listen.host}:{listen.port}"
    try:
        listeners = await trio.open_tcp_listeners(listen.port, host=listen.host)
    except OSError as error:
        remedy = _IN_USE if error.errno == errno.EADDRINUSE else ""
        raise ListenError(f"cannot listen on {where}: {_reason(error)}{remedy}") from error
    except UnicodeError as error:  # from IDNA
        raise ListenError(f"cannot listen on {where}: that is no host name") from error
    plain = [DirectListener(listener) for listener in listeners]
    if context is None:
        return [*plain]
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in plain]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


async def serve_listeners(
    listeners: Sequence[Listener],
    visitors: trio.Nursery,
    handle: Callable[[trio.abc.Stream], Awaitable[None]],
) -> None:
    """Accept visitors until cancelled; they live in a nursery of their own.

    Cancelling closes the listeners and leaves the visitors alone.
    """
    await trio.serve_listeners(handle, list(listeners), handler_nursery=visitors)


def addresses_of(listeners: Sequence[Listener], *, tls: bool) -> tuple[str, ...]:
    """Return where listeners are reached, such as ``http://127.0.0.1:8080``."""
    scheme = "https" if tls else "http"
    return tuple(f"{scheme}://{_socket_name(listener)}" for listener in listeners)


def _socket_name(listener: Listener) -> str:
    plain = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    if not isinstance(plain, DirectListener):
        raise TypeError(f"not a listener of ours: {plain!r}")
    host, port, *_ = plain.socket.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def peer_address(stream: trio.abc.Stream) -> str | None:
    """Return the address at the other end of a stream, where it has one."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream | DirectStream):
        return None
    try:
        name = stream.socket.getpeername()
    except OSError:
        return None
    return str(name[0]) if isinstance(name, tuple) else None
