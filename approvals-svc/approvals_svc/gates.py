"""A GitHub deployment protection rule as a proposal, or why none is made of it. Pure."""

import hashlib
from datetime import datetime, timedelta

import msgspec

from approvals_svc.audit import canonical
from approvals_svc.callback_url import NUMBER, UnsafeReference, check_callback, rule_url
from approvals_svc.model import Approval, GateAnswer, Proposal, Subject
from approvals_svc.plain import plain
from approvals_svc.policy import Facts, Policy, decide_policy
from shared.catalog import Catalog
from shared.contracts.events import DeploymentRequested, Gate
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

DEPLOY = "deploy"
SOURCE = "github"
ENVIRONMENT_MAX_CHARACTERS = 255  # GitHub's own limit
TEXT_MAX_CHARACTERS = 255
COMMENT_MAX_CHARACTERS = 1024


class NoProposal(ValueError):
    """The gate stays shut and nobody is asked; the text says why."""


class GateRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a proposal is made with."""

    policy: Policy
    github_api_url: str
    acting_origins: frozenset[str]


def propose(event: DeploymentRequested, gate: Gate, rules: GateRules, catalog: Catalog, *, now: datetime) -> Proposal:
    """Raises NoProposal: for what must not act any more (law 9), and for what can't be answered safely."""
    if event.origin not in rules.acting_origins:
        raise NoProposal(f"origin {event.origin} does not act")
    _check_reference(event, gate, rules.github_api_url)
    subject = _subject(event, gate, catalog)
    if not subject.requesters:
        raise NoProposal("nobody is named as requester, so nobody can be excluded")
    requirement = decide_policy(rules.policy, Facts(action=DEPLOY, environment=subject.environment))
    expires_at = min(event.occurred_at, now) + timedelta(seconds=requirement.expires_after_s)
    if expires_at <= now:
        raise NoProposal("its deadline passed before it reached us")
    external_key = _external_key(event, gate)
    return Proposal(
        external_key=external_key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=external_key, revision=0, step="public_id"),
        content_hash=hashlib.sha256(canonical(msgspec.to_builtins(subject))).hexdigest(),
        origin=event.origin,
        subject=subject,
        requirement=requirement,
        expires_at=expires_at,
    )


def answer(approval: Approval, *, decision: str) -> GateAnswer:
    """What GitHub is told of a decision: only `approved` opens the gate."""
    payload = approval.subject.payload
    return GateAnswer(
        repository=approval.subject.repository,
        run_id=payload["run_id"],
        environment=approval.subject.environment,
        installation_id=payload["installation_id"],
        state="approved" if decision == "approved" else "rejected",
        comment=_comment(approval, decision),
    )


def _check_reference(event: DeploymentRequested, gate: Gate, api_url: str) -> None:
    if event.source != SOURCE:
        raise NoProposal(f"gates of {event.source} are not answered")
    try:
        rule_url(api_url, repository=event.repository, run_id=gate.run_id)
        if gate.callback_url:
            check_callback(gate.callback_url, api_url=api_url, repository=event.repository, run_id=gate.run_id)
    except UnsafeReference as unsafe:
        raise NoProposal(str(unsafe)) from None
    if not NUMBER.fullmatch(gate.installation_id):
        raise NoProposal("without an installation of the App there is no way to answer")
    if not 0 < len(event.environment) <= ENVIRONMENT_MAX_CHARACTERS or not event.environment.isprintable():
        raise NoProposal("the environment's name can't be one of GitHub's")


def _subject(event: DeploymentRequested, gate: Gate, catalog: Catalog) -> Subject:
    def text(value: str) -> str:
        return plain(value, characters_max=TEXT_MAX_CHARACTERS)

    requesters = tuple(dict.fromkeys(filter(None, (text(event.creator), text(event.actor)))))
    service = catalog.service_of_repository(event.repository)
    return Subject(
        source=SOURCE,
        action=DEPLOY,
        subject=f"{event.repository} {text(event.ref) or text(event.sha)[:12]} to {event.environment}",
        service=service,
        environment=event.environment,
        repository=event.repository,
        sha=text(event.sha),
        url=text(event.url),
        requested_by=requesters[0] if requesters else "",
        requesters=requesters,
        payload={
            "run_id": gate.run_id,
            "deployment_id": text(event.deployment_id),
            "installation_id": gate.installation_id,
        },
    )


def _external_key(event: DeploymentRequested, gate: Gate) -> str:
    """A re-run makes a new deployment, so it asks again."""
    deployment_id = plain(event.deployment_id, characters_max=TEXT_MAX_CHARACTERS)
    return f"gate:{SOURCE}:{event.repository}:{gate.run_id}:{event.environment}:{deployment_id}"


def _comment(approval: Approval, decision: str) -> str:
    """The number makes it ours: after an ambiguous answer it is looked for among the run's reviews."""
    head = f"Approval #{approval.id} ({approval.public_id}), rule {approval.requirement.rule}"
    if decision == "expired":
        return f"{head}: nobody decided in time."
    verb = "approve" if decision == "approved" else "reject"
    voices = [
        f"{vote.person} ({vote.reason})" if vote.reason else vote.person for vote in approval.votes if vote.verb == verb
    ]
    return plain(f"{head}: {decision} by {', '.join(voices)}.", characters_max=COMMENT_MAX_CHARACTERS)
