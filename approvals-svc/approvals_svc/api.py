"""approvals-svc's HTTP API: what waits, why, who decided; and the vote of a person with a token."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc import (
    actions,
    api_actions,
    api_audit,
    api_break_glass,
    api_delegations,
    api_evidence,
    api_links,
    api_policy,
    api_reports,
    api_workflows,
    job_store,
    listing,
    store,
    tokens,
)
from approvals_svc.advising import Advising
from approvals_svc.api_actions import ActionsApi
from approvals_svc.api_break_glass import BreakingApi
from approvals_svc.audit import Actor, Entry
from approvals_svc.break_glass import Breaking
from approvals_svc.callbacks import fields
from approvals_svc.decision import Status, Verb, Vote, missing
from approvals_svc.desk import Ballot, Desk, Outcome
from approvals_svc.edits import NotEditable
from approvals_svc.effects import Effects
from approvals_svc.embedding import Embedder
from approvals_svc.github_app import GithubApp
from approvals_svc.indexing import Indexing
from approvals_svc.listing import Wanted
from approvals_svc.model import Approval
from approvals_svc.nudges import Nudges
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.policies import Policies
from approvals_svc.quorum import count_seats, fewest, in_words
from approvals_svc.searching import Searching
from approvals_svc.seeing import NOT_FOUND, not_found, seen_by
from approvals_svc.settings import Settings
from approvals_svc.snapshot import groups_in_words, state
from approvals_svc.store import ID_MAX
from approvals_svc.tasks import GithubGate, GitlabGate
from approvals_svc.visibility import hidden_from, is_hidden
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
MODIFY = "modify"
LISTED_MAX = 200
LEGACY_LISTED = 100
BATCH_MAX = 100
STATUS_OF_RESULT = {"unknown": 404, "not_eligible": 403, "reason_required": 422}  # the others are conflicts
NO_GITLAB = "not configured: set GITLAB_TOKEN; until then nobody is asked about its deployments"
NO_GITHUB = "not configured: set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY; decisions wait until then"

Json = dict[str, Any]
Name = Annotated[str | None, Query(max_length=255)]


class DecisionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "decline", "reject", "modify"]
    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)
    revision: int | None = Field(None, ge=1)
    patch: dict[str, str] = Field(default_factory=dict, max_length=20)


class BatchItem(DecisionRequest):
    approval: int = Field(ge=1, le=ID_MAX)


class BatchRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[BatchItem] = Field(min_length=1, max_length=BATCH_MAX)


class EndRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)


class Api:
    """The answers, apart from their routes."""

    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk
        self._seen = seen_by(pool, desk)

    async def listed(self, wanted: Wanted, *, limit: int) -> Json:
        async with self._pool.acquire() as connection:
            page, following = await listing.page(connection, wanted, self._desk.catalog, limit=limit)
        return {"items": [_summary(approval, self._desk.catalog) for approval in page], "next": following}

    async def listed_as_before(self, wanted: Wanted) -> list[Json]:
        """In the earlier em-agent's shape."""
        async with self._pool.acquire() as connection:
            page, _ = await listing.page(connection, wanted, self._desk.catalog, limit=LEGACY_LISTED)
        return [_legacy(approval) for approval in page]

    async def shown(self, number: int, *, hidden: frozenset[str]) -> Json:
        async with self._pool.acquire() as connection:
            approval = await store.approval(connection, number)
            if approval is None or is_hidden(approval.subject, hidden):
                raise not_found(number)
            audit = await store.audit(connection, number)
            effects = await store.effects_of(connection, number)
        return {
            **_summary(approval, self._desk.catalog),
            "payload": approval.subject.payload,
            "content_hash": approval.content_hash,
            "origin": approval.origin,
            "rule_trace": approval.requirement.trace,
            "evidence": api_evidence.as_json(approval.evidence) if approval.evidence else None,
            "who_may_decide": sorted(state(approval, self._desk.catalog).electorate.voters),
            "who_may_not": state(approval, self._desk.catalog).electorate.refusals,
            "effects": [dict(effect) for effect in effects],
            "audit": [_audited(entry) for entry in audit],
        }

    async def decide(self, number: int, asked: DecisionRequest, *, person: str, key: str) -> Json:
        """Commits the attempt before a refusal is answered."""
        async with self._pool.acquire() as connection, connection.transaction():
            if known := await self._known_answer(connection, number, asked, person=person, key=key):
                return {**known, "replayed": True}
            outcome = await self._decide(connection, number, asked, person)
            if outcome.approval and outcome.is_counted:
                answer = await self._told(connection, outcome, outcome.approval)
                if key:
                    await self._remember(connection, number, asked, answer, person=person, key=key)
                return answer
        raise _refused(outcome)

    async def decide_all(self, asked: BatchRequest, identity: Identity, *, person: str, key: str) -> list[Json]:
        """One after the other, each a decision of its own: what fails leaves the others as they are."""
        return [await self._answered(item, identity, person, key) for item in asked.items]

    async def _answered(self, item: BatchItem, identity: Identity, person: str, key: str) -> Json:
        """The key of the batch is the key of each of its approvals."""
        decision = DecisionRequest(**item.model_dump(exclude={"approval"}))
        try:
            await self._seen(item.approval, identity)
            answer = await self.decide(item.approval, decision, person=person, key=key)
        except Problem as problem:
            return {"approval": item.approval, **problem.document}
        return {"approval": item.approval, "status": 200, "answer": answer}

    async def end(self, number: int, verb: Literal["cancel", "revoke"], reason: str, identity: Identity) -> Json:
        """Taken back before it is decided, or afterwards as long as nobody carries it out."""
        actor = Actor(person=identity.subject, identity=identity.subject, surface="api")
        end = self._desk.cancel if verb == "cancel" else self._desk.revoke
        async with self._pool.acquire() as connection, connection.transaction():
            outcome = await end(connection, number, actor, by_right=identity.role == "admin", reason=reason)
        if outcome.approval is None or not outcome.is_counted:
            raise _refused(outcome)
        return _decided(outcome, outcome.approval, self._desk.catalog)

    async def _decide(self, tx: Connection, number: int, asked: DecisionRequest, person: str) -> Outcome:
        if asked.decision != MODIFY:
            return await self._desk.vote(tx, _ballot(number, asked, person))
        actor = Actor(person=person, identity=person, surface="api")
        try:
            return await self._desk.edit(tx, number, asked.patch, actor, revision=asked.revision)
        except NotEditable as error:
            raise Problem(422, "not-editable", str(error)) from None

    async def _told(self, tx: Connection, outcome: Outcome, approval: Approval) -> Json:
        """With the job that carries it out, once there is one."""
        job_id = await job_store.job_of(tx, approval.id, kinds=list(actions.KINDS))
        return {**_decided(outcome, approval, self._desk.catalog), **({"job_id": job_id} if job_id else {})}

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
    policies: Policies,
    embedder: Embedder,
    searching: Searching,
    indexing: Indexing,
    github: GithubApp | None,
    nudges: Nudges,
    advising: Advising,
) -> FastAPI:
    app = create_app(
        settings,
        APPROVALS_SVC,
        checks={"nats": bus.problem, "database": database_check(pool), "consumer": events.problem},
        details=lambda: {
            "integrations": _integrations(settings, desk.catalog, effects),
            "catalog": catalogs.status,
            "policy": policies.status,
            "precedents": indexing.state,
            "github_teams": desk.teams,
        },
    )
    api, seen = Api(pool=pool, desk=desk), seen_by(pool, desk)

    @app.get("/v1/approvals")
    async def approvals(
        status: Status | None = None,
        subject: Name = None,
        action: Name = None,
        service: Name = None,
        label: Name = None,
        requested_by: Name = None,
        can_approve: Literal["me"] | None = None,
        before: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
        after: Annotated[int, Query(ge=0, le=ID_MAX)] = 0,
        limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = 100,
        form: Annotated[Literal["legacy"] | None, Query(alias="format")] = None,
        identity: Identity = require(settings, "viewer"),
    ) -> Response:
        """Newest first; `next` is the `before` of the following page.

        `can_approve=me`: what waits for a vote of the token's person. `after` is a number that all are above.
        `format=legacy`: the last 100 as a bare list, as the earlier em-agent gave them.
        """
        wanted = Wanted(
            status=status,
            subject=subject,
            action=action,
            service=service,
            label=label,
            requested_by=requested_by,
            voter=_person(identity, settings, desk.catalog) if can_approve else None,
            before=before,
            after=after,
            hidden=hidden_from(identity, desk.catalog),
        )
        listed = await (api.listed_as_before(wanted) if form else api.listed(wanted, limit=limit))
        # FastAPI's own encoder takes longer for a page than the database and everything else together.
        return Response(msgspec.json.encode(listed), media_type="application/json")

    proposing = ActionsApi(
        settings=settings,
        pool=pool,
        desk=desk,
        effects=effects,
        relay=relay,
        github=github,
        nudges=nudges,
        advising=advising,
        embedder=embedder,
    )
    api_actions.add_routes(app, settings, proposing)
    api_workflows.add_routes(app, settings, proposing, pool=pool, policies=policies, advising=advising)

    @app.get("/v1/approvals/{number}")
    async def approval(number: int, identity: Identity = require(settings, "viewer")) -> Json:
        """The whole of it: votes, what is missing, deadline, which rules matched and why, effects, audit."""
        return await api.shown(_number(number), hidden=hidden_from(identity, desk.catalog))

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
        await seen(_number(number), identity)
        answer = await api.decide(number, asked, person=person, key=key)
        relay.wake()
        effects.wake()
        response.headers["Cache-Control"] = "no-store"
        return answer

    @app.post("/v1/approvals/batch-decision")
    async def batch_decision(
        asked: BatchRequest,
        idempotency_key: Annotated[str, Header(max_length=200)] = "",
        identity: Identity = require(settings, "approver"),
    ) -> Json:
        """One person's votes on up to 100 approvals; per item 200 with its answer, or the problem that it met."""
        person = _person(identity, settings, desk.catalog)
        items = await api.decide_all(asked, identity, person=person, key=plain(idempotency_key, characters_max=200))
        relay.wake()
        effects.wake()
        return {"items": items}

    @app.post("/v1/approvals/{number}/cancel")
    async def cancel(number: int, asked: EndRequest, identity: Identity = require(settings, "viewer")) -> Json:
        """Taken back by who asked, or by an admin, while it waits."""
        return await end(number, "cancel", asked, identity)

    @app.post("/v1/approvals/{number}/revoke")
    async def revoke(number: int, asked: EndRequest, identity: Identity = require(settings, "approver")) -> Json:
        """A yes that is taken back before it is carried out; 409 when that was too late."""
        return await end(number, "revoke", asked, identity)

    async def end(number: int, verb: Literal["cancel", "revoke"], asked: EndRequest, identity: Identity) -> Json:
        if identity.role != "admin" or not settings.auth_enabled:
            _person(identity, settings, desk.catalog)
        reason = plain(asked.reason, characters_max=REASON_MAX_CHARACTERS)
        await seen(_number(number), identity)
        answer = await api.end(number, verb, reason, identity)
        relay.wake()
        effects.wake()
        return answer

    def told(outcome: Outcome) -> Json:
        return _decided(outcome, outcome.approval, desk.catalog) if outcome.approval else {}

    def wake() -> None:
        relay.wake()
        effects.wake()

    api_break_glass.add_routes(
        app,
        settings,
        BreakingApi(pool=pool, breaking=Breaking(desk), told=told, refused=_refused),
        person=lambda identity: _person(identity, settings, desk.catalog),
        seen=seen,
        wake=wake,
    )
    api_links.add_routes(app, settings, pool=pool, desk=desk)
    api_delegations.add_routes(
        app, settings, pool=pool, desk=desk, person=lambda identity: _person(identity, settings, desk.catalog)
    )
    api_policy.add_routes(app, settings, pool=pool, desk=desk)
    api_reports.add_routes(app, settings, pool=pool, desk=desk)
    api_evidence.add_routes(app, settings, pool=pool, desk=desk, embedder=embedder, searching=searching)
    api_audit.add_routes(app, settings, pool=pool)
    return app


def _number(number: int) -> int:
    if not 0 < number <= ID_MAX:
        raise not_found(number)
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
    kind = NOT_FOUND if outcome.result == "unknown" else outcome.result.replace("_", "-")
    return Problem(status, kind, outcome.detail, **now)


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
        **fields(approval),
        "reason": approval.reason,
        "signal": approval.signal,
        "does": actions.in_words(subject.action, subject.payload) if actions.is_ours(subject) else "",
        "requirement": {
            "rule": requirement.rule,
            "policy_version": requirement.version,
            "group": groups_in_words(requirement),
            "count": fewest(requirement.terms.requires),
            "requires": in_words(requirement.terms.requires) if requirement.outcome == "require" else "",
        },
        "votes": [_vote(vote) for vote in approval.votes],
        "missing": count_seats(missing(state(approval, catalog))) if approval.status == "pending" else 0,
        "superseded_by": approval.superseded_by,
        "broken_by": approval.broken_by,
        "created_at": approval.created_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "decided_at": approval.decided_at.isoformat() if approval.decided_at else None,
    }


def _vote(vote: Vote) -> Json:
    return {"person": vote.person, "verb": vote.verb, "reason": vote.reason, "on_behalf_of": vote.on_behalf_of}


def _legacy(approval: Approval) -> Json:
    return {
        "id": approval.id,
        "subject": approval.subject.subject,
        "action": approval.subject.action,
        "status": approval.status,
        "reason": approval.reason,
        "created_at": approval.created_at.isoformat(),
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


def _named(targets: Iterable[str]) -> str:
    return ", ".join(sorted(targets)) or "WEBHOOK_TARGETS names nobody: no callback can be asked for"


def _integrations(settings: Settings, catalog: Catalog, effects: Effects) -> dict[str, str]:
    return {
        "webhooks": _named(settings.targets),
        "github": "configured" if effects.performs(GithubGate.kind) else NO_GITHUB,
        "gitlab": "configured" if effects.performs(GitlabGate.kind) else NO_GITLAB,
        "slack": "configured" if settings.slack_signing_secrets else "SLACK_SIGNING_SECRET is missing: no click votes",
        "catalog": f"{len(catalog.people)} people" if catalog.people else "CATALOG_PATH names nobody: nobody can vote",
        "tokens": tokens.status(settings),
        "policy": str(settings.policy_path or "POLICY_PATH is not set: one person who didn't ask must agree"),
    }
