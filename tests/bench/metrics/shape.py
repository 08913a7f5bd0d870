"""What some services ship in a stretch of time, as events: branches, reviews, merges, deployments, incidents."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from metrics_svc.facts import Fact
from shared.contracts.events import (
    ChangeMerged,
    ChangeOpened,
    ChangeReviewed,
    CommitsPushed,
    DeploymentFinished,
    DeploymentStarted,
    IncidentOpened,
    IncidentResolved,
)
from shared.contracts.events.code import Commit

SERVICES = 20
# An incident of every other bad deployment is ended by going back to what was live before.
ROLLBACK_EVERY = 2
HOTFIX_EVERY = 37


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A block of a history: the next one has the same, `span` later, under other names."""

    changes: int
    span: timedelta
    changes_per_deployment: int = 5
    deployments_per_incident: int = 10

    def events(self, block: int, start: datetime) -> list[Fact]:
        """Of the block's number, in the order of time. `start` is that of block 0; every name holds the block's."""
        return sorted(_Block(self, block, start + block * self.span).told(), key=lambda event: event.occurred_at)


def service(number: int) -> str:
    return f"service-{number % SERVICES}"


def repository(number: int) -> str:
    return f"acme/{service(number)}"


class _Block:
    def __init__(self, shape: Shape, block: int, start: datetime) -> None:
        self._shape = shape
        self._block = block
        self._start = start
        self._chance = Random(7)  # the same in every block

    def told(self) -> Iterator[Fact]:
        live: dict[int, Sequence[str]] = {}
        step = self._shape.span / self._shape.changes
        for number in range(self._shape.changes):
            merged_at = self._start + number * step
            yield from self._change(number, merged_at)
            shipped = number // SERVICES + 1
            if shipped % self._shape.changes_per_deployment == 0:
                rank = shipped // self._shape.changes_per_deployment
                bad = rank % self._shape.deployments_per_incident == 0
                at = merged_at + timedelta(minutes=9)
                yield from self._deployment(number, "d", self._sha("m", number), at)
                before = live.get(number % SERVICES, ())
                live[number % SERVICES] = (*before[-1:], self._sha("m", number))
                if bad:
                    yield from self._incident(number, at + timedelta(minutes=20))
                if bad and before and rank // self._shape.deployments_per_incident % ROLLBACK_EVERY == 0:
                    yield from self._deployment(number, "r", before[-1], at + timedelta(minutes=40))

    def _change(self, number: int, merged_at: datetime) -> Iterator[Fact]:
        repository_, branch = repository(number), self._branch(number)
        began_at = merged_at - timedelta(hours=self._chance.uniform(1, 60))
        shas = [self._sha("c", number), self._sha("e", number)]
        own = [Commit(sha=sha, authored_at=began_at + timedelta(minutes=n)) for n, sha in enumerate(shas)]
        merge = Commit(sha=self._sha("m", number), authored_at=merged_at)
        fields: dict[str, Any] = {
            "repository": repository_,
            "number": self._block * self._shape.changes + number + 1,
            "title": f"Change what customers see, part {number}",
            "author": f"dev-{number % 50}",
            "base_ref": "main",
            "head_ref": branch,
            "head_sha": shas[-1],
            "opened_at": began_at + timedelta(minutes=10),
            "additions": self._chance.randrange(1, 600),
            "deletions": self._chance.randrange(0, 200),
            "changed_files": 5,
            "url": f"https://github.com/{repository_}/pull/{number}",
        }
        merging: dict[str, Any] = {"state": "merged", "merge_sha": merge.sha, "merged_at": merged_at}
        review: dict[str, Any] = {"review_id": f"r{self._name(number)}", "reviewer": "ana", "review_state": "approved"}
        yield self._push(repository_, branch, began_at + timedelta(minutes=5), own)
        yield _stamped(ChangeOpened(occurred_at=began_at + timedelta(minutes=10), state="open", **fields))
        reviewed_at = began_at + (merged_at - began_at) / 2
        yield _stamped(ChangeReviewed(occurred_at=reviewed_at, state="open", **review, **fields))
        yield _stamped(ChangeMerged(occurred_at=merged_at, **{**fields, **merging}))
        yield self._push(repository_, "main", merged_at, [*own, merge])

    def _push(self, repository_: str, branch: str, at: datetime, commits: Sequence[Commit]) -> Fact:
        pushed: Fact = _stamped(
            CommitsPushed(
                occurred_at=at,
                repository=repository_,
                ref=f"refs/heads/{branch}",
                branch=branch,
                before="0" * 40,
                after=commits[-1].sha,
                default_branch="main",
                commits=tuple(commits),
            )
        )
        return pushed

    def _deployment(self, number: int, what: str, sha: str, at: datetime) -> Iterator[Fact]:
        fields: dict[str, Any] = {
            "repository": repository(number),
            "deployment_id": f"{what}{self._name(number)}",
            "environment": "production",
            "sha": sha,
            "ref": "main",
            "creator": f"dev-{number % 50}",
        }
        yield _stamped(DeploymentStarted(occurred_at=at - timedelta(minutes=6), **fields))
        yield _stamped(DeploymentFinished(occurred_at=at, outcome="succeeded", **fields))

    def _incident(self, number: int, at: datetime) -> Iterator[Fact]:
        took = timedelta(minutes=self._chance.uniform(10, 240))
        fields: dict[str, Any] = {
            "incident_id": f"Q{self._name(number)}",
            "title": "Checkout is slow",
            "service_id": f"P{number % SERVICES}",
            "service_name": service(number),
        }
        yield _stamped(IncidentOpened(occurred_at=at, status="triggered", **fields), "pagerduty")
        yield _stamped(IncidentResolved(occurred_at=at + took, status="resolved", **fields), "pagerduty")

    def _name(self, number: int) -> str:
        return f"{number}{_suffix(self._block)}"

    def _branch(self, number: int) -> str:
        kind = "hotfix" if number % HOTFIX_EVERY == 0 else "feature"
        return f"{kind}/part-{number}{_suffix(self._block)}"

    def _sha(self, what: str, number: int) -> str:
        digest = hashlib.sha256(f"{what}{number}".encode()).hexdigest()
        return f"{self._block:04x}{digest[:36]}"


def _suffix(block: int) -> str:
    return f"-{block}" if block else ""


def _stamped(event: Any, source: str = "github") -> Any:
    digest = hashlib.sha256(msgspec.json.encode(event)).hexdigest()
    delivery = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    return event.stamped(id=digest, source=source, delivery=delivery, origin="live", received_at=event.occurred_at)
