"""Many people at once on three replicas, over REST and from Slack: one decision, one effect, nothing lost."""

import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from shared.contracts.services import APPROVALS_SVC
from tests.backends import own_database
from tests.crowd import PEOPLE, Crowd, Wrong, bearer, forged, open_crowd, race, repeated
from tests.provisioning import provisioned, removed

IS_FULL = os.environ.get("SCALE") == "full"
SEEDS, VOTES = (200, 1000) if IS_FULL else (2, 200)
ROUNDS, CLICKS = (10, 500) if IS_FULL else (1, 100)
FORGED = 1000 if IS_FULL else 100


@pytest.fixture(scope="module")
async def crowd(nats_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crowd]:
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    async with (
        own_database(postgres_url) as database_url,
        open_crowd(
            nats_url=nats_url,
            database_url=database_url,
            prefix=prefix,
            directory=tmp_path_factory.mktemp("crowd"),
        ) as opened,
    ):
        yield opened
    await removed(nats_url, prefix)


async def test_law_7_votes_at_once_over_rest_and_slack_end_it_once(crowd: Crowd) -> None:
    found = [await race(crowd, votes=VOTES, seed=seed) for seed in range(SEEDS)]

    assert found == [Wrong()] * SEEDS


async def test_law_7_quorum_counts_people_however_often_they_click(crowd: Crowd) -> None:
    found = [await repeated(crowd, clicks=CLICKS, seed=seed) for seed in range(ROUNDS)]

    assert found == [Wrong()] * ROUNDS


async def test_law_7_no_vote_that_was_invented_or_altered_counts(crowd: Crowd) -> None:
    assert await forged(crowd, votes=FORGED, seed=1) == 0


async def test_whoever_waits_too_long_for_the_row_is_told_to_try_again(crowd: Crowd) -> None:
    number = (await crowd.counter.ask("one")).id
    async with crowd.counter.pool.acquire() as tx, tx.transaction():
        await tx.execute("SELECT 1 FROM approval WHERE id = $1 FOR UPDATE", number)
        url = crowd.lines[0].url(APPROVALS_SVC, f"/v1/approvals/{number}/decision")

        answer = await crowd.lines[0].http.post(url, json={"decision": "approve"}, headers=bearer(PEOPLE[0]))

    assert (answer.status_code, answer.json()["type"], answer.headers["Retry-After"]) == (
        503,
        "/problems/unavailable",
        "1",
    )
    assert (await crowd.show(number))[0].votes == ()
