"""A deployment that GitLab blocks, from its webhook to its job, against the counterpart's HTTP API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gatehouse import SHA, Gatehouse, opened
from tests.waiting import until

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def deployment(house: Gatehouse) -> dict[str, Any]:
    [only] = await house.look("/gitlab/deployments")
    return dict(only)


async def test_quorum_votes_once_at_gitlab_and_starts_the_job(house: Gatehouse) -> None:
    number = await house.ask(house.gitlab_event())

    await house.vote(number, "bo", "cy")
    ended = await house.ended(number)

    [vote] = await house.look("/gitlab/decisions")
    assert (vote["status"], vote["effective"]) == ("approved", True)
    assert f"#{number}" in vote["comment"] and "by bo, cy" in vote["comment"]
    assert (await deployment(house))["job_status"] == "pending"
    assert (ended.status, ended.subject.source) == ("executed", "gitlab")
    assert (await house.effect(number, "gitlab_gate"))["result"] == "approved; its job is started"


async def test_decline_rejects_there_and_starts_nothing(house: Gatehouse) -> None:
    number = await house.ask(house.gitlab_event())

    await house.vote(number, "bo", verb="reject")
    await house.ended(number)

    assert [vote["status"] for vote in await house.look("/gitlab/decisions")] == ["rejected"]
    assert (await house.look("/gitlab/counts"))["plays"] == 0


@pytest.mark.parametrize("call", ["POST */approval", "POST */play", "GET */deployments/*"])
@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "server_error", "rate_limited"])
async def test_ambiguous_answer_leads_to_one_vote_and_one_start(house: Gatehouse, call: str, kind: str) -> None:
    await house.fail("gitlab", kind, call, nth=1)
    number = await house.ask(house.gitlab_event(environment="staging"))

    await house.vote(number, "bo")
    ended = await house.ended(number)

    assert ended.status == "executed"
    assert await house.look("/gitlab/counts") == {
        "votes": 1,
        "decisions": 1,
        "double_decisions": 0,
        "plays": 1,
        "plays_refused": 0,
    }
    assert (await house.look("/faults"))["never_bit"] == []


async def test_vote_that_lands_late_counts_once(house: Gatehouse) -> None:
    await house.fail("gitlab", "late", "POST */approval", nth=1, after_s=0.05)
    await house.fail("gitlab", "server_error", "GET */deployments/*", nth=2)
    number = await house.ask(house.gitlab_event(environment="staging"))

    await house.vote(number, "bo")
    ended = await house.ended(number)

    counts = await house.look("/gitlab/counts")
    assert (ended.status, counts["decisions"], counts["plays"]) == ("executed", 1, 1)


async def test_gitlab_that_wants_more_votes_is_left_waiting(house: Gatehouse) -> None:
    event = house.gitlab_event(environment="staging")
    number = await house.ask(event)
    waiting = {"project": event.repository, "deployment_id": int(event.deployment_id), "sha": SHA}
    await house.tell("/gitlab/deployments", waiting | {"environment": "staging", "required": 2})

    await house.vote(number, "bo")
    await house.ended(number)

    assert (await house.look("/gitlab/counts"))["plays"] == 0
    assert (await house.effect(number, "gitlab_gate"))["result"] == "approved; GitLab waits for 1 more"


async def test_job_that_starts_alone_is_not_started_again(house: Gatehouse) -> None:
    await house.tell("/gitlab/settings", {"starts_alone": True})
    number = await house.ask(house.gitlab_event(environment="staging"))

    await house.vote(number, "bo")
    await house.ended(number)

    assert (await house.effect(number, "gitlab_gate"))["result"] == "approved; its job is running"


async def test_start_of_the_job_can_be_switched_off_and_the_vote_can_name_its_rule(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path, starts_job=False, represented_as="release") as house:
        number = await house.ask(house.gitlab_event(environment="staging"))
        await house.vote(number, "bo")
        await house.ended(number)

        assert (await house.effect(number, "gitlab_gate"))["result"] == "approved; its job is manual"
        assert [vote["represented_as"] for vote in await house.look("/gitlab/decisions")] == ["release"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"environment": "elsewhere"}, "another commit or environment"),
        ({"sha": "0" * 40}, "another commit or environment"),
        ({"username": "di"}, "started by di"),
    ],
    ids=["environment", "commit", "user"],
)
async def test_yes_is_bound_to_what_was_decided_about(house: Gatehouse, changed: dict[str, str], reason: str) -> None:
    event = house.gitlab_event(environment="staging")
    number = await house.ask(event)
    waiting = {"project": event.repository, "deployment_id": int(event.deployment_id), "sha": SHA}
    await house.tell("/gitlab/deployments", waiting | {"environment": "staging"} | changed)

    await house.vote(number, "bo")
    ended = await house.ended(number)

    assert ended.status == "dead"
    assert await house.look("/gitlab/decisions") == []
    last = (await house.said())[-1]
    assert last["kind"] == "approval.executed" and reason in last["failure"]


async def test_account_is_compared_whatever_its_case(house: Gatehouse) -> None:
    event = house.gitlab_event(environment="staging")
    number = await house.ask(event)
    waiting = {"project": event.repository, "deployment_id": int(event.deployment_id), "sha": SHA}
    await house.tell("/gitlab/deployments", waiting | {"environment": "staging", "username": "ANA"})

    await house.vote(number, "bo")

    assert (await house.ended(number)).status == "executed"


async def test_request_without_a_commit_lets_nothing_through(house: Gatehouse) -> None:
    event = house.gitlab_event(environment="staging")
    number = await house.ask(event)
    await house.pool.execute("UPDATE approval SET sha = '' WHERE id = $1", number)

    await house.vote(number, "bo")

    assert (await house.ended(number)).status == "dead"
    assert await house.look("/gitlab/decisions") == []


async def test_deployment_that_gitlab_does_not_know_ends_dead(house: Gatehouse) -> None:
    event = house.gitlab_event(environment="staging")
    await house.receive(event)
    number = await house.pool.fetchval("SELECT max(id) FROM approval")

    await house.vote(number, "bo")

    assert (await house.ended(number)).status == "dead"
    assert (await house.effect(number, "gitlab_gate"))["result"] == "answer 404"


async def test_project_or_number_that_builds_no_url_asks_nobody(house: Gatehouse) -> None:
    await house.receive(
        house.gitlab_event(repository="checkout"),
        house.gitlab_event(repository="acme/../admin"),
        house.gitlab_event(repository="acme/%2e%2e"),
        house.gitlab_event(deployment_id="15/approval"),
        house.gitlab_event(environment="a\nb"),
    )

    assert await house.held() == [
        *["the project's path is not group/project"] * 3,
        "the deployment id is not a number",
        "the environment's name can't be one of a platform's",
    ]
    assert not await house.pool.fetchval("SELECT count(*) FROM approval")


async def test_platform_that_hangs_holds_up_no_other(house: Gatehouse) -> None:
    await house.fail("gitlab", "timeout", "*")
    for _ in range(12):
        await house.vote(await house.ask(house.gitlab_event(environment="staging")), "bo")
    leased = "SELECT count(*) >= 10 FROM effect WHERE effect_kind = 'gitlab_gate' AND state = 'leased'"
    await until(lambda: house.pool.fetchval(leased), timeout_s=5, what="GitLab is not being called")

    number = await house.ask(house.github_event(environment="staging"))
    await house.vote(number, "bo")

    assert (await house.ended(number, timeout_s=5)).status == "executed"
    assert await house.pool.fetchval(leased)
