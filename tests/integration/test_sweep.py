"""What waits at GitHub is found though its webhook never came, and what waits here alone is ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from em.sandbox.gates import GithubSettings
from shared.contracts.events import Gate
from tests.gatehouse import NUMBERS, SHA, Gatehouse, app_settings, opened

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Gatehouse]:
    async with opened(database_url, tmp_path) as running:
        yield running


async def waits(house: Gatehouse, *environments: str, **changed: Any) -> int:
    """At GitHub alone: nobody told us."""
    run_id = next(NUMBERS)
    run = {"repository": "acme/checkout", "run_id": run_id, "sha": SHA, "environments": environments or ["production"]}
    await house.tell("/github/runs", run | changed)
    return run_id


async def asked(house: Gatehouse) -> list[tuple[str, str, str]]:
    rows = await house.pool.fetch(
        "SELECT repository, payload ->> 'run_id' AS run_id, environment FROM approval ORDER BY repository, run_id, 3"
    )
    return [(row["repository"], row["run_id"], row["environment"]) for row in rows]


async def test_every_missed_webhook_is_found_once_and_can_be_answered(house: Gatehouse) -> None:
    runs = [await waits(house, "production", "staging") for _ in range(10)]
    runs += [await waits(house, repository=f"acme/service-{n}") for n in range(10)]

    await house.sweep().sweep_if_due()
    await house.sweep().sweep_if_due()

    assert len(await asked(house)) == 30
    assert {int(run_id) for _, run_id, _ in await asked(house)} == set(runs)
    number = await house.pool.fetchval("SELECT id FROM approval WHERE environment = 'staging' LIMIT 1")
    found = await house.show(number)
    assert (found.subject.sha, found.subject.requested_by, found.origin) == (SHA, "ana-k", "live")
    assert (await house.vote(number, "ana")).result == "not_eligible"
    await house.vote(number, "bo")
    assert (await house.ended(number)).status == "executed"


async def test_webhook_that_comes_late_after_all_is_the_same_approval(house: Gatehouse) -> None:
    run_id = await waits(house, "staging")
    await house.sweep().sweep_if_due()
    [row] = await house.pool.fetch("SELECT id, payload ->> 'deployment_id' AS deployment_id FROM approval")
    await house.vote(row["id"], "bo", verb="approve")

    late = house.github_event(
        run_id=run_id,
        deployment_id=row["deployment_id"],
        environment="staging",
        ref="main",
        actor="di-n",
        url=f"https://github.com/acme/checkout/actions/runs/{run_id}",
        gate=Gate(run_id=str(run_id), callback_url="", installation_id="1"),
    )
    await house.receive(late)

    assert len(await asked(house)) == 1
    assert (await house.ended(row["id"])).status == "executed"


async def test_what_our_webhook_told_is_not_asked_again(house: Gatehouse) -> None:
    await house.ask(house.github_event())

    await house.sweep().sweep_if_due()

    assert len(await asked(house)) == 1


async def test_environment_that_waits_for_others_is_none_of_ours(house: Gatehouse) -> None:
    await waits(house, ours=False)

    await house.sweep().sweep_if_due()

    assert await asked(house) == []


async def test_rerun_whose_webhook_was_lost_is_asked_anew(house: Gatehouse) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    event = house.github_event(occurred_at=hour_ago)
    first = await house.ask(event)
    run = {"repository": event.repository, "run_id": int(event.gate.run_id if event.gate else 0)}
    await house.tell("/github/ends", run)  # without a conclusion: it runs again

    await house.sweep().sweep_if_due()

    assert len(await asked(house)) == 2
    assert (await house.audit(first))[-1]["verb"] != "decided"


async def test_waiting_runs_are_found_without_the_query_as_well(house: Gatehouse) -> None:
    await waits(house)

    await house.sweep(status="").sweep_if_due()

    assert len(await asked(house)) == 1


async def test_gate_that_must_not_be_answered_is_held_back_once(house: Gatehouse) -> None:
    await waits(house, actor="")

    await house.sweep().sweep_if_due()
    await house.sweep().sweep_if_due()

    assert await house.held() == ["nobody is named as requester, so nobody can be excluded"]


async def test_one_replica_sweeps_in_each_span(house: Gatehouse) -> None:
    replicas = [house.sweep(interval_s=60) for _ in range(5)]

    swept = await asyncio.gather(*(replica.sweep_if_due() for replica in replicas))

    assert sorted(swept) == [False] * 4 + [True]
    assert len([e for e in await house.look("/github/ledger") if e["method"] == "GET /app/installations"]) == 1


@pytest.mark.parametrize(
    "method", ["GET */runs", "GET */pending_deployments", "GET */deployments", "GET */environments/*"]
)
@pytest.mark.parametrize("kind", ["server_error", "drop_before", "rate_limited"])
async def test_what_fails_once_is_found_in_the_next_sweep(house: Gatehouse, method: str, kind: str) -> None:
    await waits(house, repository="acme/a")
    await waits(house, repository="acme/b")
    await house.fail("github", kind, method, nth=1)

    await house.sweep().sweep_if_due()
    found_at_once = len(await asked(house))
    await house.sweep().sweep_if_due()

    assert (found_at_once, len(await asked(house))) == (1, 2)


async def test_rate_limit_is_left_to_answers(house: Gatehouse) -> None:
    await waits(house)
    await house.tell("/github/settings", {"calls_left": 10})

    await house.sweep().sweep_if_due()

    assert await asked(house) == []


async def test_installations_that_are_not_answered_are_not_swept(house: Gatehouse) -> None:
    both: GithubSettings = app_settings()
    granted = {"1": ["acme/a"], "2": ["evil/b"]}
    await house.tell("/github/settings", {"installations": granted, "app_id": both.app_id})
    await waits(house, repository="acme/a")
    await waits(house, repository="evil/b")

    await house.sweep(installations=("1",)).sweep_if_due()

    assert [repository for repository, _, _ in await asked(house)] == ["acme/a"]


async def ended(house: Gatehouse, number: int) -> tuple[str, str, str]:
    """Status, cause, account."""
    entry = (await house.audit(number))[-1]
    return (await house.show(number)).status, entry["detail"].get("cause", ""), entry["actor"]["identity"]


async def test_run_that_ended_unheard_ends_its_approval(house: Gatehouse) -> None:
    event = house.github_event()
    number = await house.ask(event)
    run = {"repository": event.repository, "run_id": int(event.gate.run_id if event.gate else 0)}
    await house.tell("/github/ends", run | {"conclusion": "cancelled"})

    await house.sweep().sweep_if_due()

    assert await ended(house, number) == ("cancelled", "its run is over: cancelled", "ana-k")
    assert await house.look("/github/decisions") == []


async def test_bypass_unheard_is_recorded_with_its_actor(house: Gatehouse) -> None:
    event = house.github_event()
    number = await house.ask(event)
    place = {"repository": event.repository, "run_id": int(event.gate.run_id if event.gate else 0)}
    review = {"login": "cy-m", "state": "approved", "comment": "now"}
    await house.tell("/github/gate-reviews", place | {"environment": "production", "review": review})

    await house.sweep().sweep_if_due()

    assert await ended(house, number) == ("cancelled", "cy-m approved it at github", "cy-m")


async def test_what_waits_on_both_sides_stays(house: Gatehouse) -> None:
    number = await house.ask(house.github_event())

    await house.sweep().sweep_if_due()

    assert (await house.show(number)).status == "pending"


async def test_gate_just_asked_for_may_not_be_listed_yet(house: Gatehouse) -> None:
    event = house.github_event()
    await house.receive(event)
    await waits(house, run_id=int(event.gate.run_id if event.gate else 0), environments=[])

    await house.sweep(settled_after=timedelta(minutes=2)).sweep_if_due()

    assert await house.pool.fetchval("SELECT status FROM approval") == "pending"
