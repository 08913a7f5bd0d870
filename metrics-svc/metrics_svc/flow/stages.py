"""From the first commit to production in six stages. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from metrics_svc.flow.pieces import grid
from metrics_svc.flow.row import FlowRow, duration_row
from metrics_svc.flow.samples import ChangeSamples, samples_of
from metrics_svc.question import Question
from metrics_svc.window import Window

CYCLE_TIME = "cycle_time"
STAGES = ("coding", "pickup", "review", "merge_wait", "deploy_queue", "deploy_run")
MOMENTS = (
    *("first_commit_at", "ready_at", "first_review_at", "approved_at", "merged_at", "deploy_started_at"),
    "deployed_at",
)


def stages(
    *,
    first_commit_at: datetime | None,
    ready_at: datetime | None,
    first_review_at: datetime | None,
    approved_at: datetime | None,
    merged_at: datetime | None,
    deploy_started_at: datetime | None,
    deployed_at: datetime | None,
) -> dict[str, float | None]:
    """Seconds of each of STAGES; null where an end is missing or before the start. All six together are the whole."""
    ends = (first_commit_at, ready_at, first_review_at, approved_at, merged_at, deploy_started_at, deployed_at)
    return {stage: _between(ends[index], ends[index + 1]) for index, stage in enumerate(STAGES)}


def flat(found: Mapping[str, float | None]) -> Mapping[str, float | None]:
    """As columns."""
    return {f"{stage}_s": seconds for stage, seconds in found.items()}


def cycle_time(found: Sequence[ChangeSamples], question: Question) -> list[FlowRow]:
    """First commit → production, where that was; each stage as a part, with an n and a coverage of its own."""
    return [row for service, window, shipped in grid(found, question) for row in _rows(service, window, shipped)]


def _rows(service: str, window: Window, shipped: Sequence[ChangeSamples]) -> Iterator[FlowRow]:
    yield duration_row(service, CYCLE_TIME, window, samples_of(shipped))
    for stage in STAGES:
        row = duration_row(service, CYCLE_TIME, window, samples_of(shipped, stage))
        coverage = row.n / sum(each.n for each in shipped) if shipped else None
        yield msgspec.structs.replace(row, part=stage, coverage=coverage)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()
