"""A deployment that waits at its platform as a proposal, or why none is made of it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from approvals_svc import github_gate, gitlab_check, gitlab_gate
from approvals_svc.decision import Status, allows
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import Account
from approvals_svc.gate_rules import GateRules, UnsafeReference, deployment_reference, run_reference
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.plain import plain
from approvals_svc.policy import Facts, Policy, Role, decide_policy
from approvals_svc.shipping import Shipment, Told, told
from approvals_svc.tasks import Task
from shared.catalog import Catalog
from shared.contracts.events import DeploymentRequested, Gate
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

DEPLOY = "deploy"
TEXT_MAX_CHARACTERS = 255
COMMENT_MAX_CHARACTERS = 1024


class NoProposal(ValueError):
    """The gate stays shut and nobody is asked; the text says why."""


class Answering(Protocol):
    def __call__(self, approval: Approval, *, state: str, comment: str) -> Task:
        """What the platform is told; `state` is approved or rejected."""


class Platform(NamedTuple):
    """How one platform's gates are checked (raises UnsafeReference), kept and answered."""

    check: Callable[[DeploymentRequested, Gate, GateRules], None]
    payload: Callable[[Gate], dict[str, str]]
    task: Answering


PLATFORMS: Mapping[str, Platform] = {
    github_gate.SOURCE: Platform(github_gate.check, github_gate.payload, github_gate.task),
    gitlab_gate.SOURCE: Platform(gitlab_gate.check, gitlab_gate.payload, gitlab_gate.task),
}


def check(event: DeploymentRequested, gate: Gate, rules: GateRules) -> None:
    """Raises NoProposal: for what must not act any more (law 9), and for what can't be answered safely."""
    if event.origin not in rules.acting_origins:
        raise NoProposal(f"origin {event.origin} does not act")
    platform = PLATFORMS.get(event.source)
    if platform is None:
        raise NoProposal(f"gates of {event.source} are not answered")
    try:
        platform.check(event, gate, rules)
    except UnsafeReference as unsafe:
        raise NoProposal(str(unsafe)) from None


def references(event: DeploymentRequested) -> tuple[str, ...]:
    """What ends this gate when it passes; none without a gate."""
    if event.gate is None:
        return ()
    return (run_reference(event.gate.run_id), deployment_reference(event.deployment_id))


def propose(
    event: DeploymentRequested,
    gate: Gate,
    policy: Policy,
    catalog: Catalog,
    *,
    authors: Sequence[Account],
    shipment: Shipment,
    version: int,
    now: datetime,
) -> Proposal:
    """Of a gate that was checked. Raises NoProposal."""
    subject = _subject(event, gate, catalog, authors, told(shipment, catalog))
    if not subject.requested_by:
        raise NoProposal("nobody is named as requester, so nobody can be excluded")
    requirement = decide_policy(policy, subject.facts, version=version, now=now)
    expires_at = min(event.occurred_at, now) + timedelta(seconds=requirement.terms.expires_after_s)
    if expires_at <= now:
        raise NoProposal("its deadline passed before it reached us")
    external_key = _external_key(event, gate)
    return Proposal(
        external_key=external_key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=external_key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=event.origin,
        subject=subject,
        requirement=requirement,
        expires_at=expires_at,
        asked_at=event.occurred_at,
        shipment=shipment,
    )


def answer(approval: Approval) -> tuple[Task, ...]:
    """What the platform is told of how it ended, if a gate waits there."""
    state = "approved" if allows(approval.status, approval.decision) else "rejected"
    if gitlab_check.is_asked(approval):
        return (gitlab_check.task(approval, state=state),)
    platform = PLATFORMS.get(approval.subject.source)
    if platform is None or approval.subject.action != DEPLOY:
        return ()
    return (platform.task(approval, state=state, comment=_comment(approval)),)


def _subject(
    event: DeploymentRequested, gate: Gate, catalog: Catalog, authors: Sequence[Account], ships: Told
) -> Subject:
    def text(value: str) -> str:
        return plain(value, characters_max=TEXT_MAX_CHARACTERS)

    creator, actor = text(event.creator), text(event.actor)
    service = catalog.service_of_repository(event.repository)
    roles: list[tuple[Role, str]] = [
        *(("requester", name) for name in dict.fromkeys((creator, actor))),
        ("deployment_creator", creator),
        ("run_actor", actor),
    ]
    return Subject(
        source=event.source,
        action=DEPLOY,
        subject=f"{event.repository} {text(event.ref) or text(event.sha)[:12]} to {event.environment}",
        service=service,
        environment=event.environment,
        repository=event.repository,
        sha=text(event.sha),
        url=text(event.url),
        requested_by=creator or actor,
        involved=(*(Account(role=role, platform=event.source, name=name) for role, name in roles if name), *authors),
        payload={**PLATFORMS[event.source].payload(gate), "deployment_id": text(event.deployment_id)},
        facts=Facts(
            action=DEPLOY,
            service=service,
            environment=event.environment,
            team=catalog.team_of(service),
            repository=event.repository,
            branch=text(event.ref).removeprefix("refs/heads/"),
            author_class=ships.author_class,
            labels=ships.labels,
            labels_vary=ships.labels_vary,
            size=ships.size,
            paths=ships.paths,
        ),
    )


def _external_key(event: DeploymentRequested, gate: Gate) -> str:
    """A re-run makes a new deployment, so it asks again."""
    deployment_id = plain(event.deployment_id, characters_max=TEXT_MAX_CHARACTERS)
    return f"gate:{event.source}:{event.repository}:{gate.run_id}:{event.environment}:{deployment_id}"


SILENT: Mapping[Status, str] = {
    "auto_approved": "approved under this rule, which let it through without asking anybody",
    "expired": "nobody decided in time",
    "cancelled": "taken back",
    "revoked": "approved, and revoked before it was carried out",
}


def _comment(approval: Approval) -> str:
    """The number makes it ours: after an ambiguous answer it is looked for among the answers that are there."""
    head = f"Approval #{approval.id} ({approval.public_id}), rule {approval.requirement.rule}"
    verb = "reject" if approval.status == "rejected" else "approve"
    voices = [
        f"{vote.person} ({vote.reason})" if vote.reason else vote.person for vote in approval.votes if vote.verb == verb
    ]
    by = f"by {', '.join(voices)}" if voices else "without a vote"
    by = f"by {approval.broken_by} alone, who broke the glass" if approval.broken_by else by
    ending = SILENT.get(approval.status, f"{approval.status} {by}")
    return plain(f"{head}: {ending}.", characters_max=COMMENT_MAX_CHARACTERS)
