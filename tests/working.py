"""Builds, tickets and reports of quality of the small service of `tests.shipping`, made by hand."""

from typing import Any

import msgspec

from metrics_svc.facts import Fact
from shared.contracts.events import (
    BuildFinished,
    BuildStarted,
    QualityReported,
    TicketClosed,
    TicketCreated,
    TicketUpdated,
)
from shared.contracts.events.quality import Condition
from tests.shipping import CATALOG, at, pushed, stamped

# Whose the projects are, beside the repositories.
WORK_CATALOG = msgspec.structs.replace(
    CATALOG,
    services=(
        msgspec.structs.replace(
            CATALOG.services[0],
            ticket_projects={"jira": ("CHK",)},
            quality_projects={"sonarqube": ("acme_checkout",)},
        ),
    ),
)


def built(
    number: int,
    hours: float,
    *,
    minutes: float = 12,
    outcome: str = "succeeded",
    source: str = "github",
    **fields: Any,
) -> list[Fact]:
    """A build that ends at `hours` and ran for `minutes`."""
    begun = at(hours - minutes / 60)
    values: dict[str, Any] = {"repository": "acme/checkout", "build_id": str(number), "name": "ci", "branch": "main"}
    values |= {"sha": f"b{number}", "started_at": begun, **fields}
    return [
        stamped(BuildStarted(occurred_at=begun, **values), source),
        stamped(BuildFinished(occurred_at=at(hours), outcome=outcome, **values), source),
    ]


def ticket(kind: type[Any], number: int, hours: float, *, source: str = "jira", **fields: Any) -> Any:
    values: dict[str, Any] = {
        "project": "CHK",
        "key": f"CHK-{number}",
        "ticket_id": str(10_000 + number),
        "title": f"Ticket {number}",
        "state": "closed" if kind is TicketClosed else "open",
        **fields,
    }
    return stamped(kind(occurred_at=at(hours), **values), source)


def done(number: int, created: float, started: float | None, closed: float, **fields: Any) -> list[Fact]:
    """A ticket from its beginning to its end; without `started` it goes there at once."""
    opened: dict[str, Any] = {"opened_at": at(created), **fields}
    before = "To Do" if started is None else "In Progress"
    moved = [] if started is None else [("In Progress", "To Do", started)]
    return [
        ticket(TicketCreated, number, created, status="To Do", **opened),
        *(ticket(TicketUpdated, number, t, status=now, status_before=was, **opened) for now, was, t in moved),
        ticket(TicketClosed, number, closed, status="Done", status_before=before, closed_at=at(closed), **opened),
    ]


def covered(hours: float, percent: float | None, *, base: float | None = None, branch: str = "main") -> Any:
    repository = "acme/checkout"
    event = QualityReported(
        occurred_at=at(hours),
        project=repository,
        repository=repository,
        branch=branch,
        coverage=percent,
        coverage_base=base,
    )
    return stamped(event, "codecov")


def gated(hours: float, gate: str, *, branch: str = "main", project: str = "acme_checkout") -> Any:
    conditions = (Condition(metric="new_coverage", status=gate, value="71.5", threshold="80"),)
    event = QualityReported(occurred_at=at(hours), project=project, branch=branch, gate=gate, conditions=conditions)
    return stamped(event, "sonarqube")


def work() -> list[Fact]:
    """Four days of builds, tickets and reports of one service."""
    return [
        pushed(0.5, "m1"),  # tells the default branch
        pushed(29, "b3", branch="feature/x"),
        *built(1, 1, minutes=10),
        *built(2, 2, minutes=20, outcome="failed"),
        *built(2, 3, minutes=30, attempt=2),
        *built(3, 30, minutes=40, branch="feature/x", outcome="failed"),
        *built(4, 31, minutes=50, outcome="cancelled"),
        *built(5, 32, minutes=60, branch="feature/x", job="lint"),
        *done(1, 0, 4, 10),
        *done(2, 1, 20, 30, ticket_type="Bug"),
        *done(3, 2, None, 40),  # closed without a start
        *done(4, 3, 5, 41),
        ticket(TicketClosed, 4, 42, reason="deleted"),
        *done(5, 4, 6, 50),
        ticket(TicketUpdated, 5, 60, status="In Progress", status_before="Done"),  # reopened, and open still
        covered(1, 80.0, base=79.0),
        covered(20, 84.0, base=80.0),
        covered(30, 82.5, base=84.0),
        covered(31, 60.0, branch="feature/x"),
        covered(32, None),  # an upload that failed
        gated(0, "passed"),
        gated(24, "failed"),
        gated(36, "none"),
        gated(48, "passed"),
    ]
