"""One program kept running: started, watched until ready, restarted with backoff, stopped."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from em import logs, probe, processes, state
from em.errors import StartFailed
from em.program import Program
from em.state import ProgramState

NOT_EXECUTABLE = 127
TAIL_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Waits between restarts double from first to max, and begin anew after a healthy life."""

    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    healthy_s: float = 60.0
    probe_s: float = 0.05
    exits_before_ready_max: int = 3


class Keeper:
    """`log` gets an event name and fields at every change; the program's state is changed just before."""

    def __init__(self, program: Program, *, pace: Pace, log: Callable[..., None]) -> None:
        self.program = program
        self.state: ProgramState = state.of_program(program)
        self._pace = pace
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[object] | None = None
        self._spawning = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()
        self._was_ready = False
        self._answer = probe.Answer(False)
        self._log_start = 0
        self._exit_code = 0

    async def start(self) -> None:
        """Returns when ready (a step: when done). Raises StartFailed naming the program and the end of its log."""
        self._task = asyncio.create_task(self._live() if self.program.once else self._keep())
        settled = asyncio.create_task(self._settled.wait())
        waited_for = {self._task} if self.program.once else {settled}
        try:
            _, pending = await asyncio.wait(waited_for, timeout=self.program.ready.deadline_s)
        finally:
            settled.cancel()
        if pending:
            raise self._failure(f"is not ready after {self.program.ready.deadline_s:g} s", self._answer.detail)
        if self.program.once and self._exit_code == 0:
            self._note(state.DONE)
        elif not self._was_ready:
            raise self._failure(f"exited with code {self._exit_code}", "")

    async def stop(self) -> None:
        """The stop signal, then SIGKILL after the deadline; nothing of the program's session remains."""
        async with self._spawning:
            self._stopping.set()
        if self._process and self._process.returncode is None:
            await self._end(self._process)
        if not self._task:
            return
        await self._task
        if self.state.state not in (state.DONE, state.FAILED):
            self._note(state.STOPPED)

    async def _keep(self) -> None:
        delay_s = self._pace.backoff_first_s
        exits = 0
        while True:
            begun = time.monotonic()
            await self._live()
            exits += 1
            gave_up = not self._was_ready and exits >= self._pace.exits_before_ready_max
            if self._stopping.is_set() or gave_up:
                break
            if time.monotonic() - begun >= self._pace.healthy_s:
                delay_s = self._pace.backoff_first_s
            self.state.restarts += 1
            self._note(state.RESTARTING, exit_code=self._exit_code, delay_s=delay_s)
            await self._pause(delay_s)
            delay_s = min(delay_s * 2, self._pace.backoff_max_s)
        self._settled.set()

    async def _live(self) -> None:
        """From spawn to exit."""
        process = await self._spawn()
        if not process:
            return
        self._note(state.STARTING, pid=process.pid)
        probing = asyncio.create_task(self._watch())
        try:
            self._exit_code = await process.wait()
        finally:
            probing.cancel()
        _kill_session(process.pid)
        self.state.pid, self.state.started = 0, ""

    async def _spawn(self) -> asyncio.subprocess.Process | None:
        async with self._spawning:
            if self._stopping.is_set():
                return None
            with logs.open_log(Path(self.program.log_path)) as log:
                self._log_start = log.tell()
                try:
                    self._process = await asyncio.create_subprocess_exec(
                        *self.program.command,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        **self.program.spawn_options,
                    )
                except OSError as error:
                    log.write(f"cannot execute {self.program.command[0]}: {error}\n".encode())
                    self._exit_code = NOT_EXECUTABLE
                    return None
        self.state.pid = self._process.pid
        self.state.started = processes.identity(self._process.pid) or ""
        return self._process

    async def _watch(self) -> None:
        if self.program.once:
            return
        while True:
            self._answer = await probe.ask(self.program.ready)
            if self._answer.ok:
                break
            await asyncio.sleep(self._pace.probe_s)
        self._was_ready = True
        self._note(state.READY)
        self._settled.set()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        processes.send(process.pid, signal.Signals(self.program.stop_signal))
        try:
            async with asyncio.timeout(self.program.stop_deadline_s):
                await process.wait()
        except TimeoutError:
            self._log("program.killed", program=self.program.name, after_s=self.program.stop_deadline_s)
            _kill_session(process.pid)
            await process.wait()

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _note(self, new: str, **fields: object) -> None:
        self.state.state = new
        self._log(f"program.{new}", program=self.program.name, **fields)

    def _failure(self, reason: str, answer: str) -> StartFailed:
        self._note(state.FAILED, reason=reason, answer=answer)
        said = f" (it says: {answer})" if answer else ""
        tail = logs.tail(Path(self.program.log_path), lines=TAIL_LINES, start=self._log_start)
        return StartFailed(
            f"{self.program.name} {reason}{said}",
            hint=f"its whole log: {self.program.log_path}",
            detail="\n".join(tail),
        )


def _kill_session(pid: int) -> None:
    """What the program left running in its own session; it leads the process group of the same number."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
