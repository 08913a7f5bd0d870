"""The life of a service process: HTTP server and background loops start together and drain together on SIGTERM."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from shared.http import stuck
from shared.http.protocol import Protocol
from shared.telemetry import logs

log = logs.get(__name__)

Loop = Callable[[asyncio.Event], Awaitable[None]]

GRACEFUL_SHUTDOWN_S = 8
KEEP_ALIVE_S = 75  # longer than clients and balancers keep a connection: who closes first must not be us
GARBAGE_THRESHOLD = 100_000


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: the loops drain as well."""
        yield


async def serve(app: ASGIApp, *, host: str, port: int, loops: Sequence[Loop] = ()) -> None:
    """Until SIGTERM or SIGINT. A loop that fails ends the process: better restarted than half alive."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=Protocol,
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
            lifespan="off",
        )
    )
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        running = [group.create_task(_run(loop, stop)) for loop in (stuck.run, *loops)]
        stopping = group.create_task(stop.wait())
        _settle_garbage()
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stop.set()  # also when the server ended by itself, e.g. because its port is taken
        await asyncio.wait([*running, stopping])
        server.should_exit = True
    log.info("service.stopped")
    if not server.started:
        raise SystemExit(1)


def _settle_garbage() -> None:
    """What was built at the start stays: the collector need not walk it again with every few hundred requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 100)


async def _run(loop: Loop, stop: asyncio.Event) -> None:
    await loop(stop)
