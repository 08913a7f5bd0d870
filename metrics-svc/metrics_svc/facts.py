"""Events to rows of facts. Pure. A row keeps the platform's own references and the delivery that told of it."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from metrics_svc.meaning import origin
from shared.catalog.authorship import trailers
from shared.contracts.envelope import rfc3339
from shared.contracts.events import (
    Alert,
    AlertFired,
    AlertResolved,
    Build,
    Change,
    ChangeCommented,
    ChangeOpened,
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
    QualityReported,
    Ticket,
)

Row: TypeAlias = dict[str, object]
Fact: TypeAlias = (
    Change | ChangeCommented | CommitsPushed | Deployment | Incident | Alert | Build | Ticket | QualityReported
)

# A position orders commits on a branch: the second of the push, then the place in it.
POSITIONS_PER_SECOND = 10_000
# An author's clock may be that much ahead of the push; a later date is none.
SKEW_MAX = timedelta(minutes=5)

# How GitHub, GitLab, Gitea and Bitbucket name the change that undoes another one.
_REVERT_TITLE = re.compile(r'^Revert "(.+)"$', re.DOTALL)
_REVERT_BRANCH = re.compile(r"^revert-([0-9]{1,9})-")
# Images that are tagged by their commit: `shop:0a1b…`, `shop:main-0a1b…`, `shop:sha-0a1b…`.
_IMAGE_SHA = re.compile(r":(?:[A-Za-z0-9_.]+-)*([0-9a-f]{40})(?:@|$)")
# `shop@sha256:0a1b…`, and how a package URL (CDEvents) spells it.
_IMAGE_DIGEST = re.compile(r"@sha256(?::|%3[Aa])([0-9a-f]{64})")
# What git, GitHub, GitLab, Gitea and Bitbucket write into a commit that only brings branches together.
_MERGE = re.compile(r"Merged? (branch|remote-tracking branch|pull request|tag|commit|in) ")
_ROOT_CAUSE = re.compile(r"root[ -]cause:\s*([0-9a-f]{7,40})\b", re.IGNORECASE)

_STATES = ("open", "closed", "merged")
_TERMINAL = ("succeeded", "failed", "cancelled")


class _Listed(NamedTuple):
    """A commit of a push, as far as it is told."""

    sha: str
    authored_at: datetime | None = None
    author: str = ""
    trailers: tuple[str, ...] = ()
    merge: bool = False
    files: tuple[str, ...] | None = None


def changes(events: Sequence[Fact]) -> list[Row]:
    return [_change(event) for event in events if isinstance(event, Change)]


def reviews(events: Sequence[Fact]) -> list[Row]:
    """What people said of changes: comments among them."""
    return [_review(event) for event in events if isinstance(event, ChangeReviewed)] + [
        _comment(event) for event in events if isinstance(event, ChangeCommented)
    ]


def commented(events: Sequence[Fact]) -> set[str]:
    """Repositories of comments, which come without their change on some platforms."""
    return {event.repository for event in events if isinstance(event, ChangeCommented)}


def commits(events: Sequence[Fact]) -> list[Row]:
    return [row for push in _pushes(events) for row in _commits(push)]


def landed(events: Sequence[Fact]) -> list[tuple[str, str]]:
    """(repository, sha) of what was pushed."""
    return sorted({(push.repository, commit.sha) for push in _pushes(events) for commit in _listed(push)})


def pushed(events: Sequence[Fact]) -> list[tuple[str, str, int]]:
    """(repository, branch, first position) of pushes to other branches."""
    return sorted({(push.repository, push.branch, _start(push)) for push in _pushes(events) if not _on_default(push)})


def deployments(events: Sequence[Fact]) -> list[Row]:
    return [_deployment(event) for event in events if isinstance(event, Deployment)]


def told_of(event: Fact) -> str:
    """What names the service that an event is about: an origin, or an incident's id."""
    if isinstance(event, Deployment):
        return origin(event.source, event.repository, event.service_name)
    if isinstance(event, Incident):
        return _incident_id(event)
    if isinstance(event, Build | Ticket | QualityReported):
        return ""  # no deployment or day follows from these
    return _alert_id(event) if isinstance(event, Alert) else event.repository


def carried(events: Sequence[Fact]) -> list[Row]:
    """What deployments themselves say they carry. A commit is the same in whatever repository."""
    return [
        {"repository": repository, "item": item, "deployment": _deployment_id(event)}
        for event in events
        if isinstance(event, Deployment)
        for repository, item in _listed_items(event)
    ]


def causes(events: Sequence[Fact]) -> list[Row]:
    """What somebody says has caused an incident: in a field of its own, or as `root cause: <sha>` in a note."""
    told: list[Row] = []
    for event in events:
        if not isinstance(event, Incident):
            continue
        if event.caused_by:
            told.append({"incident": _incident_id(event), "item": event.caused_by, "method": "explicit"})
        if isinstance(event, IncidentNoted) and (noted := _ROOT_CAUSE.search(event.note)):
            told.append({"incident": _incident_id(event), "item": noted[1].lower(), "method": "note"})
    return told


def incidents(events: Sequence[Fact]) -> list[Row]:
    """Alerts beside them: which of those count is asked of the catalog."""
    return [_incident(event) for event in events if isinstance(event, Incident)] + [
        _alert(event) for event in events if isinstance(event, Alert)
    ]


def transitions(events: Sequence[Fact]) -> list[Row]:
    return [
        _transition(event) for event in events if isinstance(event, Incident) and not isinstance(event, IncidentNoted)
    ] + [_turn(event) for event in events if isinstance(event, Alert)]


def _change(event: Change) -> Row:
    """Some platforms send a shortened change with a review: any other report of it is newer than that."""
    merged = event.state == "merged"
    undone, titled = _REVERT_BRANCH.match(event.head_ref), _REVERT_TITLE.match(event.title)
    return {
        "id": _change_id(event),
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
        "opened_at": event.opened_at or (event.occurred_at if isinstance(event, ChangeOpened) else None),
        "ready_at": event.occurred_at if isinstance(event, ChangeReady) else None,
        "merged_at": event.merged_at if merged else None,
        "closed_at": event.closed_at or (event.occurred_at if event.state == "closed" else None),
        "additions": event.additions,
        "deletions": event.deletions,
        "changed_files": event.changed_files,
        "labels": event.labels,
        "url": event.url,
        "reverts_number": int(undone[1]) if undone else None,
        "reverts_title": titled[1] if titled else None,
        "version": _version(event, complete=not isinstance(event, ChangeReviewed), rank=_rank(event.state)),
        "delivery": event.delivery,
    }


def _change_id(event: Change | ChangeCommented) -> str:
    return f"{event.source}:{event.repository}:{event.number}"


def _review(event: ChangeReviewed) -> Row:
    """It is told of again when it is dismissed: the newest report says what it is, the first when it was."""
    return {
        "change": _change_id(event),
        "id": event.review_id,
        "author": event.reviewer,
        "author_kind": "human",
        "state": event.review_state,
        "occurred_at": event.occurred_at,
        "source": event.source,
        "delivery": event.delivery,
        "version": _version(event),
    }


def _comment(event: ChangeCommented) -> Row:
    return {
        "change": _change_id(event),
        "id": f"comment {event.comment_id}",  # a review may have the same number
        "author": event.author,
        "author_kind": event.author_kind,
        "state": "commented",
        "occurred_at": event.occurred_at,
        "source": event.source,
        "delivery": event.delivery,
        "version": _version(event),
    }


def _pushes(events: Sequence[Fact]) -> list[CommitsPushed]:
    """Tags are no branch: they are left out."""
    return [event for event in events if isinstance(event, CommitsPushed) and event.branch]


def _commits(push: CommitsPushed) -> list[Row]:
    return [
        {
            "repository": push.repository,
            "sha": commit.sha,
            "branch": push.branch,
            "position": _start(push) + min(index, POSITIONS_PER_SECOND - 1),
            "on_default": _on_default(push),
            "authored_at": None if (skewed := _skewed(commit.authored_at, push)) else commit.authored_at,
            "skewed": skewed,
            "author": commit.author,
            "trailers": commit.trailers,
            "merge": commit.merge,
            "files": commit.files,
            "source": push.source,
            "delivery": push.delivery,
        }
        for index, commit in enumerate(_listed(push))
    ]


def _listed(push: CommitsPushed) -> list[_Listed]:
    """The head is there even when the platform didn't list it (a known commit, or a list cut short)."""
    listed = [
        _Listed(c.sha, c.authored_at, c.author, trailers(c.message), bool(_MERGE.match(c.message)), c.files)
        for c in push.commits
    ]
    if all(commit.sha != push.after for commit in push.commits):
        listed.append(_Listed(push.after))
    return listed


def _skewed(authored_at: datetime | None, push: CommitsPushed) -> bool:
    return authored_at is not None and authored_at - push.occurred_at > SKEW_MAX


def _start(push: CommitsPushed) -> int:
    return int(push.occurred_at.timestamp()) * POSITIONS_PER_SECOND


def _on_default(push: CommitsPushed) -> bool:
    return push.branch == push.default_branch


def _deployment(event: Deployment) -> Row:
    finish = event if isinstance(event, DeploymentFinished) and event.outcome in _TERMINAL else None
    image_sha = next(iter(_image_shas(event)), "")
    return {
        "id": _deployment_id(event),
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
        "service_name": event.service_name,
        "origin": origin(event.source, event.repository, event.service_name),
        "commit_sha": image_sha or event.sha or _digest(event),
        "mapped": bool(image_sha),
        "rollback": event.rollback,
        "config_only": event.config_only,
        "revisions": _revisions(event),
    }


def _deployment_id(event: Deployment) -> str:
    return f"{event.source}:{event.repository}:{event.deployment_id}"


def _listed_items(event: Deployment) -> Iterator[tuple[str, str]]:
    yield from (("", sha) for sha in event.commits)
    yield from ((event.repository, f"#{number}") for number in event.changes)
    for change in event.other_changes:
        repository, _, number = change.rpartition("#")
        yield repository, f"#{number}"


def _image_shas(event: Deployment) -> list[str]:
    """The applications' commits, where images are tagged by them: what GitOps deploys is the configuration's commit."""
    return list(dict.fromkeys(found[1] for image in event.images if (found := _IMAGE_SHA.search(image))))


def _revisions(event: Deployment) -> tuple[Row, ...] | None:
    """Commits that it brought beside its own. Of an image's nobody says in which repository it is.

    Where the first image tells its own, what the platform calls its commit is that of the configuration.
    """
    images = _image_shas(event)
    told: list[Row] = [
        {"repository": name, "sha": sha, "mapped": False} for name, sha in sorted(event.revisions.items())
    ]
    if images and event.repository and event.sha:
        told.append({"repository": event.repository, "sha": event.sha, "mapped": False})
    told += [{"repository": "", "sha": sha, "mapped": True} for sha in images[1:]]
    return tuple(told) or None


def _digest(event: Deployment) -> str:
    """What was deployed, where nobody tells a commit. Of several images none stands for all."""
    told = {found[1] for image in event.images if (found := _IMAGE_DIGEST.search(image))}
    return f"sha256:{told.pop()}" if len(told) == 1 else ""


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
        "version": _version(event, complete=bool(event.title) + bool(event.service_id or event.service_name)),
        "delivery": event.delivery,
        "rule": None,
    }


def _alert(event: Alert) -> Row:
    """The rule is what the catalog knows it by; where a platform names none, the title."""
    fired = event.occurred_at if isinstance(event, AlertFired) else None
    return {
        "id": _alert_id(event),
        "source": event.source,
        "incident_id": event.alert_id,
        "number": None,
        "title": event.title,
        "status": "fired" if fired else "resolved",
        "urgency": event.severity,
        "service_id": "",
        "service_name": event.service_name,
        "url": event.url,
        "opened_at": event.fired_at or fired,
        "version": _version(event, complete=bool(event.title)),
        "delivery": event.delivery,
        "rule": event.rule or event.title,
    }


def _turn(event: Alert) -> Row:
    """An alert that fires again under its key is not resolved any more."""
    return {
        "incident": _alert_id(event),
        "occurred_at": event.occurred_at,
        "kind": "resolved" if isinstance(event, AlertResolved) else "reopened",
        "reason": "",
        "delivery": event.delivery,
    }


def _alert_id(event: Alert) -> str:
    return f"{event.source}:alert:{event.alert_id}"


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


def _version(event: Event, *, complete: int = 1, rank: int = 0) -> str:
    """Sorts as reports of one thing do: complete ones, then by time, then the further state; the id breaks ties."""
    return f"{complete:d} {rfc3339(event.occurred_at)} {rank} {event.id}"


def _rank(state: str) -> int:
    return _STATES.index(state) if state in _STATES else 0
