"""Keeps GitHub posted on what waits there. A courtesy: it holds up no vote and no answer, and may go missing."""

import asyncio
from datetime import timedelta

from approvals_svc import report_store, reporting, store
from approvals_svc.callback_url import rule_url
from approvals_svc.calls import CallFailed
from approvals_svc.desk import Desk
from approvals_svc.gate_rules import UnsafeReference
from approvals_svc.gates import DEPLOY
from approvals_svc.github_app import GithubApp
from approvals_svc.github_gate import SOURCE
from approvals_svc.model import Approval
from approvals_svc.reporting import RETRY, Report
from approvals_svc.tasks import Unknown
from shared.db import Pool
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

POLL_S = 2.0  # votes that come faster are told of together
BATCH_MAX = 20
AGAIN_AFTER = (timedelta(minutes=1), timedelta(minutes=10))
PERMISSIONS = {"deployments": "write"}


class Reports:
    """One per process; each change is told by one of them."""

    def __init__(self, *, pool: Pool, desk: Desk, app: GithubApp) -> None:
        self._pool = pool
        self._desk = desk
        self._app = app

    async def run(self, stop: asyncio.Event) -> None:
        async def look() -> None:
            while await self.report_some() == BATCH_MAX and not stop.is_set():
                pass

        await look_every(POLL_S, look, stop, name="reports")

    async def report_some(self) -> int:
        """How many changes were looked at."""
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            changed = await report_store.lock_changed(connection, source=SOURCE, action=DEPLOY, limit=BATCH_MAX)
            due: list[tuple[Approval, Report, tuple[str, ...]]] = []
            for each in changed:
                report = reporting.report(each.approval, catalog, told=each.told, is_reminded=each.is_reminded)
                await report_store.note_told(connection, each.approval, report.told if report else ())
                if report:
                    due.append((each.approval, report, each.told))
        async with asyncio.TaskGroup() as group:
            for approval, report, before in due:
                group.create_task(self._tell(approval, report, before))
        return len(changed)

    async def _tell(self, approval: Approval, report: Report, before: tuple[str, ...]) -> None:
        try:
            await self._post(approval, report.text)
        except CallFailed as problem:
            log.warning("report.failed", approval_id=approval.id, told=report.told, reason=problem.outcome.reason)
            if isinstance(problem.outcome, Unknown) and reporting.can_retry(before):
                await self._put_back(approval, report, before)
        except UnsafeReference as unsafe:
            log.warning("report.failed", approval_id=approval.id, told=report.told, reason=str(unsafe))
        else:
            log.info("report.told", approval_id=approval.id, told=report.told)

    async def _post(self, approval: Approval, text: str) -> None:
        """Without a state it decides nothing."""
        subject = approval.subject
        url = rule_url(self._app.api_url, repository=subject.repository, run_id=subject.payload["run_id"])
        body = {"environment_name": subject.environment, "comment": text}
        installation_id = subject.payload["installation_id"]
        if not self._app.can_spare(installation_id):
            raise CallFailed(Unknown("little is left of the rate limit"))
        await self._app.call("POST", url, installation_id=installation_id, permissions=PERMISSIONS, body=body)

    async def _put_back(self, approval: Approval, report: Report, before: tuple[str, ...]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            again_at = await store.clock(connection) + AGAIN_AFTER[before.count(RETRY)]
            await report_store.take_back(connection, approval.id, report.told, instead=RETRY, again_at=again_at)
