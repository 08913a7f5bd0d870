"""What checks of code report, and coverage per repository and branch. Pure.

A part is `owner/name@branch`; where the tool tells only a project of its own, `project@branch`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from metrics_svc.flow.pieces import of_part, piece_of
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.question import Question


class Report(msgspec.Struct, frozen=True):
    """`gate` is empty where the tool has none, `none` where it could not tell."""

    id: str
    service: str
    source: str
    project: str
    repository: str
    branch: str
    occurred_at: datetime
    coverage: float | None = None
    coverage_base: float | None = None
    gate: str = ""
    delivery: str = ""

    @property
    def part(self) -> str:
        return f"{self.repository or self.project}@{self.branch}"


Statistic = Callable[[Sequence[float]], float | None]
# Of the values of a branch, oldest first; the delta is what it gained since the first of them.
COVERAGE: Mapping[str, Statistic] = {
    "coverage": lambda told: told[-1],
    "coverage_min": min,
    "coverage_max": max,
    "coverage_delta": lambda told: told[-1] - told[0] if len(told) > 1 else None,
}


def covered(found: Sequence[Report], question: Question) -> list[Report]:
    """Those that tell coverage in the span of the question."""
    return [each for each in found if each.coverage is not None and question.span.holds(each.occurred_at)]


def coverage(metric: str, found: Sequence[Report], question: Question) -> list[FlowRow]:
    """In percent, one of COVERAGE, of what was `covered`. A piece without a report of a branch has no value for it."""
    pieces = question.buckets
    rows = []
    for service, part, reports in branches(found, question):
        told: dict[int, list[float]] = defaultdict(list)
        for report in reports:
            told[piece_of(report.occurred_at, pieces)].append(report.coverage or 0.0)
        for number, window in enumerate(pieces):
            value = COVERAGE[metric](told[number]) if told[number] else None
            n = 0 if value is None else len(told[number])
            rows.append(of_part(count_row(service, metric, window, value, n, "percent"), part))
    return rows


def branches(found: Sequence[Report], question: Question) -> Iterator[tuple[str, str, list[Report]]]:
    """(service, part, its reports, oldest first); a service without any has one part, which is empty."""
    parts: dict[str, dict[str, list[Report]]] = defaultdict(lambda: defaultdict(list))
    for report in sorted(found, key=lambda each: (each.occurred_at, each.id)):
        parts[report.service][report.part].append(report)
    for service in question.services:
        for part, reports in sorted(parts[service].items()) or [("", [])]:
            yield service, part, reports
