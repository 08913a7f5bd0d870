"""Proposals over HTTP, and messages about what waits."""

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import FastAPI, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc import actions, job_store, library, store, wording
from approvals_svc.actions import KINDS, InvalidPayload
from approvals_svc.advising import Advising
from approvals_svc.audit import Actor
from approvals_svc.calls import CallFailed
from approvals_svc.decision import OPENED
from approvals_svc.desk import Desk
from approvals_svc.effects import Effects
from approvals_svc.embedding import Embedder
from approvals_svc.github_app import GithubApp
from approvals_svc.model import Approval, Proposal
from approvals_svc.nudges import Message, Nudges, Settled
from approvals_svc.plain import REASON_MAX_CHARACTERS, Unstorable, plain
from approvals_svc.proposing import (
    ACTION_MAX_CHARACTERS,
    RISK_MAX_CHARACTERS,
    SUBJECT_MAX_CHARACTERS,
    Asked,
    propose,
)
from approvals_svc.quorum import in_words
from approvals_svc.seeing import not_found
from approvals_svc.settings import Settings
from approvals_svc.store import ID_MAX
from approvals_svc.tasks import GivenUp
from approvals_svc.visibility import hidden_from, is_hidden
from shared.bus import Relay
from shared.catalog import Catalog
from shared.contracts.events import Evidence
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.db import Connection, Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

KEY_MAX_CHARACTERS = 200
NOTICE_MAX_S = 8.0

Json = dict[str, Any]
Key = Annotated[str, Header(max_length=KEY_MAX_CHARACTERS)]


class ProposeRequest(BaseModel):
    """`payload` is checked where we carry the action out: see docs/approvals.md, "Actions"."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(min_length=1, max_length=SUBJECT_MAX_CHARACTERS)
    action: str = Field(min_length=1, max_length=ACTION_MAX_CHARACTERS)
    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)
    risk: str = Field("", max_length=RISK_MAX_CHARACTERS)
    payload: dict[str, Any] = Field(default_factory=dict)


class NotifyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: actions.Channel = ""


class ActionsApi:
    """The answers, apart from their routes."""

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        desk: Desk,
        effects: Effects,
        relay: Relay,
        github: GithubApp | None,
        nudges: Nudges,
        advising: Advising,
        embedder: Embedder,
    ) -> None:
        self._advising = advising
        self._effects = effects
        self._relay = relay
        self._nudges = nudges
        self._settings = settings
        self._pool = pool
        self._desk = desk
        self._github = github
        self._embedder = embedder

    async def propose(
        self, asked: ProposeRequest, identity: Identity, *, key: str, signal: str = "", written: BaseModel | None = None
    ) -> tuple[Approval, bool]:
        """The approval, and whether it was asked for under this key before. `written` is the request's own body, where
        that says less."""
        who = self._requester(identity)
        await self._check(asked)
        request = f"{signal}{(written or asked).model_dump_json()}"
        external_key = f"propose:{identity.issuer}:{identity.subject}:{key or uuid4()}"
        meant = _meant(asked, identity, requester=who, key=external_key, signal=signal)
        actor = Actor(person=who, identity=identity.subject, surface=actions.API)
        async with self._pool.acquire() as tx, tx.transaction():
            if known := await self._asked_before(tx, external_key, request):
                return known, True
            opened = await self._open(tx, meant, actor)
            if opened is not None:
                await store.remember_answer(
                    tx, approval_id=opened.id, person="", key=external_key, request=request, answer={}
                )
        if opened is None:
            return await self._asked_meanwhile(external_key, request)
        self._relay.wake()
        settled = await self._advising.settled(opened)
        self._effects.wake()
        return settled, False

    async def check(self, asked: ProposeRequest, identity: Identity) -> Json:
        """What would become of it, and what became of others like it, the rejected ones first. Nothing is stored."""
        meant = _meant(asked, identity, requester=self._requester(identity), key="", signal="")
        await self._check(asked)
        hidden = self.hidden_from(identity)
        async with self._pool.acquire() as tx, tx.transaction():
            catalog = await self._desk.current_catalog(tx)
            now = await store.clock(tx)
            proposal = await self._proposal(tx, meant, now)
            question = library.question(
                proposal.subject,
                Evidence(),
                catalog,
                reason=proposal.reason,
                content_hash="",  # the very same, proposed before, is what there is most to learn from
                at=now,
            )
            seen = catalog.hidden_from("") - hidden
            past = await library.for_card(tx, self._embedder, question, catalog, services=sorted(seen), now=now)
        requirement = proposal.requirement
        return {
            "proposed": asked.action,
            "status": OPENED[requirement.outcome],
            "rule": requirement.rule,
            "requires": in_words(requirement.terms.requires) if requirement.outcome == "require" else "",
            "trace": requirement.trace,
            "precedents": msgspec.to_builtins(sorted(past.shown, key=lambda each: each.decision != "rejected")),
            "precedents_note": past.note,
        }

    async def notify(self, number: int, channel: str, identity: Identity, *, key: str) -> Settled:
        async with self._pool.acquire() as connection:
            approval = await store.approval(connection, number)
        if approval is None or is_hidden(approval.subject, self.hidden_from(identity)):
            raise not_found(number)
        entity = f"notify:{approval.public_id}:{channel}:{key or uuid4()}"
        message = Message(
            id=step_of_entity(service=APPROVALS_SVC.name, entity=entity, revision=approval.revision, step="asked"),
            text=wording.notice(approval, self._desk.catalog),
            asked_by=identity.subject,
            channel=channel,
            service="" if channel else approval.subject.service,
        )
        return await self._nudges.ask(message, timeout_s=NOTICE_MAX_S)

    def hidden_from(self, identity: Identity) -> frozenset[str]:
        return hidden_from(identity, self._desk.catalog)

    async def job_of(self, approval: Approval) -> int | None:
        async with self._pool.acquire() as connection:
            return await job_store.job_of(connection, approval.id, kinds=list(KINDS))

    def _requester(self, identity: Identity) -> str:
        """Who can't decide about it. A machine that the catalog lists is nobody who could."""
        catalog = self._desk.catalog
        if not self._settings.auth_enabled or _is_machine(identity.subject, catalog):
            return ""
        if catalog.person_named(identity.subject) is None:
            raise Problem(
                403, "not-a-person", "the token's subject is no person in the catalog, and none of its bots or agents"
            )
        return identity.subject

    async def _check(self, asked: ProposeRequest) -> None:
        """Told now rather than when it fails. Where GitHub can't be asked now, it is asked when it is carried out."""
        payload = _checked(asked)
        person = payload.get("person")
        if person and self._desk.catalog.person_named(person) is None:
            raise _invalid([{"field": "payload.person", "problem": f"the catalog names nobody {person}"}])
        target, repository = payload.get("target"), payload.get("repository")
        if target is not None and target not in self._settings.targets:
            raise _invalid([{"field": "payload.target", "problem": f"WEBHOOK_TARGETS names no {target}"}])
        if self._github is None or repository is None:
            return
        try:
            await self._github.installation_of(repository)
        except CallFailed as problem:
            if isinstance(problem.outcome, GivenUp):
                raise _invalid([{"field": "payload.repository", "problem": problem.outcome.reason}]) from None

    async def _open(self, tx: Connection, asked: Asked, actor: Actor) -> Approval | None:
        await self._desk.current_catalog(tx)
        now = await store.clock(tx)
        return await self._desk.open(tx, await self._proposal(tx, asked, now), now=now, actor=actor)

    async def _proposal(self, tx: Connection, asked: Asked, now: datetime) -> Proposal:
        """Once the catalog is current."""
        policy = await self._desk.current_policy(tx)
        try:
            return propose(asked, policy.content, self._desk.catalog, version=policy.number, now=now)
        except Unstorable as error:
            raise _invalid([{"field": "payload", "problem": str(error)}]) from None

    async def _asked_before(self, tx: Connection, external_key: str, request: str) -> Approval | None:
        approval = await store.lock_approval_by_key(tx, external_key)
        if approval is None:
            return None
        known = await store.answered(tx, approval_id=approval.id, person="", key=external_key)
        if known is None or known[0] != request:
            raise Problem(422, "idempotency-key-reused", "this key was used for another request")
        return approval

    async def _asked_meanwhile(self, external_key: str, request: str) -> tuple[Approval, bool]:
        async with self._pool.acquire() as tx, tx.transaction():
            known = await self._asked_before(tx, external_key, request)
        if known is None:
            raise Problem(409, "idempotency-key-in-use", "the same key is being used by another request")
        return known, True


def add_routes(app: FastAPI, settings: Settings, api: ActionsApi) -> None:
    @app.post("/v1/approvals/propose", status_code=201)
    async def approval_propose(
        asked: ProposeRequest,
        response: Response,
        check: bool = False,
        idempotency_key: Key = "",
        identity: Identity = require(settings, "approver"),
    ) -> Json:
        """Asks for an action, which the policy lets through, puts to people, or denies.

        Who proposes doesn't decide. The same Idempotency-Key is the same proposal. 422 lists the fields of the payload
        that don't fit, where the action is one that we carry out. With `check=true` nothing is asked: 200 says what
        would become of it, and for which reasons others like it were rejected.
        """
        if check:
            response.status_code = 200
            return await api.check(asked, identity)
        key = plain(idempotency_key, characters_max=KEY_MAX_CHARACTERS)
        approval, replayed = await api.propose(asked, identity, key=key)
        return {
            "action_id": approval.id,
            "proposed": asked.action,
            "status": approval.status,
            "job_id": await api.job_of(approval),
            "replayed": replayed,
            **({} if settings.auth_enabled else {"separation": "not enforced: AUTH_ENABLED=false"}),
        }

    @app.post("/v1/approvals/{number}/notify")
    async def approval_notify(
        number: Annotated[int, Path(ge=1, le=ID_MAX)],
        asked: NotifyRequest,
        idempotency_key: Key = "",
        identity: Identity = require(settings, "approver"),
    ) -> Json:
        """Tells people how it stands, in that channel or the service's. `ok` once it is posted: a dry run is not."""
        key = plain(idempotency_key, characters_max=KEY_MAX_CHARACTERS)
        settled = await api.notify(number, asked.channel, identity, key=key)
        is_posted = settled.state == "shown"
        return {"ok": is_posted, "posted": is_posted, "channel": settled.channel, "reason": settled.reason}


def _meant(asked: ProposeRequest, identity: Identity, *, requester: str, key: str, signal: str) -> Asked:
    return Asked(
        source=actions.API,
        key=key,
        action=asked.action,
        subject=asked.subject,
        payload=asked.payload,
        reason=asked.reason,
        risk=asked.risk,
        signal=signal,
        requested_by=identity.subject,
        requester=requester,
    )


def _is_machine(name: str, catalog: Catalog) -> bool:
    return name.lower() in {each.lower() for each in (*catalog.bots, *catalog.ai_agents)}


def _checked(asked: ProposeRequest) -> Json:
    """The payload where we carry the action out, else nothing."""
    if asked.action not in KINDS:
        return {}
    try:
        return actions.checked(asked.action, asked.payload)
    except InvalidPayload as error:
        fields = [{**each, "field": f"payload.{each['field']}".rstrip(".")} for each in error.fields]
        raise _invalid(fields) from None


def _invalid(fields: list[dict[str, str]]) -> Problem:
    return Problem(422, "invalid-request", fields=fields)
