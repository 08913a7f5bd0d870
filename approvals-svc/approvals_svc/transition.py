"""What a command does to an approval: vote, status, audit, effect, deadlines and events, written at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from approvals_svc import store
from approvals_svc.audit import SYSTEM, Actor, Entry, sealed
from approvals_svc.consequences import consequences
from approvals_svc.decision import (
    OPENED,
    BreakGlass,
    CastVote,
    ClaimEffect,
    Command,
    ConfirmEffect,
    Decision,
    Edit,
    Escalate,
    Expire,
    FailEffect,
    GiveUpEffect,
    Lapse,
    LetThrough,
    Refusal,
    Remind,
    Revoke,
    Status,
    Thaw,
    Transition,
    Vote,
    decide,
)
from approvals_svc.edits import content_hash, edited
from approvals_svc.model import Approval, Subject
from approvals_svc.opa import OPA, Advice
from approvals_svc.snapshot import snapshot, state
from approvals_svc.tasks import CARRYING, Task
from shared.catalog import Catalog
from shared.contracts import events
from shared.contracts.envelope import Outgoing, event_message
from shared.contracts.subjects import Subjects
from shared.db import Connection, outbox

TIMERS: Mapping[str, type[Remind | Escalate | Expire | Thaw]] = {
    "remind": Remind,
    "escalate": Escalate,
    "expire": Expire,
    "thaw": Thaw,
}
VERBS: Mapping[type[Command], str] = {
    Edit: "modified",
    Remind: "reminded",
    Escalate: "escalated",
    Expire: "extended",
    Revoke: "revoked",
    ClaimEffect: "claimed",
    ConfirmEffect: "executed",
    FailEffect: "failed",
    GiveUpEffect: "gave_up",
}


class LostRow(RuntimeError):
    """An approval changed under its own lock: a bug, and better a failed transaction than a second decision."""


class Draft:
    """One approval under its row lock: what changes is gathered here, and written at once by `write`."""

    def __init__(self, approval: Approval, *, catalog: Catalog, subjects: Subjects, now: datetime) -> None:
        self.approval = approval
        self.now = now
        self.entries: list[Entry] = []
        self.effects: list[Task] = []
        self.was = approval
        self._catalog = catalog
        self._subjects = subjects
        self.messages: list[Outgoing] = []
        self.votes: list[tuple[Vote, str]] = []
        self.deadlines: dict[str, datetime] = {}

    def open(self, actor: Actor) -> None:
        """As the policy has it: people are asked, at once or after OPA, or it is decided already."""
        approval = self.approval
        self.note("requested", actor, rule=approval.requirement.rule, reason=approval.reason, signal=approval.signal)
        status = OPENED[self.approval.requirement.outcome]
        if status != "pending":
            self._decide(status, SYSTEM, {})
            return
        self._schedule()
        if not approval.requirement.asks_opa:
            self.say(events.ApprovalRequested)

    def advise(self, advice: Advice, *, revision: int) -> None:
        """What OPA said of this revision, while it waits: it is let through, or people are asked."""
        if advice.allows:
            found = self.do(LetThrough(revision=revision), OPA, {"said": advice.said})
            if isinstance(found, Transition):
                return
            advice = Advice(said=f"{advice.said}, but {found.detail}") if isinstance(found, Refusal) else advice
        self.note("advised", OPA, said=advice.said)
        self.say(events.ApprovalRequested)

    def do(
        self,
        command: Command,
        actor: Actor,
        detail: Mapping[str, str] = MappingProxyType({}),
        *,
        patch: Mapping[str, str] | None = None,
    ) -> Decision:
        """The only way that a status changes. `detail` goes into the audit row. Raises NotEditable."""
        found = decide(state(self.approval, self._catalog), command, self.now)
        if isinstance(found, Transition):
            if patch is not None:
                self._edit(edited(self.approval.subject, patch, editor=actor.person))
                detail = {**detail, **{f"new_{name}": self.approval.subject.payload[name] for name in patch}}
            self._apply(found, command, actor, detail)
        return found

    def note(self, verb: str, actor: Actor, *, after: str = "", **detail: str) -> None:
        """One link of the audit chain."""
        before = self.approval.status
        entry = sealed(
            Entry(
                approval_id=self.approval.id,
                seq=self.approval.audit_seq + 1,
                at=self.now,
                actor=actor,
                verb=verb,
                before=before,
                after=after or before,
                detail={name: value for name, value in detail.items() if value},
                prev_hash=self.approval.audit_head,
            )
        )
        self.entries.append(entry)
        self._change(audit_seq=entry.seq, audit_head=entry.hash)

    def say(self, kind: type[events.Approval], **more: str) -> None:
        """Tell the others how it stands, under the next version."""
        self._change(version=self.approval.version + 1)
        event = snapshot(kind, self.approval, self._catalog, now=self.now, **more)
        self.messages.append(event_message(event, self._subjects))

    async def write(self, tx: Connection) -> None:
        await write(tx, [self])

    # ---- what each command leaves behind -----------------------------------------------------------------------

    def _apply(self, found: Transition, command: Command, actor: Actor, detail: Mapping[str, str]) -> None:
        before = self.approval.status
        self._change(
            votes=found.votes,
            revision=found.revision,
            expires_at=found.expires_at,
            is_escalated=found.is_escalated,
            is_extended=found.is_extended,
        )
        if found.thaw_at:
            self.deadlines["thaw"] = found.thaw_at
        if isinstance(command, BreakGlass):
            self._change(broken_by=command.person)
            detail = {**detail, "break_glass": command.person}
        if isinstance(command, CastVote) and found.recorded:
            self._voted(found.recorded, found.replaced, actor)
        if before == "pending" != found.status:
            self._decide(found.status, actor, detail, waits=not isinstance(command, Lapse))
        elif before == found.status == "pending":
            self._note_while_pending(command, actor, detail)
        else:
            self._note_afterwards(found.status, command, actor, detail)

    def _edit(self, subject: Subject) -> None:
        self._change(subject=subject, content_hash=content_hash(subject))

    def _voted(self, vote: Vote, replaced: Vote | None, actor: Actor) -> None:
        self.votes.append((vote, actor.surface))
        behalf = ", ".join(vote.on_behalf_of)
        self.note(vote.verb, actor, reason=vote.reason, replaced=replaced.verb if replaced else "", on_behalf_of=behalf)
        self.say(events.ApprovalVoted)

    def _decide(self, decision: Status, actor: Actor, detail: Mapping[str, str], *, waits: bool = True) -> None:
        """The one transition out of pending, with the effect that it has."""
        self.note("decided", actor, after=decision, **detail)
        self._change(status=decision, decision=decision, decided_at=self.now)
        self.effects.extend(consequences(self.approval, waits=waits))
        if decision == "expired":
            self.say(events.ApprovalExpired)
        else:
            ended_by = actor.person if decision == "cancelled" else ""
            why = detail.get("reason", "") if ended_by else ""
            self.say(events.ApprovalDecided, cause=detail.get("cause", ""), ended_by=ended_by, why=why)

    def _note_while_pending(self, command: Command, actor: Actor, detail: Mapping[str, str]) -> None:
        match command:
            case Edit():
                self.note(VERBS[Edit], actor, revision=str(self.approval.revision), **detail)
                self.say(events.ApprovalRequested)
            case Remind():
                self.note(VERBS[Remind], actor)
                self.say(events.ApprovalReminded)
            case Escalate() | Expire():
                to = self.approval.requirement.terms.escalate_to
                until = self.approval.expires_at.isoformat()
                self.note(VERBS[type(command)], actor, to=to.group if to else "", until=until)
                self.say(events.ApprovalEscalated, to=to.group if to else "")
                if isinstance(command, Expire):
                    self.deadlines["expire"] = self.approval.expires_at
            case _:
                pass  # a vote is noted as such, and a freeze that goes on is none of anybody's news

    def _note_afterwards(self, after: Status, command: Command, actor: Actor, detail: Mapping[str, str]) -> None:
        self.note(VERBS[type(command)], actor, after=after, **detail)
        self._change(status=after)
        if isinstance(command, ConfirmEffect | GiveUpEffect):
            self.say(events.ApprovalExecuted, effect=detail["effect"], failure=detail.get("failure", ""))
        elif isinstance(command, Revoke):
            self.effects.extend(consequences(self.approval))
            self.say(events.ApprovalDecided, ended_by=actor.person, why=detail.get("reason", ""))

    def _schedule(self) -> None:
        terms, until = self.approval.requirement.terms, self.approval.expires_at
        span = timedelta(seconds=terms.expires_after_s)
        if terms.remind_at is not None:
            self.deadlines["remind"] = until - span * (1 - terms.remind_at)
        if terms.escalate_at is not None:
            self.deadlines["escalate"] = until - span * (1 - terms.escalate_at)

    def _change(self, **fields: Any) -> None:
        self.approval = msgspec.structs.replace(self.approval, **fields)


async def write(tx: Connection, drafts: Sequence[Draft]) -> None:
    """All of them at once: the number of statements does not grow with theirs, save for votes and revocations."""
    saved = await store.save_approvals(tx, [(draft.approval, draft.was) for draft in drafts])
    if lost := {draft.approval.id for draft in drafts} - saved:
        raise LostRow(f"approvals {sorted(lost)} are not as they were any more")
    for draft in drafts:
        for vote, surface in draft.votes:
            await store.record_vote(tx, draft.approval, vote, surface=surface, now=draft.now)
        if draft.was.decision:
            for task in draft.effects:
                await store.change_effect(tx, draft.approval, task)
        if draft.approval.status == "revoked" != draft.was.status:
            told = {task.kind for task in draft.effects}
            await store.withdraw_effects(tx, draft.approval, kinds=[kind for kind in CARRYING if kind not in told])
    if added := [(draft.approval, task) for draft in drafts if not draft.was.decision for task in draft.effects]:
        await store.add_effects(tx, added)
    if deadlines := {draft.approval.id: draft.deadlines for draft in drafts if draft.deadlines}:
        await store.schedule(tx, deadlines)
    if ended := [d.approval.id for d in drafts if d.was.status == "pending" != d.approval.status]:
        await store.unschedule(tx, ended)
    await store.append_audit(tx, [entry for draft in drafts for entry in draft.entries])
    if messages := [message for draft in drafts for message in draft.messages]:
        await outbox.add(tx, messages)
