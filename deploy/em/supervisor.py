"""The supervisor process: brings a plan up wave by wave, keeps it up, takes it down. Imports little: it stays."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from em import processes, state
from em.errors import StartFailed
from em.home import Home
from em.keeper import Keeper, Pace
from em.program import Plan
from em.state import State

PACE = Pace()


class Supervisor:
    """`changed` is called with the whole state after every change."""

    def __init__(self, plan: Plan, *, pace: Pace, changed: Callable[[State], None]) -> None:
        self._waves = [[Keeper(program, pace=pace, log=self._log) for program in wave] for wave in plan.waves]
        self._changed = changed
        self._stop_asked = asyncio.Event()
        self.state = State(
            pid=os.getpid(),
            started=processes.identity(os.getpid()) or "",
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            ports=dict(plan.ports),
            urls=dict(plan.urls),
            programs=[keeper.state for wave in self._waves for keeper in wave],
        )

    def stop(self) -> None:
        self._stop_asked.set()

    async def run(self) -> bool:
        """Until `stop` is called; False when the stack did not get ready (the state says why)."""
        self._enter(state.STARTING)
        starting = asyncio.create_task(self._start())
        stop_asked = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({starting, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        try:
            await starting
            await stop_asked
        except StartFailed as failure:
            self.state.error, self.state.detail = f"{failure.message}\n{failure.hint}".strip(), failure.detail
        except asyncio.CancelledError:
            self._log("stack.start_interrupted")
        finally:
            await self._stop()
        self._enter(state.FAILED if self.state.error else state.STOPPED)
        stop_asked.cancel()
        return not self.state.error

    async def _start(self) -> None:
        for wave in self._waves:
            starts = [asyncio.create_task(keeper.start()) for keeper in wave]
            try:
                await asyncio.gather(*starts)
            finally:
                for start in starts:
                    start.cancel()
        self._enter(state.READY)

    async def _stop(self) -> None:
        self._enter(state.STOPPING)
        for wave in reversed(self._waves):
            await asyncio.gather(*(keeper.stop() for keeper in wave))

    def _enter(self, phase: str) -> None:
        self.state.phase = phase
        self._log(f"stack.{phase}", error=self.state.error)

    def _log(self, event: str, **fields: object) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"time": time, "event": event, **fields}), file=sys.stderr, flush=True)
        self._changed(self.state)


async def supervise(home: Home, plan: Plan) -> bool:
    supervisor = Supervisor(plan, pace=PACE, changed=lambda now: _write(now, home))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # ignoring it would be inherited by every program
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    return await supervisor.run()


def _write(now: State, home: Home) -> None:
    """A full disk must not end the supervision."""
    try:
        now.write(home)
    except OSError as error:
        print(json.dumps({"event": "state.not_written", "error": str(error)}), file=sys.stderr, flush=True)


def main() -> int:
    """`python -m em.supervisor DIRECTORY`, with the plan on standard input; outlives the terminal."""
    home = Home(Path(sys.argv[1]))
    plan = Plan.from_json(sys.stdin.read())
    return 0 if asyncio.run(supervise(home, plan)) else 1


if __name__ == "__main__":
    sys.exit(main())
