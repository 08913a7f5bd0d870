"""The script of each service: in which order its deployments go well, fail, are rolled back or fixed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from em.demo import words
from em.demo.facts import Deployment, Incident, IncidentStep
from em.demo.plot import DAY, HOUR, MINUTE, SECOND, STAGING_LEAD, Plot

MERGE_MARGIN = STAGING_LEAD + 6 * MINUTE
QUIET_GAP = 40 * HOUR

SCRIPTS: dict[str, tuple[str, ...]] = {
    "checkout": (
        *("ship", "ship", "ship", "rolled_back", "ship", "ship", "redeployed", "ship", "retried", "ship"),
        *("hotfixed", "ship", "ship", "switched_off", "ship", "unnoticed", "noticed_late", "ship", "ship"),
        *("stuck", "ship", "endured", "ship", "ship", "ship"),
    ),
    "ledger": (
        *("ship", "ship", "endured", "ship", "stuck", "ship", "ship", "hotfixed_by_label", "ship", "ship"),
        *(
            "retried_in_place",
            "ship",
            "reopened",
            "ship",
            "ship",
            "redeployed",
            "ship",
            "rolled_back",
            "ship",
        ),
        *("ship",),
    ),
    "search": (
        *(
            "ship",
            "retried",
            "ship",
            "ship",
            "reopened",
            "ship",
            "ship",
            "rolled_back",
            "ship",
            "ship",
            "ship",
        ),
        *(
            "endured",
            "ship",
            "ship",
            "unnoticed",
            "noticed_late",
            "ship",
            "hotfixed",
            "ship",
            "ship",
            "stuck",
        ),
        *("ship", "ship", "ship", "ship", "endured", "ship", "ship"),
    ),
}


def open_books(plot: Plot) -> None:
    """The first deployment ever: what merged before it has no lead time to tell."""
    born_at = plot.repository.born_at
    plot.edge = born_at + HOUR
    plot.batch(born_at + 4 * HOUR, 2)
    plot.release_train(born_at + 5 * HOUR, gated=False)


def ship(plot: Plot, at: datetime) -> Deployment:
    plot.batch(at - MERGE_MARGIN, plot.chance.one_of((1, 2, 2, 3, 3, 4, 5)))
    return plot.release_train(at)


def redeployed(plot: Plot, at: datetime) -> None:
    live = ship(plot, at)
    plot.deploy(at + 2 * HOUR, kind="redeploy", creator=live.creator, sha=live.sha)


def retried(plot: Plot, at: datetime) -> None:
    """The pipeline fails; a new deployment of the same sha goes through."""
    attempt = stuck(plot, at)
    plot.deploy(attempt.ended_at + 20 * MINUTE, kind="normal", creator=attempt.creator, sha=attempt.sha)


def retried_in_place(plot: Plot, at: datetime) -> None:
    plot.retry_in_place(ship(plot, at))


def stuck(plot: Plot, at: datetime) -> Deployment:
    """The pipeline fails and nobody tries again: what merged waits for the next deployment."""
    plot.batch(at - MERGE_MARGIN, plot.chance.number(1, 3))
    return plot.release_train(at, gated=False, outcome="failure")


def endured(plot: Plot, at: datetime) -> None:
    """The service suffers until somebody repairs it by hand; no deployment mends it."""
    bad = ship(plot, at)
    _break(plot, bad, resolved_after=plot.chance.minutes(35, 150))


def reopened(plot: Plot, at: datetime) -> None:
    """Resolved too early and opened again: recovery is the last resolve."""
    bad = ship(plot, at)
    incident = _break(plot, bad, resolved_after=plot.chance.minutes(25, 40))
    by, resolved_at = incident.steps[-1].by, incident.steps[-1].at
    again_at = resolved_at + plot.chance.minutes(12, 30)
    incident.steps += (
        IncidentStep(at=again_at, event="reopened", by=by),
        IncidentStep(at=again_at + 3 * MINUTE, event="acknowledged", by=by),
        IncidentStep(at=again_at + plot.chance.minutes(30, 70), event="resolved", by=by),
    )
    bad.recovered_at = incident.steps[-1].at


def rolled_back(plot: Plot, at: datetime) -> None:
    """The version before comes back first, the incident is resolved afterwards."""
    target = plot.live
    bad = ship(plot, at)
    incident = _break(plot, bad, resolved_after=plot.chance.minutes(75, 110))
    rollback = plot.deploy(
        incident.opened_at + plot.chance.minutes(20, 35), kind="rollback", creator=bad.creator, sha=target.sha
    )
    bad.recovered_at = rollback.finished_at


def switched_off(plot: Plot, at: datetime) -> None:
    """A flag ends the incident; the rollback comes later and recovers nothing."""
    target = plot.live
    bad = ship(plot, at)
    _break(plot, bad, resolved_after=plot.chance.minutes(12, 20))
    plot.deploy(bad.ended_at + plot.chance.minutes(60, 80), kind="rollback", creator=bad.creator, sha=target.sha)


def unnoticed(plot: Plot, at: datetime) -> None:
    """A broken deployment that nobody sees until the next one is out."""
    ship(plot, at)


def noticed_late(plot: Plot, at: datetime) -> None:
    """Back over two deployments to the one before the broken one; no incident was ever opened."""
    bad = plot.live
    target = _live_before(plot, bad)
    latest = ship(plot, at)
    rollback = plot.deploy(at + 90 * MINUTE, kind="rollback", creator=latest.creator, sha=target.sha)
    bad.failed, bad.failure = True, "Wrong results found by hand"
    bad.recovered_at = rollback.finished_at


def hotfixed(plot: Plot, at: datetime) -> None:
    _fix(plot, at, prefix="hotfix", label="")


def hotfixed_by_label(plot: Plot, at: datetime) -> None:
    _fix(plot, at, prefix="fix", label="hotfix")


def _fix(plot: Plot, at: datetime, *, prefix: str, label: str) -> None:
    bad = ship(plot, at)
    incident = _break(plot, bad, resolved_after=plot.chance.minutes(90, 120))
    merged_at = incident.opened_at + plot.chance.minutes(30, 40)
    change = plot.change(merged_at, prefix=prefix, label=label, coding=11 * MINUTE)
    plot.merge(change, merged_at)
    fix = plot.deploy(plot.repository.main[-1].at + 2 * MINUTE, kind="hotfix", creator=bad.creator)
    bad.recovered_at = fix.finished_at


def quiet_incident(plot: Plot) -> None:
    """Something else breaks more than a day after any deployment: no deployment is to blame."""
    ends = [deployment.ended_at for deployment in plot.repository.production()]
    before = next(a for a, b in pairwise(ends) if b - a > QUIET_GAP)
    opened_at = before + 25 * HOUR + plot.chance.minutes(0, 300)
    plot.incident(_steps(plot, opened_at, opened_at + plot.chance.minutes(20, 90)), cause=None)


def _break(plot: Plot, bad: Deployment, *, resolved_after: timedelta) -> Incident:
    opened_at = bad.ended_at + plot.chance.minutes(4, 20)
    incident = plot.incident(_steps(plot, opened_at, opened_at + resolved_after), cause=bad)
    bad.recovered_at = incident.steps[-1].at
    return incident


def _steps(plot: Plot, opened_at: datetime, resolved_at: datetime) -> list[IncidentStep]:
    """Opened, acknowledged, perhaps noted or escalated, resolved."""
    team = plot.service.team.members
    by, span = plot.chance.one_of(team), resolved_at - opened_at
    steps = [IncidentStep(at=opened_at, event="triggered", by=None)]
    if plot.chance.happens(0.3):
        steps.append(IncidentStep(at=opened_at + 80 * SECOND, event="escalated", by=None))
    steps.append(IncidentStep(at=opened_at + plot.chance.minutes(2, 5), event="acknowledged", by=by))
    if plot.chance.happens(0.4):
        note = plot.chance.one_of(words.INCIDENT_NOTES)
        steps.append(IncidentStep(at=_at(opened_at, span, 0.6), event="annotated", by=by, note=note))
    if plot.chance.happens(0.2):
        steps.append(IncidentStep(at=_at(opened_at, span, 0.7), event="priority_updated", by=by))
    return [*steps, IncidentStep(at=resolved_at, event="resolved", by=by)]


def _at(start: datetime, span: timedelta, share: float) -> datetime:
    return start + timedelta(seconds=round(span.total_seconds() * share))


def _live_before(plot: Plot, deployment: Deployment) -> Deployment:
    production = plot.repository.production()
    return production[[d is deployment for d in production].index(True) - 1]


BEATS: dict[str, Callable[[Plot, datetime], object]] = {
    "ship": ship,
    "redeployed": redeployed,
    "retried": retried,
    "retried_in_place": retried_in_place,
    "stuck": stuck,
    "endured": endured,
    "reopened": reopened,
    "rolled_back": rolled_back,
    "switched_off": switched_off,
    "unnoticed": unnoticed,
    "noticed_late": noticed_late,
    "hotfixed": hotfixed,
    "hotfixed_by_label": hotfixed_by_label,
}


def play(plot: Plot, *, until: datetime) -> None:
    """Run the service's script over the working days between its birth and ``until``."""
    open_books(plot)
    script = SCRIPTS[plot.service.name]
    for beat, at in zip(script, _slots(plot, len(script), until), strict=True):
        BEATS[beat](plot, at)
    quiet_incident(plot)


def _slots(plot: Plot, count: int, until: datetime) -> list[datetime]:
    """One moment on each of ``count`` different working days, in order."""
    first = (plot.repository.born_at + DAY + 12 * HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [first + n * DAY for n in range((until - first).days)]
    working = [day for day in days if day.weekday() < 5]
    chosen = sorted(plot.chance.some_of(working, count))
    return [day + 10 * HOUR + plot.chance.minutes(0, 5 * 60) for day in chosen]
