"""What GitHub shows beside a deployment that waits: few reports, in order, and never in the way of the answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from approvals_svc.deadlines import Deadlines
from tests.gatehouse import Gatehouse, opened

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def reports(house: Gatehouse) -> list[str]:
    gates = [gate for run in await house.look("/github/runs") for gate in run["gates"].values()]
    return [text for gate in gates for text in gate["reports"]]


async def age(house: Gatehouse, number: int, by: timedelta) -> None:
    await house.pool.execute("UPDATE deadline SET due_at = due_at - $2::interval WHERE approval_id = $1", number, by)
    while await Deadlines(pool=house.pool, desk=house.desk).fire_some():
        pass


async def test_each_step_is_told_once_and_decides_nothing(house: Gatehouse) -> None:
    number = await house.ask(house.github_event(environment="ladder"))
    await house.reports.report_some()
    await house.reports.report_some()
    await house.vote(number, "bo")
    await house.reports.report_some()
    await age(house, number, timedelta(minutes=50))
    await house.reports.report_some()
    await age(house, number, timedelta(minutes=30))
    await house.reports.report_some()

    told = await reports(house)

    assert [text.splitlines()[0].split(",")[0] for text in told] == [
        "**0 of 2 approvals**",
        *["**1 of 2 approvals**"] * 3,
    ]
    assert "approved by bo" in told[1] and "reminded" in told[2] and "escalated to release" in told[3]
    assert (await house.look("/github/counts"))["decisions"] == 0
    assert (await house.show(number)).status == "pending"


async def test_votes_in_quick_succession_are_told_of_together(house: Gatehouse) -> None:
    number = await house.ask(house.github_event(environment="many"))

    await house.vote(number, "bo", "cy")
    await house.reports.report_some()

    [told] = await reports(house)
    assert told.startswith("**2 of 3 approvals**") and "approved by bo, cy" in told


async def test_votes_back_and_forth_never_tell_more_than_github_takes(house: Gatehouse) -> None:
    number = await house.ask(house.github_event(environment="many"))
    await house.pool.execute(
        """UPDATE approval SET requirement = jsonb_set(jsonb_set(requirement, '{terms,requires,count}', '9'),
           '{terms,rejects}', '9') WHERE id = $1""",
        number,
    )

    for _ in range(4):
        for people, verb in ((["bo"], "approve"), (["cy"], "approve"), (["di"], "approve"), (["bo", "di"], "reject")):
            await house.vote(number, *people, verb=verb)
            await house.reports.report_some()

    told = await reports(house)
    assert 2 <= len(told) <= 8
    assert all(len(text) <= 1024 for text in told)


@pytest.mark.parametrize("kind", ["timeout", "server_error", "drop_after"])
async def test_report_that_hangs_or_fails_holds_up_no_answer(house: Gatehouse, kind: str) -> None:
    await house.fail("github", kind, "POST */deployment_protection_rule", nth=1)
    number = await house.ask(house.github_event(environment="staging"))
    telling = asyncio.create_task(house.reports.report_some())
    await asyncio.sleep(0.2)

    await house.vote(number, "bo")
    ended = await house.ended(number, timeout_s=2)

    assert ended.status == "executed"
    assert (await house.look("/github/counts"))["decisions"] == 1
    telling.cancel()


async def test_report_that_may_not_have_arrived_is_told_twice_again_at_most(house: Gatehouse) -> None:
    await house.fail("github", "drop_after", "POST */deployment_protection_rule")
    number = await house.ask(house.github_event())

    for _ in range(6):
        await house.reports.report_some()
        await house.pool.execute("UPDATE approval SET report_at = now() WHERE id = $1", number)

    assert len(await reports(house)) == 3


async def test_report_that_was_refused_is_not_repeated(house: Gatehouse) -> None:
    await house.receive(house.github_event())

    assert await house.reports.report_some() == 1
    assert await house.reports.report_some() == 0


async def test_text_of_people_is_no_markdown_at_github(house: Gatehouse) -> None:
    number = await house.ask(house.github_event(environment="staging"))
    reason = "**done** <!-- @acme/sre [x](http://evil.example) -->" + "\\*" * 900

    await house.vote(number, "bo", verb="reject", reason=reason)
    await house.ended(number)

    [decision] = await house.look("/github/decisions")
    assert len(decision["comment"]) <= 1024
    assert r"\*\*done\*\* \<\!-- @" + "\u200bacme/sre" in decision["comment"]


async def test_what_is_decided_is_reported_no_more(house: Gatehouse) -> None:
    number = await house.ask(house.github_event(environment="staging"))
    await house.vote(number, "bo")

    assert await house.reports.report_some() == 0
