"""GitLab's deployment approvals as gates. Pure."""

from approvals_svc.gate_match import STARTERS, names
from approvals_svc.gate_rules import GateRules, UnsafeReference, check_environment
from approvals_svc.gitlab_url import deployment_url
from approvals_svc.model import Approval
from approvals_svc.tasks import GitlabGate
from shared.contracts.events import DeploymentRequested, Gate

SOURCE = "gitlab"


def check(event: DeploymentRequested, gate: Gate, rules: GateRules) -> None:
    """Raises UnsafeReference."""
    if not rules.gitlab_is_answered:
        raise UnsafeReference("gates of gitlab are not answered without GITLAB_TOKEN")
    deployment_url("", project=event.repository, deployment_id=event.deployment_id)
    check_environment(event.environment)


def payload(gate: Gate) -> dict[str, str]:
    return {"run_id": gate.run_id}


def task(approval: Approval, *, state: str, comment: str) -> GitlabGate:
    return GitlabGate(
        project=approval.subject.repository,
        deployment_id=approval.subject.payload["deployment_id"],
        environment=approval.subject.environment,
        sha=approval.subject.sha,
        state=state,
        comment=comment,
        accounts=names(approval.subject.involved, STARTERS),
    )
