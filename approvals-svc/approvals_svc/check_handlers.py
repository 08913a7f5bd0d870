"""Merge requests that wait for an external status check become proposals, one for each commit."""

from collections.abc import Sequence

from approvals_svc import gathering, gitlab_check, merges, passed_store, store
from approvals_svc.desk import Desk
from approvals_svc.eligibility import Account
from approvals_svc.gate_rules import GateRules
from approvals_svc.gates import NoProposal
from approvals_svc.merges import Check
from approvals_svc.model import Proposal
from approvals_svc.plain import plain
from shared.contracts.events import ChangeCheckRequested
from shared.db import Connection
from shared.telemetry import logs

log = logs.get(__name__)

HELD_MAX_CHARACTERS = 500


class CheckHandlers:
    def __init__(self, desk: Desk, rules: GateRules) -> None:
        self._desk = desk
        self._rules = rules

    async def on_check_requested(self, requests: Sequence[ChangeCheckRequested], tx: Connection) -> None:
        await self._desk.current_catalog(tx)
        await passed_store.hold(
            tx, [(r.source, r.repository, reference) for r in requests for reference in gitlab_check.references(r)]
        )
        for request in sorted(requests, key=lambda request: request.occurred_at):
            try:
                proposal = await self._proposal(tx, request)
            except NoProposal as reason:
                await self._hold(tx, request, str(reason))
            else:
                await self._desk.open(tx, proposal, now=await store.clock(tx))

    async def _proposal(self, tx: Connection, request: ChangeCheckRequested) -> Proposal:
        """Raises NoProposal."""
        merges.check(request, self._rules)
        at = {"source": request.source, "repository": request.repository}
        if await passed_store.has_passed(
            tx, references=gitlab_check.references(request), since=request.occurred_at, **at
        ):
            raise NoProposal("it was merged or closed before it was asked here")
        asked = await passed_store.checks_of(tx, change=str(request.number), check_id=request.check_id, **at)
        catalog, policy = self._desk.catalog, await self._desk.current_policy(tx)
        return merges.propose(
            request,
            policy.content,
            catalog,
            involved=await self._involved(tx, request, asked),
            shipment=await gathering.shipment(tx, gathering.asked_of(request, catalog)),
            replaces=merges.replaced(request, asked),
            version=policy.number,
            now=await store.clock(tx),
        )

    async def _involved(self, tx: Connection, request: ChangeCheckRequested, asked: Sequence[Check]) -> list[Account]:
        """Only the hook of a merge request's opening names its author: whoever was known before stays known."""
        at = {"source": request.source, "repository": request.repository}
        author = await store.author_of_change(tx, number=request.number, **at)
        authors = [Account(role="requester", platform=request.source, name=author)] if author else []
        before = await store.approval(tx, asked[0].number) if asked else None
        known = [each for each in before.subject.involved if each.role == "requester"] if before else []
        return [*authors, *known, *await store.authors_of_branch(tx, branch=request.head_ref, **at)]

    async def _hold(self, tx: Connection, request: ChangeCheckRequested, reason: str) -> None:
        log.warning("request.held", kind=request.kind, event_id=request.id, reason=reason)
        await store.hold(
            tx,
            event_id=request.id,
            kind=request.kind,
            subject=plain(f"{request.repository}!{request.number}", characters_max=HELD_MAX_CHARACTERS),
            reason=plain(reason, characters_max=HELD_MAX_CHARACTERS),
        )
