"""What a flow metric is: a name, and how to measure and to itemise it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from metrics_svc.flow.row import FlowRow
from metrics_svc.question import Question
from metrics_svc.store.paging import Row, Wanted, in_parts
from metrics_svc.store.teams import of_parts
from shared.catalog import Catalog
from shared.db import Connection


class FlowMetric(msgspec.Struct, frozen=True, kw_only=True):
    """`read` finds what the `rows` of numbers are made of, each a struct that names its service; `lists` a page of it.

    Both are asked part by part of a question. `lacks`: fields of a question that say nothing of what is measured, and
    are refused.
    """

    name: str
    help: str
    unit: str
    read: Callable[[Connection, Question, Catalog, datetime], Awaitable[Sequence[Any]]]
    rows: Callable[[Sequence[Any], Question, datetime], list[FlowRow]]
    lists: Callable[[Connection, Question, Catalog, datetime, Wanted], Awaitable[Sequence[Row]]]
    lacks: Sequence[str] = ()

    @property
    def of_changes(self) -> bool:
        """What knows no class of authors knows no authors."""
        return "author_class" not in self.lacks

    async def measure(
        self, tx: Connection, question: Question, catalog: Catalog, now: datetime, team: str = ""
    ) -> list[FlowRow]:
        """Every service, then the team that was asked about (its service is empty), over all that its services had."""
        found = await self.found(tx, question, catalog, now)
        rows = self.rows(found, question, now)
        if team:
            together = [msgspec.structs.replace(each, service="") for each in found]
            rows += self.rows(together, msgspec.structs.replace(question, services=("",)), now)
        return [msgspec.structs.replace(row, team=team or catalog.team_of(row.service)) for row in rows]

    async def found(self, tx: Connection, question: Question, catalog: Catalog, now: datetime) -> list[Any]:
        async def read(part: Question) -> Sequence[Any]:
            return await self.read(tx, part, catalog, now)

        return await of_parts(question, read)

    async def items(
        self, tx: Connection, question: Question, catalog: Catalog, now: datetime, wanted: Wanted
    ) -> Sequence[Row]:
        """What made the numbers of `measure`, each with the delivery that told of it."""

        async def read(part: Question) -> Sequence[Row]:
            return await self.lists(tx, part, catalog, now, wanted)

        return await in_parts(question, wanted, read)
