"""Archive each delivery with its one disposition, and say the events that it holds."""

from collections.abc import Sequence

from normalizer import store
from normalizer.disposition import Dead, Disposition, Events, Untranslatable, label
from normalizer.translation import translate
from shared.bus import Reject
from shared.contracts.envelope import Outgoing, RawDelivery, event_message
from shared.contracts.events import Event
from shared.contracts.ids import caused_by_delivery
from shared.contracts.subjects import Subjects
from shared.db import Connection
from shared.telemetry import metrics


class Deliveries:
    """Handlers of raw deliveries."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    async def on_delivery(self, deliveries: Sequence[RawDelivery], tx: Connection) -> list[Outgoing]:
        """Returns the events to publish before the acknowledgement; a redelivery returns the same ids again."""
        translated = [(delivery, _translate(delivery)) for delivery in deliveries]
        _count(await store.archive(tx, translated))
        return [
            event_message(event, self._subjects)
            for delivery, disposition in translated
            if isinstance(disposition, Events)
            for event in stamp(delivery, disposition.events)
        ]

    async def on_dead(self, delivery: RawDelivery, reason: str, tx: Connection) -> None:
        """The batch of a dead letter was rolled back, or said too much to be published: its row tells (law 2)."""
        _count(await store.archive(tx, [(delivery, Dead(reason))]))
        await store.bury(tx, delivery, reason)


def stamp(delivery: RawDelivery, events: Sequence[Event]) -> list[Event]:
    """Ordinals count in body order, so that a replay yields the same ids."""
    return [
        event.stamped(
            id=caused_by_delivery(
                source=delivery.source, delivery=delivery.delivery, sha256=delivery.sha256, ordinal=ordinal
            ),
            source=delivery.source,
            delivery=delivery.delivery,
            origin=delivery.origin,
            received_at=delivery.received_at,
        )
        for ordinal, event in enumerate(events)
    ]


def _translate(delivery: RawDelivery) -> Disposition:
    try:
        return translate(delivery)
    except Untranslatable as error:
        raise Reject(str(error), of=delivery) from None


def _count(dispositions: Sequence[Disposition]) -> None:
    for disposition in dispositions:
        kind, reason = label(disposition)
        metrics.dispositions.labels(disposition=kind, reason="" if kind == "dead" else reason).inc()
