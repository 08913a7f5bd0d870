"""A process with notifier's sender alone, to be killed: settings from the environment."""

import asyncio

from notifier.main import connected
from notifier.settings import Settings
from shared.catalog import Catalog
from shared.contracts.services import NOTIFIER
from shared.contracts.subjects import Subjects
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from shared.settings import load
from shared.telemetry import logs


async def main() -> None:
    settings = load(Settings)
    async with (
        open_pool(settings, NOTIFIER) as pool,
        connected(settings, pool=pool, catalogs=Pinned(Catalog()), subjects=Subjects("em")) as sender,
    ):
        await sender.run(asyncio.Event())


if __name__ == "__main__":
    logs.configure(service="sender", version="0", log_format="text", level="error")
    asyncio.run(main())
