"""The token as a value, its secret, and lifetimes."""

import hashlib
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.settings import Budget, Secret
from rt_proxy.tokens.token import (
    Token,
    as_utc,
    hash_secret,
    models_problem,
    name_problem,
    new_id,
    new_secret,
    parse_duration,
    problems,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = Token(id="tok_1", name="alice", sha256="0" * 64, created=NOON)


def test_secret_is_legal_everywhere() -> None:
    """A secret is sk-rt- and 43 characters that a header, a subprotocol and a URL can carry."""
    assert re.fullmatch(r"sk-rt-[A-Za-z0-9_-]{43}", new_secret().reveal())


def test_secrets_and_ids_are_fresh() -> None:
    """No two secrets and no two ids are the same."""
    assert len({new_secret().reveal() for _ in range(100)}) == 100
    assert len({new_id() for _ in range(100)}) == 100


def test_id_is_told_from_a_secret() -> None:
    """An id begins with tok_, so that nobody takes it for a secret."""
    assert re.fullmatch(r"tok_[0-9a-f]{12}", new_id())


def test_hash_is_sha256() -> None:
    """What is kept is what sha256sum prints, so that an operator can check it."""
    expected = hashlib.sha256(b"sk-rt-x").hexdigest()

    assert hash_secret(Secret("sk-rt-x")) == expected


@given(st.text(st.characters()))
def test_any_text_has_a_hash(text: str) -> None:
    """Whatever a client sends as a credential can be looked up, lone surrogates too."""
    assert re.fullmatch(r"[0-9a-f]{64}", hash_secret(Secret(text)))


def test_repr_hides_the_hash() -> None:
    """The repr of a token does not show the hash of its secret."""
    assert "0000" not in repr(TOKEN)


def test_token_is_hashable_and_frozen() -> None:
    """A token can stand in a set, and cannot be changed."""
    assert {TOKEN, attrs.evolve(TOKEN)} == {TOKEN}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TOKEN.disabled = True  # type: ignore[misc]  # the very mistake


@pytest.mark.parametrize(
    ("models", "model", "allowed"),
    [
        ((), "any", True),
        (("a", "b"), "b", True),
        (("a", "b"), "c", False),
        (("a",), "A", False),
        (("*",), "c", True),
    ],
)
def test_allows(models: tuple[str, ...], model: str, allowed: bool) -> None:
    """No models and * mean any model; else only those listed, to the letter."""
    assert attrs.evolve(TOKEN, models=models).allows(model) is allowed


def test_as_utc_keeps_the_moment() -> None:
    """A moment with another offset is the same moment in UTC."""
    there = datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2)))

    assert as_utc(there) == NOON
    assert as_utc(there).tzinfo is UTC


def test_as_utc_refuses_local_times() -> None:
    """A moment without an offset is not guessed at."""
    with pytest.raises(ValueError, match="offset"):
        as_utc(datetime(2026, 1, 31))  # noqa: DTZ001 - the very mistake


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1w", timedelta(weeks=1)),
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    """A duration is a whole number and one of w, d, h, m and s."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "30", "d", "-1d", "1.5h", "30 d", "30D", "1d12h", "0d", "36501d", "9" * 5000 + "d", "٣d"],
)
def test_wrong_durations(text: str) -> None:
    """Anything else is refused, with 0 and what is longer than a century."""
    with pytest.raises(ValueError, match=r"must be more than 0|is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("name", ["alice", "Alice's phone", "日本", "x" * 64, "tok_1"])
def test_good_names(name: str) -> None:
    """A name is any printable text of up to 64 characters."""
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", " ", " a", "a ", "-", "--json", "x" * 65, "a\nb", "a\tb", "\x1b[31m", "a\x7f", "\ud800"],
)
def test_wrong_names(name: str) -> None:
    """A name that a terminal or the command line would take for something else is refused."""
    assert name_problem(name) is not None


@pytest.mark.parametrize(
    ("models", "default_model", "good"),
    [
        ((), None, True),
        ((), "a", True),
        (("a", "b"), "b", True),
        (("*",), "b", True),
        (("a",), "b", False),
        (("",), None, False),
        (("a\nb",), None, False),
        ((), "", False),
    ],
)
def test_models_rules(models: tuple[str, ...], default_model: str | None, good: bool) -> None:
    """The default model is one that the token may use, and every model has a printable name."""
    assert (models_problem(models, default_model) is None) is good


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("name", "-"),
        ("sha256", "0" * 63),
        ("sha256", "G" * 64),
        ("sha256", "A" * 64),
        ("models", ("",)),
        ("limits", {"sesions": 1}),
        ("limits", {"": 1}),
        ("limits", {1: 1}),
        ("limits", {"sessions": -1}),
        ("limits", {"sessions": True}),
        ("limits", {"sessions": 1.5}),
        ("limits", {"sessions": 10**400}),
        ("limits", {"session_seconds": 10**400}),
        ("limits", {"session_seconds": math.inf}),
        ("limits", {"session_seconds": Decimal(1)}),
        ("budget", {"usd": 1}),
        ("budget.usd", Budget()),
        ("budget.usd", Budget(usd=0.1)),
        ("budget.usd", Budget(usd=Decimal("NaN"))),
        ("budget.tokens", Budget(tokens=1.5)),
        ("budget.tokens", Budget(tokens="1")),
        ("budget.per", Budget(tokens=1, per="year")),
        ("budget.time_zone", Budget(tokens=1, time_zone=1)),
        ("budget.time_zone", Budget(tokens=1, time_zone="Mars")),
        ("budget.warn_percent", Budget(tokens=1, warn_percent="80")),
    ],
)
def test_problems_name_the_field(field: str, value: Any) -> None:
    """Each broken rule is reported with the field that breaks it, wrong types too."""
    assert problems(TOKEN) == []
    wrong = attrs.evolve(TOKEN, **{field.partition(".")[0]: value})
    assert [name for name, _ in problems(wrong)] == [field]


def test_wrong_limits_are_shown_on_one_line() -> None:
    """A name of a limit that a terminal would obey is shown as what it is."""
    [(_, reason)] = problems(attrs.evolve(TOKEN, limits={"\x1b[2J": 1, "": 1}))

    assert reason.startswith("'\\x1b[2J', '' is no limit; known here: sessions, ")


def test_right_budget_and_limits() -> None:
    """A budget of nothing is one, and 0 is no limit."""
    limits = {"sessions": 0, "session_seconds": 0.5, "message_bytes": 10**15}
    budget = Budget(usd=Decimal(0), tokens=0, per="ever", time_zone="Europe/Berlin")

    assert problems(attrs.evolve(TOKEN, limits=limits, budget=budget)) == []
