"""All SQL of the metrics: committed rows that no replica has counted yet, each handed out once, and what waits."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from asyncpg import Record

from approvals_svc.tasks import CARRYING
from shared.db import Connection


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """`by_age[i]` wait at least `bounds[i - 1]` and less than `bounds[i]`."""

    by_age: list[int]
    oldest_s: float
    over_sla: int


async def claim_chains(tx: Connection, *, limit: int) -> list[Record]:
    """Chains that grew, each with the numbers (`after`, `until`] of its uncounted rows."""
    return await tx.fetch(
        """
        WITH grown AS (
            SELECT id, counted_seq, audit_seq FROM approval WHERE counted_seq < audit_seq
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE approval SET counted_seq = grown.audit_seq FROM grown WHERE approval.id = grown.id
        RETURNING approval.id, grown.counted_seq AS after, grown.audit_seq AS until
        """,
        limit,
    )


async def rows_of(tx: Connection, claimed: Sequence[Record]) -> list[Record]:
    """A statement of its own: the one that locks may see a newer approval than the rows of its snapshot."""
    return await tx.fetch(
        """
        SELECT seq, verb, before, after, detail ->> 'replaced' AS replaced, detail ->> 'refusal' AS refusal,
               detail ->> 'break_glass' AS broken_by,
               at - created_at AS age, requirement ->> 'outcome' AS outcome,
               EXISTS (SELECT FROM effect WHERE approval_id = approval.id AND effect_kind = ANY($4)) AS is_carried_out
        FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS claimed (id, counted, until)
        JOIN audit ON approval_id = claimed.id AND seq > counted AND seq <= until
        JOIN approval ON approval.id = claimed.id
        """,
        [row["id"] for row in claimed],
        [row["after"] for row in claimed],
        [row["until"] for row in claimed],
        CARRYING,
    )


async def claim_effects(tx: Connection, *, limit: int) -> list[Record]:
    """Effects with `tries` that ended since they were counted, and how long after the decision the last one did."""
    return await tx.fetch(
        """
        WITH tried AS (
            SELECT id, counted_attempts, attempts - (state = 'leased')::integer AS ended FROM effect
            WHERE counted_attempts < attempts - (state = 'leased')::integer
            LIMIT $1 FOR UPDATE SKIP LOCKED
        )
        UPDATE effect SET counted_attempts = tried.ended FROM tried, approval
        WHERE effect.id = tried.id AND approval.id = effect.approval_id
        RETURNING effect_kind AS kind, state, tried.ended - tried.counted_attempts AS tries,
                  closed_at - decided_at AS took
        """,
        limit,
    )


async def claim_refused_chats(tx: Connection, *, limit: int) -> list[str]:
    """Why clicks and commands were refused before they reached an approval."""
    rows = await tx.fetch(
        """
        UPDATE held SET counted = true
        WHERE id IN (SELECT id FROM held WHERE refusal <> '' AND NOT counted LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING refusal
        """,
        limit,
    )
    return [row["refusal"] for row in rows]


async def claim_failed_checks(tx: Connection) -> int:
    rows = await tx.fetch(
        """
        UPDATE audit_check SET counted = true
        WHERE id IN (SELECT id FROM audit_check WHERE problem <> '' AND NOT counted FOR UPDATE SKIP LOCKED)
        RETURNING id
        """
    )
    return len(rows)


async def pending(tx: Connection, *, bounds: Sequence[timedelta], sla: timedelta) -> Pending:
    rows = await tx.fetch(
        """
        SELECT width_bucket(now() - created_at, $1::interval[]) AS bucket, count(*) AS waiting,
               extract(epoch FROM max(now() - created_at))::float8 AS oldest_s,
               count(*) FILTER (WHERE now() - created_at > $2) AS over_sla
        FROM approval WHERE status = 'pending' GROUP BY bucket
        """,
        list(bounds),
        sla,
    )
    waiting = {row["bucket"]: row["waiting"] for row in rows}
    return Pending(
        by_age=[waiting.get(bucket, 0) for bucket in range(len(bounds) + 1)],
        oldest_s=max((row["oldest_s"] for row in rows), default=0.0),
        over_sla=sum(row["over_sla"] for row in rows),
    )
