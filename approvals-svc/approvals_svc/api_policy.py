"""What the policy says, over HTTP: simulated with its trace, or evaluated as the earlier em-agent did."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc import policy_file, policy_store, store
from approvals_svc.desk import Desk
from approvals_svc.eligibility import Account
from approvals_svc.policy import ROLES, Facts, Policy, Role
from approvals_svc.policy_changes import changes
from approvals_svc.policy_file import InvalidPolicy
from approvals_svc.settings import Settings
from approvals_svc.simulation import Evaluated, Simulated, evaluate, explain, simulate
from approvals_svc.store import ID_MAX
from approvals_svc.visibility import hidden_from, is_hidden
from shared.db import Connection, Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

NAME_MAX_CHARACTERS = 255
LISTED_MAX = 1000
PAGE_MAX = 200

Name = Field("", max_length=NAME_MAX_CHARACTERS)
Json = dict[str, Any]
Before = Annotated[int | None, Query(ge=1, le=ID_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


class FactsRequest(BaseModel):
    """What isn't given is not known."""

    model_config = ConfigDict(extra="forbid")

    action: str = Field(min_length=1, max_length=64)
    service: str = Name
    environment: str = Name
    team: str = Name
    repository: str = Name
    branch: str = Name
    risk: str = Name
    author_class: str = Name
    labels: list[str] | None = Field(None, max_length=100)
    size: int | None = Field(None, ge=0)
    paths: list[str] | None = Field(None, max_length=LISTED_MAX)

    def facts(self) -> Facts:
        try:
            return msgspec.convert(self.model_dump(), Facts)
        except msgspec.ValidationError as unsafe:
            raise Problem(422, "unsafe-path", str(unsafe)) from None


class SimulateRequest(BaseModel):
    """Facts, or the number of an approval. `involved`: accounts by role, of the platform `platform`."""

    model_config = ConfigDict(extra="forbid")

    approval: int | None = Field(None, ge=1, le=ID_MAX)
    facts: FactsRequest | None = None
    involved: dict[Role, list[str]] = Field(default_factory=dict, max_length=len(ROLES))
    platform: str = Field("github", max_length=NAME_MAX_CHARACTERS)

    def accounts(self) -> list[Account]:
        return [
            Account(role=role, platform=self.platform, name=name)
            for role, names in self.involved.items()
            for name in names[:LISTED_MAX]
        ]


class EvaluateRequest(FactsRequest):
    """As the earlier em-agent's: `kind` names the action where `action` doesn't."""

    action: str = Field("", max_length=64)
    kind: str = Field("", max_length=64)

    def as_facts(self) -> Facts:
        action = self.action or self.kind
        if not action:
            raise Problem(422, "missing-action", "action is missing")
        return FactsRequest(**{**self.model_dump(exclude={"kind"}), "action": action}).facts()


class PolicyApi:
    """The answers, apart from their routes."""

    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk

    async def simulate(self, asked: SimulateRequest, identity: Identity) -> Simulated:
        if (asked.approval is None) == (asked.facts is None):
            raise Problem(422, "one-of", "give either facts or an approval")
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            now = await store.clock(connection)
            if asked.facts is not None:
                policy, facts = await self._desk.current_policy(connection), asked.facts.facts()
                return simulate(policy.content, facts, asked.accounts(), catalog, version=policy.number, now=now)
            approval = await store.approval(connection, asked.approval or 0)
            if approval is None or is_hidden(approval.subject, hidden_from(identity, catalog)):
                raise Problem(404, "approval-not-found", f"there is no approval #{asked.approval}")
            return explain(approval, catalog, now=now)

    async def evaluate(self, facts: Facts) -> Evaluated:
        async with self._pool.acquire() as connection, connection.transaction():
            policy = await self._desk.current_policy(connection)
            return evaluate(policy.content, facts, version=policy.number, now=await store.clock(connection))

    async def versions(self, *, before: int | None, limit: int) -> Json:
        async with self._pool.acquire() as connection:
            found = await policy_store.versions(connection, before=before, limit=limit + 1)
        page = [
            {
                "version": each.number,
                "sha256": each.sha256,
                "loaded_at": each.loaded_at,
                "rules": _rules(each.content),
            }
            for each in found[:limit]
        ]
        return {"items": page, "next": page[-1]["version"] if len(found) > limit else None}

    async def version(self, number: int) -> Json:
        async with self._pool.acquire() as connection:
            found = await self._version(connection, number)
        return {"version": number, "sha256": found.sha256, "loaded_at": found.loaded_at, "content": found.content}

    async def diff(self, number: int, *, before: int | None, limit: int, identity: Identity) -> Json:
        """Pages over what waits, newest first; `next` is the `before` of the following page."""
        async with self._pool.acquire() as connection:
            found = await self._version(connection, number)
            hidden = hidden_from(identity, self._desk.catalog)
            pending = await store.approvals(connection, status="pending", before=before, limit=limit + 1, hidden=hidden)
            now = await store.clock(connection)
        page = pending[:limit]
        try:
            policy = policy_file.read(found.content)
        except InvalidPolicy as error:
            detail = f"version {number} can't be read any more: {error}"
            raise Problem(409, "policy-version-unreadable", detail) from None
        return {
            "version": number,
            "compared": len(page),
            "items": msgspec.to_builtins(changes(page, policy, version=number, now=now)),
            "next": page[-1].id if len(pending) > limit else None,
        }

    async def freezes(self) -> Json:
        async with self._pool.acquire() as connection, connection.transaction():
            policy = await self._desk.current_policy(connection)
            now = await store.clock(connection)
        return {"version": policy.number, "now": now, "items": _freezes(policy.content, now)}

    async def _version(self, tx: Connection, number: int) -> policy_store.Loaded:
        found = await policy_store.version(tx, number)
        if found is None:
            raise Problem(404, "policy-version-not-found", f"there is no version {number} of the policy")
        return found


def _rules(content: str) -> list[str] | None:
    """Names in their order; None for what an earlier release took and this one can't read."""
    try:
        return [rule.name for rule in policy_file.read(content).rules]
    except InvalidPolicy:
        return None


def _freezes(policy: Policy, now: datetime) -> list[Json]:
    """By name; `until` None: it is open now. `rules`: those that it holds."""
    rules: dict[str, list[str]] = {}
    known = {}
    for rule in policy.rules:
        for guarded in rule.freezes:
            known[guarded.freeze.name] = guarded.freeze
            rules.setdefault(guarded.freeze.name, []).append(rule.name)
    return [
        {
            "name": name,
            "zone": freeze.zone,
            "window": msgspec.to_builtins(freeze.window),
            "until": freeze.end(now),
            "rules": rules[name],
        }
        for name, freeze in sorted(known.items())
    ]


def add_routes(app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk) -> None:
    api = PolicyApi(pool=pool, desk=desk)

    @app.post("/v1/policy/simulate")
    async def policy_simulate(asked: SimulateRequest, identity: Identity = require(settings, "viewer")) -> Json:
        """What the policy would ask, rule by rule, who could approve now and what is missing. Nothing happens."""
        return dict(msgspec.to_builtins(await api.simulate(asked, identity)))

    @app.post("/v1/policy/evaluate")
    async def policy_evaluate(asked: EvaluateRequest, _: Identity = require(settings, "viewer")) -> Json:
        """Whether an action may happen without asking anybody: only if a rule says so by name."""
        return dict(msgspec.to_builtins(await api.evaluate(asked.as_facts())))

    @app.get("/v1/policies")
    async def policies(before: Before = None, limit: Limit = 50, _: Identity = require(settings, "viewer")) -> Json:
        """Versions of the policy, newest first."""
        return await api.versions(before=before, limit=limit)

    @app.get("/v1/policies/{number}")
    async def policy_version(number: int, _: Identity = require(settings, "viewer")) -> Json:
        """One version, as its file was."""
        return await api.version(_number(number))

    @app.get("/v1/policies/{number}/diff")
    async def policy_diff(
        number: int, before: Before = None, limit: Limit = PAGE_MAX, identity: Identity = require(settings, "viewer")
    ) -> Json:
        """Which pending approvals this version would ask something else of; they keep what they were asked under."""
        return await api.diff(_number(number), before=before, limit=limit, identity=identity)

    @app.get("/v1/freezes")
    async def freezes(_: Identity = require(settings, "viewer")) -> Json:
        """Windows in which nothing is let through, by the newest policy, and until when those hold that hold now."""
        return await api.freezes()


def _number(number: int) -> int:
    if not 0 < number <= ID_MAX:
        raise Problem(404, "policy-version-not-found", f"there is no version {number} of the policy")
    return number
