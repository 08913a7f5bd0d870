"""Where every surface ends: an approval is opened, voted on, expired and closed here, each in one transaction."""

from datetime import datetime
from typing import Literal

import msgspec

from approvals_svc import store
from approvals_svc.audit import SYSTEM, Actor
from approvals_svc.decision import (
    CastVote,
    ConfirmEffect,
    Decision,
    Expire,
    GiveUpEffect,
    Refusal,
    Replay,
    Transition,
    Verb,
    Vote,
    decide,
)
from approvals_svc.model import Approval, Effect, Proposal
from approvals_svc.snapshot import state
from approvals_svc.transition import Draft
from shared.catalog import Catalog
from shared.contracts.events import ApprovalExecuted, ApprovalRequested
from shared.contracts.subjects import Subjects
from shared.db import Connection
from shared.db.catalogs import Catalogs
from shared.telemetry import logs, metrics

log = logs.get(__name__)

Result = Literal["counted", "replayed", "expired", "decided", "superseded", "not_eligible", "unknown"]


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said, after the surface has made sure who it was; `revision` None means the current one."""

    approval_id: int
    verb: Verb
    actor: Actor
    reason: str = ""
    slack_user: str = ""
    revision: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a ballot; `approval` is how it stands now."""

    result: Result
    detail: str = ""
    approval: Approval | None = None

    @property
    def is_counted(self) -> bool:
        return self.result in ("counted", "replayed")


class Desk:
    """Who may decide is asked of the newest catalog at each vote: whoever left it no longer counts, a new one does."""

    def __init__(self, catalogs: Catalogs, subjects: Subjects) -> None:
        self._catalogs = catalogs
        self._subjects = subjects

    @property
    def catalog(self) -> Catalog:
        return self._catalogs.catalog

    async def current_catalog(self, tx: Connection) -> Catalog:
        """The newest, which stays so until the transaction ends."""
        return (await self._catalogs.current(tx)).catalog

    async def open(self, tx: Connection, proposal: Proposal, *, now: datetime) -> Approval | None:
        """None: it is open already."""
        approval = await store.insert_approval(tx, proposal, now=now)
        if approval is None:
            return None
        draft = self._draft(approval, now)
        draft.note("requested", Actor(person="", identity=proposal.subject.requested_by, surface="github"))
        draft.say(ApprovalRequested)
        await draft.write(tx)
        log.info("approval.requested", approval_id=approval.id, rule=approval.requirement.rule)
        return draft.approval

    async def vote(self, tx: Connection, ballot: Ballot) -> Outcome:
        """The decision transaction of approvals.md, section 5; what is refused is audited too."""
        await self.current_catalog(tx)
        approval = await store.lock_approval(tx, ballot.approval_id)
        if approval is None:
            return Outcome(result="unknown", detail=f"there is no approval #{ballot.approval_id}")
        now = await store.clock(tx)
        found = decide(state(approval, self.catalog), _command(ballot), now)
        draft = self._draft(approval, now)
        match found:
            case Transition():
                await draft.vote(tx, found, ballot.actor)
            case Refusal():
                pass
            case Replay():
                return Outcome(result="replayed", approval=approval)
        outcome = _outcome(found, draft.approval)
        if not outcome.is_counted:
            metrics.approvals_conflicts.labels(reason=outcome.result).inc()
            draft.note("refused", ballot.actor, asked=ballot.verb, reason=outcome.detail)
        await draft.write(tx)
        return outcome

    async def expire_overdue(self, tx: Connection, *, limit: int) -> int:
        """How many there were."""
        overdue = await store.lock_overdue(tx, limit=limit)
        now = await store.clock(tx)
        for approval in overdue:
            found = decide(state(approval, self.catalog), Expire(), now)
            if isinstance(found, Transition):
                draft = self._draft(approval, now)
                await draft.decide(tx, found.status, SYSTEM)
                await draft.write(tx)
        return len(overdue)

    async def close(self, tx: Connection, effect: Effect, *, failure: str = "", note: str = "") -> None:
        """What became of the effect: it happened, or (with `failure`) it never will."""
        approval = await store.lock_approval(tx, effect.approval_id)
        if approval is None:
            return
        now = await store.clock(tx)
        command = GiveUpEffect() if failure else ConfirmEffect()
        found = decide(state(approval, self.catalog), command, now)
        if not isinstance(found, Transition):
            return
        draft = self._draft(approval, now)
        verb = "gave_up" if failure else "executed"
        draft.become(found.status, SYSTEM, verb=verb, effect=effect.kind, failure=failure, note=note)
        draft.say(ApprovalExecuted, effect=effect.kind, failure=failure)
        await draft.write(tx)

    def _draft(self, approval: Approval, now: datetime) -> Draft:
        return Draft(approval, catalog=self.catalog, subjects=self._subjects, now=now)


def _command(ballot: Ballot) -> CastVote:
    vote = Vote(person=ballot.actor.person, verb=ballot.verb, reason=ballot.reason, slack_user=ballot.slack_user)
    return CastVote(vote=vote, revision=ballot.revision)


def _outcome(found: Decision, approval: Approval) -> Outcome:
    match found:
        case Refusal(reason="decided" | "superseded" | "not_eligible" as reason, detail=detail):
            return Outcome(result=reason, detail=detail, approval=approval)
        case Transition(recorded=None):
            return Outcome(result="expired", detail="its time was up before this vote", approval=approval)
        case _:
            return Outcome(result="counted", approval=approval)
