"""What a registered target is told of how an approval ended. Pure."""

from datetime import datetime
from typing import Any

import msgspec

from approvals_svc.model import Approval
from approvals_svc.tasks import Webhook
from shared.contracts.envelope import rfc3339
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

CALLBACK = "callback"  # in an approval's payload: the name of its target
DECIDED = "approval.decided"


def tell(approval: Approval) -> tuple[Webhook, ...]:
    """Where a callback was asked for. A newer `version` in it overrules an older one."""
    target = approval.subject.payload.get(CALLBACK, "")
    if not target or approval.decided_at is None:
        return ()
    body = message(DECIDED, at=approval.decided_at, told=snapshot(approval))
    return (Webhook(target=target, message_id=message_id(approval, DECIDED), body=body),)


def message(kind: str, *, at: datetime, told: dict[str, Any]) -> str:
    """The body, in the shape that Standard Webhooks recommends."""
    return msgspec.json.encode({"type": kind, "timestamp": rfc3339(at), "data": told}).decode()


def message_id(approval: Approval, step: str) -> str:
    """The same in every try, so that the receiver knows it again."""
    entity = f"approval:{approval.public_id}"
    step = f"webhook:{step}:{approval.version}"
    return f"msg_{step_of_entity(service=APPROVALS_SVC.name, entity=entity, revision=approval.revision, step=step)}"


def fields(approval: Approval) -> dict[str, Any]:
    """What every answer and callback says of an approval."""
    subject = approval.subject
    return {
        "id": approval.id,
        "public_id": approval.public_id,
        "status": approval.status,
        "decision": approval.decision,
        "revision": approval.revision,
        "version": approval.version,
        "action": subject.action,
        "subject": subject.subject,
        "service": subject.service,
        "environment": subject.environment,
        "repository": subject.repository,
        "sha": subject.sha,
        "url": subject.url,
        "requested_by": subject.requested_by,
    }


def snapshot(approval: Approval) -> dict[str, Any]:
    subject = approval.subject
    return {
        **fields(approval),
        "rule": approval.requirement.rule,
        "votes": [{"person": vote.person, "verb": vote.verb, "reason": vote.reason} for vote in approval.votes],
        "payload": subject.payload,
        "created_at": rfc3339(approval.created_at),
        "decided_at": rfc3339(approval.decided_at) if approval.decided_at else None,
    }
