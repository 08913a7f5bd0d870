"""Provisioning for tests: their servers fsync, and the tests of `em provision` look whether it sees that."""

from datetime import UTC, datetime

from shared.bus.connection import open_operator
from shared.bus.durability import Proof
from shared.bus.provision import provision
from shared.settings import ServiceSettings

ATTESTED = Proof(how="attested", checked_at=datetime(2026, 1, 1, tzinfo=UTC))


async def provisioned(nats_url: str, prefix: str) -> list[str]:
    """What had to be made."""
    async with open_operator(ServiceSettings(nats_url=nats_url, nats_prefix=prefix)) as bus:
        return await provision(bus, ATTESTED, progress=lambda _: None)
