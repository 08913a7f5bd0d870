"""metrics-svc on a real PostgreSQL: the five numbers of a small story, the API that shows them, the command."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.answering import Commands
from metrics_svc.dora import METRICS
from metrics_svc.facts import Fact
from metrics_svc.settings import Settings
from shared.contracts.envelope import Outgoing, encode_event, event_headers
from shared.contracts.events import (
    ChangeReviewed,
    ChangeUpdated,
    ChatCommand,
    Reply,
    SignedRequest,
)
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool, outbox
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.line import Line
from tests.shipping import (
    CATALOG,
    HOUR,
    START,
    at,
    change,
    deployed,
    hand_over,
    merged,
    one_change,
    pushed,
    shifted,
    story,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@asynccontextmanager
async def client(pool: Pool, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(**settings), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


# ---- the numbers -------------------------------------------------------------------------------------------------


async def test_a_small_story_has_the_numbers_worked_out_by_hand(pool: Pool) -> None:
    await hand_over(pool, story())

    async with client(pool) as http:
        answer = await ask(http, hours=96)

    metrics = {row["metric"]: (row["value"], row["unit"], row["n"]) for row in answer["rows"]}
    assert metrics == {
        "change_lead_time": (6 * HOUR, "seconds", 5),  # 10, 3, 6, 3 and 11 hours
        "deployment_frequency": (7 / 4, "per_day", 7),
        "change_fail_rate": (2 / 7, "ratio", 7),
        "failed_deployment_recovery_time": (3.5 * HOUR, "seconds", 2),  # 103 by its rollback, 105 by its hotfix
        "deployment_rework_rate": (2 / 7, "ratio", 7),
        "commit_lead_time": (7.5 * HOUR, "seconds", 6),  # the second change has two commits: 9 and 10 hours
        "deployment_days": (None, "days_per_week", 7),
        "time_between_deployments": (7.5 * HOUR, "seconds", 6),  # 11, 4, 3, 13, 4 and 16 hours
        "incident_recovery_time": (5 * HOUR, "seconds", 1),
    }
    lead_time = answer["rows"][0]
    assert (lead_time["p75"], lead_time["team"], lead_time["band"], lead_time["band_year"]) == (
        10 * HOUR,
        "payments",
        "elite",
        2023,
    )
    assert answer["excluded"] == [
        {
            "service": "checkout",
            "seed": 1,
            "long_gap": 0,
            "no_first_commit": 0,
            "skewed": 0,
            "negative": 0,
            "low_confidence": 0,
            "unlinked_changes": 1,
            "unlinked_incidents": 1,
            "redeploys": 1,
            "unknown_environment": 1,
            "not_authoritative": 0,
            "other_regions": 0,
        }
    ]
    assert answer["definition"] == "dora2025"


async def test_every_deployment_says_what_it_carried_and_why_it_failed(pool: Pool) -> None:
    await hand_over(pool, story())

    async with client(pool) as http:
        deployments = {d["deployment_id"]: d for d in await items(http, "/v1/deployments", hours=96)}
        changes = {c["number"]: c for c in await items(http, "/v1/changes", hours=96)}

    kinds = {number: d["kind"] for number, d in deployments.items()}
    assert kinds == {
        "100": "normal",
        "102": "normal",
        "103": "normal",
        "104": "rollback",
        "105": "normal",
        "106": "hotfix",
        "107": "redeploy",
        "109": "normal",
    }
    assert deployments["104"]["remediates"] == deployments["103"]["id"]
    assert deployments["103"]["failed_because"] == ["incident", "rollback"]
    assert deployments["103"]["recovered_at"] == "2026-03-02T19:00:00Z"
    assert deployments["103"]["incidents"] == [{"id": "pagerduty:Q1", "method": "same_service", "confidence": 0.5}]
    assert [delivery.split()[0] for delivery in deployments["103"]["deliveries"]] == [
        "deployment.finished",
        "incident.resolved",
    ]
    carried = changes[2]
    assert (carried["deployment"], carried["lead_time_s"], carried["method"], carried["confidence"]) == (
        deployments["102"]["id"],
        10 * HOUR,
        "branch_position",
        0.9,
    )
    assert carried["deliveries"][0].startswith("change.merged ")
    assert deployments["100"]["seed"]
    assert changes[1]["lead_time_s"] is None


async def test_every_number_can_be_computed_again_from_its_items(pool: Pool) -> None:
    """Over pages of two, whatever the window cuts."""
    await hand_over(pool, story())

    async with client(pool) as http:
        for end, start in ((96, 0), (40, 18), (19.5, 17), (96, 70)):
            for row in (await ask(http, hours=end, start=start))["rows"]:
                found = await items(http, f"/v1/dora/{row['metric']}/items", hours=end, start=start, limit="2")
                n, value = again(row["metric"], found, (end - start) / 24)
                assert (row["n"], row["value"]) == (n, value), (row["metric"], start)
                assert all(item["deliveries"] for item in found)


def again(metric: str, found: list[Any], days: float) -> tuple[int, Any]:
    """Without any code of ours: `statistics.median` is type 7 for the middle."""
    durations = {
        "change_lead_time": "lead_time_s",
        "failed_deployment_recovery_time": "recovery_s",
        "incident_recovery_time": "recovery_s",
    }
    if metric in durations:
        samples = [item[durations[metric]] for item in found]
        return len(samples), pytest.approx(median(samples)) if samples else None
    if metric == "commit_lead_time":
        samples = [s for item in found for s in item["commit_lead_times_s"]]
        return len(samples), pytest.approx(median(samples)) if samples else None
    if metric == "time_between_deployments":
        moments = [datetime.fromisoformat(item["finished_at"]) for item in found]
        gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(moments)]
        return len(gaps), pytest.approx(median(gaps)) if gaps else None
    parts = {
        "deployment_frequency": len(found) / days,
        "change_fail_rate": sum(item["failed"] for item in found) / max(1, len(found)),
        "deployment_rework_rate": sum(item["remediates"] is not None for item in found) / max(1, len(found)),
    }
    return len(found), pytest.approx(parts[metric]) if found and metric in parts else None


async def test_a_window_without_deployments_has_no_numbers_rather_than_zeros(pool: Pool) -> None:
    await hand_over(pool, story())

    async with client(pool) as http:
        answer = await ask(http, start=70, hours=96)

    assert {(row["value"], row["n"]) for row in answer["rows"]} == {(None, 0)}


async def ask(http: httpx.AsyncClient, *, hours: float, start: float = 0, **parameters: str) -> Any:
    window = {"from": at(start).isoformat(), "to": at(hours).isoformat()}
    response = await http.get("/v1/dora", params={**window, **parameters})
    assert response.status_code == 200, response.text
    return response.json()


async def items(http: httpx.AsyncClient, path: str, *, hours: float, start: float = 0, **parameters: str) -> list[Any]:
    """Of all pages."""
    query = {"from": at(start).isoformat(), "to": at(hours).isoformat(), **parameters}
    found: list[Any] = []
    while True:
        response = await http.get(path, params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


# ---- rules -----------------------------------------------------------------------------------------------------


async def test_a_review_that_shows_less_of_a_change_does_not_take_anything_from_it(pool: Pool) -> None:
    whole = change(ChangeUpdated, 1, "feature/one", 1, additions=7, labels=("bug",))
    review = {"review_id": "1", "reviewer": "bo", "review_state": "approved"}

    await hand_over(pool, [whole])
    await hand_over(pool, [change(ChangeReviewed, 1, "feature/one", 2, **review)])

    row = await pool.fetchrow("SELECT additions, labels FROM change")
    assert row is not None
    assert (row["additions"], row["labels"]) == (7, ["bug"])


async def test_a_change_without_a_known_position_is_carried_by_the_next_deployment_in_time(pool: Pool) -> None:
    await hand_over(pool, [*deployed(1, "a", 1), *one_change(1, 2), *deployed(2, "b", 3), *deployed(3, "c", 4)])

    row = await pool.fetchrow("SELECT deployment, method, confidence FROM change_link")
    assert row is not None
    assert (row["deployment"], row["method"]) == ("github:acme/checkout:2", "time_in_repo")
    assert row["confidence"] == pytest.approx(0.4)


async def test_a_rollback_to_an_unknown_position_carries_nothing_that_merged_since(pool: Pool) -> None:
    await hand_over(
        pool,
        [*deployed(1, "a", 1), *deployed(2, "b", 2), *one_change(1, 2.5), *deployed(3, "a", 3), *deployed(4, "c", 4)],
    )

    assert await pool.fetchval("SELECT deployment FROM change_link") == "github:acme/checkout:4"


async def test_commits_of_an_earlier_change_of_the_same_branch_are_not_the_first_commit(pool: Pool) -> None:
    await hand_over(pool, [*merged(1, "develop", 10, authored=[1]), *merged(2, "develop", 20, authored=[15])])

    first = await pool.fetch("SELECT first_commit_at FROM change_link ORDER BY change")
    assert [row["first_commit_at"] for row in first] == [at(1), at(15)]


async def test_commits_that_were_on_the_default_branch_already_are_not_the_first_commit(pool: Pool) -> None:
    """The author merged main into the branch: the push lists main's commits as well."""
    brought = pushed(12, "old", "own", branch="feature/1", authored=[-90, 11])

    await hand_over(pool, [pushed(1, "old", authored=[-90]), brought, *one_change(1, 13), pushed(13, "own", "m1")])

    assert await pool.fetchval("SELECT first_commit_at FROM change_link") == at(11)


async def test_a_deployment_whose_end_is_revised_leaves_the_timeline(pool: Pool) -> None:
    await hand_over(pool, [*deployed(1, "a", 1), *one_change(1, 1.5), *deployed(2, "b", 2), *deployed(3, "c", 3)])
    await hand_over(pool, deployed(2, "b", 2.5, outcome="failed"))

    assert await pool.fetchval("SELECT deployment FROM change_link") == "github:acme/checkout:3"
    assert await pool.fetchval("SELECT count(*) FROM production_deployment") == 2


# ---- the API -----------------------------------------------------------------------------------------------------


async def test_aliases_give_the_same_numbers_as_the_metrics_they_stand_for(pool: Pool) -> None:
    await hand_over(pool, moved_to_now(story()))
    names = {
        "lead-time": "change_lead_time",
        "deployment-frequency": "deployment_frequency",
        "change-fail-rate": "change_fail_rate",
        "mttr": "failed_deployment_recovery_time",
    }

    async with client(pool) as http:
        for alias, metric in names.items():
            by_alias = (await http.get(f"/v1/metrics/dora/{alias}", params={"days": "20"})).json()
            window = {"from": by_alias["from"], "to": by_alias["to"]}
            [row] = (await http.get(f"/v1/dora/{metric}", params=window)).json()["rows"]

            [told] = by_alias["services"]
            assert told["n"] > 0
            assert told == {name: row[name] for name in told}
            assert by_alias["metric"] == metric
        assert "recovery" in by_alias["note"]


def moved_to_now(events: Sequence[Fact]) -> list[Fact]:
    """The same story, ten days ago."""
    return shifted(events, datetime.now(UTC) - timedelta(days=10) - START)


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/v1/dora?tz=Mars/Phobos", 400, "tz"),
        ("/v1/dora?bucket=hour", 400, "bucket"),
        ("/v1/dora?agg=max", 400, "agg"),
        ("/v1/dora?definition=dora1999", 400, "definition"),
        ("/v1/dora?as_of=2999-01-01", 400, "as_of"),
        ("/v1/dora?min_confidence=2", 400, "min_confidence"),
        ("/v1/dora?author_class=robot", 400, "author_class"),
        ("/v1/dora?definition=middleware&label=bug", 400, "label"),
        ("/v1/dora?bucket=day&from=2000-01-01&to=2009-12-01&limit=3", 400, "limit"),
        ("/v1/dora?team=payment", 404, "team"),
        ("/v1/dora/velocity", 404, "metric"),
        ("/v1/dora/velocity/items", 404, "metric"),
        ("/v1/dora/change_lead_time/items?limit=0", 400, "limit"),
        ("/v1/dora/change_lead_time/items?cursor=%3D", 400, "cursor"),
        ("/v1/deployments?cursor=WzEsMl0", 400, "cursor"),
        ("/v1/services?service=checkout", 400, "service"),
        ("/v1/dora?servce=checkout", 400, "servce"),
        ("/v1/dora?from=yesterday", 400, "from"),
        ("/v1/dora?to=2026-13-01", 400, "to"),
        ("/v1/dora?from=2026-03-05&to=2026-03-01", 400, "from"),
        ("/v1/dora?from=0001-01-01", 400, "from"),
        ("/v1/dora?to=0001-01-01", 400, "to"),
        ("/v1/dora?to=2026-03-05&to=2026-03-06", 400, "to"),
        ("/v1/dora?environment=%00", 400, "environment"),
        ("/v1/dora?service=chekout", 404, "service"),
        ("/v1/metrics/dora/lead-time?days=0", 400, "days"),
        ("/v1/metrics/dora/lead-time?days=many", 400, "days"),
        ("/v1/metrics/dora/lead-time?window=7", 400, "window"),
        ("/v1/metrics/dora/velocity", 404, "metric"),
    ],
)
async def test_what_can_not_be_meant_is_refused_by_name(pool: Pool, path: str, status: int, named: str) -> None:
    async with client(pool) as http:
        response = await http.get(path)

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith(f"{named}:")


async def test_an_environment_narrows_the_answer_to_its_deployments(pool: Pool) -> None:
    await hand_over(pool, [*deployed(1, "a", 1, environment="production"), *deployed(2, "b", 2, environment="prod-eu")])

    async with client(pool) as http:
        found = await items(http, "/v1/deployments", hours=96, environment="prod-eu")
        answer = await ask(http, hours=96, environment="prod-eu")

    assert [d["deployment_id"] for d in found] == ["2"]
    assert {row["n"] for row in answer["rows"] if row["metric"] == "deployment_frequency"} == {1}


async def test_the_demo_page_is_served_only_by_a_demo_and_may_run_nothing(pool: Pool, tmp_path: Path) -> None:
    page = tmp_path / "index.html"

    async with client(pool, demo_page_path=page) as http:
        assert (await http.get("/demo")).status_code == 404
    async with client(pool, demo=True, demo_page_path=page) as http:
        missing = await http.get("/demo")
        page.write_text("<p>Delivered</p>")
        served = await http.get("/demo")

    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
    assert (served.status_code, served.text) == (200, "<p>Delivered</p>")
    assert served.headers["content-type"].startswith("text/html")
    assert served.headers["content-security-policy"].startswith("default-src 'none'")
    assert served.headers["x-content-type-options"] == "nosniff"


# ---- the command -------------------------------------------------------------------------------------------------


async def test_a_command_is_answered_once_with_a_line_for_each_service(pool: Pool) -> None:
    await hand_over(pool, moved_to_now(story()))
    event = asked("dora checkout 20")

    replies = await answers_to(pool, event, event)

    [reply] = replies
    assert (reply.team, reply.channel, reply.user) == ("T1", "C1", "U1")
    heading, line = reply.text.splitlines()
    assert heading == "Delivery in the last 20 days"
    assert line == (
        "*checkout*: lead time 6 h (n 5) · 7 deployments (0.35 a day) · change fail rate 29% · "
        "recovery 3 h 30 min (n 2) · rework 29%"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dora chekout", "No service is called chekout. There are: checkout"),
        ("dora checkout soon", "days: must be a number from 1 to 3660"),
        ("dora 7", "*checkout*: no production deployment"),
    ],
)
async def test_a_command_that_can_not_be_answered_says_why(pool: Pool, text: str, said: str) -> None:
    [reply] = await answers_to(pool, asked(text))

    assert said in reply.text


@pytest.mark.parametrize(
    ("origin", "age_s", "held_because"),
    [
        ("live", 0, ""),
        ("spool", 0, ""),
        ("live", 61, "stale"),
        ("demo", 0, "origin demo"),
        ("replay", 0, "origin replay"),
        ("backfill", 0, "origin backfill"),
    ],
)
async def test_only_a_fresh_command_of_an_acting_origin_is_answered(
    pool: Pool, origin: str, age_s: float, held_because: str
) -> None:
    """Law 9: what is held back is a row with its reason."""
    replies = await answers_to(pool, asked("dora", origin=origin, age_s=age_s))

    assert len(replies) == (0 if held_because else 1)
    assert await pool.fetchval("SELECT held_because FROM command") == held_because


async def test_a_demo_answers_its_own_commands_and_others_are_left_to_their_owners(pool: Pool) -> None:
    assert len(await answers_to(pool, asked("dora", origin="demo"), acts_on_demo=True)) == 1
    assert len(await answers_to(pool, asked("approvals", origin="demo"), acts_on_demo=True)) == 1


def asked(text: str, *, origin: str = "live", age_s: float = 0) -> ChatCommand:
    received_at = datetime.now(UTC) - timedelta(seconds=age_s)
    signed = SignedRequest(body=b"", timestamp="", signature="")
    event = ChatCommand(
        occurred_at=received_at, team="T1", user="U1", channel="C1", command="/em", text=text, signed=signed
    )
    return event.stamped(id=str(uuid4()), source="slack", origin=origin, received_at=received_at)


async def answers_to(pool: Pool, *events: ChatCommand, acts_on_demo: bool = False) -> list[Reply]:
    """All replies that stand in the outbox after these commands."""
    commands = Commands(Pinned(CATALOG), Subjects("em"), acts_on_demo=acts_on_demo)
    async with pool.acquire() as tx, tx.transaction():
        await commands.on_command(events, tx)
        messages: list[Outgoing] = await outbox.oldest(tx, limit=10)
    assert {message.subject for message in messages} <= {"em.notify"}
    return [msgspec.json.decode(message.body, type=Reply) for message in messages]


# ---- the process -------------------------------------------------------------------------------------------------


async def test_the_running_service_turns_events_on_the_bus_into_numbers_and_a_reply(line: Line) -> None:
    await line.start(METRICS_SVC)
    async with line.broker() as broker:
        for event in [*moved_to_now(story()), asked("dora")]:
            subject = line.subjects.event(event.kind)
            await broker.jetstream().publish(subject, encode_event(event), headers=event_headers(event))

    async def replied() -> bool:
        return await line.messages("NOTIFY") == 1

    await line.settled()

    answer = (await line.http.get(line.url(METRICS_SVC, "/v1/dora?service=checkout"))).json()
    counts = {row["metric"]: row["n"] for row in answer["rows"] if row["metric"] in METRICS}
    assert counts == {
        "change_lead_time": 5,
        "deployment_frequency": 7,
        "change_fail_rate": 7,
        "failed_deployment_recovery_time": 2,  # both by what was deployed: without a catalog P1 is nobody's
        "deployment_rework_rate": 7,
    }
    await until(replied, timeout_s=10, what="no reply on the bus")
