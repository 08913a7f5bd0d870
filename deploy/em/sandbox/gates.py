"""What the GitHub counterpart remembers: workflow runs, their gates, and who decided what."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from em.sandbox.app_jwt import check_key

REPORTS_MAX = 10
COMMENT_CHARS_MAX = 1_024
TOKEN_LIFETIME_S = 3_600
UNSEEN_S = 86_400  # how long a run has been there before anybody asked for it
State = Literal["approved", "rejected"]
# What the App is granted: see "Permissions required for GitHub Apps".
GRANTED = {
    "actions": "read",
    "deployments": "write",
    "issues": "write",
    "members": "read",
    "pull_requests": "write",
    "metadata": "read",
}


class GithubSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`installations` null: every installation id sees every repository.

    `second_decision_status` answers a decision on a decided gate: GitHub documents only 204. `calls_left`: what every
    answer says of the rate limit, until an hour from now.
    """

    app_id: str | None = None
    public_key: str | None = None
    app_slug: str = "em-agent"
    auto_runs: bool = False
    installations: dict[str, list[str]] | None = None
    second_decision_status: int = 204
    calls_left: int | None = None

    def __post_init__(self) -> None:
        if self.public_key is not None:
            check_key(self.public_key)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One callback with a state; only the first of a gate is effective."""

    repository: str
    run_id: int
    environment: str
    state: State
    comment: str
    decided_by: str
    at: float
    effective: bool


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody answered at the platform itself."""

    login: str
    state: State
    comment: str = ""


class Gate(msgspec.Struct, kw_only=True):
    """`ours`: a rule of the App guards that environment. A `review` answers it without the App."""

    environment: str
    id: int
    deployment_id: int
    ours: bool = True
    reports: list[str] = []
    decisions: list[Decision] = []
    review: Review | None = None

    @property
    def waits(self) -> bool:
        return not self.decisions and self.review is None


class Run(msgspec.Struct, kw_only=True):
    """`created_at` is when its current attempt began; `past`: gates of earlier ones. `creator` made its deployments."""

    repository: str
    run_id: int
    created_at: str
    sha: str = ""
    ref: str = "main"
    actor: str = "ana-k"
    triggering_actor: str = "ana-k"
    creator: str = "ana-k"
    attempt: int = 1
    conclusion: str | None = None
    gates: dict[str, Gate] = {}
    past: list[Gate] = []

    @property
    def status(self) -> str:
        if self.conclusion:
            return "completed"
        answered = self.gates and not any(gate.waits for gate in self.gates.values())
        return "in_progress" if answered else "waiting"

    def gate(self, environment: str, *, ours: bool = True, deployment_id: int | None = None) -> Gate:
        """The gate of that environment, which is opened when the run has none yet."""
        if environment not in self.gates:
            number = self.run_id * 10 + len(self.gates) + 1
            deployment_id = number * 100 + self.attempt if deployment_id is None else deployment_id
            self.gates[environment] = Gate(environment=environment, id=number, deployment_id=deployment_id, ours=ours)
        return self.gates[environment]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    installation: str
    expires_at: float
    permissions: dict[str, str]


class Gates:
    def __init__(self, settings: GithubSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.tokens: dict[str, Token] = {}
        self.runs: dict[tuple[str, int], Run] = {}
        self.teams: dict[str, list[str]] = {}  # organization/slug -> logins

    def add_run(self, run: Run) -> Run:
        self.runs[run.repository.lower(), run.run_id] = run
        return run

    def run(self, repository: str, run_id: int) -> Run | None:
        known = self.runs.get((repository.lower(), run_id))
        if known is None and self.settings.auto_runs:
            known = self.add_run(Run(repository=repository, run_id=run_id, created_at=self.ago(UNSEEN_S)))
        return known

    def ago(self, seconds: float) -> str:
        return instant(self.clock() - seconds)

    def run_again(self, run: Run) -> None:
        """Another attempt, with deployments of its own."""
        environments = list(run.gates)
        run.past.extend(run.gates.values())
        run.attempt, run.conclusion, run.created_at, run.gates = run.attempt + 1, None, instant(self.clock()), {}
        for environment in environments:
            run.gate(environment)

    def issue_token(self, installation: str, permissions: dict[str, str]) -> tuple[str, Token]:
        value = "ghs_" + secrets.token_hex(18)
        token = Token(installation=installation, expires_at=self.clock() + TOKEN_LIFETIME_S, permissions=permissions)
        self.tokens[value] = token
        return value, token

    def installation_of(self, repository: str) -> str | None:
        """Where every installation sees everything, any number will do."""
        if self.settings.installations is None:
            return "1"
        return next((name for name in self.settings.installations if self.sees(name, repository)), None)

    def sees(self, installation: str, repository: str) -> bool:
        granted = self.settings.installations
        return granted is None or repository.lower() in [r.lower() for r in granted.get(installation, [])]

    def decide(self, run: Run, gate: Gate, state: State, comment: str) -> Decision:
        decision = Decision(
            repository=run.repository,
            run_id=run.run_id,
            environment=gate.environment,
            state=state,
            comment=comment,
            decided_by=f"{self.settings.app_slug}[bot]",
            at=self.clock(),
            effective=not gate.decisions,
        )
        gate.decisions.append(decision)
        return decision

    def decisions(self) -> list[Decision]:
        every = [d for run in self.runs.values() for gate in run.gates.values() for d in gate.decisions]
        return sorted(every, key=lambda decision: decision.at)

    def counts(self) -> dict[str, int]:
        """`double_decisions` came to a decided gate; `conflicting` are those of them that said otherwise."""
        gates = [gate for run in self.runs.values() for gate in run.gates.values()]
        decisions, reports = self.decisions(), sum(len(gate.reports) for gate in gates)
        conflicting = [d for g in gates for d in g.decisions if d.state != g.decisions[0].state]
        return {
            "tokens": len(self.tokens),
            "callbacks": len(decisions) + reports,
            "reports": reports,
            "decisions": sum(d.effective for d in decisions),
            "double_decisions": sum(not d.effective for d in decisions),
            "conflicting": len(conflicting),
        }


def instant(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
