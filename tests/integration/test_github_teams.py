"""A group of the policy whose members are those of a team at GitHub, against the counterpart's HTTP API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from approvals_svc.audit import Actor
from approvals_svc.desk import Ballot, Desk
from tests.gatehouse import Gatehouse, opened

pytestmark = pytest.mark.asyncio

TEAM = "acme/shippers"


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def team(house: Gatehouse, *logins: str) -> None:
    await house.tell("/github/teams", {"team": TEAM, "members": logins})


async def asked(house: Gatehouse) -> int:
    return await house.ask(house.github_event(environment="team"))


async def vote(house: Gatehouse, desk: Desk, number: int, person: str) -> str:
    actor = Actor(person=person, identity=person, surface="api")
    async with house.pool.acquire() as tx, tx.transaction():
        return (await desk.vote(tx, Ballot(approval_id=number, verb="approve", actor=actor))).result


async def test_members_decide_whatever_the_case_of_their_accounts_and_nobody_else(house: Gatehouse) -> None:
    await team(house, *(f"stranger-{n}" for n in range(150)), "BO-L")
    reading, desk = house.teams()
    number = await asked(house)
    assert await vote(house, desk, number, "bo") == "not_eligible"

    await reading.look()

    assert await vote(house, desk, number, "cy") == "not_eligible"
    assert await vote(house, desk, number, "bo") == "counted"
    assert (await house.ended(number)).status == "executed"
    assert desk.teams[TEAM].startswith("151 members, read ")


async def test_who_left_decides_no_more_and_who_joined_does(house: Gatehouse) -> None:
    await team(house, "bo-l")
    reading, desk = house.teams()
    await reading.look()
    number = await asked(house)

    await team(house, "cy-m")
    await reading.look()

    assert await vote(house, desk, number, "bo") == "not_eligible"
    assert await vote(house, desk, number, "cy") == "counted"


async def test_outage_keeps_what_was_known_until_it_is_too_old(house: Gatehouse) -> None:
    await team(house, "bo-l")
    reading, desk = house.teams()
    await reading.look()
    await house.fail("github", "server_error", "GET /orgs/*")
    first, second = await asked(house), await asked(house)

    await reading.look()
    assert await vote(house, desk, first, "bo") == "counted"
    assert "1 members" in desk.teams[TEAM] and "answer 5" in desk.teams[TEAM]

    await house.pool.execute("UPDATE github_team SET checked_at = checked_at - interval '1 hour'")
    assert await vote(house, desk, second, "bo") == "not_eligible"
    assert "too old, so nobody is in it" in desk.teams[TEAM]


async def test_team_that_is_gone_or_hidden_from_the_app_has_nobody(house: Gatehouse) -> None:
    await team(house, "bo-l")
    reading, desk = house.teams()
    await reading.look()
    number = await asked(house)

    await house.tell("/github/teams", {"team": TEAM})
    await reading.look()

    assert await vote(house, desk, number, "bo") == "not_eligible"
    assert "0 members" in desk.teams[TEAM] and "answer 404" in desk.teams[TEAM]


async def test_replica_that_reads_nothing_goes_by_what_another_one_read(house: Gatehouse) -> None:
    await team(house, "bo-l")
    reading, _ = house.teams()
    await reading.look()
    number = await asked(house)

    assert await vote(house, house.desk, number, "bo") == "counted"
