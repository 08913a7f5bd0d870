"""Approvals: owned and published by approvals-svc; every kind carries the whole snapshot and a growing version."""

import msgspec

from shared.contracts.events.base import Event, Instant


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    person: str
    verb: str  # approve, reject
    reason: str = ""
    slack_user: str = ""


class Approval(Event, frozen=True, kw_only=True):
    """`approval_id` is the number people see (`#7`); a reader keeps the snapshot with the highest `version`."""

    approval_id: int
    revision: int
    version: int
    status: str  # pending, approved, rejected, expired, executed, dead
    action: str
    subject: str
    service: str
    environment: str
    repository: str = ""
    sha: str = ""
    url: str = ""
    requested_by: str = ""
    policy: str = ""
    group: str = ""
    required: int = 1
    approvers: tuple[str, ...] = ()  # Slack users who may decide
    votes: tuple[Vote, ...] = ()
    expires_at: Instant | None = None


class ApprovalRequested(Approval, frozen=True, kw_only=True, tag="approval.requested"): ...


class ApprovalVoted(Approval, frozen=True, kw_only=True, tag="approval.voted"): ...


class ApprovalDecided(Approval, frozen=True, kw_only=True, tag="approval.decided"): ...


class ApprovalExpired(Approval, frozen=True, kw_only=True, tag="approval.expired"): ...


class ApprovalExecuted(Approval, frozen=True, kw_only=True, tag="approval.executed"):
    """The effect happened, or (status `dead`) was given up with `failure`."""

    effect: str
    failure: str = ""
