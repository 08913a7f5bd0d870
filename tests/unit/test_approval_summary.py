"""How approvals of a week went, by numbers that can be counted by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals_svc import summary
from approvals_svc.summary import InvalidSpan, Row, Span
from shared.catalog import Catalog, Service, Team

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SPAN = Span(start=MONDAY, end=MONDAY + timedelta(days=7))
SLA = timedelta(hours=4)
CATALOG = Catalog(teams=(Team(name="payments"),), services=(Service(name="checkout", team="payments"),))


def row(number: int, asked_h: float, took_h: float | None, decision: str = "approved", **fields: Any) -> Row:
    created_at = MONDAY + timedelta(hours=asked_h)
    return Row(
        **{
            "id": number,
            "service": "checkout",
            "by_rule": False,
            "created_at": created_at,
            "decision": "" if took_h is None else decision,
            "decided_at": None if took_h is None else created_at + timedelta(hours=took_h),
            "broken_by": "",
            **fields,
        }
    )


def test_each_approval_counts_where_it_belongs() -> None:
    rows = [
        row(1, -2, 3),  # asked the week before
        row(2, 1, 1),
        row(3, 2, 5, "rejected"),
        row(4, 3, 0, by_rule=True),
        row(5, 4, 8, "expired"),
        row(6, 5, 9, broken_by="cy"),
        row(7, 6, 1, "cancelled"),
        row(8, 100, None),
        row(9, 167.5, 1),  # decided in the week after: it waited at the end of this one
    ]

    found = summary.numbers(rows, SPAN, sla=SLA)

    assert (found.asked, found.decided, found.declined, found.auto, found.expired) == (8, 4, 1, 1, 1)
    assert [found.p50_s, found.p90_s] == pytest.approx([4 * 3600, 7.8 * 3600])
    assert found.over_sla == 4  # 3, 5, 6 and 8
    assert (found.broken, found.broken_n) == ((6,), 1)
    assert (found.pending, found.oldest, found.oldest_s) == (2, 8, 68 * 3600)


def test_exactly_as_long_as_it_may_is_not_too_long() -> None:
    assert summary.numbers([row(1, 0, 4), row(2, 164, None)], SPAN, sla=SLA).over_sla == 0


def test_nothing_has_no_times() -> None:
    found = summary.numbers([], SPAN, sla=SLA)

    assert (found.p50_s, found.p90_s, found.oldest, found.oldest_s) == (None, None, None, None)


def test_a_team_is_measured_over_all_its_approvals() -> None:
    rows = [row(1, 0, 1), row(2, 0, 3), row(3, 0, 2, service="notes")]

    nobody, payments = summary.by_team(rows, SPAN, CATALOG, sla=SLA)

    assert (nobody.team, [each.service for each in nobody.services]) == ("", ["notes"])
    assert (payments.team, payments.numbers.p50_s) == ("payments", 2 * 3600)
    assert payments.services[0].numbers == payments.numbers


@pytest.mark.parametrize(
    ("hours", "monday"),
    [(5.99, None), (6, MONDAY), (24 * 6 + 23, MONDAY), (24 * 7 + 5, None)],
)
def test_a_week_is_due_from_six_on_its_monday(hours: float, monday: datetime | None) -> None:
    assert summary.monday_due(MONDAY + timedelta(hours=hours)) == monday


def test_what_is_asked_for_is_a_time_that_was() -> None:
    now = MONDAY + timedelta(days=9)

    assert summary.asked(None, None, now=now) == SPAN
    assert summary.asked(None, SPAN.end, now=now) == SPAN
    assert summary.asked(MONDAY, now + timedelta(days=9), now=now) == Span(start=MONDAY, end=now)
    for start, end in ((now, None), (SPAN.end, MONDAY), (MONDAY - timedelta(days=400), None)):
        with pytest.raises(InvalidSpan):
            summary.asked(start, end, now=now)
