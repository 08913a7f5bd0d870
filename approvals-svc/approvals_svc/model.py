"""An approval as it stands in its row, and what is written beside it."""

from datetime import datetime

import msgspec

from approvals_svc.decision import Status, Vote
from approvals_svc.policy import Requirement

GITHUB_GATE = "github_gate"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided about. `requesters` are the accounts that asked, on the platform `source`."""

    source: str
    action: str
    subject: str
    service: str
    environment: str
    repository: str
    sha: str
    url: str
    requested_by: str
    requesters: tuple[str, ...]
    payload: dict[str, str]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an approval. The same `external_key` is the same approval, however often it is asked."""

    external_key: str
    public_id: str
    content_hash: str
    origin: str
    subject: Subject
    requirement: Requirement
    expires_at: datetime


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the number people see; `version` grows with each event; `decision` outlives what became of the effect."""

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
    decision: str = ""
    decided_at: datetime | None = None
    audit_seq: int = 0
    audit_head: str = ""
    votes: tuple[Vote, ...] = ()


class GateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment that waits is told."""

    repository: str
    run_id: str
    environment: str
    installation_id: str
    state: str  # approved, rejected
    comment: str


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do outside because of a decision. `epoch` fences off whoever held the lease before."""

    id: int
    approval_id: int
    kind: str
    answer: GateAnswer
    attempts: int
    epoch: int
