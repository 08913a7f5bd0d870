"""SQL of the weekly report: which approvals a span touches, and of which weeks was told."""

from collections.abc import Collection
from datetime import date

from approvals_svc.summary import Row, Span
from shared.db import Connection


async def rows(tx: Connection, span: Span, *, hidden: Collection[str] = ()) -> list[Row]:
    """Without those of hidden services and labels."""
    found = await tx.fetch(
        """
        SELECT id, service, requirement ->> 'outcome' <> 'require' AS by_rule, created_at, decision, decided_at,
               broken_by
        FROM approval
        WHERE created_at < $2 AND (decided_at >= $1 OR status = 'pending') AND service <> ALL($3::text[])
            AND NOT EXISTS (
                SELECT FROM jsonb_array_elements_text(
                    CASE jsonb_typeof(facts -> 'labels') WHEN 'array' THEN facts -> 'labels' ELSE '[]' END
                ) AS label WHERE 'label:' || label = ANY($3::text[]))
        """,
        span.start,
        span.end,
        list(hidden),
    )
    return [Row(**row) for row in found]


async def begin(tx: Connection, week: date) -> bool:
    """True for the one transaction that is to tell of the week; others wait for it."""
    return bool(
        await tx.fetchval("INSERT INTO told_week (week) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true", week)
    )
