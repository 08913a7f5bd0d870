"""What we carry out ourselves, as the earlier em-agent named it: workflows that run, and jobs."""

from typing import Annotated, Any

import msgspec
from asyncpg import Record
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from approvals_svc import job_store
from approvals_svc.actions import KINDS
from approvals_svc.advising import Advising
from approvals_svc.api_actions import KEY_MAX_CHARACTERS, ActionsApi, Key, ProposeRequest
from approvals_svc.decision import ALLOWING
from approvals_svc.model import Approval
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.policies import Policies
from approvals_svc.proposing import ACTION_MAX_CHARACTERS, SUBJECT_MAX_CHARACTERS
from approvals_svc.settings import Settings
from approvals_svc.store import ID_MAX
from approvals_svc.tasks import NudgeTask
from shared.db import Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

LISTED_MAX = 200
RULE_MAX_CHARACTERS = 64
BLOCK = "block"

Json = dict[str, Any]


class RunRequest(BaseModel):
    """`rule` names a rule of the policy's `signals`, which says what to do where `action` doesn't."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field("", max_length=RULE_MAX_CHARACTERS)
    kind: str = Field("", max_length=RULE_MAX_CHARACTERS, description="The same as rule")
    rule_kind: str = Field("", max_length=RULE_MAX_CHARACTERS, description="The same as rule")
    subject: str = Field(min_length=1, max_length=SUBJECT_MAX_CHARACTERS)
    action: str = Field("", max_length=ACTION_MAX_CHARACTERS)
    reason: str = Field("", max_length=REASON_MAX_CHARACTERS)
    payload: dict[str, Any] = Field(default_factory=dict)


class Jobs:
    """The answers, apart from their routes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def listed(self, *, before: int | None, limit: int, hidden: frozenset[str]) -> Json:
        async with self._pool.acquire() as connection:
            found = await job_store.jobs(connection, kinds=list(KINDS), before=before, limit=limit + 1, hidden=hidden)
        page = found[:limit]
        return {"items": [_job(row) for row in page], "next": page[-1]["id"] if len(found) > limit else None}

    async def shown(self, number: int, *, hidden: frozenset[str]) -> Json:
        found = None
        if 0 < number <= ID_MAX:
            async with self._pool.acquire() as connection:
                found = await job_store.job(connection, number, kinds=list(KINDS), hidden=hidden)
        if found is None:
            raise Problem(404, "job-not-found", f"there is no job {number}")
        return _job(found)


def add_routes(
    app: FastAPI, settings: Settings, proposing: ActionsApi, *, pool: Pool, policies: Policies, advising: Advising
) -> None:
    jobs = Jobs(pool)

    async def action_for(rule: str) -> str:
        """OPA's, else the policy's: what we can't carry out is none."""
        known = policies.content.signals.get(rule)
        advised = await advising.action(rule)
        return advised if advised in KINDS else known.action if known else NudgeTask.kind

    @app.post("/v1/workflows/run")
    async def workflow_run(
        asked: RunRequest, idempotency_key: Key = "", identity: Identity = require(settings, "approver")
    ) -> Json:
        """Proposes what a rule is for, or the action itself: queued where the policy lets it through.

        Else it awaits approval, or is denied. Without an action: OPA's for the rule, else the rule's, else a nudge.
        """
        rule = plain(asked.rule or asked.rule_kind or asked.kind, characters_max=RULE_MAX_CHARACTERS)
        action = asked.action or await action_for(rule)
        meant = ProposeRequest(subject=asked.subject, action=action, reason=asked.reason, payload=asked.payload)
        key = plain(idempotency_key, characters_max=KEY_MAX_CHARACTERS)
        approval, _ = await proposing.propose(meant, identity, key=key, signal=rule, written=asked)
        return await _told(proposing, approval)

    @app.get("/v1/workflows/jobs")
    async def workflow_jobs(
        before: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=LISTED_MAX)] = 100,
        identity: Identity = require(settings, "viewer"),
    ) -> Json:
        """What is carried out, newest first; `next` is the `before` of the following page."""
        return await jobs.listed(before=before, limit=limit, hidden=proposing.hidden_from(identity))

    @app.get("/v1/workflows/jobs/{number}")
    async def workflow_job(number: int, identity: Identity = require(settings, "viewer")) -> Json:
        """`done` once it happened: queued, running, retrying, done, failed, or cancelled before it began."""
        return await jobs.shown(number, hidden=proposing.hidden_from(identity))


async def _told(proposing: ActionsApi, approval: Approval) -> Json:
    if approval.decision in ALLOWING:
        job_id = await proposing.job_of(approval)
        return {"status": "queued", "id": job_id, "action": approval.subject.action, "action_id": approval.id}
    status = "denied" if approval.decision else "awaiting_approval"
    return {"status": status, "action_id": approval.id, "action": BLOCK}


def _job(row: Record) -> Json:
    return {
        "id": row["id"],
        "status": _status(row),
        "action_id": row["approval_id"],
        "action": row["effect_kind"],
        "rule": row["signal"],
        "subject": row["subject"],
        "payload": msgspec.json.decode(row["payload"]),
        "attempts": row["attempts"],
        "result": row["result"],
        "queued_at": row["decided_at"],
        "finished_at": row["closed_at"],
    }


def _status(row: Record) -> str:
    match row["state"]:
        case "pending":
            return "retrying" if row["attempts"] else "queued"
        case "leased":
            return "running"
        case "done":
            return "done"
        case "withdrawn":
            return "cancelled"
        case _:
            return "failed"
