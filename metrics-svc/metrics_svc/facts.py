"""Events to rows of facts. Pure. A row keeps the platform's own references and the delivery that told of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from shared.contracts.envelope import rfc3339
from shared.contracts.events import (
    Change,
    ChangeReady,
    ChangeReviewed,
    CommitsPushed,
    Deployment,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    Event,
    Incident,
    IncidentNoted,
    IncidentOpened,
    IncidentResolved,
)

Row: TypeAlias = dict[str, object]
Fact: TypeAlias = Change | CommitsPushed | Deployment | Incident

# A position orders commits on a branch: the second of the push, then the place in it.
POSITIONS_PER_SECOND = 10_000

_STATES = ("open", "closed", "merged")
_TERMINAL = ("succeeded", "failed", "cancelled")


def changes(events: Sequence[Fact]) -> list[Row]:
    return [_change(event) for event in events if isinstance(event, Change)]


def commits(events: Sequence[Fact]) -> list[Row]:
    return [row for push in _pushes(events) for row in _commits(push)]


def landed(events: Sequence[Fact]) -> list[tuple[str, str]]:
    """(repository, sha) of what was pushed to default branches."""
    return sorted(
        {(push.repository, sha) for push in _pushes(events) if _on_default(push) for sha, _, _ in _listed(push)}
    )


def pushed(events: Sequence[Fact]) -> list[tuple[str, str, int]]:
    """(repository, branch, first position) of pushes to other branches."""
    return sorted({(push.repository, push.branch, _start(push)) for push in _pushes(events) if not _on_default(push)})


def deployments(events: Sequence[Fact]) -> list[Row]:
    return [_deployment(event) for event in events if isinstance(event, Deployment)]


def incidents(events: Sequence[Fact]) -> list[Row]:
    return [_incident(event) for event in events if isinstance(event, Incident)]


def transitions(events: Sequence[Fact]) -> list[Row]:
    return [
        _transition(event) for event in events if isinstance(event, Incident) and not isinstance(event, IncidentNoted)
    ]


def _change(event: Change) -> Row:
    """Some platforms send a shortened change with a review: any other report of it is newer than that."""
    merged = event.state == "merged"
    return {
        "id": f"{event.source}:{event.repository}:{event.number}",
        "source": event.source,
        "repository": event.repository,
        "number": event.number,
        "title": event.title,
        "author": event.author,
        "author_kind": event.author_kind,
        "state": event.state,
        "draft": event.draft,
        "base_ref": event.base_ref,
        "head_ref": event.head_ref,
        "head_sha": event.head_sha,
        "merge_sha": event.merge_sha if merged else None,
        "opened_at": event.opened_at,
        "ready_at": event.occurred_at if isinstance(event, ChangeReady) else None,
        "merged_at": event.merged_at if merged else None,
        "closed_at": event.closed_at,
        "additions": event.additions,
        "deletions": event.deletions,
        "changed_files": event.changed_files,
        "labels": event.labels,
        "url": event.url,
        "version": _version(event, complete=not isinstance(event, ChangeReviewed), rank=_rank(event.state)),
        "delivery": event.delivery,
    }


def _pushes(events: Sequence[Fact]) -> list[CommitsPushed]:
    """Tags are no branch: they are left out."""
    return [event for event in events if isinstance(event, CommitsPushed) and event.branch]


def _commits(push: CommitsPushed) -> list[Row]:
    return [
        {
            "repository": push.repository,
            "sha": sha,
            "branch": push.branch,
            "position": _start(push) + min(index, POSITIONS_PER_SECOND - 1),
            "on_default": _on_default(push),
            "authored_at": authored_at,
            "author": author,
            "source": push.source,
            "delivery": push.delivery,
        }
        for index, (sha, authored_at, author) in enumerate(_listed(push))
    ]


def _listed(push: CommitsPushed) -> list[tuple[str, datetime | None, str]]:
    """The head is there even when the platform didn't list it (a known commit, or a list cut short)."""
    listed: list[tuple[str, datetime | None, str]] = [(c.sha, c.authored_at, c.author) for c in push.commits]
    if all(commit.sha != push.after for commit in push.commits):
        listed.append((push.after, None, ""))
    return listed


def _start(push: CommitsPushed) -> int:
    return int(push.occurred_at.timestamp()) * POSITIONS_PER_SECOND


def _on_default(push: CommitsPushed) -> bool:
    return push.branch == push.default_branch


def _deployment(event: Deployment) -> Row:
    finish = event if isinstance(event, DeploymentFinished) and event.outcome in _TERMINAL else None
    return {
        "id": f"{event.source}:{event.repository}:{event.deployment_id}",
        "source": event.source,
        "repository": event.repository,
        "deployment_id": event.deployment_id,
        "environment": event.environment,
        "sha": event.sha,
        "ref": event.ref,
        "creator": event.creator,
        "url": event.url,
        "requested_at": event.occurred_at if isinstance(event, DeploymentRequested) else None,
        "started_at": event.occurred_at if isinstance(event, DeploymentStarted) else None,
        "outcome": finish.outcome if finish else None,
        "finished_at": finish.occurred_at if finish else None,
        "finish_version": _version(finish) if finish else None,
        "version": _version(event, complete=bool(event.sha)),
        "delivery": event.delivery,
    }


def _incident(event: Incident) -> Row:
    opened = event.occurred_at if isinstance(event, IncidentOpened) else None
    return {
        "id": _incident_id(event),
        "source": event.source,
        "incident_id": event.incident_id,
        "number": event.number,
        "title": event.title,
        "status": event.status,
        "urgency": event.urgency,
        "service_id": event.service_id,
        "service_name": event.service_name,
        "url": event.url,
        "opened_at": event.opened_at or opened,
        "version": _version(event, complete=bool(event.service_id or event.service_name)),
        "delivery": event.delivery,
    }


def _transition(event: Incident) -> Row:
    return {
        "incident": _incident_id(event),
        "occurred_at": event.occurred_at,
        "kind": event.kind.removeprefix("incident."),
        "reason": event.reason if isinstance(event, IncidentResolved) else "",
        "delivery": event.delivery,
    }


def _incident_id(event: Incident) -> str:
    return f"{event.source}:{event.incident_id}"


def _version(event: Event, *, complete: bool = True, rank: int = 0) -> str:
    """Sorts as reports of one thing do: complete ones, then by time, then the further state; the id breaks ties."""
    return f"{int(complete)} {rfc3339(event.occurred_at)} {rank} {event.id}"


def _rank(state: str) -> int:
    return _STATES.index(state) if state in _STATES else 0
