"""What the service answers of deployments that brought several repositories: where numbers come from, then and now."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.settings import Settings
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.shipping import CATALOG, HOUR, REPOSITORY, WEB, at, deployed, hand_over, merged, pushed

pytestmark = pytest.mark.asyncio

SECOND = "github:acme/checkout:2"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@pytest.fixture
async def http(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as client:
        yield client


def told() -> list[Fact]:
    """The second deployment is the first to bring the web's: what that held before has no lead time."""
    return [
        *deployed(1, "a", 1),
        *merged(1, "x", 2, authored=[1]),
        *merged(2, "y", 3, authored=[0.5], repository=WEB),
        *deployed(2, "m1", 4, said={"revisions": {WEB: "m2"}}),
        *merged(3, "z", 5, authored=[4.5], repository=WEB),
        *deployed(3, "m1", 6, said={"revisions": {WEB: "m3"}}),
    ]


async def get(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    window = {"from": at(0).isoformat(), "to": at(24).isoformat()}
    answer = await http.get(path, params={**window, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def metric(http: httpx.AsyncClient, name: str, **query: Any) -> Any:
    [row] = (await get(http, f"/v1/dora/{name}", **query))["rows"]
    return row["value"], row["n"]


async def test_a_number_names_the_changes_of_every_repository(pool: Pool, http: httpx.AsyncClient) -> None:
    await hand_over(pool, told())

    items = (await get(http, "/v1/dora/change_lead_time/items"))["items"]
    left_out = (await get(http, "/v1/dora"))["excluded"]

    assert [(i["repository"], i["deployment"], i["method"], i["lead_time_s"]) for i in items] == [
        (REPOSITORY, SECOND, "branch_position", pytest.approx(3 * HOUR)),
        (WEB, "github:acme/checkout:3", "branch_position", pytest.approx(1.5 * HOUR)),
    ]
    assert await metric(http, "change_lead_time") == (pytest.approx(2.25 * HOUR), 2)
    assert [each["seed"] for each in left_out if each["service"] == "checkout"] == [1]


async def test_a_deployment_lists_what_it_brought_and_counts_for_each_repository(
    pool: Pool, http: httpx.AsyncClient
) -> None:
    await hand_over(pool, told())

    listed = (await get(http, "/v1/deployments", repo=WEB))["items"]

    assert [(each["id"], each["revisions"], each["changes"]) for each in listed] == [
        (SECOND, {REPOSITORY: "m1", WEB: "m2"}, 2),
        ("github:acme/checkout:3", {REPOSITORY: "m1", WEB: "m3"}, 1),
    ]
    shown = await pool.fetch("SELECT repository, repositories FROM v_deployments ORDER BY finished_at")
    assert [tuple(row) for row in shown] == [
        (REPOSITORY, [REPOSITORY]),
        (REPOSITORY, [REPOSITORY, WEB]),
        (REPOSITORY, [REPOSITORY, WEB]),
    ]
    counted = {repo: (await metric(http, "deployment_frequency", repo=repo))[1] for repo in (REPOSITORY, WEB)}
    assert counted == {REPOSITORY: 3, WEB: 2}


async def test_as_of_a_moment_a_part_is_what_was_known_of_it(pool: Pool, http: httpx.AsyncClient) -> None:
    late = [pushed(0.2, "w", repository=WEB), *deployed(0, "w", 0.4, repository=WEB)]
    await hand_over(pool, told())
    before = await pool.fetchval("SELECT clock_timestamp()")
    await hand_over(pool, late)

    then, now = await get(http, "/v1/dora", as_of=before.isoformat()), await get(http, "/v1/dora")

    seeds = [[each["seed"] for each in answer["excluded"]] for answer in (then, now)]
    assert seeds == [[1], [0]]
    assert await metric(http, "change_lead_time", as_of=before.isoformat()) == (pytest.approx(2.25 * HOUR), 2)
    assert await metric(http, "change_lead_time") == (pytest.approx(3 * HOUR), 3)
