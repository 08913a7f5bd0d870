"""CloudEvents: CDEvents become ours, in any spelling (binary, structured, batch, or bare)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from normalizer.bodies import Count, moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import InvalidTime, Spelling, instant
from normalizer.words import outcome, repository_of, sha_of
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event
from shared.contracts.reports import ChangeOf, Repository, Sha

CDEVENTS = "dev.cdevents."


class _Reference(msgspec.Struct):
    id: str | None = None
    source: str | None = None


class _Content(msgspec.Struct, rename="camel"):
    environment: _Reference | None = None
    artifact_id: str | None = None
    pipeline_name: str | None = None
    outcome: str | None = None
    url: str | None = None
    repository: _Reference | None = None
    description: str | None = None
    service: _Reference | None = None
    summary: str | None = None
    ticket_type: str | None = None
    priority: str | None = None
    creator: str | None = None
    uri: str | None = None


class _Subject(msgspec.Struct):
    id: str
    source: str | None = None
    content: _Content | None = None


class _Context(msgspec.Struct):
    id: str | None = None
    source: str | None = None
    type: str | None = None
    timestamp: Spelling = None


class _Carried(msgspec.Struct):
    """What a sender may say of what was deployed, of any number of repositories; CDEvents has no words for it."""

    commits: tuple[Sha, ...] = ()
    changes: tuple[ChangeOf, ...] = ()
    revisions: dict[Repository, Sha] = {}


class _CdEvent(msgspec.Struct, rename="camel"):
    subject: _Subject
    context: _Context
    custom_data: Any = None


class _Structured(msgspec.Struct):
    """A CloudEvent in JSON; `data` holds what it tells."""

    type: str | None = None
    time: Spelling = None
    data: Any = None


class _Head(msgspec.Struct):
    type: str | None = None
    specversion: str | None = None
    context: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """A batch is one delivery; its events are in the order of the body. Raises Untranslatable."""
    if delivery.body.lstrip()[:1] == b"[":
        results = [_translate(msgspec.json.encode(each), "", delivery) for each in read(delivery.body, list[Any])]
        found = [event for result in results if isinstance(result, Events) for event in result.events]
        return Events(tuple(found)) if found else Ignored("unknown_event")
    return _translate(delivery.body, delivery.event, delivery)


def _translate(json: bytes, name: str, delivery: RawDelivery) -> Disposition:
    head = read(json, _Head)
    if head.specversion is not None and head.context is None:
        told = read(json, _Structured)
        data = told.data if isinstance(told.data, dict) else {}
        return _of_type(told.type or "", msgspec.json.encode(data), told.time, delivery)
    bare = head.context.get("type") if isinstance(head.context, dict) else None
    return _of_type(str(bare or name), json, None, delivery)


def _of_type(name: str, json: bytes, time: Spelling, delivery: RawDelivery) -> Disposition:
    """`dev.cdevents.<subject>.<predicate>.<version>`: the version says nothing that matters here."""
    if not name.startswith(CDEVENTS):
        return Ignored("unknown_event")
    row = TYPES.get(".".join(name.removeprefix(CDEVENTS).split(".")[:2]))
    if row is None:
        return Ignored("unknown_event")
    event = read(json, _CdEvent)
    at = moment("context.timestamp", event.context.timestamp) or moment("time", time) or _sent(delivery)
    when: dict[str, Any] = {"occurred_at": at or delivery.received_at, "time_is_received": at is None}
    told = row(event.subject, event.subject.content or _Content(), when)
    return Events((_carrying(told, event.custom_data) if isinstance(told, events.Deployment) else told,))


def _sent(delivery: RawDelivery) -> datetime | None:
    try:
        return instant(delivery.sent)
    except InvalidTime:
        return None


def _deployed(subject: _Subject, content: _Content, when: dict[str, Any], *, rollback: bool = False) -> Event:
    return events.DeploymentFinished(
        repository="",
        deployment_id=f"{subject.source or ''}:{subject.id}:{content.artifact_id or ''}",
        environment=(content.environment and content.environment.id) or "",
        service_name=subject.id,
        images=(content.artifact_id,) if content.artifact_id else (),
        outcome="succeeded",
        rollback=rollback,
        **when,
    )


def _carrying(deployment: events.Deployment, custom: object) -> Event:
    """The first repository is its own. Custom data of another form are somebody else's."""
    try:
        carried = msgspec.convert(custom or {}, _Carried)
    except msgspec.ValidationError:
        return deployment
    repository, sha = next(iter(carried.revisions.items()), ("", ""))
    return msgspec.structs.replace(
        deployment,
        repository=repository,
        sha=sha,
        commits=carried.commits,
        other_changes=carried.changes,
        revisions={name: of for name, of in carried.revisions.items() if name != repository},
    )


def _rolled_back(subject: _Subject, content: _Content, when: dict[str, Any]) -> Event:
    return _deployed(subject, content, when, rollback=True)


def _build(kind: type[events.Build]) -> Callable[[_Subject, _Content, dict[str, Any]], Event]:
    def row(subject: _Subject, content: _Content, when: dict[str, Any]) -> Event:
        ended: dict[str, Any] = {}
        if kind is events.BuildFinished:
            ended = {"outcome": outcome(content.outcome), "platform_outcome": content.outcome or ""}
        return kind(
            repository="",
            build_id=f"{subject.source or ''}:{subject.id}",
            name=content.pipeline_name or "",
            url=content.url or "",
            **ended,
            **when,
        )

    return row


def _change(kind: type[events.Change], state: str) -> Callable[[_Subject, _Content, dict[str, Any]], Event]:
    def row(subject: _Subject, content: _Content, when: dict[str, Any]) -> Event:
        number = _number(subject.id)
        extra: dict[str, Any] = {"merged_at": when["occurred_at"]} if kind is events.ChangeMerged else {}
        if kind is events.ChangeReviewed:
            extra = {"review_id": subject.id, "reviewer": "", "review_state": "commented"}
        if kind is events.ChangeOpened:
            extra = {"opened_at": when["occurred_at"]}
        return kind(
            repository=_repository(content),
            number=number,
            title=content.description or "",
            author="",
            state=state,
            merge_sha=sha_of(subject.id) or None if kind is events.ChangeMerged else None,
            **extra,
            **when,
        )

    return row


def _incident(kind: type[events.Incident]) -> Callable[[_Subject, _Content, dict[str, Any]], Event]:
    def row(subject: _Subject, content: _Content, when: dict[str, Any]) -> Event:
        return kind(
            incident_id=f"{subject.source or ''}:{subject.id}",
            title=content.description or subject.id,
            service_name=(content.service and content.service.id) or "",
            opened_at=when["occurred_at"] if kind is events.IncidentOpened else None,
            **when,
        )

    return row


def _ticket(kind: type[events.Ticket], state: str) -> Callable[[_Subject, _Content, dict[str, Any]], Event]:
    def row(subject: _Subject, content: _Content, when: dict[str, Any]) -> Event:
        return kind(
            project=subject.source or "",
            key=subject.id,
            ticket_id=subject.id,
            title=content.summary or subject.id,
            state=state,
            author=content.creator or "",
            ticket_type=content.ticket_type or "",
            priority=content.priority or "",
            url=content.uri or "",
            **when,
        )

    return row


def _number(name: str) -> int:
    """Of a change, by the last part of its id. Raises Untranslatable."""
    last = name.rpartition("/")[2].rpartition("#")[2]
    try:
        return msgspec.convert(int(last), Count)
    except (ValueError, msgspec.ValidationError):
        raise Untranslatable(f"subject.id: {name[:40]!r} holds no number of a change") from None


def _repository(content: _Content) -> str:
    told = content.repository or _Reference()
    return repository_of(told.source) or repository_of(told.id) or told.id or ""


TYPES: dict[str, Callable[[_Subject, _Content, dict[str, Any]], Event]] = {
    "service.deployed": _deployed,
    "service.upgraded": _deployed,
    "service.rolledback": _rolled_back,
    "pipelinerun.started": _build(events.BuildStarted),
    "pipelinerun.finished": _build(events.BuildFinished),
    "build.started": _build(events.BuildStarted),
    "build.finished": _build(events.BuildFinished),
    "change.created": _change(events.ChangeOpened, "open"),
    "change.updated": _change(events.ChangeUpdated, "open"),
    "change.reviewed": _change(events.ChangeReviewed, "open"),
    "change.merged": _change(events.ChangeMerged, "merged"),
    "change.abandoned": _change(events.ChangeClosed, "closed"),
    "incident.detected": _incident(events.IncidentOpened),
    "incident.reported": _incident(events.IncidentNoted),
    "incident.resolved": _incident(events.IncidentResolved),
    "ticket.created": _ticket(events.TicketCreated, "open"),
    "ticket.updated": _ticket(events.TicketUpdated, "open"),
    "ticket.closed": _ticket(events.TicketClosed, "closed"),
}
