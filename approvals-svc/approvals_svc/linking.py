"""Makes a Slack account that of a person, once that was confirmed."""

from typing import Any

from approvals_svc import link_store
from approvals_svc.desk import Desk
from approvals_svc.tasks import Confirmed, Delivered, GivenUp, LinkAccount
from shared.db import Pool


class Linking:
    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk

    async def deliver(self, task: Any, *, look_first: bool) -> Delivered:
        """One row: the second time it is there already."""
        assert isinstance(task, LinkAccount)  # noqa: S101  # by its kind
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            known = catalog.person("slack", task.account)
            if known is not None and known.name != task.person:
                return GivenUp(f"the account is {known.name}'s by now")
            if catalog.person_named(task.person) is None:
                return GivenUp(f"the catalog knows no {task.person} any more")
            person = await link_store.link(connection, task)
        return Confirmed("linked") if person == task.person else GivenUp(f"the account is {person}'s by now")
