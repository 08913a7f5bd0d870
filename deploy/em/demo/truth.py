"""The five metrics as the story itself knows them, from what it decided and not from any delivery."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from em.demo.facts import Deployment, Repository
from em.demo.story import Story

Metric = dict[str, float | int | None]
SECONDS_PER_DAY = 86_400


def expected_dora(story: Story) -> dict[str, dict[str, Metric]]:
    """``{service: {metric: {"value", "n"}}}`` for [story.start, story.end); seconds and shares."""
    return {repository.service.name: _of(repository, story) for repository in story.repositories}


def _of(repository: Repository, story: Story) -> dict[str, Metric]:
    deployments = [d for d in repository.production() if d.kind != "redeploy"]
    shipped = [d for d in deployments if _within(d.finished_at, story)]
    lead_times = [
        (d.ended_at - change.first_commit_at).total_seconds() for d in shipped if not d.seed for change in d.ships
    ]
    recoveries = [
        (d.recovered_at - d.ended_at).total_seconds()
        for d in deployments
        if d.failed and d.recovered_at and _within(d.recovered_at, story)
    ]
    days = (story.end - story.start).total_seconds() / SECONDS_PER_DAY
    failed = sum(d.failed for d in shipped)
    rework = sum(d.kind in ("rollback", "hotfix") for d in shipped)
    return {
        "change_lead_time": _middle(lead_times),
        "deployment_frequency": {"value": len(shipped) / days, "n": len(shipped)},
        "change_fail_rate": _share(failed, shipped),
        "failed_deployment_recovery_time": _middle(recoveries),
        "deployment_rework_rate": _share(rework, shipped),
    }


def _within(at: datetime | None, story: Story) -> bool:
    return at is not None and story.start <= at < story.end


def _middle(samples: list[float]) -> Metric:
    return {"value": median(samples) if samples else None, "n": len(samples)}


def _share(part: int, whole: Sequence[Deployment]) -> Metric:
    return {"value": part / len(whole) if whole else None, "n": len(whole)}
