"""Giving a delegation, through whichever door it is asked for."""

from approvals_svc import delegation_store
from approvals_svc.delegation import Delegation, Wish, obstacle
from approvals_svc.desk import Desk
from approvals_svc.store import clock
from shared.db import Connection
from shared.telemetry import logs

OPEN_MAX = 20

log = logs.get(__name__)


class NotPossible(ValueError):
    """The text says why."""


class TooMany(NotPossible):
    """Others have to end first."""


async def give(tx: Connection, desk: Desk, wish: Wish, *, hidden: frozenset[str]) -> Delegation:
    """`hidden`: services that the giver doesn't see. Raises NotPossible."""
    catalog, policy = await desk.current_catalog(tx), (await desk.current_policy(tx)).content
    detail = obstacle(
        wish,
        await clock(tx),
        people=[each.name for each in catalog.people],
        groups=policy.groups,
        services={each.name for each in catalog.services} - hidden,
    )
    if detail:
        raise NotPossible(detail)
    if sum(each.giver == wish.giver for each in await delegation_store.to_come(tx)) >= OPEN_MAX:
        raise TooMany(f"{wish.giver} has {OPEN_MAX} delegations: revoke one first")
    given = await delegation_store.give(tx, wish)
    log.info("delegation.given", delegation=given.id, giver=given.giver, delegate=given.delegate)
    return given
