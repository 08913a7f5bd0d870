"""Subjects that a consumer does not handle until somebody resumes them."""

from shared.db import Pool


async def paused(pool: Pool, *, consumer: str) -> frozenset[str]:
    rows = await pool.fetch("SELECT subject FROM paused WHERE consumer = $1", consumer)
    return frozenset(row["subject"] for row in rows)


async def pause(pool: Pool, *, consumer: str, subject: str, reason: str) -> None:
    """Twice equals once: the first reason stays."""
    await pool.execute(
        "INSERT INTO paused (consumer, subject, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        consumer,
        subject,
        reason,
    )
