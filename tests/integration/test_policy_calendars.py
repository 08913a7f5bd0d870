"""Calendars of freezes are part of the numbered policy, on a real PostgreSQL."""

from pathlib import Path

import pytest

from approvals_svc.policies import Policies
from tests.deciding import POLICY, open_counter

pytestmark = pytest.mark.asyncio

FROZEN = POLICY.replace("rules:\n", "freezes:\n  holidays: {ics: holidays.ics, zone: Europe/Berlin}\nrules:\n")


def calendar(day: str, more: str = "") -> str:
    return f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:{day}\n{more}END:VEVENT\nEND:VCALENDAR\n"


async def test_another_calendar_is_another_version_and_a_bad_one_none(database_url: str, tmp_path: Path) -> None:
    ics = tmp_path / "holidays.ics"
    ics.write_text(calendar("20261224"))
    async with open_counter(database_url, tmp_path, policy=FROZEN) as counter:
        policies = Policies(counter.pool, tmp_path / "policy.yaml", counter.catalogs)
        await policies.look()

        ics.write_text(calendar("20261225"))
        await policies.look()
        await policies.look()
        ics.write_text(calendar("20261226", more="RRULE:FREQ=YEARLY\n"))
        await policies.look()

        rows = await counter.fetch("SELECT content FROM policy_version ORDER BY number")
        assert ["20261224" in row["content"] for row in rows] == [True, False]
        assert "freezes.holidays.ics: line 4, RRULE" in str(policies.status["problem"])
