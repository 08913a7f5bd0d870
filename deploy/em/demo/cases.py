"""Edge cases of delivery metrics: what the story shows, what it expects there, and what the service says. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from em.demo.cast import CONFIG_REPOSITORY, HANDED_OVER, TEAMS, handed_over_at
from em.demo.facts import Change, Deployment, Incident, Repository, Shown
from em.demo.payloads import argocd, heroku, report
from em.demo.story import Story
from em.demo.truth import expected_of_team

List = Literal["deployments", "changes", "incidents", "teams"]
Row = Mapping[str, Any]
# Of one id there may be several, of a service each.
Key = tuple[str, str | None]
Found = Mapping[List, Mapping[Key, Row]]

TOLERANCE_S = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A row of one of the service's lists, or a team's numbers, as far as the case goes; None where it must not be."""

    case: str
    service: str
    at: datetime
    where: List
    id: str
    row: Row | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An edge case with all that shows it; ``differs`` says what is not as expected."""

    name: str
    service: str
    at: datetime
    times: int
    differs: Sequence[str] = ()


def expected_cases(story: Story) -> list[Expected]:
    shown = [_expected(shown, repository) for repository in story.repositories for shown in repository.shown]
    return [*shown, *_handed_over(story)]


def numbers_of(metrics: Mapping[str, Mapping[str, Any]]) -> Row:
    """A team's numbers as one row."""
    return {name: (metric["value"], metric["n"]) for name, metric in metrics.items()}


def compared(expected: Iterable[Expected], found: Found) -> list[Case]:
    """By the name of the case, with the first that shows it."""
    told = sorted(expected, key=lambda each: (each.case, each.at, each.id))
    return [_case(name, list(group), found) for name, group in groupby(told, key=lambda each: each.case)]


def _case(name: str, group: Sequence[Expected], found: Found) -> Case:
    differs = [
        f"{each.service} {each.id} is {_told(each, row)}, expected {dict(each.row) if each.row else None}"
        for each in group
        for row in [found[each.where].get((each.id, each.service))]
        if not _agrees(each.row, row)
    ]
    return Case(name=name, service=group[0].service, at=group[0].at, times=len(group), differs=differs)


def _told(expected: Expected, row: Row | None) -> Row | None:
    return row and {name: row[name] for name in expected.row or ("kind", "failed") if name in row}


def _agrees(expected: Row | None, row: Row | None) -> bool:
    if expected is None or row is None:
        return expected is row
    return all(_same(value, row.get(name)) for name, value in expected.items())


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, tuple) and isinstance(found, tuple):
        return all(_same(*pair) for pair in zip(expected, found, strict=True))
    if isinstance(expected, float) and isinstance(found, float):
        return abs(expected - found) < TOLERANCE_S
    return bool(expected == found)


# ---- what the story expects --------------------------------------------------------------------------------------


def _expected(shown: Shown, repository: Repository) -> Expected:
    match shown.by:
        case Deployment():
            where, at, name, row = _deployment(shown.by)
        case Change():
            where, at, name, row = _change(shown, shown.by, repository.deployments)
        case Incident():
            where, at, name, row = _incident(shown, shown.by)
    return Expected(case=shown.case, service=repository.service.name, at=at, where=where, id=name, row=row)


def _handed_over(story: Story) -> list[Expected]:
    """What happened before counts for the team that had the service then."""
    at = handed_over_at(story.end)
    return [
        Expected(
            case="a service that another team had before",
            service="",
            at=at,
            where="teams",
            id=team.name,
            row=numbers_of(expected_of_team(story, team, HANDED_OVER, at)),
        )
        for team in TEAMS
    ]


def _deployment(deployment: Deployment) -> tuple[List, datetime, str, Row | None]:
    row = {
        "kind": deployment.kind,
        "seed": deployment.seed,
        "failed": deployment.failed,
        "recovery_s": (deployment.recovered_at - deployment.ended_at).total_seconds()
        if deployment.recovered_at
        else None,
    }
    counts = deployment.finished_at is not None and deployment.environment == "production"
    return "deployments", deployment.ended_at, _deployment_id(deployment), row if counts else None


def _change(shown: Shown, change: Change, deployments: Sequence[Deployment]) -> tuple[List, datetime, str, Row | None]:
    carrier = next((d for d in deployments if any(each is change for each in d.ships)), None)
    leads = carrier is not None and any(each is change for each in carrier.leads)
    row: dict[str, Any] = {
        "deployment": carrier and _deployment_id(carrier),
        "lead_time_s": carrier.lead_time_s(change) if carrier and leads else None,
    }
    if shown.method:
        row["method"] = shown.method
    if shown.author_class:
        row["author_class"] = shown.author_class
    at = change.merged_at or change.opened_at
    return "changes", at, f"github:{change.repository}:{change.number}", None if change.nobodys else row


def _incident(shown: Shown, incident: Incident) -> tuple[List, datetime, str, Row | None]:
    row = {"deployment": incident.cause and _deployment_id(incident.cause), "method": shown.method}
    return "incidents", incident.opened_at, f"{'report' if incident.named else 'pagerduty'}:{incident.id}", row


def _deployment_id(deployment: Deployment) -> str:
    """As metrics-svc names it. A rollout to regions is called like the last that got there."""
    service = deployment.service
    match deployment.reporter:
        case "report":
            return f"report:{service.full_name}:{report.deployment_id(deployment)}"
        case "argocd" if deployment.told_by:
            started_at = deployment.created_at.isoformat()
            return f"argocd:{service.full_name}:{argocd.uid(service, deployment.environment)}:{started_at}"
        case "github":
            return f"github:{service.full_name}:{deployment.id}"
        case "heroku":
            return f"heroku::{heroku.app_id(service)}:{deployment.id}"
        case "argocd":
            last = [sync for sync in deployment.syncs if sync.succeeded][-1]
            uid = argocd.uid(service, last.environment)
            return f"argocd:{CONFIG_REPOSITORY}:{uid}:{last.started_at.isoformat()}"
