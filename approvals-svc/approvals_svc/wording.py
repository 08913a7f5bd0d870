"""What people read in reply. Pure."""

from collections.abc import Sequence

from approvals_svc.decision import missing
from approvals_svc.model import Approval
from approvals_svc.snapshot import state
from shared.catalog import Catalog

LISTED_MAX = 20


def refusal(number: int, result: str, detail: str) -> str:
    match result:
        case "unknown":
            return f"Nothing happened: {detail}."
        case "not_eligible":
            return f"Your vote on #{number} doesn't count: {detail}."
        case _:
            return f"Your vote on #{number} came too late: {detail}."


def confirmation(approval: Approval, catalog: Catalog) -> str:
    if approval.status != "pending":
        return f"Your vote counts: #{approval.id} is {approval.status}."
    return f"Your vote counts: #{approval.id} needs {missing(state(approval, catalog))} more."


def waiting(approvals: Sequence[Approval], catalog: Catalog) -> str:
    """One line per approval: number, service, votes, deadline."""
    if not approvals:
        return "Nothing waits for a decision."
    lines = [_line(approval, catalog) for approval in approvals[:LISTED_MAX]]
    more = len(approvals) - LISTED_MAX
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def _line(approval: Approval, catalog: Catalog) -> str:
    required = approval.requirement.count
    agreed = required - missing(state(approval, catalog))
    until = f"{approval.expires_at:%Y-%m-%d %H:%M} UTC"
    where = f"{approval.subject.service} to {approval.subject.environment}"
    return f"#{approval.id} {where}: {agreed} of {required} votes, until {until}"
