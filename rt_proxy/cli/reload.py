"""Keeps a proxy at what its files say: on SIGHUP, and by itself when they change."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import trio

from rt_proxy.cli.systemd import ServiceManager
from rt_proxy.configfile import load_settings
from rt_proxy.configwatch import Version, changed, files_behind, versions
from rt_proxy.errors import RtProxyError
from rt_proxy.listener.certificate import certificate_problems
from rt_proxy.proxy import Proxy
from rt_proxy.settings import Settings
from rt_proxy.settingsdiff import changes, needs_restart

_logger = logging.getLogger("rt_proxy")

#: How often the files are looked at, in seconds.
_LOOK = 1.0


class LiveConfig:
    """A config file and those that it names, as last read (mutable: they change).

    Attributes:
        settings: What was last good.
    """

    settings: Settings

    def __init__(self, path: Path) -> None:
        """Read the file for the first time.

        Raises:
            SettingsError: It cannot be read, or is wrong.
        """
        self._path = path
        self._read: dict[Path, Version] = versions([path])
        self._seen = self._read
        self.settings = self._load(lambda _settings: iter(()))

    def load(self) -> tuple[Settings, tuple[Path, ...]]:
        """Read all files again; return the settings, and which files were read that changed.

        ``settings`` stays as it is: they are not in force yet.

        Raises:
            SettingsError: Something is wrong, a certificate included.
        """
        before = self._read
        return self._load(_certificate_problems), changed(before, self._read)

    def has_changed(self) -> bool:
        """Tell, at every second look, whether there is something else than was last read.

        What changed must have stood still from one look to the next: a file may be half
        written, and a certificate and its key are two files.
        """
        before, self._seen = self._seen, versions(self._read)
        return self._read != self._seen == before

    def _load(self, inspect: Callable[[Settings], Iterator[str]]) -> Settings:
        # Looked at before they are read, so that what changes meanwhile is read once more.
        looked = versions(self._read)
        files: tuple[Path, ...] = tuple(self._read)

        def note_files(settings: Settings) -> Iterator[str]:
            nonlocal files
            files = files_behind(self._path, settings)
            return inspect(settings)

        try:
            return load_settings(self._path, inspect=note_files)
        finally:
            self._read = self._seen = {**versions(files), **_only(looked, files)}


def _only(known: dict[Path, Version], files: tuple[Path, ...]) -> dict[Path, Version]:
    return {file: version for file, version in known.items() if file in files}


def _certificate_problems(settings: Settings) -> Iterator[str]:
    if settings.listen.tls is not None:
        yield from certificate_problems(settings.listen.tls)


class Reloader:
    """Puts a config in force in a proxy that is at work (mutable: whether it last could).

    Attributes:
        failed: What the files say is wrong, and not in force.
    """

    def __init__(
        self,
        config: LiveConfig,
        proxy: Proxy,
        manager: ServiceManager,
        *,
        handed_over: bool,
        apply: Callable[[Settings], None],
    ) -> None:
        """Build the reloader of a proxy.

        Args:
            config: What is in force.
            proxy: The proxy at work.
            manager: It is told of each reload.
            handed_over: The listeners were, so that host and port are not ours to bind.
            apply: Puts in force what is not the proxy's, such as the log.
        """
        self.failed = False
        self._config = config
        self._proxy = proxy
        self._manager = manager
        self._bound = config.settings
        self._handed_over = handed_over
        self._apply = apply

    async def watch(self) -> None:
        """Reload when the files have changed; never returns. Cancelling is safe."""
        while True:
            await trio.sleep(_LOOK)
            if self._config.has_changed():
                self.reload()

    def reload(self) -> None:
        """Put the files in force for newcomers; where anything is wrong nothing changes."""
        self._manager.reloading()
        self.failed = True
        try:
            self._put_in_force()
        except RtProxyError as error:
            for problem in str(error).splitlines():  # a record each
                _logger.error("not reloaded, the old settings stay in force: %s", problem)  # noqa: TRY400 - no traceback
        except Exception:  # the calls that are under way must not pay for it
            _logger.exception("not reloaded, by a fault of rt-proxy itself")
        self._manager.ready()

    def _put_in_force(self) -> None:
        old = self._config.settings
        new, files = self._config.load()
        self._proxy.reload(new)
        self._config.settings = new
        self.failed = False
        self._apply(new)
        self._warn_of_restart(new)
        fields = {
            "changes": list(changes(old, new)),
            "files": list(map(str, files)),
            "channels": [channel.name for channel in new.channels],
        }
        _logger.info("reloaded", extra={"fields": {name: it for name, it in fields.items() if it}})

    def _warn_of_restart(self, new: Settings) -> None:
        bound = self._bound
        if self._handed_over:
            listen = attrs.evolve(bound.listen, host=new.listen.host, port=new.listen.port)
            bound = attrs.evolve(bound, listen=listen)
        places = needs_restart(bound, new)
        if places:
            _logger.warning("these change only at a restart: %s", ", ".join(places))
