"""How often builds succeed and how long they take: of all branches, and of the default branch as a part. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from metrics_svc.flow.pieces import grid, of_part, ratio_row
from metrics_svc.flow.row import FlowRow, duration_row
from metrics_svc.question import Question

SUCCESS_RATE = "build_success_rate"
DURATION = "build_duration"
DEFAULT_BRANCH = "default_branch"


class Builds(msgspec.Struct, frozen=True, kw_only=True):
    """Ended builds of a service in a piece of the window; jobs of a build are none of their own.

    `durations` in seconds, where the start is known and not after the end.
    """

    service: str
    piece: int
    on_default: bool
    succeeded: int
    failed: int
    durations: Sequence[float] = ()


def success_rate(found: Sequence[Builds], question: Question) -> list[FlowRow]:
    """Succeeded ÷ succeeded or failed: what was cancelled or skipped says nothing."""
    return [
        ratio_row(service, SUCCESS_RATE, window, succeeded, succeeded + failed, part=part)
        for service, window, builds in grid(found, question)
        for part, picked in _parts(builds)
        for succeeded, failed in [(sum(b.succeeded for b in picked), sum(b.failed for b in picked))]
    ]


def duration(found: Sequence[Builds], question: Question) -> list[FlowRow]:
    return [
        of_part(duration_row(service, DURATION, window, sorted(s for b in picked for s in b.durations)), part)
        for service, window, builds in grid(found, question)
        for part, picked in _parts(builds)
    ]


def _parts(builds: Sequence[Builds]) -> Iterator[tuple[str, list[Builds]]]:
    yield "", list(builds)
    yield DEFAULT_BRANCH, [each for each in builds if each.on_default]
