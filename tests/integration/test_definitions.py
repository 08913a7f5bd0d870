"""What other tools would say of the small story, read from the real tables: numbers worked out by hand."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from metrics_svc.definitions import FOREIGN
from metrics_svc.facts import Fact
from metrics_svc.settings import Settings
from metrics_svc.store.history import history
from metrics_svc.store.known import snapshot
from metrics_svc.window import Window
from shared.catalog import Catalog
from shared.contracts.events import ChangeMerged, ChangeOpened, ChangeUpdated, Deployment, IncidentOpened
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.pool import open_pool
from tests.shipping import (
    CATALOG,
    HOUR,
    WEB,
    at,
    change,
    commented,
    deployed,
    hand_over,
    incident,
    merged,
    pushed,
    reviewed,
    story,
)

pytestmark = pytest.mark.asyncio

Numbers = dict[str, tuple[Any, str, int]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def told() -> list[Fact]:
    """The story; only of changes 2 and 3 it is known when they were opened. Runs started 0.1 hours before their end."""
    return [
        *(event for event in story() if not isinstance(event, ChangeOpened)),
        change(ChangeUpdated, 2, "feature/two", 6, opened_at=at(5)),
        change(ChangeUpdated, 3, "feature/three", 13.6, opened_at=at(13.5)),
        *deployed(110, "m6", 53, environment="staging", outcome="failed"),
    ]


async def numbers(pool: Pool, definition: str, start: float, end: float, *, catalog: Catalog = CATALOG) -> Numbers:
    window = Window(at(start), at(end))
    async with pool.acquire() as tx, snapshot(tx):
        found = await history(tx, ["checkout", "unheard-of"], window, catalog)
    assert list(found) == ["checkout", "unheard-of"]
    metrics = FOREIGN[definition](found["checkout"], window)
    return {name: (metric.value, metric.unit, metric.n) for name, metric in metrics.items()}


async def test_the_story_as_devlake_tells_it(pool: Pool) -> None:
    await hand_over(pool, told())

    assert await numbers(pool, "devlake2023", 0, 96) == {
        # the seed's change 0.5 hours, 2: 3 + 5 + 2, 3: 0.5 + 0.5 + 2, 4, 5 and 6: 2; of six the third
        "change_lead_time": (2 * HOUR, "seconds", 6),
        "deployment_frequency": (3, "deployment_days_per_week", 8),
        # 103, and 109 for the incident more than a day after it; the redeploy 107 counts, the failed 108 does not
        "change_fail_rate": (2 / 8, "ratio", 8),
        "failed_deployment_recovery_time": (6 * HOUR, "seconds", 1),  # 103 ended at 16, resolved for good at 22
    }


async def test_devlake_finds_the_changes_of_every_repository_that_a_deployment_brought(pool: Pool) -> None:
    events = [
        pushed(0.5, "a"),
        pushed(0.6, "w", repository=WEB),
        *deployed(1, "a", 1, said={"revisions": {WEB: "w"}}),
        *merged(1, "x", 2, authored=[1]),
        *merged(2, "y", 3, authored=[2], repository=WEB),
        *deployed(2, "m1", 4, said={"revisions": {WEB: "m2"}}),
    ]

    await hand_over(pool, events)

    found = await numbers(pool, "devlake2023", 3.5, 24)
    assert found["change_lead_time"] == (2 * HOUR, "seconds", 2)  # 3 and 2 hours; the lower


async def test_the_story_as_middleware_tells_it(pool: Pool) -> None:
    await hand_over(pool, told())

    found = await numbers(pool, "middleware", 0, 96)

    # 1: 0.4 hours to the run's start, 2: 3 to open + 1.9, 3: 0.5 + 1.9, 4, 5 and 6: 1.9, 7: 0
    assert found.pop("change_lead_time") == (pytest.approx(13.4 / 7 * HOUR), "seconds", 7)
    assert found == {
        "deployment_frequency": (2, "per_day", 8),
        "change_fail_rate": (2 / 9, "ratio", 9),  # 103 and 109; the failed 108 is a run as well
        "failed_deployment_recovery_time": (5 * HOUR, "seconds", 1),  # opened at 17, resolved for good at 22
    }


async def test_devlake_in_a_window_of_which_something_began_before_and_ended_after(pool: Pool) -> None:
    await hand_over(pool, told())

    assert await numbers(pool, "devlake2023", 18, 60) == {
        # 4, 5 and 6; 3 is in the diff of 105 after the rollback 104, but 103 carried it first
        "change_lead_time": (2 * HOUR, "seconds", 3),
        "deployment_frequency": (3, "deployment_days_per_week", 5),
        "change_fail_rate": (1 / 5, "ratio", 5),  # 109 by the incident at 80
        "failed_deployment_recovery_time": (None, "seconds", 0),  # 103 ended before the window
    }
    assert await numbers(pool, "devlake2023", 9, 15) == {
        "change_lead_time": (10 * HOUR, "seconds", 1),
        "deployment_frequency": (1, "deployment_days_per_week", 1),
        "change_fail_rate": (0.0, "ratio", 1),  # the incident at 17 is 103's, after the window
        "failed_deployment_recovery_time": (None, "seconds", 0),
    }


async def test_middleware_in_a_window_of_which_something_began_before_and_ended_after(pool: Pool) -> None:
    await hand_over(pool, told())

    found = await numbers(pool, "middleware", 18, 60)

    assert found.pop("change_lead_time") == (pytest.approx(1.9 * HOUR), "seconds", 3)
    assert found == {
        "deployment_frequency": (2, "per_day", 5),  # 5 in 1.75 days
        "change_fail_rate": (0.0, "ratio", 6),
        "failed_deployment_recovery_time": (5 * HOUR, "seconds", 1),
    }
    # 4.9 and 2.4 hours: the run that deployed change 3 came after the window
    lead_time = (await numbers(pool, "middleware", 9, 15))["change_lead_time"]
    assert lead_time == (pytest.approx(3.65 * HOUR), "seconds", 2)


async def test_a_run_that_failed_counts_as_the_authoritative_platform_tells_it(pool: Pool) -> None:
    await hand_over(pool, told())
    services = [msgspec.structs.replace(service, authoritative="argocd") for service in CATALOG.services]
    catalog = msgspec.structs.replace(CATALOG, services=tuple(services))

    found = await numbers(pool, "middleware", 0, 96, catalog=catalog)

    assert found["change_fail_rate"] == (2 / 8, "ratio", 8)


async def test_a_run_is_of_the_window_that_it_began_in(pool: Pool) -> None:
    await hand_over(pool, told())

    # 103 began at 15.9 and ended at 16
    assert (await numbers(pool, "middleware", 9, 15.95))["change_fail_rate"] == (0.0, "ratio", 2)
    assert (await numbers(pool, "devlake2023", 9, 15.95))["change_fail_rate"] == (0.0, "ratio", 1)


async def test_after_a_rollback_before_the_window_changes_stay_with_what_carried_them_first(pool: Pool) -> None:
    await hand_over(
        pool,
        [
            *merged(1, "feature/one", 1, authored=[0]),
            *deployed(1, "m1", 2),
            *merged(2, "feature/two", 3, authored=[2]),
            *deployed(2, "m2", 4),
            *deployed(3, "m1", 5),
            *merged(3, "feature/three", 11, authored=[10]),
            *deployed(4, "m3", 14),
        ],
    )

    found = await numbers(pool, "devlake2023", 10, 20)

    assert found["change_lead_time"] == (4 * HOUR, "seconds", 1)  # 3, and not 2 with its 12 hours


async def test_a_change_that_is_read_as_what_was_reverted_is_in_no_later_diff(pool: Pool) -> None:
    await hand_over(
        pool,
        [
            *merged(7, "feature/7", 1, authored=[0]),
            *deployed(1, "m7", 2),
            *merged(8, "revert-7-feature/7", 11, authored=[10]),
            *deployed(2, "m8", 14),
        ],
    )

    found = await numbers(pool, "devlake2023", 10, 20)

    assert found["change_lead_time"] == (4 * HOUR, "seconds", 1)


async def test_the_first_deployment_of_all_carries_whatever_was_merged_before(pool: Pool) -> None:
    first = merged(1, "feature/one", -900, authored=[-901])
    await hand_over(pool, [*first, *merged(2, "feature/two", 0.5, authored=[0]), *deployed(1, "m2", 1)])

    found = await numbers(pool, "devlake2023", 0, 24)

    assert found["change_lead_time"] == (1 * HOUR, "seconds", 2)  # of 1 and 902 the lower


async def test_an_incident_after_the_next_deployment_is_not_blamed_on_the_window(pool: Pool) -> None:
    await hand_over(pool, told())

    # 102 ended at 12, 103 at 16, the incident came at 17
    assert (await numbers(pool, "devlake2023", 11.5, 13))["change_fail_rate"] == (0.0, "ratio", 1)


async def test_a_branch_is_deployed_when_it_was_merged_into_one_that_is_also_after_the_window(pool: Pool) -> None:
    await hand_over(
        pool,
        [
            change(ChangeMerged, 1, "feature/one", 1, merged_at=at(1), base_ref="develop"),
            *on_branch("main", deployed(1, "a", 5)),
            change(ChangeMerged, 2, "develop", 10, merged_at=at(10), base_ref="main"),
            *on_branch("refs/heads/main", deployed(2, "b", 12)),
            *on_branch("main", deployed(3, "c", 13)),
        ],
    )

    found = await numbers(pool, "middleware", 0, 4)

    assert found["change_lead_time"] == (pytest.approx(10.9 * HOUR), "seconds", 1)


@pytest.mark.parametrize(
    ("said", "hours"),
    [
        ([], 2.2),
        ([commented(1, 3, by="ana"), reviewed(1, "x", 4, by="ana")], 2.2),
        ([commented(1, 3)], 4.9),
        ([commented(1, 3), reviewed(1, "x", 5, by="lint[bot]")], 4.9),
        ([commented(1, 3), reviewed(1, "x", 6), reviewed(1, "x", 7, by="cleo")], 11.9),
        ([reviewed(1, "x", 6)], 11.9),
    ],
    ids=["nobody", "its author", "a comment", "and a bot's approval", "and approvals", "an approval alone"],
)
async def test_middleware_adds_the_response_the_rework_and_the_merge_where_they_were(
    pool: Pool, said: Sequence[Fact], hours: float
) -> None:
    """0.3 hours to its opening, 9.7 open, 1.9 to the run's start: what nobody said makes parts of it missing."""
    await hand_over(pool, [*merged(1, "x", 10, authored=[0]), *said, *deployed(1, "m1", 12)])

    found = await numbers(pool, "middleware", 0, 24)

    assert found["change_lead_time"] == (pytest.approx(hours * HOUR), "seconds", 1)


def on_branch(ref: str, events: Sequence[Fact]) -> list[Fact]:
    return [msgspec.structs.replace(event, ref=ref) for event in events if isinstance(event, Deployment)]


async def test_a_revert_and_what_it_reverts_are_found_on_either_side_of_the_window(pool: Pool) -> None:
    await hand_over(
        pool,
        [
            *deployed(1, "a", 0.5),
            change(ChangeMerged, 7, "feature/7", 1, merged_at=at(1)),
            change(ChangeMerged, 8, "revert-7-feature/7", 10, merged_at=at(10)),
            incident(IncidentOpened, "Q1", 9, service_id="someone else's"),
        ],
    )

    assert (await numbers(pool, "middleware", 0, 4))["change_fail_rate"] == (1.0, "ratio", 1)
    recovery = (await numbers(pool, "middleware", 8, 12))["failed_deployment_recovery_time"]
    assert recovery == (9 * HOUR, "seconds", 1)
