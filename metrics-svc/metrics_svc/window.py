"""The window of a question: half-open, in UTC, of event times. Pure: the clock is an argument."""

from datetime import UTC, datetime, timedelta

import msgspec

DEFAULT_DAYS = 30
WINDOW_DAYS_MAX = 3660
SECONDS_PER_DAY = 86_400


class InvalidParameter(ValueError):
    """A parameter that can't be meant; the text begins with its name."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class Window(msgspec.Struct, frozen=True):
    """[start, end)."""

    start: datetime
    end: datetime

    @property
    def days(self) -> float:
        return (self.end - self.start).total_seconds() / SECONDS_PER_DAY

    def holds(self, moment: datetime | None) -> bool:
        return moment is not None and self.start <= moment < self.end


def between(start: str | None, end: str | None, now: datetime) -> Window:
    """From ISO dates (their first instant in UTC) or instants; the last 30 days by default. Raises InvalidParameter."""
    until = _instant("to", end) if end is not None else now
    since = _instant("from", start) if start is not None else _before(until, DEFAULT_DAYS)
    if since >= until:
        raise InvalidParameter("from", "must be before to")
    if until - since > timedelta(days=WINDOW_DAYS_MAX):
        raise InvalidParameter("from", f"the window may have {WINDOW_DAYS_MAX} days")
    return Window(since, until)


def last_days(days: int, now: datetime) -> Window:
    return Window(now - timedelta(days=days), now)


def read_days(days: str | None) -> int:
    """Raises InvalidParameter."""
    if days is None:
        return DEFAULT_DAYS
    if not (days.isascii() and days.isdigit() and len(days) <= 5 and 1 <= int(days) <= WINDOW_DAYS_MAX):
        raise InvalidParameter("days", f"must be a number from 1 to {WINDOW_DAYS_MAX}")
    return int(days)


def _instant(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameter(
            name, "must be an ISO date or instant, e.g. 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None


def _before(moment: datetime, days: int) -> datetime:
    try:
        return moment - timedelta(days=days)
    except OverflowError:
        raise InvalidParameter("to", "is too long ago") from None
