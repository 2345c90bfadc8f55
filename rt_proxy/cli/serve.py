"""``rt-proxy serve``: the proxy as a command, with signals and exit statuses."""

import logging
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import trio

from rt_proxy.cli.help import config_option, examples, program
from rt_proxy.cli.outcome import UNCLEAN_STOP, fail, fail_by_config
from rt_proxy.cli.signals import obey_signals
from rt_proxy.configfile import load_settings, not_in_force
from rt_proxy.errors import RtProxyError, SettingsError
from rt_proxy.observe import configure
from rt_proxy.proxy import Proxy
from rt_proxy.proxy import serve as serve_proxy
from rt_proxy.settings import ListenSettings, LogSettings, Settings
from rt_proxy.tokens.file import FileTokenStore

_logger = logging.getLogger("rt_proxy")
_SPARE_DESCRIPTORS = 256
#: What is asked for where neither the system nor the settings name a limit.
_MANY_DESCRIPTORS = 1_048_576
#: Where this machine reaches a listener on every address.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command(
    epilog=examples("rt-proxy serve", "rt-proxy serve --config /etc/rt-proxy/config.toml")
)
@config_option
def serve(path: Path) -> None:
    """Serve clients until told to stop.

    SIGTERM and Ctrl-C drain: no newcomers, and the present clients are asked to leave; a
    second one cuts them off. SIGHUP reads the config file again, for newcomers.

    Exit status: 0 stopped after everybody had left; 1 could not start;
    3 somebody had to be cut off.
    """
    try:
        settings = load_settings(path)
    except SettingsError as error:
        fail_by_config(error)
    _configure_log(settings.log)
    _raise_descriptor_limit(settings.limits.sessions)
    try:
        clean = trio.run(_run, path, settings)
    except* RtProxyError as group:
        fail(*(str(error) for error in _leaves(group)))
    if not clean:
        sys.exit(UNCLEAN_STOP)


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


def _make_first_token(settings: Settings, url: str) -> None:
    """Make a token where there is none, so that the first client can come in."""
    tokens = FileTokenStore(settings.tokens.file)
    if tokens.tokens():
        return
    token, secret = tokens.add("first")
    click.echo(
        f"There was no token, so one was made: {token.name} ({token.id}), "
        f"kept as a hash in {tokens.path}.\n"
        "Its secret is shown this once. Try it with:\n\n"
        f'  RT_PROXY_TOKEN={secret.reveal()} {program()} say "Hello" --url {url}\n',
        err=True,
    )


def _local_url(proxy: Proxy, settings: Settings) -> str:
    """Return a URL of the proxy for somebody on this machine."""
    scheme, _, rest = proxy.addresses[0].partition("://")
    port = rest.rpartition(":")[2]
    host = settings.listen.host
    host = _LOOPBACK.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1"


async def _run(path: Path, settings: Settings) -> bool:
    """Serve until drained or cut; return whether everybody had left by themselves."""
    with trio.open_signal_receiver(*_STOP_SIGNALS, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            proxy = await nursery.start(serve_proxy, settings)
            _make_first_token(settings, _local_url(proxy, settings))
            _announce(proxy, settings)
            config = _Config(path, settings, proxy)
            clean = await obey_signals(
                signals, proxy, reload=config.reload, drain_seconds=config.drain_seconds
            )
            nursery.cancel_scope.cancel("stopped")
    _logger.info("stopped")
    return clean


class _Config:
    """The config file that is in force (mutable: SIGHUP reads it again)."""

    def __init__(self, path: Path, settings: Settings, proxy: Proxy) -> None:
        self._path = path
        self._settings = settings
        self._bound = _bound(settings.listen)
        self._proxy = proxy

    def drain_seconds(self) -> float:
        """Return how long a drain may take."""
        return self._settings.timeouts.drain

    def reload(self) -> None:
        """Put the file in force for newcomers; a broken one changes nothing."""
        try:
            settings = load_settings(self._path)
            self._proxy.reload(settings)
        except RtProxyError as error:
            for problem in str(error).splitlines():  # a record each
                _logger.error("not reloaded, the old settings stay in force: %s", problem)  # noqa: TRY400 - no traceback
            return
        _configure_log(settings.log)
        _raise_descriptor_limit(settings.limits.sessions)
        if _bound(settings.listen) != self._bound:
            _logger.warning("host, port and tls of [listen] change only at a restart")
        self._settings = settings
        _logger.info("reloaded", extra={"fields": {"channels": _names(settings)}})


def _bound(listen: ListenSettings) -> tuple[object, ...]:
    """Return what of the listener a reload cannot change."""
    return listen.host, listen.port, listen.tls


def _names(settings: Settings) -> list[str]:
    return [channel.name for channel in settings.channels]


def _announce(proxy: Proxy, settings: Settings) -> None:
    idle = not_in_force(settings)
    if idle:
        _logger.warning("these sections are not in force yet: %s", ", ".join(idle))
    _logger.info(
        "listening",
        extra={
            "fields": {
                "addresses": list(proxy.addresses),
                "channels": _names(settings),
            }
        },
    )
