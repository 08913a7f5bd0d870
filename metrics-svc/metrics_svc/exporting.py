"""The numbers of the last 30 days for Prometheus, read anew in the background: a scrape costs no query.

Every process exports the same numbers, since they are the database's: take `max` over replicas, not `sum`.
"""

import asyncio
from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics_svc import answers, dora
from metrics_svc.answers import DoraRow
from metrics_svc.dora import Samples
from metrics_svc.question import Question
from metrics_svc.store import buckets, reading
from metrics_svc.store.known import snapshot
from metrics_svc.store.samples import samples
from metrics_svc.store.teams import team_samples
from metrics_svc.window import DEFAULT_DAYS, last_days
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs

log = logs.get(__name__)

READ_EVERY_S = 15.0
_NAMES: Mapping[str, tuple[str, str]] = {
    dora.LEAD_TIME: ("dora_change_lead_time_seconds", "First commit to production, by quantile"),
    dora.FREQUENCY: ("dora_deployments_per_day", "Successful production deployments a day"),
    dora.FAIL_RATE: ("dora_change_fail_ratio", "Failed deployments, of all"),
    dora.RECOVERY_TIME: ("dora_failed_deployment_recovery_seconds", "Failed deployment to recovery, by quantile"),
    dora.REWORK_RATE: ("dora_deployment_rework_ratio", "Rollbacks, reverts and hotfixes, of all deployments"),
}


class Exporter(Collector):
    """A loop of the service, and what the registry asks at a scrape."""

    def __init__(self, pool: Pool, catalogs: CurrentCatalog) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._rows: list[DoraRow] = []
        self._totals: Mapping[tuple[str, str], buckets.Total] = {}

    async def run(self, stop: asyncio.Event) -> None:
        REGISTRY.register(self)
        try:
            while not await pause(stop, READ_EVERY_S if self._rows else 1.0):
                try:
                    await self.read()
                except INFRASTRUCTURE_ERRORS as error:
                    log.warning("export.stalled", error=repr(error))
        finally:
            REGISTRY.unregister(self)

    async def read(self) -> None:
        catalog = self._catalogs.catalog
        async with self._pool.acquire() as tx, snapshot(tx):
            services = await reading.services(tx, catalog)
            question = Question(services=services, window=last_days(DEFAULT_DAYS, await reading.now(tx)))
            found = await samples(tx, question, dora.METRICS)
            mine = await team_samples(tx, question, found, catalog, dora.METRICS)
            self._totals = await buckets.totals(tx)
        self._rows = [row for team, (own, had) in mine.items() for row in _rows(team, own, had)]

    def collect(self) -> Iterable[Metric]:
        labels = ["service", "team", "metric"]
        counted = GaugeMetricFamily("dora_samples", "What a number is computed from", labels=labels)
        for metric, (name, told) in _NAMES.items():
            rows = [row for row in self._rows if row.metric == metric]
            spread = ["quantile"] if any(row.unit == "seconds" for row in rows) else []
            family = GaugeMetricFamily(name, f"{told}; the last 30 days", labels=["service", "team", *spread])
            for row in rows:
                counted.add_metric([row.service, row.team, metric], row.n)
                for quantile, value in _values(row):
                    family.add_metric([row.service, row.team, *quantile], value)
            yield family
        yield counted
        yield from self._counters()

    def _counters(self) -> Iterable[Metric]:
        done = CounterMetricFamily(
            "dora_deployments", "Deployments that count, ever", labels=["service", "environment", "result"]
        )
        for (service, environment), total in self._totals.items():
            done.add_metric([service, environment, "failed"], total.failed)
            done.add_metric([service, environment, "sound"], total.deployments - total.failed)
        yield done


def _rows(team: str, own: Question, had: Mapping[tuple[str, int], Samples]) -> list[DoraRow]:
    """Of a service that was handed over there are those of each team, each of what it had."""
    measured = answers.measure(own, had, None, dora.METRICS)
    return answers.rows(own, measured, dict.fromkeys(own.services, team), dora.METRICS, None)


def _values(row: DoraRow) -> Iterable[tuple[list[str], float]]:
    """Nothing to measure is no series, not a zero."""
    if row.value is None:
        return
    if row.unit != "seconds":
        yield [], row.value
        return
    for quantile, value in (("0.5", row.p50), ("0.75", row.p75), ("0.9", row.p90), ("0.95", row.p95)):
        if value is not None:
            yield [quantile], value
