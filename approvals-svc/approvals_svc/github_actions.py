"""Comments, labels, reviewers and issues at GitHub, each at most once."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from approvals_svc.callback_url import repository_url
from approvals_svc.calls import Answer, CallFailed, read, unseen
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.github_app import GithubApp
from approvals_svc.tasks import Comment, Confirmed, Delivered, GivenUp, Issue, Label, Reviewer, Unknown

PERMISSIONS: Mapping[str, str] = {"issues": "write", "pull_requests": "write"}
GITHUB_KINDS = (Comment.kind, Issue.kind, Label.kind, Reviewer.kind)
PAGE = 100
PAGES_MAX = 20
# A call without an answer may take effect a little later: what it made is looked for after this.
SETTLE_S = 10.0


class _User(msgspec.Struct):
    login: str = ""
    type: str = ""


class _Written(msgspec.Struct):
    """A comment or an issue. GitHub names an App's installation `Bot`, which no person can be."""

    body: str | None = None
    user: _User | None = None
    html_url: str = ""


class _Named(msgspec.Struct):
    name: str


class _Asked(msgspec.Struct):
    users: list[_User] = []


class _Review(msgspec.Struct):
    user: _User | None = None


class GithubActions:
    """Performs every task of its own kinds."""

    def __init__(self, app: GithubApp) -> None:
        self._app = app

    async def deliver(self, task: Comment | Issue | Label | Reviewer, *, look_first: bool) -> Delivered:
        try:
            match task:
                case Comment():
                    path = f"/issues/{task.number}/comments"
                    return await self._write(task, path, {"body": _marked(task)}, look_first=look_first)
                case Issue():
                    body = {"title": task.title, "body": _marked(task)}
                    return await self._write(task, "/issues", body, look_first=look_first, query={"state": "all"})
                case Label():
                    return await self._label(task)
                case Reviewer():
                    return await self._ask(task, look_first=look_first)
        except CallFailed as problem:
            return problem.outcome
        except UnsafeReference as unsafe:
            return GivenUp(str(unsafe))

    async def _write(
        self,
        task: Comment | Issue,
        path: str,
        body: Mapping[str, str],
        *,
        look_first: bool,
        query: Mapping[str, str] | None = None,
    ) -> Confirmed:
        if look_first and (found := await self._find(task, path, query or {})):
            return Confirmed(f"found: {found.html_url}")
        return Confirmed(_link(await self._post(task.repository, path, body)))

    async def _find(self, task: Comment | Issue, path: str, query: Mapping[str, str]) -> _Written | None:
        since = f"{task.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        try:
            async for written in self._listed(task.repository, path, list[_Written], {**query, "since": since}):
                if task.marker in (written.body or "") and written.user and written.user.type == "Bot":
                    return cast(_Written, written)
        except CallFailed as problem:
            raise unseen(problem) from None
        return None

    async def _label(self, task: Label) -> Confirmed:
        path = f"/issues/{task.number}/labels"
        async for label in self._listed(task.repository, path, list[_Named]):
            if label.name.lower() == task.label.lower():
                return Confirmed("it has the label")
        await self._post(task.repository, path, {"labels": [task.label]})
        return Confirmed("labelled")

    async def _ask(self, task: Reviewer, *, look_first: bool) -> Confirmed:
        """Whoever has reviewed is not among those who are asked any more."""
        path = f"/pulls/{task.number}/requested_reviewers"
        asked: _Asked = read(await self._call("GET", task.repository, path), _Asked)
        if any(_is(user, task.reviewer) for user in asked.users):
            return Confirmed("is asked already")
        if look_first:
            async for review in self._listed(task.repository, f"/pulls/{task.number}/reviews", list[_Review]):
                if _is(review.user, task.reviewer):
                    return Confirmed("has reviewed already")
        await self._post(task.repository, path, {"reviewers": [task.reviewer]})
        return Confirmed("asked")

    async def _listed(
        self, repository: str, path: str, kind: Any, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[Any]:
        """To the end of the list. Whoever can't see all of it can't say that something is missing."""
        for page in range(1, PAGES_MAX + 1):
            asked = urlencode({**(query or {}), "per_page": PAGE, "page": page})
            found = read(await self._call("GET", repository, f"{path}?{asked}"), kind)
            for each in found:
                yield each
            if len(found) < PAGE:
                return
        raise CallFailed(Unknown(f"more than {PAGES_MAX * PAGE} to look through"))

    async def _post(self, repository: str, path: str, body: Any) -> Answer:
        """Without an answer, or with one of a server that failed, it may have been done."""
        try:
            return await self._call("POST", repository, path, body=body)
        except CallFailed as problem:
            outcome = problem.outcome
            if isinstance(outcome, Unknown) and outcome.after_s is None:
                raise CallFailed(Unknown(outcome.reason, after_s=SETTLE_S), status=problem.status) from None
            raise

    async def _call(self, method: str, repository: str, path: str, *, body: Any = None) -> Answer:
        url = f"{repository_url(self._app.api_url, repository)}{path}"
        installation_id = await self._app.installation_of(repository)
        return await self._app.call(method, url, installation_id=installation_id, permissions=PERMISSIONS, body=body)


def _marked(task: Comment | Issue) -> str:
    return f"{task.text}\n\n{task.marker}".strip()


def _link(answer: Answer) -> str:
    """It is written, whatever the answer's body says."""
    try:
        written: _Written = msgspec.json.decode(answer.body, type=_Written)
    except msgspec.MsgspecError:
        return str(answer.status)
    return written.html_url


def _is(user: _User | None, login: str) -> bool:
    return user is not None and user.login.lower() == login.lower()
