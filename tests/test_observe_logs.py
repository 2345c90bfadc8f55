"""How log lines look, and where they go."""

import io
import json
import logging
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.observe import logs
from rt_proxy.observe.logs import JsonFormatter, TextFormatter, configure, flush_log

ANYTHING = st.text() | st.integers() | st.none() | st.lists(st.text())


def logged(message: str = "session ended", *args: object, **extra: Any) -> logging.LogRecord:
    """Return a log record of a fixed moment."""
    level = extra.pop("level", logging.INFO)
    record = logging.LogRecord("rt_proxy.session", level, "", 0, message, args, None)
    record.created = 1795438800.1234
    vars(record).update(extra)
    return record


def failed() -> Any:
    """Return the exc_info of an exception."""
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        return type(error), error, error.__traceback__


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("rt_proxy")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_text_line() -> None:
    """Time in UTC, level, message, then fields; what is not plain stands in quotes."""
    fields = {
        "key": "value",
        "two": "two words",
        "number": 1.5,
        "empty": "",
        "quote": 'a"b\\c',
        "address": "[::1]",
        "list": ["a: HTTP 401", "b"],
        "equals": "a=b",
    }

    assert TextFormatter().format(logged(fields=fields)) == (
        "2026-11-23T13:00:00.123Z INFO  session ended  "
        'key=value two="two words" number=1.5 empty="" quote="a\\"b\\\\c" address="[::1]" '
        'list="a: HTTP 401; b" equals="a=b"'
    )


def test_text_line_without_fields() -> None:
    """A record without fields ends with its message."""
    line = TextFormatter().format(logged("listening on %s", "http://h"))

    assert line == "2026-11-23T13:00:00.123Z INFO  listening on http://h"


def test_text_escapes() -> None:
    """Nothing that moves a terminal or ends a line gets through, in message or field."""
    hostile = "a\r\n\x00\x1b[2J\x7f\x9b\u2028\u202e\udc80b"
    line = TextFormatter().format(logged(hostile, fields={"reason": hostile}))

    assert line.isprintable()
    assert "a\\r\\n\\x00\\x1b[2J\\x7f\\x9b\\u2028\\u202e\\udc80b" in line


def test_text_exception() -> None:
    """A traceback is a field of the same line."""
    line = TextFormatter().format(logged("bug", exc_info=failed(), stack_info="a\nb"))

    assert line.isprintable()
    assert 'exception="Traceback (most recent call last):\\n' in line
    assert 'ValueError: first\\nsecond"' in line
    assert line.endswith('stack="a\\nb"')


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.INFO, " INFO  "),
        (logging.WARNING, " \x1b[33mWARNING\x1b[0m "),
        (logging.ERROR, " \x1b[31mERROR\x1b[0m "),
    ],
)
def test_colour(level: int, shown: str) -> None:
    """The level has a colour only where that was asked for."""
    assert shown in TextFormatter(colour=True).format(logged(level=level))
    assert "\x1b" not in TextFormatter().format(logged(level=level))


def test_json_line() -> None:
    """Time, level, logger and message come first, then the fields as they are."""
    fields = {"count": 1, "list": ["a"], "text": 'a"\n\x1b\x7fü'}
    line = JsonFormatter().format(logged(fields=fields))

    assert line.isprintable()
    assert list(json.loads(line).items()) == [
        ("time", "2026-11-23T13:00:00.123Z"),
        ("level", "info"),
        ("logger", "rt_proxy.session"),
        ("message", "session ended"),
        *fields.items(),
    ]


def test_json_head_cannot_be_taken() -> None:
    """No field replaces the time, the level, the logger or the message."""
    line = JsonFormatter().format(logged(fields={"level": "x", "message": "y", "time": "z"}))

    assert json.loads(line) == json.loads(JsonFormatter().format(logged()))


def test_json_exception() -> None:
    """A traceback is a text field."""
    line = json.loads(JsonFormatter().format(logged("bug", exc_info=failed())))

    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: first\nsecond")


def test_json_takes_any_value() -> None:
    """What JSON has no form for is told as its text."""
    line = json.loads(JsonFormatter().format(logged(fields={"error": ValueError("x")})))

    assert line["error"] == "x"


@given(st.text(), st.dictionaries(st.sampled_from("abc"), ANYTHING))
def test_one_record_is_one_line(message: str, fields: dict[str, object]) -> None:
    """Whatever message and fields contain, a record is one line that a terminal can show."""
    record = logged("%s", message, fields=fields)

    assert TextFormatter().format(record).isprintable()
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == message


@pytest.mark.usefixtures("logging_put_back")
def test_configure_levels() -> None:
    """The level is that of rt-proxy; other libraries may only warn."""
    stream = io.StringIO()
    configure("json", "debug", stream)
    logging.getLogger("rt_proxy.session").debug("ours")
    logging.getLogger("trio-websocket").info("theirs")
    logging.getLogger("trio-websocket").warning("warned")
    configure("json", "error", stream)
    logging.getLogger("rt_proxy").warning("too low")
    flush_log()

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "ours",
        "warned",
    ]


@pytest.mark.usefixtures("logging_put_back")
def test_configure_again_replaces() -> None:
    """A second call leaves one handler, so that no record is written twice."""
    first, second = io.StringIO(), io.StringIO()
    configure("text", "info", first)
    configure("text", "info", second)
    logging.getLogger("rt_proxy").info("once")
    flush_log()

    assert first.getvalue() == ""
    assert second.getvalue().endswith(" INFO  once\n")


@pytest.mark.usefixtures("logging_put_back")
@pytest.mark.log_says("x")
def test_configure_colours_a_terminal() -> None:
    """Only a terminal gets colours, and only in text."""
    terminal, file, as_json = Terminal(), io.StringIO(), Terminal()
    configure("text", "info", terminal)
    logging.getLogger("rt_proxy").warning("x")
    configure("text", "info", file)
    logging.getLogger("rt_proxy").warning("x")
    configure("json", "info", as_json)
    logging.getLogger("rt_proxy").warning("x")

    assert "\x1b[33m" in terminal.getvalue()
    assert "\x1b" not in file.getvalue() + as_json.getvalue()


class StuckReader(io.StringIO):
    """A stream that nobody reads until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = threading.Event()

    def write(self, text: str) -> int:
        """Wait until somebody reads."""
        self.is_read.wait()
        return super().write(text)


@pytest.mark.usefixtures("logging_put_back")
def test_a_reader_that_stops_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not take waits, so many lines of it; the rest is dropped, and counted."""
    monkeypatch.setattr(logs, "_MOST_LINES", 10)
    monkeypatch.setattr(logs, "_LAST_SECOND", 0.01)
    stream = StuckReader()
    configure("text", "info", stream)
    logger = logging.getLogger("rt_proxy")
    for number in range(100):
        logger.info("line %d", number)
    flush_log()  # gives up
    stream.is_read.set()
    monkeypatch.setattr(logs, "_LAST_SECOND", 60)
    flush_log()
    logger.info("again")
    flush_log()
    lines = stream.getvalue().splitlines()
    kept = [line.rsplit("  ", 1)[-1] for line in lines if "INFO" in line]
    assert kept[:-1] == [f"line {number}" for number in range(len(kept) - 1)]
    assert kept[-1] == "again"
    told = [line for line in lines if "dropped" in line]
    assert told == [f"{100 - (len(kept) - 1)} lines of the log were dropped, for nobody read it"]


@pytest.mark.usefixtures("logging_put_back")
def test_a_reader_that_has_left() -> None:
    """A log that cannot be written costs nobody anything."""
    stream = io.StringIO()
    configure("text", "info", stream)
    stream.close()
    logging.getLogger("rt_proxy").info("x")
    flush_log()


@pytest.mark.usefixtures("logging_put_back")
def test_retries_of_accept_once_a_minute() -> None:
    """Trio says ten times a second, with a traceback, that there are no descriptors left."""
    stream = io.StringIO()
    configure("text", "info", stream)
    configure("text", "info", stream)
    for _ in range(20):
        logging.getLogger("trio.serve_listeners").error("EMFILE; retrying", exc_info=failed())
    flush_log()
    [line] = stream.getvalue().splitlines()
    assert " WARNING " in line
    assert "ValueError" not in line


@pytest.mark.usefixtures("logging_put_back")
def test_a_record_that_cannot_be_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever logs something wrong goes on."""
    monkeypatch.setattr(logs.LineWriter, "handleError", lambda *_: None)
    stream = io.StringIO()
    configure("text", "info", stream)
    logging.getLogger("elsewhere").warning("%d of nothing", "x")
    logging.getLogger("elsewhere").warning("next")
    flush_log()
    assert stream.getvalue().endswith("next\n")


def test_its_thread_ends_with_it() -> None:
    """When it is closed all is written, and nothing of it runs any more."""
    before = set(threading.enumerate())
    with tempfile.TemporaryFile("w+") as file:
        writer = logs.LineWriter(file)
        writer.handle(logged("caf\u00e9 \ud800"))
        [thread] = set(threading.enumerate()) - before
        writer.close()
        assert not thread.is_alive()
        file.seek(0)
        assert file.read() == "caf\u00e9 \\ud800\n"
