"""Builds, tickets, quality and production on a real PostgreSQL: numbers of a small story, and what made them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from statistics import median
from typing import Any

import msgspec
import pytest

from metrics_svc.flow.row import FlowRow
from metrics_svc.question import Question
from metrics_svc.settings import Settings
from metrics_svc.store import work as work_store
from metrics_svc.store.paging import ALL
from metrics_svc.window import Window
from metrics_svc.work_table import WORK, read_code_quality
from shared.catalog import Catalog, Service
from shared.contracts.events import TicketClosed, TicketUpdated
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.pool import open_pool
from tests.shipping import CATALOG, HOUR, REGIONS, at, deployed, hand_over, story
from tests.working import WORK_CATALOG, built, covered, done, gated, ticket, work

pytestmark = pytest.mark.asyncio

FOUR_DAYS = Question(services=("checkout",), window=Window(at(0), at(96)))
MAIN = "acme/checkout@main"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def measure(
    pool: Pool, metric: str, question: Question = FOUR_DAYS, catalog: Catalog = WORK_CATALOG
) -> Sequence[FlowRow]:
    async with pool.acquire() as tx:
        return await WORK[metric].measure(tx, question, catalog, at(96))


async def items(pool: Pool, metric: str, question: Question = FOUR_DAYS) -> Sequence[Mapping[str, Any]]:
    async with pool.acquire() as tx:
        return await WORK[metric].items(tx, question, WORK_CATALOG, at(96), ALL)


async def numbers(pool: Pool, metric: str, **asked: Any) -> dict[str, tuple[float | None, int]]:
    return {row.part: (row.value, row.n) for row in await measure(pool, metric, **asked)}


# ---- the numbers -------------------------------------------------------------------------------------------------

EXPECTED: dict[str, dict[str, tuple[float | None, int]]] = {
    "build_success_rate": {"": (0.5, 4), "default_branch": (2 / 3, 3)},
    "build_duration": {"": (1500.0, 4), "default_branch": (1200.0, 3)},
    "ticket_lead_time": {"": (29 * HOUR, 3)},  # 10, 29 and 38 hours; one deleted, one reopened
    "ticket_cycle_time": {"": (8 * HOUR, 2)},  # 6 and 10 hours; one went to its end at once
    "ticket_throughput": {"": (3, 3)},
    "coverage": {MAIN: (82.5, 3), "acme/checkout@feature/x": (60.0, 1)},
    "coverage_min": {MAIN: (80.0, 3), "acme/checkout@feature/x": (60.0, 1)},
    "coverage_max": {MAIN: (84.0, 3), "acme/checkout@feature/x": (60.0, 1)},
    "coverage_delta": {MAIN: (2.5, 3), "acme/checkout@feature/x": (None, 0)},
    "quality_gate": {"": (12 / 84, 3), "acme_checkout@main": (12 / 84, 3)},  # for 12 hours there was none
    "quality_gate_latest": {"passed": (1, 1), "warning": (0, 1), "failed": (0, 1), "none": (0, 1)},
    "deployment_success_rate": {"": (8 / 9, 9)},
    "rollback_rate": {"": (1 / 7, 7)},
    "incident_frequency": {"": (3.5, 2)},
}


@pytest.mark.parametrize("metric", WORK)
async def test_a_small_story_has_the_numbers_worked_out_by_hand(pool: Pool, metric: str) -> None:
    await hand_over(pool, [*work(), *story()])

    assert await numbers(pool, metric) == EXPECTED[metric]


@pytest.mark.parametrize("metric", WORK)
async def test_pieces_hold_together_what_the_window_holds(pool: Pool, metric: str) -> None:
    await hand_over(pool, [*work(), *story()])
    by_day = msgspec.structs.replace(FOUR_DAYS, grain="day", zone="Asia/Tokyo")

    rows = await measure(pool, metric, by_day)

    assert [row.start for row in rows if row.part == rows[0].part] == [at(0), at(15), at(39), at(63), at(87)]
    if metric not in ("quality_gate", "quality_gate_latest", "coverage_delta"):  # their n is of states, or of two
        whole = await measure(pool, metric)
        assert sum(row.n for row in rows) == sum(row.n for row in whole)


@pytest.mark.parametrize("metric", WORK)
async def test_service_without_anything_has_no_numbers_rather_than_zeros(pool: Pool, metric: str) -> None:
    await hand_over(pool, [*work(), *story()])

    rows = await measure(pool, metric, msgspec.structs.replace(FOUR_DAYS, services=("ledger",)))

    assert rows
    assert {(row.service, row.value, row.n) for row in rows} == {("ledger", None, 0)}


# ---- what made them ----------------------------------------------------------------------------------------------


def _ratio(items: Sequence[Mapping[str, Any]], counts: Callable[[Mapping[str, Any]], bool]) -> float:
    return sum(counts(item) for item in items) / len(items)


def _of_main(items: Sequence[Mapping[str, Any]]) -> list[float]:
    return [item["coverage"] for item in items if (item["repository"], item["branch"]) == ("acme/checkout", "main")]


AGAIN: dict[str, Callable[[Sequence[Mapping[str, Any]]], float]] = {
    "build_success_rate": lambda items: _ratio(items, lambda item: item["outcome"] == "succeeded"),
    "build_duration": lambda items: median(item["duration_s"] for item in items),
    "ticket_lead_time": lambda items: median(item["lead_time_s"] for item in items),
    "ticket_cycle_time": lambda items: median(i["cycle_time_s"] for i in items if i["cycle_time_s"] is not None),
    "ticket_throughput": len,
    "coverage": lambda items: _of_main(items)[-1],
    "coverage_min": lambda items: min(_of_main(items)),
    "coverage_max": lambda items: max(_of_main(items)),
    "coverage_delta": lambda items: _of_main(items)[-1] - _of_main(items)[0],
    "deployment_success_rate": lambda items: _ratio(items, lambda item: item["outcome"] == "succeeded"),
    "rollback_rate": lambda items: _ratio(
        [item for item in items if item["kind"] != "redeploy"], lambda item: item["kind"] == "rollback"
    ),
    "incident_frequency": lambda items: len(items) * 7 / 4,
}


@pytest.mark.parametrize("metric", WORK)
async def test_every_number_can_be_computed_again_from_its_items(pool: Pool, metric: str) -> None:
    await hand_over(pool, [*work(), *story()])

    found = await items(pool, metric)

    assert all(item["delivery"] and item["service"] == "checkout" for item in found)
    if metric in AGAIN:
        parts = await numbers(pool, metric)
        assert AGAIN[metric](found) == pytest.approx(parts.get("", parts.get(MAIN))[0])  # type: ignore[index]


async def test_items_of_a_gate_are_its_reports_with_their_conditions(pool: Pool) -> None:
    await hand_over(pool, [gated(-1, "failed"), *work()])

    found = await items(pool, "quality_gate")

    assert [item["gate"] for item in found] == ["failed", "passed", "failed", "none", "passed"]
    assert found[0]["conditions"] == [
        {"metric": "new_coverage", "status": "failed", "value": "71.5", "threshold": "80"}
    ]


async def test_code_quality_has_the_latest_of_each_branch(pool: Pool) -> None:
    await hand_over(pool, work())

    async with pool.acquire() as tx:
        rows = await read_code_quality(tx, FOUR_DAYS, WORK_CATALOG)

    told = {(row.repository or row.project, row.branch): (row.coverage, row.coverage_delta, row.gate) for row in rows}
    assert told == {
        ("acme/checkout", "main"): (82.5, 2.5, None),
        ("acme/checkout", "feature/x"): (60.0, None, None),
        ("acme_checkout", "main"): (None, None, "passed"),
    }


async def test_view_of_quality_has_the_last_report_of_each_day(pool: Pool) -> None:
    await hand_over(pool, [*story(), *work()])

    rows = await pool.fetch("SELECT * FROM v_quality ORDER BY project, branch, day")

    told = [(r["day"], r["service"], r["project"], r["branch"], r["coverage"], r["gate"], r["reports"]) for r in rows]
    first, second, third = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
    assert told == [
        (second, "checkout", "acme/checkout", "feature/x", 60.0, None, 1),
        (first, "checkout", "acme/checkout", "main", 84.0, None, 2),
        (second, "checkout", "acme/checkout", "main", 82.5, None, 2),
        (first, None, "acme_checkout", "main", None, "passed", 1),
        (second, None, "acme_checkout", "main", None, "none", 2),
        (third, None, "acme_checkout", "main", None, "passed", 1),
    ]


# ---- whose they are ----------------------------------------------------------------------------------------------


async def test_another_catalog_gives_the_same_facts_another_service(pool: Pool) -> None:
    await hand_over(pool, work())
    other = Catalog(
        services=(Service(name="till", repositories=("acme/checkout",), ticket_projects={"jira": ("CHK",)}),)
    )
    question = msgspec.structs.replace(FOUR_DAYS, services=("till", "checkout"))

    async with pool.acquire() as tx:
        assert await work_store.services(tx, other) == {"till"}
        assert await work_store.services(tx, WORK_CATALOG) == {"checkout"}
    for metric in ("build_success_rate", "ticket_throughput", "coverage"):
        rows = await measure(pool, metric, question, other)
        assert {row.service: row.n > 0 for row in reversed(rows)} == {"till": True, "checkout": False}


async def test_a_repository_narrows_the_numbers_to_it(pool: Pool) -> None:
    others = [*built(9, 5, repository="acme/checkout-web"), *deployed(900, "w1", 6, repository="acme/checkout-web")]
    await hand_over(pool, [*work(), *story(), *others])
    web = msgspec.structs.replace(FOUR_DAYS, repository="acme/checkout-web")

    assert (await numbers(pool, "build_success_rate", question=web))[""] == (1.0, 1)
    assert (await numbers(pool, "deployment_success_rate", question=web))[""] == (1.0, 1)
    assert (await numbers(pool, "ticket_throughput", question=web))[""] == (None, 0)
    assert (await numbers(pool, "incident_frequency", question=web))[""] == (None, 0)


FAILED: dict[str, Any] = {"outcome": "failed"}
ARGO: dict[str, Any] = {"source": "argocd", "repository": "", "service_name": "checkout"}


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([], (1.0, 1)),
        (deployed(2, "b", 2, **FAILED), (0.5, 2)),
        (deployed(2, "b", 2, environment="staging", **FAILED), (1.0, 1)),
        ([*deployed(2, "b", 2, **FAILED), *deployed(3, "b", 2.1, **ARGO, **FAILED)], (0.5, 2)),
        ([*deployed(2, "b", 2, **FAILED), *deployed(3, "b", 3, **FAILED)], (1 / 3, 3)),
        (deployed(2, "b", 2, outcome="cancelled"), (1.0, 1)),
        (deployed(1, "a", 2, **FAILED), (0.0, 1)),
    ],
    ids=["none", "one", "elsewhere", "told twice", "two", "cancelled", "the same after all"],
)
async def test_an_attempt_that_failed_counts_once(pool: Pool, failed: Any, expected: tuple[float, int]) -> None:
    await hand_over(pool, [*deployed(1, "a", 1), *failed])

    assert (await numbers(pool, "deployment_success_rate", catalog=CATALOG))[""] == pytest.approx(expected)


async def test_a_region_that_failed_is_a_failed_attempt(pool: Pool) -> None:
    eu: dict[str, Any] = {"environment": "production-eu"}
    us: dict[str, Any] = {"environment": "production-us"}
    rollouts = [*deployed(1, "a", 1, **eu), *deployed(2, "a", 1, **us), *deployed(3, "b", 2, **eu)]
    await hand_over(pool, [*rollouts, *deployed(4, "b", 2, **us, **FAILED)], REGIONS)
    production = msgspec.structs.replace(FOUR_DAYS, environment="production")

    for question in (FOUR_DAYS, production):
        found = await numbers(pool, "deployment_success_rate", question=question, catalog=REGIONS)
        assert found[""] == (0.5, 2)


async def test_an_attempt_that_names_no_repository_is_one_of_the_services_only_one(pool: Pool) -> None:
    await hand_over(pool, deployed(3, "b", 2.1, **ARGO, **FAILED))
    alone = Catalog(services=(Service(name="checkout", repositories=("acme/checkout",)),))

    for repository, expected in (("acme/checkout", (0.0, 1)), ("acme/checkout-web", (None, 0))):
        question = msgspec.structs.replace(FOUR_DAYS, repository=repository)
        assert (await numbers(pool, "deployment_success_rate", question=question, catalog=alone))[""] == expected


# ---- tickets -----------------------------------------------------------------------------------------------------

DONE: dict[str, Any] = {"status": "Done", "status_before": "In Progress", "closed_at": at(10)}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (done(1, 1, 4, 10), ("closed", at(4), at(10))),
        ([ticket(TicketClosed, 1, 10)], ("closed", None, at(10))),
        (
            [ticket(TicketClosed, 1, 10, **DONE), ticket(TicketClosed, 1, 12, closed_at=at(12))],
            ("closed", None, at(10)),
        ),
        ([ticket(TicketClosed, 1, 10, **DONE), ticket(TicketUpdated, 1, 11, state="closed")], ("closed", None, at(10))),
        ([ticket(TicketClosed, 1, 10, **DONE), ticket(TicketUpdated, 1, 11, state="")], ("closed", None, at(10))),
        ([ticket(TicketClosed, 1, 10, **DONE), ticket(TicketUpdated, 1, 11)], ("open", None, None)),
        (
            [
                ticket(TicketClosed, 1, 10, **DONE),
                ticket(TicketUpdated, 1, 11),
                ticket(TicketClosed, 1, 12, closed_at=at(10)),  # a resolution that was never taken back
            ],
            ("closed", None, at(12)),
        ),
        ([ticket(TicketUpdated, 1, 11, state="closed", closed_at=at(9))], ("closed", None, at(9))),
        ([ticket(TicketUpdated, 1, 11, state="closed")], ("closed", None, None)),
        (
            [ticket(TicketUpdated, 1, hour, status="Selected", status_before="To Do") for hour in (5, 4, 6)],
            ("open", at(4), None),
        ),
    ],
)
async def test_ticket_is_closed_since_it_was_last_open(pool: Pool, events: Any, expected: tuple[Any, ...]) -> None:
    await hand_over(pool, events)

    row = await pool.fetchrow("SELECT state, started_at, closed_at FROM ticket")
    assert tuple(row or ()) == expected


async def test_ticket_that_moves_to_another_project_is_one_ticket_there(pool: Pool) -> None:
    moved = [ticket(TicketUpdated, 1, 12, project="OPS", key="OPS-3", state="closed", closed_at=at(10))]
    await hand_over(pool, [*done(1, 1, 4, 10), *moved])

    assert await numbers(pool, "ticket_throughput") == {"": (None, 0)}
    assert await pool.fetchval("SELECT array_agg(key) FROM ticket") == ["OPS-3"]


async def test_build_that_is_tried_again_in_place_ends_as_its_last_try(pool: Pool) -> None:
    await hand_over(pool, [*built(1, 1, outcome="failed"), *built(1, 3, outcome="succeeded")])

    assert (await numbers(pool, "build_success_rate"))[""] == (1.0, 1)


async def test_nul_in_a_condition_is_left_out(pool: Pool) -> None:
    await hand_over(pool, [gated(1, "pas\x00sed"), covered(1, 80.0, branch="ma\x00in")])

    rows = await pool.fetch("SELECT gate, branch, conditions->0->>'status' AS status FROM quality ORDER BY source")
    assert [tuple(row) for row in rows] == [("", "main", None), ("passed", "main", "passed")]
