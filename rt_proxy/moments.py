"""Moments as text, the same everywhere: in logs, records, pages and reports."""

from datetime import UTC, datetime


def utc_text(moment: datetime, timespec: str = "auto") -> str:
    """Return a moment in UTC, such as ``2026-11-01T00:00:00Z`` (RFC 3339).

    Args:
        moment: With its time zone.
        timespec: How much of it, as ``datetime.isoformat`` has it, such as ``milliseconds``.
    """
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
