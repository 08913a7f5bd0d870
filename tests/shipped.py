"""Facts of one small service by hand: pushes, changes, deployments, incidents, checks, as events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from approvals_svc import fact_store
from approvals_svc.facts import Fact, rows_of
from shared.contracts.events import (
    ChangeMerged,
    CommitsPushed,
    DeploymentFinished,
    IncidentOpened,
    IncidentResolved,
    MetricChanged,
    Numbers,
    QualityReported,
    TicketUpdated,
)
from shared.contracts.events.code import Commit
from shared.db import Pool
from tests.shipping import stamped

REPOSITORY = "acme/checkout"
START = datetime(2026, 5, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def sha(name: str) -> str:
    return (name.encode().hex() * 40)[:40]


def told(event: Any, source: str = "github") -> Any:
    """It reached us when it happened."""
    named = stamped(event, source)
    return named.stamped(
        id=named.id, source=source, origin="live", received_at=event.occurred_at, delivery=named.delivery
    )


def push(
    hours: float,
    *names: str,
    branch: str = "main",
    files: tuple[str, ...] | None = ("src/a.py",),
    message: str = "Work",
    author: str = "ana-k",
    before: str = "",
) -> Any:
    """`before`: the head of the push before it."""
    commits = [Commit(sha=sha(n), authored_at=at(hours), author=author, message=message, files=files) for n in names]
    return told(
        CommitsPushed(
            occurred_at=at(hours),
            repository=REPOSITORY,
            ref=f"refs/heads/{branch}",
            branch=branch,
            before=sha(before) if before else "",
            after=sha(names[-1]),
            default_branch="main",
            commits=tuple(commits),
        )
    )


def merge(hours: float, number: int, name: str, **fields: Any) -> Any:
    values: dict[str, Any] = {
        "title": f"Change {number}",
        "author": "ana-k",
        "additions": 30,
        "deletions": 12,
        "head_ref": f"x{number}",
        "head_sha": sha(f"h{number}"),
        **fields,
    }
    return told(
        ChangeMerged(
            occurred_at=at(hours),
            repository=REPOSITORY,
            number=number,
            state="merged",
            merge_sha=sha(name),
            **values,
        )
    )


def deployed(hours: float, name: str, *, environment: str = "production", **fields: Any) -> Any:
    values: dict[str, Any] = {"outcome": "succeeded", "deployment_id": f"d-{name}-{hours}", **fields}
    return told(
        DeploymentFinished(
            occurred_at=at(hours), repository=REPOSITORY, environment=environment, sha=sha(name), **values
        )
    )


def broke(hours: float, incident: str = "I1", *, kind: Any = IncidentOpened, **fields: Any) -> Any:
    values: dict[str, Any] = {"title": "Checkout is down", "service_name": "checkout", "urgency": "high", **fields}
    return told(kind(occurred_at=at(hours), incident_id=incident, **values), "pagerduty")


def recovered(hours: float, incident: str = "I1", **fields: Any) -> Any:
    return broke(hours, incident, kind=IncidentResolved, **fields)


def checked(hours: float, name: str, *, source: str = "codecov", branch: str = "main", **fields: Any) -> Any:
    event = QualityReported(
        occurred_at=at(hours), project=REPOSITORY, repository=REPOSITORY, branch=branch, sha=sha(name), **fields
    )
    return told(event, source)


def ticket(hours: float, key: str, **fields: Any) -> Any:
    event = TicketUpdated(occurred_at=at(hours), project=key.partition("-")[0], key=key, ticket_id=key, **fields)
    return told(event, "jira")


def day(moment: datetime, *, deployments: int, failed: int, revision: int = 1, environment: str = "production") -> Any:
    numbers = Numbers(
        deployments=deployments,
        failed=failed,
        rework=0,
        lead_n=0,
        lead_p50_s=None,
        recovery_n=0,
        recovery_p50_s=None,
    )
    event = MetricChanged(
        occurred_at=moment,
        service="checkout",
        environment=environment,
        day=moment.date(),
        revision=revision,
        after=numbers,
    )
    return told(event, "metrics_svc")


async def tell(pool: Pool, *events: Fact) -> None:
    """One batch."""
    async with pool.acquire() as tx, tx.transaction():
        await fact_store.record(tx, rows_of(events, now=START))
