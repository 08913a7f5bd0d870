"""What people asked in chat, until it is answered."""

import msgspec

from approvals_svc.replies import Asker
from shared.db import Connection


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`person` is the catalog's name of who asks, empty for nobody. Without `words`: what waits for a decision.

    `is_posted`: for everybody, in the channel `post_to`, empty for the default one; else for who asks alone.
    """

    asker: Asker
    person: str
    words: str
    is_posted: bool = False
    post_to: str = ""


async def add(tx: Connection, question: Question) -> None:
    asker = question.asker
    await tx.execute(
        """
        INSERT INTO question (id, team, channel, slack_user, person, words, origin, received_at, is_posted, post_to)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
        """,
        *(asker.cause, asker.team, asker.channel, asker.user, question.person, question.words, asker.origin),
        *(asker.received_at, question.is_posted, question.post_to),
    )


async def lease(tx: Connection, *, limit: int, lease_s: float) -> list[Question]:
    """The oldest that nobody is answering."""
    rows = await tx.fetch(
        """
        UPDATE question SET due_at = clock_timestamp() + make_interval(secs => $2)
        WHERE id IN (SELECT id FROM question WHERE due_at <= clock_timestamp()
                     ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id, team, channel, slack_user, person, words, origin, received_at, is_posted, post_to
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
            is_posted=row["is_posted"],
            post_to=row["post_to"],
        )
        for row in rows
    ]


async def close(tx: Connection, question: Question) -> bool:
    """False: somebody else answered it."""
    closed = await tx.fetchval("DELETE FROM question WHERE id = $1 RETURNING true", question.asker.cause)
    return bool(closed)
