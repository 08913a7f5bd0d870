"""docs/metrics.md: the days that it tells are played through the service, and every number on the page is compared."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.dora import BESIDE, METRICS
from metrics_svc.facts import Fact
from metrics_svc.flow.signals import STALE, WIP_LIMIT, WITHOUT_REVIEW, WITHOUT_TICKET
from metrics_svc.flow_table import flow_metrics
from metrics_svc.settings import Settings
from metrics_svc.work_table import WORK
from shared.catalog import Thresholds
from shared.contracts.events import ChangeMerged, ChangeOpened, ChangeReady, IncidentOpened, IncidentResolved
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.shipping import CATALOG, at, change, commented, deployed, hand_over, incident, pushed, reviewed

PAGE = Path("docs/metrics.md").read_text(encoding="utf-8")
LINE = re.compile(r"(\d\d):(\d\d) (deploy|commit|merge|rollback to|incident) (#?\w+)(?: on (\S+))?")
REVIEWS = re.compile(r"(\d\d):(\d\d) ([a-z-]+) #?(\w+)(?: with (\d+) lines)?(?: by (\S+))?")
SAID = {"ask-changes": "changes_requested", "approve": "approved"}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def played(timeline: str) -> list[Fact]:
    events: list[Fact] = []
    for number, line in enumerate(timeline.splitlines()):
        found = LINE.fullmatch(line)
        assert found, line
        events += _played(number, *found.groups())
    return events


def _played(step: int, hour: str, minute: str, verb: str, what: str, branch: str | None) -> list[Fact]:
    hours = int(hour) + int(minute) / 60
    head = branch or f"feature/{what}"
    if verb == "commit":
        return [pushed(hours, f"c{what}-{step}", branch=head)]
    if verb == "merge":
        fields: dict[str, Any] = {"merge_sha": what, "merged_at": at(hours)}
        return [change(ChangeMerged, int(what[1:]), head, hours, **fields), pushed(hours, what)]
    if verb == "incident":
        return [incident({"opened": IncidentOpened, "resolved": IncidentResolved}[what], "Q", hours)]
    return deployed(step, what, hours)


@pytest.mark.asyncio
async def test_every_number_of_the_page_is_what_the_service_says(pool: Pool) -> None:
    [timeline] = blocks("timeline")
    await hand_over(pool, played(timeline))
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        window = {"from": at(0).isoformat(), "to": at(24).isoformat()}
        rows = (await http.get("/v1/dora", params=window)).json()["rows"]

    told = {row["metric"]: f"{_text(row['value'])} n {row['n']}" for row in rows}
    shown = dict(line.split(" ", 1) for block in blocks("numbers") for line in block.splitlines())
    assert shown == told
    assert {*shown} == {*METRICS, *BESIDE}


# ---- how changes move --------------------------------------------------------------------------------------------


def moved(timeline: str) -> list[Fact]:
    found = [REVIEWS.fullmatch(line) for line in timeline.splitlines()]
    assert all(found)
    told = [each.groups() for each in found if each]
    lines = {what: int(size) for _, _, _, what, size, _ in told if size}
    return [event for step, line in enumerate(told) for event in _moved(step, line, lines)]


def _moved(step: int, line: Sequence[str | None], lines: Mapping[str | None, int]) -> list[Fact]:
    """Changes are ana's, where nobody else is named."""
    hour, minute, verb, what, _, who = line
    hours = int(hour or 0) + int(minute or 0) / 60
    if verb == "deploy":
        return deployed(step, f"#{what}", hours)
    number, branch = int(what or 0), f"feature/{what}"
    of: dict[str, Any] = {"additions": lines[what], "deletions": 0, "author": "ana"}
    if verb in SAID:
        return [reviewed(number, branch, hours, by=who or "", state=SAID[verb], **of)]
    if verb == "comment":
        return [commented(number, hours, by=who or "", kind="bot" if "[bot]" in str(who) else "human")]
    if verb == "commit":
        return [pushed(hours, f"c{what}-{step}", branch=branch)]
    if who:
        of |= {"author": who, "author_kind": "bot"}
    if verb == "merge":
        fields = {**of, "merge_sha": f"#{what}", "merged_at": at(hours)}
        return [change(ChangeMerged, number, branch, hours, **fields), pushed(hours, f"#{what}")]
    kind = {"open": ChangeOpened, "draft": ChangeOpened, "ready": ChangeReady}[str(verb)]
    return [change(kind, number, branch, hours, draft=verb == "draft", **of)]


@pytest.mark.asyncio
async def test_every_number_of_how_changes_move_is_what_the_service_says(pool: Pool) -> None:
    [timeline] = blocks("reviews")
    await hand_over(pool, moved(timeline))
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    metrics = flow_metrics(people=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        window = {"from": at(0).isoformat(), "to": at(24).isoformat()}
        answers = [(await http.get(f"/v1/flow/{name}", params=window)).json()["rows"] for name in metrics]

    told = {
        ".".join(filter(None, (row["metric"], row["part"]))): f"{_text(row['value'])} n {row['n']}"
        for rows in answers
        for row in rows
    }
    shown = dict(line.split(" ", 1) for block in blocks("flow") for line in block.splitlines())
    assert shown == told


def test_every_metric_and_threshold_is_on_the_page() -> None:
    assert [name for name in WORK if f"`{name}`" not in PAGE] == []
    for name, value in msgspec.structs.asdict(Thresholds()).items():
        assert f"`{name}`, {_text(value)} |" in PAGE
    assert all(f"| `{name}` |" in PAGE for name in (STALE, WITHOUT_REVIEW, WIP_LIMIT, WITHOUT_TICKET))


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
