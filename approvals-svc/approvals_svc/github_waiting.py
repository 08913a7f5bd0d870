"""What waits at GitHub, asked of GitHub itself: runs, their environments, who answered, and which rules are ours."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from approvals_svc.callback_url import deployment_url, repository_url, run_url
from approvals_svc.calls import read
from approvals_svc.github_app import GithubApp

PERMISSIONS = {"actions": "read", "deployments": "read"}
PAGE_SIZE = 100
PAGES_MAX = 10
REPOSITORIES_KNOWN_S = 600.0
RULES_KNOWN_S = 600.0
OVER = "completed"
WAITING = "waiting"


class Login(msgspec.Struct):
    login: str


class Run(msgspec.Struct, kw_only=True):
    """`run_started_at` is the begin of its newest attempt."""

    id: int
    status: str
    head_sha: str
    run_started_at: datetime
    conclusion: str | None = None
    html_url: str = ""
    actor: Login | None = None
    triggering_actor: Login | None = None

    @property
    def who(self) -> str:
        person = self.triggering_actor or self.actor
        return person.login if person else ""

    @property
    def starters(self) -> list[str]:
        """Who began it, and who began its newest attempt."""
        return [person.login for person in (self.actor, self.triggering_actor) if person]


class Deployment(msgspec.Struct, kw_only=True):
    id: int
    sha: str
    ref: str
    created_at: datetime
    task: str = ""
    environment: str = ""
    creator: Login | None = None


class _Environment(msgspec.Struct):
    name: str


class Review(msgspec.Struct, kw_only=True):
    state: str
    comment: str | None = None
    user: Login | None = None
    environments: list[_Environment] = []

    def is_about(self, environment: str) -> bool:
        return any(each.name == environment for each in self.environments)


class _Pending(msgspec.Struct):
    environment: _Environment


class _Installation(msgspec.Struct):
    id: int
    suspended_at: str | None = None


class _Repository(msgspec.Struct):
    full_name: str
    archived: bool = False


class _Repositories(msgspec.Struct):
    repositories: list[_Repository]


class _Runs(msgspec.Struct):
    workflow_runs: list[Run]


class _App(msgspec.Struct):
    id: int


class _Rule(msgspec.Struct):
    enabled: bool
    app: _App


class _Rules(msgspec.Struct):
    custom_deployment_protection_rules: list[_Rule] = []


class GithubWaiting:
    """Every method raises CallFailed, and UnsafeReference for a name that no URL is built from."""

    def __init__(self, app: GithubApp) -> None:
        self._app = app
        self._repositories: dict[str, tuple[list[str], float]] = {}
        self._ours: dict[tuple[str, str], tuple[bool, float]] = {}

    async def installations(self) -> list[str]:
        """Those that are not suspended."""
        found = await self._app.call_as_app("GET", f"{self._base}/app/installations?{_query(per_page=PAGE_SIZE)}")
        return [str(each.id) for each in read(found, list[_Installation]) if each.suspended_at is None]

    async def repositories(self, installation_id: str) -> list[str]:
        known, until = self._repositories.get(installation_id, ([], 0.0))
        if time.monotonic() < until:
            return known
        names: list[str] = []
        for page in range(1, PAGES_MAX + 1):
            url = f"{self._base}/installation/repositories?{_query(per_page=PAGE_SIZE, page=page)}"
            listed = (await self._get(installation_id, url, _Repositories)).repositories
            names += [each.full_name for each in listed if not each.archived]
            if len(listed) < PAGE_SIZE:
                break
        self._repositories[installation_id] = (names, time.monotonic() + REPOSITORIES_KNOWN_S)
        return names

    async def runs(self, installation_id: str, repository: str, *, status: str) -> list[Run]:
        """Waiting ones among the newest; `status` empty: GitHub is not asked to choose them."""
        query = _query(per_page=PAGE_SIZE, **({"status": status} if status else {}))
        url = f"{repository_url(self._base, repository)}/actions/runs?{query}"
        found = (await self._get(installation_id, url, _Runs)).workflow_runs
        return [run for run in found if run.status == (status or WAITING)]

    async def run(self, installation_id: str, repository: str, run_id: str) -> Run:
        found: Run = await self._get(installation_id, run_url(self._base, repository=repository, run_id=run_id), Run)
        return found

    async def deployment_by_id(self, installation_id: str, repository: str, deployment_id: str) -> Deployment:
        url = deployment_url(self._base, repository=repository, deployment_id=deployment_id)
        found: Deployment = await self._get(installation_id, url, Deployment)
        return found

    async def environments(self, installation_id: str, repository: str, run_id: str) -> list[str]:
        """Which of a run's wait."""
        url = f"{run_url(self._base, repository=repository, run_id=run_id)}/pending_deployments"
        return [each.environment.name for each in await self._get(installation_id, url, list[_Pending])]

    async def reviews(self, installation_id: str, repository: str, run_id: str) -> Sequence[Review]:
        url = f"{run_url(self._base, repository=repository, run_id=run_id)}/approvals"
        found: list[Review] = await self._get(installation_id, url, list[Review])
        return found

    async def is_ours(self, installation_id: str, repository: str, environment: str) -> bool:
        """Whether a rule of this App guards it: others may be waited for as well."""
        known, until = self._ours.get((repository, environment), (False, 0.0))
        if time.monotonic() < until:
            return known
        name = quote(environment, safe="")
        url = f"{repository_url(self._base, repository)}/environments/{name}/deployment_protection_rules"
        rules = (await self._get(installation_id, url, _Rules)).custom_deployment_protection_rules
        found = any(rule.enabled and str(rule.app.id) == self._app.app_id for rule in rules)
        self._ours[repository, environment] = (found, time.monotonic() + RULES_KNOWN_S)
        return found

    async def deployment(self, installation_id: str, repository: str, run: Run, environment: str) -> Deployment | None:
        """The newest of the run's commit in the environment, made by the run's newest attempt."""
        query = _query(environment=environment, sha=run.head_sha, per_page=PAGE_SIZE)
        url = f"{repository_url(self._base, repository)}/deployments?{query}"
        found: list[Deployment] = await self._get(installation_id, url, list[Deployment])
        made = [each for each in found if each.created_at >= run.run_started_at]
        return max(made, key=lambda each: (each.created_at, each.id), default=None)

    @property
    def _base(self) -> str:
        return self._app.api_url.rstrip("/")

    async def _get(self, installation_id: str, url: str, kind: Any) -> Any:
        answer = await self._app.call("GET", url, installation_id=installation_id, permissions=PERMISSIONS)
        return read(answer, kind)


def _query(**parameters: object) -> str:
    return urlencode(parameters)
