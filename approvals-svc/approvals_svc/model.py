"""An approval as it stands in its row, and what is written beside it."""

from datetime import datetime
from typing import Any

import msgspec

from approvals_svc.decision import Status, Vote
from approvals_svc.delegation import Delegation
from approvals_svc.eligibility import Account
from approvals_svc.policy import Facts, Requirement
from approvals_svc.shipping import Shipment
from approvals_svc.tasks import Task
from shared.contracts.events import Evidence


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided about, who had a part in it, and what the policy was told of it."""

    source: str
    action: str
    subject: str
    service: str
    environment: str
    repository: str
    sha: str
    url: str
    requested_by: str
    involved: tuple[Account, ...]
    payload: dict[str, Any]
    facts: Facts


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an approval. The same `external_key` is the same approval, however often it is asked.

    `asked_at` by the platform's clock. `reason` is why it is asked for; `signal` names the rule of signals that asks.
    `replaces`: the number of what waits under another key, and is answered by this one. `shipment`: what was found to
    ship, where the surface has looked for it already.
    """

    external_key: str
    public_id: str
    content_hash: str
    origin: str
    subject: Subject
    requirement: Requirement
    expires_at: datetime
    asked_at: datetime | None = None
    reason: str = ""
    signal: str = ""
    replaces: int | None = None
    shipment: Shipment | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the number people see; `version` grows with each event; `decision` is the status that ended the vote."""

    id: int
    public_id: str
    subject: Subject
    requirement: Requirement
    content_hash: str
    origin: str
    revision: int
    version: int
    status: Status
    created_at: datetime
    expires_at: datetime
    reason: str = ""
    signal: str = ""
    decision: str = ""
    decided_at: datetime | None = None
    audit_seq: int = 0
    audit_head: str = ""
    votes: tuple[Vote, ...] = ()
    delegations: tuple[Delegation, ...] = ()  # those that held when it was read
    is_escalated: bool = False
    is_extended: bool = False
    superseded_by: int | None = None
    broken_by: str = ""  # who broke the glass
    evidence: Evidence | None = None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do outside because of a decision. `epoch` fences off whoever held the lease before."""

    id: int
    approval_id: int
    task: Task
    attempts: int
    epoch: int
