"""Answers deployments that GitLab blocks, as one user with a vote, and starts their job.

https://docs.gitlab.com/api/deployments/#approve-or-reject-a-blocked-deployment
"""

from typing import Any

import httpx
import msgspec

from approvals_svc.calls import Answer, CallFailed, call, read
from approvals_svc.gate_match import is_among
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.gitlab_url import deployment_url, job_url
from approvals_svc.tasks import Confirmed, Delivered, GitlabGate, GivenUp

BLOCKED = "blocked"
BEGUN = frozenset({"running", "success"})
BY_HAND = "manual"  # status of a job that waits for somebody to start it


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """`represented_as`: the rule that the vote counts for, where its user belongs to several.

    `starts_job`: GitLab's documentation wants an approved job started by hand; what it does is not verified.
    """

    api_url: str
    token: str
    represented_as: str = ""
    starts_job: bool = True


class _Vote(msgspec.Struct):
    status: str
    comment: str | None = None


class _Rule(msgspec.Struct):
    deployment_approvals: list[_Vote] = []


class _Summary(msgspec.Struct):
    rules: list[_Rule] = []


class _User(msgspec.Struct):
    username: str


class _Environment(msgspec.Struct):
    name: str


class _Job(msgspec.Struct):
    id: int
    status: str


class _Deployment(msgspec.Struct, kw_only=True):
    """`approvals` with one rule, `approval_summary` with several."""

    status: str
    sha: str
    environment: _Environment
    user: _User | None = None
    deployable: _Job | None = None
    pending_approval_count: int | None = None
    approvals: list[_Vote] | None = None
    approval_summary: _Summary | None = None

    @property
    def votes(self) -> list[_Vote]:
        rules = self.approval_summary.rules if self.approval_summary else []
        return [*(self.approvals or ()), *(vote for rule in rules for vote in rule.deployment_approvals)]


class Gitlab:
    def __init__(self, account: Account, client: httpx.AsyncClient) -> None:
        self._account = account
        self._client = client

    async def deliver(self, task: GitlabGate, *, look_first: bool) -> Delivered:
        """It always looks first: that names the job as well."""
        try:
            deployment = await self._look(task)
            if not _is_told(deployment, task):
                if problem := _obstacle(deployment, task):
                    return problem
                deployment = await self._tell(task)
            return await self._let_go(task, deployment) if task.state == "approved" else Confirmed("rejected there")
        except CallFailed as problem:
            return problem.outcome
        except UnsafeReference as unsafe:
            return GivenUp(str(unsafe))

    async def _look(self, task: GitlabGate) -> _Deployment:
        deployment: _Deployment = read(await self._send("GET", self._url(task)), _Deployment)
        return deployment

    async def _tell(self, task: GitlabGate) -> _Deployment:
        """One user has one vote: a refusal may mean that ours is there, after an answer that was lost."""
        body = {"status": task.state, "comment": task.comment}
        if self._account.represented_as:
            body["represented_as"] = self._account.represented_as
        try:
            await self._send("POST", f"{self._url(task)}/approval", body)
        except CallFailed as problem:
            deployment = await self._look(task)
            if not isinstance(problem.outcome, GivenUp) or not _is_told(deployment, task):
                raise
            return deployment
        return await self._look(task)

    async def _let_go(self, task: GitlabGate, deployment: _Deployment) -> Delivered:
        """A job that was started does not wait any more, so it is not started twice."""
        job = deployment.deployable
        if deployment.pending_approval_count:
            return Confirmed(f"approved; GitLab waits for {deployment.pending_approval_count} more")
        if job is None or job.status != BY_HAND or not self._account.starts_job:
            return Confirmed(f"approved; its job is {job.status}" if job else "approved; it has no job")
        try:
            await self._send("POST", f"{job_url(self._account.api_url, project=task.project, job_id=str(job.id))}/play")
        except CallFailed as problem:
            if isinstance(problem.outcome, GivenUp):
                return GivenUp(f"approved, but its job can't be started: {problem.outcome.reason}")
            return problem.outcome
        return Confirmed("approved; its job is started")

    def _url(self, task: GitlabGate) -> str:
        return deployment_url(self._account.api_url, project=task.project, deployment_id=task.deployment_id)

    async def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> Answer:
        headers = {"PRIVATE-TOKEN": self._account.token, "Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        return await call(self._client, method, url, headers=headers, body=content)


def _is_told(deployment: _Deployment, task: GitlabGate) -> bool:
    """Ours is the vote with our comment."""
    return any(
        vote.status == task.state and (vote.comment or "").strip() == task.comment.strip() for vote in deployment.votes
    )


def _obstacle(deployment: _Deployment, task: GitlabGate) -> Delivered | None:
    """Why nothing is told. A no to what never ran is as good as told."""
    is_bound = bool(task.sha) or task.state == "approved"
    if deployment.environment.name != task.environment or (is_bound and deployment.sha != task.sha):
        return GivenUp("the deployment is of another commit or environment than what was decided about")
    who = deployment.user.username if deployment.user else ""
    if task.state == "approved" and task.accounts is not None and not is_among(who, task.accounts):
        return GivenUp(f"the deployment was started by {who or 'nobody'}, and nobody was told")
    if deployment.status == BLOCKED:
        return None
    if task.state == "rejected" and deployment.status not in BEGUN:
        return Confirmed(f"the deployment is {deployment.status}")
    return GivenUp(f"nothing waits there: the deployment is {deployment.status}")
