"""What facts tell of changes, and what was made of it."""

from collections.abc import Sequence
from datetime import date

import msgspec

from metrics_svc.change_flow import ChangeFlow, Told
from shared.db import Connection

_COLUMNS = ", ".join(ChangeFlow.__struct_fields__)
_EXCLUDED = ", ".join(f"excluded.{name}" for name in ChangeFlow.__struct_fields__)


async def told(
    tx: Connection,
    *,
    changes: Sequence[str],
    landed: Sequence[tuple[str, str]],
    pushed: Sequence[tuple[str, str, int]],
) -> list[Told]:
    """Of these changes, and of others that their merges, or pushes, may say something else of.

    A commit on a branch is of all changes of the branch that end from then until the next merge, that one included.
    What the default branch had before is of no change. `landed` and `pushed` are as in `links.touched_changes`.
    """
    rows = await tx.fetch(
        """
        WITH landed AS (SELECT * FROM unnest($2::text[], $3::text[]) AS landed(repository, sha)),
        moment AS (
            SELECT repository, branch, to_timestamp(position / 10000) AS at
            FROM unnest($4::text[], $5::text[], $6::bigint[]) AS pushed(repository, branch, position)
            UNION
            SELECT c.repository, c.branch, to_timestamp(c.position / 10000) FROM landed
            CROSS JOIN LATERAL (
                SELECT * FROM commit d
                WHERE d.repository = landed.repository AND d.sha = landed.sha AND NOT d.on_default OFFSET 0
            ) AS c
            UNION
            SELECT c.repository, c.head_ref, to_timestamp(floor(extract(epoch FROM c.merged_at)))
            FROM change c WHERE c.id = ANY($1) AND c.merged_at IS NOT NULL
        ), dirty AS (
            SELECT unnest($1::text[]) AS id
            UNION
            SELECT of.id FROM landed CROSS JOIN LATERAL (
                SELECT c.id FROM change c
                WHERE c.repository = landed.repository AND c.merge_sha = landed.sha AND c.merged_at IS NOT NULL
                OFFSET 0
            ) AS of
            UNION
            SELECT of.id FROM moment
            CROSS JOIN LATERAL (
                SELECT coalesce((
                    SELECT c.merged_at FROM change c
                    WHERE c.repository = moment.repository AND c.head_ref = moment.branch
                      AND c.merged_at >= moment.at + interval '1 second'
                    ORDER BY c.merged_at, c.id LIMIT 1), 'infinity') AS at
            ) AS merge
            CROSS JOIN LATERAL (
                SELECT c.id FROM change c
                WHERE c.repository = moment.repository AND c.head_ref = moment.branch
                  AND coalesce(c.merged_at, c.closed_at, timestamptz 'infinity') BETWEEN moment.at AND merge.at
                OFFSET 0
            ) AS of
        )
        SELECT to_jsonb(t)::text AS told FROM (
            SELECT c.id, c.repository, c.title, c.author, c.author_kind, c.draft, c.head_ref, c.labels, c.opened_at,
                   c.ready_at, c.merged_at, coalesce(c.merged_at, c.closed_at) AS ended_at, c.additions, c.deletions,
                   coalesce(merge.trailers, '{}') AS merge_trailers, merge.files AS merge_files, discussed.reviews,
                   own.pushes, own.files
            FROM dirty
            CROSS JOIN LATERAL (SELECT * FROM change c WHERE c.id = dirty.id OFFSET 0) AS c
            LEFT JOIN LATERAL (
                SELECT max(m.trailers) AS trailers, max(m.files) AS files FROM commit m
                WHERE m.repository = c.repository AND m.sha = c.merge_sha
            ) AS merge ON true
            LEFT JOIN LATERAL (
                SELECT p.merged_at FROM change p
                WHERE p.repository = c.repository AND p.head_ref = c.head_ref
                  AND (p.merged_at, p.id) < (coalesce(c.merged_at, c.closed_at, timestamptz 'infinity'), c.id)
                ORDER BY p.merged_at DESC, p.id DESC LIMIT 1
            ) AS previous ON true
            CROSS JOIN LATERAL (
                SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'at', r.occurred_at, 'author', r.author,
                                                             'author_kind', r.author_kind, 'state', r.state)
                                          ORDER BY r.occurred_at, r.id), '[]') AS reviews
                FROM (SELECT * FROM review v WHERE v.change = c.id OFFSET 0) AS r
            ) AS discussed
            CROSS JOIN LATERAL (
                SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object('at', to_timestamp(b.position / 10000),
                                                                      'author', b.author, 'trailers', b.trailers)),
                                '[]') AS pushes,
                       coalesce(jsonb_agg(DISTINCT to_jsonb(b.files)) FILTER (WHERE NOT b.merge), '[]') AS files
                FROM (
                    SELECT * FROM commit w
                    WHERE w.repository = c.repository AND w.branch = c.head_ref
                      AND w.position > coalesce(floor(extract(epoch FROM previous.merged_at))::bigint * 10000 + 9999,
                                                -1)
                      AND w.position <= coalesce(
                          floor(extract(epoch FROM coalesce(c.merged_at, c.closed_at)))::bigint * 10000 + 9999,
                          9223372036854775807)
                    OFFSET 0
                ) AS b
                WHERE NOT b.on_default AND NOT EXISTS (
                    SELECT FROM commit o
                    WHERE o.repository = b.repository AND o.sha = b.sha AND o.on_default
                      AND o.position / 10000 < b.position / 10000)
            ) AS own
        ) AS t
        """,
        changes,
        [repository for repository, _ in landed],
        [sha for _, sha in landed],
        [repository for repository, _, _ in pushed],
        [branch for _, branch, _ in pushed],
        [position for _, _, position in pushed],
    )
    return [msgspec.json.decode(row["told"], type=Told) for row in rows]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """`handed_over`: changes of other services than they were. `shipped`: (service, day in UTC) that shipped any.

    `reviewed`: (service, repository, day in UTC) on which any was reviewed, as it is, was, or was said to be.
    """

    handed_over: Sequence[str] = ()
    shipped: Sequence[tuple[str, date]] = ()
    reviewed: Sequence[tuple[str, str, date]] = ()


async def record(tx: Connection, changes: Sequence[str], flows: Sequence[ChangeFlow]) -> Recorded:
    """All rows of these changes."""
    rows = await tx.fetch(
        f"""
        WITH told AS (SELECT * FROM json_populate_recordset(NULL::change_flow, $2::json)),
        gone AS (
            DELETE FROM change_flow f WHERE f.change = ANY($1)
              AND NOT EXISTS (SELECT FROM told WHERE (told.change, told.service) = (f.change, f.service))
            RETURNING f.change, f.service, f.repository
        ), stored AS (
            INSERT INTO change_flow AS f ({_COLUMNS})
            SELECT {_COLUMNS} FROM told ORDER BY change, service
            ON CONFLICT (change, service) DO UPDATE SET ({_COLUMNS}) = ({_EXCLUDED})
            RETURNING f.change, f.xmax = 0 AS new
        )
        SELECT change, NULL AS service, NULL AS repository, NULL::date AS day FROM gone
        UNION SELECT change, NULL, NULL, NULL FROM stored WHERE new
        UNION SELECT NULL, service, NULL, (deployed_at AT TIME ZONE 'UTC')::date FROM change_link
        WHERE change = ANY($1) AND deployment IS NOT NULL
        UNION SELECT NULL, of.service, of.repository, unnest(r.days)
        FROM (SELECT change, service, repository FROM told UNION SELECT * FROM gone) AS of
        JOIN review r ON r.change = of.change
        WHERE r.id NOT LIKE 'comment %'
        """,  # noqa: S608  # constants
        changes,
        msgspec.json.encode(flows).decode(),
    )
    return Recorded(
        handed_over=[row["change"] for row in rows if row["change"]],
        shipped=[(row["service"], row["day"]) for row in rows if row["service"] and not row["repository"]],
        reviewed=[(row["service"], row["repository"], row["day"]) for row in rows if row["repository"]],
    )
