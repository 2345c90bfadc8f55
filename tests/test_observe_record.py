"""The record of a session and its log line."""

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rt_proxy.observe.record import SessionRecord, log_session
from rt_proxy.realtime.closing import Side

STARTED = datetime(2026, 11, 23, 13, 0, 0, 123456, UTC)


def record(**changes: Any) -> SessionRecord:
    """Return the record of a session, with some changes."""
    least: dict[str, Any] = {
        "session_id": "s1",
        "started": STARTED,
        "duration": 12.34567,
        "ended_by": Side.CLIENT,
        "ending": "client_closed",
    }
    return SessionRecord(**least | changes)


def test_least_fields() -> None:
    """What is None or empty is left out, what is zero is told."""
    assert record().fields() == {
        "session_id": "s1",
        "started": "2026-11-23T13:00:00.123Z",
        "duration": 12.346,
        "ended_by": "client",
        "ending": "client_closed",
        "events_up": 0,
        "events_down": 0,
        "bytes_up": 0,
        "bytes_down": 0,
        "responses": 0,
    }


def test_all_fields() -> None:
    """What is known is told, under the names of the record, and usage beside it."""
    known = {
        "opening": 0.5,
        "address": "::1",
        "token_id": "t1",
        "token_name": "alice",
        "channel": "azure-west",
        "model": "gpt-realtime-2.1",
        "upstream_model": "my-deployment",
        "dialect": "ga",
        "close_code": 1000,
        "reason": "bye",
        "events_up": 1,
        "events_down": 2,
        "bytes_up": 3,
        "bytes_down": 4,
        "responses": 5,
    }
    usage = {"input_tokens": 6, "output_audio_tokens": 7}
    fields = record(attempts=("azure-east: HTTP 401",), usage=usage, **known).fields()

    assert fields == record().fields() | known | usage | {"attempts": ["azure-east: HTTP 401"]}


def test_a_field_cannot_be_taken_by_usage() -> None:
    """Usage never replaces a field of the record."""
    assert record(usage={"responses": 7}).fields()["responses"] == 0


def test_started_is_told_in_utc() -> None:
    """Any zone is told as UTC."""
    elsewhere = STARTED.astimezone(timezone(timedelta(hours=5)))

    assert record(started=elsewhere).fields()["started"] == "2026-11-23T13:00:00.123Z"


def test_texts_of_peers_are_cut() -> None:
    """However long a reason, a model or an attempt is, its field is short."""
    long = "x" * 20_000
    fields = record(reason=long, model=long, attempts=(long,)).fields()

    assert fields["reason"] == fields["model"] == "x" * 255 + "…"
    assert fields["attempts"] == ["x" * 255 + "…"]


FAILED = ("azure-east: HTTP 401",)


@pytest.mark.parametrize(
    ("ended_by", "changes", "level"),
    [
        (Side.CLIENT, {"close_code": 1000}, logging.INFO),
        (Side.CLIENT, {"ending": "client_lost", "close_code": 1001}, logging.INFO),
        (Side.CLIENT, {"ending": "protocol_error", "close_code": 1002}, logging.INFO),
        (Side.CLIENT, {"ending": "client_lost", "attempts": FAILED}, logging.WARNING),
        (Side.PROXY, {"ending": "drain", "opening": 0.1, "attempts": FAILED}, logging.WARNING),
        (Side.PROXY, {"ending": "invalid_api_key"}, logging.INFO),
        (Side.PROXY, {"ending": "upstream_unavailable"}, logging.WARNING),
        (Side.PROXY, {"ending": "opening_timeout"}, logging.WARNING),
        (Side.PROXY, {"ending": "first_event_timeout"}, logging.WARNING),
        (Side.PROXY, {"ending": "model_not_found", "attempts": FAILED}, logging.WARNING),
        (Side.UPSTREAM, {"ending": "upstream_closed", "close_code": 1000}, logging.INFO),
        (Side.UPSTREAM, {"ending": "upstream_closed", "close_code": 1001}, logging.INFO),
        (Side.UPSTREAM, {"ending": "upstream_closed", "close_code": 1011}, logging.WARNING),
        (Side.UPSTREAM, {"ending": "upstream_lost", "close_code": 1011}, logging.WARNING),
        (Side.UPSTREAM, {"ending": "upstream_lost"}, logging.WARNING),
    ],
)
@pytest.mark.log_says("session ended")
def test_level(
    ended_by: Side, changes: dict[str, Any], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A session is news, a warning where an upstream failed; one record either way."""
    session = record(ended_by=ended_by, **changes)
    with caplog.at_level(logging.INFO, "rt_proxy.session"):
        log_session(session)

    [line] = caplog.records
    assert (line.name, line.levelno) == ("rt_proxy.session", level)
    assert line.getMessage() == "session ended"
    assert vars(line)["fields"] == session.fields()
