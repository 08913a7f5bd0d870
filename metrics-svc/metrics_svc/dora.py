"""The five metrics of dora.dev over what was shipped, as the reference defines them (definition `dora2025`). Pure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from heapq import merge
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from metrics_svc import intervals
from metrics_svc.window import Window

DEFINITION = "dora2025"
UTC_ZONE = ZoneInfo("UTC")

LEAD_TIME = "change_lead_time"
FREQUENCY = "deployment_frequency"
FAIL_RATE = "change_fail_rate"
RECOVERY_TIME = "failed_deployment_recovery_time"
REWORK_RATE = "deployment_rework_rate"
METRICS = (LEAD_TIME, FREQUENCY, FAIL_RATE, RECOVERY_TIME, REWORK_RATE)

COMMIT_LEAD_TIME = "commit_lead_time"
DEPLOYMENT_DAYS = "deployment_days"
DEPLOYMENT_GAP = "time_between_deployments"
INCIDENT_TIME = "incident_recovery_time"
BESIDE = (COMMIT_LEAD_TIME, DEPLOYMENT_DAYS, DEPLOYMENT_GAP, INCIDENT_TIME)
ALL = (*METRICS, *BESIDE)

RULES = {
    LEAD_TIME: "first commit to the deployment that carried the change; median of what was deployed",
    FREQUENCY: "successful production deployments per day, redeploys of what is live apart",
    FAIL_RATE: "deployments that an incident or a later rollback, revert or hotfix says failed, of all",
    RECOVERY_TIME: "failed deployment to its incident's end or what mended it, whichever was first; median",
    REWORK_RATE: "rollbacks, reverts and hotfixes, of all deployments",
    COMMIT_LEAD_TIME: "author's date of each of a change's own commits to the deployment that carried it; median",
    DEPLOYMENT_DAYS: "days with a deployment in an ISO week; median over the weeks that the window holds whole",
    DEPLOYMENT_GAP: "time from one deployment to the next; median",
    INCIDENT_TIME: "incident opened to its last resolution, whatever caused it; median of those resolved",
}


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """`n` is what it was computed from; without any, the value is null. Durations have percentiles and a mean.

    `low` and `high` bound the value with 90 % confidence.
    """

    value: float | None
    unit: str
    n: int
    p50: float | UnsetType | None = UNSET
    p75: float | UnsetType | None = UNSET
    p90: float | UnsetType | None = UNSET
    p95: float | UnsetType | None = UNSET
    mean: float | UnsetType | None = UNSET
    low: float | None = None
    high: float | None = None


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers of a service and a piece of the window are computed from. Times in seconds, ascending.

    `finished_at` are the deployments that count, as seconds since 1970; `failed` and `rework` how many of them.
    """

    finished_at: Sequence[float] = ()
    failed: int = 0
    rework: int = 0
    lead_times: Sequence[float] = ()
    recovery_times: Sequence[float] = ()
    commit_lead_times: Sequence[float] = ()
    incident_times: Sequence[float] = ()


def pool(parts: Sequence[Samples]) -> Samples:
    """All samples of several services: percentiles of percentiles would mean nothing."""
    return Samples(
        finished_at=list(merge(*(part.finished_at for part in parts))),
        failed=sum(part.failed for part in parts),
        rework=sum(part.rework for part in parts),
        lead_times=list(merge(*(part.lead_times for part in parts))),
        recovery_times=list(merge(*(part.recovery_times for part in parts))),
        commit_lead_times=list(merge(*(part.commit_lead_times for part in parts))),
        incident_times=list(merge(*(part.incident_times for part in parts))),
    )


def measure(
    samples: Samples, window: Window, zone: ZoneInfo = UTC_ZONE, metrics: Sequence[str] = ALL
) -> dict[str, Metric]:
    """These of the five metrics, and of what stands beside them."""
    return {metric: _MEASURES[metric](samples, window, zone) for metric in metrics}


def frequency(deployments: int, days: float) -> Metric:
    return Metric(value=deployments / days if deployments else None, unit="per_day", n=deployments)


def days_a_week(finished_at: Sequence[float], window: Window, zone: ZoneInfo) -> Metric:
    """`n` counts deployments. A window without a whole week has no value."""
    weeks = [_first(piece, zone) for piece in window.pieces("week", zone) if _is_whole(piece, zone)]
    days = Counter(day - timedelta(days=day.weekday()) for day in _days(finished_at, zone))
    found = sorted(days[monday] for monday in weeks)
    return Metric(value=percentile(found, 0.5) if finished_at else None, unit="days_per_week", n=len(finished_at))


def _days(finished_at: Sequence[float], zone: ZoneInfo) -> set[date]:
    """Of ascending times; the zone is asked once a day, since that is what takes long."""
    days: set[date] = set()
    ends_at = -math.inf
    for at in finished_at:
        if at >= ends_at:
            day = datetime.fromtimestamp(at, zone).date()
            days.add(day)
            ends_at = datetime.combine(day + timedelta(days=1), time.min, zone).timestamp()
    return days


def ratio(part: int, whole: int) -> Metric:
    low, high = intervals.share(part, whole)
    return Metric(value=part / whole if whole else None, unit="ratio", n=whole, low=low, high=high)


def duration(ordered: Sequence[float]) -> Metric:
    """Of ascending samples in seconds; the value is the median."""
    low, high = intervals.median(ordered)
    return Metric(
        value=percentile(ordered, 0.5),
        unit="seconds",
        n=len(ordered),
        p50=percentile(ordered, 0.5),
        p75=percentile(ordered, 0.75),
        p90=percentile(ordered, 0.9),
        p95=percentile(ordered, 0.95),
        mean=float(np.mean(np.asarray(ordered, np.float64))) if ordered else None,
        low=low,
        high=high,
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Type 7 of Hyndman and Fan: linear between the closest ranks. `ordered` ascends; None without samples."""
    if not ordered:
        return None
    rank = (len(ordered) - 1) * share
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])


def _is_whole(week: Window, zone: ZoneInfo) -> bool:
    """From a local Monday to the next."""
    return _first(week, zone).weekday() == 0 and _last(week, zone) - _first(week, zone) == timedelta(days=7)


def _first(week: Window, zone: ZoneInfo) -> date:
    return week.start.astimezone(zone).date()


def _last(week: Window, zone: ZoneInfo) -> date:
    return week.end.astimezone(zone).date()


def _gaps(samples: Samples) -> Metric:
    return duration(sorted(after - before for before, after in pairwise(samples.finished_at)))


_MEASURES: Mapping[str, Callable[[Samples, Window, ZoneInfo], Metric]] = {
    LEAD_TIME: lambda samples, window, zone: duration(samples.lead_times),
    FREQUENCY: lambda samples, window, zone: frequency(len(samples.finished_at), window.days),
    FAIL_RATE: lambda samples, window, zone: ratio(samples.failed, len(samples.finished_at)),
    RECOVERY_TIME: lambda samples, window, zone: duration(samples.recovery_times),
    REWORK_RATE: lambda samples, window, zone: ratio(samples.rework, len(samples.finished_at)),
    COMMIT_LEAD_TIME: lambda samples, window, zone: duration(samples.commit_lead_times),
    DEPLOYMENT_DAYS: lambda samples, window, zone: days_a_week(samples.finished_at, window, zone),
    DEPLOYMENT_GAP: lambda samples, window, zone: _gaps(samples),
    INCIDENT_TIME: lambda samples, window, zone: duration(samples.incident_times),
}
