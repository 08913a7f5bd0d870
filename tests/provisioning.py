"""Provisioning for tests: their servers fsync, and the tests of `em provision` look whether it sees that."""

from datetime import UTC, datetime

import nats

from shared.bus.connection import open_operator
from shared.bus.durability import Proof
from shared.bus.provision import provision
from shared.settings import ServiceSettings

ATTESTED = Proof(how="attested", checked_at=datetime(2026, 1, 1, tzinfo=UTC))


async def provisioned(nats_url: str, prefix: str) -> list[str]:
    """What had to be made."""
    async with open_operator(ServiceSettings(nats_url=nats_url, nats_prefix=prefix)) as bus:
        return await provision(bus, ATTESTED, progress=lambda _: None)


async def removed(nats_url: str, prefix: str) -> None:
    """All its streams: each reserves room on the server's disk."""
    connection = await nats.connect(nats_url)
    js = connection.jetstream()
    upper = prefix.upper()
    for stream in await js.streams_info():
        if (stream.config.name or "").startswith((f"{upper}_", f"KV_{upper}_", f"OBJ_{upper}_")):
            await js.delete_stream(stream.config.name or "")
    await connection.close()
