"""`POST /v1/approvals` and its long poll: a gate for any CI that can send a request."""

from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from approvals_svc import ci_gates, store
from approvals_svc.advising import Advising
from approvals_svc.askers import asking
from approvals_svc.ci_gates import Asked, Asker, Gate, Unusable
from approvals_svc.decision import missing
from approvals_svc.desk import Desk
from approvals_svc.gathering import Asked as Revision
from approvals_svc.gathering import shipment
from approvals_svc.model import Approval
from approvals_svc.plain import plain
from approvals_svc.quorum import count_seats
from approvals_svc.settings import Settings
from approvals_svc.snapshot import state
from approvals_svc.store import ID_MAX
from approvals_svc.tasks import CiGate
from approvals_svc.waiters import Waiters
from approvals_svc.wording import ending
from shared.bus import Relay
from shared.catalog import Catalog
from shared.db import Connection, Pool
from shared.http.body import read_body
from shared.http.problems import Problem

BODY_MAX_BYTES = 8 * 1024
KEY_MAX_CHARACTERS = 200
WAIT_MAX_S = 55  # many proxies cut a request that is silent for a minute
WAIT_DEFAULT_S = 50
GO, NOT_YET, ASKED = 200, 202, 201  # whoever takes 200 for a yes must never get it for a question
NO_STORE = {"Cache-Control": "no-store"}
REFUSED = ("rejected", "expired", "cancelled", "revoked")

Json = dict[str, Any]
Wait = Annotated[float, Query(ge=0, le=WAIT_MAX_S)]


class GateApi:
    """The answers, apart from their routes."""

    def __init__(self, settings: Settings, *, pool: Pool, desk: Desk, waiters: Waiters, advising: Advising) -> None:
        self._advising = advising
        self._pool = pool
        self._desk = desk
        self._waiters = waiters
        self._targets = frozenset(settings.targets)
        self._origin = "demo" if settings.demo else "live"

    async def ask(self, gate: Gate) -> Approval:
        """The same run, environment and key is the same approval, as long as it asks the same thing: with another
        commit it is asked anew, and after the decision not at all."""
        return await self._advising.settled(await self._asked(gate))

    async def _asked(self, gate: Gate) -> Approval:
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            asked_as = ci_gates.identity(gate, catalog)
            known = await store.approval_by_key(connection, asked_as.external_key)
            if known and known.content_hash == asked_as.content_hash:
                return known
            opened = await self._open(connection, gate, catalog)
            approval = opened or await store.approval_by_key(connection, asked_as.external_key)
            if approval is None or approval.content_hash != asked_as.content_hash:
                raise Problem(409, "asked-otherwise", "this run asked about something else before, which is decided")
            return approval

    async def _open(self, tx: Connection, gate: Gate, catalog: Catalog) -> Approval | None:
        policy = await self._desk.current_policy(tx)
        now = await store.clock(tx)
        revision = Revision(
            source=gate.asker.platform or await store.source_of(tx, repository=gate.repository, sha=gate.sha),
            repository=gate.repository,
            environment=gate.environment,
            service=catalog.service_of_repository(gate.repository),
            sha=gate.sha,
            branch=gate.branch,
        )
        proposal = ci_gates.propose(
            gate,
            policy.content,
            catalog,
            authors=await store.authors_of_revision(
                tx, source=revision.source, repository=gate.repository, environment=gate.environment, sha=gate.sha
            ),
            shipment=await shipment(tx, revision),
            version=policy.number,
            now=now,
            origin=self._origin,
        )
        return await self._desk.open(tx, proposal, now=now, actor=ci_gates.actor(gate.asker, catalog))

    async def wait(self, number: int, asker: Asker, timeout_s: float) -> Response:
        """The answer of the long poll."""
        approval = await self._own(number, asker)
        if approval.status == "pending" and not await self._waiters.decided(number, timeout_s=timeout_s):
            return self.shown(approval, status=NOT_YET)
        return self._answer(await self._collected(approval, asker))

    async def _own(self, number: int, asker: Asker) -> Approval:
        async with self._pool.acquire() as connection:
            approval = await store.approval(connection, number)
        if approval is None or (standing := ci_gates.standing(approval, asker)) == "unknown":
            raise Problem(404, "approval-not-found", f"there is no approval #{number}")
        if standing == "other_run":
            raise Problem(403, "another-run", f"#{number} was asked for by another run")
        return approval

    async def _collected(self, approval: Approval, asker: Asker) -> Approval:
        """A yes is carried out by being collected."""
        async with self._pool.acquire() as connection, connection.transaction():
            actor = ci_gates.actor(asker, self._desk.catalog)
            return await self._desk.collect(connection, approval.id, actor, kind=CiGate.kind) or approval

    def _answer(self, approval: Approval) -> Response:
        if approval.status == "executed":
            return self.shown(approval, status=GO)
        if approval.status == "pending":  # it was taken up again: an escalation
            return self.shown(approval, status=NOT_YET)
        kind = "not-approved" if approval.status in REFUSED else "superseded"
        told = {key: value for key, value in self._told(approval).items() if key != "status"}
        status = 403 if approval.status in REFUSED else 409
        raise Problem(status, kind, ending(approval), approval_status=approval.status, **told)

    def shown(self, approval: Approval, *, status: int) -> Response:
        headers = {**NO_STORE, "Location": _wait_path(approval)}
        return JSONResponse(msgspec.to_builtins(self._told(approval)), status, headers=headers)

    def check_callback(self, target: str) -> None:
        """Raises Unusable."""
        if target and target not in self._targets:
            raise Unusable("callback", "is no target of WEBHOOK_TARGETS", kind="unknown-callback")

    def _told(self, approval: Approval) -> Json:
        subject = approval.subject
        return {
            "id": approval.id,
            "public_id": approval.public_id,
            "status": approval.status,
            "decision": approval.decision,
            "repository": subject.repository,
            "environment": subject.environment,
            "sha": subject.sha,
            "rule": approval.requirement.rule,
            "missing": count_seats(missing(state(approval, self._desk.catalog))) if approval.status == "pending" else 0,
            "superseded_by": approval.superseded_by,
            "expires_at": approval.expires_at,
            "wait": _wait_path(approval),
            "said": ending(approval) if approval.status != "pending" else "",
        }


def add_routes(
    app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk, waiters: Waiters, relay: Relay, advising: Advising
) -> None:
    api = GateApi(settings, pool=pool, desk=desk, waiters=waiters, advising=advising)
    asker_of = asking(settings)

    @app.post("/v1/approvals", status_code=ASKED, openapi_extra=_documented())
    async def ask(
        request: Request,
        wait_s: Annotated[float | None, Query(ge=1, le=WAIT_MAX_S)] = None,
        idempotency_key: Annotated[str, Header(max_length=KEY_MAX_CHARACTERS)] = "",
        asker: Asker = asker_of,
    ) -> Response:
        """Asks for a deployment, by the token of a CI's run or one with the role operator: 201, also when it was asked
        before. With `wait_s` it answers like the wait."""
        asked = _decoded(await read_body(request, bytes_max=BODY_MAX_BYTES))
        try:
            gate = ci_gates.understand(asked, asker, key=plain(idempotency_key, characters_max=KEY_MAX_CHARACTERS))
            api.check_callback(gate.callback)
            approval = await api.ask(gate)
        except Unusable as wrong:
            raise Problem(422, wrong.kind, str(wrong), field=wrong.field) from None
        relay.wake()
        if wait_s is not None:
            return await collected(approval.id, asker, wait_s)
        return api.shown(approval, status=ASKED)

    @app.get("/v1/approvals/{number}/wait")
    async def wait(number: int, timeout_s: Wait = WAIT_DEFAULT_S, asker: Asker = asker_of) -> Response:
        """For the run that asked: 200 go, 202 not decided yet (ask again), 403 no, 409 asked anew with other content.
        After a 200 it is too late to revoke."""
        if not 0 < number <= ID_MAX:
            raise Problem(404, "approval-not-found", f"there is no approval #{number}")
        return await collected(number, asker, timeout_s)

    async def collected(number: int, asker: Asker, timeout_s: float) -> Response:
        try:
            return await api.wait(number, asker, timeout_s)
        finally:
            relay.wake()


def _decoded(body: bytes) -> Asked:
    """Whatever content type it has: curl's own is that of a form."""
    try:
        return msgspec.json.decode(body or b"{}", type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _, _, where = str(error).partition(" - at `$.")
        raise Problem(422, "invalid-request", str(error), field=where.rstrip("`")) from None


def _wait_path(approval: Approval) -> str:
    return f"/v1/approvals/{approval.id}/wait"


def _documented() -> Json:
    (schema,), components = msgspec.json.schema_components([Asked], ref_template="#/components/schemas/{name}")
    inner = components["Asked"] if "$ref" in schema else schema
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inner}}}}
