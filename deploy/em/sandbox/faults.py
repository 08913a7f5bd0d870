"""The fault plan: which request is limited, failed, hung or cut, and how often each rule bit."""

import random
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Service = Literal["slack", "github", "gitlab"]
Kind = Literal["rate_limited", "server_error", "timeout", "drop_before", "drop_after", "late"]


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault; without nth, every and probability it bites each matching request.

    `method` is a glob: a Slack method ("chat.*") or a verb and path ("POST /repos/*/approvals").
    `retry_after` goes out as it is (garbage allowed); null sends no header. `status` may be 200: an HTML 200.
    """

    service: Service
    kind: Kind
    method: str = "*"
    channel: str | None = None
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    bites_max: int | None = None
    status: int = 503
    retry_after: str | None = "1"
    after_s: float = 1.0
    seen: int = 0
    bites: int = 0

    def __post_init__(self) -> None:
        if sum(choice is not None for choice in (self.nth, self.every, self.probability)) > 1:
            raise ValueError("give one of nth, every and probability")
        if (self.every is not None and self.every < 1) or (self.nth is not None and self.nth < 1):
            raise ValueError("nth and every count from 1")

    def matches(self, service: Service, method: str, channel_names: frozenset[str]) -> bool:
        if self.service != service or not fnmatchcase(method, self.method):
            return False
        return self.channel is None or self.channel in channel_names


class FaultPlan:
    """Rules in order; the first that bites decides, all matching ones count the request as seen."""

    def __init__(self) -> None:
        self._planned: list[tuple[Rule, random.Random]] = []

    @property
    def rules(self) -> list[Rule]:
        return [rule for rule, _ in self._planned]

    def add(self, rules: Iterable[Rule]) -> None:
        self._planned += [(rule, random.Random(rule.seed)) for rule in rules]

    def clear(self) -> None:
        self._planned.clear()

    def never_bit(self) -> list[Rule]:
        """A fault that never bit makes the test void, not passed."""
        return [rule for rule in self.rules if rule.bites == 0]

    def bite(self, service: Service, method: str, channel_names: frozenset[str]) -> Rule | None:
        matching = [pair for pair in self._planned if pair[0].matches(service, method, channel_names)]
        due = [rule for rule, dice in matching if _is_due(rule, dice)]
        if not due:
            return None
        due[0].bites += 1
        return due[0]


def _is_due(rule: Rule, dice: random.Random) -> bool:
    rule.seen += 1
    if rule.bites_max is not None and rule.bites >= rule.bites_max:
        return False
    if rule.nth is not None:
        return rule.seen == rule.nth
    if rule.every is not None:
        return rule.seen % rule.every == 0
    return rule.probability is None or dice.random() < rule.probability
