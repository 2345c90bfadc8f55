"""The page docs/dialects.md against the translator."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from rt_proxy.cli import main
from rt_proxy.realtime.dialects import BetaClientTranslator, GaClientTranslator

DOC = (Path(__file__).parent.parent / "docs" / "dialects.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the tables under a heading, without their heads."""
    section = DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for table in re.findall(r"(?m)(?:^\|.*\n)+", section)
        for line in table.splitlines()[2:]
    ]


def codes(cell: str) -> list[str]:
    """Return what stands as code in a cell."""
    return re.findall(r"`(.*?)`", cell)


def test_renamed_events() -> None:
    """The events that only change their type are those of the code, in both directions."""
    told = {
        ga: beta
        for row in rows("What is translated")
        for beta, ga in zip(codes(row[0]), codes(row[1]), strict=False)
        if re.fullmatch(r"response\.\w+\.(delta|done)", beta)
    }
    assert told == BetaClientTranslator.renamed_in_passing
    assert {beta: ga for ga, beta in told.items()} == GaClientTranslator.renamed_in_passing


def test_session_fields() -> None:
    """Each field of a Beta session goes where the table says, and comes back."""
    values = {
        "voice": "alloy",
        "speed": 1.5,
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": None,
        "turn_detection": None,
        "max_response_output_tokens": 7,
    }
    told = {
        beta: ga
        for row in rows("What is translated")
        for beta, ga in zip(codes(row[0]), codes(row[1]), strict=False)
        if beta in values
    }
    assert told.keys() == values.keys()
    for beta, ga in told.items():
        event = {"type": "session.update", "session": {beta: values[beta]}}
        [sent] = BetaClientTranslator().from_client(json.dumps(event))
        value = json.loads(sent)["session"]
        for step in ga.split("."):
            value = value[step]
        assert value == values[beta]
        [back] = GaClientTranslator().from_client(sent)
        assert json.loads(back) == event


def test_dropped_events() -> None:
    """The events that a Beta client does not get are left out."""
    [row] = [row for row in rows("What cannot be") if "timeout_triggered" in row[0]]
    for kind in codes(row[0]):
        assert BetaClientTranslator().from_upstream(json.dumps({"type": kind})) == ()


def test_every_question_has_a_decision() -> None:
    """The table of decisions has a line for each of the points where the dialects do not fit."""
    decisions = rows("How the open questions are decided")
    assert len(decisions) == 24
    assert all(len(row) == 2 and all(row) for row in decisions)


def test_commands() -> None:
    """The commands of the page print what it shows."""
    [block] = re.findall(r"```sh\n(\$.*?)```", DOC, re.DOTALL)
    shown = re.findall(r"\$ echo '(.*?)' \| rt-proxy (.*)\n(.*)\n", block)
    assert len(shown) == 2
    for event, arguments, printed in shown:
        result = CliRunner().invoke(main, arguments.split(), input=f"{event}\n")
        assert (result.exit_code, result.stdout) == (0, f"{printed}\n")


def test_links() -> None:
    """What the page links to is there."""
    folder = Path(__file__).parent.parent / "docs"
    for target in re.findall(r"\]\(([\w./-]+)?(?:#[\w-]+)?\)", DOC):
        assert not target or (folder / target).is_file(), target
