"""What goes wrong in production: attempts that fail, rollbacks, incidents. Pure."""

from collections.abc import Sequence

import msgspec

from metrics_svc.flow.pieces import grid, ratio_row
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.question import Question

SUCCESS_RATE = "deployment_success_rate"
ROLLBACK_RATE = "rollback_rate"
INCIDENT_FREQUENCY = "incident_frequency"
DAYS_PER_WEEK = 7


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """Deployments to production that ended in a piece of the window. `shipped` are those that were no redeploy."""

    service: str
    piece: int
    succeeded: int = 0
    failed: int = 0
    shipped: int = 0
    rollbacks: int = 0


class Incidents(msgspec.Struct, frozen=True, kw_only=True):
    """Opened in a piece of the window."""

    service: str
    piece: int
    opened: int


def success_rate(found: Sequence[Attempts], question: Question) -> list[FlowRow]:
    """Of all attempts, redeploys among them; what was cancelled is none."""
    return [
        ratio_row(service, SUCCESS_RATE, window, succeeded, succeeded + sum(a.failed for a in attempts))
        for service, window, attempts in grid(found, question)
        for succeeded in [sum(a.succeeded for a in attempts)]
    ]


def rollback_rate(found: Sequence[Attempts], question: Question) -> list[FlowRow]:
    return [
        ratio_row(service, ROLLBACK_RATE, window, sum(a.rollbacks for a in attempts), sum(a.shipped for a in attempts))
        for service, window, attempts in grid(found, question)
    ]


def incident_frequency(found: Sequence[Incidents], question: Question) -> list[FlowRow]:
    return [
        count_row(service, INCIDENT_FREQUENCY, window, opened * DAYS_PER_WEEK / window.days or None, opened, "per_week")
        for service, window, incidents in grid(found, question)
        for opened in [sum(i.opened for i in incidents)]
    ]
