"""``rt-proxy say``: one turn as a client, to try a server.

Reads the arguments, prints what comes and writes the WAV file; the turn itself is in
``rt_proxy/client.py``.
"""

import contextlib
import os
import sys
import unicodedata
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import trio

from rt_proxy.channels import Channel
from rt_proxy.cli.help import Number, examples
from rt_proxy.cli.outcome import COULD_NOT, fail
from rt_proxy.client import server_at, take_turn
from rt_proxy.clientturn import (
    MOST_AUDIO_BYTES,
    SAMPLE_BYTES,
    SAMPLE_RATE,
    Question,
    Reply,
    Times,
)
from rt_proxy.settings import Secret

#: What a shell reports for a command that Ctrl-C ended: 128 and the signal's number.
_INTERRUPTED = 130
_LONGEST_TIMEOUT = 86_400
_AUDIO_BYTES_PER_SECOND = SAMPLE_RATE * SAMPLE_BYTES
#: Cc: terminal controls. Cs: halves of characters, which cannot be printed at all.
_UNSAFE_CATEGORIES = ("Cc", "Cs")
#: These turn around how the text beside them is shown.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _sayable(_context: click.Context, _argument: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("there is nothing to say in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not UTF-8") from None
    return text


@click.command(
    epilog=examples(
        'RT_PROXY_TOKEN=sk-rt-... rt-proxy say "Hello"',
        'rt-proxy say "Hello" --model gpt-realtime-2.1 --save reply.wav',
        'rt-proxy token add me | rt-proxy say "Hello" --text --token-file -',
    )
)
@click.argument("text", callback=_sayable)
@click.option("--url", default="http://127.0.0.1:8080/v1", show_default=True,
              help="The server, as SDKs are given it; http, https, ws or wss.")  # fmt: skip
@click.option("--model", help="The model to ask for.  [default: the server's own]")
@click.option("--text", "as_text", is_flag=True, help="Ask for an answer in text, not in audio.")
@click.option("--save", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the answer's audio to this WAV file.")  # fmt: skip
@click.option("--timeout", metavar="SECONDS", default=60, show_default=True,
              type=Number(0, _LONGEST_TIMEOUT, min_open=True),
              help="How long the whole turn may take.")  # fmt: skip
@click.option("--token-file", metavar="FILE",
              help="Read the token from this file; -: from standard input.")  # fmt: skip
@click.option("--token", help="The token. Others on this host can see it in the list of processes; "
              "RT_PROXY_TOKEN and --token-file keep it private.")  # fmt: skip
def say(
    text: str,
    url: str,
    model: str | None,
    as_text: bool,
    save: Path | None,
    timeout: float,
    token_file: str | None,
    token: str | None,
) -> None:
    """Say TEXT to a Realtime server, and print what it answers.

    The token comes from the environment variable RT_PROXY_TOKEN, or from an option.
    The answer goes to stdout as it comes; usage and timing go to stderr.

    Exit status: 0 the response was completed; 1 it was refused, failed or cut, and
    stderr says why; 130 stopped with Ctrl-C.
    """
    if save is not None and as_text:
        raise click.UsageError("--save needs a spoken answer; leave out --text")
    if token is not None and token_file is not None:
        raise click.UsageError("give --token or --token-file, not both")
    secret = _token(token, token_file)
    try:
        server = server_at(url, secret)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if save is not None:
        _check_writable(save)
    try:
        reply = _take_turn(server, Question(text, spoken=not as_text), model, save, timeout)
    except KeyboardInterrupt:
        click.echo(err=True)
        sys.exit(_INTERRUPTED)
    if reply.times.first_text is not None:
        click.echo()
    if reply.completed or reply.times.session_created is not None:
        _report(reply)
    written = save is None or _save(save, reply)
    for problem in (*reply.problems, *_hints(reply, secret)):
        click.echo(f"rt-proxy: {_printable(problem)}", err=True)
    if not (reply.completed and written):
        sys.exit(COULD_NOT)


def _token(token: str | None, file: str | None) -> Secret | None:
    """Return the token from where it was given; None: from nowhere."""
    if file is not None:
        return Secret(_read_token(file))
    given = os.environ.get("RT_PROXY_TOKEN") if token is None else token
    return Secret(given.strip()) if given and given.strip() else None


def _read_token(file: str) -> str:
    name = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fail(f"the token cannot be read from {name}: {why}")
    if not text.strip():
        fail(f"there is no token in {name}")
    return text.strip()


def _hints(reply: Reply, token: Secret | None) -> Iterator[str]:
    """Say which option would have helped."""
    if "missing_model" in reply.error_codes:
        yield "name a model with --model"
    if "invalid_api_key" in reply.error_codes and token is None:
        yield "there was no token: set RT_PROXY_TOKEN, or use --token-file FILE"


def _check_writable(path: Path) -> None:
    """Say before the turn, which may cost money, what would be in the way after it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        fail(f"{path} cannot be written: there is no folder {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        fail(f"{path} cannot be written: it may not")


def _take_turn(
    server: Channel, question: Question, model: str | None, save: Path | None, timeout: float
) -> Reply:
    """Take the turn, and raise bare what comes out of its nurseries."""

    async def turn() -> Reply:
        return await take_turn(
            server,
            question,
            model=model,
            hear=_print_piece,
            keep_audio=save is not None,
            seconds=timeout,
        )

    try:
        return trio.run(turn)
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _print_piece(text: str) -> None:
    click.echo(_printable(text, keep="\n\t"), nl=False)


def _printable(text: str, *, keep: str = "") -> str:
    """Return a server's text with everything escaped that could act on a terminal."""
    shown = (
        letter if letter in keep or not _is_unsafe(letter) else ascii(letter)[1:-1]
        for letter in text
    )
    encoding = sys.stdout.encoding or "utf-8"
    return "".join(shown).encode(encoding, "backslashreplace").decode(encoding)


def _is_unsafe(letter: str) -> bool:
    return letter in _BIDI_CONTROLS or unicodedata.category(letter) in _UNSAFE_CATEGORIES


def _save(path: Path, reply: Reply) -> bool:
    """Write the audio that came, also of a response that was cut; say whether it went well."""
    if not reply.audio:
        if reply.completed:
            click.echo(f"rt-proxy: no audio came, so {path} is not written", err=True)
        return True
    if reply.audio_bytes > MOST_AUDIO_BYTES:
        click.echo(f"rt-proxy: {path} has only the first {_length(reply.audio)}", err=True)
    try:
        with path.open("wb") as file, contextlib.closing(wave.open(file, "wb")) as writer:
            writer.setnchannels(1)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(SAMPLE_RATE)
            writer.writeframes(reply.audio)
    except OSError as error:
        click.echo(f"rt-proxy: {path} cannot be written: {error.strerror}", err=True)
        return False
    return True


def _length(audio: bytes) -> str:
    return f"{len(audio) / _AUDIO_BYTES_PER_SECOND:.1f} s"


def _report(reply: Reply) -> None:
    """Print usage and timing in aligned lines, on stderr."""
    rows = [*_time_rows(reply.times)]
    if reply.audio_bytes:
        rows.append(("audio", f"{reply.audio_bytes / _AUDIO_BYTES_PER_SECOND:.1f}", "s"))
    if reply.usage is not None:
        rows += _usage_rows(reply.usage)
    names = max(len(name) for name, _, _ in rows)
    numbers = max(len(number) for _, number, _ in rows)
    for name, number, unit in rows:
        click.echo(f"{name:<{names}}  {number:>{numbers}} {unit}", err=True)


def _time_rows(times: Times) -> list[tuple[str, str, str]]:
    moments = (
        ("session.created", times.session_created),
        ("first text", times.first_text),
        ("first audio", times.first_audio),
        ("total", times.total),
    )
    return [(name, f"{at * 1000:.0f}", "ms") for name, at in moments if at is not None]


def _usage_rows(usage: Mapping[str, int]) -> list[tuple[str, str, str]]:
    return [
        (direction, str(usage.get(f"{direction}_tokens", 0)), _tokens(usage, direction, *kinds))
        for direction, *kinds in (
            ("input", "text", "audio", "image", "cached"),
            ("output", "text", "audio"),
        )
    ]


def _tokens(usage: Mapping[str, int], direction: str, *kinds: str) -> str:
    counts = ((usage.get(f"{direction}_{kind}_tokens"), kind) for kind in kinds)
    known = ", ".join(f"{count} {kind}" for count, kind in counts if count)
    return f"tokens ({known})" if known else "tokens"
