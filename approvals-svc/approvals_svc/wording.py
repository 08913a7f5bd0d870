"""What people read in reply. Pure."""

from collections.abc import Mapping, Sequence

from approvals_svc.decision import missing
from approvals_svc.delegation import Delegation
from approvals_svc.document import Found
from approvals_svc.model import Approval
from approvals_svc.quorum import count_seats, fewest
from approvals_svc.snapshot import state
from shared.catalog import Catalog

LISTED_MAX = 20
INTRODUCE = "Say `/em link` and your name: once somebody has confirmed it, you are known."
STRANGER = f"Nothing happened: your Slack account is nobody's in the catalog. {INTRODUCE}"


def refusal(number: int, result: str, detail: str) -> str:
    match result:
        case "unknown":
            return f"Nothing happened: {detail}."
        case "reason_required":
            return f"Your vote on #{number} doesn't count: {detail}. Say: /em decline {number} <reason>"
        case "not_eligible":
            return f"Your vote on #{number} doesn't count: {detail}."
        case _:
            return f"Your vote on #{number} came too late: {detail}."


def confirmation(approval: Approval, catalog: Catalog) -> str:
    if approval.status != "pending":
        return f"Your vote counts: #{approval.id} is {approval.status}."
    lacking = count_seats(missing(state(approval, catalog)))
    if not lacking:
        return f"Your vote counts: #{approval.id} has its votes, and waits for the end of a freeze."
    return f"Your vote counts: #{approval.id} needs {lacking} more."


ENDINGS: Mapping[str, str] = {
    "auto_approved": "under a rule, without asking anybody",
    "expired": "nobody decided in time",
    "cancelled": "taken back",
    "revoked": "approved, and revoked before it was carried out",
}


def ending(approval: Approval) -> str:
    """For whom asked: what was decided, by whom and why."""
    if approval.status == "superseded":
        return f"#{approval.id} is superseded by #{approval.superseded_by}"
    ended = approval.status if approval.status in ENDINGS else approval.decision
    verb = "reject" if ended == "rejected" else "approve"
    voices = [f"{vote.person}: {vote.reason}" if vote.reason else vote.person for vote in approval.votes]
    by = [voice for voice, vote in zip(voices, approval.votes, strict=True) if vote.verb == verb]
    why = ENDINGS.get(ended) or f"by {', '.join(by) or f'the rule {approval.requirement.rule}'}"
    return f"#{approval.id} is {ended}: {why}"


def waiting(approvals: Sequence[Approval], catalog: Catalog) -> str:
    """One line per approval: number, service, votes, deadline."""
    if not approvals:
        return "Nothing waits for a decision."
    lines = [_line(approval, catalog) for approval in approvals[:LISTED_MAX]]
    more = len(approvals) - LISTED_MAX
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def notice(approval: Approval, catalog: Catalog) -> str:
    """How one stands, for people who have not seen its card."""
    asked = f", asked by {approval.subject.requested_by}"
    if approval.status == "pending":
        return f"Waits for a decision: {_line(approval, catalog)}{asked}. Say /em approve {approval.id}"
    return f"#{approval.id} {_what(approval)} is {approval.status}{asked}."


def _line(approval: Approval, catalog: Catalog) -> str:
    required = fewest(approval.requirement.terms.requires)
    agreed = max(0, required - count_seats(missing(state(approval, catalog))))
    until = f"{approval.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"#{approval.id} {_what(approval)}: {agreed} of {required} votes, until {until}"


def _what(approval: Approval) -> str:
    subject = approval.subject
    if subject.environment:
        return f"{subject.service} to {subject.environment}"
    return f"{subject.action} {subject.subject}"


def delegated(given: Delegation) -> str:
    return (
        f"{given.delegate} votes for you until {given.ends_at:%Y-%m-%d %H:%M} UTC. "
        f"Take it back: em approvals undelegate {given.id}"
    )


def posted(settled_state: str, channel: str, reason: str) -> str:
    match settled_state:
        case "shown":
            return f"It is posted in {channel}."
        case "asked":
            return "It has not been posted yet: Slack is slow, and it will follow."
        case _:
            return f"It is not posted: {reason}."


def found(documents: Sequence[Found], *, note: str) -> str:
    """One line per document: what it is, its title, service, day, where to look."""
    if not documents:
        return "Nothing was found about that."
    lines = [_found_line(each) for each in documents]
    return "\n".join([*lines, f"({note})"] if note else lines)


def _found_line(document: Found) -> str:
    name = f"decision #{document.key}" if document.kind == "decision" else document.kind
    day = f"{document.at:%Y-%m-%d}"
    told = (name, document.fields.title, document.fields.service, day, document.url)
    return " · ".join(part for part in told if part)
