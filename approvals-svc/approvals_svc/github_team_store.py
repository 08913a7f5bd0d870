"""SQL about who is in teams of GitHub."""

from collections.abc import Collection, Sequence

from approvals_svc.github_team import Members
from shared.db import Connection


async def members(tx: Connection) -> tuple[Members, ...]:
    rows = await tx.fetch(
        """
        SELECT team, logins, problem,
            coalesce(extract(epoch FROM clock_timestamp() - checked_at)::float8, 'infinity') AS age_s
        FROM github_team ORDER BY team
        """
    )
    return tuple(Members(row["team"], tuple(row["logins"]), row["age_s"], row["problem"]) for row in rows)


async def want(tx: Connection, teams: Collection[str], *, forget_after_s: float) -> list[str]:
    """All that are to be read: those that the policy names, and those that it named while something may still wait."""
    await tx.execute(
        """
        INSERT INTO github_team (team) SELECT unnest($1::text[])
        ON CONFLICT (team) DO UPDATE SET wanted_at = clock_timestamp()
        """,
        sorted(teams),
    )
    await tx.execute(
        "DELETE FROM github_team WHERE wanted_at < clock_timestamp() - make_interval(secs => $1)", forget_after_s
    )
    return [row["team"] for row in await tx.fetch("SELECT team FROM github_team ORDER BY team")]


async def record(tx: Connection, team: str, logins: Sequence[str]) -> None:
    await tx.execute(
        "UPDATE github_team SET logins = $2, checked_at = clock_timestamp(), problem = '' WHERE team = $1",
        *(team, list(logins)),
    )


async def record_problem(tx: Connection, team: str, problem: str) -> None:
    """What was known before goes on getting older."""
    await tx.execute("UPDATE github_team SET problem = $2 WHERE team = $1", team, problem)
