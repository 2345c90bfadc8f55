"""``rt-proxy serve``: the proxy as a command, with signals and exit statuses."""

import functools
import logging
import os
import resource
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import trio

from rt_proxy.cli.help import config_option, examples, program
from rt_proxy.cli.outcome import UNCLEAN_STOP, fail, fail_by_config
from rt_proxy.cli.reload import LiveConfig, Reloader
from rt_proxy.cli.signals import obey_signals, receive_signals
from rt_proxy.cli.systemd import ServiceManager, passed_sockets
from rt_proxy.errors import RtProxyError, SettingsError
from rt_proxy.listener.resolver import HostResolver
from rt_proxy.observe import configure, flush_log
from rt_proxy.proxy import Proxy
from rt_proxy.proxy import serve as serve_proxy
from rt_proxy.settings import LogSettings, Settings
from rt_proxy.tokens.file import FileTokenStore

_logger = logging.getLogger("rt_proxy")
_SPARE_DESCRIPTORS = 256
#: What is asked for where neither the system nor the settings name a limit.
_MANY_DESCRIPTORS = 1_048_576
#: Where this machine reaches a listener on every address.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
#: How long it may take, beyond the drain and the goodbyes, until the process has ended: what was
#: used last is written then.
_LAST_SECONDS = 10


@click.command(
    epilog=examples("rt-proxy serve", "rt-proxy serve --config /etc/rt-proxy/config.toml")
)
@config_option
def serve(path: Path) -> None:
    """Serve clients until told to stop.

    SIGTERM and Ctrl-C drain: no newcomers, and the present clients are asked to leave; a
    second one cuts them off. SIGHUP, or a change of the config file or of a file that it
    names, reads them again, for newcomers.

    Under systemd it can be a service of Type=notify, with a watchdog and with sockets that
    are handed over.

    Exit status: 0 stopped after everybody had left; 1 could not start;
    3 somebody had to be cut off.
    """
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    try:
        config = LiveConfig(path)
    except SettingsError as error:
        fail_by_config(error)
    _apply(config.settings)
    problems: list[str] = []
    clean = False
    try:
        sockets = passed_sockets(os.environ, os.getpid())
        clean = trio.run(_run, config, manager, sockets)
    except* RtProxyError as group:
        problems = [str(error) for error in _leaves(group)]
    flush_log()  # what follows is said after it
    if problems:  # not said above, for up to Python 3.11.3 what is raised there becomes a group
        fail(*problems)
    if not clean:
        sys.exit(UNCLEAN_STOP)


def _apply(settings: Settings) -> None:
    """Put in force what is the process's and not the proxy's."""
    _configure_log(settings.log)
    _raise_descriptor_limit(settings.limits.sessions)


def _configure_log(log: LogSettings) -> None:
    configure(log.format, log.level, sys.stderr)


def _raise_descriptor_limit(sessions: int) -> None:
    """Allow as many open files as the sessions may need.

    That is two sockets for each, one for a visitor who is no session yet, and some to spare.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    most = _MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    needed = 3 * sessions + _SPARE_DESCRIPTORS if sessions else most
    if soft < needed:
        soft = min(needed, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        _logger.warning(
            "the system allows %d open files, but limits.sessions = %d may need %d: "
            "raise the limit (ulimit -n, LimitNOFILE=) or lower limits.sessions",
            soft,
            sessions,
            needed,
        )


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _make_first_token(settings: Settings, url: str | None) -> None:
    """Make a token where there is none, so that the first client can come in."""
    tokens = FileTokenStore(settings.tokens.file)
    if tokens.tokens():
        return
    token, secret = tokens.add("first")
    where = "" if url is None else f" --url {url}"
    click.echo(
        f"There was no token, so one was made: {token.name} ({token.id}), "
        f"kept as a hash in {tokens.path}.\n"
        "Its secret is shown this once. Try it with:\n\n"
        f'  RT_PROXY_TOKEN={secret.reveal()} {program()} say "Hello"{where}\n',
        err=True,
    )


def _local_url(proxy: Proxy, settings: Settings, *, handed_over: bool) -> str | None:
    """Return a URL of the proxy for somebody on this machine; None: it has only Unix sockets."""
    for address in proxy.addresses:
        scheme, is_url, rest = address.partition("://")
        if is_url:
            host, _, port = rest.rpartition(":")
            if not handed_over:  # as it was written, for that is what the certificate is for
                host = settings.listen.host
            host = host.strip("[]")
            host = _LOOPBACK.get(host, host)
            return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1"
    return None


async def _run(
    config: LiveConfig, manager: ServiceManager, sockets: Sequence[socket.socket]
) -> bool:
    """Serve until drained or cut; return whether everybody had left by themselves."""
    settings, handed_over = config.settings, bool(sockets)
    trio.socket.set_custom_hostname_resolver(HostResolver())
    with receive_signals() as signals:
        async with trio.open_nursery() as nursery:
            serve = functools.partial(serve_proxy, settings, listeners=_listeners(sockets))
            proxy: Proxy = await nursery.start(serve)
            _make_first_token(settings, _local_url(proxy, settings, handed_over=handed_over))
            _announce(proxy, settings)
            reloader = Reloader(config, proxy, manager, handed_over=handed_over, apply=_apply)
            nursery.start_soon(reloader.watch)
            nursery.start_soon(manager.keep_informed, lambda: _status(proxy, reloader))
            manager.ready()
            clean = await obey_signals(
                signals,
                proxy,
                reload=reloader.reload,
                drain_seconds=lambda: config.settings.timeouts.drain,
                on_drain=lambda seconds: manager.stopping(
                    seconds
                    + config.settings.timeouts.farewell
                    + config.settings.timeouts.usage
                    + _LAST_SECONDS
                ),
            )
            nursery.cancel_scope.cancel("stopped")
    _logger.info("stopped")
    return clean


def _listeners(sockets: Sequence[socket.socket]) -> list[trio.SocketListener] | None:
    """Return listeners on sockets that were handed over; None: there are none."""
    if not sockets:
        return None
    return [trio.SocketListener(trio.socket.from_stdlib_socket(passed)) for passed in sockets]


def _status(proxy: Proxy, reloader: Reloader) -> str:
    """Say in a line how the proxy is, for whoever asks the service manager."""
    count = proxy.sessions
    sessions = "1 session" if count == 1 else f"{count} sessions"
    return f"{sessions}; the config files are wrong, see the log" if reloader.failed else sessions


def _names(settings: Settings) -> list[str]:
    return [channel.name for channel in settings.channels]


def _announce(proxy: Proxy, settings: Settings) -> None:
    _logger.info(
        "listening",
        extra={
            "fields": {
                "addresses": list(proxy.addresses),
                "channels": _names(settings),
            }
        },
    )
