"""What metrics-svc tells others of its numbers. Pure."""

from collections.abc import Sequence

from metrics_svc.facts import Fact
from metrics_svc.store.buckets import Change
from shared.contracts.events import MetricChanged
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC
from shared.contracts.vocabulary import acting_origins

DELIVERIES_MAX = 10
_ACTING = acting_origins(demo=True)


def changed(changes: Sequence[Change], events: Sequence[Fact]) -> list[MetricChanged]:
    """One event for each day that is not what it was. It acts (law 9) when one of the facts behind it does."""
    newest = max(events, key=lambda event: (event.origin in _ACTING, event.received_at or event.occurred_at))
    deliveries = tuple(sorted({event.delivery for event in events})[:DELIVERIES_MAX])
    return [
        MetricChanged(
            occurred_at=newest.received_at or newest.occurred_at,
            service=change.service,
            environment=change.environment,
            day=change.day,
            revision=change.revision,
            before=change.before,
            after=change.after,
            deliveries=deliveries,
        ).stamped(
            id=_id(change),
            source=METRICS_SVC.name,
            delivery=newest.delivery,
            origin=newest.origin,
            received_at=newest.received_at,
        )
        for change in changes
    ]


def _id(change: Change) -> str:
    day = f"{change.service}:{change.environment}:{change.day}"
    return step_of_entity(service=METRICS_SVC.name, entity=f"bucket:{day}", revision=change.revision, step="changed")
