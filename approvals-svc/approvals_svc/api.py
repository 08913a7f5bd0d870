"""approvals-svc's HTTP API: what waits, why, who decided; and the vote of a person with a token."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc import store
from approvals_svc.audit import Actor, Entry
from approvals_svc.decision import Status, Verb, missing
from approvals_svc.desk import Ballot, Desk, Outcome
from approvals_svc.effects import Effects
from approvals_svc.model import Approval
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.settings import Settings
from approvals_svc.snapshot import state
from shared.bus import Bus, Consumer, Relay
from shared.catalog import Catalog
from shared.contracts.services import APPROVALS_SVC
from shared.db import Connection, Pool
from shared.db.catalogs import Catalogs
from shared.http.app import create_app
from shared.http.auth import Identity, require
from shared.http.probes import database_check
from shared.http.problems import Problem

VERBS: dict[str, Verb] = {"approve": "approve", "decline": "reject", "reject": "reject"}
DECIDED_BY: dict[str, Verb] = {"approved": "approve", "rejected": "reject"}
LISTED_MAX = 200
ID_MAX = 2**63 - 1
STATUS_OF_RESULT = {"unknown": 404, "not_eligible": 403}  # the others are conflicts

Json = dict[str, Any]


class DecisionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "decline", "reject"]
    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)
    revision: int | None = Field(None, ge=1)


class Api:
    """The answers, apart from their routes."""

    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk

    async def listed(self, *, status: Status | None, before: int | None, limit: int) -> Json:
        async with self._pool.acquire() as connection:
            found = await store.approvals(connection, status=status, before=before, limit=limit + 1)
        page = found[:limit]
        following = page[-1].id if len(found) > limit else None
        return {"items": [_summary(approval, self._desk.catalog) for approval in page], "next": following}

    async def shown(self, number: int) -> Json:
        async with self._pool.acquire() as connection:
            approval = await store.approval(connection, number)
            if approval is None:
                raise Problem(404, "approval-not-found", f"there is no approval #{number}")
            audit = await store.audit(connection, number)
            effects = await store.effects_of(connection, number)
        return {
            **_summary(approval, self._desk.catalog),
            "payload": approval.subject.payload,
            "content_hash": approval.content_hash,
            "origin": approval.origin,
            "rule_trace": approval.requirement.trace,
            "who_may_decide": sorted(state(approval, self._desk.catalog).electorate.allowed),
            "who_may_not": state(approval, self._desk.catalog).electorate.refusals,
            "effects": [dict(effect) for effect in effects],
            "audit": [_audited(entry) for entry in audit],
        }

    async def decide(self, number: int, asked: DecisionRequest, *, person: str, key: str) -> Json:
        """Commits the attempt before a refusal is answered."""
        async with self._pool.acquire() as connection, connection.transaction():
            if known := await self._known_answer(connection, number, asked, person=person, key=key):
                return {**known, "replayed": True}
            outcome = await self._desk.vote(connection, _ballot(number, asked, person))
            if outcome.approval and outcome.is_counted:
                answer = _decided(outcome, outcome.approval, self._desk.catalog)
                if key:
                    await self._remember(connection, number, asked, answer, person=person, key=key)
                return answer
        raise _refused(outcome)

    async def _known_answer(
        self, tx: Connection, number: int, asked: DecisionRequest, *, person: str, key: str
    ) -> Json | None:
        """The lock comes first: two requests under one key must not both find nothing."""
        if not key or await store.lock_approval(tx, number) is None:
            return None
        known = await store.answered(tx, approval_id=number, person=person, key=key)
        if known is None:
            return None
        request, answer = known
        if request != asked.model_dump_json():
            raise Problem(422, "idempotency-key-reused", "this key was used for another request")
        return dict(answer)

    async def _remember(
        self, tx: Connection, number: int, asked: DecisionRequest, answer: Json, *, person: str, key: str
    ) -> None:
        await store.remember_answer(
            tx, approval_id=number, person=person, key=key, request=asked.model_dump_json(), answer=answer
        )


def build(
    settings: Settings,
    *,
    bus: Bus,
    pool: Pool,
    desk: Desk,
    events: Consumer,
    relay: Relay,
    effects: Effects,
    catalogs: Catalogs,
) -> FastAPI:
    app = create_app(
        settings,
        APPROVALS_SVC,
        checks={"nats": bus.problem, "database": database_check(pool), "consumer": events.problem},
        details=lambda: {
            "integrations": _integrations(settings, desk.catalog, effects),
            "catalog": catalogs.status,
        },
    )
    api = Api(pool=pool, desk=desk)

    @app.get("/v1/approvals")
    async def approvals(
        status: Status | None = None,
        before: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = 100,
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """Newest first; `next` is the `before` of the following page."""
        return await api.listed(status=status, before=before, limit=limit)

    @app.get("/v1/approvals/{number}")
    async def approval(number: int, _: Identity = require(settings, "viewer")) -> Json:
        """The whole of it: votes, what is missing, deadline, which rules matched and why, effects, audit."""
        return await api.shown(_number(number))

    @app.post("/v1/approvals/{number}/decision")
    async def decision(
        number: int,
        asked: DecisionRequest,
        response: Response,
        idempotency_key: Annotated[str, Header(max_length=200)] = "",
        identity: Identity = require(settings, "approver"),
    ) -> Json:
        """One person's vote. 409 tells how it ended, 403 why this vote doesn't count."""
        person = _person(identity, settings, desk.catalog)
        key = plain(idempotency_key, characters_max=200)
        answer = await api.decide(_number(number), asked, person=person, key=key)
        relay.wake()
        effects.wake()
        response.headers["Cache-Control"] = "no-store"
        return answer

    return app


def _number(number: int) -> int:
    if not 0 < number <= ID_MAX:
        raise Problem(404, "approval-not-found", f"there is no approval #{number}")
    return number


def _person(identity: Identity, settings: Settings, catalog: Catalog) -> str:
    """The token's subject is a name in the catalog: whoever is nobody there can't be told from the requester."""
    if not settings.auth_enabled:
        raise Problem(403, "anonymous", "voting needs to know who you are: set AUTH_ENABLED=true and send a token")
    if catalog.person_named(identity.subject) is None:
        raise Problem(403, "not-a-person", "the token's subject is no person in the catalog")
    return identity.subject


def _ballot(number: int, asked: DecisionRequest, person: str) -> Ballot:
    return Ballot(
        approval_id=number,
        verb=VERBS[asked.decision],
        reason=plain(asked.reason, characters_max=REASON_MAX_CHARACTERS),
        revision=asked.revision,
        actor=Actor(person=person, identity=person, surface="api"),
    )


def _refused(outcome: Outcome) -> Problem:
    approval = outcome.approval
    now: Json = {} if approval is None else _ending(approval)
    status = STATUS_OF_RESULT.get(outcome.result, 409)
    return Problem(status, outcome.result.replace("_", "-"), outcome.detail, **now)


def _ending(approval: Approval) -> Json:
    """How it stands, for who came too late (`approval_status`: `status` is the HTTP one in a problem)."""
    return {
        "approval_status": approval.status,
        "decision": approval.decision,
        "decided_at": approval.decided_at,
        "decided_by": [vote.person for vote in approval.votes if DECIDED_BY.get(approval.decision) == vote.verb],
        "revision": approval.revision,
    }


def _decided(outcome: Outcome, approval: Approval, catalog: Catalog) -> Json:
    return {**_summary(approval, catalog), "replayed": outcome.result == "replayed"}


def _summary(approval: Approval, catalog: Catalog) -> Json:
    subject, requirement = approval.subject, approval.requirement
    return {
        "id": approval.id,
        "public_id": approval.public_id,
        "status": approval.status,
        "decision": approval.decision,
        "revision": approval.revision,
        "version": approval.version,
        "action": subject.action,
        "subject": subject.subject,
        "service": subject.service,
        "environment": subject.environment,
        "repository": subject.repository,
        "sha": subject.sha,
        "url": subject.url,
        "requested_by": subject.requested_by,
        "requirement": {
            "rule": requirement.rule,
            "policy_version": requirement.version,
            "group": requirement.group,
            "count": requirement.count,
        },
        "votes": [{"person": vote.person, "verb": vote.verb, "reason": vote.reason} for vote in approval.votes],
        "missing": missing(state(approval, catalog)) if approval.status == "pending" else 0,
        "created_at": approval.created_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "decided_at": approval.decided_at.isoformat() if approval.decided_at else None,
    }


def _audited(entry: Entry) -> Json:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "person": entry.actor.person,
        "identity": entry.actor.identity,
        "surface": entry.actor.surface,
        "verb": entry.verb,
        "before": entry.before,
        "after": entry.after,
        "detail": entry.detail,
        "hash": entry.hash,
    }


def _integrations(settings: Settings, catalog: Catalog, effects: Effects) -> dict[str, str]:
    return {
        "github": effects.state,
        "slack": "configured" if settings.slack_signing_secrets else "SLACK_SIGNING_SECRET is missing: no click votes",
        "catalog": f"{len(catalog.people)} people" if catalog.people else "CATALOG_PATH names nobody: nobody can vote",
        "policy": str(settings.policy_path or "POLICY_PATH is not set: one person who didn't ask must agree"),
    }
