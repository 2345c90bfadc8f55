"""The TLS contexts by which upstreams are reached, made of the channels' files.

Files are looked at before every dial, so a renewed one is in force for the next session.
"""

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import attrs

from rt_proxy.channels import Channel
from rt_proxy.listener.certificate import load_certificate, upstream_file_problems
from rt_proxy.listener.dialfailure import DialError
from rt_proxy.settings import TlsSettings

_logger = logging.getLogger("rt_proxy.gate")

#: Inode, size and times of a file; None: it cannot be found.
_Mark = tuple[int, int, int, int] | None


@attrs.frozen
class _Files:
    ca_file: Path | None
    client_cert: TlsSettings | None

    def marks(self) -> tuple[_Mark, ...]:
        return tuple(_mark_of(path) for path in self._paths())

    def _paths(self) -> Iterator[Path]:
        if self.ca_file is not None:
            yield self.ca_file
        if self.client_cert is not None:
            yield self.client_cert.cert
            yield self.client_cert.key

    def load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.client_cert is not None:
            load_certificate(context, self.client_cert)
        return context

    def problems(self) -> list[str]:
        return list(upstream_file_problems(self.ca_file, self.client_cert))


@attrs.frozen
class _Made:
    """What files amounted to when they had these marks; a context may be of older ones."""

    marks: tuple[_Mark, ...]
    context: ssl.SSLContext | None
    why: str = ""


class UpstreamTls:
    """Makes the contexts, and keeps them (mutable: files are renewed)."""

    def __init__(self, system: ssl.SSLContext | None = None) -> None:
        """Prepare to make contexts.

        Args:
            system: For channels without files of their own; None: what the system trusts.
        """
        self._system = system
        self._made: dict[_Files, _Made] = {}

    @property
    def system(self) -> ssl.SSLContext:
        """The context that trusts what the system does."""
        # Made once, at the first need: loading the system's certificates takes long.
        if self._system is None:
            self._system = ssl.create_default_context()
        return self._system

    def context(self, channel: Channel) -> ssl.SSLContext:
        """Return the context of a channel.

        A renewal that went wrong, or is still being written, leaves the files before it in force.

        Raises:
            DialError: The channel's files cannot be used, and never could be.
        """
        files = _Files(channel.ca_file, channel.client_cert)
        marks = files.marks()
        if not marks:
            return self.system
        made = self._made.get(files)
        if made is None or made.marks != marks:
            made = self._made[files] = _make(channel.name, files, marks, made)
        if made.context is None:
            raise DialError(f"TLS: {made.why}")
        return made.context


def _make(name: str, files: _Files, marks: tuple[_Mark, ...], before: _Made | None) -> _Made:
    try:
        return _Made(marks, files.load())
    except (OSError, ValueError):  # the second for a path that no file can have
        problems = files.problems() or ["its files changed while they were read"]
    context = None if before is None else before.context
    _logger.warning(
        "channel %s: %s%s",
        name,
        "; ".join(problems),
        "" if context is None else "; what was read before stays in force",
    )
    return _Made(marks, context, f"{problems[0].partition(':')[0]} cannot be used")


def _mark_of(path: Path) -> _Mark:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    # The change time too: it shows that a file may be read now.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
