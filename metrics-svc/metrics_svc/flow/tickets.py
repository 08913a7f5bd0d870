"""How long tickets take and how many end. Pure. Velocity needs points, and no tracker's event of ours has any."""

from collections.abc import Sequence

import msgspec

from metrics_svc.flow.pieces import grid
from metrics_svc.flow.row import FlowRow, count_row, duration_row
from metrics_svc.question import Question

LEAD_TIME = "ticket_lead_time"
CYCLE_TIME = "ticket_cycle_time"
THROUGHPUT = "ticket_throughput"


class Tickets(msgspec.Struct, frozen=True, kw_only=True):
    """Tickets of a service that were closed in a piece of the window, and are still; those taken away are none.

    Seconds from creation (`lead_times`) and from the start of work (`cycle_times`), where these are known.
    """

    service: str
    piece: int
    closed: int
    lead_times: Sequence[float] = ()
    cycle_times: Sequence[float] = ()


def lead_time(found: Sequence[Tickets], question: Question) -> list[FlowRow]:
    return [
        duration_row(service, LEAD_TIME, window, sorted(s for t in tickets for s in t.lead_times))
        for service, window, tickets in grid(found, question)
    ]


def cycle_time(found: Sequence[Tickets], question: Question) -> list[FlowRow]:
    """A ticket that went to its end without a start has none: a missing stage is not zero."""
    return [
        duration_row(service, CYCLE_TIME, window, sorted(s for t in tickets for s in t.cycle_times))
        for service, window, tickets in grid(found, question)
    ]


def throughput(found: Sequence[Tickets], question: Question) -> list[FlowRow]:
    return [
        count_row(service, THROUGHPUT, window, closed or None, closed)
        for service, window, tickets in grid(found, question)
        for closed in [sum(t.closed for t in tickets)]
    ]
