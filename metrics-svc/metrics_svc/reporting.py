"""What reports are made of: who asks them over HTTP, by command or by schedule is shown the same."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from metrics_svc import dora
from metrics_svc.flow import changes, progress
from metrics_svc.flow.signals import Signal, signals
from metrics_svc.flow_table import flow_metrics
from metrics_svc.question import Question
from metrics_svc.sprint import Found, TeamHealth, sprint_health
from metrics_svc.standup import Happened, TeamStandup, standup
from metrics_svc.store import flow, work, work_items
from metrics_svc.store.paging import ALL, Row
from metrics_svc.store.samples import samples
from metrics_svc.store.teams import of_parts
from shared.catalog import Catalog
from shared.db import Connection

FLOW = flow_metrics(people=False)


async def raised(tx: Connection, services: Sequence[str], catalog: Catalog, now: datetime) -> list[Signal]:
    return signals(await flow.open_changes(tx, services, catalog), catalog.thresholds, now)


async def standups(tx: Connection, asked: Mapping[str, Question], catalog: Catalog, now: datetime) -> list[TeamStandup]:
    """`asked`: by team, what each had when."""
    happened = {team: await _happened(tx, own, catalog) for team, own in asked.items()}
    had = [name for team, own in asked.items() for name in own.services if catalog.team_of(name) == team]
    open_now = await flow.open_changes(tx, had, catalog)
    return standup(happened, open_now, signals(open_now, catalog.thresholds, now), catalog)


async def health(tx: Connection, asked: Mapping[str, Question], catalog: Catalog, now: datetime) -> list[TeamHealth]:
    return [
        each
        for team, own in asked.items()
        for each in sprint_health(team, own, await _found(tx, own, catalog, now), catalog, now)
    ]


async def _happened(tx: Connection, own: Question, catalog: Catalog) -> Happened:
    async def merged(part: Question) -> Sequence[Row]:
        return await flow.merged_sizes(tx, part, ALL)

    async def deployed(part: Question) -> Sequence[Row]:
        return await work_items.shipped(tx, part, catalog, ALL)

    async def failed(part: Question) -> Sequence[Row]:
        return await work.failed_attempts(tx, part, catalog)

    async def incidents(part: Question) -> Sequence[Row]:
        return await work_items.incidents(tx, part, catalog, ALL)

    return Happened(
        services=own.services,
        merged=await of_parts(own, merged),
        deployed=await of_parts(own, deployed),
        failed=await of_parts(own, failed),
        incidents=await of_parts(own, incidents),
    )


async def _found(tx: Connection, own: Question, catalog: Catalog, now: datetime) -> Found:
    return Found(
        samples=await samples(tx, own, dora.METRICS),
        merged=await FLOW[changes.THROUGHPUT].found(tx, own, catalog, now),
        progress=await FLOW[progress.WIP].found(tx, own, catalog, now),
    )
