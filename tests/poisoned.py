"""A consumer process whose handler meets poison: `python -m tests.poisoned`, addresses in the environment.

An incident named `raise-…` makes it raise, `hang-…` hang, `kill-…` die at once; every other is recorded.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import timedelta

from shared.bus import Consumer
from shared.contracts.events import IncidentOpened
from shared.db import Connection
from shared.telemetry import logs
from tests.workbench import DURABLE, open_workbench, record


async def meet(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
    await record(incidents, tx)
    for incident in incidents:
        match incident.incident_id.partition("-")[0]:
            case "raise":
                raise ZeroDivisionError("poison")
            case "hang":
                await asyncio.Event().wait()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    environment = os.environ
    async with open_workbench(
        environment["NATS_URL"], environment["DATABASE_URL"], environment["NATS_PREFIX"]
    ) as bench:
        consumer = Consumer(
            bus=bench.bus,
            pool=bench.pool,
            durable=DURABLE,
            handlers={IncidentOpened: meet},
            handler_timeout=timedelta(seconds=0.5),
        )
        await consumer.run(stop)


if __name__ == "__main__":
    logs.configure(service="poisoned", version="0", log_format="text", level="info")
    asyncio.run(main())
