"""The nearest past decisions and how they went. Pure. Advice only: a precedent never votes."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from approvals_svc.decision import Verb
from approvals_svc.document import Document
from approvals_svc.model import Approval
from approvals_svc.snapshot import groups_in_words
from shared.contracts.events import Precedent

SIMILARITY_MIN = 0.38  # what fewer than 1 % of random pairs reach
SHOWN = 5
LOOKED_AT = 20
REASONS_MAX = 3
Z_95 = 1.959964

Outcome = Literal["healthy", "incident", "rolled_back", "hotfixed", "failed", "not_shipped", "unknown"]
GOOD: tuple[Outcome, ...] = ("healthy",)
BAD: tuple[Outcome, ...] = ("incident", "rolled_back", "hotfixed", "failed")
SHIPPED = ("approved", "auto_approved")
VERBS_OF: Mapping[str, Verb] = {"approved": "approve", "rejected": "reject"}


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What came after a decision, as far as it was known: its deployment, those that followed it in the same place,
    and incidents of the service that opened within the window, each with its recovery."""

    deployment: Mapping[str, Any] | None = None
    following: Sequence[Mapping[str, Any]] = ()
    before: str = ""
    incidents: Sequence[Mapping[str, Any]] = ()


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Outcome
    recovery_s: int | None = None
    because: tuple[str, ...] = ()


def ending(decision: str, after: Aftermath, *, window: timedelta, as_of: datetime) -> Ending:
    """Unknown until the window after the deployment closed, but what is bad is known at once."""
    if decision not in SHIPPED:
        return Ending(outcome="not_shipped")
    deployment = after.deployment
    if deployment is None or deployment["outcome"] == "cancelled":
        return Ending(outcome="unknown")
    named = f"deployment {deployment['deployment_id']}"
    if deployment["outcome"] == "failed":
        return Ending(outcome="failed", because=(named,))
    until = deployment["finished_at"] + window
    caused = [each for each in after.incidents if _is_caused(each, deployment, after.following)]
    undone = next((each for each in after.following if _is_back(each, after.before)), None)
    fixed = next((each for each in after.following if "hotfix" in each["ref"].lower()), None)
    because = (*(f"deployment {each['deployment_id']}" for each in (undone or fixed,) if each), *map(_named, caused))
    outcome: Outcome = "healthy" if as_of >= until else "unknown"
    if undone:
        outcome = "rolled_back"
    elif caused:
        outcome = "incident"
    elif fixed:
        outcome = "hotfixed"
    return Ending(outcome=outcome, recovery_s=_recovery_s(caused), because=because or (named,))


def precedent(approval: Approval, fields: Document, asked: Document, *, nearness: float, how: Ending) -> Precedent:
    decided_at = approval.decided_at or approval.created_at
    verb = VERBS_OF.get(approval.decision)
    reasons = [vote.reason for vote in approval.votes if vote.verb == verb and vote.reason]
    return Precedent(
        approval_id=approval.id,
        subject=fields.title,
        similarity=round(nearness, 3),
        decision=approval.decision,
        decided_at=decided_at,
        decided_after_s=round((decided_at - approval.created_at).total_seconds()),
        outcome=how.outcome,
        recovery_s=how.recovery_s,
        because=how.because,
        shared=shared_facts(fields, asked),
        group=groups_in_words(approval.requirement),
        reasons=tuple(reasons[:REASONS_MAX]),
        url=approval.subject.url,
    )


def shared_facts(one: Document, other: Document) -> tuple[str, ...]:
    """What both are: `service checkout`, `path src/charge`."""
    theirs = set(other.facts)
    kept = [fact for fact in one.facts if fact in theirs and fact[0] in ("service", "label", "path", "author_class")]
    return tuple(f"{name.replace('_', ' ')} {value}" for name, value in kept)


def note(comparable: int) -> str:
    """Why none are shown; nothing where they are."""
    if comparable >= SHOWN:
        return ""
    found = "no comparable decision was" if not comparable else f"only {comparable} comparable were"
    return f"{found} made before, too few to learn from"


def summary(precedents: Sequence[Precedent]) -> dict[str, Any]:
    """How those went whose end is known; a rate only of five or more, with its 95 % interval (Wilson)."""
    counts = {outcome: sum(each.outcome == outcome for each in precedents) for outcome in (*GOOD, *BAD, "not_shipped")}
    known = sum(counts[outcome] for outcome in (*GOOD, *BAD))
    told: dict[str, Any] = {"n": len(precedents), "known": known, **{k: v for k, v in counts.items() if v}}
    if known >= SHOWN:
        good = sum(counts[outcome] for outcome in GOOD)
        told |= {"healthy_rate": round(good / known, 3), "interval": wilson(good, known)}
    return told


def wilson(hits: int, n: int) -> tuple[float, float]:
    share, z = hits / n, Z_95
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (round(max(0.0, middle - half), 3), round(min(1.0, middle + half), 3))


def _is_caused(
    incident: Mapping[str, Any], deployment: Mapping[str, Any], following: Sequence[Mapping[str, Any]]
) -> bool:
    """By what its sender says, else by time: no other deployment lay between."""
    if named := incident["caused_by"]:
        return named == deployment["deployment_id"] or (len(named) >= 7 and deployment["sha"].startswith(named.lower()))
    return not any(each["finished_at"] <= incident["opened_at"] for each in following)


def _is_back(following: Mapping[str, Any], before: str) -> bool:
    return bool(following["rollback"] or (before and following["sha"] == before))


def _recovery_s(incidents: Sequence[Mapping[str, Any]]) -> int | None:
    """The longest, once all of them are over."""
    spans = [(each["recovered_at"] - each["opened_at"]).total_seconds() for each in incidents if each["recovered_at"]]
    return round(max(spans)) if spans and len(spans) == len(incidents) else None


def _named(incident: Mapping[str, Any]) -> str:
    return f"incident {incident['incident_id']}"
