"""Whose a Slack account is that the catalog doesn't know: its owner asks, and people confirm it. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from approvals_svc.decision import allows
from approvals_svc.edits import content_hash
from approvals_svc.eligibility import CATALOG, Account
from approvals_svc.model import Approval, Proposal, Subject
from approvals_svc.policy import Facts, Policy, decide_policy
from approvals_svc.tasks import LinkAccount, Task
from shared.catalog import Catalog, Person
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

SOURCE = "slack_link"  # no other door proposes under it
ACTION = "identity_link"
NO_RULE = f"no rule of the policy says who confirms it: one that names the action {ACTION} and asks people is needed"


class NotPossible(ValueError):
    """The text says why."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """`account`: of Slack; `approval`: the number of the one that confirmed it."""

    team: str
    account: str
    person: str
    approval: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an account of a workspace, as Slack's signature proves. `login` is its name there; `name` who they say
    they are: a person of the catalog, by any of their names."""

    team: str
    account: str
    login: str
    name: str


def claimed(claim: Claim, catalog: Catalog) -> Person:
    """Raises NotPossible."""
    found = catalog.people_called(claim.name)
    if len(found) != 1:
        raise NotPossible(f"{'several people are' if found else 'nobody in the catalog is'} called {claim.name}")
    return found[0]


def propose(
    claim: Claim, policy: Policy, catalog: Catalog, *, nth: int, version: int, now: datetime, origin: str
) -> Proposal:
    """`nth`: how many of the account's were decided before. Whoever they say they are has no vote about it. Raises
    NotPossible: unless a rule means just this, nobody is asked, and no rule lets it through without people.
    """
    person = claimed(claim, catalog)
    facts = Facts(action=ACTION)
    meant = tuple(rule for rule in policy.rules if rule.conditions.action)
    named = msgspec.structs.replace(policy, rules=meant, default=None)
    requirement = decide_policy(named, facts, version=version, now=now)
    if requirement.outcome != "require" or requirement.asks_opa:
        raise NotPossible(NO_RULE)
    subject = Subject(
        source=SOURCE,
        action=ACTION,
        subject=f"Slack account {claim.account} ({claim.login or 'no name'}) is {person.name}",
        service="",
        environment="",
        repository="",
        sha="",
        url="",
        requested_by=claim.account,
        involved=(Account(role="requester", platform=CATALOG, name=person.name),),
        payload={"team": claim.team, "account": claim.account, "person": person.name},
        facts=facts,
    )
    key = f"{SOURCE}:{claim.team}:{claim.account}:{nth}"
    return Proposal(
        external_key=key,
        public_id=step_of_entity(service=APPROVALS_SVC.name, entity=key, revision=0, step="public_id"),
        content_hash=content_hash(subject),
        origin=origin,
        subject=subject,
        requirement=requirement,
        expires_at=now + timedelta(seconds=requirement.terms.expires_after_s),
    )


def carry_out(approval: Approval) -> tuple[Task, ...]:
    if approval.subject.source != SOURCE or not allows(approval.status, approval.decision):
        return ()
    return (LinkAccount(**approval.subject.payload, approval=approval.id),)


def within(catalog: Catalog, links: Iterable[Link]) -> Catalog:
    """With these accounts. What the catalog says of an account stands, and whoever left it has none."""
    added: dict[str, list[str]] = {}
    for link in links:
        if catalog.person("slack", link.account) is None:
            added.setdefault(link.person, []).append(link.account)
    people = (
        msgspec.structs.replace(each, slack=(*each.slack, *added[each.name])) if each.name in added else each
        for each in catalog.people
    )
    return msgspec.structs.replace(catalog, people=tuple(people))


def in_words(links: Sequence[Link]) -> list[dict[str, object]]:
    return [msgspec.to_builtins(link) for link in links]
