"""Events to rows of facts. Pure. A row keeps the platform's own references: what they mean is asked of the catalog."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from approvals_svc.plain import plain
from shared.catalog.authorship import trailers
from shared.contracts.envelope import rfc3339
from shared.contracts.events import (
    Alert,
    AlertFired,
    AlertResolved,
    Change,
    ChangeReviewed,
    Commit,
    CommitsPushed,
    DeploymentFinished,
    Event,
    Incident,
    IncidentNoted,
    IncidentResolved,
    MetricChanged,
    QualityReported,
    Ticket,
)

Row: TypeAlias = dict[str, object]
Fact: TypeAlias = (
    Change | CommitsPushed | DeploymentFinished | Incident | Alert | QualityReported | Ticket | MetricChanged
)

POSITIONS_PER_SECOND = 10_000
TEXT_MAX_CHARACTERS = 255
FILES_MAX = 1000
PATH_MAX_CHARACTERS = 1000
_STATES = ("open", "closed", "merged")
_ENDS = ("succeeded", "failed", "cancelled")


def rows_of(events: Sequence[Fact], *, now: datetime) -> dict[str, list[Row]]:
    """Rows by table; `now` stands for an arrival that nobody told."""
    found: dict[str, list[Row]] = {}
    for event in events:
        for table, row in _rows(event):
            row["known_at"] = max(event.received_at or now, event.occurred_at)
            found.setdefault(table, []).append(row)
    return found


def _rows(event: Fact) -> list[tuple[str, Row]]:
    match event:
        case Change():
            return [("change", _change(event))]
        case CommitsPushed():
            listed = enumerate(event.commits) if event.branch else ()
            return [("branch_commit", _commit(event, commit, index)) for index, commit in listed]
        case DeploymentFinished():
            return [("deployment", _deployment(event))] if event.outcome in _ENDS else []
        case Incident():
            return [("incident", _incident(event)), *_recovery(event, event.incident_id, "")]
        case Alert():
            return [("incident", _alert(event)), *_recovery(event, event.alert_id, _rule(event))]
        case QualityReported():
            return [("quality", _quality(event))]
        case Ticket():
            return [("ticket", _ticket(event))]
        case MetricChanged():
            return [("service_day", _day(event))]


def _change(event: Change) -> Row:
    """Some platforms send a shortened change with a review: any other report of it is newer than that."""
    rank = _STATES.index(event.state) if event.state in _STATES else 0
    return {
        "source": event.source,
        "repository": _text(event.repository),
        "number": event.number,
        "title": _text(event.title),
        "author": _text(event.author),
        "author_kind": _text(event.author_kind),
        "state": _text(event.state),
        "head_ref": _text(event.head_ref),
        "head_sha": _text(event.head_sha),
        "merge_sha": _text(event.merge_sha) if event.merge_sha and event.state == "merged" else None,
        "additions": event.additions,
        "deletions": event.deletions,
        "labels": sorted({_text(label) for label in event.labels}),
        "url": _text(event.url),
        "told_at": event.occurred_at,
        "version": _version(event, complete=not isinstance(event, ChangeReviewed), rank=rank),
    }


def _commit(push: CommitsPushed, commit: Commit, index: int) -> Row:
    return {
        "source": push.source,
        "repository": _text(push.repository),
        "branch": _text(push.branch),
        "sha": _text(commit.sha),
        "position": int(push.occurred_at.timestamp()) * POSITIONS_PER_SECOND + min(index, POSITIONS_PER_SECOND - 1),
        "on_default": push.branch == push.default_branch,
        "title": _text(commit.message.partition("\n")[0]),
        "author": _text(commit.author),
        "trailers": list(map(_text, trailers(commit.message))),
        "files": _files(commit),
        "push_before": _text(push.before),
        "push_after": _text(push.after),
    }


def _files(commit: Commit) -> list[str] | None:
    """Too many to keep, or with a name that can't be shown: then they are not known."""
    if commit.files is None or len(commit.files) > FILES_MAX:
        return None
    return list(commit.files) if all(_is_shown(path) for path in commit.files) else None


def _is_shown(path: str) -> bool:
    return path.isprintable() and len(path) <= PATH_MAX_CHARACTERS


def _deployment(event: DeploymentFinished) -> Row:
    return {
        "source": event.source,
        "repository": _text(event.repository),
        "deployment_id": _text(event.deployment_id),
        "environment": _text(event.environment),
        "sha": _text(event.sha),
        "ref": _text(event.ref),
        "rollback": event.rollback,
        "url": _text(event.url),
        "outcome": event.outcome,
        "finished_at": event.occurred_at,
        "version": _version(event),
    }


def _incident(event: Incident) -> Row:
    """A note says nothing of whether it goes on."""
    return {
        "source": event.source,
        "incident_id": _text(event.incident_id),
        "rule": "",
        "title": _text(event.title),
        "urgency": _text(event.urgency),
        "service_id": _text(event.service_id),
        "service_name": _text(event.service_name),
        "caused_by": _text(event.caused_by),
        "url": _text(event.url),
        "opened_at": event.opened_at or event.occurred_at,
        "version": _version(event, complete=bool(event.title) + bool(event.service_id or event.service_name)),
        "turned": "" if isinstance(event, IncidentNoted) else _version(event),
        "is_open": not isinstance(event, IncidentResolved),
    }


def _alert(event: Alert) -> Row:
    return {
        "source": event.source,
        "incident_id": _text(event.alert_id),
        "rule": _rule(event),
        "title": _text(event.title),
        "urgency": _text(event.severity),
        "service_id": "",
        "service_name": _text(event.service_name),
        "caused_by": "",
        "url": _text(event.url),
        "opened_at": event.fired_at or event.occurred_at,
        "version": _version(event, complete=bool(event.title)),
        "turned": _version(event),
        "is_open": isinstance(event, AlertFired),
    }


def _rule(event: Alert) -> str:
    """Where a platform names none, the title."""
    return _text(event.rule or event.title) or "alert"


def _recovery(event: Incident | Alert, incident_id: str, rule: str) -> list[tuple[str, Row]]:
    """An incident that was merged into another one went on there."""
    if not isinstance(event, IncidentResolved | AlertResolved):
        return []
    if isinstance(event, IncidentResolved) and event.reason == "merged":
        return []
    row: Row = {"source": event.source, "incident_id": _text(incident_id), "rule": rule, "at": event.occurred_at}
    return [("recovery", row)]


def _quality(event: QualityReported) -> Row:
    return {
        "source": event.source,
        "project": _text(event.project),
        "branch": _text(event.branch),
        "sha": _text(event.sha),
        "repository": _text(event.repository),
        "coverage": event.coverage,
        "coverage_base": event.coverage_base,
        "gate": _text(event.gate),
        "url": _text(event.url),
        "told_at": event.occurred_at,
        "version": _version(event),
    }


def _ticket(event: Ticket) -> Row:
    """Its key changes where it moves to another project, and its id does not."""
    return {
        "source": event.source,
        "ticket_id": _text(event.ticket_id or f"{event.project}:{event.key}"),
        "key": _text(event.key),
        "title": _text(event.title),
        "state": _text(event.state),
        "url": _text(event.url),
        "version": _version(event),
    }


def _day(event: MetricChanged) -> Row:
    numbers = event.after
    return {
        "service": _text(event.service),
        "environment": _text(event.environment),
        "day": event.day,
        "revision": event.revision,
        "deployments": numbers.deployments if numbers else 0,
        "failed": numbers.failed if numbers else 0,
    }


def _version(event: Event, *, complete: int = 1, rank: int = 0) -> str:
    """Sorts as reports of one thing do: complete ones, then by time, then the further state; the id breaks ties."""
    return f"{complete:d} {rfc3339(event.occurred_at)} {rank} {event.id}"


def _text(text: str) -> str:
    return plain(text, characters_max=TEXT_MAX_CHARACTERS)
