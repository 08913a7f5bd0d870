"""What is done outside because of a decision: one struct per kind, stored as JSON beside it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, TypeAlias

import msgspec

from approvals_svc.gate_match import Bound


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` names it in tables and metrics. `carries_out`: a yes is executed when it is done; else it only tells."""

    kind: ClassVar[str]
    carries_out: ClassVar[bool] = True


class GithubGate(Task, frozen=True, kw_only=True):
    """What a deployment that waits at GitHub is told. `asked_at`: an attempt of the run that began later is another.

    `bound` is compared with what GitHub says before a yes; tasks of before there was one have none.
    """

    kind: ClassVar[str] = "github_gate"

    repository: str
    run_id: str
    environment: str
    installation_id: str
    state: str  # approved, rejected
    comment: str
    asked_at: datetime | None = None
    bound: Bound | None = None


class CiGate(Task, frozen=True, kw_only=True):
    """What a run that asked for a gate is told; nobody performs it: it is carried out by being collected."""

    kind: ClassVar[str] = "ci_gate"

    repository: str
    environment: str
    sha: str
    run_id: str
    state: str  # approved, rejected


class GitlabGate(Task, frozen=True, kw_only=True):
    """What a deployment that is blocked at GitLab is told; a yes starts its job as well.

    `sha` binds it, and so do the `accounts` that may have started it; tasks of before they were kept have none.
    """

    kind: ClassVar[str] = "gitlab_gate"

    project: str
    deployment_id: str
    environment: str
    sha: str
    state: str  # approved, rejected
    comment: str
    accounts: tuple[str, ...] | None = None


class GitlabCheck(Task, frozen=True, kw_only=True):
    """What an external status check of a merge request is told. `sha` and `base_ref` bind it; `accounts` may be its
    author."""

    kind: ClassVar[str] = "gitlab_check"

    project: str
    number: str
    check_id: str
    base_ref: str
    sha: str
    state: str  # approved, rejected
    accounts: tuple[str, ...]

    @property
    def status(self) -> str:
        """GitLab's word for it."""
        return "passed" if self.state == "approved" else "failed"


class Webhook(Task, frozen=True, kw_only=True):
    """A signed message to a registered target; `body` is what is sent, byte for byte, in every try."""

    kind: ClassVar[str] = "callback"
    carries_out: ClassVar[bool] = False

    target: str
    message_id: str
    body: str


class WebhookAction(Webhook, frozen=True, kw_only=True):
    """The message is what was agreed to."""

    kind: ClassVar[str] = "webhook"
    carries_out: ClassVar[bool] = True


class Comment(Task, frozen=True, kw_only=True):
    """`marker` is hidden in what is written, and what it is found by; `since`: it was not written before."""

    kind: ClassVar[str] = "comment_summary"

    repository: str
    number: int
    text: str
    marker: str
    since: datetime


class Label(Task, frozen=True, kw_only=True):
    kind: ClassVar[str] = "label"

    repository: str
    number: int
    label: str


class Reviewer(Task, frozen=True, kw_only=True):
    """`reviewer` is a login at GitHub."""

    kind: ClassVar[str] = "assign_reviewer"

    repository: str
    number: int
    reviewer: str


class Issue(Task, frozen=True, kw_only=True):
    """`marker` and `since` as of a comment."""

    kind: ClassVar[str] = "issue_create"

    repository: str
    title: str
    text: str
    marker: str
    since: datetime


class NudgeTask(Task, frozen=True, kw_only=True):
    """What notifier is asked to tell; `id` makes it one message, however often it is asked."""

    kind: ClassVar[str] = "nudge"

    id: str
    text: str
    channel: str
    service: str
    person: str
    asked_by: str
    origin: str


class LinkAccount(Task, frozen=True, kw_only=True):
    """A Slack account is this person's from now on; `approval` is the number of the one that confirmed it."""

    kind: ClassVar[str] = "link_account"

    team: str
    account: str
    person: str
    approval: int


TASKS: Mapping[str, type[Task]] = {
    task.kind: task
    for task in (
        *(GithubGate, GitlabGate, GitlabCheck, CiGate),
        *(Webhook, WebhookAction),
        *(Comment, Label, Reviewer, Issue, NudgeTask, LinkAccount),
    )
}
# What a yes is carried out by; all others only tell.
CARRYING: tuple[str, ...] = tuple(kind for kind, task in TASKS.items() if task.carries_out)


class Confirmed(msgspec.Struct, frozen=True):
    """It is done; `how` says what shows it."""

    how: str


class Unknown(msgspec.Struct, frozen=True):
    """It may be done or not, or could not be tried now: look first, then try again."""

    reason: str
    after_s: float | None = None


class GivenUp(msgspec.Struct, frozen=True):
    """It will never be done."""

    reason: str


Delivered: TypeAlias = Confirmed | Unknown | GivenUp
