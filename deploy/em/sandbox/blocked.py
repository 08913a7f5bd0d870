"""What the GitLab counterpart remembers: deployments that wait, votes on them, and what was started."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

Status = Literal["approved", "rejected"]


class GitlabSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token` null: nobody gets in. `starts_alone`: an approved job doesn't wait to be started by hand. A status check
    that nobody answers fails after `check_timeout_s`."""

    token: str | None = None
    username: str = "em-agent"
    starts_alone: bool = False
    check_timeout_s: float = 120.0


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One call with a status; `effective`: it was that user's first on a deployment that was blocked."""

    project: str
    deployment_id: int
    status: Status
    comment: str
    username: str
    represented_as: str | None
    at: float
    effective: bool


class Deployment(msgspec.Struct, kw_only=True):
    """`username` started it; `required` votes let it go. `job_status` follows its own way once it is started."""

    project: str
    id: int
    environment: str
    sha: str
    ref: str
    job_id: int
    created_at: str
    username: str = "ana"
    required: int = 1
    status: str = "blocked"
    job_status: str = "manual"
    votes: list[Vote] = []
    plays: int = 0
    plays_refused: int = 0

    @property
    def counted(self) -> list[Vote]:
        return [vote for vote in self.votes if vote.effective]

    @property
    def missing(self) -> int:
        return max(0, self.required - sum(vote.status == "approved" for vote in self.counted))


class Blocked:
    def __init__(self, settings: GitlabSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.deployments: dict[tuple[str, int], Deployment] = {}
        self._clock = clock

    def add(
        self, project: str, number: int, environment: str, *, sha: str, ref: str = "main", required: int = 1
    ) -> Deployment:
        created_at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        deployment = Deployment(
            project=project,
            id=number,
            environment=environment,
            sha=sha,
            ref=ref,
            job_id=number * 10,
            created_at=created_at,
            required=required,
        )
        self.deployments[project, number] = deployment
        return deployment

    def vote(self, deployment: Deployment, status: Status, comment: str, represented_as: str | None) -> Vote:
        username = self.settings.username
        vote = Vote(
            project=deployment.project,
            deployment_id=deployment.id,
            status=status,
            comment=comment,
            username=username,
            represented_as=represented_as,
            at=self._clock(),
            effective=deployment.status == "blocked" and not deployment.counted,
        )
        deployment.votes.append(vote)
        if vote.effective:
            self._follow(deployment, status)
        return vote

    def play(self, deployment: Deployment) -> bool:
        """False: it is not to be started by hand."""
        if deployment.status != "created" or deployment.job_status != "manual":
            deployment.plays_refused += 1
            return False
        deployment.plays += 1
        deployment.job_status, deployment.status = "pending", "running"
        return True

    def votes(self) -> list[Vote]:
        every = [vote for deployment in self.deployments.values() for vote in deployment.votes]
        return sorted(every, key=lambda vote: vote.at)

    def counts(self) -> dict[str, int]:
        deployments = self.deployments.values()
        votes = self.votes()
        return {
            "votes": len(votes),
            "decisions": sum(vote.effective for vote in votes),
            "double_decisions": sum(not vote.effective for vote in votes),
            "plays": sum(deployment.plays for deployment in deployments),
            "plays_refused": sum(deployment.plays_refused for deployment in deployments),
        }

    def _follow(self, deployment: Deployment, status: Status) -> None:
        if status == "rejected":
            deployment.status, deployment.job_status = "failed", "failed"
        elif not deployment.missing:
            deployment.status = "running" if self.settings.starts_alone else "created"
            deployment.job_status = "running" if self.settings.starts_alone else "manual"
