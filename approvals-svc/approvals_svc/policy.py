"""What the policy asks of a proposal. Pure: first match wins, an unknown fact never makes it ask for less."""

from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase

import msgspec

DEFAULT_RULE = "default"
DEFAULT_EXPIRY = timedelta(hours=24)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a proposal; empty means unknown."""

    action: str
    environment: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`count` people of `people`. Conditions: empty `action` or `environments` match everything."""

    name: str
    group: str
    people: tuple[str, ...]
    count: int
    expires_after: timedelta = DEFAULT_EXPIRY
    action: str = ""
    environments: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Version 0 without rules is what holds without a file."""

    version: int = 0
    rules: tuple[Rule, ...] = ()


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What must happen for a yes. `people` None: everyone in the catalog. The requester is excluded always."""

    rule: str
    version: int
    count: int
    expires_after_s: int
    group: str = ""
    people: tuple[str, ...] | None = None
    trace: tuple[str, ...] = ()


def decide_policy(policy: Policy, facts: Facts) -> Requirement:
    """The trace tells of every rule looked at whether it matched, and why not."""
    trace: list[str] = []
    for rule in policy.rules:
        obstacle = _obstacle(rule, facts)
        trace.append(f"{rule.name}: {obstacle or 'matched'}")
        if not obstacle:
            return _requirement(rule, policy.version, trace)
    trace.append(f"{DEFAULT_RULE}: one person other than the requester")
    return Requirement(
        rule=DEFAULT_RULE,
        version=policy.version,
        count=1,
        expires_after_s=round(DEFAULT_EXPIRY.total_seconds()),
        trace=tuple(trace),
    )


def _obstacle(rule: Rule, facts: Facts) -> str:
    """Why a rule doesn't match, or nothing. GitHub's environment names don't tell cases apart, so neither do we."""
    if rule.action and facts.action and rule.action != facts.action:
        return f"the action is {facts.action}, not {rule.action}"
    if rule.environments and facts.environment and not _matches(rule.environments, facts.environment):
        return f"the environment {facts.environment} is none of {', '.join(rule.environments)}"
    return ""


def _matches(globs: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text.lower(), glob.lower()) for glob in globs)


def _requirement(rule: Rule, version: int, trace: Sequence[str]) -> Requirement:
    return Requirement(
        rule=rule.name,
        version=version,
        count=rule.count,
        expires_after_s=round(rule.expires_after.total_seconds()),
        group=rule.group,
        people=rule.people,
        trace=tuple(trace),
    )
