"""All SQL of approvals-svc."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from asyncpg import Record

from approvals_svc.audit import Actor, Entry, genesis
from approvals_svc.decision import Vote
from approvals_svc.model import Approval, Effect, GateAnswer, Proposal, Subject
from approvals_svc.policy import Requirement
from shared.db import Connection


async def clock(tx: Connection) -> datetime:
    """The database's time at this moment. `now()` would be that of the transaction's start, before it waited."""
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment


async def insert_approval(tx: Connection, proposal: Proposal, *, now: datetime) -> Approval | None:
    """None: the same was asked before."""
    subject, requirement = proposal.subject, proposal.requirement
    row = await tx.fetchrow(
        """
        INSERT INTO approval (public_id, external_key, source, action, subject, service, environment, repository, sha,
                              url, payload, content_hash, requested_by, requesters, policy, policy_version,
                              requirement, origin, created_at, expires_at, audit_head)
        VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13, $14, $15, $16, $17::jsonb,
                $18, $19, $20, $21)
        ON CONFLICT (external_key) DO NOTHING RETURNING *
        """,
        proposal.public_id,
        proposal.external_key,
        subject.source,
        subject.action,
        subject.subject,
        subject.service,
        subject.environment,
        subject.repository,
        subject.sha,
        subject.url,
        _json(subject.payload),
        proposal.content_hash,
        subject.requested_by,
        list(subject.requesters),
        requirement.rule,
        requirement.version,
        _json(requirement),
        proposal.origin,
        now,
        proposal.expires_at,
        genesis(proposal.public_id),
    )
    return _approval(row, ()) if row else None


async def lock_approval(tx: Connection, approval_id: int) -> Approval | None:
    """With the votes of its revision; nobody else changes it until this transaction ends."""
    row = await tx.fetchrow("SELECT * FROM approval WHERE id = $1 FOR UPDATE", approval_id)
    return _approval(row, await votes(tx, row["id"], row["revision"])) if row else None


async def lock_overdue(tx: Connection, *, limit: int) -> list[Approval]:
    """Pending ones whose time is up and that nobody else holds."""
    rows = await tx.fetch(
        """
        SELECT * FROM approval WHERE status = 'pending' AND expires_at <= clock_timestamp()
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    return [_approval(row, await votes(tx, row["id"], row["revision"])) for row in rows]


async def approval(tx: Connection, approval_id: int) -> Approval | None:
    row = await tx.fetchrow("SELECT * FROM approval WHERE id = $1", approval_id)
    return _approval(row, await votes(tx, row["id"], row["revision"])) if row else None


async def approvals(tx: Connection, *, status: str | None, before: int | None, limit: int) -> list[Approval]:
    """Newest first; `before` is the number to go on from."""
    rows = await tx.fetch(
        """
        SELECT * FROM approval WHERE ($1::text IS NULL OR status = $1) AND ($2::bigint IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
        """,
        status,
        before,
        limit,
    )
    cast = await _votes_of(tx, [row["id"] for row in rows])
    return [_approval(row, cast.get((row["id"], row["revision"]), ())) for row in rows]


async def votes(tx: Connection, approval_id: int, revision: int) -> tuple[Vote, ...]:
    """In the order they were cast."""
    return (await _votes_of(tx, [approval_id])).get((approval_id, revision), ())


async def _votes_of(tx: Connection, approval_ids: Sequence[int]) -> dict[tuple[int, int], tuple[Vote, ...]]:
    rows = await tx.fetch(
        """
        SELECT approval_id, revision, voter, verb, reason, slack_user FROM vote
        WHERE approval_id = ANY($1::bigint[]) ORDER BY cast_at, voter
        """,
        list(approval_ids),
    )
    cast: dict[tuple[int, int], tuple[Vote, ...]] = {}
    for row in rows:
        vote = Vote(person=row["voter"], verb=row["verb"], reason=row["reason"], slack_user=row["slack_user"])
        key = (row["approval_id"], row["revision"])
        cast[key] = (*cast.get(key, ()), vote)
    return cast


async def record_vote(tx: Connection, approval: Approval, vote: Vote, *, surface: str, now: datetime) -> None:
    """One person, one vote: another one replaces it."""
    await tx.execute(
        """
        INSERT INTO vote (approval_id, revision, voter, verb, reason, surface, slack_user, cast_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (approval_id, revision, voter) DO UPDATE
        SET verb = EXCLUDED.verb, reason = EXCLUDED.reason, surface = EXCLUDED.surface,
            slack_user = EXCLUDED.slack_user, cast_at = EXCLUDED.cast_at
        """,
        approval.id,
        approval.revision,
        vote.person,
        vote.verb,
        vote.reason,
        surface,
        vote.slack_user,
        now,
    )


async def save_approval(tx: Connection, changed: Approval, *, before: str) -> bool:
    """The one transition: false when the row is not in the state that the rules looked at."""
    status = await tx.execute(
        """
        UPDATE approval SET status = $4, decision = $5, decided_at = $6, version = $7, audit_seq = $8, audit_head = $9
        WHERE id = $1 AND revision = $2 AND status = $3
        """,
        changed.id,
        changed.revision,
        before,
        changed.status,
        changed.decision,
        changed.decided_at,
        changed.version,
        changed.audit_seq,
        changed.audit_head,
    )
    return str(status) == "UPDATE 1"


async def append_audit(tx: Connection, entries: Sequence[Entry]) -> None:
    await tx.executemany(
        """
        INSERT INTO audit (approval_id, seq, at, actor, verb, before, after, detail, prev_hash, hash)
        VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8::jsonb, $9, $10)
        """,
        [
            (
                *(entry.approval_id, entry.seq, entry.at, _json(entry.actor), entry.verb, entry.before, entry.after),
                *(_json(entry.detail), entry.prev_hash, entry.hash),
            )
            for entry in entries
        ],
    )


async def audit(tx: Connection, approval_id: int) -> list[Entry]:
    rows = await tx.fetch("SELECT * FROM audit WHERE approval_id = $1 ORDER BY seq", approval_id)
    return [
        Entry(
            approval_id=row["approval_id"],
            seq=row["seq"],
            at=row["at"],
            actor=msgspec.json.decode(row["actor"], type=Actor),
            verb=row["verb"],
            before=row["before"],
            after=row["after"],
            detail=msgspec.json.decode(row["detail"], type=dict[str, str]),
            prev_hash=row["prev_hash"],
            hash=row["hash"],
        )
        for row in rows
    ]


async def add_effect(tx: Connection, approval: Approval, *, kind: str, answer: GateAnswer) -> None:
    """The unique key makes a second effect of one decision an error, not a second call."""
    await tx.execute(
        "INSERT INTO effect (approval_id, revision, effect_kind, payload) VALUES ($1, $2, $3, $4::jsonb)",
        approval.id,
        approval.revision,
        kind,
        _json(answer),
    )


async def lease_effects(tx: Connection, *, limit: int, lease_s: float) -> list[Effect]:
    """Due ones, and those whose holder let the lease run out; each claim has a new epoch."""
    rows = await tx.fetch(
        """
        UPDATE effect SET state = 'leased', attempts = attempts + 1, epoch = epoch + 1,
                          lease_until = clock_timestamp() + make_interval(secs => $2)
        WHERE id IN (
            SELECT id FROM effect
            WHERE (state = 'pending' AND next_at <= clock_timestamp())
               OR (state = 'leased' AND lease_until <= clock_timestamp())
            ORDER BY next_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        RETURNING id, approval_id, effect_kind, payload, attempts, epoch
        """,
        limit,
        lease_s,
    )
    return [
        Effect(
            id=row["id"],
            approval_id=row["approval_id"],
            kind=row["effect_kind"],
            answer=msgspec.json.decode(row["payload"], type=GateAnswer),
            attempts=row["attempts"],
            epoch=row["epoch"],
        )
        for row in rows
    ]


async def postpone_effect(tx: Connection, effect: Effect, *, after_s: float, result: str) -> bool:
    status = await tx.execute(
        """
        UPDATE effect SET state = 'pending', lease_until = NULL, result = $4,
                          next_at = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND epoch = $2 AND state = 'leased'
        """,
        effect.id,
        effect.epoch,
        after_s,
        result,
    )
    return str(status) == "UPDATE 1"


async def close_effect(tx: Connection, effect: Effect, *, state: str, result: str) -> bool:
    """False: the lease ran out and somebody else has it now."""
    status = await tx.execute(
        """
        UPDATE effect SET state = $3, lease_until = NULL, result = $4
        WHERE id = $1 AND epoch = $2 AND state = 'leased'
        """,
        effect.id,
        effect.epoch,
        state,
        result,
    )
    return str(status) == "UPDATE 1"


async def effects_of(tx: Connection, approval_id: int) -> list[Record]:
    return await tx.fetch(
        "SELECT effect_kind, state, attempts, next_at, result FROM effect WHERE approval_id = $1 ORDER BY id",
        approval_id,
    )


async def claim_trigger(tx: Connection, trigger_id: str) -> bool:
    """False: a click with this trigger was here before. Two at once wait for each other on the key."""
    claimed = await tx.fetchval(
        "INSERT INTO trigger_seen (trigger_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true", trigger_id
    )
    return bool(claimed)


async def forget_triggers(tx: Connection, *, older_than_s: float) -> None:
    await tx.execute(
        "DELETE FROM trigger_seen WHERE seen_at < clock_timestamp() - make_interval(secs => $1)", older_than_s
    )


async def hold(tx: Connection, *, event_id: str, kind: str, subject: str, reason: str) -> None:
    """What did not act, with the reason."""
    await tx.execute(
        "INSERT INTO held (event_id, kind, subject, reason) VALUES ($1, $2, $3, $4)", event_id, kind, subject, reason
    )


async def answered(tx: Connection, *, approval_id: int, person: str, key: str) -> tuple[str, Any] | None:
    """The request and the answer that this idempotency key stands for."""
    row = await tx.fetchrow(
        "SELECT request, answer FROM answered WHERE approval_id = $1 AND person = $2 AND idempotency_key = $3",
        approval_id,
        person,
        key,
    )
    return (row["request"], msgspec.json.decode(row["answer"])) if row else None


async def remember_answer(
    tx: Connection, *, approval_id: int, person: str, key: str, request: str, answer: object
) -> None:
    await tx.execute(
        """
        INSERT INTO answered (approval_id, person, idempotency_key, request, answer)
        VALUES ($1, $2, $3, $4, $5::jsonb) ON CONFLICT DO NOTHING
        """,
        approval_id,
        person,
        key,
        request,
        _json(answer),
    )


async def count_decisions(tx: Connection) -> list[str]:
    """Decisions that no replica has counted yet; each is handed out once."""
    rows = await tx.fetch(
        """
        UPDATE approval SET counted = true
        WHERE id IN (SELECT id FROM approval WHERE decision <> '' AND NOT counted LIMIT 500 FOR UPDATE SKIP LOCKED)
        RETURNING decision
        """
    )
    return [row["decision"] for row in rows]


def _approval(row: Record, cast: tuple[Vote, ...]) -> Approval:
    return Approval(
        id=row["id"],
        public_id=str(row["public_id"]),
        subject=Subject(
            source=row["source"],
            action=row["action"],
            subject=row["subject"],
            service=row["service"],
            environment=row["environment"],
            repository=row["repository"],
            sha=row["sha"],
            url=row["url"],
            requested_by=row["requested_by"],
            requesters=tuple(row["requesters"]),
            payload=msgspec.json.decode(row["payload"], type=dict[str, str]),
        ),
        requirement=msgspec.json.decode(row["requirement"], type=Requirement),
        content_hash=row["content_hash"],
        origin=row["origin"],
        revision=row["revision"],
        version=row["version"],
        status=row["status"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        decision=row["decision"],
        decided_at=row["decided_at"],
        audit_seq=row["audit_seq"],
        audit_head=row["audit_head"],
        votes=cast,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
