"""What the GitLab counterpart remembers of merge requests: commits, checks, and what those were told."""

import time
from collections.abc import Callable
from typing import Literal

import msgspec

Told = Literal["pending", "passed", "failed"]


class CheckAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One call that was taken."""

    project: str
    number: int
    check_id: int
    sha: str
    status: Told
    at: float


class MergeRequest(msgspec.Struct, kw_only=True):
    """`asked_at` by check: when it was asked about this commit."""

    project: str
    number: int
    sha: str
    username: str
    target_branch: str
    state: str
    asked_at: dict[int, float]
    answers: list[CheckAnswer] = []


class Checked:
    """Whoever asks for a status hears failed once `timeout_s` went by without an answer."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.requests: dict[tuple[str, int], MergeRequest] = {}
        self._clock = clock

    def add(self, request: MergeRequest) -> MergeRequest:
        """The same again is another commit of it, or its end; what was answered stays known."""
        known = self.requests.get((request.project, request.number))
        request.answers = known.answers if known else []
        request.asked_at = {number: self._clock() - age_s for number, age_s in request.asked_at.items()}
        self.requests[request.project, request.number] = request
        return request

    def answer(self, request: MergeRequest, check_id: int, sha: str, status: Told) -> CheckAnswer:
        told = CheckAnswer(
            project=request.project,
            number=request.number,
            check_id=check_id,
            sha=sha,
            status=status,
            at=self._clock(),
        )
        request.answers.append(told)
        return told

    def status(self, request: MergeRequest, check_id: int, *, timeout_s: float) -> Told:
        told = [each for each in request.answers if (each.check_id, each.sha) == (check_id, request.sha)]
        if told and told[-1].status != "pending":
            return told[-1].status
        return "failed" if self._clock() - request.asked_at[check_id] > timeout_s else "pending"

    def answers(self) -> list[CheckAnswer]:
        every = [answer for request in self.requests.values() for answer in request.answers]
        return sorted(every, key=lambda answer: answer.at)
