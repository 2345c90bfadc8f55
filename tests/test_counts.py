"""Facts about reading what a response or a transcription cost, in tokens."""

import json
from typing import Any

import attrs
import pytest
from eventexamples import TOKENS_USAGE, USAGE
from hypothesis import example, given
from hypothesis import strategies as st

from rt_proxy.realtime.counts import (
    Reported,
    Tokens,
    count_tokens,
    response_tokens,
    transcription_tokens,
)

#: What is no count, and what is one.
leaves = st.integers(0, 300) | st.sampled_from(
    [None, True, "7", [], {}, -1, 1.5, float("nan"), float("inf"), 10**9, 10**9 + 1, 10**400]
)
by_modality = st.fixed_dictionaries(
    {}, optional={"text_tokens": leaves, "audio_tokens": leaves, "image_tokens": leaves}
)
#: The members of a usage in every form that an upstream can give them.
usages = st.fixed_dictionaries(
    {},
    optional={
        "type": leaves | st.sampled_from(["duration", "tokens"]),
        "seconds": leaves,
        "total_tokens": leaves,
        "input_tokens": leaves,
        "output_tokens": leaves,
        "input_token_details": leaves
        | st.fixed_dictionaries(
            {},
            optional={
                "text_tokens": leaves,
                "audio_tokens": leaves,
                "image_tokens": leaves,
                "cached_tokens": leaves,
                "cached_tokens_details": leaves | by_modality,
            },
        ),
        "output_token_details": leaves | by_modality,
    },
)
some_tokens = st.builds(Tokens, *[st.integers(0, 10**8)] * 8)


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """Return the usage by which an upstream reports these tokens."""
    cached = {
        "text_tokens": tokens.text_cached_in,
        "audio_tokens": tokens.audio_cached_in,
        "image_tokens": tokens.image_cached_in,
    }
    details: dict[str, Any] = {
        "text_tokens": tokens.text_in + tokens.text_cached_in,
        "audio_tokens": tokens.audio_in + tokens.audio_cached_in,
        "image_tokens": tokens.image_in + tokens.image_cached_in,
    }
    given, made = sum(details.values()), tokens.text_out + tokens.audio_out
    details |= {"cached_tokens": sum(cached.values()), "cached_tokens_details": cached}
    return {
        "total_tokens": given + made,
        "input_tokens": given,
        "output_tokens": made,
        "input_token_details": details,
        "output_token_details": {"text_tokens": tokens.text_out, "audio_tokens": tokens.audio_out},
    }


def without(usage: dict[str, Any], *paths: str) -> dict[str, Any]:
    """Return a copy of a usage without what stands at these paths."""
    copy: dict[str, Any] = json.loads(json.dumps(usage))
    for path in paths:
        *above, name = path.split(".")
        holder = copy
        for step in above:
            holder = holder[step]
        del holder[name]
    return copy


def test_a_response() -> None:
    """Each token is counted once, with its modality, and cached ones apart."""
    assert response_tokens(USAGE, spoke=True) == Reported(
        Tokens(text_in=55, text_cached_in=64, audio_in=13, text_out=30, audio_out=91)
    )


@given(some_tokens, st.booleans())
def test_nothing_is_lost(tokens: Tokens, spoke: bool) -> None:
    """What an upstream reports in full is read back to the token, and known to be exact."""
    assert response_tokens(usage_of(tokens), spoke=spoke) == Reported(tokens)
    assert tokens.total == usage_of(tokens)["total_tokens"]


def test_tokens_add_up() -> None:
    """A sum of tokens is one of each count."""
    one, other = Tokens(1, 2, 3, 4, 5, 6, 7, 8), Tokens(10, 20, 30, 40, 50, 60, 70, 80)
    assert one + other == Tokens(11, 22, 33, 44, 55, 66, 77, 88)
    assert (one + other).total == 36 + 360


@pytest.mark.parametrize(
    ("details", "cached"),
    [
        ({"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 4}, (4, 0)),
        ({"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 14}, (10, 4)),
        ({"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 99}, (10, 20)),
    ],
)
def test_cached_by_guess(details: dict[str, int], cached: tuple[int, int]) -> None:
    """The early Beta does not say what was cached: text first, then audio, and it is a guess."""
    usage = {"total_tokens": 30, "input_tokens": 30, "output_tokens": 0}
    reported = response_tokens(usage | {"input_token_details": details}, spoke=False)
    text, audio = cached
    assert reported.tokens == Tokens(10 - text, text, 20 - audio, audio)
    assert not reported.is_exact


@pytest.mark.parametrize(
    ("cached", "expected", "is_exact"),
    [
        # There is only one modality that they can be of.
        ({"cached_tokens": 4, "cached_tokens_details": {"text_tokens": 0}}, (0, 4), True),
        # What is told of each need not be told of all.
        ({"cached_tokens_details": {"text_tokens": 3, "audio_tokens": 5}}, (3, 5), True),
        ({"cached_tokens": 0}, (0, 0), True),
        ({}, (0, 0), True),
        # More of a modality than there is of it does not spill into another that has its count.
        (
            {"cached_tokens": 64, "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0}},
            (10, 0),
            False,
        ),
        ({"cached_tokens_details": {"text_tokens": 64}}, (10, 0), False),
        ({"cached_tokens": 64, "cached_tokens_details": {"text_tokens": 64}}, (10, 0), False),
        # More than there is.
        ({"cached_tokens": 99, "cached_tokens_details": {"text_tokens": 10}}, (10, 20), False),
        # The parts are more than the whole, or less.
        (
            {"cached_tokens": 1, "cached_tokens_details": {"text_tokens": 2, "audio_tokens": 2}},
            (2, 2),
            False,
        ),
        (
            {"cached_tokens": 9, "cached_tokens_details": {"text_tokens": 2, "audio_tokens": 2}},
            (2, 2),
            False,
        ),
    ],
)
def test_cached_as_told(cached: dict[str, Any], expected: tuple[int, int], is_exact: bool) -> None:
    """What was cached is as the usage says, as far as that can be; else it is not exact."""
    details = {"text_tokens": 10, "audio_tokens": 20} | cached
    usage = {"total_tokens": 30, "input_tokens": 30, "output_tokens": 0}
    reported = response_tokens(usage | {"input_token_details": details}, spoke=False)
    text, audio = expected
    assert reported == Reported(Tokens(10 - text, text, 20 - audio, audio), is_exact=is_exact)


@pytest.mark.parametrize("spoke", [True, False])
def test_no_modality_is_told(spoke: bool) -> None:
    """Totals alone count as audio where the response spoke, else as text; it is a guess."""
    usage = {"total_tokens": 30, "input_tokens": 10, "output_tokens": 20}
    expected = Tokens(audio_in=10, audio_out=20) if spoke else Tokens(text_in=10, text_out=20)
    assert response_tokens(usage, spoke=spoke) == Reported(expected, is_exact=False)


def test_a_modality_is_not_told() -> None:
    """Tokens beyond those whose modality is told count as text, though the response spoke."""
    usage = {
        "total_tokens": 26,
        "input_tokens": 10,
        "output_tokens": 16,
        "input_token_details": {"audio_tokens": 4},
        "output_token_details": {"text_tokens": 0, "audio_tokens": 15},
    }
    expected = Tokens(text_in=6, audio_in=4, text_out=1, audio_out=15)
    assert response_tokens(usage, spoke=True) == Reported(expected, is_exact=False)
    usage["output_token_details"] = {"text_tokens": 0}
    expected = Tokens(text_in=6, audio_in=4, text_out=16)
    assert response_tokens(usage, spoke=True) == Reported(expected, is_exact=False)


@pytest.mark.parametrize(
    "lost",
    [
        ["total_tokens"],
        ["input_tokens"],
        ["output_tokens"],
        ["input_tokens", "output_tokens"],
        ["total_tokens", "input_tokens", "output_tokens"],
        ["input_tokens", "input_token_details.text_tokens"],
        ["output_tokens", "output_token_details.text_tokens"],
    ],
)
def test_a_total_is_not_told(lost: list[str]) -> None:
    """What the rest of the usage tells is enough for the counts, but they are not exact."""
    exact = response_tokens(USAGE, spoke=True)
    guessed = response_tokens(without(USAGE, *lost), spoke=True)
    assert guessed == attrs.evolve(exact, is_exact=False)


@pytest.mark.parametrize("name", ["total_tokens", "input_tokens", "output_tokens"])
def test_it_does_not_add_up(name: str) -> None:
    """Where a total is less than its parts the parts count, but they are not exact."""
    exact = response_tokens(USAGE, spoke=True)
    guessed = response_tokens(USAGE | {name: 5}, spoke=True)
    assert guessed == attrs.evolve(exact, is_exact=False)


def test_only_the_whole_is_told() -> None:
    """A sum alone is taken to be what went in, and so is what it has beyond the rest."""
    assert response_tokens({"total_tokens": 9}, spoke=False) == Reported(
        Tokens(text_in=9), is_exact=False
    )
    usage = {"total_tokens": 9, "output_token_details": {"audio_tokens": 2}}
    assert response_tokens(usage, spoke=True) == Reported(
        Tokens(audio_in=7, audio_out=2), is_exact=False
    )


def test_a_whole_that_is_less_than_a_part() -> None:
    """A part that is more than the whole leaves nothing for the other."""
    usage = {"total_tokens": 5, "input_tokens": 9}
    assert response_tokens(usage, spoke=False) == Reported(Tokens(text_in=9), is_exact=False)


def test_nothing_is_told() -> None:
    """An empty usage is nothing, and not exact; one that says 0 is exact."""
    assert response_tokens({}, spoke=True) == Reported(is_exact=False)
    nought = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
    assert response_tokens(nought, spoke=True) == Reported()


@given(usages, st.booleans())
@example({"input_token_details": {"cached_tokens": 7}, "input_tokens": 5}, True)
def test_any_usage_of_a_response(usage: dict[str, Any], spoke: bool) -> None:
    """Whatever stands there, no count is below 0, and more is not cached than went in."""
    tokens = response_tokens(usage, spoke=spoke).tokens
    counts = attrs.astuple(tokens)
    assert all(type(count) is int and 0 <= count <= 3 * 10**9 for count in counts)
    cached = tokens.text_cached_in + tokens.audio_cached_in + tokens.image_cached_in
    told = usage.get("input_token_details")
    if isinstance(told, dict):
        limit = told.get("cached_tokens")
        parts = told.get("cached_tokens_details")
        if type(limit) is int and 0 <= limit <= 10**9 and not isinstance(parts, dict):
            assert cached <= limit
    else:
        assert cached == 0
    counted = count_tokens(usage)
    if "input_tokens" in counted and "output_tokens" in counted:
        assert tokens.total >= counted["input_tokens"] + counted["output_tokens"]


def test_a_transcription_by_tokens() -> None:
    """What was heard and what was written are counted apart, whether the form is named or not."""
    for usage in (TOKENS_USAGE, without(TOKENS_USAGE, "type")):
        assert transcription_tokens(usage) == Reported(Tokens(audio_in=17, text_out=9))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (without(TOKENS_USAGE, "input_token_details"), (0, 17, 9)),
        (without(TOKENS_USAGE, "output_tokens"), (0, 17, 9)),
        (without(TOKENS_USAGE, "input_tokens"), (0, 17, 9)),
        (without(TOKENS_USAGE, "input_tokens", "input_token_details"), (0, 17, 9)),
        ({"type": "tokens", "total_tokens": 26}, (0, 26, 0)),
        ({"type": "tokens"}, (0, 0, 0)),
        (TOKENS_USAGE | {"total_tokens": 27}, (0, 17, 9)),
        (TOKENS_USAGE | {"input_tokens": 19, "total_tokens": 28}, (2, 17, 9)),
    ],
)
def test_a_transcription_by_guess(usage: dict[str, Any], expected: tuple[int, int, int]) -> None:
    """What is not told is what the rest leaves, and audio; it is not exact."""
    text, audio, out = expected
    tokens = Tokens(text_in=text, audio_in=audio, text_out=out)
    assert transcription_tokens(usage) == Reported(tokens, is_exact=False)


def test_a_transcription_without_its_sum() -> None:
    """The sum of a transcription tells nothing that its parts do not."""
    usage = without(TOKENS_USAGE, "total_tokens")
    assert transcription_tokens(usage) == transcription_tokens(TOKENS_USAGE)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(3.2, 3_200), (3, 3_000), (0, 0), (0.0, 0), (0.0001, 1), (2.0005, 2_001), (0.1 + 0.2, 300),
     (86_400, 86_400_000)],
)  # fmt: skip
def test_a_transcription_by_duration(seconds: float, milliseconds: int) -> None:
    """Seconds are rounded up to milliseconds, but not for the error of a float."""
    for usage in ({"type": "duration", "seconds": seconds}, {"seconds": seconds}):
        assert transcription_tokens(usage) == Reported(milliseconds=milliseconds)


@pytest.mark.parametrize(
    "seconds",
    [None, True, "3", [], {}, -1, -0.5, 86_401, 1e300, 10**400, float("nan"), float("inf")],
)
def test_what_is_no_duration(seconds: object) -> None:
    """A duration of the wrong kind, or beyond a day, is nothing, and known not to be exact."""
    for usage in ({"type": "duration", "seconds": seconds}, {"seconds": seconds}):
        assert transcription_tokens(usage) == Reported(is_exact=False)
    for seconds in ({}, {"input_tokens": 5}):
        assert transcription_tokens({"type": "duration"} | seconds) == Reported(is_exact=False)


def test_tokens_that_have_seconds_beside_them() -> None:
    """A transcription that says it is paid by tokens is, whatever else it tells."""
    assert transcription_tokens(TOKENS_USAGE | {"seconds": 3.2}) == transcription_tokens(
        TOKENS_USAGE
    )


@given(usages)
@example({"seconds": 10**400})
def test_any_usage_of_a_transcription(usage: dict[str, Any]) -> None:
    """Whatever stands there, nothing is below 0, and nothing is both tokens and minutes."""
    reported = transcription_tokens(usage)
    counts = attrs.astuple(reported.tokens)
    assert all(type(count) is int and count >= 0 for count in counts)
    assert type(reported.milliseconds) is int
    assert 0 <= reported.milliseconds <= 86_400_000
    assert not (reported.milliseconds and reported.tokens.total)


def test_all_counts() -> None:
    """Totals and modalities of both directions are told by flat names; nought is left out."""
    assert count_tokens(USAGE) == {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_text_tokens": 119,
        "input_audio_tokens": 13,
        "input_cached_tokens": 64,
        "output_text_tokens": 30,
        "output_audio_tokens": 91,
    }


@pytest.mark.parametrize("wrong", [None, True, 1.0, "7", [], {}, -1, 0, 10**9 + 1, 10**4000])
def test_what_is_no_count(wrong: object) -> None:
    """A count of the wrong kind, or beyond belief, is left out; those beside it are told."""
    usage = {
        "total_tokens": wrong,
        "input_tokens": 5,
        "output_token_details": {"text_tokens": wrong, "audio_tokens": 2},
    }
    assert count_tokens(usage) == {"input_tokens": 5, "output_audio_tokens": 2}
    assert response_tokens(usage, spoke=True) == Reported(
        Tokens(audio_in=5, audio_out=2), is_exact=False
    )


def test_the_largest_count() -> None:
    """A thousand million tokens are believed."""
    assert count_tokens({"total_tokens": 10**9}) == {"total_tokens": 10**9}


@given(usages)
def test_any_counts(usage: dict[str, Any]) -> None:
    """Whatever stands there, the counts are whole numbers above nought."""
    assert all(type(count) is int and count > 0 for count in count_tokens(usage).values())
