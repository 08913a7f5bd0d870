"""What a run of the demo led to: the services' numbers beside the story's, and whether they agree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from em.demo.cases import Case
from em.demo.facts import Repository
from em.demo.send import Sent
from em.demo.story import Story
from em.demo.truth import REWORK

Metrics = Mapping[str, Mapping[str, Any]]

METRICS = (
    "change_lead_time",
    "deployment_frequency",
    "change_fail_rate",
    "failed_deployment_recovery_time",
    "deployment_rework_rate",
)
TOLERANCE = 1e-9
GO = 200  # what a run is answered that may go on


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalLine:
    """One approval request for people to read: what was asked, by whom, what became of it, who voted."""

    service: str
    environment: str
    sha: str
    requester: str
    outcome: str
    votes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """A run of a CI: what it was answered, and how often its CI was told under a good signature."""

    service: str
    status: int
    said: str
    must_go_on: bool
    callbacks: int

    @property
    def goes_on(self) -> bool:
        return self.status == GO

    @property
    def differs(self) -> bool:
        return self.goes_on != self.must_go_on or self.callbacks != 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatMessage:
    """A message of the transcript; ``lines`` are Slack's mrkdwn, ``buttons`` (label, style)."""

    at: datetime
    lines: Sequence[str]
    buttons: Sequence[tuple[str, str]] = ()
    edits: int = 0
    in_thread: bool = False
    only_for: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """What one channel saw, or one person alone; oldest first."""

    name: str
    messages: Sequence[ChatMessage]


@dataclass(frozen=True, kw_only=True, slots=True)
class Week:
    starts: datetime
    sound: int
    failed: int
    rework: int

    @property
    def total(self) -> int:
        return self.sound + self.failed + self.rework


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """What the charts of one service show; ``lead_times`` in seconds."""

    service: str
    team: str
    description: str
    weeks: Sequence[Week]
    lead_times: Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Everything gathered at the end; counts are the services' and the sandbox's, never the story's.

    ``dispositions``: events, ignored, dead. ``approvals``: requested, approved, rejected, callbacks.
    ``runs``: what each run of a CI that asked was told.
    ``slack``: posts, updates, duplicates. ``held_back``: reason to count. ``excluded``: what counts in no number.
    """

    story: Story
    sent: Sent
    dispositions: Mapping[str, int]
    dora: Mapping[str, Metrics]
    expected_dora: Mapping[str, Metrics]
    approvals: Mapping[str, int]
    slack: Mapping[str, int]
    seconds: float
    held_back: Mapping[str, int] = field(default_factory=dict)
    approval_lines: Sequence[ApprovalLine] = ()
    conversations: Sequence[Conversation] = ()
    boards: Sequence[Board] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    expected_excluded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cases: Sequence[Case] = ()
    runs: Sequence[RunLine] = ()

    def deliveries(self) -> dict[str, int]:
        """Handshakes are answered on the spot and never enter the line, so they stand apart from these sums."""
        return {
            "sent": self.sent.sent - self.sent.handshakes,
            "accepted": self.sent.accepted - self.sent.handshakes,
            "duplicate": self.sent.duplicate,
            "rejected": self.sent.rejected,
        }

    def adds_up(self) -> bool:
        deliveries = self.deliveries()
        answered = deliveries["accepted"] + deliveries["duplicate"] + deliveries["rejected"]
        disposed = sum(self.dispositions[name] for name in ("events", "ignored", "dead"))
        return deliveries["sent"] == answered and deliveries["accepted"] == disposed

    def agrees(self, service: str, metric: str) -> bool:
        """Same sample size and, but for rounding of floats, same value."""
        ours = self.dora.get(service, {}).get(metric)
        return ours is not None and _equal(ours, self.expected_dora[service][metric])


def reasons(outcome: Outcome) -> list[str]:
    """Sentences saying why the demo failed; none when all is well."""
    found = []
    deliveries, dispositions = outcome.deliveries(), outcome.dispositions
    if not outcome.adds_up():
        found.append(
            f"The deliveries do not add up: {deliveries['sent']} sent are {deliveries['accepted']} accepted, "
            f"{deliveries['duplicate']} duplicate and {deliveries['rejected']} rejected; of the accepted "
            f"{dispositions['events']} became events, {dispositions['ignored']} were ignored, "
            f"{dispositions['dead']} are dead."
        )
    if deliveries["rejected"]:
        answers = ", ".join(f"{count} × {answer}" for answer, count in sorted(outcome.sent.refusals.items()))
        found.append(f"{deliveries['rejected']} deliveries were rejected: {answers}.")
    if dispositions["dead"]:
        found.append(f"{dispositions['dead']} deliveries ended as dead letters; `em dead list` names them.")
    found += [
        f"{service}: {metric} is {_told(outcome.dora.get(service, {}).get(metric))}, the story says {_told(expected)}."
        for service, metrics in outcome.expected_dora.items()
        for metric, expected in metrics.items()
        if not outcome.agrees(service, metric)
    ]
    found += [f"{case.name}: {said}." for case in outcome.cases for said in case.differs]
    found += [
        f"{service}: left out are {dict(outcome.excluded.get(service, {}))}, the story says {dict(counts)}."
        for service, counts in outcome.expected_excluded.items()
        if outcome.excluded.get(service, {}) != counts
    ]
    found += [
        f"{run.service}: its run was answered {run.status} ({run.said}) and its CI called back {run.callbacks} times."
        for run in outcome.runs
        if run.differs
    ]
    if outcome.slack["duplicates"]:
        found.append(f"{outcome.slack['duplicates']} Slack messages were posted twice.")
    return found


def summary(outcome: Outcome) -> dict[str, Any]:
    """``summary.json``."""
    return {
        "deliveries": outcome.deliveries(),
        "dispositions": {name: outcome.dispositions[name] for name in ("events", "ignored", "dead")},
        "adds_up": outcome.adds_up(),
        "dora": outcome.dora,
        "expected_dora": outcome.expected_dora,
        "edge_cases": [
            {"case": c.name, "service": c.service, "at": c.at.isoformat(), "times": c.times, "agrees": not c.differs}
            for c in outcome.cases
        ],
        "approvals": {n: outcome.approvals[n] for n in ("requested", "approved", "rejected", "callbacks")},
        "runs": [{"service": run.service, "goes_on": run.goes_on, "callbacks": run.callbacks} for run in outcome.runs],
        "slack": {name: outcome.slack[name] for name in ("posts", "updates", "duplicates")},
        "seconds": round(outcome.seconds, 1),
    }


def dora_of(answer: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """``{service: {metric: {"value", "n"}}}`` out of the answer of ``GET /v1/dora``."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in answer["rows"]:
        if row["metric"] in METRICS:
            found.setdefault(row["service"], {})[row["metric"]] = {"value": row["value"], "n": row["n"]}
    return found


def excluded_of(answer: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {
        row["service"]: {reason: count for reason, count in row.items() if reason != "service" and count}
        for row in answer["excluded"]
    }


def boards_of(story: Story) -> list[Board]:
    return [_board(repository, story) for repository in story.repositories if repository.deployments]


def _board(repository: Repository, story: Story) -> Board:
    done = [(d, d.ended_at) for d in repository.production() if d.kind != "redeploy"]
    return Board(
        service=repository.service.name,
        team=repository.service.team.name,
        description=repository.service.description,
        weeks=_weeks([(at, d.failed, d.kind in REWORK) for d, at in done], story.start, story.end),
        lead_times=[d.lead_time_s(change) for d, _ in done for change in d.leads],
    )


def _weeks(done: Sequence[tuple[datetime, bool, bool]], start: datetime, end: datetime) -> list[Week]:
    """ISO weeks; the first and the last may be cut by the window."""
    first = (start - timedelta(days=start.weekday())).replace(hour=0, minute=0, second=0)
    weeks = []
    while first < end:
        rows = [(failed, rework) for at, failed, rework in done if first <= at < first + timedelta(days=7)]
        failed, rework = sum(f for f, _ in rows), sum(r and not f for f, r in rows)
        weeks.append(Week(starts=first, sound=len(rows) - failed - rework, failed=failed, rework=rework))
        first += timedelta(days=7)
    return weeks


def chat_message(row: Mapping[str, Any]) -> ChatMessage:
    """A message as the sandbox's control API tells it."""
    lines, buttons = [], []
    for block in row.get("blocks") or []:
        lines += _texts(block)
        buttons += [_button(element) for element in block.get("elements", []) if element.get("type") == "button"]
    return ChatMessage(
        at=datetime.fromtimestamp(float(row["ts"]), UTC),
        lines=lines or str(row.get("text", "")).splitlines(),
        buttons=buttons,
        edits=len(row.get("edits") or []),
        in_thread=row.get("thread_ts") not in (None, row["ts"]),
        only_for=row.get("ephemeral_for") or "",
    )


def _texts(block: Mapping[str, Any]) -> list[str]:
    """What a block says: its text, its fields, its context elements; buttons are read apart."""
    if block.get("type") == "actions":
        return []
    nodes = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
    texts = [node["text"] for node in nodes if isinstance(node, dict) and isinstance(node.get("text"), str)]
    if block.get("type") == "header":
        texts = [f"*{text}*" for text in texts]
    return [line for text in texts for line in text.splitlines()]


def _button(element: Mapping[str, Any]) -> tuple[str, str]:
    return element["text"]["text"], element.get("style", "")


def _equal(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    if ours["n"] != theirs["n"]:
        return False
    if ours["value"] is None or theirs["value"] is None:
        return ours["value"] is theirs["value"]
    return math.isclose(ours["value"], theirs["value"], rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _told(metric: Mapping[str, Any] | None) -> str:
    return "missing" if metric is None else f"{metric['value']} (n = {metric['n']})"
