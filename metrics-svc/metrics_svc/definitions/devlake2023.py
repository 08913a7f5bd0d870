"""Apache DevLake, its 2023 report (reference dora.md §4 row `devlake2023`, §1.4 to §1.8, §2.1, §3.1). Pure.

Its project is our service; what is production is our catalog's word, not its "pattern omitted ⇒ everything". The
second of its roundings, to hours with one decimal, is presentation and left to it.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from metrics_svc.definitions.history import Attempt, Change, History, Incident, Timeline, share
from metrics_svc.dora import FAIL_RATE, FREQUENCY, LEAD_TIME, RECOVERY_TIME, Metric
from metrics_svc.window import SECONDS_PER_DAY, Window

DEFINITION = "devlake2023"

PER_WEEK, PER_MONTH = "deployment_days_per_week", "deployment_days_per_month"

_MINUTE = timedelta(minutes=1)
_BELOW = {  # dora.md §2.1: the first that the value is below names the band
    LEAD_TIME: ((SECONDS_PER_DAY, "elite"), (7 * SECONDS_PER_DAY, "high"), (30 * SECONDS_PER_DAY, "medium")),
    RECOVERY_TIME: ((3600, "elite"), (SECONDS_PER_DAY, "high"), (7 * SECONDS_PER_DAY, "medium")),
}
_AT_MOST = ((0.05, "elite"), (0.10, "high"), (0.15, "medium"))
_AT_LEAST = {PER_WEEK: ((5, "elite"), (1, "high")), PER_MONTH: ((1, "medium"),)}


def measure(history: History, window: Window) -> dict[str, Metric]:
    shipped = [attempt for attempt in history.successes() if window.holds(attempt.finished_at)]
    blamed = _blamed(history)
    failed = {attempt.id for _, attempt in blamed} & {attempt.id for attempt in shipped}
    return {
        LEAD_TIME: _seconds(_cycle_times(history, window)),
        FREQUENCY: _frequency(shipped, window),
        FAIL_RATE: share(len(failed), len(shipped)),
        RECOVERY_TIME: _seconds(_recovery_times(blamed, window)),
    }


def bands(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """DevLake's bands of 2023 (reference dora.md §2.1): elite, high, medium, else low. No value has no band."""
    return {name: _band(name, m.unit, m.value) for name, m in metrics.items() if m.value is not None}


def _band(name: str, unit: str, value: float) -> str:
    if name == FREQUENCY:
        reached: Iterable[str] = (band for least, band in _AT_LEAST[unit] if value >= least)
    elif name == FAIL_RATE:
        reached = (band for most, band in _AT_MOST if value <= most)
    else:
        reached = (band for limit, band in _BELOW[name] if value < limit)
    return next(iter(reached), "low")


def _cycle_times(history: History, window: Window) -> list[float]:
    """Of the changes whose deployment finished in the window; those without one are in no number."""
    carriers = _carriers(history)
    return [
        _cycle_minutes(change, carriers[change.id]) * 60.0
        for change in history.changes
        if change.id in carriers and window.holds(carriers[change.id].finished_at)
    ]


def _cycle_minutes(change: Change, carrier: Attempt) -> int:
    """coding + (merge - open) + deploy, each in minutes rounded up, null as 0 (reference dora.md §1.5, §3.1, §4)."""
    spans = (
        (change.first_commit_at, change.opened_at),
        (change.opened_at, change.merged_at),
        (change.merged_at, carrier.finished_at),
    )
    return sum(_minutes(start, end) or 0 for start, end in spans)


def _minutes(start: datetime | None, end: datetime | None) -> int | None:
    """Rounded up; negative is null."""
    if start is None or end is None:
        return None
    minutes = math.ceil((end - start) / _MINUTE)
    return minutes if minutes >= 0 else None


def _carriers(history: History) -> dict[str, Attempt]:
    """Change to deployment: merge sha ∈ graph diff to the previous success of (repository, environment).

    The diff of a first success is everything up to it (§1.8). Of several deployments the one that started earliest
    wins; where no start is known (dora.md is silent), the finish stands for it. A commit that was never pushed has
    no diff: such a deployment carries nothing and is passed over as the previous one.
    """
    landed: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for change in history.changes:
        if change.position is not None:
            landed[change.repository].append((change.position, change.id))
    for places in landed.values():
        places.sort()
    carriers: dict[str, Attempt] = {}
    for repository, after, upto, attempt in sorted(_diffs(history), key=lambda diff: (diff[3].began_at, diff[3].id)):
        places = landed[repository]
        first, last = (bisect_right(places, end, key=lambda place: place[0]) for end in (after, upto))
        for _, change_id in places[first:last]:
            carriers.setdefault(change_id, attempt)
    return carriers


def _diffs(history: History) -> Iterable[tuple[str, int, int, Attempt]]:
    """(repository, after, up to, deployment) in positions of the default branch. A rollback's is empty."""
    timelines: dict[Timeline, list[tuple[int, Attempt]]] = defaultdict(list)
    for attempt in history.successes():
        for timeline, position in attempt.positions():
            timelines[timeline].append((position, attempt))
    for (repository, _), known in timelines.items():
        yield (repository, -1, *known[0])
        yield from ((repository, after, upto, attempt) for (after, _), (upto, attempt) in pairwise(known))


def _blamed(history: History) -> list[tuple[Incident, Attempt]]:
    """Each incident with the latest success before it, in whatever repository and however long ago (§1.6).

    One that finished at the very instant counts as before (dora.md is silent).
    """
    successes = history.successes()
    finishes = [attempt.finished_at for attempt in successes]
    places = ((incident, bisect_right(finishes, incident.opened_at)) for incident in history.incidents)
    return [(incident, successes[place - 1]) for incident, place in places if place]


def _recovery_times(blamed: Sequence[tuple[Incident, Attempt]], window: Window) -> list[float]:
    """resolved - deployment finished, both in the window; one per incident, in seconds."""
    return [
        (incident.resolved_at - attempt.finished_at).total_seconds()
        for incident, attempt in blamed
        if incident.resolved_at and window.holds(incident.resolved_at) and window.holds(attempt.finished_at)
    ]


def _seconds(samples: Sequence[float]) -> Metric:
    return Metric(value=_lower_median(samples), unit="seconds", n=len(samples))


def _lower_median(samples: Sequence[float]) -> float | None:
    """The greatest of percent rank ≤ 0.5: of an even number, the lower of the two in the middle (§1.4)."""
    ordered = sorted(samples)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def _frequency(shipped: Sequence[Attempt], window: Window) -> Metric:
    """Median number of days with a deployment per week; per month where that is below one (§2.1).

    Days are of UTC, weeks begin on Mondays. Weeks and months without a deployment count as 0, those that the window
    cuts as far as they are in it (dora.md is silent).
    """
    deployed = {attempt.finished_at.date() for attempt in shipped}
    days = _days(window)
    per_week = _median_days(deployed, {day: day - timedelta(days=day.weekday()) for day in days})
    if per_week >= 1:
        return Metric(value=per_week, unit=PER_WEEK, n=len(shipped))
    per_month = _median_days(deployed, {day: day.replace(day=1) for day in days})
    return Metric(value=per_month, unit=PER_MONTH, n=len(shipped))


def _days(window: Window) -> list[date]:
    first, last = window.start.date(), (window.end - timedelta(microseconds=1)).date()
    return [first + timedelta(days=index) for index in range((last - first).days + 1)]


def _median_days(deployed: set[date], periods: Mapping[date, date]) -> float:
    counts = Counter(dict.fromkeys(periods.values(), 0))
    counts.update(periods[day] for day in deployed)
    return _lower_median(list(counts.values())) or 0
