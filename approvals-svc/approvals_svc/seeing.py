"""Whoever doesn't see an approval doesn't act on it either, and hears that there is none."""

from collections.abc import Awaitable, Callable, Set

from approvals_svc import store
from approvals_svc.desk import Desk
from approvals_svc.visibility import hidden_from, is_hidden
from shared.db import Connection, Pool
from shared.http.auth import Identity
from shared.http.problems import Problem

NOT_FOUND = "approval-not-found"

Seen = Callable[[int, Identity], Awaitable[None]]


async def is_seen(tx: Connection, number: int, hidden: Set[str]) -> bool:
    """Where nothing is hidden from somebody, nothing is read for it. What isn't there hides nothing."""
    approval = await store.approval(tx, number) if hidden else None
    return approval is None or not is_hidden(approval.subject, hidden)


def not_found(number: int) -> Problem:
    return Problem(404, NOT_FOUND, f"there is no approval #{number}")


def seen_by(pool: Pool, desk: Desk) -> Seen:
    """Raises a Problem, as reading does."""

    async def seen(number: int, identity: Identity) -> None:
        async with pool.acquire() as connection:
            if not await is_seen(connection, number, hidden_from(identity, desk.catalog)):
                raise not_found(number)

    return seen
