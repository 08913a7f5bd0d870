"""GitLab's external status checks as gates of a merge. Pure."""

from approvals_svc.gate_match import names
from approvals_svc.gate_rules import GateRules, UnsafeReference, change_reference
from approvals_svc.gitlab_gate import SOURCE
from approvals_svc.gitlab_url import change_url
from approvals_svc.model import Approval
from approvals_svc.policy import Role
from approvals_svc.tasks import GitlabCheck
from shared.contracts.events import ChangeCheckRequested

MERGE = "merge"
AUTHORS: tuple[Role, ...] = ("requester",)


def check(event: ChangeCheckRequested, rules: GateRules) -> None:
    """Raises UnsafeReference."""
    if event.source != SOURCE:
        raise UnsafeReference(f"checks of {event.source} are not answered")
    if not rules.gitlab_is_answered:
        raise UnsafeReference("checks of gitlab are not answered without GITLAB_TOKEN")
    change_url("", project=event.repository, number=str(event.number))
    if not (event.check_id.isascii() and event.check_id.isdigit()):
        raise UnsafeReference("the check's id is not a number")
    if not event.head_sha or not event.base_ref:
        raise UnsafeReference("no commit or branch is named, so there is nothing to decide about")


def references(event: ChangeCheckRequested) -> tuple[str, ...]:
    """What ends it when it passes."""
    return (change_reference(event.number),)


def is_asked(approval: Approval) -> bool:
    return approval.subject.source == SOURCE and approval.subject.action == MERGE


def payload(event: ChangeCheckRequested) -> dict[str, str]:
    return {"change": str(event.number), "check_id": event.check_id, "base_ref": event.base_ref}


def task(approval: Approval, *, state: str) -> GitlabCheck:
    subject = approval.subject
    return GitlabCheck(
        project=subject.repository,
        number=subject.payload["change"],
        check_id=subject.payload["check_id"],
        base_ref=subject.payload["base_ref"],
        sha=subject.sha,
        state=state,
        accounts=names(subject.involved, AUTHORS),
    )
