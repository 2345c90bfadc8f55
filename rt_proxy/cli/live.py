"""What ``rt-proxy check --live`` prints: progress on stderr, and a table or JSON on stdout."""

import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import attrs
import click
import trio

from rt_proxy.cli.outcome import COULD_NOT, fail
from rt_proxy.cli.table import table, width
from rt_proxy.livecheck import LiveResult, Probe, check_live, probes
from rt_proxy.settings import Settings

#: What a shell reports for a command that Ctrl-C ended: 128 and the signal's number.
_INTERRUPTED = 130
#: How often the progress on a terminal is written anew, in seconds.
_TICK = 0.1


def print_live(
    settings: Settings, *, model: str | None, transcription: bool, as_json: bool
) -> None:
    """Open a session on every channel and print what came of it.

    The exit status is 1 where one failed or none serves the model, and 130 where Ctrl-C ended it.

    Args:
        settings: What is in force.
        model: What to ask for on channels that serve it.
        transcription: Open transcription sessions.
        as_json: Print one array in JSON.
    """
    planned = probes(settings, model=model, transcription=transcription)
    if not planned:
        fail("no channel takes transcription sessions; see channels[].transcription")
    if model is not None and all(probe.model != model for probe in planned):
        fail(f"no channel serves the model {model!r}; see channels[].models")
    progress = Progress(planned, sys.stderr, on_terminal=_is_terminal(sys.stderr))
    with _errors_only():
        interrupted = trio.run(_run, settings, planned, progress)
    results = sorted(progress.results, key=lambda result: planned.index(result.probe))
    if as_json:
        click.echo(json.dumps(list(map(_described, results)), ensure_ascii=False, indent=2))
    elif results:
        _print_table(results)
    if interrupted:
        unfinished = ", ".join(probe.label for probe in progress.waiting)
        click.echo(
            f"rt-proxy: stopped by Ctrl-C; not finished: {unfinished or 'nothing'}", err=True
        )
        sys.exit(_INTERRUPTED)
    if any(result.failure is not None for result in results):
        sys.exit(COULD_NOT)


@contextmanager
def _errors_only() -> Iterator[None]:
    """Keep from stderr what the opening logs of channels that fail: the table says it."""
    logger = logging.getLogger("rt_proxy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


async def _run(settings: Settings, planned: Sequence[Probe], progress: "Progress") -> bool:
    """Check until all is done, or until Ctrl-C; return whether it was that."""
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            work = trio.CancelScope()
            nursery.start_soon(_cancel_by_signal, signals, work)
            nursery.start_soon(progress.tick)
            try:
                with work:
                    await check_live(settings, planned, progress.note)
            finally:
                progress.end()
            nursery.cancel_scope.cancel("all is done")
    return work.cancelled_caught


async def _cancel_by_signal(signals: AsyncIterator[int], work: trio.CancelScope) -> None:
    async for _ in signals:  # a second one changes nothing: it takes a moment to say goodbye
        work.cancel("Ctrl-C")


class Progress:
    """Says on stderr how far it is (mutable: it gathers the results).

    On a terminal one line is written over and over; else each result has a line.

    Attributes:
        results: What came, in the order of coming.
        waiting: What has not come yet.
    """

    def __init__(self, planned: Sequence[Probe], stream: TextIO, *, on_terminal: bool) -> None:
        """Begin with nothing.

        Args:
            planned: What is waited for.
            stream: Where to write.
            on_terminal: Whether a line can be written over there.
        """
        self.results: list[LiveResult] = []
        self.waiting = list(planned)
        self._stream = stream
        self._on_terminal = on_terminal

    def note(self, result: LiveResult) -> None:
        """Take a result."""
        self.results.append(result)
        self.waiting.remove(result.probe)
        if not self._on_terminal:
            click.echo(f"{result.probe.label}: {_in_words(result)}", file=self._stream)

    async def tick(self) -> None:
        """Write the line again and again, until cancelled."""
        began = trio.current_time()
        while self._on_terminal:
            self._write(self._line(trio.current_time() - began))
            await trio.sleep(_TICK)

    def end(self) -> None:
        """Take the line away."""
        if self._on_terminal:
            self._write("")

    def _line(self, seconds: float) -> str:
        count = len(self.results) + len(self.waiting)
        waiting = ", ".join(probe.label for probe in self.waiting)
        return f"{len(self.results)} of {count} done, {seconds:.1f} s, waiting for {waiting}"

    def _write(self, line: str) -> None:
        columns = shutil.get_terminal_size().columns - 1
        if width(line) > columns:
            while width(line) > columns - 3:
                line = line[:-1]
            line += "..."
        self._stream.write(f"\r{line}\x1b[K")
        self._stream.flush()


def _in_words(result: LiveResult) -> str:
    if result.failure is not None:
        return f"failed, {result.failure}"
    event = "the upgrade" if result.shown is None else result.shown.event
    return f"ok, {_milliseconds(result.times.total)} to {event}"


def _print_table(results: Sequence[LiveResult]) -> None:
    header = (
        "STATE", "CHANNEL", "CONNECT", "UPGRADE", "FIRST EVENT", "TOTAL", "MODEL THERE",
        "DIALECT", "REMARK",
    )  # fmt: skip
    right = ("CONNECT", "UPGRADE", "FIRST EVENT", "TOTAL")
    head, *lines = table(header, list(map(_row, results)), right=right)
    click.echo(head)
    for result, line in zip(results, lines, strict=True):
        click.secho(line, fg=_colour(result))


def _colour(result: LiveResult) -> str:
    if result.failure is not None:
        return "red"
    return "green" if result.wrong_dialect is None else "yellow"


def _row(result: LiveResult) -> tuple[str, ...]:
    probe, times = result.probe, result.times
    return (
        "ok" if result.failure is None else "failed",
        probe.label,
        *map(_milliseconds, (times.connect, times.upgrade, times.first_event, times.total)),
        probe.upstream_model or "",
        probe.channel.dialect.value,
        result.failure or "; ".join(_remarks(result)),
    )


def _remarks(result: LiveResult) -> Iterator[str]:
    """Say what is good to know of a session that was opened."""
    probe, shown = result.probe, result.shown
    if probe.intent == "transcription":
        yield "a transcription session"
    if not probe.channel.first_event:
        yield "no first event is waited for (first_event = false)"
    if shown is not None and shown.model not in (None, probe.upstream_model):
        yield f"it shows the model {shown.model}"
    if (dialect := result.wrong_dialect) is not None:
        yield f'it speaks the {dialect.name} dialect: set dialect = "{dialect.value}"'


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def _described(result: LiveResult) -> dict[str, object]:
    probe, shown = result.probe, result.shown
    dialect = None if shown is None else shown.dialect
    return {
        "channel": probe.channel.name,
        "provider": probe.channel.provider,
        "key": probe.key,
        "keys": probe.keys,
        "ok": result.failure is None,
        "failure": result.failure,
        "intent": probe.intent,
        "model": probe.model,
        "upstream_model": probe.upstream_model,
        "shown_model": None if shown is None else shown.model,
        "dialect": probe.channel.dialect.value,
        "shown_dialect": None if dialect is None else dialect.value,
        "first_event": None if shown is None else shown.event,
        **{
            f"{name}_ms": None if seconds is None else round(seconds * 1000, 1)
            for name, seconds in attrs.asdict(result.times).items()
        },
    }
