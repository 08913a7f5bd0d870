"""What needs attention, the standup and the health of a sprint, over HTTP on a real PostgreSQL."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.settings import Settings
from shared.catalog import Catalog, Person, Service, Team, Tenure, Thresholds
from shared.contracts.events import IncidentOpened
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.reviewing import landed, proposed, reviewing
from tests.shipping import CATALOG, HOUR, at, deployed, hand_over, incident, of_checkout, reviewed, shifted

pytestmark = pytest.mark.asyncio

TEAMS = msgspec.structs.replace(
    CATALOG,
    teams=(*CATALOG.teams, Team(name="books")),
    services=(*of_checkout(ticket_projects={"jira": ("CHK",)}).services, Service(name="ledger", team="books")),
    people=(Person(name="Ana Alves", github=("ana",)),),
    thresholds=Thresholds(stale_change_h=40, unreviewed_h=12, wip_limit=1),
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@asynccontextmanager
async def client(pool: Pool, catalog: Catalog = TEAMS) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(), Pinned(catalog), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


async def told(pool: Pool, path: str, **query: str) -> Any:
    """At hour 96 of four days of reviews, after a bad deployment; 9 was sent back, 10 is approved by now."""
    today: list[Fact] = [
        *deployed(104, "late", 91),
        *deployed(105, "later", 92, outcome="failed"),
        incident(IncidentOpened, "Q", 92.5),
        *proposed(9, 93, authored=92),
        reviewed(9, "x9", 93.5, by="cleo"),
        reviewed(9, "x9", 93.8, by="cleo", state="changes_requested"),
        reviewed(9, "x9", 94),
        *proposed(10, 95, authored=94, title="CHK-10: ten"),
        reviewed(10, "x10", 95.2, by="cleo", state="changes_requested"),
        reviewed(10, "x10", 95.5, by="cleo"),
    ]
    await hand_over(pool, shifted([*reviewing(), *today], datetime.now(UTC) - at(96)))
    async with client(pool) as http:
        answer = await http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def hours_ago(moment: str) -> float:
    return round((datetime.now(UTC) - datetime.fromisoformat(moment)) / timedelta(hours=1), 1)


async def test_signals_tell_what_whose_and_beyond_which_threshold(pool: Pool) -> None:
    answer = await told(pool, "/v1/signals/evaluate")

    assert answer["thresholds"] == {"stale_change_h": 40, "unreviewed_h": 12, "wip_limit": 1}
    found = [
        (row["kind"], row["subject"], row["look_at"], row["threshold"], round(row["hours"], 1), row["detail"])
        for row in answer["items"]
    ]
    assert found == [
        ("change_without_review", "acme/checkout#4", "payments", 12, 46.0, "CHK-4: four"),
        ("change_without_ticket", "acme/checkout#9", "Ana Alves", None, 3.0, "Change 9"),
        ("stale_change", "acme/checkout#4", "Ana Alves", 40, 44.0, "CHK-4: four"),
        ("wip_limit_exceeded", "checkout", "payments", 1, 3.0, "3 changes in progress, the limit is 1"),
    ]
    assert {row["team"] for row in answer["items"]} == {"payments"}


async def test_signals_are_those_of_the_team_that_is_asked_about(pool: Pool) -> None:
    assert (await told(pool, "/v1/signals/evaluate", team="books"))["items"] == []


STANDUP = {
    "merged": [("acme/checkout-web#7", 6.0)],
    "deployed": [("production", 5.0)],
    "failed": [("production", 4.0)],
    "incidents": [("pagerduty:Q", 3.5)],
    "unreviewed": [("acme/checkout#4", 46.0)],
    "sent_back": [("acme/checkout#9", 2.0)],
    "stale": [("acme/checkout#4", 44.0)],
}


async def test_standup_tells_each_team_what_happened_since_yesterday_and_what_waits(pool: Pool) -> None:
    answer = await told(pool, "/v1/reports/standup")

    books, payments = answer["teams"]
    assert (books["team"], books["services"], books["wip"]) == ("books", ["ledger"], 0)
    assert {section: books[section] for section in STANDUP} == {section: [] for section in STANDUP}
    assert (payments["team"], payments["services"], payments["wip"]) == ("payments", ["checkout"], 3)
    found = {name: [(line["subject"], hours_ago(line["at"])) for line in payments[name]] for name in STANDUP}
    assert found == STANDUP


async def test_standup_goes_back_as_far_as_asked_and_is_a_sheet_of_lines(pool: Pool) -> None:
    answer = await told(pool, "/v1/reports/standup", team="payments", hours="4")
    async with client(pool) as http:
        sheet = await http.get("/v1/reports/standup", headers={"Accept": "text/csv"})

    [payments] = answer["teams"]
    assert (payments["merged"], payments["deployed"], len(payments["incidents"])) == ([], [], 1)
    lines = [*csv.DictReader(io.StringIO(sheet.text))]
    assert [(line["section"], line["subject"]) for line in lines] == [
        (section, subject) for section, found in STANDUP.items() for subject, _ in found
    ]


async def test_health_of_a_sprint_is_that_of_the_whole_team_and_of_its_weeks(pool: Pool) -> None:
    answer = await told(pool, "/v1/reports/sprint-health", weeks="2")

    books, payments = answer["teams"]
    assert (books["team"], books["merged"], books["lead_time_p50_s"], books["wip"]) == ("books", 0, None, 0)
    del payments["start"], payments["end"]
    assert payments == {
        "team": "payments",
        "merged": 4,
        "deployments": 5,
        "deployments_per_day": pytest.approx(5 / 14),
        "lead_time_n": 3,
        "lead_time_p50_s": 12 * HOUR,
        "change_fail_rate": 0.2,
        "recovery_n": 0,
        "recovery_p50_s": None,
        "wip": 3,
        "wip_max": 3,
        "wip_limit": 1,
        "over_limit": ["checkout"],
    }
    weeks = [row for row in answer["rows"] if row["team"] == "payments"]
    assert len(weeks) in (2, 3)
    assert sum(week["merged"] for week in weeks) == 4
    assert sum(week["deployments"] for week in weeks) == 5
    assert weeks[-1]["wip"] == 3


async def test_what_happened_until_a_service_was_handed_over_is_of_the_team_that_had_it(pool: Pool) -> None:
    """What waits is of the team that has it."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    checkout, ledger = TEAMS.services
    checkout = msgspec.structs.replace(checkout, earlier_teams=(Tenure(team="books", until=midnight.date()),))
    catalog = msgspec.structs.replace(TEAMS, services=(checkout, ledger))
    before = [*deployed(1, "a", 20), *proposed(1, 20, authored=19), *landed(1, 22), *proposed(2, 21, authored=20)]
    await hand_over(pool, shifted([*before, *deployed(2, "b", 26)], midnight - at(24)), catalog)

    async with client(pool, catalog) as http:
        standup = (await http.get("/v1/reports/standup", params={"hours": "96"})).json()["teams"]
        alone = (await http.get("/v1/reports/standup", params={"hours": "96", "team": "books"})).json()["teams"]
        sprint = (await http.get("/v1/reports/sprint-health", params={"weeks": "1"})).json()
        signals = [
            (await http.get("/v1/signals/evaluate", params={"team": team})).json()["items"]
            for team in ("books", "payments")
        ]

    sections = ("merged", "deployed", "unreviewed")
    told = [(each["team"], each["services"], each["wip"], *(len(each[name]) for name in sections)) for each in standup]
    assert told == [("books", ["checkout", "ledger"], 0, 1, 1, 0), ("payments", ["checkout"], 1, 0, 1, 1)]
    assert alone == standup[:1]
    assert [(team["merged"], team["deployments"], team["wip"], team["wip_max"]) for team in sprint["teams"]] == [
        (1, 1, 0, 2),
        (0, 1, 1, 1),
    ]
    for team in ("books", "payments"):
        assert sum(row["deployments"] for row in sprint["rows"] if row["team"] == team) == 1
    assert [bool(found) for found in signals] == [False, True]


REFUSED = {
    "/v1/signals/evaluate?team=nobody": (404, "team"),
    "/v1/signals/evaluate?service=nothing": (404, "service"),
    "/v1/signals/evaluate?kind=stale": (400, "kind"),
    "/v1/reports/standup?hours=0": (400, "hours"),
    "/v1/reports/standup?hours=a%00": (400, "hours"),
    "/v1/reports/standup?weeks=2": (400, "weeks"),
    "/v1/reports/sprint-health?weeks=27": (400, "weeks"),
    "/v1/reports/sprint-health?weeks=2&weeks=3": (400, "weeks"),
}


async def test_what_is_not_meant_is_refused_by_name(pool: Pool) -> None:
    async with client(pool) as http:
        answers = {path: await http.get(path) for path in REFUSED}

    assert {each.headers["content-type"] for each in answers.values()} == {"application/problem+json"}
    found = {path: (each.status_code, each.json()["detail"].split(": ")[0]) for path, each in answers.items()}
    assert found == REFUSED
