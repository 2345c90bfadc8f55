"""The tables of docs/endings.md against the code: whoever changes one must change the other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from rt_proxy.realtime import closing, refusals
from rt_proxy.realtime.closing import Ending, Side
from rt_proxy.realtime.frames import Fault, FaultKind
from rt_proxy.realtime.overrate import refused_for_rate
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import Timeouts

DOC = (Path(__file__).parent.parent / "docs" / "endings.md").read_text()

#: In the order of the page.
REFUSALS = (
    refusals.invalid_api_key("why"),
    refusals.model_unknown("m"),
    refusals.model_not_allowed("m"),
    refusals.invalid_intent("i"),
    refusals.missing_model(),
    refusals.budget_spent("why"),
    refusals.rate_limit_exceeded("why", 5),
    refusals.upstream_unavailable("why"),
)
HTTP_ONLY = (
    refusals.bad_request("why"),
    refusals.origin_not_allowed(),
    refusals.head_timeout(),
    refusals.too_many_from_address(5),
    refusals.too_often_from_address(5),
    refusals.at_capacity(5),
    refusals.too_many_newcomers(5),
    refusals.draining(5),
    refusals.internal_error(),
    refusals.usage_unavailable(),
)


def tables(heading: str) -> list[list[list[str]]]:
    """Return the tables under a heading: rows of cells, without their own heads and quotes."""
    section = DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [list(_rows(block)) for block in re.findall(r"(?m)(?:^\|.*\n)+", section)]


def _rows(block: str) -> Iterator[list[str]]:
    for line in block.splitlines()[2:]:
        yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def test_refusals() -> None:
    """Every refusal of both forms is told with its type, code, close code and status."""
    told = [row[1:] for row in tables("A client that is not let in")[0]]

    assert told == [
        [refusal.type, refusal.code, str(refusal.close_code), str(refusal.status)]
        for refusal in REFUSALS
    ]


def test_refusals_by_http_only() -> None:
    """Every refusal without an event form is told with its type, code, status and headers."""
    told = [row[1:] for row in tables("A client that is not let in")[1]]

    assert told == [
        [refusal.type, refusal.code, str(refusal.status), *_header(refusal)]
        for refusal in HTTP_ONLY
    ]
    assert all(refusal.close_code is None for refusal in HTTP_ONLY)


def _header(refusal: Refusal) -> list[str]:
    return [name for name, _ in refusal.headers] or [""]


def test_events_that_come_too_fast() -> None:
    """The error of an event that is refused for its rate is as the page says."""
    event = json.loads(refused_for_rate(b'{"event_id":"mine"}', "the limit").payload)

    told = DOC.split("## Events that come too fast")[1].split("##")[0]
    assert f"`{event['error']['type']}` and the code `{event['error']['code']}`" in told
    assert event["error"]["event_id"] == "mine"


def test_fixed_endings() -> None:
    """Every ending of ours is told: its word, who it is laid to, both codes and the error type."""
    told = {tuple(row[:5]) for row in tables("A session that the proxy ended")[0]}

    assert told == {
        (
            ending.word,
            ending.side.value,
            str(ending.client_code),
            str(ending.upstream_code),
            str(ending.error_type),
        )
        for ending in closing.FIXED_ENDINGS
    }


def test_the_word_is_the_reason() -> None:
    """The word is the code of the event and the reason of the close, as the page says."""
    for ending in closing.FIXED_ENDINGS:
        assert ending.reason == ending.word
        code = "insufficient_quota" if ending is closing.BUDGET_SPENT else ending.word
        assert f'"code":"{code}"'.encode() in (ending.event() or b"")


def test_no_ending_is_forgotten() -> None:
    """Every ending that the module names is among those that the page is held to."""
    named = [value for value in vars(closing).values() if isinstance(value, Ending)]

    assert len(named) == len(closing.FIXED_ENDINGS)
    assert {ending.word for ending in named} == {ending.word for ending in closing.FIXED_ENDINGS}


@pytest.mark.parametrize("row", tables("A session that the proxy ended")[1])
def test_faults_of_a_peer(row: list[str]) -> None:
    """A fault of a peer is told to each side as the page says."""
    word, offender, client, upstream, error_type, _ = row
    side = Side(offender)
    for code in (1002, 1007) if word == "protocol_error" else (1009,):
        ending = closing.fault_ending(side, Fault(FaultKind(word), code, "why"))

        assert ending.word == word
        assert str(ending.client_code) in client.split(" or ")
        assert str(ending.upstream_code) in upstream.split(" or ")
        assert ending.error_type == error_type


def test_codes_that_go_on() -> None:
    """Of all close codes those go on that the page lists; the others become what it says."""
    (passing, *_), (_, _, from_client, from_upstream) = tables("A session that one side closed")[0]
    spans = [span.split("-") for span in passing.split(", ")]
    listed = {
        code for first, *last in spans for code in range(int(first), int((last or [first])[0]) + 1)
    }

    for code in range(1000, 5000):
        by_client = closing.client_closed(code, "bye")
        by_upstream = closing.upstream_closed(code, "bye")
        goes_on = code in listed
        assert by_client.upstream_code == (code if goes_on else int(from_client))
        assert by_upstream.client_code == (code if goes_on else int(from_upstream))
        assert (by_client.reason, by_upstream.reason) == ("bye", "bye")
        assert by_client.event() is None
        assert (by_upstream.event() is None) is goes_on


def test_words_of_closing_sides() -> None:
    """The words for a close of one side, and the reason where there was none, are on the page."""
    assert f"`{closing.client_closed(1000, '').word}`" in DOC
    closed = closing.upstream_closed(1006, "")
    assert f"`{closed.word}`" in DOC
    assert closed.reason == "upstream_closed"
    assert closed.upstream_code == 1000


def test_settings_exist() -> None:
    """Each setting that an ending is explained by is one of [timeouts]."""
    known = {field.name for field in attrs.fields(Timeouts)}
    for *_, why in tables("A session that the proxy ended")[0]:
        for name in re.findall(r"`(?:timeouts\.)?(\w+)`", why):
            assert name in known
