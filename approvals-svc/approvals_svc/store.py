"""All SQL of approvals-svc."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from asyncpg import Record

from approvals_svc import delegation_store
from approvals_svc.audit import Actor, Entry, genesis
from approvals_svc.authors import authors, is_sha
from approvals_svc.decision import Vote
from approvals_svc.delegation import Delegation
from approvals_svc.eligibility import Account
from approvals_svc.model import Approval, Effect, Proposal, Subject
from approvals_svc.plain import plain
from approvals_svc.policy import Facts, Requirement
from approvals_svc.tasks import TASKS, Task
from shared.contracts.events import CommitsPushed, DeploymentRequested, Evidence
from shared.db import Connection

TEXT_MAX_CHARACTERS = 255
ID_MAX = 2**63 - 1


async def clock(tx: Connection) -> datetime:
    """The database's time at this moment. `now()` would be that of the transaction's start, before it waited."""
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment


async def insert_approval(tx: Connection, proposal: Proposal, evidence: Evidence, *, now: datetime) -> Approval | None:
    """None: the same was asked before."""
    subject, requirement = proposal.subject, proposal.requirement
    row = await tx.fetchrow(
        """
        INSERT INTO approval (public_id, external_key, source, action, subject, service, environment, repository, sha,
                              url, payload, content_hash, requested_by, requesters, policy, policy_version,
                              requirement, origin, created_at, expires_at, audit_head, involved, facts, evidence,
                              reason, signal, asked_at)
        VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13, $14, $15, $16, $17::jsonb,
                $18, $19, $20, $21, $22::jsonb, $23::jsonb, $24::jsonb, $25, $26, $27)
        ON CONFLICT DO NOTHING RETURNING *  -- of any index: two at once may meet in that of `public_id` first
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
        list(dict.fromkeys(each.name for each in subject.involved if each.role == "requester")),
        requirement.rule,
        requirement.version,
        _json(requirement),
        proposal.origin,
        now,
        proposal.expires_at,
        genesis(proposal.public_id),
        _json(subject.involved),
        _json(subject.facts),
        _json(evidence),
        proposal.reason,
        proposal.signal,
        proposal.asked_at or now,
    )
    return (await _whole(tx, [row]))[0] if row else None


async def lock_approval(tx: Connection, approval_id: int) -> Approval | None:
    """As it is now; nobody else changes it until this transaction ends."""
    row = await tx.fetchrow("SELECT * FROM approval WHERE id = $1 FOR UPDATE", approval_id)
    return (await _whole(tx, [row]))[0] if row else None


async def lock_approval_by_key(tx: Connection, external_key: str) -> Approval | None:
    row = await tx.fetchrow("SELECT * FROM approval WHERE external_key = $1 FOR UPDATE", external_key)
    return (await _whole(tx, [row]))[0] if row else None


async def approval(tx: Connection, approval_id: int) -> Approval | None:
    row = await tx.fetchrow("SELECT * FROM approval WHERE id = $1", approval_id)
    return (await _whole(tx, [row]))[0] if row else None


async def approval_by_key(tx: Connection, external_key: str) -> Approval | None:
    row = await tx.fetchrow("SELECT * FROM approval WHERE external_key = $1", external_key)
    return (await _whole(tx, [row]))[0] if row else None


async def decided_of(tx: Connection, numbers: Sequence[int]) -> list[int]:
    rows = await tx.fetch("SELECT id FROM approval WHERE id = ANY($1::bigint[]) AND status <> 'pending'", numbers)
    return [row["id"] for row in rows]


async def plan_each(tx: Connection) -> None:
    """Until the transaction ends: a plan for every value would read all rows for one that few of them have."""
    await tx.execute("SET LOCAL plan_cache_mode = force_custom_plan")


# The first that is given names the index, which has the order of the list.
FILTERS = ("subject", "requested_by", "service", "status", "action")


async def approvals(
    tx: Connection,
    *,
    limit: int,
    before: int | None = None,
    after: int = 0,
    label: str | None = None,
    hidden: Collection[str] = (),
    **equal: str | None,
) -> list[Approval]:
    """Newest first, between the numbers `after` and `before`; without those of hidden services and labels; `equal` by
    columns of FILTERS."""
    given = [column for column in FILTERS if equal.get(column) is not None]
    conditions = [f"{column} = ${number}" for number, column in enumerate(given, start=5)]
    if label is not None:
        conditions.append(f"facts -> 'labels' ? ${5 + len(given)}")
    rows = await tx.fetch(
        f"""
        SELECT * FROM approval WHERE {" AND ".join([*conditions, "id < $1", "id > $2"])}
            AND service <> ALL($4::text[])
            AND NOT EXISTS (
                SELECT FROM jsonb_array_elements_text(
                    CASE jsonb_typeof(facts -> 'labels') WHEN 'array' THEN facts -> 'labels' ELSE '[]' END
                ) AS label WHERE 'label:' || label = ANY($4::text[]))
        ORDER BY {"".join(f"{column} DESC, " for column in given[:1])} id DESC LIMIT $3
        """,  # noqa: S608  # names of FILTERS
        *(ID_MAX if before is None else before, after, limit, list(hidden)),
        *(equal[column] for column in given),
        *([] if label is None else [label]),
    )
    return await _whole(tx, rows)


async def _whole(tx: Connection, rows: Sequence[Record]) -> list[Approval]:
    """With the votes of their revision, and the delegations that hold now."""
    cast = await _votes_of(tx, [row["id"] for row in rows])
    delegations = await delegation_store.valid(tx)
    return [_approval(row, cast.get((row["id"], row["revision"]), ()), delegations) for row in rows]


async def _votes_of(tx: Connection, approval_ids: Sequence[int]) -> dict[tuple[int, int], tuple[Vote, ...]]:
    """In the order they were cast."""
    rows = await tx.fetch(
        """
        SELECT approval_id, revision, voter, verb, reason, slack_user, on_behalf_of FROM vote
        WHERE approval_id = ANY($1::bigint[]) ORDER BY cast_at, voter
        """,
        list(approval_ids),
    )
    cast: dict[tuple[int, int], tuple[Vote, ...]] = {}
    for row in rows:
        vote = Vote(
            person=row["voter"],
            verb=row["verb"],
            reason=row["reason"],
            slack_user=row["slack_user"],
            on_behalf_of=tuple(row["on_behalf_of"]),
        )
        key = (row["approval_id"], row["revision"])
        cast[key] = (*cast.get(key, ()), vote)
    return cast


async def record_vote(tx: Connection, approval: Approval, vote: Vote, *, surface: str, now: datetime) -> None:
    """One person, one vote: another one replaces it."""
    await tx.execute(
        """
        INSERT INTO vote (approval_id, revision, voter, verb, reason, surface, slack_user, cast_at, on_behalf_of)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (approval_id, revision, voter) DO UPDATE
        SET verb = EXCLUDED.verb, reason = EXCLUDED.reason, surface = EXCLUDED.surface,
            slack_user = EXCLUDED.slack_user, cast_at = EXCLUDED.cast_at, on_behalf_of = EXCLUDED.on_behalf_of
        """,
        approval.id,
        approval.revision,
        vote.person,
        vote.verb,
        vote.reason,
        surface,
        vote.slack_user,
        now,
        list(vote.on_behalf_of),
    )


async def save_approvals(tx: Connection, changes: Sequence[tuple[Approval, Approval]]) -> set[int]:
    """Each as it is now and as it was; answers those whose row is in the state that the rules looked at. The key of
    what is superseded is free again for its successor."""
    rows = await tx.fetchmany(
        """
        UPDATE approval SET status = $4, decision = $5, decided_at = $6, version = $7, audit_seq = $8, audit_head = $9,
            revision = $10, expires_at = $11, is_escalated = $12, is_extended = $13,
            content_hash = $14, payload = $15::jsonb, involved = $16::jsonb, broken_by = $17,
            external_key = CASE WHEN $4 = 'superseded' THEN external_key || '#' || id ELSE external_key END
        WHERE id = $1 AND revision = $2 AND status = $3 RETURNING id
        """,
        [
            (
                *(now.id, was.revision, was.status, now.status, now.decision, now.decided_at),
                *(now.version, now.audit_seq, now.audit_head, now.revision, now.expires_at),
                *(now.is_escalated, now.is_extended, now.content_hash),
                *(_json(now.subject.payload), _json(now.subject.involved), now.broken_by),
            )
            for now, was in changes
        ],
    )
    return {row["id"] for row in rows}


async def link_successor(tx: Connection, approval_id: int, *, successor: int) -> None:
    await tx.execute("UPDATE approval SET superseded_by = $2 WHERE id = $1", approval_id, successor)


async def schedule(tx: Connection, deadlines: Mapping[int, Mapping[str, datetime]]) -> None:
    """By approval and kind. A deadline that fired fires again when it is set anew."""
    await tx.executemany(
        """
        INSERT INTO deadline (approval_id, kind, due_at) VALUES ($1, $2, $3)
        ON CONFLICT (approval_id, kind) DO UPDATE SET due_at = EXCLUDED.due_at, fired_at = NULL
        """,
        [(approval_id, kind, due_at) for approval_id, kinds in deadlines.items() for kind, due_at in kinds.items()],
    )


async def unschedule(tx: Connection, approval_ids: Sequence[int]) -> None:
    """What is decided waits for nothing; what fired stays as it was."""
    await tx.execute("DELETE FROM deadline WHERE approval_id = ANY($1::bigint[]) AND fired_at IS NULL", approval_ids)


async def lock_due(tx: Connection, *, limit: int) -> list[tuple[Approval, str]]:
    """Deadlines of pending approvals that are over and that nobody else holds, marked as fired, in their order."""
    rows = await tx.fetch(
        """
        WITH due AS (
            SELECT d.approval_id, d.kind FROM deadline d JOIN approval a ON a.id = d.approval_id
            WHERE d.fired_at IS NULL AND d.due_at <= clock_timestamp() AND a.status = 'pending'
            ORDER BY d.due_at LIMIT $1 FOR UPDATE OF a, d SKIP LOCKED
        )
        UPDATE deadline SET fired_at = clock_timestamp() FROM due
        WHERE deadline.approval_id = due.approval_id AND deadline.kind = due.kind
        RETURNING deadline.approval_id, deadline.kind, deadline.due_at
        """,
        limit,
    )
    ordered = sorted(rows, key=lambda row: (row["due_at"], row["approval_id"]))
    found = {
        each.id: each
        for each in await _whole(
            tx,
            await tx.fetch(
                "SELECT * FROM approval WHERE id = ANY($1::bigint[])", [row["approval_id"] for row in ordered]
            ),
        )
    }
    return [(found[row["approval_id"]], row["kind"]) for row in ordered]


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


async def add_effects(tx: Connection, decided: Sequence[tuple[Approval, Task]]) -> None:
    """The unique key makes a second effect of one decision an error, not a second call."""
    await tx.executemany(
        "INSERT INTO effect (approval_id, revision, effect_kind, payload) VALUES ($1, $2, $3, $4::jsonb)",
        [(approval.id, approval.revision, task.kind, _json(task)) for approval, task in decided],
    )


async def change_effect(tx: Connection, approval: Approval, task: Task) -> None:
    """What is to be done instead, as long as nobody has begun; what only tells begins anew, whoever holds it."""
    await tx.execute(
        """
        UPDATE effect SET payload = $4::jsonb, state = 'pending', attempts = 0, epoch = epoch + 1, lease_until = NULL,
                          next_at = clock_timestamp()
        WHERE approval_id = $1 AND revision = $2 AND effect_kind = $3 AND (state = 'pending' OR NOT $5)
        """,
        approval.id,
        approval.revision,
        task.kind,
        _json(task),
        task.carries_out,
    )


async def withdraw_effects(tx: Connection, approval: Approval, *, kinds: Sequence[str]) -> None:
    """What will not be done after all, as long as nobody has begun."""
    await tx.execute(
        """
        UPDATE effect SET state = 'withdrawn', result = $4, closed_at = clock_timestamp()
        WHERE approval_id = $1 AND revision = $2 AND effect_kind = ANY($3) AND state = 'pending'
        """,
        approval.id,
        approval.revision,
        kinds,
        approval.status,
    )


async def lease_effects(tx: Connection, *, kinds: Sequence[str], limit: int, lease_s: float) -> list[Effect]:
    """Due ones of these kinds, and those whose holder let the lease run out; each claim has a new epoch.

    Their approvals are locked with them and never waited for: everybody else takes the approval first.
    """
    rows = await tx.fetch(
        """
        UPDATE effect SET state = 'leased', attempts = attempts + 1, epoch = epoch + 1,
                          lease_until = clock_timestamp() + make_interval(secs => $2)
        WHERE id IN (
            SELECT e.id FROM effect e JOIN approval a ON a.id = e.approval_id
            WHERE e.effect_kind = ANY($3)
              AND ((e.state = 'pending' AND e.next_at <= clock_timestamp())
                OR (e.state = 'leased' AND e.lease_until <= clock_timestamp()))
            ORDER BY e.next_at, e.id LIMIT $1 FOR UPDATE OF a, e SKIP LOCKED
        )
        RETURNING id, approval_id, effect_kind, payload, attempts, epoch
        """,
        limit,
        lease_s,
        kinds,
    )
    return [
        Effect(
            id=row["id"],
            approval_id=row["approval_id"],
            task=msgspec.json.decode(row["payload"], type=TASKS[row["effect_kind"]]),
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
        UPDATE effect SET state = $3, lease_until = NULL, result = $4, closed_at = clock_timestamp()
        WHERE id = $1 AND epoch = $2 AND state = 'leased'
        """,
        effect.id,
        effect.epoch,
        state,
        result,
    )
    return str(status) == "UPDATE 1"


async def waits_for(tx: Connection, approval_id: int, *, kind: str) -> bool:
    """Whether something of this kind is to be done; asked without a lock, so that who comes too late takes none."""
    query = "SELECT EXISTS (SELECT 1 FROM effect WHERE approval_id = $1 AND effect_kind = $2 AND state = 'pending')"
    return bool(await tx.fetchval(query, approval_id, kind))


async def collect_effect(tx: Connection, approval: Approval, *, kind: str) -> bool:
    """Done by whom it is meant for; false when there is none, or it was collected before."""
    status = await tx.execute(
        """
        UPDATE effect SET state = 'done', attempts = attempts + 1, result = 'collected'
        WHERE approval_id = $1 AND revision = $2 AND effect_kind = $3 AND state = 'pending'
        """,
        approval.id,
        approval.revision,
        kind,
    )
    return str(status) == "UPDATE 1"


async def effects_of(tx: Connection, approval_id: int) -> list[Record]:
    return await tx.fetch(
        "SELECT effect_kind, state, attempts, next_at, result FROM effect WHERE approval_id = $1 ORDER BY id",
        approval_id,
    )


async def begin_cooldown(tx: Connection, *, rule: str, entity: str, for_s: float) -> bool:
    """False: one runs still. Two at once wait for each other on the key."""
    begun = await tx.fetchval(
        """
        INSERT INTO cooldown (rule, entity, until) VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
        ON CONFLICT (rule, entity) DO UPDATE SET until = EXCLUDED.until WHERE cooldown.until <= clock_timestamp()
        RETURNING true
        """,
        rule,
        entity,
        for_s,
    )
    return bool(begun)


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


async def record_commits(tx: Connection, pushes: Sequence[CommitsPushed]) -> None:
    """In the order of the pushes; a commit that was pushed before, to another branch, keeps its place."""
    await tx.executemany(
        """
        INSERT INTO pushed_commit (source, repository, sha, push, authors) VALUES ($1, $2, $3, $4, $5::jsonb)
        ON CONFLICT DO NOTHING
        """,
        [
            (push.source, plain(push.repository, characters_max=TEXT_MAX_CHARACTERS), commit.sha, push.id, _json(by))
            for push in pushes
            for commit in push.commits
            if is_sha(commit.sha) and (by := authors(commit, platform=push.source))
        ],
    )


async def authors_of(tx: Connection, request: DeploymentRequested) -> tuple[Account, ...]:
    return await authors_of_revision(
        tx,
        source=request.source,
        repository=request.repository,
        environment=request.environment,
        sha=request.sha,
        commits=request.commits,
    )


async def authors_of_revision(
    tx: Connection, *, source: str, repository: str, environment: str, sha: str, commits: Sequence[str] = ()
) -> tuple[Account, ...]:
    """Who wrote what a deployment carries, as far as pushes told: since what was let through there last, else what
    came with its own push; and the commits that it names."""
    rows = await tx.fetch(
        """
        WITH known AS (SELECT * FROM pushed_commit WHERE source = $1 AND repository = $2),
        wanted AS (SELECT place, push FROM known WHERE sha = $3),
        before AS (
            SELECT place FROM known WHERE sha = (
                SELECT sha FROM approval WHERE repository = $2 AND environment = $4 AND status = 'executed'
                ORDER BY id DESC LIMIT 1
            )
        )
        SELECT DISTINCT jsonb_array_elements(k.authors)::text AS author FROM known k LEFT JOIN wanted w ON true
        WHERE k.sha = ANY($5::text[])
           OR (k.place <= w.place AND (k.place > (SELECT place FROM before)
                                       OR (k.push = w.push AND NOT EXISTS (SELECT 1 FROM before))))
        ORDER BY author
        """,
        source,
        repository,
        sha if is_sha(sha) else "",
        environment,
        [commit for commit in commits if is_sha(commit)],
    )
    return tuple(msgspec.json.decode(row["author"], type=Account) for row in rows)


async def authors_of_branch(tx: Connection, *, source: str, repository: str, branch: str) -> tuple[Account, ...]:
    """Who wrote what was ever pushed to a branch, as far as pushes told."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT jsonb_array_elements(k.authors)::text AS author
        FROM branch_commit b JOIN pushed_commit k USING (source, repository, sha)
        WHERE b.source = $1 AND b.repository = $2 AND b.branch = $3 AND NOT b.on_default
        ORDER BY author
        """,
        *(source, repository, branch),
    )
    return tuple(msgspec.json.decode(row["author"], type=Account) for row in rows)


async def author_of_change(tx: Connection, *, source: str, repository: str, number: int) -> str:
    """Nothing where nobody told."""
    found = await tx.fetchval(
        "SELECT author FROM change WHERE source = $1 AND repository = $2 AND number = $3", source, repository, number
    )
    return str(found or "")


async def source_of(tx: Connection, *, repository: str, sha: str) -> str:
    """Who told of this commit; nothing when nobody did."""
    found = await tx.fetchval(
        "SELECT min(source) FROM pushed_commit WHERE repository = $1 AND sha = $2", repository, sha
    )
    return str(found or "")


async def forget_commits(tx: Connection, *, older_than_s: float) -> None:
    await tx.execute(
        "DELETE FROM pushed_commit WHERE known_at < clock_timestamp() - make_interval(secs => $1)", older_than_s
    )


async def hold(tx: Connection, *, event_id: str, kind: str, subject: str, reason: str, refusal: str = "") -> None:
    """What did not act, with the reason; `refusal` is the reason's class where a vote was refused."""
    await tx.execute(
        "INSERT INTO held (event_id, kind, subject, reason, refusal) VALUES ($1, $2, $3, $4, $5)",
        *(event_id, kind, subject, reason, refusal),
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


def _approval(row: Record, cast: tuple[Vote, ...], delegations: tuple[Delegation, ...]) -> Approval:
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
            involved=msgspec.json.decode(row["involved"], type=tuple[Account, ...]),
            payload=msgspec.json.decode(row["payload"], type=dict[str, Any]),
            facts=msgspec.json.decode(row["facts"], type=Facts),
        ),
        requirement=msgspec.json.decode(row["requirement"], type=Requirement),
        content_hash=row["content_hash"],
        origin=row["origin"],
        revision=row["revision"],
        version=row["version"],
        status=row["status"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        reason=row["reason"],
        signal=row["signal"],
        decision=row["decision"],
        decided_at=row["decided_at"],
        audit_seq=row["audit_seq"],
        audit_head=row["audit_head"],
        votes=cast,
        delegations=delegations,
        is_escalated=row["is_escalated"],
        is_extended=row["is_extended"],
        superseded_by=row["superseded_by"],
        broken_by=row["broken_by"],
        evidence=msgspec.json.decode(row["evidence"], type=Evidence) if row["evidence"] else None,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
