"""Documents: what is to become one, what needs a vector, and what lies near."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from approvals_svc.document import Document, Found
from approvals_svc.documents import Entry
from approvals_svc.embedding import Vector
from shared.db import Connection

EXACT_MAX_ROWS = 20_000  # fewer are compared one by one, which misses nothing
EF_SEARCH = 150  # candidates that the index keeps at hand
MATCHES_MAX = 1000
WORDS_MAX = 16  # of a question


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody may not see, and up to when things were known."""

    hidden: tuple[str, ...] = ()
    as_of: datetime


# ---- what is to become a document ----------------------------------------------------------------------------------


async def undocumented(tx: Connection, *, limit: int) -> dict[str, list[dict[str, Any]]]:
    """Rows whose newest report no document tells yet, held by this transaction; of approvals the numbers."""
    changes = await tx.fetch(
        """
        SELECT * FROM change WHERE documented IS DISTINCT FROM version ORDER BY known_at LIMIT $1
        FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    incidents = await tx.fetch(
        """
        SELECT * FROM incident WHERE documented IS DISTINCT FROM version ORDER BY known_at LIMIT $1
        FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    decisions = await tx.fetch(
        """
        SELECT id FROM approval WHERE decision <> '' AND NOT documented ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    return {
        "change": [dict(row) for row in changes],
        "incident": [dict(row) for row in incidents],
        "decision": [dict(row) for row in decisions],
    }


async def mark_documented(tx: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    await tx.executemany(
        "UPDATE change SET documented = version WHERE source = $1 AND repository = $2 AND number = $3",
        [(row["source"], row["repository"], row["number"]) for row in rows["change"]],
    )
    await tx.executemany(
        "UPDATE incident SET documented = version WHERE source = $1 AND incident_id = $2 AND rule = $3",
        [(row["source"], row["incident_id"], row["rule"]) for row in rows["incident"]],
    )
    await tx.execute(
        "UPDATE approval SET documented = true WHERE id = ANY($1::bigint[])", [row["id"] for row in rows["decision"]]
    )


async def put(tx: Connection, entries: Sequence[Entry]) -> None:
    """What is compared differently than before needs another vector."""
    await tx.executemany(
        """
        INSERT INTO document (kind, key, services, origin, action, environment, content_hash, fields, body, url, at,
                              known_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12)
        ON CONFLICT (kind, key) DO UPDATE SET
            services = excluded.services, origin = excluded.origin, action = excluded.action,
            environment = excluded.environment, content_hash = excluded.content_hash, body = excluded.body,
            url = excluded.url, at = excluded.at,
            embedder = CASE WHEN document.fields = excluded.fields THEN document.embedder ELSE '' END,
            fields = excluded.fields
        """,
        [
            (
                *(entry.kind, entry.key, list(entry.services), entry.origin, entry.action, entry.environment),
                *(entry.content_hash, _json(entry.fields), entry.body, entry.url, entry.at, entry.known_at),
            )
            for entry in entries
        ],
    )


async def origins(tx: Connection) -> list[tuple[str, str]]:
    """(kind, origin) of all documents, each once."""
    rows = await tx.fetch("SELECT DISTINCT kind, origin FROM document ORDER BY kind, origin")
    return [(row["kind"], row["origin"]) for row in rows]


async def move(tx: Connection, *, kind: str, origin: str, services: Sequence[str]) -> None:
    """To other services. A decision stays one about its own service too; anything else is now of the first. Marks of
    labels stay."""
    await tx.execute(
        """
        UPDATE document SET services = moved.services,
            fields = CASE WHEN kind = 'decision' THEN fields
                          ELSE jsonb_set(fields, '{service}', to_jsonb(coalesce(($3::text[])[1], ''))) END,
            embedder = CASE WHEN kind = 'decision' THEN embedder ELSE '' END
        FROM (SELECT d.id, array(
            SELECT DISTINCT service FROM unnest($3::text[] || CASE WHEN d.kind = 'decision'
                THEN ARRAY[d.fields->>'service'] ELSE '{}' END
                || ARRAY(SELECT mark FROM unnest(d.services) AS mark WHERE mark LIKE 'label:%')) AS service
            ORDER BY service
        ) AS services FROM document AS d WHERE d.kind = $1 AND d.origin = $2) AS moved
        WHERE document.id = moved.id
          AND array(SELECT unnest(document.services) ORDER BY 1) <> moved.services
        """,
        kind,
        origin,
        list(services),
    )


async def forget(tx: Connection, *, older_than_s: float) -> None:
    """Decisions stay as long as their approvals."""
    await tx.execute(
        "DELETE FROM document WHERE kind <> 'decision' AND at < clock_timestamp() - make_interval(secs => $1)",
        older_than_s,
    )


# ---- vectors -------------------------------------------------------------------------------------------------------


async def has_vectors(tx: Connection) -> bool:
    """Whether the server had the extension when `em migrate` ran last."""
    found = await tx.fetchval(
        """
        SELECT true FROM pg_attribute
        WHERE attrelid = 'document'::regclass AND attname = 'embedding' AND NOT attisdropped
        """
    )
    return bool(found)


async def unembedded(tx: Connection, *, embedder: str, limit: int) -> list[tuple[int, Document]]:
    """Those without a vector of this embedder, the newest first: what people ask about next."""
    rows = await tx.fetch(
        "SELECT id, fields::text FROM document WHERE embedder < $1 OR embedder > $1 ORDER BY id DESC LIMIT $2",
        embedder,
        limit,
    )
    return [(row["id"], msgspec.json.decode(row["fields"], type=Document)) for row in rows]


async def set_vectors(tx: Connection, embedded: Sequence[tuple[int, Document, Vector]], *, embedder: str) -> None:
    """Not of what changed meanwhile."""
    await tx.executemany(
        """
        UPDATE document SET embedding = $3::text::vector, embedder = $4 WHERE id = $1 AND fields = $2::text::jsonb
        """,
        [(number, _json(fields), _vector(vector), embedder) for number, fields, vector in embedded],
    )


async def nearest(
    tx: Connection,
    vector: Vector,
    seen: Seen,
    *,
    embedder: str,
    limit: int,
    kind: str | None = None,
    action: str | None = None,
    environment: str | None = None,
    content_hash: str = "",
) -> list[Found]:
    """By the cosine, the nearest first. Whether somebody may see it is part of the question, not of the answer."""
    await _prepare(tx)
    rows = await tx.fetch(
        """
        SELECT id, kind, key, fields::text, url, at, 1 - (embedding <=> $1::text::vector) AS nearness
        FROM document
        WHERE embedder = $2 AND at <= $3 AND known_at <= $3
          AND NOT services && $4::text[] AND (services <> '{}' OR $4::text[] = '{}')
          AND ($5::text IS NULL OR kind = $5) AND ($6::text IS NULL OR action = $6)
          AND ($7::text IS NULL OR environment = $7) AND (content_hash = '' OR content_hash <> $8)
        ORDER BY embedding <=> $1::text::vector LIMIT $9
        """,
        *(_vector(vector), embedder, seen.as_of, list(seen.hidden), kind, action, environment, content_hash, limit),
    )
    await tx.execute("SET LOCAL enable_indexscan = on")
    return [_found(dict(row)) for row in rows]


async def matching(tx: Connection, question: str, seen: Seen, *, limit: int) -> list[Found]:
    """By words: those with all of them first, then those with two, then with one. Of each MATCHES_MAX are ranked: words
    that are in more documents tell little."""
    rows = await tx.fetch(
        """
        WITH lexeme AS (SELECT lexeme, quote_literal(lexeme) AS word FROM unnest(to_tsvector('english', $1)) LIMIT $6),
        asked AS (
            SELECT 3 AS rank, websearch_to_tsquery('english', $1) AS words
            UNION ALL SELECT 2, string_agg(format('%s & %s', one.word, other.word), ' | ')::tsquery
                      FROM lexeme AS one JOIN lexeme AS other ON one.lexeme < other.lexeme
            UNION ALL SELECT 1, string_agg(word, ' | ')::tsquery FROM lexeme
        ),
        match AS (
            SELECT id, max(rank) AS rank FROM asked CROSS JOIN LATERAL (
                SELECT id FROM document AS d
                WHERE d.words @@ asked.words AND at <= $2 AND known_at <= $2
                  AND NOT services && $3::text[] AND (services <> '{}' OR $3::text[] = '{}')
                LIMIT $5
            ) AS d GROUP BY id
        )
        SELECT id, kind, key, fields::text, url, at,
            ts_rank_cd(document.words, (SELECT words FROM asked WHERE rank = 1), 1)::float8 AS nearness
        FROM match JOIN document USING (id) ORDER BY rank DESC, nearness DESC, at DESC, id LIMIT $4
        """,
        *(question, seen.as_of, list(seen.hidden), limit, MATCHES_MAX, WORDS_MAX),
    )
    return [_found(dict(row)) for row in rows]


async def _prepare(tx: Connection) -> None:
    """Few are compared one by one. Of many, a filter may leave few of what the index gives: it goes on until there
    are enough, where the extension can (0.8 and newer). The cast loads it, and with it its settings."""
    is_few = await tx.fetchval(
        "SELECT reltuples < $1 FROM pg_class WHERE oid = 'document'::regclass AND '[1]'::vector IS NOT NULL",
        EXACT_MAX_ROWS,
    )
    await tx.execute(
        """
        SELECT set_config(name, CASE name WHEN 'enable_indexscan' THEN $1 WHEN 'hnsw.ef_search' THEN $2
                                ELSE 'strict_order' END, true)
        FROM pg_settings WHERE name IN ('enable_indexscan', 'hnsw.ef_search', 'hnsw.iterative_scan')
        """,
        "off" if is_few else "on",
        str(EF_SEARCH),
    )


# ---- limits --------------------------------------------------------------------------------------------------------


async def count_search(tx: Connection, *, searches_max: int) -> bool:
    """False: today's, by the database's clock in UTC, are used up."""
    counted = await tx.fetchval(
        """
        INSERT INTO searches AS known (day, count)
        SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date, 1 WHERE $1 > 0
        ON CONFLICT (day) DO UPDATE SET count = known.count + 1 WHERE known.count < $1 RETURNING true
        """,
        searches_max,
    )
    return bool(counted)


def _found(row: dict[str, Any]) -> Found:
    return Found(**{**row, "fields": msgspec.json.decode(row["fields"], type=Document)})


def _vector(vector: Vector) -> str:
    return f"[{','.join(map(repr, vector))}]"


def _json(fields: Document) -> str:
    return msgspec.json.encode(fields).decode()
