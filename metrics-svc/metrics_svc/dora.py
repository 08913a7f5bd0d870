"""The five metrics of dora.dev over what was shipped, as the reference defines them (definition `dora2025`). Pure."""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from metrics_svc.window import Window

DEFINITION = "dora2025"

LEAD_TIME = "change_lead_time"
FREQUENCY = "deployment_frequency"
FAIL_RATE = "change_fail_rate"
RECOVERY_TIME = "failed_deployment_recovery_time"
REWORK_RATE = "deployment_rework_rate"
METRICS = (LEAD_TIME, FREQUENCY, FAIL_RATE, RECOVERY_TIME, REWORK_RATE)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """`n` is what it was computed from; without any, the value is null. Durations have percentiles and a mean."""

    value: float | None
    unit: str
    n: int
    p50: float | UnsetType | None = UNSET
    p75: float | UnsetType | None = UNSET
    p90: float | UnsetType | None = UNSET
    p95: float | UnsetType | None = UNSET
    mean: float | UnsetType | None = UNSET


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a deployment carried. Without a first commit, or carried by the seed, it has no lead time."""

    id: str
    repository: str
    number: int
    title: str
    merged_at: datetime
    first_commit_at: datetime | None
    lead_time_s: float | None
    method: str
    confidence: float
    delivery: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that a deployment caused."""

    id: str
    title: str
    opened_at: datetime
    resolved_at: datetime | None
    method: str
    confidence: float
    delivery: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A succeeded production deployment; `remediates` is the one that a rollback or hotfix mends."""

    id: str
    source: str
    repository: str
    deployment_id: str
    environment: str
    sha: str
    finished_at: datetime
    kind: str  # normal, rollback, hotfix, redeploy
    seed: bool
    failed: bool
    failed_because: Sequence[str]
    recovered_at: datetime | None
    remediates: str | None
    delivery: str
    changes: Sequence[Change] = ()
    incidents: Sequence[Incident] = ()


def measure(deployments: Sequence[Deployment], window: Window) -> dict[str, Metric]:
    """`deployments` are those that finished or recovered in the window; redeploys count in nothing."""
    counted = [d for d in deployments if d.kind != "redeploy"]
    shipped = [d for d in counted if window.holds(d.finished_at)]
    return {
        LEAD_TIME: duration(lead_times(shipped)),
        FREQUENCY: frequency(len(shipped), window.days),
        FAIL_RATE: ratio(sum(d.failed for d in shipped), len(shipped)),
        RECOVERY_TIME: duration(recovery_times(counted, window)),
        REWORK_RATE: ratio(sum(d.kind in ("rollback", "hotfix") for d in shipped), len(shipped)),
    }


def lead_times(shipped: Sequence[Deployment]) -> list[float]:
    return [c.lead_time_s for d in shipped for c in d.changes if c.lead_time_s is not None]


def recovery_times(deployments: Sequence[Deployment], window: Window) -> list[float]:
    """Of those that recovered in the window, whenever they failed."""
    return [
        (d.recovered_at - d.finished_at).total_seconds()
        for d in deployments
        if d.failed and d.recovered_at is not None and window.holds(d.recovered_at)
    ]


def frequency(deployments: int, days: float) -> Metric:
    return Metric(value=deployments / days if deployments else None, unit="per_day", n=deployments)


def ratio(part: int, whole: int) -> Metric:
    return Metric(value=part / whole if whole else None, unit="ratio", n=whole)


def duration(samples: Sequence[float]) -> Metric:
    """The value is the median."""
    ordered = sorted(samples)
    return Metric(
        value=percentile(ordered, 0.5),
        unit="seconds",
        n=len(ordered),
        p50=percentile(ordered, 0.5),
        p75=percentile(ordered, 0.75),
        p90=percentile(ordered, 0.9),
        p95=percentile(ordered, 0.95),
        mean=math.fsum(ordered) / len(ordered) if ordered else None,
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Type 7 of Hyndman and Fan: linear between the closest ranks. `ordered` ascends; None without samples."""
    if not ordered:
        return None
    rank = (len(ordered) - 1) * share
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])
