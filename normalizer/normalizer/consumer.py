"""What normalizer consumes: raw deliveries. It is the only `again` consumer: a pure translation needs no inbox."""

from normalizer.handlers import Deliveries
from shared.bus import Bus, Consumer
from shared.contracts.envelope import RawDelivery
from shared.contracts.streams import NORMALIZER_RAW
from shared.db import Pool


def build(bus: Bus, pool: Pool) -> Consumer:
    deliveries = Deliveries(bus.subjects)
    return Consumer(
        bus=bus,
        pool=pool,
        durable=NORMALIZER_RAW,
        handlers={RawDelivery: deliveries.on_delivery},
        on_dead=deliveries.on_dead,
        once=False,
    )
