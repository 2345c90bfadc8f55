"""The command ``translate``, as people pipe events through it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rt_proxy.cli.translate import translate

UPDATE = '{"type":"session.update","event_id":"e","session":{"voice":"alloy","temperature":0.7}}'
GA_UPDATE = (
    '{"type":"session.update","event_id":"e",'
    '"session":{"type":"realtime","audio":{"output":{"voice":"alloy"}}}}'
)
APPEND = '{ "type" : "input_audio_buffer.append", "audio" : "AAAA" }'
DELTA = '{"type":"response.output_audio.delta","event_id":"e","delta":"AAAA"}'


def run(*arguments: str, lines: str | bytes = "") -> Result:
    """Run the command on some input."""
    return CliRunner().invoke(translate, arguments, input=lines)


def translated(*arguments: str, lines: str) -> list[str]:
    """Run the command where nothing is wrong, and return the lines on stdout."""
    result = run(*arguments, lines=lines)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_client_events() -> None:
    """Beta client events become GA ones; what needs no change comes out as it went in."""
    assert translated("--from", "beta", lines=f"{UPDATE}\n{APPEND}\n") == [GA_UPDATE, APPEND]


def test_back() -> None:
    """GA client events become Beta ones, by either option alone."""
    back = '{"type":"session.update","event_id":"e","session":{"voice":"alloy"}}'
    assert translated("--from", "ga", lines=GA_UPDATE) == [back]
    assert translated("--to", "beta", lines=GA_UPDATE) == [back]
    assert translated("--from", "ga", "--to", "beta", lines=GA_UPDATE) == [back]


def test_a_file(tmp_path: Path) -> None:
    """Events may come from a file as well."""
    file = tmp_path / "events.jsonl"
    file.write_text(f"{UPDATE}\n")
    assert translated("--from", "beta", str(file), lines="") == [GA_UPDATE]
    assert run("--from", "beta", str(tmp_path / "none")).exit_code == 2


def test_server_events() -> None:
    """With --side server it is the server's events that are translated, both ways."""
    beta = DELTA.replace("output_", "")
    assert translated("--from", "ga", "--side", "server", lines=DELTA) == [beta]
    assert translated("--from", "beta", "--side", "server", lines=beta) == [DELTA]


def test_the_lines_are_one_session() -> None:
    """What one line told is known at the next: an item is created once."""
    item = '"item":{"id":"i","type":"message","role":"user","content":[]}'
    lines = "".join(
        f'{{"type":"conversation.item.{step}",{item}}}\n' for step in ("added", "done", "deleted")
    )
    kinds = [
        json.loads(line)["type"]
        for line in translated("--from", "ga", "--side", "server", lines=lines)
    ]
    assert kinds == ["conversation.item.created", "conversation.item.deleted"]


def test_line_ends_and_empty_lines() -> None:
    """Lines may end as on other systems, and the last one not at all; empty ones stay."""
    assert translated("--from", "beta", lines=f"{APPEND}\r\n\n{APPEND}") == [APPEND, "", APPEND]


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"type":', b'{"a":"\xff"}'])
def test_what_is_no_event(line: bytes) -> None:
    """A line that is no JSON object is passed on, told with its number, and status 1."""
    result = run("--from", "beta", lines=APPEND.encode() + b"\n" + line + b"\n" + APPEND.encode())
    assert result.exit_code == 1
    assert result.stdout_bytes == b"\n".join([APPEND.encode(), line, APPEND.encode(), b""])
    assert result.stderr == "rt-proxy: line 2: is no whole JSON object; it is passed on as it is\n"


def test_what_has_no_counterpart() -> None:
    """An event that cannot be said in the other dialect is left out and told, with status 1."""
    image = (
        '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
        '"content":[{"type":"input_image","image_url":"data:"}]}}'
    )
    result = run("--from", "ga", lines=f"{image}\n{APPEND}")
    assert (result.exit_code, result.stdout) == (1, f"{APPEND}\n")
    assert "line 1: " in result.stderr
    assert "(item.content[0].type)" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("--from", "ga", "--to", "ga"), ("--from", "alpha"), ("--from", "ga", "--side", "both")],
)
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    """What cannot be meant is said, with status 2, before anything is read."""
    result = run(*arguments, lines=UPDATE)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_events_come_out_as_they_come_in() -> None:
    """In a pipe each event is there before the next one is needed."""
    with subprocess.Popen(
        [sys.executable, "-m", "rt_proxy", "translate", "--from", "beta"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{UPDATE}\n")
        assert process.stdout.readline() == f"{GA_UPDATE}\n"
        process.stdin.close()
        assert process.wait(30) == 0
