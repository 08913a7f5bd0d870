"""What the GitHub counterpart remembers of issues and pull requests: comments, labels, who is asked to review."""

from collections.abc import Callable
from typing import Any

import msgspec

from em.sandbox.gates import instant


class Written(msgspec.Struct, kw_only=True):
    """An issue or a comment, as the API shows it."""

    id: int
    body: str
    user: dict[str, str]
    created_at: str
    updated_at: str
    html_url: str


class Thread(msgspec.Struct, kw_only=True):
    """An issue, or a pull request where `pull`. `asked` counts each time that GitHub would tell a reviewer."""

    repository: str
    number: int
    title: str
    body: str
    author: str
    pull: bool
    created_at: str
    by_bot: bool = False
    comments: list[Written] = []
    labels: list[str] = []
    reviewers: list[str] = []
    reviewed_by: list[str] = []
    asked: list[str] = []


class Threads:
    """By repository, each with numbers of its own from 1."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, dict[int, Thread]] = {}
        self._written = 0

    def add(
        self, repository: str, *, title: str, author: str, body: str = "", pull: bool = False, by_bot: bool = False
    ) -> Thread:
        known = self._known.setdefault(repository.lower(), {})
        thread = Thread(
            repository=repository,
            number=len(known) + 1,
            title=title,
            body=body,
            author=author,
            pull=pull,
            created_at=instant(self._clock()),
            by_bot=by_bot,
        )
        known[thread.number] = thread
        return thread

    def thread(self, repository: str, number: int) -> Thread | None:
        return self._known.get(repository.lower(), {}).get(number)

    def of(self, repository: str) -> list[Thread]:
        """Newest first, as GitHub lists them."""
        return list(reversed(self._known.get(repository.lower(), {}).values()))

    def all(self) -> list[Thread]:
        return [thread for known in self._known.values() for thread in known.values()]

    def comment(self, thread: Thread, body: str, *, login: str, kind: str) -> Written:
        self._written += 1
        now = instant(self._clock())
        comment = Written(
            id=self._written,
            body=body,
            user={"login": login, "type": kind},
            created_at=now,
            updated_at=now,
            html_url=f"https://github.com/{thread.repository}/issues/{thread.number}#issuecomment-{self._written}",
        )
        thread.comments.append(comment)
        return comment


def shown(thread: Thread) -> dict[str, Any]:
    where = f"https://github.com/{thread.repository}"
    return {
        "number": thread.number,
        "title": thread.title,
        "body": thread.body,
        "user": {"login": thread.author, "type": "Bot" if thread.by_bot else "User"},
        "labels": [{"name": name} for name in thread.labels],
        "created_at": thread.created_at,
        "updated_at": thread.created_at,
        "html_url": f"{where}/{'pull' if thread.pull else 'issues'}/{thread.number}",
        **({"pull_request": {}} if thread.pull else {}),
    }
