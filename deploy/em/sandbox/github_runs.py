"""The GitHub counterpart's runs and deployments over HTTP, as they are listed and looked at."""

from collections.abc import Callable
from typing import Any, Protocol

from em.sandbox.exchange import Reply
from em.sandbox.gates import Gate, Gates, Run
from em.sandbox.refusals import Body, Call, GithubRefusal

REPOSITORY = "/repos/{owner}/{repo}"
RUN = f"{REPOSITORY}/actions/runs/{{run_id:[0-9]+}}"
PAGE_MAX = 100
# The `status` values that GitHub documents for listing runs.
ENDS = ("action_required", "cancelled", "failure", "neutral", "skipped", "stale", "success", "timed_out")
STATUSES = frozenset((*ENDS, "completed", "in_progress", "pending", "queued", "requested", "waiting"))

Perform = Callable[[Call], Reply]


class Remembered(Protocol):
    """The counterpart; each of these refuses a call that proves too little."""

    gates: Gates

    def admit(self, call: Call, needs: tuple[str, str]) -> Any: ...

    def enter(self, call: Call) -> Any: ...

    def prove_app(self, call: Call) -> None: ...


class GithubRuns:
    def __init__(self, github: Remembered) -> None:
        self._github = github

    @property
    def routes(self) -> list[tuple[str, str, Perform]]:
        return [
            ("GET", "/app/installations", self._installations),
            ("GET", "/installation/repositories", self._repositories),
            ("GET", f"{REPOSITORY}/actions/runs", self._runs),
            ("GET", RUN, self._run),
            ("GET", f"{REPOSITORY}/deployments", self._deployments),
            ("GET", f"{REPOSITORY}/deployments/{{deployment_id:[0-9]+}}", self._deployment),
            ("GET", f"{REPOSITORY}/environments/{{environment}}/deployment_protection_rules", self._rules),
        ]

    def _installations(self, call: Call) -> Reply:
        self._github.prove_app(call)
        names = sorted(self._github.gates.settings.installations or {"1": []})
        return Reply(body=[{"id": int(name), "suspended_at": None} for name in _page(call, names)])

    def _repositories(self, call: Call) -> Reply:
        token = self._github.enter(call)
        gates = self._github.gates
        known = {run.repository for run in gates.runs.values()}
        names = sorted(name for name in known if gates.sees(token.installation, name))
        listed = [{"full_name": name, "archived": False} for name in _page(call, names)]
        return Reply(body={"total_count": len(names), "repositories": listed})

    def _runs(self, call: Call) -> Reply:
        self._github.admit(call, ("actions", "read"))
        status = call.query.get("status")
        if status is not None and status not in STATUSES:
            raise GithubRefusal(422, "Validation Failed")
        runs = [run for run in self._github.gates.runs.values() if run.repository == call.repository]
        found = [run for run in reversed(runs) if status in (None, run.status)]
        listed = [shown_run(run) for run in _page(call, found)]
        return Reply(body={"total_count": len(found), "workflow_runs": listed})

    def _run(self, call: Call) -> Reply:
        self._github.admit(call, ("actions", "read"))
        run = self._github.gates.run(call.repository, int(call.path["run_id"]))
        if run is None:
            raise GithubRefusal(404, "Not Found")
        return Reply(body=shown_run(run))

    def _deployments(self, call: Call) -> Reply:
        self._github.admit(call, ("deployments", "read"))
        environment, sha = call.query.get("environment"), call.query.get("sha")
        found = [
            _shown_deployment(run, gate)
            for run in reversed(self._github.gates.runs.values())
            for gate in run.gates.values()
            if run.repository == call.repository and environment in (None, gate.environment) and sha in (None, run.sha)
        ]
        return Reply(body=_page(call, found))

    def _deployment(self, call: Call) -> Reply:
        self._github.admit(call, ("deployments", "read"))
        number = int(call.path["deployment_id"])
        for run in self._github.gates.runs.values():
            for gate in (*run.gates.values(), *run.past):
                if run.repository == call.repository and gate.deployment_id == number:
                    return Reply(body=_shown_deployment(run, gate))
        raise GithubRefusal(404, "Not Found")

    def _rules(self, call: Call) -> Reply:
        """Ours is enabled where some run waits for it."""
        self._github.admit(call, ("actions", "read"))
        gates = self._github.gates
        asked = [
            gate
            for run in gates.runs.values()
            for gate in run.gates.values()
            if run.repository == call.repository and gate.environment == call.path["environment"]
        ]
        app = {"id": int(gates.settings.app_id or 0), "slug": gates.settings.app_slug}
        rules = [{"id": 3, "enabled": True, "app": app}] if any(gate.ours for gate in asked) else []
        return Reply(body={"total_count": len(rules), "custom_deployment_protection_rules": rules})


def shown_run(run: Run) -> Body:
    return {
        "id": run.run_id,
        "name": "Deploy",
        "status": run.status,
        "conclusion": run.conclusion,
        "run_attempt": run.attempt,
        "run_started_at": run.created_at,
        "created_at": run.created_at,
        "updated_at": run.created_at,
        "head_sha": run.sha,
        "head_branch": run.ref,
        "html_url": f"https://github.com/{run.repository}/actions/runs/{run.run_id}",
        "actor": {"login": run.actor, "type": "User"},
        "triggering_actor": {"login": run.triggering_actor, "type": "User"},
    }


def _shown_deployment(run: Run, gate: Gate) -> Body:
    return {
        "id": gate.deployment_id,
        "sha": run.sha,
        "ref": run.ref,
        "task": "deploy",
        "environment": gate.environment,
        "creator": {"login": run.creator, "type": "User"},
        "created_at": run.created_at,
        "updated_at": run.created_at,
    }


def _page(call: Call, found: list[Any]) -> list[Any]:
    size = min(PAGE_MAX, int(call.query.get("per_page", 30)))
    start = (int(call.query.get("page", 1)) - 1) * size
    return found[start : start + size]
