"""The routes of broken glass."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc.audit import Actor
from approvals_svc.break_glass import Asked, Breaking
from approvals_svc.desk import Outcome
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.seeing import Seen
from approvals_svc.settings import Settings
from approvals_svc.store import ID_MAX
from shared.db import Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

REASON_MIN_CHARACTERS = 20

Json = dict[str, Any]


class BreakGlassRequest(BaseModel):
    """First a reason, which is answered with `confirm`; then that, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)
    confirm: str = Field("", max_length=100)


class BreakingApi:
    """`told` and `refused` are how every decision is answered."""

    def __init__(
        self,
        *,
        pool: Pool,
        breaking: Breaking,
        told: Callable[[Outcome], Json],
        refused: Callable[[Outcome], Problem],
    ) -> None:
        self._pool = pool
        self._breaking = breaking
        self._told = told
        self._refused = refused

    async def ask(self, number: int, person: str, reason: str) -> Json:
        said = plain(reason, characters_max=REASON_MAX_CHARACTERS)
        if len(said) < REASON_MIN_CHARACTERS:
            detail = f"say why in at least {REASON_MIN_CHARACTERS} characters: the audit and the reviewers read it"
            raise Problem(422, "reason-required", detail)
        async with self._pool.acquire() as connection, connection.transaction():
            asked = await self._breaking.ask(connection, number, _actor(person), reason=said)
        if isinstance(asked, Asked):
            return dict(msgspec.to_builtins(asked))
        raise self._refused(asked)

    async def confirm(self, number: int, person: str, confirm: str) -> Json:
        async with self._pool.acquire() as connection, connection.transaction():
            outcome, review = await self._breaking.confirm(connection, number, _actor(person), confirm=confirm)
        if not outcome.is_counted:
            raise self._refused(outcome)
        return {**self._told(outcome), "review": review}


def add_routes(
    app: FastAPI,
    settings: Settings,
    api: BreakingApi,
    *,
    person: Callable[[Identity], str],
    seen: Seen,
    wake: Callable[[], None],
) -> None:
    @app.post("/v1/approvals/{number}/break-glass")
    async def break_glass(
        number: Annotated[int, Path(ge=1, le=ID_MAX)],
        asked: BreakGlassRequest,
        response: Response,
        identity: Identity = require(settings, "approver"),
    ) -> Json:
        """One person of the policy's `break_glass` group lets it through alone, in two steps; a review is opened.

        With `reason`: 202, what would happen, and `confirm`, valid for 5 minutes. With `confirm`: it happens.
        """
        if bool(asked.reason) == bool(asked.confirm):
            raise Problem(422, "one-of", "give either a reason, or the confirmation that it was answered with")
        await seen(number, identity)
        if asked.reason:
            response.status_code = 202
            return await api.ask(number, person(identity), asked.reason)
        answer = await api.confirm(number, person(identity), asked.confirm)
        wake()
        return answer


def _actor(person: str) -> Actor:
    return Actor(person=person, identity=person, surface="api")
