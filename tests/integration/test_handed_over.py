"""What a team had of a service until it was handed over, and of whom each number of flow is then."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow_table import flow_metrics
from metrics_svc.question import Question, by_team
from metrics_svc.settings import Settings
from metrics_svc.store.paging import ALL
from metrics_svc.window import Window
from metrics_svc.work_table import WORK
from shared.catalog import Catalog, Service, Team, Tenure
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.reviewing import elsewhere, landed, proposed, reviewing
from tests.shipping import at, deployed, hand_over, reviewed, story
from tests.working import WORK_CATALOG, work

pytestmark = pytest.mark.asyncio

FLOW = {**WORK, **flow_metrics(people=False)}
[CHECKOUT] = WORK_CATALOG.services
CATALOG = Catalog(
    teams=(Team(name="discovery"), Team(name="payments")),
    services=(
        msgspec.structs.replace(
            CHECKOUT, team="payments", earlier_teams=(Tenure(team="discovery", until=at(48).date()),)
        ),
        Service(name="search", team="discovery", repositories=("acme/search",)),
    ),
)
WHOLE = Question(services=("checkout", "search"), window=Window(at(0), at(96)))
DAYS = msgspec.structs.replace(WHOLE, grain="day")
# What stands at the end, or holds over a time, is no sum of what teams had.
OF_STATES = ("wip", "change_age", "change_idle_time", "quality_gate", "quality_gate_latest", "coverage_delta")


def events() -> list[Fact]:
    """The service of four days, of which one team had the first two, and something else of that team."""
    search = [*proposed(20, 61, authored=60), reviewed(20, "x20", 62), *landed(20, 63, additions=3, deletions=0)]
    return [
        *(event for event in story() if event.kind.startswith(("deployment.", "incident."))),
        *reviewing(),
        *proposed(8, 30, authored=29),  # open while it is handed over
        *landed(8, 70),
        *work(),
        *elsewhere([*search, *deployed(300, "m20", 64)], "acme/search"),
    ]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        await hand_over(opened, events(), CATALOG)
        yield opened


async def measure(pool: Pool, metric: str, question: Question, team: str = "") -> Sequence[FlowRow]:
    async with pool.acquire() as tx:
        return await FLOW[metric].measure(tx, question, CATALOG, at(96), team)


def numbers(rows: Sequence[FlowRow]) -> Mapping[tuple[str, str, Any], tuple[float | None, int]]:
    """Of what there is something to measure of."""
    return {(row.service, row.part, row.start): (row.value, row.n) for row in rows if row.n}


async def test_each_day_is_of_the_team_that_had_the_service_on_it(pool: Pool) -> None:
    teams = by_team(DAYS, CATALOG)
    for metric in FLOW:
        whole = numbers(await measure(pool, metric, DAYS))
        first, second = [
            numbers([row for row in await measure(pool, metric, own, team) if row.service])
            for team, own in teams.items()
        ]

        assert whole
        assert {key[2] for key in second} <= {at(48), at(72)}, metric
        assert {key[2] for key in first if key[0] == "checkout"} <= {at(0), at(24)}, metric
        assert {**first, **second} == whole, metric


async def test_what_was_counted_of_a_service_is_what_its_teams_had(pool: Pool) -> None:
    teams = by_team(WHOLE, CATALOG)
    for metric in [name for name in FLOW if name not in OF_STATES]:
        whole = await measure(pool, metric, WHOLE)

        found = [row for team, own in teams.items() for row in await measure(pool, metric, own, team)]

        assert {row.team for row in found} == {"discovery", "payments"}
        for part in {row.part for row in whole}:
            n = sum(row.n for row in whole if row.part == part)
            assert sum(row.n for row in found if row.part == part and row.service) == n, metric
            assert sum(row.n for row in found if row.part == part and not row.service) == n, metric


@asynccontextmanager
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


async def listed(http: httpx.AsyncClient, metric: str, **query: str) -> list[tuple[str, str, str]]:
    """All pages, of two items each."""
    asked = {"from": at(0).isoformat(), "to": at(96).isoformat(), "limit": "2", **query}
    found: list[tuple[str, str, str]] = []
    while True:
        page = (await http.get(f"/v1/flow/{metric}/items", params=asked)).json()
        assert len(page["items"]) <= 2
        found += [(item["at"], item["id"], item["service"]) for item in page["items"]]
        if page["next"] is None:
            return found
        asked["cursor"] = page["next"]


async def test_items_come_in_pages_and_are_those_of_the_team(pool: Pool) -> None:
    async with client(pool) as http:
        whole = {metric: await listed(http, metric) for metric in FLOW}
        teams = [{name: await listed(http, name, team=team) for name in FLOW} for team in ("discovery", "payments")]
        refused = await http.get("/v1/flow/wip/items", params={"cursor": "x"})

    async with pool.acquire() as tx:
        n = {name: len(await FLOW[name].items(tx, WHOLE, CATALOG, datetime.now(UTC), ALL)) for name in FLOW}
    assert {metric: len(found) for metric, found in whole.items()} == n
    assert min(n.values()) > 0
    for metric, found in whole.items():
        first, second = (each[metric] for each in teams)
        assert all(each == sorted({*each}) for each in (found, first, second)), metric
        if metric not in ("quality_gate", "quality_gate_latest"):  # what was reported before holds on
            assert sorted(first + second) == found, metric
    assert refused.json()["parameter"] == "cursor"
