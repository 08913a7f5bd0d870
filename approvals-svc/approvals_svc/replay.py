"""An approval's state told again from its audit rows alone: what it says must be what is stored. Pure."""

from collections.abc import Sequence

import msgspec

from approvals_svc.audit import Entry
from approvals_svc.model import Approval


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """`votes`: who said what, with the reason and on whose behalf, in the revision that counts."""

    status: str
    decision: str
    revision: int
    votes: dict[str, tuple[str, str, str]]
    is_escalated: bool
    is_extended: bool
    broken_by: str


def told(entries: Sequence[Entry]) -> Told:
    status, decision, revision, escalated, extended, broken_by = "pending", "", 1, False, False, ""
    votes: dict[str, tuple[str, str, str]] = {}
    for entry in entries:
        match entry.verb:
            case "approve" | "reject":
                said = entry.detail.get("reason", ""), entry.detail.get("on_behalf_of", "")
                votes[entry.actor.person] = (entry.verb, *said)
            case "modified":
                revision, votes = int(entry.detail["revision"]), {}
            case "decided":
                decision, broken_by = entry.after, entry.detail.get("break_glass", "")
            case "escalated":
                escalated = True
            case "extended":
                escalated = extended = True
        status = entry.after
    return Told(
        status=status,
        decision=decision,
        revision=revision,
        votes=votes,
        is_escalated=escalated,
        is_extended=extended,
        broken_by=broken_by,
    )


def as_stored(approval: Approval) -> Told:
    return Told(
        status=approval.status,
        decision=approval.decision,
        revision=approval.revision,
        votes={vote.person: (vote.verb, vote.reason, ", ".join(vote.on_behalf_of)) for vote in approval.votes},
        is_escalated=approval.is_escalated,
        is_extended=approval.is_extended,
        broken_by=approval.broken_by,
    )
