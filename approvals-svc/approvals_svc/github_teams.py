"""Reads from time to time who is in the teams of GitHub that the policy names."""

import asyncio
from datetime import timedelta
from math import inf

import msgspec

from approvals_svc import github_team_store, passed_store
from approvals_svc.calls import CallFailed, read
from approvals_svc.github_app import GithubApp
from approvals_svc.github_team import named
from approvals_svc.known_teams import KnownTeams
from approvals_svc.policies import Policies
from approvals_svc.tasks import GivenUp
from shared.db import Pool
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

TURN = "github_teams"
LOOK_S = 5.0
PAGE = 100
PAGES_MAX = 20
WANTED_FOR = timedelta(days=90)  # longer than an approval waits under the policy that it was asked under
PERMISSIONS = {"members": "read"}


class _User(msgspec.Struct):
    login: str


class GithubTeams:
    """`interval_s` goes by the database's clock for all replicas together."""

    def __init__(self, *, pool: Pool, policies: Policies, known: KnownTeams, app: GithubApp, interval_s: float) -> None:
        self._pool = pool
        self._policies = policies
        self._known = known
        self._app = app
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(min(LOOK_S, self._interval_s), self.look, stop, name="github_teams")

    async def look(self) -> None:
        """A team that the policy begins to name is read at once, the others when it is time."""
        teams = named(team for group in self._policies.content.groups.values() for team in group.teams)
        async with self._pool.acquire() as tx, tx.transaction():
            is_due = await passed_store.take_turn(tx, TURN, every_s=self._interval_s)
            known = {each.team for each in await github_team_store.members(tx) if each.age_s < inf}
            wanted = await github_team_store.want(tx, teams, forget_after_s=WANTED_FOR.total_seconds())
        for team in wanted:
            if is_due or team not in known:
                await self._read(team)
        async with self._pool.acquire() as tx:
            await self._known.look(tx)

    async def _read(self, team: str) -> None:
        """A refusal empties it: whoever is not let in can't say who is."""
        try:
            logins, problem = await self._members_of(team), ""
        except CallFailed as failed:
            logins, problem = [], failed.outcome.reason
            log.warning("github_team.not_read", team=team, problem=problem)
            if not isinstance(failed.outcome, GivenUp):
                async with self._pool.acquire() as tx:
                    await github_team_store.record_problem(tx, team, problem)
                return
        async with self._pool.acquire() as tx, tx.transaction():
            await github_team_store.record(tx, team, logins)
            if problem:
                await github_team_store.record_problem(tx, team, problem)

    async def _members_of(self, team: str) -> list[str]:
        """Raises CallFailed."""
        organization, _, slug = team.partition("/")
        installation_id = await self._app.installation_of_organization(organization)
        url = f"{self._app.api_url.rstrip('/')}/orgs/{organization}/teams/{slug}/members?per_page={PAGE}"
        found: list[str] = []
        for page in range(1, PAGES_MAX + 1):
            answer = await self._app.call(
                "GET", f"{url}&page={page}", installation_id=installation_id, permissions=PERMISSIONS
            )
            listed: list[_User] = read(answer, list[_User])
            found.extend(user.login for user in listed)
            if len(listed) < PAGE:
                return found
        raise CallFailed(GivenUp(f"it has more than {PAGE * PAGES_MAX} members"))
