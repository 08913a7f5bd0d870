"""approvals-svc's desk on a database of the test's own, without a broker: what it writes, and nothing that it sends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from approvals_svc import store
from approvals_svc.audit import Actor
from approvals_svc.decision import Verb
from approvals_svc.desk import Ballot, Desk, Outcome
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import Account
from approvals_svc.indexing import recompute
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.policies import Policies
from approvals_svc.policy import Facts, decide_policy
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from shared.settings import DatabaseSettings

CATALOG = """
version: 1
teams: [{name: payments, members: [ana, bo, cy, di]}]
people:
  - {name: ana, github: [ana-k]}
  - {name: bo, github: [bo-l]}
  - {name: cy, github: [cy-m]}
  - {name: di, github: [di-n]}
services:
  - name: checkout
    team: payments
    repositories: [acme/checkout]
    alerts: {prometheus: ["Checkout.*"]}
  - {name: search, team: payments}
"""
POLICY = """
version: 5
groups: {release: {people: [ana, bo, cy]}}
rules:
  - name: production-deploys
    if: {action: deploy, environment: [production]}
    outcome: require
    requires: {group: release, count: 2}
    separation: [requester]
    expires: {after: 4h}
  - name: rest
    outcome: require
    requires: {group: release}
    separation: [requester]
"""


class Counter:
    """Where people ask and vote; ana asks. `production` needs two of bo and cy, anything else one person."""

    def __init__(self, pool: Pool, desk: Desk, catalogs: Catalogs) -> None:
        self.pool = pool
        self.desk = desk
        self.catalogs = catalogs

    async def ask(self, environment: str = "staging", **changed: Any) -> Approval:
        """`changed`: fields of what is asked."""
        async with self.pool.acquire() as tx, tx.transaction():
            await self.desk.current_catalog(tx)
            policy = await self.desk.current_policy(tx)
            now = await store.clock(tx)
            subject = msgspec.structs.replace(_subject(environment), **changed)
            requirement = decide_policy(policy.content, subject.facts, version=policy.number, now=now)
            proposal = Proposal(
                external_key=uuid4().hex,
                public_id=str(uuid4()),
                content_hash=content_hash(subject),
                origin="live",
                subject=subject,
                requirement=requirement,
                expires_at=now + timedelta(seconds=requirement.terms.expires_after_s),
            )
            approval = await self.desk.open(tx, proposal, now=now)
        assert approval
        return approval

    async def vote(self, number: int, person: str, verb: Verb = "approve", *, reason: str = "") -> Outcome:
        async with self.pool.acquire() as tx, tx.transaction():
            return await self.desk.vote(tx, self.ballot(number, person, verb, reason=reason))

    def ballot(self, number: int, person: str, verb: Verb = "approve", *, reason: str = "") -> Ballot:
        return Ballot(approval_id=number, verb=verb, actor=actor(person), reason=reason)

    async def fetch(self, query: str, *arguments: object) -> Sequence[Any]:
        return list(await self.pool.fetch(query, *arguments))


def actor(person: str) -> Actor:
    return Actor(person=person, identity=person, surface="api")


def _subject(environment: str) -> Subject:
    return Subject(
        source="github",
        action="deploy",
        subject=f"acme/checkout main to {environment}",
        service="checkout",
        environment=environment,
        repository="acme/checkout",
        sha="c0ffee" * 6,
        url="",
        requested_by="ana-k",
        involved=(Account(role="requester", platform="github", name="ana-k"),),
        payload={"run_id": "1", "deployment_id": "2", "installation_id": "99"},
        facts=Facts(action="deploy", service="checkout", environment=environment),
    )


@asynccontextmanager
async def open_counter(
    database_url: str, directory: Path, *, catalog: str = CATALOG, policy: str = POLICY, prefix: str = "t"
) -> AsyncIterator[Counter]:
    """`prefix`: of the subjects under which relays on the same database publish what it says."""
    (directory / "catalog.yaml").write_text(catalog)
    (directory / "policy.yaml").write_text(policy)
    async with open_pool(DatabaseSettings(database_url=database_url), APPROVALS_SVC) as pool:
        catalogs = Catalogs(pool, directory / "catalog.yaml", recompute=recompute)
        policies = Policies(pool, directory / "policy.yaml", catalogs)
        await catalogs.look()
        await policies.look()
        yield Counter(pool, Desk(catalogs, policies, Subjects(prefix)), catalogs)
