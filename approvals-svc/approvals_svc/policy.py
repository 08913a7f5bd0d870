"""What the policy asks of a proposal. Pure: first match wins, an unknown fact never makes a rule ask for less."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import msgspec

from approvals_svc.freeze import Freeze, frozen_until
from approvals_svc.quorum import Requires, Seats, in_words
from shared.catalog.globs import is_any, is_any_path

Outcome = Literal["require", "auto", "deny"]
OnExpire = Literal["reject", "escalate", "approve"]
Role = Literal["requester", "deployment_creator", "run_actor", "commit_authors"]
ROLES: tuple[Role, ...] = get_args(Role)

DEFAULT_RULE = "default"
DEFAULT_EXPIRY = timedelta(hours=24)


class UnsafePath(ValueError):
    """A path that does not lead down from the repository's root can't be compared with globs."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a proposal; "" and None mean unknown. `size` is lines changed, `branch` without refs/heads/.

    `labels` are those of any change that ships; with `labels_vary` not all of them have each.
    """

    action: str
    service: str = ""
    environment: str = ""
    team: str = ""
    repository: str = ""
    branch: str = ""
    risk: str = ""
    author_class: str = ""  # human, bot, ai_agent
    labels: tuple[str, ...] | None = None
    labels_vary: bool = False
    size: int | None = None
    paths: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for path in self.paths or ():
            if {"", ".", ".."} & set(path.split("/")):
                raise UnsafePath(f"{path!r} is no path from the repository's root")


class Size(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    min: int = 0
    max: int | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """All of those that are set have to hold."""

    action: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    repository: tuple[str, ...] = ()
    branch: tuple[str, ...] = ()
    risk: tuple[str, ...] = ()
    author_class: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    size: Size | None = None
    paths: tuple[str, ...] = ()
    paths_only: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(name for name in self.__struct_fields__ if getattr(self, name))


# What the requester may write as they like: never enough for an exception (approvals.md, section 3).
CLAIMS = frozenset({"branch", "labels", "risk"})
EVERY_CLAIM = frozenset(Conditions.__struct_fields__)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Who has to agree, by when, and what time does meanwhile; `remind_at`, `escalate_at`: parts of the time."""

    requires: Requires = Seats()
    distinct_groups: bool = False
    separation: tuple[Role, ...] = ROLES
    rejects: int = 1
    reason_required: bool = False
    expires_after_s: int = round(DEFAULT_EXPIRY.total_seconds())
    on_expire: OnExpire = "reject"
    remind_at: float | None = None
    escalate_at: float | None = None
    escalate_to: Seats | None = None


class GuardedFreeze(msgspec.Struct, frozen=True, kw_only=True):
    freeze: Freeze
    exceptions: tuple[Conditions, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`opa`: what it asks people for, OPA may let through without them."""

    name: str
    outcome: Outcome
    conditions: Conditions = Conditions()
    terms: Terms = Terms()
    freezes: tuple[GuardedFreeze, ...] = ()
    opa: bool = False


class SignalRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is proposed when a signal is raised: not again of the same for `cooldown_s`. `payload`: what the signal
    itself doesn't know."""

    action: str
    cooldown_s: int
    payload: Mapping[str, str] = {}


class Emergency(msgspec.Struct, frozen=True, kw_only=True):
    """Who may let something through alone, who looks at it afterwards, and within how long."""

    breakers: Seats
    reviewers: Seats
    review_within_s: int


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """`default`: the terms where no rule matches; None denies. Without rules it is what holds without a file."""

    rules: tuple[Rule, ...] = ()
    default: Terms | None = Terms()
    groups: Mapping[str, Seats] = {}
    signals: Mapping[str, SignalRule] = {}
    emergency: Emergency | None = None  # None: nobody breaks the glass


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What must happen for a yes, as it was when it was asked: later versions of the policy don't change it.

    `asks_opa`: its yes is enough, everything else leaves the decision to people.
    """

    rule: str
    version: int
    outcome: Outcome = "require"
    terms: Terms = Terms()
    freezes: tuple[Freeze, ...] = ()
    trace: tuple[str, ...] = ()
    asks_opa: bool = False


def decide_policy(
    policy: Policy, facts: Facts, *, version: int, now: datetime, claims: frozenset[str] = CLAIMS
) -> Requirement:
    """The trace tells of every rule looked at whether it matched, and why not. `claims`: facts that nothing but the
    requester's word stands for."""
    trace: list[str] = []
    for rule in policy.rules:
        freezes = tuple(each.freeze for each in rule.freezes if not _is_excepted(each, facts))
        alone = _against_an_exception(rule.conditions, facts, freezes, claims, now)
        why_not = alone if rule.outcome == "auto" else obstacle(rule.conditions, facts, unknown_holds=True)
        trace.append(f"{rule.name}: {why_not or 'matched'}")
        if not why_not:
            if rule.opa:
                trace.append(f"OPA: {f'not asked, {alone}' if alone else 'asked'}")
            return Requirement(
                asks_opa=rule.opa and not alone,
                rule=rule.name,
                version=version,
                outcome=rule.outcome,
                terms=rule.terms,
                freezes=freezes,
                trace=tuple(trace),
            )
    terms = policy.default
    trace.append(f"{DEFAULT_RULE}: {in_words(terms.requires) if terms else 'denied, for no rule matched'}")
    return Requirement(
        rule=DEFAULT_RULE,
        version=version,
        outcome="require" if terms else "deny",
        terms=terms or Terms(),
        trace=tuple(trace),
    )


def _against_an_exception(
    conditions: Conditions, facts: Facts, freezes: Sequence[Freeze], claims: frozenset[str], now: datetime
) -> str:
    """Why nothing may be let through without people, or nothing."""
    if why_not := obstacle(conditions, facts, unknown_holds=False):
        return why_not
    if frozen := frozen_until(freezes, now):
        return f"frozen by {frozen[0]} until {frozen[1]:%Y-%m-%d %H:%M} UTC"
    if claims.issuperset(conditions.named):
        return "nothing that it asks is known but by the requester's word"
    return ""


def obstacle(conditions: Conditions, facts: Facts, *, unknown_holds: bool) -> str:
    """Why the conditions don't hold, or nothing. `unknown_holds`: what a condition on an unknown fact counts as."""
    for name in conditions.named:
        wanted, fact, holds = getattr(conditions, name), getattr(facts, FACT_OF.get(name, name)), TESTS.get(name, _is)
        if fact is None or fact == "":
            if not unknown_holds:
                return f"{_shown(name)} is not known"
        elif name == "labels" and facts.labels_vary and not unknown_holds:
            return "not all that ships has the same labels"
        elif not holds(wanted, fact):
            return f"{_shown(name)} {_in_words(fact)} is not {_wanted(wanted)}"
    return ""


def _is_excepted(guarded: GuardedFreeze, facts: Facts) -> bool:
    return any(not obstacle(each, facts, unknown_holds=False) for each in guarded.exceptions)


def _is(globs: Sequence[str], fact: str) -> bool:
    return is_any(globs, fact)


def _is_one(globs: Sequence[str], facts: Sequence[str]) -> bool:
    return any(is_any(globs, fact) for fact in facts)


def _is_within(size: Size, fact: int) -> bool:
    return size.min <= fact and (size.max is None or fact <= size.max)


def _touches(globs: Sequence[str], paths: Sequence[str]) -> bool:
    return any(is_any_path(globs, path) for path in paths)


def _touches_only(globs: Sequence[str], paths: Sequence[str]) -> bool:
    return bool(paths) and all(is_any_path(globs, path) for path in paths)


FACT_OF = {"paths_only": "paths"}
TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "labels": _is_one,
    "size": _is_within,
    "paths": _touches,
    "paths_only": _touches_only,
}
SHOWN_MAX = 3


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _in_words(fact: object) -> str:
    if not isinstance(fact, tuple):
        return str(fact)
    more = f" and {len(fact) - SHOWN_MAX} more" if len(fact) > SHOWN_MAX else ""
    return (", ".join(fact[:SHOWN_MAX]) or "none") + more


def _wanted(wanted: Size | Sequence[str]) -> str:
    if isinstance(wanted, Size):
        return f"{wanted.min} to {wanted.max}" if wanted.max is not None else f"{wanted.min} or more"
    return wanted[0] if len(wanted) == 1 else f"one of {', '.join(wanted)}"
