"""What happens in the story, before anybody is told: commits, changes, deployments, incidents, gates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from em.demo.cast import Person, Platform, Service

DeploymentKind = Literal["normal", "rollback", "revert", "hotfix", "redeploy", "attempt", "waiting", "staging"]
ReviewState = Literal["approved", "changes_requested", "commented"]
Trigger = Literal["push", "pull_request"]
BuildStep = Literal["requested", "in_progress", "completed"]
Conclusion = Literal["success", "failure"]
Source = Literal["github", "pagerduty", "slack", "argocd", "heroku", "report"]
Expectation = Literal["events", "ignored", "handshake"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    sha: str
    tree: str
    author: Person
    authored_at: datetime
    message: str
    files: tuple[str, ...]
    by_platform: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """``before`` or ``after`` of forty zeros: the ref is created or deleted by this push."""

    ref: str
    at: datetime
    before: str
    after: str
    commits: tuple[Commit, ...]
    pusher: Person
    forced: bool = False

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    at: datetime
    by: Person
    state: ReviewState
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comment:
    at: datetime
    by: Person
    words: str


@dataclass(kw_only=True, slots=True)
class Change:
    """A pull request from first commit to end; ``number`` is given when the repository is complete. ``nobodys``: it
    touches no service's folder."""

    repository: str
    title: str
    branch: str
    author: Person
    opened_at: datetime
    pushes: list[Push]
    base_sha: str = ""
    number: int = 0
    ready_at: datetime | None = None
    reviewers: tuple[Person, ...] = ()
    requested_at: datetime | None = None
    labels: tuple[str, ...] = ()
    labelled_at: datetime | None = None
    reviews: list[Review] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    merged_at: datetime | None = None
    merged_by: Person | None = None
    merge_sha: str | None = None
    closed_at: datetime | None = None
    branch_deleted_at: datetime | None = None
    clock_wrong: bool = False
    nobodys: bool = False

    @property
    def commits(self) -> list[Commit]:
        return [commit for push in self.pushes for commit in push.commits]

    @property
    def head(self) -> list[Commit]:
        """What the branch holds at the end: a forced push takes back what was there."""
        forced = max((n for n, push in enumerate(self.pushes) if push.forced), default=0)
        return [commit for push in self.pushes[forced:] for commit in push.commits]

    @property
    def first_commit_at(self) -> datetime:
        return min(commit.authored_at for commit in self.commits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """Argo CD brings one application to a revision of the configuration."""

    environment: str
    revision: str
    started_at: datetime
    finished_at: datetime
    succeeded: bool = True


@dataclass(kw_only=True, slots=True)
class Deployment:
    """One release of a sha; ``ships`` and ``failed`` are decided here, by the story, never derived later.

    ``revisions`` are commits of other repositories that it brought, ``listed`` changes that it names. ``told_by``
    another platform than deploys the service otherwise.
    """

    service: Service
    environment: str
    kind: DeploymentKind
    sha: str
    creator: Person
    created_at: datetime
    statuses: list[tuple[datetime, str]]
    finished_at: datetime | None = None
    id: int = 0
    run_id: int = 0
    seed: bool = False
    ships: tuple[Change, ...] = ()
    failed: bool = False
    failure: str = ""
    recovered_at: datetime | None = None
    gate_asked_at: datetime | None = None
    ref: str = "main"
    description: str = ""
    long_gap: bool = False
    syncs: list[Sync] = field(default_factory=list)
    told_twice: bool = False
    told_by: Platform | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    listed: tuple[Change, ...] = ()

    @property
    def reporter(self) -> Platform:
        return self.told_by or self.service.platform

    @property
    def ended_at(self) -> datetime:
        """When it succeeded, or when the last thing was said about it."""
        return self.finished_at or self.statuses[-1][0]

    @property
    def leads(self) -> list[Change]:
        """The changes that it gives a lead time."""
        return [] if self.seed or self.long_gap else [change for change in self.ships if not change.clock_wrong]

    def lead_time_s(self, change: Change) -> float:
        return (self.ended_at - change.first_commit_at).total_seconds()


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentStep:
    at: datetime
    event: Literal["triggered", "acknowledged", "resolved", "reopened", "annotated", "escalated", "priority_updated"]
    by: Person | None
    note: str = ""


@dataclass(kw_only=True, slots=True)
class Incident:
    """``cause`` is the deployment that broke the service, or nothing when none did. ``traced``: a note names it;
    ``named``: who reports the incident does."""

    id: str
    service: Service
    title: str
    steps: tuple[IncidentStep, ...]
    cause: Deployment | None
    number: int = 0
    traced: bool = False
    named: bool = False

    @property
    def opened_at(self) -> datetime:
        return self.steps[0].at


@dataclass(frozen=True, kw_only=True, slots=True)
class Click:
    by: Person
    answer: Literal["approve", "decline"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """A waiting production deployment and the clicks it will get; ``outcome`` is what they must lead to."""

    deployment: Deployment
    asked_at: datetime
    clicks: tuple[Click, ...]
    outcome: Literal["approved", "rejected", "pending"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingRun:
    """A run of a CI that asks before it deploys where no platform waits; ``goes_on`` is what its step must do."""

    service: Service
    sha: str
    by: Person
    clicks: tuple[Click, ...]
    goes_on: bool


@dataclass(kw_only=True, slots=True)
class Build:
    """One attempt of a workflow run."""

    attempt: int
    name: str
    trigger: Trigger
    branch: str
    sha: str
    actor: Person
    steps: tuple[tuple[datetime, BuildStep], ...]
    conclusion: Conclusion
    title: str
    commit: Commit
    id: int = 0
    number: int = 0


@dataclass(kw_only=True, slots=True)
class Ticket:
    title: str
    author: Person
    opened_at: datetime
    label: str
    labelled_at: datetime | None
    closed_at: datetime | None
    number: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    tag: str
    sha: str
    author: Person
    published_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """An edge case, and what in the story shows it. ``method`` links a change or incident, ``author_class`` is who
    wrote a change."""

    case: str
    by: Deployment | Change | Incident
    method: str = ""
    author_class: str = ""


@dataclass(kw_only=True, slots=True)
class Repository:
    """Everything that happened to one service's repository; ``main`` is the default branch, oldest first."""

    service: Service
    born_at: datetime
    main: list[Push] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    tags: list[Push] = field(default_factory=list)
    promotions: list[Push] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    def pushes(self) -> list[Push]:
        """All pushes to all refs in time order, deletions of merged branches aside."""
        branches = [push for change in self.changes for push in change.pushes]
        return sorted([*self.main, *branches, *self.tags, *self.promotions], key=lambda push: push.at)

    def pushed_at(self) -> list[datetime]:
        """Every time a ref was pushed, created or deleted, in order."""
        deletions = [c.branch_deleted_at for c in self.changes if c.branch_deleted_at is not None]
        return sorted([*(push.at for push in self.pushes()), *deletions])

    def production(self) -> Sequence[Deployment]:
        """Successful production deployments in the order they finished, redeploys included."""
        done = [d for d in self.deployments if d.environment == "production" and d.finished_at is not None]
        return sorted(done, key=lambda deployment: deployment.ended_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One signed request to come: headers lack only the signature, which is made when it is sent."""

    source: Source
    event: str
    delivery_id: str
    headers: dict[str, str]
    body: bytes
    occurred_at: datetime
    expect: Expectation
