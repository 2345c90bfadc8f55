"""Which files a configuration stands on, and which version of each is there.

Looks and compares; what follows from a change is decided by whoever runs the proxy.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rt_proxy.settings import Settings

#: (inode, size, mtime in ns), or (errno,) where there is no file to be seen.
Version = tuple[int, ...]


def files_behind(path: Path, settings: Settings) -> tuple[Path, ...]:
    """Return the files that decide what the settings mean, the config file first.

    That is what is read only when the config file is. The token file, ``api_key_from`` and the
    certificates of channels are looked at where they are used.

    Args:
        path: The config file.
        settings: What it says, with absolute paths, as far as it can be understood.
    """
    files = [path, *_key_files(path)]
    if settings.listen.tls is not None:
        files += [settings.listen.tls.cert, settings.listen.tls.key]
    return tuple(dict.fromkeys(files))


def versions(files: Iterable[Path]) -> dict[Path, Version]:
    """Return which version of each file is there now; editors that replace a file change it."""
    return {file: _version(file) for file in files}


def changed(before: Mapping[Path, Version], now: Mapping[Path, Version]) -> tuple[Path, ...]:
    """Return the files that are in both, in two versions."""
    return tuple(file for file in now if file in before and before[file] != now[file])


def _version(file: Path) -> Version:
    try:
        status = os.stat(file)  # noqa: PTH116 - as the token file is looked at
    except (OSError, ValueError) as error:
        return (getattr(error, "errno", None) or 0,)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _key_files(path: Path) -> Iterator[Path]:
    """Yield the files that ``{ file = "path" }`` names for secrets of channels."""
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return  # whoever loads it says what is wrong
    folder = path.absolute().parent
    for name in _names_of_files(document.get("channels")):
        yield folder / name


def _names_of_files(value: Any) -> Iterator[str]:
    match value:
        case {"file": str(name), **rest} if not rest:
            yield name
        case dict():
            for key, inner in value.items():
                if key != "api_key_from":
                    yield from _names_of_files(inner)
        case list():
            for inner in value:
                yield from _names_of_files(inner)
