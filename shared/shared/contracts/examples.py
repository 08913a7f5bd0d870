"""One example per kind, of one small story: acme's checkout is changed, gated, deployed, breaks and recovers."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shared.contracts.events import (
    ApprovalDecided,
    ApprovalExecuted,
    ApprovalExpired,
    ApprovalRequested,
    ApprovalVoted,
    BuildFinished,
    BuildStarted,
    ChangeClosed,
    ChangeCommented,
    ChangeMerged,
    ChangeOpened,
    ChangeReady,
    ChangeReviewed,
    ChangeUpdated,
    ChatAction,
    ChatCommand,
    ChatMention,
    CommitsPushed,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    Event,
    Gate,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    ReleasePublished,
    Reply,
    SignedRequest,
    TicketClosed,
    TicketCreated,
    TicketUpdated,
    Vote,
)
from shared.contracts.events.code import Commit
from shared.contracts.ids import caused_by_delivery

E = TypeVar("E", bound=Event)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DELIVERY = "7a1f0c1e-5b1d-4c7e-9a55-000000000001"
SHA = "9fceb02d0ae598e95dc970b74767f19372d61af8"
REPOSITORY = "acme/checkout"

_CHANGE: dict[str, Any] = {
    "repository": REPOSITORY,
    "number": 128,
    "title": "Retry the card charge once",
    "author": "ana",
    "actor": "ana",
    "base_ref": "main",
    "head_ref": "retry-charge",
    "head_sha": SHA,
    "opened_at": START,
    "url": "https://github.com/acme/checkout/pull/128",
}
_BUILD: dict[str, Any] = {"repository": REPOSITORY, "build_id": "9001", "name": "ci", "branch": "main", "sha": SHA}
_DEPLOYMENT: dict[str, Any] = {
    "repository": REPOSITORY,
    "deployment_id": "42",
    "environment": "production",
    "sha": SHA,
    "ref": "main",
    "creator": "ana",
}
_TICKET: dict[str, Any] = {"project": REPOSITORY, "key": "77", "title": "Charges fail at night", "author": "ben"}
_INCIDENT: dict[str, Any] = {
    "incident_id": "Q1INCIDENT",
    "title": "Checkout is slow",
    "number": 433,
    "urgency": "high",
    "service_id": "PCHECK",
    "service_name": "Checkout",
}
_CHAT: dict[str, Any] = {"team": "T0ACME", "user": "U0ANA", "channel": "C0CHECKOUT"}
_SIGNED = SignedRequest(body=b"payload=%7B%7D", timestamp="1772442000", signature="v0=0123")
_APPROVAL: dict[str, Any] = {
    "approval_id": 7,
    "revision": 1,
    "action": "deploy",
    "subject": "checkout to production",
    "service": "checkout",
    "environment": "production",
    "repository": REPOSITORY,
    "sha": SHA,
    "requested_by": "ana",
    "policy": "production-deploys",
    "group": "release",
    "approvers": ("U0BEN", "U0CY"),
}
_VOTES = (Vote(person="ben", verb="approve", slack_user="U0BEN"),)


def _at(kind: type[E], minutes: float, source: str = "github", **fields: Any) -> E:
    moment = START + timedelta(minutes=minutes)
    return kind(occurred_at=moment, **fields).stamped(
        id=caused_by_delivery(source=source, delivery=DELIVERY, sha256="", ordinal=int(minutes)),
        source=source,
        delivery=DELIVERY,
        origin="live",
        received_at=moment + timedelta(seconds=1),
    )


EXAMPLES: tuple[Event, ...] = (
    _at(ChangeOpened, 0, **_CHANGE, state="open"),
    _at(ChangeUpdated, 5, **_CHANGE, state="open", action="synchronize"),
    _at(ChangeReady, 6, **_CHANGE, state="open"),
    _at(ChangeReviewed, 30, **_CHANGE, state="open", review_id="555", reviewer="ben", review_state="approved"),
    _at(ChangeCommented, 31, repository=REPOSITORY, number=128, comment_id="556", author="ben"),
    _at(ChangeMerged, 40, **_CHANGE, state="merged", merge_sha=SHA, merged_at=START + timedelta(minutes=40)),
    _at(ChangeClosed, 41, **_CHANGE, state="closed", closed_at=START + timedelta(minutes=41)),
    _at(
        CommitsPushed,
        40,
        repository=REPOSITORY,
        ref="refs/heads/main",
        branch="main",
        before="0" * 40,
        after=SHA,
        default_branch="main",
        actor="ana",
        commits=(Commit(sha=SHA, authored_at=START, author="ana", message="Retry the card charge once"),),
    ),
    _at(BuildStarted, 42, **_BUILD),
    _at(BuildFinished, 45, **_BUILD, outcome="succeeded", platform_outcome="success"),
    _at(
        DeploymentRequested,
        46,
        **_DEPLOYMENT,
        gate=Gate(
            run_id="9002",
            callback_url="https://api.github.com/repos/acme/checkout/actions/runs/9002/deployment_protection_rule",
        ),
    ),
    _at(ApprovalRequested, 46, "approvals_svc", **_APPROVAL, version=1, status="pending"),
    _at(ApprovalVoted, 50, "approvals_svc", **_APPROVAL, version=2, status="pending", votes=_VOTES),
    _at(ApprovalDecided, 51, "approvals_svc", **_APPROVAL, version=3, status="approved", votes=_VOTES),
    _at(ApprovalExpired, 52, "approvals_svc", **_APPROVAL, version=3, status="expired"),
    _at(ApprovalExecuted, 53, "approvals_svc", **_APPROVAL, version=4, status="executed", effect="github_gate"),
    _at(DeploymentStarted, 54, **_DEPLOYMENT),
    _at(DeploymentFinished, 57, **_DEPLOYMENT, outcome="succeeded", platform_outcome="success"),
    _at(ReleasePublished, 58, repository=REPOSITORY, tag="v2.4.0", name="2.4.0", author="ana"),
    _at(IncidentOpened, 60, "pagerduty", **_INCIDENT, status="triggered"),
    _at(IncidentAcknowledged, 62, "pagerduty", **_INCIDENT, status="acknowledged", actor="ben"),
    _at(IncidentNoted, 63, "pagerduty", **_INCIDENT, status="acknowledged", note="Rolling back"),
    _at(IncidentResolved, 80, "pagerduty", **_INCIDENT, status="resolved", actor="ben"),
    _at(IncidentReopened, 85, "pagerduty", **_INCIDENT, status="triggered"),
    _at(TicketCreated, 90, **_TICKET, state="open"),
    _at(TicketUpdated, 91, **_TICKET, state="open", labels=("bug",)),
    _at(TicketClosed, 99, **_TICKET, state="closed", reason="completed"),
    _at(ChatAction, 50, "slack", **_CHAT, callback="approval", value="approve:7:1", signed=_SIGNED),
    _at(ChatCommand, 95, "slack", **_CHAT, command="/em", text="dora checkout", signed=_SIGNED),
    _at(ChatMention, 96, "slack", **_CHAT, text="how do we do?", message_ts="1772447760.000100"),
    _at(Reply, 95, "metrics_svc", **_CHAT, text="Change lead time 42.3 h over 80 changes"),
)
