"""The supervisor with real child processes: order, restarts, failures, and what is left afterwards."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from em import launch, processes, state
from em.embedded.ports import free_ports
from em.home import Home
from em.keeper import Pace
from em.program import Plan, Program, Ready
from em.supervisor import Supervisor

PACE = Pace(backoff_first_s=0.01, backoff_max_s=0.04, healthy_s=60, probe_s=0.01)
PATIENCE_S = 20.0
SLEEPER = "exec sleep 600"
SUPERVISOR_RSS_MAX = 35_000_000


def shell(directory: Path, name: str, script: str, **options: Any) -> Program:
    return Program(
        name=name,
        argv=("/bin/sh", "-c", script),
        env={"PATH": os.defpath},
        cwd=str(directory),
        log_path=str(directory / f"{name}.log"),
        **options,
    )


def supervisor_of(*waves: tuple[Program, ...], pace: Pace = PACE) -> Supervisor:
    return Supervisor(Plan(waves=waves), pace=pace, changed=lambda _: None)


async def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never became true"
        await asyncio.sleep(0.005)


async def run_until(supervisor: Supervisor, condition: Callable[[], object]) -> bool:
    running = asyncio.create_task(supervisor.run())
    await until(lambda: condition() or running.done())
    supervisor.stop()
    return await running


def delays(capsys: pytest.CaptureFixture[str]) -> list[float]:
    events = map(json.loads, capsys.readouterr().err.splitlines())
    return [event["delay_s"] for event in events if event["event"] == "program.restarting"]


async def test_a_program_that_exits_starts_again_after_doubling_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = supervisor_of((shell(tmp_path, "brief", "sleep 0.03"),))
    [program] = supervisor.state.programs

    await run_until(supervisor, lambda: program.restarts >= 4)

    assert delays(capsys)[:4] == [0.01, 0.02, 0.04, 0.04]


async def test_a_healthy_life_ends_the_backoff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pace = Pace(backoff_first_s=0.01, backoff_max_s=5, healthy_s=0.02, probe_s=0.01)
    supervisor = supervisor_of((shell(tmp_path, "brief", "sleep 0.03"),), pace=pace)
    [program] = supervisor.state.programs

    await run_until(supervisor, lambda: program.restarts >= 3)

    assert set(delays(capsys)) == {0.01}


async def test_waves_stop_in_the_reverse_of_their_order(tmp_path: Path) -> None:
    def witness(name: str) -> Program:
        script = f"trap 'echo -{name} >> order; exit 0' TERM; echo +{name} >> order; echo > {name}.up; " + (
            "while :; do sleep 0.02; done"
        )
        return shell(tmp_path, name, script, ready=Ready(command=("/bin/sh", "-c", f"test -e {tmp_path}/{name}.up")))

    supervisor = supervisor_of((witness("database"),), (witness("service"),), (witness("edge"),))

    assert await run_until(supervisor, lambda: supervisor.state.phase == state.READY)

    order = (tmp_path / "order").read_text().split()
    assert order == ["+database", "+service", "+edge", "-edge", "-service", "-database"]


async def test_a_program_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    stubborn = shell(tmp_path, "stubborn", "trap '' TERM; while :; do sleep 0.02; done", stop_deadline_s=0.1)
    supervisor = supervisor_of((stubborn,))
    [program] = supervisor.state.programs
    running = asyncio.create_task(supervisor.run())
    await until(lambda: program.state == state.READY)
    pid = program.pid
    supervisor.stop()
    await running

    assert processes.identity(pid) is None


async def test_what_a_program_left_behind_in_its_session_is_killed(tmp_path: Path) -> None:
    parent = shell(tmp_path, "parent", "sleep 600 & echo $! > child; wait")
    supervisor = supervisor_of((parent,))

    await run_until(supervisor, lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())

    child = int((tmp_path / "child").read_text())
    assert await processes.until_gone([child], within_s=PATIENCE_S)


async def test_a_program_that_never_gets_ready_fails_the_start_by_its_name(tmp_path: Path) -> None:
    [port] = free_ports(1)
    deaf = shell(tmp_path, "deaf", f"echo waiting for godot; {SLEEPER}", ready=Ready(port=port, deadline_s=0.3))
    supervisor = supervisor_of((shell(tmp_path, "other", SLEEPER),), (deaf,))

    assert not await supervisor.run()

    assert supervisor.state.phase == state.FAILED
    assert supervisor.state.error.startswith("deaf is not ready after 0.3 s")
    assert supervisor.state.detail == "waiting for godot"
    assert not any(program.is_alive for program in supervisor.state.programs)


async def test_a_program_that_exits_again_and_again_before_it_is_ready_fails_the_start(tmp_path: Path) -> None:
    [port] = free_ports(1)
    broken = shell(tmp_path, "broken", "echo no such table; exit 7", ready=Ready(port=port, deadline_s=30))
    supervisor = supervisor_of((broken,))

    assert not await supervisor.run()

    assert supervisor.state.error.startswith("broken exited with code 7")
    assert supervisor.state.detail == "no such table"
    assert supervisor.state.programs[0].restarts == PACE.exits_before_ready_max - 1


async def test_two_failures_at_once_are_one_failed_start(tmp_path: Path) -> None:
    steps = tuple(shell(tmp_path, name, "exit 1", once=True) for name in ("left", "right"))
    supervisor = supervisor_of(steps)

    assert not await supervisor.run()

    assert supervisor.state.error.split()[0] in ("left", "right")


async def test_a_failed_step_keeps_the_next_wave_from_starting(tmp_path: Path) -> None:
    step = shell(tmp_path, "migrate", "exit 1", once=True)
    supervisor = supervisor_of((step,), (shell(tmp_path, "service", "touch started"),))

    assert not await supervisor.run()

    assert supervisor.state.error.startswith("migrate exited with code 1")
    assert not (tmp_path / "started").exists()


async def test_a_missing_binary_is_told_in_the_log(tmp_path: Path) -> None:
    missing = Program(
        name="missing", argv=("/nonexistent/em",), env={}, cwd=str(tmp_path), log_path=str(tmp_path / "missing.log")
    )
    supervisor = supervisor_of((missing,))

    assert not await supervisor.run()

    assert "cannot execute /nonexistent/em" in supervisor.state.detail


async def test_a_stop_during_the_start_stops_what_had_started(tmp_path: Path) -> None:
    [port] = free_ports(1)
    slow = shell(tmp_path, "slow", SLEEPER, ready=Ready(port=port, deadline_s=60))
    supervisor = supervisor_of((slow,))
    [program] = supervisor.state.programs

    assert await run_until(supervisor, lambda: program.state == state.STARTING)

    assert not program.is_alive
    assert supervisor.state.phase == state.STOPPED


def test_a_plan_survives_the_way_to_the_supervisor(tmp_path: Path) -> None:
    program = shell(tmp_path, "one", SLEEPER, ready=Ready(command=("true",)), stop_signal=signal.SIGINT)
    plan = Plan(waves=((program,),), ports={"one": 1}, urls={"one": "http://127.0.0.1:1"})

    assert Plan.from_json(plan.to_json()) == plan


def detached(home: Home, *programs: Program) -> subprocess.Popen[bytes]:
    """The supervisor as `em up` starts it, ready."""
    home.prepare()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "em.supervisor", str(home.root)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin
    with process.stdin as plan:
        plan.write(Plan(waves=(programs,)).to_json().encode())
    give_up_at = time.monotonic() + PATIENCE_S
    while not ((now := state.read(home)) and now.phase == state.READY):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    return process


def test_the_supervisor_is_small_survives_the_terminal_and_ends_on_sigterm(tmp_path: Path) -> None:
    home = Home(tmp_path / ".em")
    supervisor = detached(home, shell(tmp_path, "sleeper", SLEEPER))
    now = state.read(home)
    assert now

    supervisor.send_signal(signal.SIGHUP)
    memory = processes.memory_bytes(supervisor.pid)
    supervisor.terminate()

    assert supervisor.wait(PATIENCE_S) == 0
    assert memory < SUPERVISOR_RSS_MAX
    assert not now.programs[0].is_alive


def test_down_stops_what_a_killed_supervisor_left_behind(tmp_path: Path) -> None:
    home = Home(tmp_path / ".em")
    supervisor = detached(home, shell(tmp_path, "orphan", SLEEPER))
    left = state.read(home)
    supervisor.kill()
    supervisor.wait(PATIENCE_S)

    assert left
    assert left.programs[0].is_alive
    assert launch.down(home, progress=lambda name, new: None)
    assert not left.programs[0].is_alive
    assert not home.state.exists()


def test_down_never_signals_a_process_that_only_has_the_same_pid(tmp_path: Path) -> None:
    home = Home(tmp_path / ".em")
    home.prepare()
    stranger = subprocess.Popen(["/bin/sh", "-c", SLEEPER], start_new_session=True)
    program = state.of_program(shell(tmp_path, "old", SLEEPER))
    program.pid, program.started = stranger.pid, "1"
    state.State(pid=stranger.pid, started="1", started_at="", programs=[program]).write(home)

    assert not launch.down(home, progress=lambda name, new: None)

    assert stranger.poll() is None
    stranger.kill()
    stranger.wait(PATIENCE_S)
