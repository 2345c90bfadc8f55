"""Facts about the periods of budgets, where clocks are changed and where they are not."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.settings import BudgetPeriod
from rt_proxy.usage.periods import midnight, period_end, period_start, time_zone

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    """Return a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        ("day", "2026-11-26T00:00", "2026-11-27T00:00"),
        ("week", "2026-11-23T00:00", "2026-11-30T00:00"),
        ("month", "2026-11-01T00:00", "2026-12-01T00:00"),
    ],
)
def test_in_utc(per: BudgetPeriod, start: str, end: str) -> None:
    """A day, a week from Monday, and a month of the calendar."""
    moment = at("2026-11-26T13:14:15")
    assert period_start(moment, per, UTC) == at(start)
    assert period_end(moment, per, UTC) == at(end)


def test_for_ever() -> None:
    """A budget for ever has no beginning and no end."""
    assert period_start(at("2026-11-26T13:14"), "ever", UTC) is None
    assert period_end(at("2026-11-26T13:14"), "ever", UTC) is None


def test_a_day_of_another_place() -> None:
    """Late in the evening in UTC the next day has begun in Berlin."""
    moment = at("2026-11-26T23:30")
    assert period_start(moment, "day", BERLIN) == at("2026-11-26T23:00")
    assert period_end(moment, "day", BERLIN) == at("2026-11-27T23:00")


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)]
)
def test_summer_time(day: str, hours: int) -> None:
    """The day on which clocks are changed is shorter or longer, and ends at its midnight."""
    moment = midnight(date.fromisoformat(day), BERLIN) + timedelta(hours=12)
    start, end = period_start(moment, "day", BERLIN), period_end(moment, "day", BERLIN)
    assert start is not None
    assert end is not None
    assert end - start == timedelta(hours=hours)
    assert end.astimezone(BERLIN).time().isoformat() == "00:00:00"


def test_a_midnight_that_does_not_exist() -> None:
    """Where the clock goes from midnight to one, the day begins with the change."""
    cairo = ZoneInfo("Africa/Cairo")
    start = midnight(date(2026, 4, 24), cairo)
    assert start == at("2026-04-23T22:00")
    assert start.astimezone(cairo).isoformat() == "2026-04-24T01:00:00+03:00"


def test_months_of_any_length() -> None:
    """December is followed by January, and February by March."""
    assert period_end(at("2026-12-31T23:59"), "month", UTC) == at("2027-01-01T00:00")
    assert period_end(at("2028-02-29T12:00"), "month", UTC) == at("2028-03-01T00:00")


def test_utc_needs_no_data_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without time zones has UTC."""
    monkeypatch.setattr("rt_proxy.usage.periods.zoneinfo", None)
    assert time_zone("UTC") is UTC


@given(
    st.integers(946_684_800, 2_114_380_800).map(lambda now: datetime.fromtimestamp(now, UTC)),
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"]),
)
def test_periods_follow_each_other(moment: datetime, per: BudgetPeriod, name: str) -> None:
    """Every moment is in its period, and where that ends the next one begins."""
    zone = time_zone(name)
    start, end = period_start(moment, per, zone), period_end(moment, per, zone)
    assert start is not None
    assert end is not None
    assert start <= moment < end
    assert period_start(start, per, zone) == start
    assert period_start(end, per, zone) == end
    assert period_start(end - timedelta(microseconds=1), per, zone) == start
