"""The window of a question: half-open, in UTC, of event times. Pure: the clock is an argument."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

DEFAULT_DAYS = 30
WINDOW_DAYS_MAX = 3660
SECONDS_PER_DAY = 86_400
GRAINS = ("day", "week", "month")


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

    def pieces(self, grain: str, zone: ZoneInfo) -> Sequence["Window"]:
        """Cut at local midnight, Monday (ISO 8601) or the first of a month; the first and last may be shorter."""
        found, start = [], self.start
        while start < self.end:
            end = min(_next_cut(start.astimezone(zone), grain).astimezone(UTC), self.end)
            found.append(Window(start, end))
            start = end
        return found


def between(start: str | None, end: str | None, now: datetime) -> Window:
    """From ISO dates (their first instant in UTC) or instants; the last 30 days by default. Raises InvalidParameter."""
    until = read_instant("to", end) if end is not None else now
    since = read_instant("from", start) if start is not None else _before(until, timedelta(days=DEFAULT_DAYS))
    if since >= until:
        raise InvalidParameter("from", "must be before to")
    if until - since > timedelta(days=WINDOW_DAYS_MAX):
        raise InvalidParameter("from", f"the window may have {WINDOW_DAYS_MAX} days")
    return Window(since, until)


def last_days(days: int, now: datetime) -> Window:
    return Window(now - timedelta(days=days), now)


def read_days(days: str | None) -> int:
    """Raises InvalidParameter."""
    return read_count("days", days, default=DEFAULT_DAYS, most=WINDOW_DAYS_MAX)


def read_count(name: str, text: str | None, *, default: int, most: int) -> int:
    """Raises InvalidParameter."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= most):
        raise InvalidParameter(name, f"must be a number from 1 to {most}")
    return int(text)


def read_instant(name: str, text: str) -> datetime:
    """Raises InvalidParameter."""
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidParameter(
            name, "must be an ISO date or instant, e.g. 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None


def as_long_before(moment: datetime, window: Window) -> datetime:
    """Raises InvalidParameter."""
    return _before(moment, window.end - window.start)


def _before(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        raise InvalidParameter("to", "is too long ago") from None


def _next_cut(local: datetime, grain: str) -> datetime:
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if grain == "day":
        return midnight + timedelta(days=1)
    if grain == "week":
        return midnight + timedelta(days=7 - midnight.weekday())
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
