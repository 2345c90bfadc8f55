"""``rt-proxy translate``: events of one dialect in, those of the other out.

Reads and prints lines; what becomes of an event is decided in ``realtime/dialects/``.
"""

import sys
from collections.abc import Callable
from typing import BinaryIO, Literal

import click

from rt_proxy.cli.help import examples
from rt_proxy.cli.outcome import COULD_NOT
from rt_proxy.realtime.dialects import Dialect, Untranslated, translator_between
from rt_proxy.realtime.jsontext import parse_object

Side = Literal["client", "server"]
_Translate = Callable[[str], tuple[str, ...] | Untranslated]

_DIALECTS = click.Choice([dialect.value for dialect in Dialect])


@click.command(
    epilog=examples(
        "rt-proxy translate --from beta my-client-events.jsonl",
        "rt-proxy translate --from ga --side server recorded.jsonl > as-beta.jsonl",
        """echo '{"type":"response.create","response":{"modalities":["text"]}}' |\\""",
        "    rt-proxy translate --from beta --to ga",
    )
)
@click.option("--from", "source", type=_DIALECTS, help="The dialect of what comes in.")
@click.option(
    "--to", "target", type=_DIALECTS, help="The dialect of what goes out.  [default: the other]"
)
@click.option(
    "--side",
    type=click.Choice(["client", "server"]),
    default="client",
    show_default=True,
    help="Who sends the events.",
)
@click.argument("file", type=click.File("rb"), default="-")
def translate(source: str | None, target: str | None, side: Side, file: BinaryIO) -> None:
    """Translate events between the Beta and the GA dialect.

    Reads one JSON event a line from FILE, or from stdin, and writes on stdout what a session
    through rt-proxy would get in its place: one event, or several, or none where the other
    side knows it by another event. The lines are one session, in its order. What needs no
    change comes out as it went in.

    A line that is no JSON object is passed on; an event that cannot be said in the other
    dialect, such as an image in Beta, is left out. Both are told on stderr, and the exit
    status is 1.
    """
    translated = _translator(*_dialects(source, target), side)
    clean = True
    output = sys.stdout.buffer
    for number, raw in enumerate(file, 1):
        line = raw.rstrip(b"\r\n")
        events, problem = _one_line(line, translated)
        for event in events:
            output.write(event + b"\n")
        output.flush()
        if problem is not None:
            clean = False
            click.echo(f"rt-proxy: line {number}: {problem}", err=True)
    if not clean:
        raise SystemExit(COULD_NOT)


def _dialects(source: str | None, target: str | None) -> tuple[Dialect, Dialect]:
    """Return both dialects; one that is not named is the other one."""
    if source is None and target is None:
        raise click.UsageError("name a dialect: --from beta, or --from ga")
    if source == target:
        raise click.UsageError("--from and --to are the same dialect")
    named = Dialect(source or target)
    other = Dialect.GA if named is Dialect.BETA else Dialect.BETA
    return (named, other) if source is not None else (other, named)


def _translator(source: Dialect, target: Dialect, side: Side) -> _Translate:
    client, upstream = (source, target) if side == "client" else (target, source)
    translator = translator_between(client, upstream)
    if translator is None:
        raise ValueError("both dialects are the same")
    return translator.from_client if side == "client" else translator.from_upstream


def _one_line(line: bytes, translated: _Translate) -> tuple[list[bytes], str | None]:
    """Return the lines that stand for one, and what is wrong with it."""
    if not line.strip():
        return [line], None
    if parse_object(line) is None:
        return [line], "is no whole JSON object; it is passed on as it is"
    events = translated(line.decode())
    if isinstance(events, Untranslated):
        return [], f"{events.message} ({events.param})"
    return [event.encode() for event in events], None
