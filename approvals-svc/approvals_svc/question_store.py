"""What people asked in chat, until it is answered."""

import msgspec

from approvals_svc.replies import Asker
from shared.db import Connection


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`person` is the catalog's name of who asks, empty for nobody."""

    asker: Asker
    person: str
    words: str


async def add(tx: Connection, question: Question) -> None:
    asker = question.asker
    await tx.execute(
        """
        INSERT INTO question (id, team, channel, slack_user, person, words, origin, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
        """,
        *(asker.cause, asker.team, asker.channel, asker.user, question.person, question.words, asker.origin),
        asker.received_at,
    )


async def lease(tx: Connection, *, limit: int, lease_s: float) -> list[Question]:
    """The oldest that nobody is answering."""
    rows = await tx.fetch(
        """
        UPDATE question SET due_at = clock_timestamp() + make_interval(secs => $2)
        WHERE id IN (SELECT id FROM question WHERE due_at <= clock_timestamp()
                     ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id, team, channel, slack_user, person, words, origin, received_at
        """,
        *(limit, lease_s),
    )
    return [
        Question(
            asker=Asker(
                cause=row["id"],
                origin=row["origin"],
                received_at=row["received_at"],
                team=row["team"],
                channel=row["channel"],
                user=row["slack_user"],
            ),
            person=row["person"],
            words=row["words"],
        )
        for row in rows
    ]


async def close(tx: Connection, question: Question) -> bool:
    """False: somebody else answered it."""
    closed = await tx.fetchval("DELETE FROM question WHERE id = $1 RETURNING true", question.asker.cause)
    return bool(closed)
