"""The spellings of times that platforms use (docs: sources, translation rules), read as zoned instants."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

Spelling = str | int | float | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS_ABOVE = 10**11
NANOSECONDS_ABOVE = 10**17
_TEXT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})([T ](?P<time>[0-9]{2}:[0-9]{2}(?P<seconds>:[0-9]{2})?)"
    r"([.,](?P<fraction>[0-9]{1,9}))? ?(?P<zone>Z|UTC|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]{1,25}(\.[0-9]{1,9})?")


class InvalidTime(ValueError):
    """No spelling of a time that we know."""


def instant(spelling: Spelling) -> datetime | None:
    """In the zone that was written, UTC where none was; a day is its midnight.

    None for null, empty, 0 and the year 1, which mean "none". Raises InvalidTime.
    """
    if spelling is None or spelling == "" or isinstance(spelling, bool):
        return None
    text = spelling.strip() if isinstance(spelling, str) else str(spelling)
    try:
        moment = _from_number(text) if _NUMBER.fullmatch(text) else _from_text(text)
    except (ValueError, OverflowError, InvalidOperation):
        raise InvalidTime(f"{text[:40]!r} is not a time") from None
    # The first and last year have moments that no other zone can tell.
    if moment is not None and not 1 < moment.year < 9999:
        raise InvalidTime(f"{text[:40]!r} is out of range")
    return moment


def _from_number(text: str) -> datetime | None:
    """Epoch seconds, milliseconds above 1e11, nanoseconds above 1e17."""
    number = Decimal(text)
    if not number:
        return None
    if number > NANOSECONDS_ABOVE:
        return EPOCH + timedelta(microseconds=int(number / 1000))
    if number > MILLISECONDS_ABOVE:
        return EPOCH + timedelta(microseconds=int(number * 1000))
    return EPOCH + timedelta(microseconds=int(number * 1_000_000))


def _from_text(text: str) -> datetime | None:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidTime
    if match["date"].startswith("0001-"):
        return None
    fraction = (match["fraction"] or "").ljust(6, "0")[:6]
    zone = (match["zone"] or "Z").upper().replace("UTC", "Z")
    time = match["time"] or "00:00"
    time = time if match["seconds"] else f"{time}:00"
    return datetime.fromisoformat(f"{match['date']}T{time}.{fraction}{zone}")
