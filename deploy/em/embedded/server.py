"""A program as a server of tests: started, stopped, killed and started again from any event loop."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from em import logs, probe, processes
from em.errors import StartFailed
from em.program import Program

POLL_S = 0.01


class Server:
    """Tied to no event loop, so that a fixture of a session may be stopped inside a test."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Returns when ready; raises StartFailed with the end of the log."""
        if self._process:
            return
        self._process = self._spawn()
        await self._until_ready(self._process)

    def crashed(self) -> bool:
        """It died by itself; a new start is allowed then."""
        if self._process is None or self._process.poll() is None:
            return False
        self._process = None
        return True

    async def stop(self) -> None:
        """As the stack stops it, killed after its deadline."""
        if not self._process:
            return
        self._process.send_signal(self.program.stop_signal)
        if not await _exits(self._process, within_s=self.program.stop_deadline_s):
            await self.kill()
        self.exit_code = self._process.returncode if self._process else None
        self._process = None

    async def kill(self) -> None:
        """A crash: SIGKILL to the process and its children at once."""
        if not self._process:
            return
        orphans = processes.children(self._process.pid)
        self._process.kill()
        for pid in orphans:
            processes.send(pid, signal.SIGKILL)
        self._process.wait()
        await processes.until_gone(orphans, within_s=self.program.stop_deadline_s)
        self._process = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with logs.open_log(Path(self.program.log_path)) as log:
            return subprocess.Popen(
                self.program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self.program.spawn_options,
            )

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + self.program.ready.deadline_s
        answer = probe.Answer(False)
        while process.poll() is None and time.monotonic() < give_up_at:
            answer = await probe.ask(self.program.ready)
            if answer.ok:
                return
            await asyncio.sleep(POLL_S)
        code = process.poll()
        await self.kill()
        reason = answer.detail if code is None else f"exited with code {code}"
        detail = "\n".join(logs.tail(Path(self.program.log_path), lines=20))
        raise StartFailed(f"{self.program.name} did not start: {reason}", detail=detail)


async def _exits(process: subprocess.Popen[bytes], *, within_s: float) -> bool:
    try:
        await asyncio.to_thread(process.wait, within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
