"""`em provision`: streams, consumers and the proof of durability; with --watch, kept whole."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from collections.abc import Callable

WATCH_EVERY_S = 3.0


def provision(
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and make anew what vanishes.")] = False,
) -> None:
    """Create or update the streams and consumers of NATS_URL, and prove that it fsyncs (NATS_MONITOR_URL)."""
    if watch:
        operator.run(_watch)
    else:
        operator.run(lambda: _provision(SCREEN.line))


async def _provision(progress: "Callable[[str], None]") -> list[str]:
    from em.durability import prove
    from shared.bus.connection import open_operator
    from shared.bus.provision import ServerTooOld, provision
    from shared.settings import OperatorSettings, load

    settings = load(OperatorSettings)
    async with open_operator(settings) as bus:
        proof = await prove(settings, server_id=_server_id(bus.connection))
        try:
            return await provision(bus, proof, progress=progress)
        except ServerTooOld as error:
            raise EmError(str(error)) from error


def _server_id(connection: object) -> str:
    """nats-py tells it nowhere else."""
    info: dict[str, str] = getattr(connection, "_server_info", {})
    return info.get("server_id", "")


async def _watch() -> None:
    """What can't be done now is told, and tried again."""
    import nats.errors

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        try:
            for name in await _provision(lambda _: None):
                SCREEN.line(f"made anew: {name}")
        except (EmError, OSError, TimeoutError, nats.errors.Error) as error:
            SCREEN.line(f"cannot provision: {error}")
        try:
            async with asyncio.timeout(WATCH_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue
