"""Answers deployment protection rules as a GitHub App.

https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/create-custom-protection-rules
"""

from collections.abc import Iterable
from typing import Any

import httpx

from approvals_svc.callback_url import rule_url
from approvals_svc.calls import Answer, CallFailed
from approvals_svc.gate_match import Bound, deployment_differs, run_differs
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.github_app import GithubApp
from approvals_svc.github_waiting import OVER, WAITING, GithubWaiting, Review
from approvals_svc.tasks import Confirmed, Delivered, GithubGate, GivenUp, Unknown

NOTHING_WAITS = "nothing waits there any more"
FOUND = Confirmed("found among the reviews of the run")
PERMISSIONS = {"actions": "read", "deployments": "write"}


class Github:
    def __init__(self, app: GithubApp) -> None:
        self._app = app
        self._waiting = GithubWaiting(app)

    async def deliver(self, task: GithubGate, *, look_first: bool) -> Delivered:
        """`look_first` after any try whose end is not known: an answer that is there is not given again."""
        try:
            if look_first and (found := await self._look(task)):
                return found
            if task.state == "approved" and task.bound and (problem := await self._differs(task, task.bound)):
                return GivenUp(problem)
            await self._post(task)
        except CallFailed as failed:
            return failed.outcome
        except UnsafeReference as unsafe:
            return GivenUp(str(unsafe))
        return Confirmed("204")

    async def _post(self, task: GithubGate) -> None:
        url = rule_url(self._app.api_url, repository=task.repository, run_id=task.run_id)
        body = {"environment_name": task.environment, "state": task.state, "comment": task.comment}
        response = await self._call("POST", url, installation_id=task.installation_id, body=body)
        if response.status != httpx.codes.NO_CONTENT:
            raise CallFailed(GivenUp(f"unexpected answer {response.status}"))

    async def _differs(self, task: GithubGate, bound: Bound) -> str:
        """Whoever owns the bus may have invented the request: GitHub is asked what it would let through."""
        run = await self._waiting.run(task.installation_id, task.repository, task.run_id)
        problem = run_differs(bound, head_sha=run.head_sha, starters=run.starters)
        if problem or not bound.deployment_id:
            return problem
        deployment = await self._waiting.deployment_by_id(task.installation_id, task.repository, bound.deployment_id)
        return deployment_differs(
            bound,
            environment=task.environment,
            found_sha=deployment.sha,
            found_environment=deployment.environment,
            creator=deployment.creator.login if deployment.creator else "",
        )

    async def _look(self, task: GithubGate) -> Confirmed | GivenUp | None:
        """A refused look tells nothing of the answer that may have been given: that stays unknown."""
        try:
            return await self._found(task)
        except CallFailed as problem:
            if isinstance(problem.outcome, GivenUp):
                refused = f"the outcome can't be looked up: {problem.outcome.reason}"
                raise CallFailed(Unknown(refused), status=problem.status) from None
            raise

    async def _found(self, task: GithubGate) -> Confirmed | GivenUp | None:
        """None: it waits still. Others may review the same environment: ours is the answer with our comment."""
        place = (task.installation_id, task.repository, task.run_id)
        if _is_among(await self._waiting.reviews(*place), task):
            return FOUND
        if not (over := await self._over(task)):
            return None
        # An answer of ours that was late may be what ended it, between the two looks.
        reviews = await self._waiting.reviews(*place)
        if _is_among(reviews, task):
            return FOUND
        others = ", ".join(each.user.login for each in reviews if each.is_about(task.environment) and each.user)
        return GivenUp(f"{over}: {others} answered" if others and over == NOTHING_WAITS else over)

    async def _over(self, task: GithubGate) -> str:
        """Why nothing waits for an answer any more, or nothing."""
        place = (task.installation_id, task.repository, task.run_id)
        run = await self._waiting.run(*place)
        if run.status == OVER:
            return f"its run is over: {run.conclusion}"
        if task.asked_at and run.run_started_at > task.asked_at:
            return "its run was started again since, and that asks anew"
        if run.status == WAITING or task.environment in await self._waiting.environments(*place):
            return ""
        return NOTHING_WAITS

    async def _call(self, method: str, url: str, *, installation_id: str, body: dict[str, Any] | None = None) -> Answer:
        return await self._app.call(method, url, installation_id=installation_id, permissions=PERMISSIONS, body=body)


def _is_among(reviews: Iterable[Review], task: GithubGate) -> bool:
    return any(
        each.is_about(task.environment)
        and each.state == task.state
        and (each.comment or "").strip() == task.comment.strip()
        for each in reviews
    )
