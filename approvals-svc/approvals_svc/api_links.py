"""The routes of Slack accounts that were linked to people: what there is, and taking one back."""

from typing import Annotated, Any

from fastapi import FastAPI, Path

from approvals_svc import link_store
from approvals_svc.audit import Actor
from approvals_svc.desk import Desk
from approvals_svc.links import in_words
from approvals_svc.settings import Settings
from shared.db import Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

Json = dict[str, Any]


def add_routes(app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk) -> None:
    @app.get("/v1/links")
    async def links(_: Identity = require(settings, "operator")) -> Json:
        """Slack accounts that the catalog doesn't know, whose they are, and which approval confirmed it."""
        async with pool.acquire() as connection:
            return {"items": in_words(await link_store.links(connection))}

    @app.delete("/v1/links/{account}")
    async def unlink(
        account: Annotated[str, Path(pattern=r"^[UW][A-Z0-9]{1,30}$")], identity: Identity = require(settings, "admin")
    ) -> Json:
        """From now on the account is nobody's. The audit of the approval that confirmed it says so."""
        async with pool.acquire() as connection, connection.transaction():
            found = await link_store.unlink(connection, account)
            if not found:
                raise Problem(404, "link-not-found", f"{account} is linked to nobody")
            for each in found:
                actor = Actor(person="", identity=identity.subject, surface="api")
                await desk.note(connection, each.approval, "unlinked", actor, person=each.person)
        return {"items": in_words(found)}
