"""GitHub's deployment protection rules as gates. Pure."""

from approvals_svc.callback_url import NUMBER, check_callback, rule_url
from approvals_svc.gate_match import CREATORS, STARTERS, Bound, names
from approvals_svc.gate_rules import GateRules, UnsafeReference, check_environment
from approvals_svc.markdown import clip, literal
from approvals_svc.model import Approval
from approvals_svc.tasks import GithubGate
from shared.contracts.events import DeploymentRequested, Gate

SOURCE = "github"
COMMENT_MAX_CHARACTERS = 1024


def check(event: DeploymentRequested, gate: Gate, rules: GateRules) -> None:
    """Raises UnsafeReference."""
    rule_url(rules.github_api_url, repository=event.repository, run_id=gate.run_id)
    if gate.callback_url:
        check_callback(gate.callback_url, api_url=rules.github_api_url, repository=event.repository, run_id=gate.run_id)
    if not NUMBER.fullmatch(gate.installation_id):
        raise UnsafeReference("without an installation of the App there is no way to answer")
    if rules.github_installations and gate.installation_id not in rules.github_installations:
        raise UnsafeReference("GITHUB_INSTALLATIONS does not name this installation of the App")
    check_environment(event.environment)


def payload(gate: Gate) -> dict[str, str]:
    return {"run_id": gate.run_id, "installation_id": gate.installation_id}


def task(approval: Approval, *, state: str, comment: str) -> GithubGate:
    subject = approval.subject
    return GithubGate(
        repository=subject.repository,
        run_id=subject.payload["run_id"],
        environment=subject.environment,
        installation_id=subject.payload["installation_id"],
        state=state,
        asked_at=approval.created_at,
        comment=clip(literal(comment), characters_max=COMMENT_MAX_CHARACTERS),
        bound=Bound(
            deployment_id=subject.payload.get("deployment_id", ""),
            sha=subject.sha,
            creators=names(subject.involved, CREATORS),
            starters=names(subject.involved, STARTERS),
        ),
    )
