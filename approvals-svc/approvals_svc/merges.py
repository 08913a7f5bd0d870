"""A merge request that waits for an external status check, as a proposal. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from approvals_svc import gitlab_check
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import Account
from approvals_svc.gate_rules import GateRules, UnsafeReference
from approvals_svc.gates import TEXT_MAX_CHARACTERS, NoProposal
from approvals_svc.model import Proposal, Subject
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from approvals_svc.policy import Facts, Policy, decide_policy
from approvals_svc.shipping import Shipment, told
from shared.catalog import Catalog
from shared.contracts.events import ChangeCheckRequested
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about one commit, by its approval's number; `asked_at` by GitLab's clock."""

    number: int
    sha: str
    status: str
    asked_at: datetime


def check(event: ChangeCheckRequested, rules: GateRules) -> None:
    """Raises NoProposal."""
    if event.origin not in rules.acting_origins:
        raise NoProposal(f"origin {event.origin} does not act")
    try:
        gitlab_check.check(event, rules)
    except UnsafeReference as unsafe:
        raise NoProposal(str(unsafe)) from None


def replaced(event: ChangeCheckRequested, asked: Sequence[Check]) -> int | None:
    """What waits for an older commit; `asked` newest first. Raises NoProposal where a newer one was asked about."""
    others = [each for each in asked if each.sha != event.head_sha]
    if others and others[0].asked_at > event.occurred_at:
        raise NoProposal("a newer commit of it was asked about")
    if any(each.sha == event.head_sha and each.status not in ("pending", "superseded") for each in asked):
        return None  # that is answered, and nothing takes the place of what waits
    return next((each.number for each in others if each.status == "pending"), None)


def propose(
    event: ChangeCheckRequested,
    policy: Policy,
    catalog: Catalog,
    *,
    involved: Sequence[Account],
    shipment: Shipment,
    replaces: int | None,
    version: int,
    now: datetime,
) -> Proposal:
    """Of a check that may be answered. `involved`: who is known to have a part beside who the event names. Raises
    NoProposal."""
    subject = _subject(event, catalog, involved, shipment)
    if not subject.requested_by:
        raise NoProposal("nobody is named as requester, so nobody can be excluded")
    requirement = decide_policy(policy, subject.facts, version=version, now=now)
    key = f"check:{event.source}:{event.repository}:{event.number}:{event.check_id}:{subject.sha}"
    return Proposal(
        external_key=key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=event.origin,
        subject=subject,
        requirement=requirement,
        expires_at=now + timedelta(seconds=requirement.terms.expires_after_s),
        asked_at=event.occurred_at,
        reason=plain(event.title, characters_max=REASON_MAX_CHARACTERS),
        replaces=replaces,
        shipment=shipment,
    )


def _subject(event: ChangeCheckRequested, catalog: Catalog, involved: Sequence[Account], shipment: Shipment) -> Subject:
    def text(value: str) -> str:
        return plain(value, characters_max=TEXT_MAX_CHARACTERS)

    service = catalog.service_of_repository(event.repository)
    names = [name for name in (text(event.author), text(event.actor)) if name]
    requesters = (Account(role="requester", platform=event.source, name=name) for name in names)
    everybody = tuple(dict.fromkeys((*requesters, *involved)))
    ships = told(shipment, catalog)
    return Subject(
        source=event.source,
        action=gitlab_check.MERGE,
        subject=text(f"{event.repository}!{event.number} into {event.base_ref}"),
        service=service,
        environment="",
        repository=event.repository,
        sha=text(event.head_sha),
        url=text(event.url),
        requested_by=next((each.name for each in everybody if each.role == "requester"), ""),
        involved=everybody,
        payload=gitlab_check.payload(event),
        facts=Facts(
            action=gitlab_check.MERGE,
            service=service,
            team=catalog.team_of(service),
            repository=event.repository,
            branch=text(event.base_ref),
            author_class=ships.author_class,
            labels=ships.labels,
            labels_vary=ships.labels_vary,
            size=ships.size,
            paths=ships.paths,
        ),
    )
