"""SQL of the files that pushes to a branch touched: what routes ask of its change."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from shared.contracts.events import CommitsPushed
from shared.db import Connection

FILES_MAX = 1_000  # a change that touches more touches everything
KEPT_FOR = timedelta(days=90)


async def remember(tx: Connection, pushes: Sequence[CommitsPushed]) -> None:
    """In any order, and any push twice: a branch has all files of all its pushes."""
    for push in sorted(pushes, key=lambda each: (each.repository, each.branch)):
        files = sorted({file for commit in push.commits for file in commit.files or ()})
        await tx.execute(
            """
            INSERT INTO pushed (repository, branch, files, pushed_at) VALUES (lower($1), $2, $3::text[], $4)
            ON CONFLICT (repository, branch) DO UPDATE SET
                files = ARRAY(
                    SELECT DISTINCT file FROM unnest(pushed.files || excluded.files) AS file ORDER BY file LIMIT $5
                ),
                pushed_at = greatest(pushed.pushed_at, excluded.pushed_at)
            """,
            push.repository,
            push.branch,
            files[:FILES_MAX],
            push.occurred_at,
            FILES_MAX,
        )


async def files(tx: Connection, branches: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """By repository and branch, both as asked."""
    rows = await tx.fetch(
        """
        SELECT asked.repository, asked.branch, files FROM unnest($1::text[], $2::text[]) AS asked (repository, branch)
        JOIN pushed ON pushed.repository = lower(asked.repository) AND pushed.branch = asked.branch
        """,
        [repository for repository, _ in branches],
        [branch for _, branch in branches],
    )
    return {(row["repository"], row["branch"]): tuple(row["files"]) for row in rows}


async def forget(tx: Connection, *, now: datetime, limit: int) -> None:
    await tx.execute(
        """
        DELETE FROM pushed WHERE (repository, branch) IN (
            SELECT repository, branch FROM pushed WHERE pushed_at < $1 ORDER BY pushed_at LIMIT $2
        )
        """,
        now - KEPT_FOR,
        limit,
    )
