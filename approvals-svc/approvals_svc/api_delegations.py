"""The routes of delegations: somebody votes for another one while they are away."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from approvals_svc import delegation_store, store
from approvals_svc.delegating import NotPossible, TooMany, give
from approvals_svc.delegation import Delegation, Wish
from approvals_svc.desk import Desk
from approvals_svc.settings import Settings
from approvals_svc.store import ID_MAX
from approvals_svc.visibility import hidden_from
from shared.db import Connection, Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem
from shared.telemetry import logs

NAMES_MAX = 50

log = logs.get(__name__)

Json = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class DelegationRequest(BaseModel):
    """`starts_at`: when it isn't given, now."""

    model_config = ConfigDict(extra="forbid")

    delegate: Name
    ends_at: AwareDatetime
    starts_at: AwareDatetime | None = None
    groups: list[Name] = Field(default_factory=list, max_length=NAMES_MAX)
    services: list[Name] = Field(default_factory=list, max_length=NAMES_MAX)


def add_routes(app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk, person: Callable[[Identity], str]) -> None:
    @app.get("/v1/delegations")
    async def delegations(identity: Identity = require(settings, "viewer")) -> Json:
        """Those that hold, and those that will."""
        hidden = hidden_from(identity, desk.catalog)
        async with pool.acquire() as connection:
            found = await delegation_store.to_come(connection)
        return {"items": [_told(each) for each in found if hidden.isdisjoint(each.services)]}

    @app.post("/v1/delegations", status_code=201)
    async def delegate(asked: DelegationRequest, identity: Identity = require(settings, "approver")) -> Json:
        """Somebody else votes for the token's person: for 30 days at most, in these groups and services."""
        giver = person(identity)
        async with pool.acquire() as connection, connection.transaction():
            given = await _give(connection, desk, giver, asked, hidden=hidden_from(identity, desk.catalog))
        return _told(given)

    @app.delete("/v1/delegations/{number}")
    async def revoke(
        number: Annotated[int, Path(ge=1, le=ID_MAX)], identity: Identity = require(settings, "approver")
    ) -> Json:
        """Ends it at once: by who gave it, or by an admin. Votes that it stood for no longer count where it waits."""
        is_admin = identity.role == "admin" and settings.auth_enabled
        by = identity.subject if is_admin else person(identity)
        async with pool.acquire() as connection:
            revoked = await delegation_store.revoke(connection, number, by=by, is_admin=is_admin)
        if revoked is None:
            raise Problem(404, "delegation-not-found", f"you have no delegation #{number} that isn't over")
        log.info("delegation.revoked", delegation=revoked.id, giver=revoked.giver, by=by)
        return _told(revoked)


async def _give(
    tx: Connection, desk: Desk, giver: str, asked: DelegationRequest, *, hidden: frozenset[str]
) -> Delegation:
    try:
        return await give(tx, desk, _wish(giver, asked, await store.clock(tx)), hidden=hidden)
    except TooMany as many:
        raise Problem(409, "too-many-delegations", str(many)) from None
    except NotPossible as problem:
        raise Problem(422, "delegation-not-possible", str(problem)) from None


def _wish(giver: str, asked: DelegationRequest, now: datetime) -> Wish:
    return Wish(
        giver=giver,
        delegate=asked.delegate,
        starts_at=asked.starts_at or now,
        ends_at=asked.ends_at,
        groups=tuple(asked.groups),
        services=tuple(asked.services),
    )


def _told(delegation: Delegation) -> Json:
    return {
        "id": delegation.id,
        "giver": delegation.giver,
        "delegate": delegation.delegate,
        "groups": delegation.groups,
        "services": delegation.services,
        "starts_at": delegation.starts_at.isoformat(),
        "ends_at": delegation.ends_at.isoformat(),
    }
