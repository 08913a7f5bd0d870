"""Freezes that a calendar lists: single events alone, and whatever can't be meant exactly is refused by its line."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from approvals_svc.freeze import Freeze, Listed
from approvals_svc.policy_file import InvalidPolicy, inlined, read
from shared.catalog import calendars
from shared.catalog.calendars import InvalidCalendar, Moments

BERLIN = ZoneInfo("Europe/Berlin")
POLICY = """\
version: 1
groups: {release: {people: [ana]}}
freezes:
  holidays: {ics: holidays.ics, zone: Europe/Berlin}
rules:
  - {name: all, outcome: require, requires: {group: release}, freeze: [holidays]}
"""


def calendar(*events: str) -> str:
    inner = "\r\n".join(f"BEGIN:VEVENT\r\n{event}\r\nEND:VEVENT" for event in events)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{inner}\r\nEND:VCALENDAR\r\n"


CHRISTMAS = "SUMMARY:Christmas\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227"


@pytest.mark.parametrize(
    ("event", "start", "end"),
    [
        (CHRISTMAS, "2026-12-23T23:00", "2026-12-26T23:00"),
        ("DTSTART;VALUE=DATE:20261224", "2026-12-23T23:00", "2026-12-24T23:00"),
        ("DTSTART:20260701T080000\nDTEND:20260701T100000", "2026-07-01T06:00", "2026-07-01T08:00"),
        ("DTSTART:20260701T080000Z\nDTEND:20260701T100000Z", "2026-07-01T08:00", "2026-07-01T10:00"),
        (
            "DTSTART;TZID=America/New_York:20260701T080000\nDTEND;TZID=America/New_\n York:20260701T100000",
            "2026-07-01T12:00",
            "2026-07-01T14:00",
        ),
        (f"{CHRISTMAS}\nBEGIN:VALARM\nDURATION:PT5M\nEND:VALARM", "2026-12-23T23:00", "2026-12-26T23:00"),
    ],
)
def test_event_is_from_one_moment_to_another(event: str, start: str, end: str) -> None:
    expected = Moments(
        start=datetime.fromisoformat(start).replace(tzinfo=UTC), end=datetime.fromisoformat(end).replace(tzinfo=UTC)
    )

    assert calendars.read(calendar(event), BERLIN) == (expected,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (calendar(f"{CHRISTMAS}\r\nRRULE:FREQ=YEARLY"), "line 7, RRULE: "),
        (calendar("DTSTART:20260701T080000\nDURATION:PT2H"), "line 5, DURATION: "),
        (calendar("DTSTART:20260701T080000"), "line 3, DTEND: "),
        (calendar("SUMMARY:x"), "line 3, DTSTART: "),
        (calendar("DTSTART;TZID=Mars/Base:20260701T080000\nDTEND:20260701T100000"), "line 4, DTSTART;TZID: "),
        (calendar("DTSTART:tomorrow\nDTEND:20260701T100000"), "line 4, DTSTART: "),
        (calendar("DTSTART:20260701\nDTEND:20260701T100000"), "line 5, DTEND: "),
        (calendar("DTSTART:20260702\nDTEND:20260701"), "line 3, DTEND: "),
        (calendar(), "line 1, VEVENT: "),
        (calendar(*[CHRISTMAS] * 201), "line 1, VEVENT: more than 200"),
        (calendar(f"{CHRISTMAS}\nSTATUS:CANCELLED"), "line 1, VEVENT: "),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "line 2, VEVENT: it does not end"),
    ],
)
def test_what_cannot_be_meant_exactly_is_refused_by_line_and_field(text: str, told: str) -> None:
    with pytest.raises(InvalidCalendar) as refused:
        calendars.read(text, BERLIN)

    assert str(refused.value).startswith(told)


def test_freeze_ends_with_the_last_of_the_events_that_hold() -> None:
    events = calendar(CHRISTMAS, "DTSTART;VALUE=DATE:20261226\r\nDTEND;VALUE=DATE:20261228")
    freeze = Freeze(name="x", zone="Europe/Berlin", window=Listed(moments=calendars.read(events, BERLIN)))

    assert freeze.end(datetime(2026, 12, 26, 12, tzinfo=UTC)) == datetime(2026, 12, 27, 23, tzinfo=UTC)
    assert freeze.end(datetime(2026, 12, 27, 23, tzinfo=UTC)) is None


def test_policy_holds_what_its_calendars_say_and_another_calendar_is_another_text(tmp_path: Path) -> None:
    (tmp_path / "holidays.ics").write_text(calendar(CHRISTMAS), newline="")
    first = inlined(POLICY, tmp_path)
    (tmp_path / "holidays.ics").write_text(calendar(CHRISTMAS.replace("20261227", "20261228")), newline="")
    second = inlined(POLICY, tmp_path)

    assert first != second and len(first.splitlines()) == len(POLICY.splitlines())
    [guarded] = read(first).rules[0].freezes
    assert guarded.freeze.end(datetime(2026, 12, 24, tzinfo=UTC)) == datetime(2026, 12, 26, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ics", "told"),
    [
        ("gone.ics", "line 4, freezes.holidays.ics: gone.ics: "),
        ("bad.ics", "line 4, freezes.holidays.ics: line 7, RRULE: "),
        ("../bad.ics", "line 4, freezes.holidays.ics: neither a file beside the policy"),
        ("bad.ics, from: fri 16:00", "line 4, freezes.holidays: needs either"),
    ],
)
def test_bad_calendar_is_told_by_the_line_of_the_policy_and_its_own(tmp_path: Path, ics: str, told: str) -> None:
    (tmp_path / "bad.ics").write_text(calendar(f"{CHRISTMAS}\r\nRRULE:FREQ=YEARLY"), newline="")

    with pytest.raises(InvalidPolicy) as refused:
        read(inlined(POLICY.replace("holidays.ics", ics), tmp_path))

    assert str(refused.value).startswith(told)
