"""Breaking the glass: asked with a reason, confirmed within minutes, decided alone, reviewed afterwards."""

import secrets
from datetime import datetime, timedelta

import msgspec

from approvals_svc import break_glass_store, links, store
from approvals_svc.audit import Actor
from approvals_svc.decision import missing
from approvals_svc.desk import Desk, Outcome
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import CATALOG, Account
from approvals_svc.freeze import frozen_until
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.policy import Emergency, Facts, Requirement, Terms
from approvals_svc.quorum import in_words, of_catalog
from approvals_svc.snapshot import state
from shared.catalog import Catalog
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.db import Connection

CONFIRM_WITHIN = timedelta(minutes=5)
REVIEW = "review_break_glass"
RULE = "break-glass"
REMIND_AT = 0.5
NOT_CONFIRMED = "nothing was asked with this confirmation in the last 5 minutes: ask again without it"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What confirming would do. `confirm` is said once, to who asked."""

    confirm: str
    valid_until: datetime
    consequences: tuple[str, ...]


class Breaking:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ask(self, tx: Connection, number: int, actor: Actor, *, reason: str) -> Asked | Outcome:
        """An outcome where it is refused, which is audited."""
        catalog, emergency, approval = await self._look(tx, number)
        obstacle, now = _obstacle(emergency, catalog, actor.person, approval), await store.clock(tx)
        if approval is None or approval.status != "pending" or now >= approval.expires_at or obstacle or not emergency:
            return await self._desk.break_glass(tx, number, actor, obstacle=obstacle)
        confirm = secrets.token_urlsafe(16)
        await break_glass_store.remember(tx, approval, actor.person, reason=reason, confirm=confirm)
        await self._desk.note_attempt(tx, approval, actor, reason=reason)
        consequences = _consequences(approval, emergency, catalog, now)
        return Asked(confirm=confirm, valid_until=now + CONFIRM_WITHIN, consequences=consequences)

    async def confirm(self, tx: Connection, number: int, actor: Actor, *, confirm: str) -> tuple[Outcome, int | None]:
        """With the number of the approval that reviews it, once the glass is broken."""
        catalog, emergency, approval = await self._look(tx, number)
        obstacle, reason = _obstacle(emergency, catalog, actor.person, approval), ""
        if approval and emergency and not obstacle:
            within = CONFIRM_WITHIN
            found = await break_glass_store.reason(tx, approval, actor.person, confirm=confirm, within=within)
            obstacle, reason = ("", found) if found else (NOT_CONFIRMED, "")
        outcome = await self._desk.break_glass(tx, number, actor, obstacle=obstacle, reason=reason)
        if not outcome.is_counted or outcome.approval is None or emergency is None:
            return outcome, None
        now = await store.clock(tx)
        proposal = _review(outcome.approval, emergency, actor, reason, now)
        review = await self._desk.open(tx, proposal, now=now, actor=actor)
        return outcome, review.id if review else None

    async def _look(self, tx: Connection, number: int) -> tuple[Catalog, Emergency | None, Approval | None]:
        """The newest of each, and the approval under its lock."""
        catalog = await self._desk.current_catalog(tx)
        emergency = (await self._desk.current_policy(tx)).content.emergency
        return catalog, emergency, await store.lock_approval(tx, number)


def _obstacle(emergency: Emergency | None, catalog: Catalog, person: str, approval: Approval | None) -> str:
    if approval is not None and approval.subject.source == links.SOURCE:
        return "whose an account is can wait for those who are asked"
    if emergency is None:
        return "the policy lets nobody break the glass"
    if person not in of_catalog(catalog)(emergency.breakers):
        return f"{person} is not in the group {emergency.breakers.group}, who may break the glass"
    return ""


def _consequences(approval: Approval, emergency: Emergency, catalog: Catalog, now: datetime) -> tuple[str, ...]:
    lacking = ", ".join(in_words(seats) for seats in missing(state(approval, catalog)))
    frozen = frozen_until(approval.requirement.freezes, now)
    told = (
        f"{approval.subject.subject} is let through at once",
        f"without the votes of {lacking}" if lacking else "",
        f"in the freeze {frozen[0]}" if frozen else "",
        f"{emergency.reviewers.group} has to review it within {emergency.review_within_s // 60} min",
    )
    return tuple(filter(None, told))


def _review(approval: Approval, emergency: Emergency, actor: Actor, reason: str, now: datetime) -> Proposal:
    """An approval of its own, in which who broke the glass has no vote."""
    subject = Subject(
        source=CATALOG,
        action=REVIEW,
        subject=f"{actor.person} broke the glass for #{approval.id}: {approval.subject.subject}",
        service=approval.subject.service,
        environment=approval.subject.environment,
        repository=approval.subject.repository,
        sha=approval.subject.sha,
        url=approval.subject.url,
        requested_by=actor.person,
        involved=(Account(role="requester", platform=CATALOG, name=actor.person),),
        payload={"approval": str(approval.id)},
        facts=Facts(action=REVIEW, service=approval.subject.service, environment=approval.subject.environment),
    )
    key = f"review:{approval.public_id}"
    within_s = emergency.review_within_s
    terms = Terms(
        requires=emergency.reviewers, separation=("requester",), expires_after_s=within_s, remind_at=REMIND_AT
    )
    return Proposal(
        external_key=key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=approval.origin,
        subject=subject,
        requirement=Requirement(
            rule=RULE,
            version=approval.requirement.version,
            trace=(f"{RULE}: every broken glass is reviewed",),
            terms=terms,
        ),
        expires_at=now + timedelta(seconds=within_s),
        reason=reason,
    )
