"""What the policy would say, and why: nothing is asked, nothing is stored. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from approvals_svc.decision import State, Vote, missing
from approvals_svc.eligibility import Account, electorate
from approvals_svc.freeze import frozen_until
from approvals_svc.model import Approval
from approvals_svc.policy import Facts, Outcome, Policy, Requirement, decide_policy
from approvals_svc.quorum import in_words
from approvals_svc.quorum import missing as missing_seats
from approvals_svc.snapshot import state
from shared.catalog import Catalog


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """`requires` and what is missing in words; `could_approve`: people whose vote would count now. `is_possible`:
    without those who may not, enough are left."""

    outcome: Outcome
    rule: str
    policy_version: int
    trace: tuple[str, ...]
    requires: str = ""
    could_approve: tuple[str, ...] = ()
    could_not: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    is_possible: bool = True
    rejects: int = 0
    reason_required: bool = False
    expires_after_s: int = 0
    frozen_by: str = ""
    frozen_until: datetime | None = None


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """The earlier product's shape. Nothing is allowed but what a rule lets through by name."""

    allow: bool
    action: str
    requires_approval: bool
    policy: str
    trace: tuple[str, ...]


def simulate(
    policy: Policy, facts: Facts, involved: Sequence[Account], catalog: Catalog, *, version: int, now: datetime
) -> Simulated:
    requirement = decide_policy(policy, facts, version=version, now=now)
    asked = State(
        status="pending",
        revision=1,
        terms=requirement.terms,
        expires_at=now,
        electorate=electorate(catalog, requirement.terms, involved),
        freezes=requirement.freezes,
    )
    return _told(requirement, asked, now)


def explain(approval: Approval, catalog: Catalog, *, now: datetime) -> Simulated:
    """Under the version that it was asked under, with the votes that stand."""
    return _told(approval.requirement, state(approval, catalog), now)


def evaluate(policy: Policy, facts: Facts, *, version: int, now: datetime) -> Evaluated:
    requirement = decide_policy(policy, facts, version=version, now=now)
    return Evaluated(
        allow=requirement.outcome == "auto",
        action=facts.action if requirement.outcome == "auto" else "block",
        requires_approval=requirement.outcome == "require",
        policy=requirement.rule,
        trace=requirement.trace,
    )


def _told(requirement: Requirement, asked: State, now: datetime) -> Simulated:
    told = Simulated(
        outcome=requirement.outcome,
        rule=requirement.rule,
        policy_version=requirement.version,
        trace=requirement.trace,
    )
    if requirement.outcome != "require":
        return told
    terms, frozen = requirement.terms, frozen_until(requirement.freezes, now)
    return msgspec.structs.replace(
        told,
        requires=in_words(terms.requires),
        could_approve=tuple(sorted(asked.electorate.voters - _approving(asked.votes))),
        could_not=dict(asked.electorate.refusals),
        missing=tuple(in_words(seats) for seats in missing(asked)),
        is_possible=not missing_seats(
            terms.requires, asked.electorate.allowed, asked.electorate.members, distinct=terms.distinct_groups
        ),
        rejects=terms.rejects,
        reason_required=terms.reason_required,
        expires_after_s=terms.expires_after_s,
        frozen_by=frozen[0] if frozen else "",
        frozen_until=frozen[1] if frozen else None,
    )


def _approving(votes: Sequence[Vote]) -> frozenset[str]:
    return frozenset(vote.person for vote in votes if vote.verb == "approve")
