"""Which approvals somebody wants to see, a page at a time."""

import msgspec

from approvals_svc import store
from approvals_svc.decision import Status
from approvals_svc.model import Approval
from approvals_svc.snapshot import state
from shared.catalog import Catalog
from shared.db import Connection

LOOKED_THROUGH = 100
LOOKS_MAX = 5


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """`voter`: only what waits for a vote of this person. None filters nothing. `hidden`: services left out."""

    status: Status | None = None
    subject: str | None = None
    action: str | None = None
    service: str | None = None
    label: str | None = None
    requested_by: str | None = None
    voter: str | None = None
    before: int | None = None
    after: int = 0
    hidden: frozenset[str] = frozenset()


Page = tuple[list[Approval], int | None]


async def page(tx: Connection, wanted: Wanted, catalog: Catalog, *, limit: int) -> Page:
    """At most `limit`, newest first, and the `before` that goes on, if there may be more."""
    async with tx.transaction():
        await store.plan_each(tx)
        if wanted.voter is not None:
            return await _for_voter(tx, wanted, wanted.voter, catalog, limit=limit)
        found = await _found(tx, wanted, before=wanted.before, limit=limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def _for_voter(tx: Connection, wanted: Wanted, voter: str, catalog: Catalog, *, limit: int) -> Page:
    """Who may vote follows the catalog, not a column: so many are looked through, and the next page goes on there."""
    kept: list[Approval] = []
    before = wanted.before
    for _ in range(LOOKS_MAX):
        found = await _found(tx, wanted, before=before, limit=LOOKED_THROUGH)
        for approval in found:
            before = approval.id
            if _waits_for(voter, approval, catalog):
                kept.append(approval)
            if len(kept) == limit:
                return kept, before
        if len(found) < LOOKED_THROUGH:
            return kept, None
    return kept, before


def _waits_for(voter: str, approval: Approval, catalog: Catalog) -> bool:
    if any(vote.person == voter and vote.verb == "approve" for vote in approval.votes):
        return False
    return not state(approval, catalog).electorate.obstacle(voter)


async def _found(tx: Connection, wanted: Wanted, *, before: int | None, limit: int) -> list[Approval]:
    return await store.approvals(
        tx,
        before=before,
        after=wanted.after,
        limit=limit,
        label=wanted.label,
        hidden=wanted.hidden,
        status=wanted.status if wanted.voter is None else "pending",
        subject=wanted.subject,
        action=wanted.action,
        service=wanted.service,
        requested_by=wanted.requested_by,
    )
