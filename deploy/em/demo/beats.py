"""The script of each service: in which order its deployments go well, fail, are rolled back or fixed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from em.demo import words
from em.demo.cast import ROBOT
from em.demo.facts import Change, Deployment, Incident, IncidentStep
from em.demo.plot import DAY, HOUR, MINUTE, SECOND, STAGING_LEAD, Plot

MERGE_MARGIN = STAGING_LEAD + 6 * MINUTE
QUIET_GAP = 40 * HOUR

SCRIPTS: dict[str, tuple[str, ...]] = {
    "checkout": (
        *("ship", "ship", "ship", "rolled_back", "ship", "ship", "redeployed", "ship", "retried", "ship"),
        *("hotfixed", "ship", "ship", "switched_off", "ship", "unnoticed", "noticed_late", "ship", "ship"),
        *("stuck", "ship", "endured", "reverted", "ship", "undone_at_once", "squashed", "assisted", "told_late"),
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
        *("promoted", "ship", "forced", "ship", "traced", "robotic", "ship"),
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
        *("told_twice", "ship", "ship", "skewed", "endured", "ship", "told_twice"),
    ),
    "storefront": (
        *("ship", "region_retried", "ship", "region_skipped", "ship", "rolled_back", "ship", "hotfixed", "ship"),
        *("endured", "ship", "ship"),
    ),
    "mailer": ("woken", "configured", "ship", "rolled_back_by_name"),
    "payouts": ("ship", "untouched", "ship", "rolled_back", "ship", "hotfixed", "endured", "ship"),
    "invoices": ("ship", "shared", "ship", "rolled_back", "ship", "hotfixed"),
    "kiosk": ("ship", "together", "other_alone", "ship", "named", "rolled_back", "listed", "hotfixed", "together"),
}
WRONG_CLOCK = 3 * HOUR
CO_AUTHOR = "Co-authored-by: Copilot <copilot@github.com>"


def open_books(plot: Plot) -> None:
    """The first deployment ever: what merged before it has no lead time to tell."""
    born_at = plot.repository.born_at
    for each in (plot, plot.other):
        if each:
            each.edge = born_at + HOUR
            each.batch(born_at + 4 * HOUR, 2)
    first = plot.release_train(born_at + 5 * HOUR, gated=False, together=True)
    plot.show("the first deployment of all", first)
    for change in first.ships:
        plot.show("carried by the first deployment", change)
    for staging in (d for d in plot.repository.deployments if d.environment == "staging"):
        plot.show("an environment that is not production", staging)


def ship(plot: Plot, at: datetime) -> Deployment:
    plot.batch(at - MERGE_MARGIN, plot.chance.one_of((1, 2, 2, 3, 3, 4, 5)))
    return plot.release_train(at)


def redeployed(plot: Plot, at: datetime) -> None:
    live = ship(plot, at)
    again = plot.deploy(at + 2 * HOUR, kind="redeploy", creator=live.creator, sha=live.sha)
    plot.show("a redeploy of what is live", again)


def retried(plot: Plot, at: datetime) -> None:
    """The pipeline fails; a new deployment of the same sha goes through."""
    attempt = stuck(plot, at)
    again = plot.deploy(attempt.ended_at + 20 * MINUTE, kind="normal", creator=attempt.creator, sha=attempt.sha)
    plot.show("a retry after a failure", again)


def retried_in_place(plot: Plot, at: datetime) -> None:
    deployment = ship(plot, at)
    plot.retry_in_place(deployment)
    plot.show("a retry in place", deployment)


def stuck(plot: Plot, at: datetime) -> Deployment:
    """The pipeline fails and nobody tries again: what merged waits for the next deployment."""
    plot.batch(at - MERGE_MARGIN, plot.chance.number(1, 3))
    attempt = plot.release_train(at, gated=False, outcome="failure")
    plot.show("a pipeline that failed", attempt)
    return attempt


def endured(plot: Plot, at: datetime) -> None:
    """The service suffers until somebody repairs it by hand; no deployment mends it."""
    bad = ship(plot, at)
    incident = _break(plot, bad, resolved_after=plot.chance.minutes(35, 150))
    plot.show("an incident soon after a deployment", incident, method="same_service")


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
    plot.show("an incident that is reopened", bad)


def rolled_back(plot: Plot, at: datetime) -> None:
    """The version before comes back first, the incident is resolved afterwards."""
    target = plot.live
    bad = ship(plot, at)
    incident = _break(plot, bad, resolved_after=plot.chance.minutes(75, 110))
    rollback = plot.deploy(
        incident.opened_at + plot.chance.minutes(20, 35), kind="rollback", creator=bad.creator, sha=target.sha
    )
    bad.recovered_at = rollback.finished_at
    plot.show("a rollback", rollback)
    plot.show("failed, and recovered by its rollback", bad)


def switched_off(plot: Plot, at: datetime) -> None:
    """A flag ends the incident; the rollback comes later and recovers nothing."""
    target = plot.live
    bad = ship(plot, at)
    _break(plot, bad, resolved_after=plot.chance.minutes(12, 20))
    plot.show("an incident over before its rollback", bad)
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
    plot.show("a rollback over two versions", bad)
    plot.show("the one in between did not fail", latest)


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
    plot.show(f"a hotfix, by its {'label' if label else 'branch'}", fix)


def reverted(plot: Plot, at: datetime) -> None:
    """A change is undone by a change of its own; nobody was paged."""
    plot.batch(at - MERGE_MARGIN - 20 * MINUTE, 1)
    original = _titled(plot, at - MERGE_MARGIN, "Show prices with tax")
    bad = plot.release_train(at)
    undo = _titled(plot, bad.ended_at + 2 * HOUR, f'Revert "{original.title}"', coding=11 * MINUTE)
    fix = plot.deploy(plot.repository.main[-1].at + 2 * MINUTE, kind="revert", creator=bad.creator)
    bad.failed, bad.failure, bad.recovered_at = True, "Prices with tax were wrong", fix.finished_at
    plot.show("a revert", fix)
    plot.show("failed, as a revert says", bad)
    plot.show("the change that reverts", undo, method="branch_position")


def undone_at_once(plot: Plot, at: datetime) -> None:
    """Merged and reverted before anybody deployed it."""
    original = _titled(plot, at - MERGE_MARGIN - 20 * MINUTE, "Sort wishes by price")
    _titled(plot, at - MERGE_MARGIN, f'Revert "{original.title}"', coding=11 * MINUTE)
    plot.show("a change and its revert at once", plot.release_train(at))


def squashed(plot: Plot, at: datetime) -> None:
    change = plot.change(at - MERGE_MARGIN)
    plot.merge(change, at - MERGE_MARGIN, squash=True)
    plot.release_train(at)
    plot.show("a squash merge", change, method="branch_position")


def assisted(plot: Plot, at: datetime) -> None:
    change = plot.change(at - MERGE_MARGIN)
    plot.co_write(change, CO_AUTHOR)
    plot.merge(change, at - MERGE_MARGIN)
    plot.release_train(at)
    plot.show("written with an AI's help", change, author_class="ai_assisted")


def robotic(plot: Plot, at: datetime) -> None:
    change = plot.change(at - MERGE_MARGIN, prefix="pierbot", author=ROBOT, label="dependencies")
    plot.merge(change, at - MERGE_MARGIN)
    plot.release_train(at)
    plot.show("written by a bot", change, author_class="bot")


def forced(plot: Plot, at: datetime) -> None:
    change = plot.change(at - MERGE_MARGIN)
    plot.force(change, at - MERGE_MARGIN)
    plot.merge(change, at - MERGE_MARGIN)
    plot.release_train(at)
    plot.show("a branch that was force-pushed", change, method="branch_position")


def skewed(plot: Plot, at: datetime) -> None:
    change = plot.change(at - MERGE_MARGIN, coding=2 * HOUR)
    plot.put_clock_wrong(change, WRONG_CLOCK)
    plot.merge(change, at - MERGE_MARGIN)
    plot.release_train(at)
    plot.show("an author's clock that is ahead", change, method="branch_position")


def promoted(plot: Plot, at: datetime) -> None:
    """Deployed from a branch that main is merged into."""
    changes = plot.batch(at - MERGE_MARGIN, 2)
    push = plot.promote(plot.edge)
    creator = plot.live.creator
    plot.deploy(max(at, push.at + MINUTE), kind="normal", creator=creator, sha=push.after, ref="release")
    for change in changes:
        plot.show("a promotion branch", change, method="branch_graph")


def traced(plot: Plot, at: datetime) -> None:
    """It broke a day ago, and the note says by which commit."""
    bad = plot.live
    latest = ship(plot, at)
    opened_at = latest.ended_at + 10 * MINUTE
    resolved_at = opened_at + plot.chance.minutes(40, 60)
    by = plot.chance.one_of(plot.service.team.members)
    steps = [
        IncidentStep(at=opened_at, event="triggered", by=None),
        IncidentStep(at=opened_at + 3 * MINUTE, event="acknowledged", by=by),
        IncidentStep(
            at=opened_at + 25 * MINUTE,
            event="annotated",
            by=by,
            note=f"Root cause: {bad.sha[:12]}, bisected.",
        ),
        IncidentStep(at=resolved_at, event="resolved", by=by),
    ]
    incident = plot.incident(steps, cause=bad)
    incident.traced, bad.recovered_at = True, resolved_at
    plot.show("a note that names the cause", incident, method="note")
    plot.show("the one before it is not blamed", latest)


def told_twice(plot: Plot, at: datetime) -> None:
    """Argo CD tells of the same rollout."""
    deployment = ship(plot, at)
    deployment.told_twice = True
    plot.show("one rollout that two platforms report", deployment)


def told_late(plot: Plot, at: datetime) -> None:
    """Argo CD tells of the commit when its rollout has long been over: another one."""
    live = ship(plot, at)
    late = plot.deploy(
        live.ended_at + 40 * MINUTE, kind="redeploy", creator=live.creator, sha=live.sha, told_by="argocd"
    )
    plot.show("another platform's report of the commit, after more than 15 minutes", late)


def untouched(plot: Plot, at: datetime) -> None:
    """One change of the repository touches no service's folder, the others this one's."""
    changes = plot.batch(at - MERGE_MARGIN, 2)
    nobodys = plot.change(at - MERGE_MARGIN)
    plot.touch(nobodys, "README.md")
    plot.merged.remove(plot.merge(nobodys, at - MERGE_MARGIN))
    nobodys.nobodys = True
    plot.release_train(at)
    plot.show("a change of none of the services in its repository", nobodys)
    for change in changes:
        plot.show("a change of one of the services in its repository", change, method="digest_map")


def shared(plot: Plot, at: datetime) -> None:
    """A change of both services in the repository: each ships it in a deployment of its own."""
    neighbour = _neighbour(plot)
    change = plot.change(at - MERGE_MARGIN)
    plot.touch(change, *(f"{each.service.folder}/totals.txt" for each in (plot, neighbour)))
    plot.merge(change, at - MERGE_MARGIN)
    plot.release_train(at)
    later = max(at, neighbour.edge) + 2 * HOUR
    carrier = neighbour.carrier_after(change) or ship(neighbour, later)
    carrier.ships = (*carrier.ships, change)
    for each in (plot, neighbour):
        each.show("a change of several services in one repository", change, method="digest_map")


def _neighbour(plot: Plot) -> Plot:
    if plot.neighbour is None:
        raise ValueError(f"{plot.service.name} is alone in its repository")
    return plot.neighbour


def _other(plot: Plot) -> Plot:
    if plot.other is None:
        raise ValueError(f"{plot.service.name} has one repository")
    return plot.other


def together(plot: Plot, at: datetime) -> None:
    """Both repositories have something new, and one deployment brings it."""
    changes = [*plot.batch(at - MERGE_MARGIN, 2), *_other(plot).batch(at - MERGE_MARGIN, 2)]
    deployment = plot.release_train(at, together=True)
    plot.show("a deployment of several repositories", deployment)
    for change in changes:
        plot.show("carried by a deployment of several repositories", change, method="branch_position")


def other_alone(plot: Plot, at: datetime) -> None:
    changes = _other(plot).batch(at - MERGE_MARGIN, 2)
    live = plot.live
    deployment = plot.deploy(at, kind="normal", creator=live.creator, sha=live.sha, together=True)
    plot.show("one repository's new commit is no redeploy", deployment)
    for change in changes:
        plot.show("carried by a deployment of several repositories", change, method="branch_position")


def listed(plot: Plot, at: datetime) -> None:
    """The deployed commit is older than one change, the other's repository is not told of: the list names both."""
    plot.batch(at - MERGE_MARGIN, 1)
    older = plot.head
    changes = (*plot.batch(at - MERGE_MARGIN, 1), *_other(plot).batch(at - MERGE_MARGIN, 1))
    deployment = plot.deploy(max(at, plot.edge), kind="normal", creator=plot.live.creator, sha=older, listed=changes)
    plot.show("a deployment that lists its changes", deployment)
    for change in changes:
        plot.show("listed by the deployment", change, method="explicit_commits")


def named(plot: Plot, at: datetime) -> None:
    """Whoever reports the incident knows that not the latest deployment caused it."""
    bad = plot.live
    latest = ship(plot, at)
    opened_at = latest.ended_at + 10 * MINUTE
    resolved_at = opened_at + plot.chance.minutes(40, 60)
    steps = [
        IncidentStep(at=opened_at, event="triggered", by=None),
        IncidentStep(at=resolved_at, event="resolved", by=plot.chance.one_of(plot.service.team.members)),
    ]
    incident = plot.incident(steps, cause=bad)
    incident.named, bad.recovered_at = True, resolved_at
    plot.show("an incident that names its deployment", incident, method="explicit")
    plot.show("the one that it does not name", latest)


def region_retried(plot: Plot, at: datetime) -> None:
    """The second region fails: the rollout is one when it got there as well."""
    changes = plot.batch(at - MERGE_MARGIN, 2)
    deployment = plot.release_train(at, outcome="failure")
    plot.retry_region(deployment, deployment.ended_at + 30 * MINUTE)
    plot.show("a region that was tried again", deployment)
    for change in changes:
        plot.show("an image's tag names the commit", change, method="digest_map")


def region_skipped(plot: Plot, at: datetime) -> None:
    changes = plot.batch(at - MERGE_MARGIN, 2)
    plot.show("a region that never got it", plot.release_train(at, outcome="failure"))
    for change in changes:
        plot.show("carried by the next rollout", change, method="digest_map")


def woken(plot: Plot, at: datetime) -> None:
    """More than 60 days after the deployment before: what waited so long has no lead time."""
    deployment = ship(plot, at)
    deployment.long_gap = True
    plot.show("a deployment after more than 60 days", deployment)
    for change in deployment.ships:
        plot.show("carried after more than 60 days", change)


def configured(plot: Plot, at: datetime) -> None:
    live = plot.live
    release = plot.deploy(
        at, kind="redeploy", creator=live.creator, sha=live.sha, description="Set SMTP_TIMEOUT config vars"
    )
    plot.show("a release of configuration alone", release)


def rolled_back_by_name(plot: Plot, at: datetime) -> None:
    """Heroku calls it a rollback; the version is older than all that was seen."""
    bad = ship(plot, at)
    rollback = plot.deploy(
        at + HOUR, kind="rollback", creator=bad.creator, sha=plot.chance.sha(), description="Rollback to v1"
    )
    bad.failed, bad.failure, bad.recovered_at = True, "Receipts without totals", rollback.finished_at
    plot.show("a rollback by name", rollback)
    plot.show("failed, as a rollback by name says", bad)


def _titled(plot: Plot, merged_at: datetime, title: str, *, coding: timedelta | None = None) -> Change:
    change = plot.change(merged_at, prefix="feature", title=title, coding=coding)
    return plot.merge(change, merged_at)


def quiet_incident(plot: Plot) -> None:
    """Something else breaks more than a day after any deployment: no deployment is to blame."""
    ends = [deployment.ended_at for deployment in plot.repository.production()]
    before = next(a for a, b in pairwise(ends) if b - a > QUIET_GAP)
    opened_at = before + 25 * HOUR + plot.chance.minutes(0, 300)
    incident = plot.incident(_steps(plot, opened_at, opened_at + plot.chance.minutes(20, 90)), cause=None)
    plot.show("an incident that no deployment caused", incident, method="unlinked")


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
    "reverted": reverted,
    "undone_at_once": undone_at_once,
    "squashed": squashed,
    "assisted": assisted,
    "robotic": robotic,
    "forced": forced,
    "skewed": skewed,
    "promoted": promoted,
    "traced": traced,
    "told_twice": told_twice,
    "told_late": told_late,
    "untouched": untouched,
    "shared": shared,
    "together": together,
    "other_alone": other_alone,
    "listed": listed,
    "named": named,
    "region_retried": region_retried,
    "region_skipped": region_skipped,
    "woken": woken,
    "configured": configured,
    "rolled_back_by_name": rolled_back_by_name,
}


def play(plot: Plot, *, until: datetime) -> None:
    """Run the service's script over the working days between its birth and ``until``."""
    open_books(plot)
    script = SCRIPTS[plot.service.name]
    for beat, at in zip(script, _slots(plot, len(script), until), strict=True):
        BEATS[beat](plot, at)
    if not plot.service.sleeps_days:
        quiet_incident(plot)


def _slots(plot: Plot, count: int, until: datetime) -> list[datetime]:
    """One moment on each of ``count`` different working days, in order."""
    awake = plot.repository.born_at + plot.service.sleeps_days * DAY
    first = (awake + DAY + 12 * HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [first + n * DAY for n in range((until - first).days)]
    working = [day for day in days if day.weekday() < 5]
    chosen = sorted(plot.chance.some_of(working, count))
    return [day + 10 * HOUR + plot.chance.minutes(0, 5 * 60) for day in chosen]
