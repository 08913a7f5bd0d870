"""A gate that any CI can ask for, as a proposal, and who may collect what was decided. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import msgspec

from approvals_svc.audit import Actor, canonical
from approvals_svc.callbacks import CALLBACK
from approvals_svc.decision import allows
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import CATALOG, Account
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.policy import Facts, Policy, Role, decide_policy
from approvals_svc.proposing import RISK_MAX_CHARACTERS
from approvals_svc.shipping import Shipment, Told, told
from approvals_svc.tasks import CiGate
from shared.catalog import Catalog
from shared.contracts.ids import step_of_entity
from shared.contracts.reports import Sha, Url
from shared.contracts.services import APPROVALS_SVC

SOURCE = "ci"
DEPLOY = "deploy"
NAME_MAX_CHARACTERS = 255

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX_CHARACTERS)]
Field = Literal["repository", "environment", "requester", "sha", "ref", "run", "attempt"]
Standing = Literal["own", "other_run", "unknown"]
# What a token proves, by the claim of `shared.identity.runs`; the rest the body says.
PROVEN: Mapping[Field, str] = {
    "repository": "repository",
    "environment": "environment",
    "requester": "actor",
    "sha": "sha",
    "ref": "ref",
    "run": "run",
    "attempt": "attempt",
}
# Of a run everything but the environment has to be its token's.
NEEDED: Sequence[Field] = ("repository", "environment", "sha", "requester", "run")


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. `requester`: a name, account or address of the catalog; `callback`: a target of WEBHOOK_TARGETS.

    `risk`: what whoever asks says of it, in a word that the policy may know.
    """

    repository: Name | None = None
    environment: Name | None = None
    requester: Name | None = None
    sha: Sha | None = None
    ref: Name | None = None
    run: Name | None = None
    attempt: Name | None = None
    url: Url | None = None
    reason: Annotated[str, msgspec.Meta(max_length=REASON_MAX_CHARACTERS)] = ""
    callback: Name | None = None
    risk: Annotated[str, msgspec.Meta(max_length=RISK_MAX_CHARACTERS)] = ""


class Unusable(ValueError):
    """`field` of the body is wrong; `kind` is the problem's type."""

    def __init__(self, field: str, detail: str, *, kind: str = "invalid-request") -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.kind = kind


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `said` is what a run's token proves, by the names of `shared.identity.runs.CLAIMS`.

    `subject` is whose token it is, where it is no run's.
    """

    issuer: str
    platform: str = ""
    subject: str = ""
    said: Mapping[str, str] = {}

    @property
    def is_run(self) -> bool:
        return not self.subject


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and by whom; all of a run's own identity is its token's."""

    asker: Asker
    repository: str
    environment: str
    requester: str
    sha: str
    run: str
    ref: str = ""
    attempt: str = ""
    url: str = ""
    reason: str = ""
    callback: str = ""
    risk: str = ""
    key: str = ""

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


def understand(asked: Asked, asker: Asker, *, key: str) -> Gate:
    """`key` tells gates of one run and environment apart. Raises Unusable."""
    found: dict[str, str] = {name: _one(name, asked, asker) for name in PROVEN}
    found["run"] = found["run"] or key
    if lacking := next((name for name in NEEDED if not found[name]), None):
        raise Unusable(lacking, "this or an Idempotency-Key is needed" if lacking == "run" else "is needed")
    for name, value in (*found.items(), ("url", asked.url or "")):
        if not value.isprintable():
            raise Unusable(name, "must be printable")
    return Gate(
        asker=asker,
        **found,
        url=asked.url or "",
        reason=plain(asked.reason, characters_max=REASON_MAX_CHARACTERS),
        callback=asked.callback or "",
        risk=plain(asked.risk, characters_max=RISK_MAX_CHARACTERS),
        key=key,
    )


class AskedAs(NamedTuple):
    """What makes a repeated question the same, and what of it must not have changed meanwhile."""

    external_key: str
    content_hash: str


def identity(gate: Gate, catalog: Catalog) -> AskedAs:
    """Raises Unusable."""
    return AskedAs(_external_key(gate), content_hash(_subject(gate, catalog, (), Told())))


def propose(
    gate: Gate,
    policy: Policy,
    catalog: Catalog,
    *,
    authors: Sequence[Account],
    shipment: Shipment,
    version: int,
    now: datetime,
    origin: str,
) -> Proposal:
    """Raises Unusable."""
    subject = _subject(gate, catalog, authors, told(shipment, catalog))
    requirement = decide_policy(policy, subject.facts, version=version, now=now)
    external_key = _external_key(gate)
    return Proposal(
        external_key=external_key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=external_key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=origin,
        subject=subject,
        requirement=requirement,
        expires_at=now + timedelta(seconds=requirement.terms.expires_after_s),
        shipment=shipment,
    )


def answer(approval: Approval) -> tuple[CiGate, ...]:
    """What the run is told of how it ended, when it asks."""
    if approval.subject.source != SOURCE:
        return ()
    subject = approval.subject
    return (
        CiGate(
            repository=subject.repository,
            environment=subject.environment,
            sha=subject.sha,
            run_id=subject.payload["run_id"],
            state="approved" if allows(approval.status, approval.decision) else "rejected",
        ),
    )


def standing(approval: Approval, asker: Asker) -> Standing:
    """A yes is of the run that asked, and of no other of the same repository."""
    subject, payload = approval.subject, approval.subject.payload
    if subject.source != SOURCE or payload["issuer"] != asker.issuer:
        return "unknown"
    if not asker.is_run:
        return "own" if payload.get("asker") == asker.subject else "unknown"
    said = asker.said
    if payload.get("asker") or subject.repository != said.get("repository"):
        return "unknown"
    ours = (payload["run_id"], payload.get("run_attempt", ""), subject.sha)
    return "own" if ours == (said.get("run"), said.get("attempt", ""), said.get("sha")) else "other_run"


def actor(asker: Asker, catalog: Catalog) -> Actor:
    """For the audit."""
    if asker.is_run:
        login = asker.said.get("actor", "")
        person = catalog.person(asker.platform, login)
        return Actor(person=person.name if person else "", identity=login, surface=f"{SOURCE}:{asker.platform}")
    person = catalog.person_named(asker.subject)
    return Actor(person=person.name if person else "", identity=asker.subject, surface=SOURCE)


def _one(name: Field, asked: Asked, asker: Asker) -> str:
    said, told = asker.said.get(PROVEN[name], ""), getattr(asked, name) or ""
    if said and told and said != told:
        raise Unusable(name, f"the token says {said}", kind="contradicts-token")
    if told and not said and asker.is_run and name != "environment":
        raise Unusable(name, "the token doesn't say so, and a run's word alone is not enough", kind="contradicts-token")
    return said or told


def _subject(gate: Gate, catalog: Catalog, authors: Sequence[Account], ships: Told) -> Subject:
    service = catalog.service_of_repository(gate.repository)
    asker = gate.asker
    payload = {
        "issuer": asker.issuer,
        "platform": asker.platform,
        "asker": asker.subject,
        "run_id": gate.run,
        "run_attempt": gate.attempt,
        "idempotency_key": gate.key,
        "ref": gate.ref,
        "reason": gate.reason,
        "risk": gate.risk,
        CALLBACK: gate.callback,
    }
    return Subject(
        source=SOURCE,
        action=DEPLOY,
        subject=f"{gate.repository} {gate.ref or gate.sha[:12]} to {gate.environment}",
        service=service,
        environment=gate.environment,
        repository=gate.repository,
        sha=gate.sha,
        url=gate.url,
        requested_by=gate.requester,
        involved=(*_involved(gate, catalog), *authors),
        payload={name: value for name, value in payload.items() if value},
        facts=Facts(
            action=DEPLOY,
            service=service,
            environment=gate.environment,
            team=catalog.team_of(service),
            repository=gate.repository,
            branch=gate.branch,
            risk=gate.risk,
            author_class=ships.author_class,
            labels=ships.labels,
            labels_vary=ships.labels_vary,
            size=ships.size,
            paths=ships.paths,
        ),
    )


def _involved(gate: Gate, catalog: Catalog) -> list[Account]:
    asker = gate.asker
    if asker.is_run:
        roles: tuple[Role, ...] = ("requester", "run_actor")
        return [Account(role=role, platform=asker.platform, name=gate.requester) for role in roles]
    names = _people(gate.requester, catalog)
    if catalog.person_named(asker.subject):
        names.append(asker.subject)
    return [Account(role="requester", platform=CATALOG, name=name) for name in dict.fromkeys(names)]


def _people(requester: str, catalog: Catalog) -> list[str]:
    """Names of the catalog that this may be: whoever is nobody there can't be told from those who decide."""
    found = [person.name for person in catalog.people_called(requester)]
    machines = {name.lower() for name in (*catalog.bots, *catalog.ai_agents)}
    if not found and catalog.people and requester.lower() not in machines:
        raise Unusable("requester", "is neither a person nor a bot of the catalog", kind="unknown-requester")
    return found or [requester]


def _external_key(gate: Gate) -> str:
    asker = gate.asker
    whole = [asker.issuer, asker.subject, gate.repository, gate.environment, gate.run, gate.attempt, gate.key]
    return f"{SOURCE}:{hashlib.sha256(canonical(whole)).hexdigest()}"
