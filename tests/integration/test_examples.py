"""OpenAPI's examples are what the service answers of the day that docs/metrics.md tells."""

import os
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.examples import EXAMPLES, Example
from metrics_svc.settings import Settings
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.integration.test_metrics_page import blocks, played
from tests.shipping import CATALOG, hand_over

pytestmark = pytest.mark.asyncio

DAY = "from=2026-03-02&to=2026-03-03"
QUERIES = {
    "/v1/services": "",
    "/v1/flow": "",
    "/v1/dora": f"{DAY}&service=checkout",
    "/v1/dora/restatements": "since=2026-03-02",
    "/v1/dora/explain": "from=2026-03-02T12:00&to=2026-03-02T18:00&before_from=2026-03-02",
    "/v1/metrics/dora/{metric}": "days=3000",
    "/v1/signals/evaluate": "team=payments",
    "/v1/reports/standup": "team=payments",
    "/v1/reports/sprint-health": "team=payments",
}
METRICS = {"/v1/flow/": "pickup_time", "/v1/metrics/dora/": "lead-time", "/v1/dora/": "change_lead_time"}
CLOCK = re.compile(r"(?!2026-03-0[123]T)\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)")
NOW = "2026-03-03T00:00:00Z"
LIST_MAX = 2


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def test_every_endpoint_shows_what_it_answers(pool: Pool) -> None:
    [timeline] = blocks("timeline")
    await hand_over(pool, played(timeline))
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    paths = [path for path in app.openapi()["paths"] if path.startswith("/v1/")]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        told = {path: await _asked(http, path) for path in sorted(paths)}

    if os.environ.get("RECORD"):
        text = msgspec.json.format(msgspec.json.encode(told), indent=1)
        files("metrics_svc").joinpath("examples.json").write_bytes(text + b"\n")  # type: ignore[attr-defined]
    else:
        assert msgspec.to_builtins(told) == msgspec.to_builtins(EXAMPLES)


async def _asked(http: httpx.AsyncClient, path: str) -> Example:
    metric = next((name for start, name in METRICS.items() if path.startswith(start)), "")
    query = QUERIES.get(path, DAY)
    url = path.replace("{metric}", metric) + (f"?{query}" if query else "")
    answer = await http.get(url)
    assert answer.status_code == 200, f"{url}: {answer.text}"
    return Example(url=url, answer=_told(answer.json()))


def _told(value: Any) -> Any:
    """Lists cut, and moments of this run replaced."""
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_told(inner) for inner in value[:LIST_MAX]]
    if isinstance(value, str) and CLOCK.fullmatch(value):
        return NOW
    return value
