"""Facts about moments as text."""

from datetime import UTC, datetime, timedelta, timezone

from rt_proxy.moments import utc_text

MOMENT = datetime(2026, 11, 1, 1, 2, 3, 456_789, tzinfo=UTC)


def test_as_precise_as_asked_for() -> None:
    """It is in the form of RFC 3339, to the digits that are wanted."""
    assert utc_text(MOMENT) == "2026-11-01T01:02:03.456789Z"
    assert utc_text(MOMENT, "milliseconds") == "2026-11-01T01:02:03.456Z"
    assert utc_text(MOMENT, "seconds") == "2026-11-01T01:02:03Z"
    assert utc_text(MOMENT.replace(microsecond=0)) == "2026-11-01T01:02:03Z"


def test_from_another_zone() -> None:
    """A moment of another zone is told in UTC."""
    assert utc_text(MOMENT.astimezone(timezone(timedelta(hours=5)))) == utc_text(MOMENT)
