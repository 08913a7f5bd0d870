"""Approvals: owned and published by approvals-svc. All but anchors and summaries carry the whole snapshot and a
growing version."""

from datetime import date

import msgspec

from shared.contracts.events.base import Event, Instant


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    person: str
    verb: str  # approve, reject
    reason: str = ""
    slack_user: str = ""
    on_behalf_of: tuple[str, ...] = ()  # whose seats it takes, as their delegate


class ShippedChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`lines` changed; `author_class` is human, ai_assisted, ai_agent or bot; `ticket` is its key."""

    number: int
    title: str
    author: str = ""
    author_class: str = ""
    lines: int | None = None
    ticket: str = ""
    url: str = ""


class NamedTicket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` and what follows are empty where no tracker told of it."""

    key: str
    title: str = ""
    state: str = ""
    url: str = ""


class OpenIncident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    opened_at: Instant
    urgency: str = ""
    url: str = ""


class Precedent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A past decision about something like it. `similarity` 0 to 1; `shared` names the facts that both have.

    `outcome`: healthy, incident, rolled_back, hotfixed, failed, not_shipped, or unknown as long as its time is not
    over; `because` are the deployments and incidents that say so.
    """

    approval_id: int
    subject: str
    similarity: float
    decision: str
    decided_at: Instant
    outcome: str
    shared: tuple[str, ...] = ()
    group: str = ""
    decided_after_s: int = 0
    recovery_s: int | None = None
    because: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    url: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was known when it was asked. Advice: no field of it decides.

    `since` is the commit that ran there; `commits` None: not known what ships. `changes` are the first ten of
    `changes_n`; `lines` None where not all of them say how large they are. `deployments` and `failed` are the service's
    in the last `window_days`, as metrics-svc counts them. `coverage` in percent; `gate` is passed, warning, failed or
    none. `precedents` is empty, and `precedents_note` says why, under five comparable ones.
    """

    since: str = ""
    commits: int | None = None
    changes: tuple[ShippedChange, ...] = ()
    changes_n: int = 0
    direct_commits: int = 0
    lines: int | None = None
    size: str = ""
    is_back: bool = False
    is_cut: bool = False
    tickets: tuple[NamedTicket, ...] = ()
    window_days: int = 30
    deployments: int = 0
    failed: int = 0
    incidents: tuple[OpenIncident, ...] = ()
    incidents_n: int = 0
    coverage: float | None = None
    coverage_base: float | None = None
    gate: str = ""
    checks_of: str = ""
    frozen_by: str = ""
    frozen_until: Instant | None = None
    precedents: tuple[Precedent, ...] = ()
    comparable: int = 0
    precedents_note: str = ""


class Approval(Event, frozen=True, kw_only=True):
    """`approval_id` is the number people see (`#7`); a reader keeps the snapshot with the highest `version`.

    `does`: what a yes has carried out, in words, where that is ours to do; `reason`: why somebody asks.
    `risk`: what whoever asks says of it, in a word.
    """

    approval_id: int
    revision: int
    version: int
    status: str  # pending, auto_approved, approved, rejected, expired, cancelled, superseded, executed, dead, revoked
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
    broken_by: str = ""  # who let it through alone
    reason_required: bool = False  # who declines has to say why
    evidence: Evidence | None = None
    does: str = ""
    reason: str = ""
    risk: str = ""


class ApprovalRequested(Approval, frozen=True, kw_only=True, tag="approval.requested"): ...


class ApprovalVoted(Approval, frozen=True, kw_only=True, tag="approval.voted"): ...


class ApprovalDecided(Approval, frozen=True, kw_only=True, tag="approval.decided"):
    """`cause` says what ended it where neither votes nor a person did; `ended_by` the person who did without votes, and
    `why`."""

    cause: str = ""
    ended_by: str = ""
    why: str = ""


class ApprovalExpired(Approval, frozen=True, kw_only=True, tag="approval.expired"): ...


class ApprovalReminded(Approval, frozen=True, kw_only=True, tag="approval.reminded"):
    """Part of its time is over, and it waits still."""


class ApprovalEscalated(Approval, frozen=True, kw_only=True, tag="approval.escalated"):
    """People of the group `to` may decide too from now on, and `approvers` names them."""

    to: str


class ApprovalExecuted(Approval, frozen=True, kw_only=True, tag="approval.executed"):
    """The effect happened, or was given up with `failure` (a yes is `dead` then, a no stays what it is)."""

    effect: str
    failure: str = ""


class ApprovalAnchored(Event, frozen=True, kw_only=True, tag="approval.anchored"):
    """`hash` covers the heads of all audit chains that grew since the anchor before (`approvals` of them), and it."""

    anchor: int
    approvals: int
    prev_hash: str
    hash: str


class ApprovalNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Approvals of a time. Times in seconds; medians and the like are null where `decided` is 0.

    `decided`: by people, `declined` of them by a no; `auto`: by a rule that asks nobody; `expired`: nobody did in time.
    `over_sla`: decided or expired after longer than that, or at the end of the time waiting for longer. `broken`: the
    first numbers of the `broken_n` that one person let through alone. `oldest` waits longest of those `pending` at the
    end of the time, for `oldest_s` then.
    """

    asked: int
    decided: int
    declined: int
    auto: int
    expired: int
    p50_s: float | None
    p90_s: float | None
    over_sla: int
    broken: tuple[int, ...] = ()
    broken_n: int = 0
    pending: int = 0
    oldest: int | None = None
    oldest_s: float | None = None


class ServiceApprovals(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    numbers: ApprovalNumbers


class ApprovalSummarized(Event, frozen=True, kw_only=True, tag="approval.summarized"):
    """How approvals of a team went in a week. `week` is its Monday (UTC); `sla_s`: how long one may wait.

    `numbers` are over all approvals of its services. `team` is empty for services without one.
    """

    team: str
    week: date
    sla_s: float
    numbers: ApprovalNumbers
    services: tuple[ServiceApprovals, ...] = ()
