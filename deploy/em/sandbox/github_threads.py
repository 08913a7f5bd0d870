"""The GitHub counterpart's issues and pull requests over HTTP: comments, labels, reviewers, issues."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from em.sandbox.exchange import Reply
from em.sandbox.gates import Gates
from em.sandbox.refusals import Call, GithubRefusal, invalid
from em.sandbox.threads import Thread, Threads, shown

REPOSITORY = "/repos/{owner}/{repo}"
ISSUE = f"{REPOSITORY}/issues/{{number:[0-9]+}}"
PULL = f"{REPOSITORY}/pulls/{{number:[0-9]+}}"
BODY_CHARS_MAX = 65_536
LABEL_CHARS_MAX = 50
PAGE_MAX = 100

Perform = Callable[[Call], Reply]


class Remembered(Protocol):
    """The counterpart, which may forget everything; `admit` refuses a call whose token lacks a permission."""

    gates: Gates
    threads: Threads

    def admit(self, call: Call, needs: tuple[str, str]) -> object: ...


class GithubThreads:
    def __init__(self, github: Remembered) -> None:
        self._github = github

    @property
    def routes(self) -> list[tuple[str, str, Perform]]:
        return [
            ("GET", f"{REPOSITORY}/issues", self._issues),
            ("POST", f"{REPOSITORY}/issues", self._open_issue),
            ("GET", f"{ISSUE}/comments", self._comments),
            ("POST", f"{ISSUE}/comments", self._comment),
            ("GET", f"{ISSUE}/labels", self._labels),
            ("POST", f"{ISSUE}/labels", self._add_labels),
            ("GET", f"{PULL}/requested_reviewers", self._requested),
            ("POST", f"{PULL}/requested_reviewers", self._request),
            ("GET", f"{PULL}/reviews", self._reviews),
        ]

    def _issues(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "read"))
        found = self._github.threads.of(call.repository)
        return Reply(body=_page(call, [shown(thread) for thread in found if _is_in(call, thread.created_at)]))

    def _open_issue(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "write"))
        title, body = _text(call, "title", needed=True), _text(call, "body")
        opened = self._github.threads.add(call.repository, title=title, body=body, author=self._bot, by_bot=True)
        return Reply(status=201, body=shown(opened), stored=True)

    def _comments(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "read"))
        found = [c for c in self._thread(call).comments if _is_in(call, c.updated_at)]
        return Reply(body=_page(call, [msgspec.to_builtins(comment) for comment in found]))

    def _comment(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "write"))
        thread = self._thread(call)
        comment = self._github.threads.comment(thread, _text(call, "body", needed=True), login=self._bot, kind="Bot")
        return Reply(status=201, body=msgspec.to_builtins(comment), stored=True)

    def _labels(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "read"))
        return Reply(body=_page(call, [{"name": name} for name in self._thread(call).labels]))

    def _add_labels(self, call: Call) -> Reply:
        self._github.admit(call, ("issues", "write"))
        thread, names = self._thread(call), _names(call, "labels")
        if any(len(name) > LABEL_CHARS_MAX for name in names):
            raise invalid("Label", "name", f"is too long (maximum is {LABEL_CHARS_MAX} characters)")
        thread.labels += [name for name in names if name.lower() not in map(str.lower, thread.labels)]
        return Reply(body=[{"name": name} for name in thread.labels], stored=True)

    def _requested(self, call: Call) -> Reply:
        self._github.admit(call, ("pull_requests", "read"))
        users = [{"login": login, "type": "User"} for login in self._pull(call).reviewers]
        return Reply(body={"users": users, "teams": []})

    def _request(self, call: Call) -> Reply:
        """Who has reviewed may be asked again."""
        self._github.admit(call, ("pull_requests", "write"))
        thread, logins = self._pull(call), _names(call, "reviewers")
        if thread.author in logins:
            raise GithubRefusal(422, "Review cannot be requested from pull request author.")
        thread.asked += logins
        thread.reviewers += [login for login in logins if login not in thread.reviewers]
        return Reply(status=201, body=shown(thread), stored=True)

    def _reviews(self, call: Call) -> Reply:
        self._github.admit(call, ("pull_requests", "read"))
        return Reply(body=_page(call, [{"user": {"login": login}} for login in self._pull(call).reviewed_by]))

    def _thread(self, call: Call) -> Thread:
        thread = self._github.threads.thread(call.repository, int(call.path["number"]))
        if thread is None:
            raise GithubRefusal(404, "Not Found")
        return thread

    def _pull(self, call: Call) -> Thread:
        thread = self._thread(call)
        if not thread.pull:
            raise GithubRefusal(404, "Not Found")
        return thread

    @property
    def _bot(self) -> str:
        return f"{self._github.gates.settings.app_slug}[bot]"


def _page(call: Call, found: Sequence[Any]) -> list[Any]:
    size = min(int(call.query.get("per_page", "30")), PAGE_MAX)
    start = (int(call.query.get("page", "1")) - 1) * size
    return list(found[start : start + size])


def _is_in(call: Call, at: str) -> bool:
    return at >= call.query.get("since", "")


def _text(call: Call, field: str, *, needed: bool = False) -> str:
    value = call.body.get(field) or ""
    if not isinstance(value, str) or (needed and not value.strip()):
        raise GithubRefusal(422, f'Invalid request.\n\n"{field}" wasn\'t supplied.')
    if len(value) > BODY_CHARS_MAX:
        raise invalid("IssueComment", field, f"is too long (maximum is {BODY_CHARS_MAX} characters)")
    return value


def _names(call: Call, field: str) -> list[str]:
    value = call.body.get(field)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise GithubRefusal(422, f'Invalid request.\n\n"{field}" wasn\'t supplied.')
    return value
