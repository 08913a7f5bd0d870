"""Builds, tickets and reports of quality to rows of facts, and which service their origin means. Pure.

An origin is what names the service of a row: a repository, or who told of which project. Facts keep it, and the
catalog is asked when they are read: a new version of it moves nothing here.
"""

import re
from collections.abc import Sequence

import msgspec

from metrics_svc.facts import Fact, Row
from metrics_svc.meaning import origin, service_of_origin
from shared.catalog import Catalog
from shared.contracts.envelope import rfc3339
from shared.contracts.events import (
    Build,
    BuildFinished,
    BuildStarted,
    Event,
    QualityReported,
    Ticket,
    TicketClosed,
    TicketCreated,
)

BUILD, TICKET, QUALITY = "build", "ticket", "quality"

# Trackers' own words; where a tracker tells the status before, any change of it is a start.
IN_PROGRESS = re.compile(r"(in[ _-]?(progress|development|review|testing)|doing|started|active|wip)", re.IGNORECASE)


def builds(events: Sequence[Fact]) -> list[Row]:
    return [_build(event) for event in events if isinstance(event, Build)]


def tickets(events: Sequence[Fact]) -> list[Row]:
    return [_ticket(event) for event in events if isinstance(event, Ticket)]


def statuses(events: Sequence[Fact]) -> list[Row]:
    """What tickets were said to be, report by report."""
    return [_status(event) for event in events if isinstance(event, Ticket)]


def reports(events: Sequence[Fact]) -> list[Row]:
    return [_report(event) for event in events if isinstance(event, QualityReported)]


def service_of(kind: str, origin: str, catalog: Catalog) -> str | None:
    platform, colon, project = origin.partition(":")
    if kind == BUILD:
        return _service_of_build(origin, catalog)
    if kind == TICKET:
        return catalog.service_of_ticket(platform, project)
    return catalog.service_of_quality(platform, project) if colon else catalog.service_of_repository(origin)


def _service_of_build(origin: str, catalog: Catalog) -> str | None:
    """A pipeline without a repository is no service by its own name: `nightly` says nothing."""
    service = service_of_origin(origin, catalog)
    known = ":" not in origin or any(each.name == service for each in catalog.services)
    return service if service and known else None


def _build(event: Build) -> Row:
    """A build tried again in place ends when its last try does; an end that says nothing is none beside one that does.

    `begun_at` is when it was said to have started: some platforms say so while it waits.
    """
    end = event if isinstance(event, BuildFinished) else None
    return {
        "source": event.source,
        "repository": event.repository,
        "build_id": event.build_id,
        "attempt": event.attempt,
        "job": event.job,
        "name": event.name,
        "branch": event.branch,
        "sha": event.sha,
        "url": event.url,
        "origin": origin(event.source, event.repository, "" if event.repository else event.name),
        "begun_at": event.occurred_at if isinstance(event, BuildStarted) else None,
        "started_at": event.started_at,
        "outcome": end.outcome if end else None,
        "finished_at": end.occurred_at if end else None,
        "finish_version": _version(end, complete=end.outcome != "unknown") if end else None,
        "version": _version(event, complete=bool(event.sha)),
        "delivery": event.delivery,
    }


def _ticket(event: Ticket) -> Row:
    """Some updates tell only what changed: any report with a title is newer than those."""
    created = event.occurred_at if isinstance(event, TicketCreated) else None
    return {
        "id": _ticket_id(event),
        "source": event.source,
        "project": event.project,
        "key": event.key,
        "title": event.title,
        "ticket_type": event.ticket_type,
        "url": event.url,
        "origin": _project(event.source, event.project),
        "created_at": event.opened_at or created,
        "version": _version(event, complete=bool(event.title)),
        "delivery": event.delivery,
        "status": "",
        "state": "",
        "closed_reason": "",
    }


def _status(event: Ticket) -> Row:
    closes = isinstance(event, TicketClosed)
    rank = 0 if isinstance(event, TicketCreated) else 1 + closes
    return {
        "ticket": _ticket_id(event),
        "version": _version(event, rank=rank),
        "occurred_at": event.occurred_at,
        "state": event.state,
        "status": event.status,
        "started": event.state == "open" and _started(event),
        "closes": closes,
        "closed_at": event.closed_at,
        "reason": event.reason if isinstance(event, TicketClosed) else "",
    }


def _started(event: Ticket) -> bool:
    """It left a status for another one that is not its end, or stands in one that says that somebody works on it."""
    left = event.status_before not in ("", event.status)
    return left or IN_PROGRESS.fullmatch(event.status) is not None


def _report(event: QualityReported) -> Row:
    return {
        "id": event.id,
        "source": event.source,
        "project": event.project,
        "repository": event.repository,
        "branch": event.branch,
        "sha": event.sha,
        "number": event.number,
        "coverage": event.coverage,
        "coverage_base": event.coverage_base,
        "gate": event.gate,
        "conditions": msgspec.to_builtins(event.conditions),
        "url": event.url,
        "origin": event.repository or _project(event.source, event.project),
        "occurred_at": event.occurred_at,
        "delivery": event.delivery,
    }


def _ticket_id(event: Ticket) -> str:
    """Its key changes where a ticket moves to another project, and its id does not."""
    return f"{event.source}:{event.ticket_id or f'{event.project}:{event.key}'}"


def _project(source: str, project: str) -> str:
    return f"{source}:{project}"


def _version(event: Event, *, complete: bool = True, rank: int = 0) -> str:
    """Sorts as reports of one thing do: complete ones, then by time, then the further state; the id breaks ties."""
    return f"{int(complete)} {rfc3339(event.occurred_at)} {rank} {event.id}"
