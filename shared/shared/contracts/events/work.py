"""Tickets and incidents."""

from shared.contracts.events.base import Event, Instant


class Ticket(Event, frozen=True, kw_only=True):
    """`key` is what people say (`PROJ-7`, `#12`); `project` the repository or tracker project.

    `ticket_id` stays where a key changes (a move to another project). `status` and `status_before` are the tracker's
    own words; `status_before` is there when this event changed it.
    """

    project: str
    key: str
    title: str
    state: str  # open, closed
    action: str = ""
    author: str = ""
    actor: str = ""
    labels: tuple[str, ...] = ()
    opened_at: Instant | None = None
    closed_at: Instant | None = None
    url: str = ""
    ticket_id: str = ""
    ticket_type: str = ""
    status: str = ""
    status_before: str = ""
    priority: str = ""
    assignee: str = ""


class TicketCreated(Ticket, frozen=True, kw_only=True, tag="ticket.created"): ...


class TicketUpdated(Ticket, frozen=True, kw_only=True, tag="ticket.updated"): ...


class TicketClosed(Ticket, frozen=True, kw_only=True, tag="ticket.closed"):
    reason: str = ""  # deleted, transferred, or the platform's own


class Incident(Event, frozen=True, kw_only=True):
    """`service_id` and `service_name` are the on-call platform's; the catalog says which service they mean.

    `caused_by` names the deployment that caused it, where the sender knows: its id or its commit.
    """

    incident_id: str
    title: str
    status: str = ""
    number: int | None = None
    urgency: str = ""
    service_id: str = ""
    service_name: str = ""
    actor: str = ""
    opened_at: Instant | None = None
    url: str = ""
    caused_by: str = ""


class IncidentOpened(Incident, frozen=True, kw_only=True, tag="incident.opened"): ...


class IncidentAcknowledged(Incident, frozen=True, kw_only=True, tag="incident.acknowledged"): ...


class IncidentResolved(Incident, frozen=True, kw_only=True, tag="incident.resolved"):
    reason: str = ""  # merged: closed into another incident, not a recovery


class IncidentReopened(Incident, frozen=True, kw_only=True, tag="incident.reopened"): ...


class IncidentNoted(Incident, frozen=True, kw_only=True, tag="incident.noted"):
    note: str = ""
