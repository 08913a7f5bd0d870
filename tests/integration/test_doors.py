"""Four doors, one number: JSON, SQL, CSV and Prometheus; what was known when; and what keeps numbers away."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from em.checks import of_metrics
from metrics_svc import api
from metrics_svc.exporting import Exporter
from metrics_svc.settings import Settings
from shared.catalog import Catalog, Team, Tenure
from shared.contracts.events import IncidentOpened
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.reviewing import reviewing
from tests.shipping import (
    CATALOG,
    START,
    at,
    deployed,
    hand_over,
    incident,
    merged,
    of_checkout,
    one_change,
    shifted,
    story,
)

pytestmark = pytest.mark.asyncio

DORA = {
    "change_lead_time": ("dora_change_lead_time_seconds", "0.5"),
    "deployment_frequency": ("dora_deployments_per_day", None),
    "change_fail_rate": ("dora_change_fail_ratio", None),
    "failed_deployment_recovery_time": ("dora_failed_deployment_recovery_seconds", "0.5"),
    "deployment_rework_rate": ("dora_deployment_rework_ratio", None),
}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def handed_over(until: datetime) -> Catalog:
    """The service was of another team until then."""
    teams = (*CATALOG.teams, Team(name="discovery"))
    tenure = Tenure(team="discovery", until=until.date())
    return msgspec.structs.replace(of_checkout(earlier_teams=(tenure,)), teams=teams)


@asynccontextmanager
async def client(pool: Pool, catalog: Catalog = CATALOG) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(), Pinned(catalog), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


async def get(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("team", ["", "discovery", "payments"])
async def test_one_number_through_four_doors(pool: Pool, database_url: str, team: str) -> None:
    """Of a service, or of each of two teams that had it one after the other."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    catalog = handed_over(today - timedelta(days=9)) if team else CATALOG
    await hand_over(pool, shifted(story(), today - timedelta(days=10) - START), catalog)
    exporter = Exporter(pool, Pinned(catalog))
    asked = {"service": "checkout"} | ({"team": team} if team else {})
    async with client(pool, catalog) as http:
        whole = _of_service((await get(http, "/v1/dora", **asked))["rows"])
        days = [row for row in (await get(http, "/v1/dora", bucket="day", **asked))["rows"] if row["service"]]
        as_csv = await http.get("/v1/dora", params=asked, headers={"Accept": "text/csv"})
    await exporter.read()

    assert min(whole[metric]["n"] for metric in DORA) > 0
    told = _of_service(csv.DictReader(io.StringIO(as_csv.text)))
    scraped = _scraped(exporter, team or "payments")
    for metric, (name, quantile) in DORA.items():
        assert float(told[metric]["value"]) == pytest.approx(whole[metric]["value"], rel=1e-6)
        assert scraped[name, quantile] == pytest.approx(whole[metric]["value"], rel=1e-6)
        assert scraped["dora_samples", metric] == whole[metric]["n"]
    async with _as_grafana(database_url) as sql:
        await _compare_days(sql, days, whole, team or "payments")


def _of_service(rows: Iterable[Any]) -> dict[str, Any]:
    return {row["metric"]: row for row in rows if row["service"]}


async def _compare_days(sql: asyncpg.Connection, days: list[Any], whole: dict[str, Any], team: str) -> None:
    mine = await sql.fetch("SELECT * FROM v_dora_daily WHERE service = 'checkout' AND team = $1", team)
    rows = {row["day"]: row for row in mine}
    by_day: dict[Any, dict[str, Any]] = {}
    for row in days:
        by_day.setdefault(datetime.fromisoformat(row["start"]).date(), {})[row["metric"]] = row
    shown = {day: found for day, found in by_day.items() if found["deployment_frequency"]["n"]}
    assert {day for day, row in rows.items() if row["deployments"]} == set(shown)
    for day, found in shown.items():
        assert rows[day]["deployments"] == found["deployment_frequency"]["n"]
        assert rows[day]["change_fail_rate"] == pytest.approx(found["change_fail_rate"]["value"])
        assert rows[day]["lead_n"] == found["change_lead_time"]["n"]
        assert rows[day]["lead_p50_s"] == pytest.approx(found["change_lead_time"]["value"])
    assert sum(row["deployments"] for row in rows.values()) == whole["deployment_frequency"]["n"]
    led = await sql.fetchval(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_time_s) FROM v_changes WHERE deployed_team = $1", team
    )
    assert led == pytest.approx(whole["change_lead_time"]["value"])
    failed = await sql.fetchrow(
        "SELECT count(*) FILTER (WHERE failed), count(*) FROM v_deployments WHERE counts AND team = $1", team
    )
    assert failed is not None
    assert failed[0] / failed[1] == pytest.approx(whole["change_fail_rate"]["value"])
    recovered = await sql.fetchval(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY recovery_s) FROM v_deployments WHERE recovered_team = $1",
        team,
    )
    assert recovered == pytest.approx(whole["failed_deployment_recovery_time"]["value"])
    open_for = await sql.fetchval("SELECT sum(recovery_s) FROM v_incidents WHERE resolved_team = $1", team) or 0
    incidents = whole["incident_recovery_time"]
    assert open_for == pytest.approx((incidents["mean"] or 0) * incidents["n"])


def _scraped(exporter: Exporter, team: str) -> dict[tuple[str, str | None], float]:
    registry = CollectorRegistry()
    registry.register(exporter)
    found: dict[tuple[str, str | None], float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if sample.labels.get("team") == team:
                key = sample.labels.get("quantile") or sample.labels.get("metric")
                found[sample.name, key] = sample.value
    return found


FLOW_DOORS = {
    ("throughput", ""): ("merged", "merged"),
    ("throughput", "XS"): ("merged_xs", "merged_xs"),
    ("throughput", "M"): ("merged_m", "merged_m"),
    ("pickup_time", ""): ("pickup_p50_s", "pickup_n"),
    ("review_time", ""): ("review_p50_s", "review_n"),
    ("cycle_time", ""): ("cycle_p50_s", "cycle_n"),
}


@pytest.mark.parametrize("team", ["", "discovery", "payments"])
async def test_one_number_of_flow_through_three_doors(pool: Pool, database_url: str, team: str) -> None:
    catalog = handed_over(at(24)) if team else CATALOG
    await hand_over(pool, shifted(reviewing(), timedelta(hours=6.5)), catalog)  # approved, merged, shipped on two days
    asked = {"from": at(0).isoformat(), "to": at(120).isoformat(), "bucket": "day", "service": "checkout"}
    asked |= {"team": team} if team else {}

    async with client(pool, catalog) as http:
        for (metric, part), columns in FLOW_DOORS.items():
            shown = (await get(http, f"/v1/flow/{metric}", **asked))["rows"]
            sheet = await http.get(f"/v1/flow/{metric}", params=asked, headers={"Accept": "text/csv"})

            shown = [row for row in shown if row["service"] and row["part"] == part and row["n"]]
            days = {row["start"][:10]: (row["value"], row["n"]) for row in shown}
            told = [row for row in csv.DictReader(io.StringIO(sheet.text)) if row["service"] and row["part"] == part]
            listed = [row for row in told if row["n"] != "0"]
            assert days or team
            assert {row["start"][:10]: (float(row["value"]), int(row["n"])) for row in listed} == days
            assert await _flow_days(database_url, *columns, team or "payments") == days


async def _flow_days(database_url: str, value: str, n: str, team: str) -> dict[str, tuple[float, int]]:
    async with _as_grafana(database_url) as sql:
        rows = await sql.fetch("SELECT * FROM v_flow_daily WHERE service = 'checkout' AND team = $1", team)
    return {str(row["day"]): (row[value], row[n]) for row in rows if row[n]}


@asynccontextmanager
async def _as_grafana(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The role's own rights; its password is none of this test's business."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET ROLE grafana; SET search_path = metrics")
    try:
        yield connection
    finally:
        await connection.close()


async def test_grafana_reads_the_views_and_nothing_else(pool: Pool, database_url: str) -> None:
    async with _as_grafana(database_url) as sql:
        for view in ("v_dora_daily", "v_deployments", "v_changes", "v_incidents", "v_quality", "v_flow_daily"):
            assert await sql.fetch(f"SELECT * FROM {view}") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql.fetch("SELECT * FROM change")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql.execute("DELETE FROM bucket")


async def test_what_did_not_change_is_not_sent_again_and_formulas_are_not_run(pool: Pool) -> None:
    await hand_over(pool, [*deployed(1, "a", 1), *merged(1, "x", 2, authored=[1], title="=HYPERLINK(1)")])
    window = {"from": at(0).isoformat(), "to": at(9).isoformat()}

    async with client(pool) as http:
        first = await http.get("/v1/changes", params=window)
        again = await http.get("/v1/changes", params=window, headers={"If-None-Match": first.headers["etag"]})
        as_csv = await http.get("/v1/changes", params=window, headers={"Accept": "text/csv"})
        await hand_over(pool, deployed(2, "m1", 3))
        moved = await http.get("/v1/changes", params=window, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert moved.status_code == 200
    assert as_csv.headers["content-type"].startswith("text/csv")
    [row] = csv.DictReader(io.StringIO(as_csv.text))
    assert row["title"] == "'=HYPERLINK(1)"


# ---- what was known when ------------------------------------------------------------------------------------------


async def test_a_moment_later_the_number_of_then_can_still_be_asked(pool: Pool) -> None:
    """Three batches, three truths; the feed leads from each to the next."""
    window = {"from": at(0).isoformat(), "to": at(96).isoformat()}
    batches = [
        [*deployed(1, "a", 1), *merged(1, "x", 2, authored=[1]), *deployed(2, "m1", 30)],
        [*deployed(3, "b", 10), incident(IncidentOpened, "Q", 31)],  # late: takes nothing, but is blamed for nothing
        [*merged(2, "y", 3, authored=[2]), *deployed(2, "m1", 31, outcome="failed"), *deployed(4, "m2", 40)],
    ]
    known: list[tuple[str, Any]] = []
    async with client(pool) as http:
        for batch in batches:
            await hand_over(pool, batch)
            moment = (await pool.fetchval("SELECT clock_timestamp()")).isoformat()
            known.append((moment, (await get(http, "/v1/dora", **window))["rows"]))
        truths = [(await get(http, "/v1/dora", as_of=moment, **window))["rows"] for moment, _ in known]
        before = (await get(http, "/v1/dora", as_of=(START - timedelta(days=1)).isoformat(), **window))["rows"]
        feed = (await get(http, "/v1/dora/restatements", since=START.isoformat()))["items"]

    assert truths == [rows for _, rows in known]
    assert truths[0] != truths[1] != truths[2]
    assert {row["n"] for row in before} == {0}
    await _follows(pool, feed, known[0][0])


async def _follows(pool: Pool, feed: list[Any], moment: str) -> None:
    """The days as they were then, with what the feed tells since, are the days as they are."""
    days: dict[tuple[str, str], Any] = {}
    then = None
    for change in feed:
        key = (change["environment"], change["day"])
        if then is None and datetime.fromisoformat(change["at"]) > datetime.fromisoformat(moment):
            then = dict(days)
        assert days.get(key) == change["old"]
        days[key] = change["new"]
        assert change["new"] is None or change["causes"]
    assert then is not None and then != days
    rows = await pool.fetch("SELECT environment, day, to_jsonb(b)::text AS numbers FROM bucket b")
    now = {(row["environment"], str(row["day"])): msgspec.json.decode(row["numbers"]) for row in rows}
    assert {key: numbers for key, numbers in days.items() if numbers} == {
        key: {name: numbers[name] for name in next(iter(filter(None, days.values())))} for key, numbers in now.items()
    }


async def test_what_is_derived_again_as_it_was_is_no_news(pool: Pool) -> None:
    await hand_over(pool, story())
    past = "SELECT (SELECT count(*) FROM production_deployment_past) + (SELECT count(*) FROM bucket_past)"
    before = await pool.fetchval(past), await pool.fetch("SELECT id, known_from FROM production_deployment ORDER BY 1")

    await hand_over(pool, story())

    after = await pool.fetchval(past), await pool.fetch("SELECT id, known_from FROM production_deployment ORDER BY 1")
    assert after == before


# ---- what keeps numbers away --------------------------------------------------------------------------------------


async def test_health_names_what_is_missing_and_the_line_that_would_help(pool: Pool) -> None:
    await hand_over(
        pool,
        [
            *deployed(1, "a", 1, environment="prd"),
            *deployed(2, "", 2),
            *one_change(1, 1),
            incident(IncidentOpened, "Q", 3, service_id="PX"),
        ],
    )
    async with client(pool) as http:
        health = await get(http, "/v1/dora/health", **{"from": at(0).isoformat(), "to": at(400).isoformat()})

    [service] = health["services"]
    assert {metric["metric"]: metric["exists"] for metric in service["metrics"]} == {
        "change_lead_time": False,
        "deployment_frequency": True,
        "change_fail_rate": True,
        "failed_deployment_recovery_time": False,
        "deployment_rework_rate": True,
    }
    findings = {finding["finding"]: finding for finding in service["findings"]}
    assert findings["unknown_environment"]["fix"].startswith('production: ["^prd$"]')
    assert (findings["deployments_without_sha"]["count"], findings["deployments_without_sha"]["share"]) == (1, 1.0)
    assert findings["no_first_commit"]["count"] == 1
    [unowned] = health["unowned"]
    assert "incident_services: {pagerduty: [PX]}" in unowned["fix"]
    told = [f"{finding.status} {finding.check}: {finding.detail} {finding.remedy}" for finding in of_metrics(health)]
    assert told[0] == (
        "ok checkout: 3 of 5 numbers exist: deployment_frequency, change_fail_rate, deployment_rework_rate "
    )
    assert (
        'warn checkout: unknown environment prd: 1 (50%) production: ["^prd$"]  # at checkout, if prd is production'
        in told
    )
