"""Changes by the team of their authors, whosever the service is: another axis than `team`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.flow_table import flow_metrics
from metrics_svc.settings import Settings
from metrics_svc.work_table import WORK
from shared.catalog import Person, Team
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.reviewing import reviewing
from tests.shipping import CATALOG, HOUR, at, hand_over

pytestmark = pytest.mark.asyncio

PEOPLE = msgspec.structs.replace(
    CATALOG,
    teams=(
        *CATALOG.teams,
        Team(name="web", members=("Ana Alves", "Ben Berg")),
        Team(name="books", members=("Cleo Cruz", "Dan Dietz")),
        Team(name="solo", members=("Cleo Cruz", "Eve Ekström")),
        Team(name="elsewhere", members=("Gil Gomes", "Dan Dietz")),
    ),
    people=(
        Person(name="Ana Alves", github=("Ana",)),
        Person(name="Ben Berg", github=("ben-old", "ben")),
        Person(name="Cleo Cruz", github=("cleo",)),
        Person(name="Dan Dietz", gitlab=("dan",)),
        Person(name="Eve Ekström", slack=("U0EVE",)),
        Person(name="Gil Gomes", gitlab=("ana", "cleo")),
    ),
)
WINDOW = {"from": at(0).isoformat(), "to": at(96).isoformat()}
FLOW = flow_metrics(people=False)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@asynccontextmanager
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(), Pinned(PEOPLE), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


async def told(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await http.get(path, params={**WINDOW, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


# Of ana: 1, 4 (open) and 6 (given up); of ben: 7; of cleo: 3. 2 is a bot's.
AUTHORED: dict[str, dict[str, tuple[float | None, set[int]]]] = {
    "web": {"throughput": (2, {1, 7}), "pickup_time": (2 * HOUR, {1, 6}), "wip": (1, {4}), "review_load": (3, {1, 6})},
    "books": {"throughput": (1, {3}), "pickup_time": (4 * HOUR, {3}), "wip": (0, set()), "review_load": (5, {3})},
    "elsewhere": {"throughput": (None, set()), "pickup_time": (None, set()), "review_load": (None, set())},
}


async def test_changes_are_of_the_team_of_who_wrote_them(pool: Pool) -> None:
    """Accounts of the platform that the change came from alone."""
    await hand_over(pool, reviewing(), PEOPLE)

    async with client(pool) as http:
        for team, expected in AUTHORED.items():
            for metric, (value, numbers) in expected.items():
                rows = (await told(http, f"/v1/flow/{metric}", author_team=team))["rows"]
                items = (await told(http, f"/v1/flow/{metric}/items", author_team=team))["items"]
                assert (rows[0]["value"], {item["number"] for item in items}) == (value, numbers), (team, metric)
        led = {
            team: (await told(http, "/v1/dora/change_lead_time", author_team=team))["rows"][0]["value"]
            for team in AUTHORED
        }
        listed = {
            team: {item["number"] for item in (await told(http, path, author_team=team))["items"]}
            for team in AUTHORED
            for path in ("/v1/dora/change_lead_time/items",)
        }
        merged = [item["number"] for item in (await told(http, "/v1/changes", author_team="web"))["items"]]
        staged = (await told(http, "/v1/flow/cycle_time", author_team="web"))["rows"][0]
        commits = (await told(http, "/v1/dora/commit_lead_time", author_team="books"))["rows"][0]
        why = (await told(http, "/v1/dora/explain", author_team="books"))["rows"][0]

    assert led == {"web": 12 * HOUR, "books": 26 * HOUR, "elsewhere": None}
    assert listed == {"web": {1}, "books": {3}, "elsewhere": set()}
    assert merged == [1, 7]
    assert (staged["value"], staged["n"]) == (12 * HOUR, 1)
    assert commits["n"] == 3
    assert (why["after_s"], why["after_n"]) == (26 * HOUR, 1)


async def test_it_goes_together_with_the_other_filters_and_pieces(pool: Pool) -> None:
    await hand_over(pool, reviewing(), PEOPLE)

    async with client(pool) as http:
        signed = (await told(http, "/v1/flow/throughput", author_team="books", author_class="ai_assisted"))["rows"][0]
        alone = (await told(http, "/v1/flow/throughput", author_team="books", author_class="human"))["rows"][0]
        days = (await told(http, "/v1/dora/change_lead_time", author_team="books", bucket="day"))["rows"]
        owned = (await told(http, "/v1/flow/throughput", author_team="web", team="payments"))["rows"]

    assert (signed["n"], alone["n"]) == (1, 0)
    assert [row["n"] for row in days] == [0, 1, 0, 0]
    assert {(row["service"], row["n"]) for row in owned if not row["part"]} == {("checkout", 2), ("", 2)}


REFUSED = {
    "/v1/dora?author_team=web": (400, "only changes have an author"),
    "/v1/dora/change_fail_rate?author_team=web": (400, "only changes have an author"),
    "/v1/dora/deployment_frequency/items?author_team=web": (400, "only changes have an author"),
    "/v1/dora/health?author_team=web": (400, "only changes have an author"),
    "/v1/dora/restatements?author_team=web": (400, "only changes have an author"),
    "/v1/deployments?author_team=web": (400, "only changes have an author"),
    "/v1/incidents?author_team=web": (400, "only changes have an author"),
    "/v1/metrics/code-quality?author_team=web": (400, "only changes have an author"),
    **{f"/v1/flow/{metric}?author_team=web": (400, "only changes have an author") for metric in WORK},
    **{f"/v1/flow/{metric}?author_team=solo": (400, "the catalog has accounts of fewer than 2") for metric in FLOW},
    "/v1/flow/wip?author_team=payments": (400, "the catalog has accounts of fewer than 2"),
    "/v1/flow/wip?author_team=nobody": (404, "nothing is known of nobody"),
    "/v1/dora/change_lead_time?author_team=web&definition=middleware": (400, "middleware has no such filter"),
}


async def test_what_has_no_author_and_who_would_be_a_single_person_is_refused(pool: Pool) -> None:
    async with client(pool) as http:
        answers = {path: await http.get(path) for path in REFUSED}

    for path, (status, why) in REFUSED.items():
        assert answers[path].status_code == status, path
        assert answers[path].json()["detail"].startswith(f"author_team: {why}"), path
