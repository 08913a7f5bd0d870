"""What was told of weeks and days, so that each is told once, by whichever replica and whenever it starts."""

from collections.abc import Mapping
from datetime import date

from shared.db import Connection


async def begin(tx: Connection, week: date) -> bool:
    """True for the one transaction that is to tell of the week; others wait for it."""
    return bool(
        await tx.fetchval("INSERT INTO told_week (week) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true", week)
    )


async def begin_day(tx: Connection, about: str, team: str, day: date) -> bool:
    """As `begin`, for one list of a team."""
    return bool(
        await tx.fetchval(
            "INSERT INTO told_day (about, team, day) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
            about,
            team,
            day,
        )
    )


async def shifts(tx: Connection) -> Mapping[tuple[str, str], date]:
    """By (service, metric): since when its level is what it is, as it was told last."""
    rows = await tx.fetch("SELECT service, metric, max(since) AS since FROM told_shift GROUP BY 1, 2")
    return {(row["service"], row["metric"]): row["since"] for row in rows}


async def add_shift(tx: Connection, service: str, metric: str, since: date) -> None:
    await tx.execute("INSERT INTO told_shift (service, metric, since) VALUES ($1, $2, $3)", service, metric, since)
