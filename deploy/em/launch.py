"""Start and stop a stack: the supervisor is detached, its state file is all that we follow."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from em import logs, processes, stack, state
from em.errors import NotPermitted, StartFailed
from em.home import Home, read_json, write_json
from em.program import Plan
from em.state import ProgramState, State

POLL_S = 0.05
STOP_DEADLINE_S = 90.0
KILL_DEADLINE_S = 10.0

# Called with a program's name and its new state.
Progress = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class Running:
    """A stack that is ready. `environment` holds addresses and secrets, as the services have them."""

    home: Home
    ports: Mapping[str, int]
    urls: Mapping[str, str]
    environment: Mapping[str, str]


def up(
    home: Home,
    *,
    port_base: int | None,
    environ: Mapping[str, str],
    progress: Progress,
    add: stack.AddExtra | None = None,
) -> Running:
    """Returns when every service is ready. Whatever else happens, nothing is left running.

    Raises AlreadyRunning, PortTaken, StartFailed and the other errors of em.
    """
    home.prepare()
    with home.lock() as lock:
        _stop_leftovers(home)
        _forget(home)
        progress("stack", "preparing")
        built = stack.build(home, port_base=port_base, environ=environ, add=add)
        write_json(home.environment, built.environment)
        supervisor = _detach(home, built.plan, lock)
    try:
        _follow(home, supervisor, progress)
    except BaseException as failure:
        supervisor.terminate()
        supervisor.wait()
        _stop_leftovers(home)
        if isinstance(failure, StartFailed):
            home.environment.unlink(missing_ok=True)
        else:
            _forget(home)
        raise
    return Running(home=home, ports=built.plan.ports, urls=built.plan.urls, environment=built.environment)


def running(home: Home) -> Running | None:
    """The stack that is up here, if its supervisor is alive and it got ready."""
    now = state.read(home)
    if not now or not now.is_supervised or now.phase != state.READY:
        return None
    return Running(home=home, ports=now.ports, urls=now.urls, environment=read_json(home.environment))


def down(home: Home, *, progress: Progress) -> bool:
    """Stop everything that the state names, and wait for it; False when there was nothing to stop."""
    now = state.read(home)
    if not now:
        return False
    was_running = now.is_supervised
    if was_running:
        _signal(now.pid, signal.SIGTERM)
        _follow_stop(home, now, progress)
    was_running = _stop_leftovers(home) or was_running
    _forget(home)
    return was_running


def _detach(home: Home, plan: Plan, lock: int) -> subprocess.Popen[bytes]:
    """A session of its own: it survives the terminal. It inherits the lock; the plan holds secrets, so no file."""
    with logs.open_log(home.log("supervisor")) as log, tempfile.TemporaryFile("w+") as unnamed:
        unnamed.write(plan.to_json())
        unnamed.seek(0)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "em.supervisor", str(home.root)],
            stdin=unnamed,
            stdout=log,
            stderr=log,
            cwd=home.root,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _follow(home: Home, supervisor: subprocess.Popen[bytes], progress: Progress) -> None:
    seen: dict[str, str] = {}
    while True:
        code = supervisor.poll()
        now = state.read(home)
        if now:
            _report(now.programs, seen, progress)
        if now and now.phase == state.READY:
            return
        if code is not None:
            raise _start_failure(home, now, code)
        time.sleep(POLL_S)


def _start_failure(home: Home, now: State | None, code: int) -> StartFailed:
    if now and now.error:
        return StartFailed(now.error, hint="nothing was left running", detail=now.detail)
    tail = "\n".join(logs.tail(home.log("supervisor"), lines=15))
    return StartFailed(f"the supervisor ended with code {code}", hint="nothing was left running", detail=tail)


def _follow_stop(home: Home, began: State, progress: Progress) -> None:
    seen: dict[str, str] = {}
    give_up_at = time.monotonic() + STOP_DEADLINE_S
    while began.is_supervised and time.monotonic() < give_up_at:
        now = state.read(home)
        _report([each for each in (now or began).programs if each.state == state.STOPPED], seen, progress)
        time.sleep(POLL_S)
    if began.is_supervised:
        _signal(began.pid, signal.SIGKILL)


def _stop_leftovers(home: Home) -> bool:
    """What a supervisor that was killed left behind."""
    now = state.read(home)
    left = [each for each in reversed(now.programs) if each.is_alive] if now and not now.is_supervised else []
    for each in left:
        _signal(each.pid, signal.Signals(each.stop_signal))
    _until_gone(left, within_s=max((each.stop_deadline_s for each in left), default=0))
    for each in left:
        if each.is_alive:
            _signal(each.pid, signal.SIGKILL)
    _until_gone(left, within_s=KILL_DEADLINE_S)
    return bool(left)


def _until_gone(programs: Iterable[ProgramState], *, within_s: float) -> None:
    give_up_at = time.monotonic() + within_s
    while any(each.is_alive for each in programs) and time.monotonic() < give_up_at:
        time.sleep(POLL_S)


def _report(programs: Iterable[ProgramState], seen: dict[str, str], progress: Progress) -> None:
    for each in programs:
        if each.state not in (seen.get(each.name), state.WAITING):
            seen[each.name] = each.state
            progress(each.name, each.state)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        processes.send(pid, number)
    except PermissionError as error:
        raise NotPermitted(f"process {pid} belongs to another user", hint="run em as that user") from error


def _forget(home: Home) -> None:
    home.state.unlink(missing_ok=True)
    home.environment.unlink(missing_ok=True)
