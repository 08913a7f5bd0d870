"""The answer that the earlier API gave as `/v1/metrics/code-quality`: one row per repository and branch. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from metrics_svc.flow.gates import HOLDS
from metrics_svc.flow.quality import Report
from metrics_svc.question import Question


class CodeQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Coverage in percent: the latest, the least and the most of the window, and what it gained since its first report.

    `coverage_vs_base` is the latest beside its base as the tool told it. `gate` is the latest one, which may have been
    reported before the window. `reports` were in the window, `deliveries` are those of the latest coverage and gate.
    """

    service: str
    project: str
    repository: str
    branch: str
    reports: int
    coverage: float | None
    coverage_min: float | None
    coverage_max: float | None
    coverage_delta: float | None
    coverage_vs_base: float | None
    gate: str | None
    reported_at: datetime
    deliveries: Sequence[str]


def code_quality(found: Sequence[Report], question: Question) -> list[CodeQuality]:
    """In the order of services, then of repositories and branches."""
    branches: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in sorted(found, key=lambda each: (each.occurred_at, each.id)):
        if report.occurred_at < question.window.end and report.occurred_at + HOLDS > question.window.start:
            branches[report.service, report.part].append(report)
    return [_row(reports, question) for _, reports in sorted(branches.items())]


def _row(reports: Sequence[Report], question: Question) -> CodeQuality:
    newest = reports[-1]
    inside = [report for report in reports if question.window.holds(report.occurred_at)]
    told = [(report, report.coverage) for report in inside if report.coverage is not None]
    values = [value for _, value in told]
    covered, value = told[-1] if told else (None, None)
    gate = next((report for report in reversed(reports) if report.gate), None)
    base = covered.coverage_base if covered else None
    return CodeQuality(
        service=newest.service,
        project=newest.project,
        repository=newest.repository,
        branch=newest.branch,
        reports=len(inside),
        coverage=value,
        coverage_min=min(values, default=None),
        coverage_max=max(values, default=None),
        coverage_delta=values[-1] - values[0] if len(values) > 1 else None,
        coverage_vs_base=None if value is None or base is None else value - base,
        gate=gate.gate if gate else None,
        reported_at=newest.occurred_at,
        deliveries=[each.delivery for each in (covered, gate) if each],
    )
