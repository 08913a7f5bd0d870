"""Where readers find derived rows: as they are, or as they were known at a moment."""

import msgspec
from asyncpg.transaction import Transaction

from metrics_svc.question import Question
from shared.db import Connection


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What to read from: tables, or functions of the same rows that go by `em.as_of`. Constants, put into SQL."""

    deployments: str
    parts: str
    changes: str
    incidents: str


NOW = Known(deployments="production_deployment", parts="part", changes="change_link", incidents="incident_link")
THEN = Known(
    deployments="known_production_deployment()",
    parts="known_part()",
    changes="known_change_link()",
    incidents="known_incident_link()",
)


def snapshot(connection: Connection) -> Transaction:
    """All statements of one answer see the same tables, also when a rebuild is swapped in meanwhile."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


async def known(tx: Connection, question: Question) -> Known:
    """For the rest of the transaction."""
    if question.as_of is None:
        return NOW
    await tx.execute("SELECT set_config('em.as_of', $1, true)", question.as_of.isoformat())
    return THEN
