"""Facts about which translator stands between two sides."""

import json

import pytest

from rt_proxy.realtime.dialects import (
    BetaClientTranslator,
    Dialect,
    GaClientTranslator,
    translator_between,
)

UPDATED = '{"type":"session.updated","event_id":"e1","session":{"type":"realtime"}}'


@pytest.mark.parametrize("dialect", Dialect)
def test_one_dialect_needs_none(dialect: Dialect) -> None:
    """Where both sides speak the same, nothing stands between them."""
    assert translator_between(dialect, dialect) is None


def test_one_for_each_pair() -> None:
    """The translator is named after the client's side."""
    assert isinstance(translator_between(Dialect.BETA, Dialect.GA), BetaClientTranslator)
    assert isinstance(translator_between(Dialect.GA, Dialect.BETA), GaClientTranslator)


@pytest.mark.parametrize(
    ("owes", "types"),
    [
        (False, ["session.updated"]),
        (True, ["conversation.created", "session.updated"]),
    ],
)
def test_what_a_client_found_out_late_is_owed(owes: bool, types: list[str]) -> None:
    """Only who has missed ``conversation.created`` gets it with the next event."""
    translator = translator_between(Dialect.BETA, Dialect.GA, owes_conversation=owes)
    assert translator is not None
    assert [json.loads(text)["type"] for text in translator.from_upstream(UPDATED)] == types


def test_sessions_share_nothing() -> None:
    """Each session has a translator, and so a memory, of its own."""
    assert translator_between(Dialect.BETA, Dialect.GA) is not translator_between(
        Dialect.BETA, Dialect.GA
    )
