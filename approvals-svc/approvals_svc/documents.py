"""Decisions, changes and incidents as documents. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from approvals_svc.document import Document, DocumentKind, document, hour_class
from approvals_svc.evidence import service_of
from approvals_svc.model import Approval, Subject
from approvals_svc.visibility import marks
from shared.catalog import Catalog
from shared.catalog.changes import size_of
from shared.contracts.events import Evidence

TITLES_MAX = 3


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `document`. `origin` is what `services_of` reads."""

    kind: DocumentKind
    key: str
    services: tuple[str, ...]
    origin: str
    action: str = ""
    environment: str = ""
    content_hash: str = ""
    fields: Document
    body: str
    url: str
    at: datetime
    known_at: datetime


def of_question(subject: Subject, evidence: Evidence, catalog: Catalog, *, at: datetime, reason: str = "") -> Document:
    """What is asked and why, as it is compared with what was asked before."""
    titles = [change.title for change in evidence.changes]
    return document(
        title="; ".join(titles[:TITLES_MAX]) or subject.subject,
        text=" ".join([reason, *titles[TITLES_MAX:], *(ticket.title for ticket in evidence.tickets)]),
        action=subject.action,
        service=subject.service,
        environment=environment_class(subject.service, subject.environment, catalog),
        labels=subject.facts.labels or (),
        paths=subject.facts.paths or (),
        size=evidence.size,
        author_class=subject.facts.author_class,
        hour=hour_class(at.hour, is_weekend=at.weekday() >= 5),
    )


def environment_class(service: str, environment: str, catalog: Catalog) -> str:
    return "production" if catalog.is_production(service, environment) else environment.lower()


def of_decision(approval: Approval, catalog: Catalog) -> Entry:
    """With what people said about it, for who searches; that is no part of what is compared."""
    subject, decided_at = approval.subject, approval.decided_at or approval.created_at
    evidence = approval.evidence or Evidence()
    fields = of_question(subject, evidence, catalog, at=approval.created_at, reason=approval.reason)
    said = [f"{vote.person} {vote.verb} {vote.reason}" for vote in approval.votes]
    spoken = document(title=subject.subject, text=" ".join([approval.decision, subject.requested_by, *said]))
    return Entry(
        kind="decision",
        key=str(approval.id),
        services=_marked(services_seen(subject.repository, subject.service, catalog), subject.facts.labels),
        origin=subject.repository,
        action=fields.action,
        environment=fields.environment,
        content_hash=approval.content_hash,
        fields=fields,
        body=f"{spoken.words}\n{fields.words}",
        url=subject.url,
        at=decided_at,
        known_at=decided_at,
    )


def _marked(services: Sequence[str], labels: Sequence[str] | None) -> tuple[str, ...]:
    """What is nobody's stays so: it is hidden from whoever doesn't see everything."""
    return (*services, *marks(labels or ())) if services else ()


def of_change(row: Mapping[str, Any], catalog: Catalog) -> Entry:
    lines = row["additions"] + row["deletions"] if None not in (row["additions"], row["deletions"]) else None
    services = services_of("change", row["repository"], catalog)
    fields = document(title=row["title"], service=services[0], labels=row["labels"], size=size_of(lines))
    spoken = document(title=f"{row['repository']} #{row['number']}", text=f"{row['author']} {row['state']}")
    return Entry(
        kind="change",
        key=f"{row['source']}:{row['repository']}:{row['number']}",
        services=_marked(services, row["labels"]),
        origin=row["repository"],
        fields=fields,
        body=f"{spoken.words}\n{fields.words}",
        url=row["url"],
        at=row["told_at"],
        known_at=row["known_at"],
    )


def of_incident(row: Mapping[str, Any], catalog: Catalog) -> Entry | None:
    """None of an alert that counts as nobody's incident."""
    origin = msgspec.json.encode([row["source"], row["service_id"], row["service_name"], row["rule"]]).decode()
    services = services_of("incident", origin, catalog)
    if row["rule"] and not services:
        return None
    fields = document(title=row["title"], service=services[0] if services else row["service_name"])
    spoken = document(title=f"incident {row['incident_id']}", text=row["urgency"])
    return Entry(
        kind="incident",
        key=f"{row['source']}:{row['incident_id']}:{row['rule']}",
        services=services,
        origin=origin,
        fields=fields,
        body=f"{spoken.words}\n{fields.words}",
        url=row["url"],
        at=row["opened_at"],
        known_at=row["known_at"],
    )


def services_of(kind: str, origin: str, catalog: Catalog) -> tuple[str, ...]:
    """All that a document may be of, by the references of its platform."""
    if kind != "incident":
        return catalog.services_of_repository(origin)
    source, service_id, service_name, rule = msgspec.json.decode(origin, type=tuple[str, str, str, str])
    row = {"source": source, "service_id": service_id, "service_name": service_name, "rule": rule}
    found = service_of(row, catalog)
    return (found,) if found else ()


def services_seen(repository: str, service: str, catalog: Catalog) -> tuple[str, ...]:
    """Who may not see one of them doesn't see it."""
    of_repository = catalog.services_of_repository(repository) if repository else ()
    return tuple(dict.fromkeys((service, *of_repository)))
