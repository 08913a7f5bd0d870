"""`em provision`: streams, consumers and the proof of durability."""

from typing import TYPE_CHECKING

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from collections.abc import Callable


def provision() -> None:
    """Create or update the streams and consumers of NATS_URL, and prove that it fsyncs (NATS_MONITOR_URL)."""
    operator.run(lambda: make(SCREEN.line))


async def make(progress: "Callable[[str], None]") -> list[str]:
    """Names what was made or changed. Raises EmError."""
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
