"""What each dialect does in its own manner, and on whom it leans for it."""

import ast
from pathlib import Path

import pytest

from rt_proxy import simulator
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.simulator.events import event
from rt_proxy.simulator.manners import BETA, GA, MANNERS, Manner

_ROOM = Path(simulator.__file__).parent


def test_every_dialect_has_a_manner() -> None:
    """Each dialect is spoken in one manner, and no two share one."""
    assert MANNERS == {Dialect.GA: GA, Dialect.BETA: BETA}
    assert GA != BETA


@pytest.mark.parametrize("manner", MANNERS.values())
@pytest.mark.parametrize(("model", "kind"), [("m", "realtime"), (None, "transcription")])
def test_every_session_has_its_checks(manner: Manner, model: str | None, kind: str) -> None:
    """Both kinds of session begin, can be shown, and know events."""
    session = manner.fresh_session(model, 7)
    assert session["type"] == kind
    assert manner.show(event("session.created", session=session)) is not None
    assert "input_audio_buffer.append" in manner.checks[kind]


def test_ga_says_all_but_the_conversation() -> None:
    """GA shows events as they are, and has no ``conversation.created``."""
    said = event("response.done", response={})
    assert GA.show(said) is said
    assert GA.show(event("conversation.created", conversation={})) is None


@pytest.mark.parametrize("path", sorted(_ROOM.glob("*.py")), ids=lambda path: path.stem)
def test_no_translator_helps_the_witness(path: Path) -> None:
    """Of the room of the dialects only their names come into the simulator."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
            "rt_proxy.realtime.dialects"
        ):
            assert node.module == "rt_proxy.realtime.dialects"
            assert [alias.name for alias in node.names] == ["Dialect"]
        elif isinstance(node, ast.ImportFrom) and node.module == "rt_proxy.realtime":
            assert "dialects" not in [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            assert not any("dialects" in alias.name for alias in node.names)
