"""Looks once a minute what waits at GitHub: finds gates whose webhook never came, and ends those that wait no more.

GitHub sends no delivery twice by itself: without this a lost one is a deployment that waits for nobody.
"""

import asyncio
from collections.abc import Awaitable, Collection
from datetime import datetime, timedelta

from approvals_svc import passed_store, store
from approvals_svc.audit import Actor
from approvals_svc.calls import CallFailed
from approvals_svc.desk import Desk
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.github_app import GithubApp
from approvals_svc.github_gate import SOURCE
from approvals_svc.github_waiting import OVER, WAITING, Deployment, GithubWaiting, Run
from approvals_svc.handlers import Handlers
from approvals_svc.passed_store import Waiting
from shared.contracts.events import DeploymentRequested, Gate
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.db import Pool
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

POLL_S = 1.0
TURN = "github_sweep"
LASTS_MAX_S = 50.0  # less than a minute: the next one must not wait for it
REPOSITORIES_MAX = 50  # of an installation in one sweep: those that ask here first, then who waited longest
WAITING_MAX = 50
SETTLED_AFTER = timedelta(minutes=2)  # younger gates may not be listed yet


class Sweep:
    """`interval_s` goes by the database's clock for all replicas together. `status`: see GITHUB_SWEEP_STATUS."""

    def __init__(
        self,
        *,
        pool: Pool,
        desk: Desk,
        handlers: Handlers,
        app: GithubApp,
        installations: Collection[str],
        interval_s: float,
        status: str,
        settled_after: timedelta = SETTLED_AFTER,
    ) -> None:
        self._pool = pool
        self._desk = desk
        self._handlers = handlers
        self._app = app
        self._github = GithubWaiting(app)
        self._installations = installations
        self._interval_s = interval_s
        self._status = status
        self._settled_after = settled_after
        self._looks = 0
        self._looked_at: dict[str, int] = {}  # repository -> which look of ours was the last at it

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(min(POLL_S, self._interval_s), self.sweep_if_due, stop, name="sweep")

    async def sweep_if_due(self) -> bool:
        """False: it is not yet time, or another replica does it."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await passed_store.take_turn(connection, TURN, every_s=self._interval_s):
                return False
        try:
            async with asyncio.timeout(LASTS_MAX_S):
                await self._sweep()
        except TimeoutError:
            log.warning("sweep.cut_short", after_s=LASTS_MAX_S)
        return True

    async def _sweep(self) -> None:
        await self._find_missed()
        async with self._pool.acquire() as connection:
            waiting = await passed_store.settled(connection, SOURCE, after=self._settled_after, limit=WAITING_MAX)
        for each in waiting:
            await self._guarded(each.repository, self._check(each))

    # ---- gates that nobody told us of --------------------------------------------------------------------------

    async def _find_missed(self) -> None:
        try:
            installations = await self._github.installations()
        except CallFailed as problem:
            log.warning("sweep.failed", reason=problem.outcome.reason)
            return
        for installation_id in installations:
            if not self._installations or installation_id in self._installations:
                await self._guarded(installation_id, self._look_at_all(installation_id))

    async def _look_at_all(self, installation_id: str) -> None:
        repositories = await self._github.repositories(installation_id)
        async with self._pool.acquire() as connection:
            asking = await passed_store.asking_repositories(connection, SOURCE)
        ordered = sorted(repositories, key=lambda name: (name not in asking, self._looked_at.get(name, 0)))
        for repository in ordered[:REPOSITORIES_MAX]:
            if not self._app.can_spare(installation_id):
                log.warning("sweep.spares_the_rate_limit", installation_id=installation_id)
                return
            self._looks += 1
            self._looked_at[repository] = self._looks
            await self._guarded(repository, self._look_at(installation_id, repository))

    async def _look_at(self, installation_id: str, repository: str) -> None:
        for run in await self._github.runs(installation_id, repository, status=self._status):
            for environment in await self._github.environments(installation_id, repository, str(run.id)):
                if await self._is_missed(installation_id, repository, run, environment):
                    await self._ask(installation_id, repository, run, environment)

    async def _is_missed(self, installation_id: str, repository: str, run: Run, environment: str) -> bool:
        async with self._pool.acquire() as connection:
            is_known = await passed_store.was_asked(
                connection,
                source=SOURCE,
                repository=repository,
                run_id=str(run.id),
                environment=environment,
                since=run.run_started_at,
            )
        return not is_known and await self._github.is_ours(installation_id, repository, environment)

    async def _ask(self, installation_id: str, repository: str, run: Run, environment: str) -> None:
        """As if its webhook had come: what that would have been refused for, this is held back for."""
        deployment = await self._github.deployment(installation_id, repository, run, environment)
        if deployment is None:
            log.warning("sweep.no_deployment", repository=repository, run_id=run.id)
            return
        async with self._pool.acquire() as connection, connection.transaction():
            event = _event(installation_id, repository, run, environment, deployment, at=await store.clock(connection))
            if await passed_store.was_held(connection, event.id):
                return
            await self._handlers.on_gate_requested([event], connection)
        log.warning("sweep.missed_webhook", repository=repository, run_id=run.id, deployment_id=deployment.id)

    # ---- gates that wait here and not there --------------------------------------------------------------------

    async def _check(self, waiting: Waiting) -> None:
        place = (waiting.installation_id, waiting.repository, waiting.run_id)
        if waiting.environment in await self._github.environments(*place):
            return
        run = await self._github.run(*place)
        if run.status == OVER:
            await self._lapse(waiting, run.who, f"its run is over: {run.conclusion}")
        elif run.run_started_at > waiting.asked_at:
            await self._lapse(waiting, run.who, "its run was started again")
        elif run.status != WAITING:
            reviews = [r for r in await self._github.reviews(*place) if r.is_about(waiting.environment)]
            who = reviews[0].user.login if reviews and reviews[0].user else ""
            said = f"{who} {reviews[0].state} it at {SOURCE}" if who else "it went ahead without an answer from here"
            await self._lapse(waiting, who, said)

    async def _lapse(self, waiting: Waiting, account: str, cause: str) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            person = catalog.person(SOURCE, account) if account else None
            actor = Actor(person=person.name if person else "", identity=account, surface=SOURCE)
            await self._desk.lapse(connection, waiting.number, actor, cause=cause)
        log.info("approval.lapsed", approval_id=waiting.number, cause=cause)

    async def _guarded(self, what: str, looking: Awaitable[None]) -> None:
        """What fails in one place is looked at again in the next sweep."""
        try:
            await looking
        except CallFailed as problem:
            log.warning("sweep.failed", at=what, reason=problem.outcome.reason)
        except UnsafeReference as unsafe:
            log.warning("sweep.failed", at=what, reason=str(unsafe))


def _event(
    installation_id: str, repository: str, run: Run, environment: str, deployment: Deployment, *, at: datetime
) -> DeploymentRequested:
    return DeploymentRequested(
        id=step_of_entity(
            service=APPROVALS_SVC.name,
            entity=f"{SOURCE}:{repository}:{run.id}:{environment}:{deployment.id}",
            revision=0,
            step="missed",
        ),
        source=SOURCE,
        received_at=at,
        occurred_at=deployment.created_at,
        repository=repository,
        deployment_id=str(deployment.id),
        environment=environment,
        sha=deployment.sha,
        ref=deployment.ref,
        task=deployment.task,
        creator=deployment.creator.login if deployment.creator else "",
        actor=run.who,
        url=run.html_url,
        gate=Gate(run_id=str(run.id), callback_url="", installation_id=installation_id),
    )
