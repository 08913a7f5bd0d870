"""The five metrics as the story itself knows them, from what it decided and not from any delivery."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from em.demo.cast import HANDED_OVER_BY, SERVICES, Service, Team
from em.demo.facts import Deployment, Repository
from em.demo.story import Story

Metric = dict[str, float | int | None]
Span = tuple[datetime, datetime]
SECONDS_PER_DAY = 86_400
REWORK = ("rollback", "revert", "hotfix")


def expected_dora(story: Story) -> dict[str, dict[str, Metric]]:
    """``{service: {metric: {"value", "n"}}}`` for [story.start, story.end); seconds and shares."""
    whole = story.start, story.end
    return {service.name: _of([(_repositories(story, service), whole)], whole) for service in SERVICES}


def expected_of_team(story: Story, team: Team, handed_over: Service, at: datetime) -> dict[str, Metric]:
    """Over all samples of its services while they were its own."""
    had = {
        service.name: (story.start, story.end)
        for service in SERVICES
        if service.team is team and service is not handed_over
    }
    if team is handed_over.team:
        had[handed_over.name] = (at, story.end)
    elif team is HANDED_OVER_BY:
        had[handed_over.name] = (story.start, at)
    parts = [(_repositories(story, service), had[service.name]) for service in SERVICES if service.name in had]
    return _of(parts, (story.start, story.end))


def _repositories(story: Story, service: Service) -> list[Repository]:
    return [repository for repository in story.repositories if repository.service.name == service.name]


def _of(parts: Iterable[tuple[Sequence[Repository], Span]], whole: Span) -> dict[str, Metric]:
    """Of services, each in a time of its own."""
    shipped: list[Deployment] = []
    recoveries: list[float] = []
    for repositories, span in parts:
        deployments = [d for r in repositories for d in r.production() if d.kind != "redeploy"]
        shipped += [d for d in deployments if _within(d.finished_at, span)]
        recoveries += [
            (d.recovered_at - d.ended_at).total_seconds()
            for d in deployments
            if d.failed and d.recovered_at and _within(d.recovered_at, span)
        ]
    lead_times = [d.lead_time_s(change) for d in shipped for change in d.leads]
    days = (whole[1] - whole[0]).total_seconds() / SECONDS_PER_DAY
    failed = sum(d.failed for d in shipped)
    rework = sum(d.kind in REWORK for d in shipped)
    return {
        "change_lead_time": _middle(lead_times),
        "deployment_frequency": {"value": len(shipped) / days, "n": len(shipped)},
        "change_fail_rate": _share(failed, shipped),
        "failed_deployment_recovery_time": _middle(recoveries),
        "deployment_rework_rate": _share(rework, shipped),
    }


def expected_excluded(story: Story) -> dict[str, dict[str, int]]:
    """``{service: {reason: count}}``: what counts in no number, or not in lead time."""
    whole = story.start, story.end
    return {service.name: _excluded(_repositories(story, service), whole) for service in SERVICES}


def _excluded(repositories: Sequence[Repository], span: Span) -> dict[str, int]:
    deployments = [d for repository in repositories for d in repository.deployments]
    incidents = [i for repository in repositories for i in repository.incidents]
    done = [d for repository in repositories for d in repository.production()]
    production = [d for d in done if _within(d.finished_at, span)]
    shipped = [change for d in done for change in d.ships]
    changes = [c for r in repositories for c in r.changes if c.merge_sha and not c.nobodys]
    waiting = [c for c in changes if _within(c.merged_at, span) and not any(c is each for each in shipped)]
    parts = [sync for d in deployments for sync in [s for s in d.syncs if s.succeeded][: -1 if d.finished_at else None]]
    regions = repositories[0].service.regions
    counted = {
        "seed": sum(len(d.ships) for d in production if d.seed),
        "long_gap": sum(len(d.ships) for d in production if d.long_gap),
        "skewed": sum(c.clock_wrong for d in production if not d.seed for c in d.ships),
        "unlinked_changes": len(waiting),
        "unlinked_incidents": sum(i.cause is None and _within(i.opened_at, span) for i in incidents),
        "redeploys": sum(d.kind == "redeploy" for d in production),
        "unknown_environment": sum(d.environment == "staging" and _within(d.finished_at, span) for d in deployments),
        "not_authoritative": sum(d.told_twice for d in production),
        "other_regions": sum(s.environment in regions and _within(s.finished_at, span) for s in parts),
    }
    return {reason: count for reason, count in counted.items() if count}


def _within(at: datetime | None, span: Span) -> bool:
    return at is not None and span[0] <= at < span[1]


def _middle(samples: Sequence[float]) -> Metric:
    return {"value": median(samples) if samples else None, "n": len(samples)}


def _share(part: int, whole: Sequence[Deployment]) -> Metric:
    return {"value": part / len(whole) if whole else None, "n": len(whole)}
