"""SQL about what waits at platforms, and what waits there no more."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from approvals_svc.merges import Check
from approvals_svc.passed import Passed
from shared.db import Connection
from shared.db.locks import lock

LOCKED = "gate"


async def hold(tx: Connection, references: Sequence[tuple[str, str, str]]) -> None:
    """Until the transaction ends nobody else opens or ends gates of these (source, repository, reference)."""
    await lock(tx, LOCKED, (":".join(reference) for reference in references))


async def record(tx: Connection, passed: Sequence[Passed]) -> None:
    """A run that is done again passes again, later."""
    await tx.executemany(
        """
        INSERT INTO passed (source, repository, reference, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (source, repository, reference) DO UPDATE SET at = GREATEST(passed.at, EXCLUDED.at)
        """,
        [(each.source, each.repository, each.reference, each.at) for each in passed],
    )


async def has_passed(
    tx: Connection, *, source: str, repository: str, references: Sequence[str], since: datetime
) -> bool:
    found = await tx.fetchval(
        """
        SELECT true FROM passed
        WHERE source = $1 AND repository = $2 AND reference = ANY($3::text[]) AND at >= $4 LIMIT 1
        """,
        source,
        repository,
        list(references),
        since,
    )
    return bool(found)


async def waiting_for(tx: Connection, passed: Sequence[Passed]) -> list[tuple[int, Passed]]:
    """Pending approvals that were asked for before what they wait at passed, by number; each once."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (a.id) a.id, p.place
        FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
             WITH ORDINALITY AS p(source, repository, reference, at, place)
        JOIN approval a ON a.source = p.source AND a.repository = p.repository AND a.status = 'pending'
            AND p.reference IN ('run:' || (a.payload ->> 'run_id'), 'deployment:' || (a.payload ->> 'deployment_id'),
                                'change:' || (a.payload ->> 'change'))
            AND coalesce(a.asked_at, a.created_at) <= p.at
        ORDER BY a.id, p.place
        """,
        [each.source for each in passed],
        [each.repository for each in passed],
        [each.reference for each in passed],
        [each.at for each in passed],
    )
    return [(row["id"], passed[row["place"] - 1]) for row in rows]


async def checks_of(tx: Connection, *, source: str, repository: str, change: str, check_id: str) -> list[Check]:
    """What was asked about a change by one check, the newest question first."""
    rows = await tx.fetch(
        """
        SELECT id AS number, sha, status, coalesce(asked_at, created_at) AS asked_at FROM approval
        WHERE source = $1 AND repository = $2 AND payload ->> 'change' = $3 AND payload ->> 'check_id' = $4
        ORDER BY asked_at DESC, id DESC
        """,
        *(source, repository, change, check_id),
    )
    return [msgspec.convert(dict(row), Check) for row in rows]


async def waiting_in_run(
    tx: Connection, *, source: str, repository: str, run_id: str, environments: Sequence[str], at: datetime
) -> list[int]:
    """Pending approvals of a run; of all its environments when none is named."""
    rows = await tx.fetch(
        """
        SELECT id FROM approval
        WHERE source = $1 AND repository = $2 AND status = 'pending' AND payload ->> 'run_id' = $3
          AND (environment = ANY($4::text[]) OR $4::text[] = '{}') AND coalesce(asked_at, created_at) <= $5
        ORDER BY id
        """,
        source,
        repository,
        run_id,
        list(environments),
        at,
    )
    return [row["id"] for row in rows]


async def forget(tx: Connection, *, older_than_s: float) -> None:
    await tx.execute("DELETE FROM passed WHERE known_at < clock_timestamp() - make_interval(secs => $1)", older_than_s)


# ---- the sweep -----------------------------------------------------------------------------------------------------


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A pending approval and what it waits for; `asked_at` by the platform's clock."""

    number: int
    repository: str
    environment: str
    run_id: str
    installation_id: str
    asked_at: datetime


async def take_turn(tx: Connection, name: str, *, every_s: float) -> bool:
    """True for one replica in every span of that length."""
    taken = await tx.fetchval(
        """
        INSERT INTO turn (name, next_at) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
        ON CONFLICT (name) DO UPDATE SET next_at = EXCLUDED.next_at WHERE turn.next_at <= clock_timestamp()
        RETURNING true
        """,
        name,
        every_s,
    )
    return bool(taken)


async def settled(tx: Connection, source: str, *, after: timedelta, limit: int) -> list[Waiting]:
    """Pending gates that were asked at least so long ago, those first that nobody looked at for longest."""
    rows = await tx.fetch(
        """
        UPDATE approval SET looked_at = clock_timestamp()
        WHERE id IN (
            SELECT id FROM approval
            WHERE source = $1 AND status = 'pending' AND payload ? 'run_id' AND payload ? 'installation_id'
              AND created_at <= clock_timestamp() - $2::interval
            ORDER BY looked_at NULLS FIRST, id LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        RETURNING id, repository, environment, payload ->> 'run_id' AS run_id,
                  payload ->> 'installation_id' AS installation_id, coalesce(asked_at, created_at) AS asked_at
        """,
        source,
        after,
        limit,
    )
    return [
        Waiting(
            number=row["id"],
            repository=row["repository"],
            environment=row["environment"],
            run_id=row["run_id"],
            installation_id=row["installation_id"],
            asked_at=row["asked_at"],
        )
        for row in rows
    ]


async def asking_repositories(tx: Connection, source: str) -> set[str]:
    """Those whose deployments were asked about in the last 30 days."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT repository FROM approval
        WHERE source = $1 AND action = 'deploy' AND created_at > clock_timestamp() - interval '30 days'
        """,
        source,
    )
    return {row["repository"] for row in rows}


async def was_asked(
    tx: Connection, *, source: str, repository: str, run_id: str, environment: str, since: datetime
) -> bool:
    """Whatever became of it; an earlier attempt of the run asked before `since`."""
    found = await tx.fetchval(
        """
        SELECT true FROM approval
        WHERE source = $1 AND action = 'deploy' AND repository = $2 AND payload ->> 'run_id' = $3
          AND environment = $4 AND coalesce(asked_at, created_at) >= $5 LIMIT 1
        """,
        source,
        repository,
        run_id,
        environment,
        since,
    )
    return bool(found)


async def was_held(tx: Connection, event_id: str) -> bool:
    return bool(await tx.fetchval("SELECT true FROM held WHERE event_id = $1 LIMIT 1", event_id))
