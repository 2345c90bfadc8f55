"""How log lines look: text for people, JSON for machines; always one line a record.

Fields come with a record as ``extra={"fields": {...}}``. Only a program calls
``configure``: the library itself sets up no logging.
"""

import json
import logging
import math
import os
import queue
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
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
#: So many lines wait for whoever reads the log; some megabytes.
_MOST_LINES = 10_000
#: What is left is written in so much time at the end, in seconds.
_LAST_SECOND = 1.0
_MINUTE = 60.0


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
    root = logging.getLogger()
    handler = next(
        (one for one in root.handlers if isinstance(one, LineWriter) and one.stream is stream), None
    )
    for former in root.handlers[:]:
        if former is not handler:
            root.removeHandler(former)
            former.close()
    if handler is None:
        handler = LineWriter(stream)
        root.addHandler(handler)
    handler.setFormatter(
        JsonFormatter() if format == "json" else TextFormatter(colour=stream.isatty())
    )
    root.setLevel(logging.WARNING)
    logging.getLogger("rt_proxy").setLevel(level.upper())
    listening = logging.getLogger("trio.serve_listeners")
    if not any(isinstance(one, OncePerMinute) for one in listening.filters):
        listening.addFilter(OncePerMinute())


def flush_log() -> None:
    """Wait until what was logged is written, for a second at most."""
    for handler in logging.getLogger().handlers:
        handler.flush()


class LineWriter(logging.Handler):
    """Writes lines to a stream from a thread of its own, so that its reader stops nobody.

    Whoever reads a pipe may stop reading, and what is written to it waits then. Lines wait in
    memory, so many of them; the others are dropped, and it is said how many those were.
    ``logging`` flushes and closes it at the end of the program.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._dropped = 0
        try:
            self._descriptor: int | None = stream.fileno()
        except (OSError, ValueError):  # such as a StringIO
            self._descriptor = None
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written; never waits."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as in logging: who logs something wrong goes on
            self.handleError(record)
            return
        if self._dropped and self._lines.full():
            self._dropped += 1
            return
        if self._dropped:
            line = f"{self._dropped} lines of the log were dropped, for nobody read it\n{line}"
            self._dropped = 0
        try:
            self._lines.put_nowait(f"{line}\n")
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait until all is written, for a second at most."""
        end = time.monotonic() + _LAST_SECOND
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := end - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left)

    def close(self) -> None:
        """Write the rest and end the thread, for a second at most.

        It is waited for, because a thread that wants to run while the interpreter ends is
        killed, on a host without libgcc with the whole process.
        """
        with suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(_LAST_SECOND)
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
                self._write(line)
            self._lines.task_done()

    def _write(self, line: str) -> None:
        if self._descriptor is None:
            self.stream.write(line)
            return
        # Not by the stream: its lock would be held for as long as nobody reads, and others need it.
        data = line.encode(self.stream.encoding or "utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]


class OncePerMinute(logging.Filter):
    """Lets one record through in a minute, as a warning without its traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._next = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is written."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _MINUTE
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


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
