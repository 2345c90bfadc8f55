"""When the periods of budgets and reports begin and end, in a time zone; pure.

A day begins at its local midnight, a week on Monday. Where a clock is changed a day has 23 or 25
hours; where that happens at midnight, the day begins with the change.
"""

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from rt_proxy.settings import BudgetPeriod

_UTC = "UTC"


def time_zone(name: str) -> tzinfo:
    """Return the time zone of a name, such as ``Europe/Berlin``; ``UTC`` needs no data base.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: This host knows no such zone.
    """
    return UTC if name == _UTC else zoneinfo.ZoneInfo(name)


def period_start(moment: datetime, per: BudgetPeriod, zone: tzinfo) -> datetime | None:
    """Return when the period of a moment began, in UTC; None: it has no beginning.

    Args:
        moment: The moment, with an offset.
        per: The length of the period.
        zone: Where its days begin.
    """
    day = _first_day(moment, per, zone)
    return None if day is None else midnight(day, zone)


def period_end(moment: datetime, per: BudgetPeriod, zone: tzinfo) -> datetime | None:
    """Return when the period of a moment ends and the next one begins, in UTC; None: never."""
    day = _first_day(moment, per, zone)
    if day is None:
        return None
    match per:
        case "day":
            following = day + timedelta(days=1)
        case "week":
            following = day + timedelta(days=7)
        case _:
            following = (day + timedelta(days=31)).replace(day=1)
    return midnight(following, zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins in a time zone, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _first_day(moment: datetime, per: BudgetPeriod, zone: tzinfo) -> date | None:
    day = moment.astimezone(zone).date()
    match per:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "ever":
            return None
