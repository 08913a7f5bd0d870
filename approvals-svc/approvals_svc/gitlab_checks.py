"""Answers GitLab's external status checks: whether a merge request may be merged.

https://docs.gitlab.com/api/status_checks/ - GitLab shows a check as pending by itself, and as failed after two minutes
without an answer; `passed` counts after that as well. It is not told "pending" by us: that could overtake an answer.
"""

from typing import Any

import httpx
import msgspec

from approvals_svc.calls import Answer, CallFailed, call, read
from approvals_svc.gate_match import is_among
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.gitlab import Account
from approvals_svc.gitlab_url import change_url
from approvals_svc.tasks import Confirmed, Delivered, GitlabCheck, GivenUp

OPEN = "opened"
CONFLICT = 409  # the commit is not the newest of the merge request
OVERTAKEN = "the merge request has another newest commit than what was decided about"


class _User(msgspec.Struct):
    username: str


class _MergeRequest(msgspec.Struct, kw_only=True):
    state: str
    sha: str | None = None
    target_branch: str = ""
    author: _User | None = None


class GitlabChecks:
    """Telling the same again changes nothing there, so a lost answer is simply told again."""

    def __init__(self, account: Account, client: httpx.AsyncClient) -> None:
        self._account = account
        self._client = client

    async def deliver(self, task: GitlabCheck, *, look_first: bool) -> Delivered:
        """It always looks first: the request came over the bus, where nobody signed it."""
        try:
            url = change_url(self._account.api_url, project=task.project, number=task.number)
            found: _MergeRequest = read(await self._send("GET", url), _MergeRequest)
            if problem := _obstacle(found, task):
                return problem
            body = {"sha": task.sha, "external_status_check_id": int(task.check_id), "status": task.status}
            await self._send("POST", f"{url}/status_check_responses", body)
        except CallFailed as problem:
            return _overtaken(task) if problem.status == CONFLICT else problem.outcome
        except UnsafeReference as unsafe:
            return GivenUp(str(unsafe))
        return Confirmed(f"the check has {task.status}")

    async def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> Answer:
        headers = {"PRIVATE-TOKEN": self._account.token, "Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        return await call(self._client, method, url, headers=headers, body=content)


def _obstacle(found: _MergeRequest, task: GitlabCheck) -> Delivered | None:
    """Why nothing is told. A no to what can't be merged is as good as told."""
    if found.sha != task.sha:
        return _overtaken(task)
    if found.state != OPEN:
        ended = f"the merge request is {found.state}"
        return Confirmed(ended) if task.state == "rejected" else GivenUp(ended)
    if task.state == "rejected":
        return None
    if found.target_branch != task.base_ref:
        return GivenUp(f"it would be merged into {found.target_branch}, which nobody was asked about")
    author = found.author.username if found.author else ""
    if not is_among(author, task.accounts):
        return GivenUp(f"the merge request is by {author or 'nobody'}, and nobody was told")
    return None


def _overtaken(task: GitlabCheck) -> Delivered:
    return Confirmed(OVERTAKEN) if task.state == "rejected" else GivenUp(OVERTAKEN)
