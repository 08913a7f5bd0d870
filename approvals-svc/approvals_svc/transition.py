"""Writes what the rules decided: vote, status, audit, effect and events, all in the caller's transaction."""

from datetime import datetime

import msgspec

from approvals_svc import gates, store
from approvals_svc.audit import SYSTEM, Actor, Entry, sealed
from approvals_svc.decision import Status, Transition
from approvals_svc.model import GITHUB_GATE, Approval
from approvals_svc.snapshot import snapshot
from shared.catalog import Catalog
from shared.contracts import events
from shared.contracts.envelope import Outgoing, event_message
from shared.contracts.subjects import Subjects
from shared.db import Connection, outbox

DECISIONS = {"approved": events.ApprovalDecided, "rejected": events.ApprovalDecided, "expired": events.ApprovalExpired}


class LostRow(RuntimeError):
    """An approval changed under its own lock: a bug, and better a failed transaction than a second decision."""


class Draft:
    """One approval under its row lock: what changes is gathered here and written at once by `write`."""

    def __init__(self, approval: Approval, *, catalog: Catalog, subjects: Subjects, now: datetime) -> None:
        self.approval = approval
        self.now = now
        self._before = approval.status
        self._catalog = catalog
        self._subjects = subjects
        self._entries: list[Entry] = []
        self._messages: list[Outgoing] = []

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
        self._entries.append(entry)
        self._change(audit_seq=entry.seq, audit_head=entry.hash)

    def say(self, kind: type[events.Approval], **more: str) -> None:
        """Tell the others how it stands, under the next version."""
        self._change(version=self.approval.version + 1)
        event = snapshot(kind, self.approval, self._catalog, now=self.now, **more)
        self._messages.append(event_message(event, self._subjects))

    def become(self, status: Status, actor: Actor, *, verb: str, **detail: str) -> None:
        self.note(verb, actor, after=status, **detail)
        self._change(status=status)

    async def vote(self, tx: Connection, found: Transition, actor: Actor) -> None:
        """The recorded vote, and the decision if there is one now."""
        self._change(votes=found.votes)
        if found.recorded:
            await store.record_vote(tx, self.approval, found.recorded, surface=actor.surface, now=self.now)
            replaced = found.replaced.verb if found.replaced else ""
            self.note(found.recorded.verb, actor, reason=found.recorded.reason, replaced=replaced)
            self.say(events.ApprovalVoted)
        if found.status != "pending":
            await self.decide(tx, found.status, actor if found.recorded else SYSTEM)

    async def decide(self, tx: Connection, decision: Status, actor: Actor) -> None:
        """The one transition out of pending, with the effect that it has."""
        self.become(decision, actor, verb="decided")
        self._change(decision=decision, decided_at=self.now)
        answer = gates.answer(self.approval, decision=decision)
        await store.add_effect(tx, self.approval, kind=GITHUB_GATE, answer=answer)
        self.say(DECISIONS[decision])

    async def write(self, tx: Connection) -> None:
        if not await store.save_approval(tx, self.approval, before=self._before):
            raise LostRow(f"approval {self.approval.id} is not {self._before} any more")
        await store.append_audit(tx, self._entries)
        await outbox.add(tx, self._messages)

    def _change(self, **fields: object) -> None:
        self.approval = msgspec.structs.replace(self.approval, **fields)
