"""What ends a gate without us: its run is over, somebody answers at the platform, or it just goes ahead."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from approvals_svc.passed import Passing
from shared.contracts.events import (
    BuildFinished,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentReviewed,
    DeploymentStarted,
)
from tests.gatehouse import Gatehouse, opened

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


def over(event: DeploymentRequested, *, after: timedelta = timedelta(seconds=1), **changed: Any) -> BuildFinished:
    assert event.gate
    fields = {
        "occurred_at": event.occurred_at + after,
        "repository": event.repository,
        "build_id": event.gate.run_id,
        "actor": "bo-l",
        "outcome": "cancelled",
        "platform_outcome": "cancelled",
        "source": "github",
        **changed,
    }
    return BuildFinished(id=str(uuid4()), **fields)


def began(event: DeploymentRequested, kind: type[Any] = DeploymentStarted, **changed: Any) -> Passing:
    fields = {
        "occurred_at": event.occurred_at + timedelta(seconds=1),
        "repository": event.repository,
        "deployment_id": event.deployment_id,
        "environment": event.environment,
        "actor": "bo" if event.source == "gitlab" else "bo-l",
        "source": event.source,
        **changed,
    }
    found: Passing = kind(id=str(uuid4()), **fields)
    return found


def reviewed(event: DeploymentRequested, state: str, **changed: Any) -> DeploymentReviewed:
    assert event.gate
    fields = {
        "occurred_at": event.occurred_at + timedelta(seconds=1),
        "repository": event.repository,
        "run_id": event.gate.run_id,
        "state": state,
        "reviewer": "cy-m",
        "environments": (event.environment,),
        "comment": "hotfix",
        "source": "github",
        **changed,
    }
    return DeploymentReviewed(id=str(uuid4()), **fields)


async def last(house: Gatehouse, number: int) -> dict[str, Any]:
    return (await house.audit(number))[-1]


async def test_run_that_is_over_cancels_what_is_pending_and_tells_github_nothing(house: Gatehouse) -> None:
    event = house.github_event()
    number = await house.ask(event)

    await house.pass_by(over(event, job="deploy"), over(event, build_id="1"), over(event, origin="replay"))
    still = (await house.show(number)).status
    await house.pass_by(over(event))

    assert (still, (await house.show(number)).status) == ("pending", "cancelled")
    ended = await last(house, number)
    assert ended["actor"] == {"person": "bo", "identity": "bo-l", "surface": "github"}
    assert ended["detail"] == {"cause": "its run is over: cancelled"}
    assert (await house.said())[-1]["cause"] == "its run is over: cancelled"
    assert not await house.pool.fetchval("SELECT count(*) FROM effect")
    assert (await house.vote(number, "bo")).result == "decided"


@pytest.mark.parametrize("source", ["github", "gitlab"])
async def test_deployment_that_goes_ahead_without_us_is_recorded_with_its_actor(house: Gatehouse, source: str) -> None:
    event = house.gitlab_event() if source == "gitlab" else house.github_event()
    number = await house.ask(event)

    await house.pass_by(began(event))

    ended = await last(house, number)
    assert (await house.show(number)).status == "cancelled"
    assert ended["actor"]["person"] == "bo" and ended["actor"]["surface"] == source
    assert ended["detail"]["cause"] == "it went ahead without an answer from here"


async def test_deployment_cancelled_at_gitlab_cancels_the_approval(house: Gatehouse) -> None:
    event = house.gitlab_event()
    number = await house.ask(event)

    await house.pass_by(began(event, DeploymentFinished, outcome="cancelled", platform_outcome="canceled"))

    assert (await last(house, number))["detail"]["cause"] == "the deployment is over: canceled"


async def test_rejection_by_a_reviewer_at_github_ends_ours_with_their_name(house: Gatehouse) -> None:
    event = house.github_event()
    number = await house.ask(event)

    await house.review(reviewed(event, "rejected", environments=("staging",)))
    still = (await house.show(number)).status
    await house.review(reviewed(event, "rejected"))

    ended = await last(house, number)
    assert (still, (await house.show(number)).status) == ("pending", "cancelled")
    assert ended["actor"]["person"] == "cy"
    assert ended["detail"]["cause"] == "cy-m rejected it at github"
    assert await house.look("/github/decisions") == []


async def test_approval_by_a_reviewer_at_github_is_noted_and_approves_nothing_here(house: Gatehouse) -> None:
    event = house.github_event()
    number = await house.ask(event)

    await house.review(reviewed(event, "approved", environments=()))
    noted = await last(house, number)
    waiting = await house.show(number)
    await house.pass_by(began(event, actor="github-actions[bot]"))

    assert (waiting.status, waiting.votes) == ("pending", ())
    assert (noted["verb"], noted["actor"]["person"]) == ("reviewed_elsewhere", "cy")
    assert noted["detail"] == {"state": "approved", "comment": "hotfix"}
    assert (await house.show(number)).status == "cancelled"


async def test_what_ended_a_gate_may_come_before_it(house: Gatehouse) -> None:
    run_over, ahead = house.github_event(), house.github_event()
    await house.pass_by(over(run_over), began(ahead))

    await house.receive(run_over, ahead)

    assert await house.held() == ["it was over, or went ahead without us, before it was asked here"] * 2
    assert not await house.pool.fetchval("SELECT count(*) FROM approval")


async def test_rerun_of_a_run_that_was_over_asks_anew(house: Gatehouse) -> None:
    first = house.github_event()
    await house.ask(first)
    await house.pass_by(over(first))
    again = house.github_event(
        run_id=first.gate.run_id if first.gate else "",
        deployment_id="61",
        occurred_at=first.occurred_at + timedelta(minutes=1),
    )

    number = await house.ask(again)
    await house.pass_by(over(first))

    assert (await house.show(number)).status == "pending"


async def test_rerun_while_pending_is_an_approval_of_its_own(house: Gatehouse) -> None:
    first = house.github_event()
    number = await house.ask(first)

    rerun = await house.ask(house.github_event(run_id=first.gate.run_id if first.gate else "", deployment_id="61"))

    assert rerun != number
    assert (await house.show(number)).status == (await house.show(rerun)).status == "pending"


async def test_end_and_gate_at_the_same_moment_leave_nothing_pending(house: Gatehouse) -> None:
    events = [house.github_event() for _ in range(20)]

    await asyncio.gather(
        *(coroutine for event in events for coroutine in (house.receive(event), house.pass_by(over(event))))
    )

    assert not await house.pool.fetchval("SELECT count(*) FROM approval WHERE status = 'pending'")


async def test_late_end_of_a_gate_that_reached_us_late_ends_it(house: Gatehouse) -> None:
    """Time is the platform's: it was over before we heard of it, and we hear of that last."""
    event = house.github_event(occurred_at=datetime.now(UTC) - timedelta(minutes=5))
    number = await house.ask(event)

    await house.pass_by(over(event))

    assert (await house.show(number)).status == "cancelled"
