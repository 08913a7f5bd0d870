"""What others are told of an approval: the whole of it, each time. Pure."""

from datetime import datetime
from typing import Any, TypeVar

from approvals_svc.actions import in_words, is_ours
from approvals_svc.decision import State
from approvals_svc.eligibility import electorate, slack_users
from approvals_svc.model import Approval
from approvals_svc.policy import Requirement
from approvals_svc.quorum import fewest, listed
from shared.catalog import Catalog
from shared.contracts import events
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

A = TypeVar("A", bound=events.Approval)


def state(approval: Approval, catalog: Catalog) -> State:
    """What the rules look at. Who may decide follows the catalog as it is now."""
    terms = approval.requirement.terms
    return State(
        status=approval.status,
        revision=approval.revision,
        terms=terms,
        expires_at=approval.expires_at,
        votes=approval.votes,
        freezes=approval.requirement.freezes,
        asks_opa=approval.requirement.asks_opa,
        is_escalated=approval.is_escalated,
        is_extended=approval.is_extended,
        electorate=electorate(
            catalog,
            terms,
            approval.subject.involved,
            is_escalated=approval.is_escalated,
            delegations=approval.delegations,
            service=approval.subject.service,
        ),
    )


def groups_in_words(requirement: Requirement) -> str:
    """For cards: who is asked, without how many."""
    return ", ".join(dict.fromkeys(seats.group for seats in listed(requirement.terms.requires) if seats.group))


def snapshot(kind: type[A], approval: Approval, catalog: Catalog, *, now: datetime, **more: Any) -> A:
    """Its id comes from the version, so that a repeated transaction says the same again."""
    subject = approval.subject
    event = kind(
        occurred_at=now,
        approval_id=approval.id,
        revision=approval.revision,
        version=approval.version,
        status=approval.status,
        action=subject.action,
        subject=subject.subject,
        service=subject.service,
        environment=subject.environment,
        repository=subject.repository,
        sha=subject.sha,
        url=subject.url,
        requested_by=subject.requested_by,
        policy=approval.requirement.rule,
        group=groups_in_words(approval.requirement),
        required=fewest(approval.requirement.terms.requires),
        approvers=slack_users(catalog, state(approval, catalog).electorate),
        votes=tuple(
            events.Vote(
                person=vote.person,
                verb=vote.verb,
                reason=vote.reason,
                slack_user=vote.slack_user,
                on_behalf_of=vote.on_behalf_of,
            )
            for vote in approval.votes
        ),
        expires_at=approval.expires_at,
        does=in_words(subject.action, subject.payload) if is_ours(subject) else "",
        reason=approval.reason,
        risk=subject.facts.risk,
        evidence=approval.evidence,
        broken_by=approval.broken_by,
        reason_required=approval.requirement.terms.reason_required,
        **more,
    )
    return event.stamped(
        id=step_of_entity(
            service=APPROVALS_SVC.name,
            entity=f"approval:{approval.public_id}",
            revision=approval.revision,
            step=f"{event.kind}:{approval.version}",
        ),
        source=APPROVALS_SVC.name,
        origin=approval.origin,
        received_at=now,
    )
