"""What another version of the policy would ask of what waits: nothing is asked, nothing is stored. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from approvals_svc.model import Approval
from approvals_svc.policy import Outcome, Policy, Requirement, decide_policy
from approvals_svc.quorum import in_words


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`requires` in words; `freezes` by name."""

    policy_version: int
    rule: str
    outcome: Outcome
    requires: str
    expires_after_s: int
    freezes: tuple[str, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A pending approval keeps what it was asked under; `would` is what the version would have asked instead."""

    approval: int
    subject: str
    asks: Asked
    would: Asked


def changes(approvals: Sequence[Approval], policy: Policy, *, version: int, now: datetime) -> list[Change]:
    """Of those that would be asked something else, in their order."""
    found = []
    for approval in approvals:
        would = decide_policy(policy, approval.subject.facts, version=version, now=now)
        if _terms(would) != _terms(approval.requirement):
            subject = approval.subject.subject
            change = Change(
                approval=approval.id, subject=subject, asks=_asked(approval.requirement), would=_asked(would)
            )
            found.append(change)
    return found


def _terms(requirement: Requirement) -> tuple[object, ...]:
    return requirement.outcome, requirement.terms, requirement.freezes, requirement.asks_opa


def _asked(requirement: Requirement) -> Asked:
    is_asking = requirement.outcome == "require"
    return Asked(
        policy_version=requirement.version,
        rule=requirement.rule,
        outcome=requirement.outcome,
        requires=in_words(requirement.terms.requires) if is_asking else "",
        expires_after_s=requirement.terms.expires_after_s if is_asking else 0,
        freezes=tuple(freeze.name for freeze in requirement.freezes),
    )
