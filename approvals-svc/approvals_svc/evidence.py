"""What people see beside a question: what ships, how the service fares, what burns. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from approvals_svc.freeze import Freeze, frozen_until
from approvals_svc.shipping import Change, Shipment, author_class, lines_of
from shared.catalog import Catalog
from shared.catalog.changes import size_of, ticket_of, tickets_in
from shared.contracts.events import Evidence, NamedTicket, OpenIncident, ShippedChange

CHANGES_MAX = 10
INCIDENTS_MAX = 5
TICKETS_MAX = 10
WINDOW_DAYS = 30

Rows = Sequence[Mapping[str, Any]]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the service stands: rows of the facts, and (deployments, failed) of the window."""

    tickets: Rows = ()
    days: tuple[int, int] = (0, 0)
    incidents: Rows = ()
    checks: Rows = ()


def ticket_keys(shipment: Shipment, service: str, catalog: Catalog) -> list[str]:
    """In titles, branches and messages; of the service's projects, where the catalog names some."""
    texts = [text for change in shipment.changes for text in (change.title, change.head_ref)]
    texts += [commit.title for commit in shipment.commits]
    return tickets_in(tuple(texts), catalog.ticket_keys(service))[:TICKETS_MAX]


def of_shipment(shipment: Shipment, service: str, catalog: Catalog) -> Evidence:
    """What would ship. It stays as it was asked; the rest is `standing`'s."""
    lines = lines_of(shipment)
    return Evidence(
        since=shipment.since,
        commits=len(shipment.commits) if shipment.commits or shipment.is_known else None,
        changes=tuple(_shown(change, shipment, service, catalog) for change in shipment.changes[:CHANGES_MAX]),
        changes_n=len(shipment.changes),
        direct_commits=len(shipment.direct),
        lines=lines,
        size=size_of(lines),
        is_back=shipment.is_back,
        is_cut=shipment.is_cut,
        tickets=tuple(NamedTicket(key=key) for key in ticket_keys(shipment, service, catalog)),
    )


def standing(
    shown: Evidence, found: Standing, catalog: Catalog, *, service: str, freezes: Sequence[Freeze], now: datetime
) -> Evidence:
    """The same shipment, and how its service stands now."""
    frozen = frozen_until(freezes, now)
    coverage = next((row for row in found.checks if row["coverage"] is not None), {})
    gate = next((row for row in found.checks if row["gate"]), {})
    incidents = [row for row in found.incidents if service_of(row, catalog) == service]
    return msgspec.structs.replace(
        shown,
        tickets=_tickets(shown.tickets, found.tickets),
        window_days=WINDOW_DAYS,
        deployments=found.days[0],
        failed=found.days[1],
        incidents=tuple(_incident(row) for row in incidents[:INCIDENTS_MAX]),
        incidents_n=len(incidents),
        coverage=coverage.get("coverage"),
        coverage_base=coverage.get("coverage_base"),
        gate=gate.get("gate", ""),
        checks_of="commit" if all(row["is_of_commit"] for row in (coverage, gate) if row) else "branch",
        frozen_by=frozen[0] if frozen else "",
        frozen_until=frozen[1] if frozen else None,
    )


def service_of(incident: Mapping[str, Any], catalog: Catalog) -> str | None:
    """The service whose incident it is; None of an alert that counts for none."""
    if incident["rule"]:
        return catalog.service_of_alert(incident["source"], incident["rule"])
    return catalog.service_of_incident(incident["source"], incident["service_id"], incident["service_name"])


def _shown(change: Change, shipment: Shipment, service: str, catalog: Catalog) -> ShippedChange:
    return ShippedChange(
        number=change.number,
        title=change.title,
        author=change.author,
        author_class=author_class(change, shipment, catalog),
        lines=change.lines,
        ticket=ticket_of(change.title, change.head_ref, catalog.ticket_keys(service)),
        url=change.url,
    )


def _tickets(named: Sequence[NamedTicket], rows: Rows) -> tuple[NamedTicket, ...]:
    """Also those that no tracker told of: their key is known."""
    by_key = {row["key"]: NamedTicket(**dict(row)) for row in rows}
    return tuple(by_key.get(ticket.key, ticket) for ticket in named)


def _incident(row: Mapping[str, Any]) -> OpenIncident:
    return OpenIncident(title=row["title"], opened_at=row["opened_at"], urgency=row["urgency"], url=row["url"])
