"""Facts in any order are the same rows, and what they say of a question is shown beside it."""

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals_svc.facts import Fact
from approvals_svc.gate_rules import GateRules
from approvals_svc.gathering import Asked, shipment
from approvals_svc.handlers import Handlers
from approvals_svc.shipping import Shipment
from shared.contracts.events import AlertFired, DeploymentRequested, Gate, IncidentReopened
from shared.contracts.subjects import Subjects
from tests.deciding import Counter, open_counter
from tests.shipped import (
    REPOSITORY,
    at,
    broke,
    checked,
    day,
    deployed,
    merge,
    push,
    recovered,
    sha,
    tell,
    ticket,
    told,
)

STORY: list[Fact] = [
    push(1, "base"),
    deployed(2, "base"),
    push(3, "h1", branch="x1"),  # not merged yet
    push(4, "m1", before="base"),
    merge(4, 1, "m1", title="CHK-1: Retry the charge", labels=("payments",)),
    push(5, "m2", files=("docs/a.md",), before="m1"),
    merge(5, 2, "m2", title="Describe it"),
    merge(5.5, 2, "m2", title="Describe the retry"),
    merge(5.2, 2, "m2", title="Describe that"),
    push(6, "later", before="m2"),
    broke(7),
    recovered(8),
    broke(9, kind=IncidentReopened),
    broke(7, "I2", service_name="search"),
    broke(7, "I3", title="Gone"),
    recovered(8, "I3"),
    checked(4, "m2", coverage=80.0, coverage_base=82.5),
    checked(4.5, "m2", coverage=81.0, coverage_base=82.5),
    checked(4, "m1", source="sonarqube", gate="failed"),
    checked(6, "m2", source="sonarqube", gate="passed"),
    ticket(3, "CHK-1", title="Charges fail", state="open"),
    ticket(5, "CHK-1", title="Charges fail at night", state="closed"),
]
TABLES = ("change", "branch_commit", "deployment", "incident", "recovery", "quality", "ticket", "service_day")


@pytest.fixture
async def counter(database_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database_url, tmp_path) as opened:
        yield opened


async def rows(counter: Counter) -> list[str]:
    return [
        str(row["row"])
        for table in TABLES
        for row in await counter.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} AS t ORDER BY 1")
    ]


async def shipped(counter: Counter, name: str, environment: str = "production", **fields: Any) -> Shipment:
    asked = Asked(
        source="github",
        repository=REPOSITORY,
        environment=environment,
        service="checkout",
        sha=sha(name),
        branch="main",
        **fields,
    )
    async with counter.pool.acquire() as tx:
        return await shipment(tx, asked)


async def test_law_4_any_order_and_batching_of_facts_ends_in_the_same_rows(counter: Counter, scale: int) -> None:
    await tell(counter.pool, *STORY)
    expected = await rows(counter)
    rng = random.Random(11)

    for _ in range(10 * scale):
        for table in TABLES:
            await counter.fetch(f"DELETE FROM {table}")
        told_again = [*STORY, *rng.sample(STORY, 8)]
        rng.shuffle(told_again)
        while told_again:
            cut = rng.randint(1, 7)
            await tell(counter.pool, *told_again[:cut])
            told_again = told_again[cut:]
        assert await rows(counter) == expected


async def test_what_ships_lies_between_what_runs_and_what_is_asked(counter: Counter) -> None:
    await tell(counter.pool, *STORY)

    found = await shipped(counter, "m2")

    assert (found.since, found.is_known, found.is_back) == (sha("base"), True, False)
    assert [commit.sha for commit in found.commits] == [sha("m2"), sha("m1")]
    assert [(change.number, change.title) for change in found.changes] == [
        (1, "CHK-1: Retry the charge"),
        (2, "Describe the retry"),
    ]
    assert found.direct == ()


async def test_where_nothing_ran_before_only_the_own_push_is_listed_and_nothing_counts_as_known(
    counter: Counter,
) -> None:
    await tell(counter.pool, *STORY)

    found = await shipped(counter, "m2", environment="staging")

    assert ([commit.sha for commit in found.commits], found.is_known) == ([sha("m2")], False)


async def test_what_goes_back_is_told_as_such(counter: Counter) -> None:
    await tell(counter.pool, *STORY, deployed(9, "later"))

    found = await shipped(counter, "m1")

    assert (found.is_back, found.commits) == (True, ())


async def test_sender_that_names_changes_is_believed_where_no_push_told(counter: Counter) -> None:
    await tell(counter.pool, *STORY)

    found = await shipped(counter, "unknown", changes=(2,), commits=(sha("m1"),))

    assert [change.number for change in found.changes] == [1, 2]
    assert found.is_known is False


async def test_evidence_is_stored_with_the_question_and_said(counter: Counter) -> None:
    now = datetime.now(UTC)
    burning = [broke((now - at(0)).total_seconds() / 3600 - 2, "I9", title="Slow again", service_name="checkout")]
    days = [
        day(now - timedelta(days=2), deployments=9, failed=0, revision=2),
        day(now - timedelta(days=2), deployments=8, failed=2, revision=3),
        day(now - timedelta(days=40), deployments=90, failed=90),
        day(now, deployments=70, failed=70, environment="staging"),
    ]
    await tell(counter.pool, *STORY, *burning, *days)

    asked = await counter.ask("production", sha=sha("m2"))

    found = asked.evidence
    assert found
    assert [(change.number, change.lines, change.ticket) for change in found.changes] == [(1, 42, "CHK-1"), (2, 42, "")]
    assert (found.commits, found.lines, found.size) == (2, 84, "S")
    assert [(each.key, each.title, each.state) for each in found.tickets] == [
        ("CHK-1", "Charges fail at night", "closed")
    ]
    assert (found.deployments, found.failed) == (8, 2)
    assert [incident.title for incident in found.incidents] == ["Slow again"]
    assert (found.coverage, found.coverage_base, found.gate, found.checks_of) == (81.0, 82.5, "passed", "commit")
    [message] = await counter.fetch("SELECT convert_from(body, 'UTF8')::jsonb->'evidence' AS e FROM outbox")
    assert '"Describe the retry"' in message["e"]


async def test_alert_burns_only_where_the_catalog_counts_its_rule(counter: Counter) -> None:
    now = datetime.now(UTC)
    for rule in ("CheckoutDown", "DiskFull"):
        alert = AlertFired(occurred_at=now, alert_id=rule, title=rule, rule=rule, service_name="checkout")
        await tell(counter.pool, told(alert, "prometheus"))

    found = (await counter.ask()).evidence

    assert found and [incident.title for incident in found.incidents] == ["CheckoutDown"]


async def gate(counter: Counter, name: str) -> dict[str, Any]:
    """What the policy was told of a GitHub gate for this commit."""
    event = DeploymentRequested(
        occurred_at=datetime.now(UTC),
        repository=REPOSITORY,
        deployment_id=name,
        environment="production",
        sha=sha(name),
        ref="main",
        creator="ana-k",
        actor="ana-k",
        gate=Gate(run_id="7", callback_url="", installation_id="99"),
    )
    rules = GateRules(github_api_url="https://api.github.com", acting_origins=frozenset({"live"}))
    handlers = Handlers(desk=counter.desk, subjects=Subjects("t"), rules=rules, slack_signing_secrets=())
    async with counter.pool.acquire() as tx, tx.transaction():
        await handlers.on_gate_requested([told(event)], tx)
    [row] = await counter.fetch("SELECT facts::text FROM approval ORDER BY id DESC LIMIT 1")
    return dict(json.loads(row["facts"]))


async def test_policy_of_a_gate_is_told_labels_size_paths_and_author_class(counter: Counter) -> None:
    await tell(counter.pool, *STORY)

    facts = await gate(counter, "m2")

    assert (facts["author_class"], facts["size"], facts["paths"]) == ("human", 84, ["docs/a.md", "src/a.py"])
    assert (facts["labels"], facts["labels_vary"]) == (["payments"], True)


async def test_policy_of_a_gate_is_told_nothing_where_a_push_is_missing(counter: Counter) -> None:
    await tell(counter.pool, *(event for event in STORY if event is not STORY[3]))  # m1 never reached us

    facts = await gate(counter, "m2")

    assert (facts["author_class"], facts["size"], facts["paths"], facts["labels"]) == ("", None, None, None)


async def test_policy_of_a_gate_is_told_nothing_of_a_commit_that_nobody_pushed(counter: Counter) -> None:
    await tell(counter.pool, *STORY)

    facts = await gate(counter, "elsewhere")

    assert (facts["author_class"], facts["size"], facts["paths"], facts["labels"]) == ("", None, None, None)
