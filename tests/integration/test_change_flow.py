"""How changes move, on a real PostgreSQL: numbers of a small story, what made them, and laws 4 and 8."""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import mean, median
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.flow.stages import STAGES
from metrics_svc.flow_table import flow_metrics
from metrics_svc.handlers import Facts
from metrics_svc.question import Question
from metrics_svc.settings import Settings
from metrics_svc.store.paging import ALL
from metrics_svc.window import Window
from shared.contracts.events import ChangeMerged, ChangeOpened
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.integration.test_metrics_svc_order import assert_order_free
from tests.reviewing import SIGNED, landed, proposed, reviewing
from tests.shipping import CATALOG, HOUR, at, change, commented, deployed, hand_over, one_change, pushed, reviewed

pytestmark = pytest.mark.asyncio

FLOW = flow_metrics(people=False)
FOUR_DAYS = Question(services=("checkout",), window=Window(at(0), at(96)))

Items = Sequence[Mapping[str, Any]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


@asynccontextmanager
async def client(pool: Pool, *, people_metrics: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    app = api.build(Settings(people_metrics=people_metrics), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as opened:
        yield opened


async def numbers(pool: Pool, metric: str, **asked: Any) -> dict[str, tuple[float | None, int]]:
    """At hour 96."""
    question = msgspec.structs.replace(FOUR_DAYS, **asked)
    async with pool.acquire() as tx:
        rows = await FLOW[metric].measure(tx, question, CATALOG, at(96))
    return {row.part: (row.value, row.n) for row in rows}


async def items(pool: Pool, metric: str, question: Question = FOUR_DAYS, hours: float = 96) -> Items:
    async with pool.acquire() as tx:
        return await FLOW[metric].items(tx, question, CATALOG, at(hours), ALL)


# ---- the numbers -------------------------------------------------------------------------------------------------

EXPECTED: dict[str, dict[str, tuple[float | None, int]]] = {
    "wip": {"": (1, 1), "max": (2, 2)},  # 4; 4 and 6
    "change_age": {"": (46 * HOUR, 1)},
    "change_idle_time": {"": (2 * HOUR, 5)},  # 1: 2, 3: 1, 4: 44, 6: 8, 7: 2
    "pickup_time": {"": (2 * HOUR, 4)},  # 1: 2, 2: 0.5, 3: 4 since it was no draft, 6: 2
    "review_time": {"": (5 * HOUR, 3)},  # 1: 5, 2: 0, 3: 11
    "throughput": {"": (4, 4), "XS": (2, 2), "S": (None, 0), "M": (1, 1), "L": (None, 0), "XL": (None, 0)},
    "cycle_time": {
        "": (12 * HOUR, 3),  # 12, 9 and 26
        "coding": (2 * HOUR, 3),
        "pickup": (2 * HOUR, 3),
        "review": (5 * HOUR, 3),
        "merge_wait": (1 * HOUR, 3),
        "deploy_queue": (1.9 * HOUR, 3),
        "deploy_run": (0.1 * HOUR, 3),
    },
    "rework_cycles": {"": (0.75, 4)},  # 1: 1, 3: 2, 2 and 7: 0
    "change_size": {"": (10, 3)},
    "review_load": {"": (9, 9), "busiest_share": (6 / 9, 9)},  # ben
}


async def test_a_small_story_has_the_numbers_worked_out_by_hand(pool: Pool) -> None:
    await hand_over(pool, reviewing())

    assert {metric: await numbers(pool, metric) for metric in FLOW} == EXPECTED


FILTERED: Sequence[tuple[str, dict[str, Any], tuple[float | None, int]]] = (
    ("throughput", {"author_class": "human"}, (2, 2)),
    ("throughput", {"author_class": "bot"}, (1, 1)),
    ("throughput", {"author_class": "ai_assisted"}, (1, 1)),
    ("throughput", {"author_class": "ai_agent"}, (None, 0)),
    ("pickup_time", {"author_class": "ai_assisted"}, (4 * HOUR, 1)),
    ("cycle_time", {"author_class": "bot"}, (9 * HOUR, 1)),
    ("review_load", {"author_class": "human"}, (3, 3)),
    ("wip", {"author_class": "ai_assisted"}, (0, 0)),
    ("pickup_time", {"label": "dependencies"}, (0.5 * HOUR, 1)),
    ("throughput", {"repository": "acme/checkout-web"}, (1, 1)),
    ("change_idle_time", {"repository": "acme/checkout-web"}, (2 * HOUR, 1)),
    ("cycle_time", {"environment": "production"}, (12 * HOUR, 3)),
    ("cycle_time", {"environment": "live"}, (None, 0)),
)


async def test_a_filter_leaves_the_changes_that_it_names(pool: Pool) -> None:
    await hand_over(pool, reviewing())

    found = [(metric, asked, (await numbers(pool, metric, **asked))[""]) for metric, asked, _ in FILTERED]
    assert found == [*FILTERED]


async def test_pieces_hold_together_what_the_window_holds(pool: Pool) -> None:
    await hand_over(pool, reviewing())
    by_day = msgspec.structs.replace(FOUR_DAYS, grain="day", zone="Asia/Tokyo")

    for metric in [name for name in FLOW if name not in ("wip", "change_age")]:  # they are of moments
        async with pool.acquire() as tx:
            rows = await FLOW[metric].measure(tx, by_day, CATALOG, at(96))
        for part, (_, n) in EXPECTED[metric].items():
            assert sum(row.n for row in rows if row.part == part) == n, (metric, part)


async def test_a_review_long_after_the_end_is_none(pool: Pool) -> None:
    said = [reviewed(1, "x1", 10 + 24 * days, by=by) for days, by in ((29, "ben"), (31, "cleo"))]
    await hand_over(pool, [*proposed(1, 1, authored=0), *landed(1, 10), *said])
    year = Window(at(0), at(365 * 24))

    assert await numbers(pool, "review_load", window=year) == {"": (1, 1), "busiest_share": (1.0, 1)}
    assert len(await items(pool, "review_load", msgspec.structs.replace(FOUR_DAYS, window=year))) == 1


# ---- what made them ----------------------------------------------------------------------------------------------


def _samples(found: Items) -> list[float]:
    return [item["sample"] for item in found if item["sample"] is not None]


AGAIN: dict[str, Callable[[Items], float]] = {
    "wip": len,
    "change_age": lambda found: median(_samples(found)),
    "change_idle_time": lambda found: median(_samples(found)),
    "pickup_time": lambda found: median(_samples(found)),
    "review_time": lambda found: median(_samples(found)),
    "throughput": len,
    "cycle_time": lambda found: median(_samples(found)),
    "rework_cycles": lambda found: mean(_samples(found)),
    "change_size": lambda found: median(_samples(found)),
    "review_load": len,
}


async def test_every_number_can_be_computed_again_from_its_items(pool: Pool) -> None:
    await hand_over(pool, reviewing())

    found = {metric: await items(pool, metric) for metric in FLOW}

    assert all(item["delivery"] and item["service"] == "checkout" for listed in found.values() for item in listed)
    assert {metric: AGAIN[metric](listed) for metric, listed in found.items()} == {
        metric: parts[""][0] for metric, parts in EXPECTED.items()
    }


def _again(metric: str, found: Items) -> float | None:
    """Null of nothing, but for those in progress."""
    return AGAIN[metric](found) if metric == "wip" or _samples_or_all(metric, found) else None


def _samples_or_all(metric: str, found: Items) -> Items | list[float]:
    return found if AGAIN[metric] is len else _samples(found)


@pytest.mark.parametrize("hours", [96, 60])
async def test_number_of_each_piece_can_be_computed_again_from_the_items_of_the_piece(pool: Pool, hours: float) -> None:
    """What is idle counts where it ended, or at the last moment that is known."""
    await hand_over(pool, reviewing())
    by_day = msgspec.structs.replace(FOUR_DAYS, grain="day")

    for metric in FLOW:
        async with pool.acquire() as tx:
            rows = [row for row in await FLOW[metric].measure(tx, by_day, CATALOG, at(hours)) if not row.part]
        for row in rows:
            day = Window(row.start, row.end)
            found = await items(pool, metric, msgspec.structs.replace(FOUR_DAYS, window=day), hours)
            if metric == "change_idle_time" and not day.start < at(hours) <= day.end:
                found = [each for each in found if each["ended_at"] and day.holds(each["ended_at"])]
            if metric in ("wip", "change_age") and day.start >= at(hours):
                assert (row.value, row.n) == (None, 0)
            else:
                assert row.value == pytest.approx(_again(metric, found)), (metric, row.start)
                assert row.n == len(_samples_or_all(metric, found))


async def test_a_review_of_ones_own_change_is_none(pool: Pool) -> None:
    await hand_over(pool, [*reviewing(), reviewed(4, "x4", 51, by="Ana"), reviewed(4, "x4", 53, by="ben")])

    (value, n), whole = (await numbers(pool, "review_load"))[""], EXPECTED["review_load"][""][1] + 1
    assert (value, n, len(await items(pool, "review_load"))) == (whole, whole, whole)


async def test_what_was_touched_after_a_past_moment_says_nothing_of_it(pool: Pool) -> None:
    """Change 4 was ready at 50 and touched at 52."""
    await hand_over(pool, reviewing())
    until = {hours: Window(at(0), at(hours)) for hours in (51, 53)}

    found = {
        hours: (
            (await numbers(pool, "change_idle_time", window=window))[""][1],
            len(await items(pool, "change_idle_time", msgspec.structs.replace(FOUR_DAYS, window=window))),
        )
        for hours, window in until.items()
    }

    assert found == {51: (2, 2), 53: (3, 3)}


async def test_every_stage_can_be_computed_again_from_the_items_of_cycle_time(pool: Pool) -> None:
    await hand_over(pool, reviewing())

    found = await items(pool, "cycle_time")

    for item in found:
        assert sum(item[f"{stage}_s"] for stage in STAGES) == pytest.approx(item["sample"])
    for stage in STAGES:
        assert median(item[f"{stage}_s"] for item in found) == EXPECTED["cycle_time"][stage][0]


async def test_items_of_lead_time_have_the_stages_of_each_change(pool: Pool) -> None:
    """One that nobody reviewed and whose deployment only ended has the others, and its whole."""
    unseen = [*proposed(8, 47, authored=45), *landed(8, 50), *deployed(104, "m8", 52)[1:]]
    await hand_over(pool, [*reviewing(), *unseen])
    window = {"from": at(0).isoformat(), "to": at(96).isoformat()}

    async with client(pool) as http:
        listed = (await http.get("/v1/dora/change_lead_time/items", params=window)).json()["items"]
        split = (await http.get("/v1/flow/cycle_time", params=window)).json()["rows"]

    told = {item["number"]: [item[f"{stage}_s"] for stage in STAGES] for item in listed}
    assert told == {
        1: [HOUR * hours for hours in (1, 2, 5, 2, 1.9, 0.1)],
        2: [HOUR * hours for hours in (2, 0.5, 0, 0.5, 5.9, 0.1)],
        3: [HOUR * hours for hours in (8, 4, 11, 1, 1.9, 0.1)],
        8: [2 * HOUR, None, None, None, None, None],
    }
    signed = ["trailer: Co-authored-by: Claude <noreply@anthropic.com>"]
    assert {item["number"]: (item["author_class"], item["author_evidence"]) for item in listed} == {
        1: ("human", []),
        2: ("bot", ["author: renovate[bot]"]),
        3: ("ai_assisted", signed),
        8: ("human", []),
    }
    assert {row["part"]: (row["n"], row["coverage"]) for row in split} == {
        "": (4, None),
        "coding": (4, 1.0),
        **dict.fromkeys(STAGES[1:], (3, 0.75)),
    }


# ---- people ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shown", "parts"), [(False, set()), (True, {"ana", "ben", "cleo"})])
async def test_reviewers_are_named_only_where_people_are_wanted(pool: Pool, shown: bool, parts: set[str]) -> None:
    await hand_over(pool, reviewing())
    window = {"from": at(0).isoformat(), "to": at(96).isoformat()}

    async with client(pool, people_metrics=shown) as http:
        load = await http.get("/v1/flow/review_load", params=window)
        listed = await http.get("/v1/flow/review_load/items", params=window)
        p90 = await http.get("/v1/flow/pickup_time", params={**window, "agg": "p90"})

    assert {row["part"] for row in load.json()["rows"]} == {"", "busiest_share"} | parts
    assert {item["reviewer"] for item in listed.json()["items"] if "reviewer" in item} == parts
    assert len(listed.json()["items"]) == 9
    [row] = p90.json()["rows"]
    assert row["value"] == row["p90"] == pytest.approx(3.4 * HOUR)


@pytest.mark.parametrize(
    ("metric", "parameter", "status"),
    [
        ("build_duration", "label", 400),
        ("ticket_throughput", "author_class", 400),
        ("coverage", "environment", 400),
        ("rollback_rate", "author_class", 400),
        ("rollback_rate", "environment", 200),
        ("pickup_time", "label", 200),
        ("pickup_time", "environment", 400),
        ("cycle_time", "environment", 200),
    ],
)
async def test_parameter_without_effect_is_refused_by_name(
    pool: Pool, metric: str, parameter: str, status: int
) -> None:
    async with client(pool) as http:
        answers = [await http.get(f"/v1/flow/{metric}{what}", params={parameter: "human"}) for what in ("", "/items")]

    assert [answer.status_code for answer in answers] == [status, status]
    assert all(answer.json()["parameter"] == parameter for answer in answers if status == 400)


# ---- laws 4 and 8 ------------------------------------------------------------------------------------------------


async def test_any_order_and_repetition_gives_the_same_tables(pool: Pool, scale: int) -> None:
    for seed in range(8 * scale):
        await assert_order_free(pool, reviewing(), random.Random(seed))


LATE: dict[str, tuple[list[Fact], set[int]]] = {
    "a review": ([reviewed(3, "x3", 28)], {3}),
    "a comment": ([commented(4, 60)], {4}),
    "a push": ([pushed(33.5, "late", branch="x3")], {3}),
    "a push to a branch that is used again": ([pushed(6, "late", branch="x1")], {1}),
    "a push between its merges": ([pushed(62, "late", branch="x1")], {12}),
    "the opening of a change": ([change(ChangeOpened, 1, "x1", 0.5)], {1, 11}),
    "a merge": (landed(6, 79), {6}),
    "a merge of a branch that is used again": (
        [change(ChangeMerged, 8, "x3", 31.5, merged_at=at(31.5), author="cleo")],
        {3, 8},
    ),
    "a deployment": (deployed(104, "m3", 43), set()),
}


@pytest.mark.parametrize(("late", "written"), LATE.values(), ids=LATE)
async def test_a_late_event_writes_only_rows_of_its_own_change(
    pool: Pool, late: Sequence[Fact], written: set[int]
) -> None:
    """And, of one that was merged, of the next of the same branch: its commits begin after that merge."""
    again = [*one_change(11, 60, branch="x1"), *one_change(12, 65, branch="x1"), *one_change(13, 70, branch="x1")]
    await hand_over(pool, [*reviewing(), *again])

    async with pool.acquire() as tx, tx.transaction():
        await Facts(Pinned(CATALOG)).on_facts(late, tx)
        rows = await tx.fetch("SELECT change FROM change_flow WHERE xmin = pg_current_xact_id()::xid")

    assert {row["change"] for row in rows} == {f"github:acme/checkout:{number}" for number in written}


async def test_commits_of_a_branch_that_is_used_again_are_of_the_change_that_they_were_merged_with(pool: Pool) -> None:
    """The first one's author had help; the second one's had none."""
    first = [*proposed(1, 1, authored=0, message=SIGNED), *landed(1, 2)]
    second = [*proposed(2, 5, authored=4), *landed(2, 6)]
    await hand_over(pool, [_on_branch(event, "x") for event in (*second, *first)])

    rows = await pool.fetch("SELECT author_class FROM change_flow ORDER BY change")
    assert [row["author_class"] for row in rows] == ["ai_assisted", "human"]


def _on_branch(event: Any, branch: str) -> Fact:
    if hasattr(event, "head_ref"):
        return msgspec.structs.replace(event, head_ref=branch)  # type: ignore[no-any-return]
    return event if event.branch == "main" else msgspec.structs.replace(event, branch=branch)  # type: ignore[no-any-return]
