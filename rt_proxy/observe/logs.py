"""How log lines look: text for people, JSON for machines; always one line a record.

Fields come with a record as ``extra={"fields": {...}}``. Only a program calls
``configure``: the library itself sets up no logging.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from rt_proxy.moments import utc_text
from rt_proxy.settings import LogFormat, LogLevel

_BARE = re.compile(r"[\w.:/@+*-]+", re.ASCII)
_COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[31m",
}
_PLAIN = "\x1b[0m"


class TextFormatter(logging.Formatter):
    """Lines such as ``2026-11-23T13:00:00.123Z INFO  session ended  ending=drain``.

    Whatever could end the line or speak to a terminal is written as an escape, and a
    traceback is a field of the line.

    Args:
        colour: Whether the level is coloured, for a terminal.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        level = f"{record.levelname:<5}"
        if self._colour and record.levelno in _COLOURS:
            level = _COLOURS[record.levelno] + level + _PLAIN
        parts = [f"{_time(record)} {level} {_printable(record.getMessage())}"]
        fields = _fields(self, record)
        if fields:
            parts.append(" ".join(f"{name}={_value(value)}" for name, value in fields.items()))
        return "  ".join(parts)


class JsonFormatter(logging.Formatter):
    """One ASCII JSON object a line: time, level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        # Twice: the head comes first, and no field can take its place.
        line = json.dumps(head | _fields(self, record) | head, default=str)
        return line.replace("\x7f", "\\u007f")  # the one control character that JSON lets stand


def configure(format: LogFormat, level: LogLevel, stream: TextIO) -> None:  # noqa: A002 - as in the settings
    """Send the program's log to a stream, in place of wherever it went before.

    The level is that of rt-proxy; libraries may only warn, because what they tell
    at lower levels includes headers and payloads.

    Args:
        format: ``text`` (coloured on a terminal) or ``json``.
        level: The least level that is written.
        stream: Such as ``sys.stderr``.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        JsonFormatter() if format == "json" else TextFormatter(colour=stream.isatty())
    )
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("rt_proxy").setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    return utc_text(datetime.fromtimestamp(record.created, UTC), "milliseconds")


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    given = getattr(record, "fields", None)
    fields: dict[str, object] = dict(given) if isinstance(given, Mapping) else {}
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    if record.stack_info:
        fields["stack"] = formatter.formatStack(record.stack_info)
    return fields


def _value(value: object) -> str:
    """Return a field's value: bare where that is plain, else in quotes."""
    text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if _BARE.fullmatch(text) else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """Return the text with every character that is not printable as a Python escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
