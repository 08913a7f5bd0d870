"""Reading an ICS file (RFC 5545) strictly: single events with their beginning and end, or a refusal. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

BEGINNING = "BEGIN:VCALENDAR"
EVENTS_MAX = 200
# What would make more, or others, of an event than its two times say.
REFUSED = frozenset({"RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "DURATION"})
DAY = timedelta(days=1)


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """From one moment to another, in UTC."""

    start: datetime
    end: datetime


class InvalidCalendar(ValueError):
    """`line 7, RRULE: …`: the line of the ICS file and the field that can't be used."""

    def __init__(self, line: int, field: str, problem: str) -> None:
        super().__init__(f"line {line}, {field}: {problem}")


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """`NAME;PARAMETER=…:value`, unfolded; `number` is that of its first line, from 1."""

    number: int
    name: str
    parameters: dict[str, str]
    value: str


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """Its own fields by name, without those of what it holds."""

    number: int
    fields: dict[str, _Line]


def read(text: str, zone: ZoneInfo) -> tuple[Moments, ...]:
    """When its events are. Days, and times without a zone of their own, are `zone`'s. Raises InvalidCalendar."""
    found = tuple(
        _moments(event, zone)
        for event in _events(text)
        if "STATUS" not in event.fields or event.fields["STATUS"].value.upper() != "CANCELLED"
    )
    if not found:
        raise InvalidCalendar(1, "VEVENT", "it holds no event")
    if len(found) > EVENTS_MAX:
        raise InvalidCalendar(1, "VEVENT", f"more than {EVENTS_MAX} events")
    return found


def _events(text: str) -> Iterator[_Event]:
    inside: list[str] = []
    event = _Event(number=0, fields={})
    for line in _lines(text):
        if line.name == "BEGIN":
            inside.append(line.value.upper())
            if inside[-1] == "VEVENT":
                event = _Event(number=line.number, fields={})
        elif line.name == "END":
            if not inside or inside[-1] != line.value.upper():
                raise InvalidCalendar(line.number, "END", f"{line.value} did not begin")
            if inside.pop() == "VEVENT":
                yield event
        elif inside and inside[-1] == "VEVENT":
            if line.name in REFUSED:
                raise InvalidCalendar(line.number, line.name, "only single events with DTSTART and DTEND are read")
            if line.name in event.fields and line.name in ("DTSTART", "DTEND"):
                raise InvalidCalendar(line.number, line.name, "it comes twice")
            event.fields[line.name] = line
    if inside:
        raise InvalidCalendar(len(text.splitlines()), inside[-1], "it does not end")


def _lines(text: str) -> Iterator[_Line]:
    """A line that begins with a space goes on the one before."""
    unfolded: list[tuple[int, str]] = []
    for number, written in enumerate(text.splitlines(), start=1):
        if written[:1] in (" ", "\t") and unfolded:
            unfolded[-1] = (unfolded[-1][0], unfolded[-1][1] + written[1:])
        elif written.strip():
            unfolded.append((number, written))
    for number, written in unfolded:
        head, colon, value = written.partition(":")
        name, *parameters = head.split(";")
        if not colon:
            raise InvalidCalendar(number, name, "it has no value")
        pairs = (each.partition("=") for each in parameters)
        named = {key.upper(): given.strip('"') for key, _, given in pairs}
        yield _Line(number=number, name=name.upper(), parameters=named, value=value.strip())


def _moments(event: _Event, zone: ZoneInfo) -> Moments:
    begins, ends = event.fields.get("DTSTART"), event.fields.get("DTEND")
    if begins is None:
        raise InvalidCalendar(event.number, "DTSTART", "the event has none")
    start = _at(begins)
    if ends is None:
        if isinstance(start, datetime):
            raise InvalidCalendar(event.number, "DTEND", "the event has none")
        end: date = start + DAY
    else:
        end = _at(ends)
        if isinstance(end, datetime) != isinstance(start, datetime):
            raise InvalidCalendar(ends.number, "DTEND", "DTSTART is a day and it is a moment, or the other way round")
    found = Moments(start=_utc(start, zone), end=_utc(end, zone))
    if found.end <= found.start:
        raise InvalidCalendar(event.number, "DTEND", "the event ends before it begins")
    return found


def _at(line: _Line) -> date | datetime:
    """A moment with its zone, where it has one."""
    written, zone = line.value, line.parameters.get("TZID", "")
    try:
        if len(written) == len("20261224"):
            return datetime.strptime(written, "%Y%m%d").date()
        if written.endswith("Z"):
            return datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        wall = datetime.strptime(written, "%Y%m%dT%H%M%S")
    except ValueError:
        raise InvalidCalendar(line.number, line.name, f"{written} is no date or date-time") from None
    try:
        return wall.replace(tzinfo=ZoneInfo(zone)) if zone else wall
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidCalendar(line.number, f"{line.name};TZID", f"no time zone is called {zone}") from None


def _utc(at: date | datetime, zone: ZoneInfo) -> datetime:
    moment = at if isinstance(at, datetime) else datetime.combine(at, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
