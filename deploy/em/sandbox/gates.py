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
State = Literal["approved", "rejected"]
# What the App is granted: see "Permissions required for GitHub Apps".
GRANTED = {"actions": "read", "deployments": "write", "metadata": "read"}


class GithubSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`installations` null: every installation id sees every repository.

    `second_decision_status` answers a decision on a decided gate: GitHub documents only 204.
    """

    app_id: str | None = None
    public_key: str | None = None
    app_slug: str = "em-agent"
    auto_runs: bool = False
    installations: dict[str, list[str]] | None = None
    second_decision_status: int = 204

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


class Gate(msgspec.Struct, kw_only=True):
    environment: str
    id: int
    reports: list[str] = []
    decisions: list[Decision] = []


class Run(msgspec.Struct, kw_only=True):
    repository: str
    run_id: int
    created_at: str
    gates: dict[str, Gate] = {}

    def gate(self, environment: str) -> Gate:
        """The gate of that environment, which is opened when the run has none yet."""
        if environment not in self.gates:
            self.gates[environment] = Gate(environment=environment, id=self.run_id * 10 + len(self.gates) + 1)
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

    def add_run(self, repository: str, run_id: int, environments: list[str]) -> Run:
        run = Run(repository=repository, run_id=run_id, created_at=instant(self.clock()))
        for environment in environments:
            run.gate(environment)
        self.runs[repository.lower(), run_id] = run
        return run

    def run(self, repository: str, run_id: int) -> Run | None:
        known = self.runs.get((repository.lower(), run_id))
        if known is None and self.settings.auto_runs:
            return self.add_run(repository, run_id, [])
        return known

    def issue_token(self, installation: str, permissions: dict[str, str]) -> tuple[str, Token]:
        value = "ghs_" + secrets.token_hex(18)
        token = Token(installation=installation, expires_at=self.clock() + TOKEN_LIFETIME_S, permissions=permissions)
        self.tokens[value] = token
        return value, token

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
