"""Asks the facts for what evidence is made of, within the transaction that decides."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from approvals_svc import evidence, library
from approvals_svc import evidence_store as store
from approvals_svc.authors import is_sha
from approvals_svc.documents import services_seen
from approvals_svc.embedding import Embedder
from approvals_svc.evidence import WINDOW_DAYS, Standing
from approvals_svc.evidence_store import Place
from approvals_svc.facts import POSITIONS_PER_SECOND
from approvals_svc.freeze import Freeze
from approvals_svc.model import Proposal, Subject
from approvals_svc.shipping import Commit, Shipment, shipment_of
from shared.catalog import Catalog
from shared.contracts.events import ChangeCheckRequested, DeploymentRequested, Evidence
from shared.db import Connection

NUMBERS_END = 2**31  # of PostgreSQL's integer
OPEN_FOR = timedelta(days=90)  # an incident that nobody closed for longer burns no more


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What would be deployed where; `commits` and `changes`: what the sender says it carries."""

    source: str
    repository: str
    environment: str
    service: str
    sha: str
    branch: str
    commits: tuple[str, ...] = ()
    changes: tuple[int, ...] = ()


def asked_by(request: DeploymentRequested, catalog: Catalog) -> Asked:
    gated = request.gate.changes if request.gate else ()
    return Asked(
        source=request.source,
        repository=request.repository,
        environment=request.environment,
        service=catalog.service_of_repository(request.repository),
        sha=request.sha,
        branch=request.ref.removeprefix("refs/heads/"),
        commits=tuple(sha for sha in request.commits if is_sha(sha)),
        changes=tuple(number for number in (*request.changes, *gated) if 0 < number < NUMBERS_END),
    )


def asked_of(request: ChangeCheckRequested, catalog: Catalog) -> Asked:
    """What a merge would bring: the change, as far as its events told."""
    return Asked(
        source=request.source,
        repository=request.repository,
        environment="",
        service=catalog.service_of_repository(request.repository),
        sha=request.head_sha,
        branch=request.base_ref,
        changes=(request.number,) if 0 < request.number < NUMBERS_END else (),
    )


def asked_in(subject: Subject) -> Asked:
    """As far as its row tells."""
    return Asked(
        source=subject.source,
        repository=subject.repository,
        environment=subject.environment,
        service=subject.service,
        sha=subject.sha,
        branch=subject.facts.branch,
    )


async def shipment(tx: Connection, asked: Asked) -> Shipment:
    """What lies between the commit that runs there and the one that is asked, on the branch of the latter."""
    at = {"source": asked.source, "repository": asked.repository}
    place = await store.place_of(tx, sha=asked.sha, **at) if is_sha(asked.sha) else None
    since = await store.running_sha(tx, environment=asked.environment, **at)
    base = await _base(tx, asked, place, since)
    if place is None:
        commits = await store.commits_named(tx, shas=asked.commits, **at)
    else:
        of_push = place.position - place.position % POSITIONS_PER_SECOND - 1
        commits = await store.commits_between(tx, place, after=base.position if base else of_push, **at)
    shas = [*(commit["sha"] for commit in commits), *asked.commits]
    changes = await store.changes_of(tx, shas=shas, numbers=asked.changes, **at)
    return shipment_of(
        commits,
        changes,
        base=base,
        since=since,
        position=place.position if place else None,
        limit=store.COMMITS_MAX,
    )


async def _base(tx: Connection, asked: Asked, place: Place | None, since: str) -> Commit | None:
    """What runs there, if it is on the same branch."""
    if place is None or not since:
        return None
    row = await store.commit_of(tx, place, source=asked.source, repository=asked.repository, sha=since)
    return msgspec.convert(row, Commit) if row else None


async def shown(tx: Connection, proposal: Proposal, catalog: Catalog, embedder: Embedder, *, now: datetime) -> Evidence:
    """Beside the question, when it is asked."""
    subject = proposal.subject
    ships = proposal.shipment or await shipment(tx, asked_in(subject))
    found = evidence.of_shipment(ships, subject.service, catalog)
    found = await standing(tx, found, subject, catalog, freezes=proposal.requirement.freezes, now=now)
    asked = library.question(
        subject, found, catalog, reason=proposal.reason, content_hash=proposal.content_hash, at=now
    )
    services = services_seen(subject.repository, subject.service, catalog)
    past = await library.for_card(tx, embedder, asked, catalog, services=services, now=now)
    return msgspec.structs.replace(found, precedents=past.shown, comparable=past.comparable, precedents_note=past.note)


async def standing(
    tx: Connection, known: Evidence, subject: Subject, catalog: Catalog, *, freezes: Sequence[Freeze], now: datetime
) -> Evidence:
    """The same shipment with how its service stands now."""
    asked = asked_in(subject)
    environment = catalog.environment_of(asked.service, asked.environment)
    since = (now - timedelta(days=WINDOW_DAYS)).date()
    found = Standing(
        tickets=await store.tickets_of(tx, [ticket.key for ticket in known.tickets]),
        days=await store.days_of(tx, service=asked.service, environment=environment, since=since),
        incidents=await store.open_incidents(tx, since=now - OPEN_FOR),
        checks=await store.checks_of(tx, repository=asked.repository, sha=asked.sha, branch=asked.branch),
    )
    return evidence.standing(known, found, catalog, service=asked.service, freezes=freezes, now=now)
