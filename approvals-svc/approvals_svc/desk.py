"""Where every surface ends: an approval is opened, voted on, edited, ended and closed here, each in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from approvals_svc import gathering, opa_store, store
from approvals_svc.audit import SYSTEM, Actor
from approvals_svc.decision import (
    BreakGlass,
    Cancel,
    CastVote,
    ClaimEffect,
    Command,
    ConfirmEffect,
    Decision,
    Edit,
    Expire,
    FailEffect,
    GiveUpEffect,
    Lapse,
    Refusal,
    RefusalReason,
    Replay,
    Revoke,
    Supersede,
    Transition,
    Verb,
    Vote,
)
from approvals_svc.embedding import Embedder, Lexical
from approvals_svc.known_links import KnownLinks
from approvals_svc.known_teams import KnownTeams
from approvals_svc.model import Approval, Effect, Proposal
from approvals_svc.opa import Advice
from approvals_svc.policies import Policies
from approvals_svc.policy import Policy
from approvals_svc.transition import TIMERS, Draft, write
from shared.catalog import Catalog
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Connection
from shared.db.catalogs import Catalogs
from shared.db.versions import Version
from shared.telemetry import logs

log = logs.get(__name__)

Result = Literal["counted", "replayed", "unknown"] | RefusalReason


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said, after the surface has made sure who it was; `revision` None means the current one."""

    approval_id: int
    verb: Verb
    actor: Actor
    reason: str = ""
    slack_user: str = ""
    revision: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a ballot or another command; `approval` is how it stands now."""

    result: Result
    detail: str = ""
    approval: Approval | None = None

    @property
    def is_counted(self) -> bool:
        return self.result in ("counted", "replayed")


class Desk:
    """Who may decide is asked of the newest catalog at each vote: whoever left it no longer counts, a new one does."""

    def __init__(
        self,
        catalogs: Catalogs,
        policies: Policies,
        subjects: Subjects,
        embedder: Embedder | None = None,
        teams: KnownTeams | None = None,
        links: KnownLinks | None = None,
    ) -> None:
        """`embedder` None: the local one."""
        self._catalogs = catalogs
        self._policies = policies
        self._subjects = subjects
        self._embedder = embedder or Lexical()
        self._teams = teams or KnownTeams()
        self._links = links or KnownLinks()

    @property
    def teams(self) -> dict[str, str]:
        """What is known of the teams of GitHub, for people."""
        return self._teams.status

    @property
    def catalog(self) -> Catalog:
        """With the teams of GitHub that are known, and the Slack accounts that people confirmed."""
        return self._teams.within(self._links.within(self._catalogs.catalog))

    async def current_catalog(self, tx: Connection) -> Catalog:
        """The newest, which stays so until the transaction ends."""
        catalog = (await self._catalogs.current(tx)).content
        await self._links.look(tx)
        await self._teams.look(tx)
        return self._teams.within(self._links.within(catalog))

    async def current_policy(self, tx: Connection) -> Version[Policy]:
        """As the catalog, which is asked first wherever both are."""
        return await self._policies.current(tx)

    async def open(
        self, tx: Connection, proposal: Proposal, *, now: datetime, actor: Actor | None = None
    ) -> Approval | None:
        """None: it is open already. The same key with other content takes the place of what is pending under it.

        `actor`: who asks, where more is known than an account.
        """
        superseded = await self._supersede(tx, proposal, now)
        if superseded:
            proposal = _successor(proposal, superseded)
        shown = await gathering.shown(tx, proposal, self.catalog, self._embedder, now=now)
        approval = await store.insert_approval(tx, proposal, shown, now=now)
        if approval is None:
            return None
        subject = proposal.subject
        draft = self._draft(approval, now)
        draft.open(actor or Actor(person="", identity=subject.requested_by, surface=subject.source))
        await draft.write(tx)
        if approval.requirement.asks_opa:
            await opa_store.add(tx, approval.id)
        if superseded:
            await store.link_successor(tx, superseded.id, successor=approval.id)
        log.info("approval.requested", approval_id=approval.id, rule=approval.requirement.rule)
        return draft.approval

    async def advise(self, tx: Connection, number: int, advice: Advice, *, revision: int) -> None:
        """What OPA said of a revision. The first answer counts, and only while it waits."""
        await self.current_catalog(tx)
        approval = await store.lock_approval(tx, number)
        if approval is None or not await opa_store.close(tx, number) or approval.status != "pending":
            return
        requirement = approval.requirement
        requirement = msgspec.structs.replace(requirement, trace=(*requirement.trace, f"OPA: {advice.said}"))
        await opa_store.store_trace(tx, number, requirement)
        draft = self._draft(msgspec.structs.replace(approval, requirement=requirement), await store.clock(tx))
        draft.advise(advice, revision=revision)
        await draft.write(tx)

    async def vote(self, tx: Connection, ballot: Ballot) -> Outcome:
        """The decision transaction of approvals.md, section 5; what is refused is audited too."""
        vote = Vote(person=ballot.actor.person, verb=ballot.verb, reason=ballot.reason, slack_user=ballot.slack_user)
        command = CastVote(vote=vote, revision=ballot.revision)
        return await self._do(tx, ballot.approval_id, command, ballot.actor, asked=ballot.verb)

    async def edit(
        self, tx: Connection, number: int, patch: Mapping[str, str], actor: Actor, *, revision: int | None
    ) -> Outcome:
        """Raises NotEditable. Who changes what is asked has asked it: they don't decide about it."""
        return await self._do(tx, number, Edit(person=actor.person, revision=revision), actor, patch=patch)

    async def cancel(self, tx: Connection, number: int, actor: Actor, *, by_right: bool, reason: str = "") -> Outcome:
        return await self._do(tx, number, Cancel(person=actor.person, by_right=by_right), actor, reason=reason)

    async def break_glass(
        self, tx: Connection, number: int, actor: Actor, *, obstacle: str, reason: str = ""
    ) -> Outcome:
        """One person lets it through alone; `obstacle`: why the policy or the moment doesn't let them."""
        command = BreakGlass(person=actor.person, obstacle=obstacle)
        return await self._do(tx, number, command, actor, reason=reason)

    async def note_attempt(self, tx: Connection, approval: Approval, actor: Actor, *, reason: str) -> None:
        """Somebody is about to break the glass."""
        draft = self._draft(approval, await store.clock(tx))
        draft.note("break_glass_asked", actor, reason=reason)
        await draft.write(tx)

    async def note(self, tx: Connection, number: int, verb: str, actor: Actor, **detail: str) -> None:
        """What happened to something that was decided, and changes no decision."""
        approval = await store.lock_approval(tx, number)
        if approval is not None:
            draft = self._draft(approval, await store.clock(tx))
            draft.note(verb, actor, **detail)
            await draft.write(tx)

    async def lapse(self, tx: Connection, number: int, actor: Actor, *, cause: str) -> Outcome:
        """Nobody waits for an answer any more: `actor` let it pass or stopped it elsewhere, or its run is over."""
        return await self._do(tx, number, Lapse(), actor, cause=cause)

    async def note_review(self, tx: Connection, number: int, actor: Actor, **detail: str) -> None:
        """What somebody said at the platform itself, which decides nothing here."""
        approval = await store.lock_approval(tx, number)
        if approval is not None and approval.status == "pending":
            draft = self._draft(approval, await store.clock(tx))
            draft.note("reviewed_elsewhere", actor, **detail)
            await draft.write(tx)

    async def revoke(self, tx: Connection, number: int, actor: Actor, *, by_right: bool, reason: str = "") -> Outcome:
        return await self._do(tx, number, Revoke(person=actor.person, by_right=by_right), actor, reason=reason)

    async def fire_due(self, tx: Connection, *, limit: int) -> int:
        """How many deadlines there were. One transaction holds the approvals of all of them."""
        await self.current_catalog(tx)
        due = await store.lock_due(tx, limit=limit)
        if not due:
            return 0
        now = await store.clock(tx)
        drafts: dict[int, Draft] = {}
        for approval, kind in due:
            draft = drafts.setdefault(approval.id, self._draft(approval, now))
            draft.do(TIMERS[kind](), SYSTEM)
        await write(tx, list(drafts.values()))
        return len(due)

    async def claim_effects(self, tx: Connection, *, kinds: Sequence[str], limit: int, lease_s: float) -> list[Effect]:
        """Due ones of these kinds, whose approvals are being carried out from now on: too late to revoke them."""
        await self.current_catalog(tx)
        leased = await store.lease_effects(tx, kinds=kinds, limit=limit, lease_s=lease_s)
        for effect in leased:
            await self._settle(tx, effect, ClaimEffect())
        return leased

    async def postpone(self, tx: Connection, effect: Effect, *, after_s: float, reason: str) -> bool:
        """It may work later. False: the lease ran out, and somebody else has it now."""
        approval = await store.lock_approval(tx, effect.approval_id)
        if not await store.postpone_effect(tx, effect, after_s=after_s, result=reason):
            return False
        await self._settle(tx, effect, FailEffect(), approval=approval, failure=reason)
        return True

    async def close(self, tx: Connection, effect: Effect, *, failure: str = "", note: str = "") -> bool:
        """What became of the effect: it happened, or (with `failure`) it never will. False as above."""
        approval = await store.lock_approval(tx, effect.approval_id)
        if not await store.close_effect(tx, effect, state="dead" if failure else "done", result=failure or note):
            return False
        command = GiveUpEffect() if failure else ConfirmEffect()
        await self._settle(tx, effect, command, approval=approval, failure=failure, note=note)
        return True

    async def collect(self, tx: Connection, number: int, actor: Actor, *, kind: str) -> Approval | None:
        """How it stands, for whom an effect of this kind is meant: by collecting it they carry out what was decided."""
        await self.current_catalog(tx)
        if not await store.waits_for(tx, number, kind=kind):
            return await store.approval(tx, number)
        approval = await store.lock_approval(tx, number)
        if approval is None or not await store.collect_effect(tx, approval, kind=kind):
            return approval
        draft = self._draft(approval, await store.clock(tx))
        for command in (ClaimEffect(), ConfirmEffect()):
            draft.do(command, actor, {"effect": kind})
        await draft.write(tx)
        return draft.approval

    async def _supersede(self, tx: Connection, proposal: Proposal, now: datetime) -> Approval | None:
        if proposal.replaces is None:
            approval = await store.lock_approval_by_key(tx, proposal.external_key)
        else:
            approval = await store.lock_approval(tx, proposal.replaces)
        if approval is None or approval.content_hash == proposal.content_hash:
            return None
        draft = self._draft(approval, now)
        if isinstance(draft.do(Supersede(), SYSTEM), Refusal):
            return None
        await draft.write(tx)
        return draft.approval

    async def _do(
        self,
        tx: Connection,
        number: int,
        command: Command,
        actor: Actor,
        *,
        patch: Mapping[str, str] | None = None,
        **detail: str,
    ) -> Outcome:
        """One command of a person, by the catalog as it is now and the database's clock."""
        await self.current_catalog(tx)
        approval = await store.lock_approval(tx, number)
        if approval is None:
            return Outcome(result="unknown", detail=f"there is no approval #{number}")
        draft = self._draft(approval, await store.clock(tx))
        found = self._decided(draft, command, actor, patch, detail)
        if isinstance(found, Replay):
            return Outcome(result="replayed", approval=draft.approval)
        if isinstance(found, Refusal):
            asked = detail.get("asked") or type(command).__name__.lower()
            draft.note("refused", actor, asked=asked, reason=found.detail, refusal=found.reason)
        await draft.write(tx)
        if isinstance(found, Refusal):
            return Outcome(result=found.reason, detail=found.detail, approval=draft.approval)
        return Outcome(result="counted", approval=draft.approval)

    def _decided(
        self,
        draft: Draft,
        command: Command,
        actor: Actor,
        patch: Mapping[str, str] | None,
        detail: Mapping[str, str],
    ) -> Decision:
        """Whoever comes after the deadline makes it happen: what time does comes first."""
        noted = {name: value for name, value in detail.items() if name != "asked"}
        found = draft.do(command, actor, noted, patch=patch)
        if isinstance(found, Refusal) and found.reason == "expired":
            draft.do(Expire(), SYSTEM)
            if draft.approval.status == "pending":  # it was escalated instead
                return draft.do(command, actor, noted, patch=patch)
        return found

    async def _settle(
        self, tx: Connection, effect: Effect, command: Command, *, approval: Approval | None = None, **detail: str
    ) -> None:
        approval = approval or await store.lock_approval(tx, effect.approval_id)
        if approval is None or not effect.task.carries_out:
            return
        draft = self._draft(approval, await store.clock(tx))
        if isinstance(draft.do(command, SYSTEM, {"effect": effect.task.kind, **detail}), Transition):
            await draft.write(tx)

    def _draft(self, approval: Approval, now: datetime) -> Draft:
        return Draft(approval, catalog=self.catalog, subjects=self._subjects, now=now)


def _successor(proposal: Proposal, superseded: Approval) -> Proposal:
    """Under the same key, and yet another approval."""
    key, before = proposal.external_key, superseded.id
    public_id = step_of_entity(service=APPROVALS_SVC.name, entity=key, revision=before, step="public_id")
    return msgspec.structs.replace(proposal, public_id=public_id)
