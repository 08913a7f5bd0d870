"""middleware, of middlewarehq (reference dora.md §4 row `middleware`, §1.4 to §1.7, §3.1, §3.2). Pure.

Its chosen workflow's runs are our attempts of deployments to production. A run is dated by its start (dora.md is
silent: "after merge" and "d" are said of the run, and the tool keeps when it was started).
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from metrics_svc.definitions.history import Attempt, Change, History, Incident, share
from metrics_svc.dora import FAIL_RATE, FREQUENCY, LEAD_TIME, RECOVERY_TIME, Metric
from metrics_svc.window import Window

DEFINITION = "middleware"

# What a platform calls the branch of a revert.
REVERT = re.compile(r"revert-([0-9]+)-\w+")

_Branch: TypeAlias = tuple[str, str]


def measure(history: History, window: Window) -> dict[str, Metric]:
    runs = sorted((a for a in history.attempts if window.holds(a.began_at)), key=lambda a: (a.began_at, a.id))
    incidents = [*history.incidents, *_reverted(history.changes)]
    return {
        LEAD_TIME: _mean(_lead_times(history, window)),
        FREQUENCY: _frequency(sum(run.succeeded for run in runs), window),
        FAIL_RATE: _fail_rate(runs, [i for i in incidents if window.holds(i.opened_at)]),
        RECOVERY_TIME: _mean(_recovery_times(incidents, window)),
    }


def _lead_times(history: History, window: Window) -> list[float]:
    """Of all changes merged in the window, deployed or not."""
    graph = _Graph(history)
    merged = [change for change in history.changes if window.holds(change.merged_at)]
    return [_lead_time(change, graph.first_run(change)) for change in merged]


def _lead_time(change: Change, deployed_at: datetime | None) -> float:
    """The sum of first commit to open, first response, rework, merge and merge to deploy; missing = 0 (§1.5, §3.1).

    dora.md is silent on negative ones: they are missing as well.
    """
    stages = (
        (change.first_commit_at, change.opened_at),
        (change.opened_at, change.first_review_at),
        (change.first_review_at, change.approved_at),
        (change.approved_at, change.merged_at),
        (change.merged_at, deployed_at),
    )
    return sum(max((end - start).total_seconds(), 0.0) for start, end in stages if start and end)


class _Graph:
    """The branch graph (§3.2): a change is deployed by the first successful run after its merge of the branch it was
    merged into, or of one that this branch was merged into since.

    No sha is asked for (§4, defects). A run whose branch nobody named deploys whatever is merged (dora.md is silent).
    """

    def __init__(self, history: History) -> None:
        self._runs: dict[_Branch, list[datetime]] = defaultdict(list)
        self._merges: dict[_Branch, list[tuple[datetime, str]]] = defaultdict(list)
        for attempt in sorted(history.successes(), key=lambda a: a.began_at):
            self._runs[attempt.repository, attempt.branch].append(attempt.began_at)
        for change in sorted(history.changes, key=lambda c: c.merged_at):
            self._merges[change.repository, change.head_ref].append((change.merged_at, change.base_ref))

    def first_run(self, change: Change) -> datetime | None:
        arrivals = self._arrivals(change)
        runs = (
            run
            for branch, since in arrivals.items()
            for name in {branch, ""}
            if (run := _first(self._runs[change.repository, name], since))
        )
        return min(runs, default=None)

    def _arrivals(self, change: Change) -> Mapping[str, datetime]:
        """When the change was in which branch first."""
        arrivals = {change.base_ref: change.merged_at}
        waiting = [change.base_ref]
        while waiting:
            branch = waiting.pop()
            for merged_at, base_ref in self._merges[change.repository, branch]:
                known = arrivals.get(base_ref)
                if merged_at >= arrivals[branch] and (known is None or merged_at < known):
                    arrivals[base_ref] = merged_at
                    waiting.append(base_ref)
        return arrivals


def _first(moments: Sequence[datetime], since: datetime) -> datetime | None:
    place = bisect_left(moments, since)
    return moments[place] if place < len(moments) else None


def _frequency(deployments: int, window: Window) -> Metric:
    """Successful runs per day, rounded down to a whole number (§1.4); none are 0 of them, as the tool says."""
    return Metric(value=deployments // window.days, unit="per_day", n=deployments)


def _fail_rate(runs: Sequence[Attempt], incidents: Iterable[Incident]) -> Metric:
    """Runs with an incident opened in [d, next d) ÷ all runs, failed ones as well (§1.7).

    Runs and incidents are those of the window: after its last run every incident is that one's.
    """
    starts = [run.began_at for run in runs]
    failed = {place for i in incidents if (place := bisect_right(starts, i.opened_at))}
    return share(len(failed), len(runs))


def _reverted(changes: Sequence[Change]) -> list[Incident]:
    """A revert tells of an incident: created = merge of the original, resolved = merge of the revert.

    dora.md is silent on what a revert is: the branch says so, `revert-<number>-…`, and the first one counts.
    """
    originals = {(change.repository, change.number): change for change in changes}
    found: dict[str, Incident] = {}
    for change in sorted(changes, key=lambda c: (c.merged_at, c.id)):
        named = REVERT.search(change.head_ref)
        original = originals.get((change.repository, int(named[1]))) if named else None
        if original:
            incident = Incident(id=original.id, opened_at=original.merged_at, resolved_at=change.merged_at)
            found.setdefault(original.id, incident)
    return list(found.values())


def _recovery_times(incidents: Iterable[Incident], window: Window) -> list[float]:
    """resolved - created, of what was resolved in the window (dora.md is silent on which)."""
    return [
        (incident.resolved_at - incident.opened_at).total_seconds()
        for incident in incidents
        if incident.resolved_at and window.holds(incident.resolved_at)
    ]


def _mean(samples: Sequence[float]) -> Metric:
    return Metric(value=sum(samples) / len(samples) if samples else None, unit="seconds", n=len(samples))
