"""The demo's story, translated and handed to metrics-svc as it is sent: what the story knows is what it says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx
import pytest

from em.demo import cast
from em.demo.cases import Found, Key, Row, compared, expected_cases, numbers_of
from em.demo.outcome import dora_of, excluded_of
from em.demo.story import Story, shuffled, tell
from em.demo.truth import expected_dora, expected_excluded
from ingest.schemes import Evidence
from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from metrics_svc.settings import Settings
from normalizer.disposition import Events
from normalizer.handlers import stamp
from normalizer.translation import translate
from shared import catalog
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.translations import read

pytestmark = pytest.mark.asyncio

MONDAY = datetime(2026, 6, 15, 9, 30, tzinfo=UTC)
BATCH = 200
FACTS = tuple(kind for part in get_args(Fact) for kind in (part, *part.__subclasses__()))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def facts(story: Story) -> list[Fact]:
    told: list[Fact] = []
    for sent in shuffled(story, story.seed):
        if sent.source == "slack":
            continue
        delivery = read(sent.source, sent.headers | {"X-GitHub-Event": sent.event}, sent.body, Evidence(slot=0))
        disposition = translate(delivery)
        if isinstance(disposition, Events):
            told += [event for event in stamp(delivery, disposition.events) if isinstance(event, FACTS)]
    return told


@pytest.mark.parametrize("days", range(0, 7, 3))
async def test_metrics_svc_says_of_the_story_what_the_story_knows(pool: Pool, days: int) -> None:
    story = tell(7 + days, MONDAY + timedelta(days=days))
    pinned = Pinned(catalog.read(cast.catalog(story.end)))
    events = facts(story)
    for start in range(0, len(events), BATCH):
        async with pool.acquire() as tx, tx.transaction():
            await Facts(pinned).on_facts(events[start : start + BATCH], tx)

    app = api.build(Settings(), pinned, pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        window = {"from": story.start.isoformat(), "to": story.end.isoformat()}
        dora = await get(http, "/v1/dora", environment="production", **window)
        found = await lists(http, story)

    assert [case for case in compared(expected_cases(story), found) if case.differs] == []
    assert excluded_of(dora) == expected_excluded(story)
    told = dora_of(dora)
    for service, metrics in expected_dora(story).items():
        assert told[service] == {name: pytest.approx(metric) for name, metric in metrics.items()}


async def lists(http: httpx.AsyncClient, story: Story) -> Found:
    span: Any = {"from": story.deliveries[0].occurred_at.isoformat(), "to": story.end.isoformat(), "limit": 1000}
    changes = await rows(http, "changes", span)
    for author_class in ("human", "bot", "ai_assisted", "ai_agent"):
        for name in await rows(http, "changes", {**span, "author_class": author_class}):
            changes[name]["author_class"] = author_class
    return {
        "changes": changes,
        "deployments": await rows(http, "deployments", span),
        "incidents": await rows(http, "incidents", span),
        "teams": {(team.name, ""): await numbers(http, story, team) for team in cast.TEAMS},
    }


async def numbers(http: httpx.AsyncClient, story: Story, team: cast.Team) -> Row:
    window = {"from": story.start.isoformat(), "to": story.end.isoformat(), "environment": "production"}
    return numbers_of(dora_of(await get(http, "/v1/dora", team=team.name, **window))[""])


async def rows(http: httpx.AsyncClient, what: str, query: Any) -> dict[Key, dict[str, Any]]:
    return {(row["id"], row["service"]): row for row in (await get(http, f"/v1/{what}", **query))["items"]}


async def get(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()
