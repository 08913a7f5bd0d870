"""The answers of the API, made from what was read. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from metrics_svc import dora
from metrics_svc.dora import Deployment, Metric
from metrics_svc.window import Window


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts hold of a service and no deployment shows."""

    unlinked_changes: int = 0
    unlinked_incidents: int = 0
    unknown_environment: int = 0


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """What counts in no metric, or not in lead time, and why.

    Changes: carried by the seed, without a known first commit, deployed before their first commit (clocks), merged
    in the window and not deployed. Incidents opened in the window without a deployment in the day before.
    Deployments of the same sha again, and those to an environment that the catalog doesn't call production.
    """

    seed: int
    no_first_commit: int
    negative: int
    unlinked_changes: int
    unlinked_incidents: int
    redeploys: int
    unknown_environment: int


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    team: str
    metrics: Mapping[str, Metric]
    excluded: Excluded
    deployments: Sequence[Deployment]


class DoraAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """`incidents_without_service`: opened in the window, and nothing says which service they mean."""

    definition: str
    start: datetime
    end: datetime
    environment: str | None
    incidents_without_service: int
    services: Sequence[ServiceAnswer]


class MetricAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """One metric under its old name. `note` says where the name promises something else."""

    metric: str
    note: str
    definition: str
    days: int
    start: datetime
    end: datetime
    services: Sequence[Mapping[str, object]]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for some services and a window."""

    deployments: Mapping[str, Sequence[Deployment]]
    left_out: Mapping[str, LeftOut]
    incidents_without_service: int

    def of(self, service: str) -> Sequence[Deployment]:
        return self.deployments.get(service, ())


def service_answer(service: str, team: str, delivery: Delivery, window: Window) -> ServiceAnswer:
    deployments = delivery.of(service)
    return ServiceAnswer(
        service=service,
        team=team,
        metrics=dora.measure(deployments, window),
        excluded=_excluded(deployments, delivery.left_out.get(service, LeftOut()), window),
        deployments=deployments,
    )


def _excluded(deployments: Sequence[Deployment], left_out: LeftOut, window: Window) -> Excluded:
    finished = [d for d in deployments if window.holds(d.finished_at)]
    later = [change for d in finished if not d.seed for change in d.changes]
    return Excluded(
        seed=sum(len(d.changes) for d in finished if d.seed),
        no_first_commit=sum(change.first_commit_at is None for change in later),
        negative=sum(change.first_commit_at is not None and change.lead_time_s is None for change in later),
        redeploys=sum(d.kind == "redeploy" for d in finished),
        unlinked_changes=left_out.unlinked_changes,
        unlinked_incidents=left_out.unlinked_incidents,
        unknown_environment=left_out.unknown_environment,
    )
