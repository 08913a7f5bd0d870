"""Signals: metrics-svc tells of each when it is raised, and approvals-svc proposes what the policy says, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from metrics_svc.settings import Settings
from metrics_svc.signalling import signalled
from shared.catalog import Thresholds
from shared.contracts.events import ChangeClosed, MetricSignalled
from shared.contracts.services import APPROVALS_SVC, METRICS_SVC
from shared.db import Pool
from shared.db.pool import open_pool
from tests.office import Office
from tests.reviewing import proposed
from tests.shipping import at, change, commented, hand_over, of_checkout, shifted

CATALOG = msgspec.structs.replace(
    of_checkout(ticket_projects={"jira": ("CHK",)}),
    thresholds=Thresholds(stale_change_h=4, unreviewed_h=3, wip_limit=1),
)
REPOSITORY = "acme/web"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def happened(pool: Pool, *events: Any) -> None:
    """At hour 10."""
    await hand_over(pool, shifted(list(events), datetime.now(UTC) - at(10)))


async def raised(pool: Pool) -> list[MetricSignalled]:
    async with pool.acquire() as tx, tx.transaction():
        return await signalled(tx, CATALOG)


def named(events: list[MetricSignalled]) -> list[tuple[str, str]]:
    return sorted((event.signal, event.subject) for event in events)


async def test_signal_is_told_when_it_is_raised_and_again_only_after_it_was_not(pool: Pool) -> None:
    await happened(pool, *proposed(1, 5, authored=4, title="CHK-1: one"))
    looks = await asyncio.gather(*(raised(pool) for _ in range(4)))
    await happened(pool, commented(1, 9.9, by="ana"))
    touched = await raised(pool)
    await happened(pool, *proposed(2, 9.5, authored=9, title="two"))
    second = await raised(pool)
    await happened(pool, change(ChangeClosed, 2, "x2", 9.9, state="closed"))
    closed = await raised(pool)
    await happened(pool, *proposed(3, 9.9, authored=9, title="CHK-3: three"))

    assert sorted(len(events) for events in looks) == [0, 0, 0, 2]
    first = [event for events in looks for event in events]
    change_1 = "acme/checkout#1"
    assert named(first) == [("change_without_review", change_1), ("stale_change", change_1)]
    stale = next(event for event in first if event.signal == "stale_change")
    assert stale.occurred_at - stale.since == timedelta(hours=4)
    assert (stale.threshold, stale.service, stale.origin) == (4, "checkout", "live")
    assert touched == []
    assert named(second) == [("change_without_ticket", "acme/checkout#2"), ("wip_limit_exceeded", "checkout")]
    assert closed == []
    assert named(await raised(pool)) == [("wip_limit_exceeded", "checkout")]


async def test_nothing_exceeded_tells_nothing(pool: Pool) -> None:
    await happened(pool, *proposed(1, 9.5, authored=9, title="CHK-1: one"))

    assert await raised(pool) == []


# ---- what becomes of them ------------------------------------------------------------------------------------------


def signal(kind: str, subject: str, **changed: Any) -> MetricSignalled:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "occurred_at": now,
        "signal": kind,
        "service": "web",
        "team": "",
        "subject": subject,
        "since": now - timedelta(hours=48),
        "detail": "Retry declined cards",
        **changed,
    }
    return MetricSignalled(**fields).stamped(
        id=str(uuid4()), source=METRICS_SVC.name, origin=changed.get("origin", "live"), received_at=now
    )


async def listed(office: Office) -> list[dict[str, Any]]:
    url = office.line.url(APPROVALS_SVC, "/v1/approvals")
    answer = await office.line.http.get(url, headers=office.token("ana", "viewer"))
    return list(answer.json()["items"])


async def test_signal_proposes_what_the_policy_says_and_a_yes_does_it(office: Office) -> None:
    await office.control.post("/reset")
    await office.control.post("/github/threads", json={"repository": REPOSITORY})

    await office.publish(signal("stale_change", f"{REPOSITORY}#1", url="https://github.com/acme/web/pull/1"))
    await office.settled()
    [proposal] = await listed(office)
    await office.vote(proposal["id"], "ana")
    await office.callbacks()

    assert (proposal["action"], proposal["signal"], proposal["requested_by"], proposal["reason"]) == (
        "comment_summary",
        "stale_pr",
        "signal stale_pr",
        "Retry declined cards",
    )
    [thread] = (await office.control.get("/github/threads")).json()
    [comment] = thread["comments"]
    assert comment["body"].startswith(
        "acme/web#1 is stale. Retry declined cards. https://github.com/acme/web/pull/1\n\n<!-- em-agent "
    )


async def test_same_entity_proposes_once_until_its_cooldown_is_over(office: Office, replicas: list[Office]) -> None:
    again = [signal("stale_change", f"{REPOSITORY}#1") for _ in range(10)]
    await office.publish(*again, signal("stale_change", f"{REPOSITORY}#2"), signal("wip_limit_exceeded", "web"))
    await office.settled()
    first = [(item["signal"], item["subject"]) for item in await listed(office)]
    assert set(await office.held()) == {"stale_pr was proposed of it before, within its cooldown"}

    await office.line.fetch("UPDATE approvals.cooldown SET until = now()")
    await office.publish(signal("stale_change", f"{REPOSITORY}#1"))
    await office.settled()

    assert sorted(first) == [
        ("stale_pr", "acme/web#1 is stale"),
        ("stale_pr", "acme/web#2 is stale"),
        ("wip_limit_exceeded", "web has too much in progress"),
    ]
    assert len(await listed(office)) == 4


async def test_law_9_old_signals_and_those_that_no_rule_names_propose_nothing(office: Office) -> None:
    late = datetime.now(UTC) - timedelta(hours=1, minutes=1)
    await office.publish(
        signal("stale_change", f"{REPOSITORY}#3", occurred_at=late),
        signal("stale_change", f"{REPOSITORY}#4", origin="replay"),
        signal("stale_change", "../..#5"),
        signal("change_without_ticket", f"{REPOSITORY}#6"),
        signal("of_tomorrow", f"{REPOSITORY}#7"),
    )
    await office.settled()

    assert await listed(office) == []
    assert sorted(await office.held()) == [
        "it was crossed more than an hour ago",
        "origin replay does not act",
        "repository: Value error, owner/name is needed",
    ]
