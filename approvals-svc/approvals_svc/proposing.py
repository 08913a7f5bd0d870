"""What people and signals propose, as a proposal. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from approvals_svc.actions import KINDS, checked
from approvals_svc.callbacks import CALLBACK
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import CATALOG, Account
from approvals_svc.model import Proposal, Subject
from approvals_svc.plain import REASON_MAX_CHARACTERS, Unstorable, plain, storable
from approvals_svc.policy import CLAIMS, EVERY_CLAIM, Facts, Policy, decide_policy
from approvals_svc.tasks import NudgeTask
from shared.catalog import Catalog
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

SUBJECT_MAX_CHARACTERS = 255
RISK_MAX_CHARACTERS = 40
ACTION_MAX_CHARACTERS = 64


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is through which door it came, `key` what makes a repeat recognisable; nobody is behind a signal."""

    source: str
    key: str
    action: str
    subject: str
    payload: Mapping[str, Any]
    requested_by: str
    requester: str = ""
    reason: str = ""
    risk: str = ""
    signal: str = ""
    origin: str = "live"


def propose(asked: Asked, policy: Policy, catalog: Catalog, *, version: int, now: datetime) -> Proposal:
    """Raises InvalidPayload, Unstorable. Of an action that we don't carry out, nothing is known but what it says."""
    subject = _subject(asked, catalog)
    claims = CLAIMS if asked.action in KINDS else EVERY_CLAIM
    requirement = decide_policy(policy, subject.facts, version=version, now=now, claims=claims)
    return Proposal(
        external_key=asked.key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=asked.key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=asked.origin,
        subject=subject,
        requirement=requirement,
        expires_at=now + timedelta(seconds=requirement.terms.expires_after_s),
        reason=plain(asked.reason, characters_max=REASON_MAX_CHARACTERS),
        signal=asked.signal,
    )


def _subject(asked: Asked, catalog: Catalog) -> Subject:
    action = plain(asked.action, characters_max=ACTION_MAX_CHARACTERS)
    payload = checked(action, asked.payload) if action in KINDS else _free(asked.payload)
    repository = str(payload.get("repository", "")) if action in KINDS else ""
    service = _service(action, payload, repository, catalog)
    return Subject(
        source=asked.source,
        action=action,
        subject=plain(asked.subject, characters_max=SUBJECT_MAX_CHARACTERS),
        service=service,
        environment="",
        repository=repository,
        sha="",
        url="",
        requested_by=asked.requested_by,
        involved=(Account(role="requester", platform=CATALOG, name=asked.requester),) if asked.requester else (),
        payload=payload,
        facts=Facts(
            action=action,
            service=service,
            team=catalog.team_of(service),
            repository=repository,
            risk=plain(asked.risk, characters_max=RISK_MAX_CHARACTERS),
        ),
    )


def _service(action: str, payload: Mapping[str, Any], repository: str, catalog: Catalog) -> str:
    """Whose repository it is, or who is told."""
    if repository:
        return catalog.service_of_repository(repository)
    return str(payload.get("service", "")) if action == NudgeTask.kind else ""


def _free(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Of an action that others carry out."""
    if CALLBACK in payload:
        raise Unstorable(f"{CALLBACK} is for gates")
    return storable(payload)
