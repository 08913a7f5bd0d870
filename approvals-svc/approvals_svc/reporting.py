"""What GitHub shows beside a deployment that waits: which report is due, and its words. Pure.

GitHub takes ten reports per deployment, of 1024 characters of Markdown each. Ours: requested, reminded and escalated
once each, five steps of the way to a quorum, and two that are spare for what may not have arrived.
"""

from collections.abc import Collection
from math import ceil

import msgspec

from approvals_svc.decision import missing
from approvals_svc.markdown import literal, page
from approvals_svc.model import Approval
from approvals_svc.quorum import count_seats, fewest, in_words
from approvals_svc.snapshot import state
from shared.catalog import Catalog

REPORT_MAX_CHARACTERS = 1024
STEPS_MAX = 5
RETRIES_MAX = 2
RETRY = "retry"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`told` is every occasion that this one text stands for."""

    told: tuple[str, ...]
    text: str


def report(approval: Approval, catalog: Catalog, *, told: Collection[str], is_reminded: bool) -> Report | None:
    """None: nothing happened since the last one that deserves another."""
    new = tuple(occasion for occasion in _occasions(approval, catalog, is_reminded) if occasion not in told)
    return Report(told=new, text=_text(approval, catalog, is_reminded)) if new else None


def can_retry(told: Collection[str]) -> bool:
    return sum(occasion == RETRY for occasion in told) < RETRIES_MAX


def _occasions(approval: Approval, catalog: Catalog, is_reminded: bool) -> list[str]:
    agreed, required = _tally(approval, catalog)
    step = ceil(STEPS_MAX * agreed / required)
    happened = {
        "requested": True,
        f"quorum:{step}": step > 0,
        "reminded": is_reminded,
        "escalated": approval.is_escalated,
    }
    return [occasion for occasion, is_so in happened.items() if is_so]


def _text(approval: Approval, catalog: Catalog, is_reminded: bool) -> str:
    agreed, required = _tally(approval, catalog)
    terms = approval.requirement.terms
    voices = ", ".join(literal(vote.person) for vote in approval.votes if vote.verb == "approve")
    declined = ", ".join(literal(vote.person) for vote in approval.votes if vote.verb == "reject")
    to = literal(terms.escalate_to.group) if terms.escalate_to else ""
    lines = [
        f"**{agreed} of {required} approvals**, until {approval.expires_at:%Y-%m-%d %H:%M} UTC",
        f"- needs {literal(in_words(terms.requires))} by the rule {literal(approval.requirement.rule)}",
        f"- approved by {voices}" if voices else "",
        f"- declined by {declined}" if declined else "",
        f"- escalated{f' to {to}' if to else ''}" if approval.is_escalated else "",
        "- those who may decide were reminded" if is_reminded else "",
        "- it has its votes, and waits for the end of a freeze" if agreed >= required else "",
        f"- approval {approval.id} ({approval.public_id})",
    ]
    return page([line for line in lines if line], characters_max=REPORT_MAX_CHARACTERS)


def _tally(approval: Approval, catalog: Catalog) -> tuple[int, int]:
    required = max(1, fewest(approval.requirement.terms.requires))
    return max(0, required - count_seats(missing(state(approval, catalog)))), required
