"""What `.em/state.json` says: the supervisor writes it at every change, everybody else reads it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from em import processes
from em.home import Home, read_json, write_json
from em.program import Program, Ready

# Of a program.
WAITING = "waiting"
STARTING = "starting"
READY = "ready"
DONE = "done"
RESTARTING = "restarting"
FAILED = "failed"
STOPPED = "stopped"
# Of the stack: STARTING, READY, FAILED, STOPPED and
STOPPING = "stopping"


@dataclass(kw_only=True)
class ProgramState:
    """`started` is the process's identity (processes.identity), so that a reused pid is never taken for it."""

    name: str
    state: str = WAITING
    pid: int = 0
    started: str = ""
    port: int = 0
    url: str = ""
    restarts: int = 0
    stop_signal: int
    stop_deadline_s: float
    once: bool
    ready: Ready

    @property
    def is_alive(self) -> bool:
        return bool(self.pid) and processes.is_alive(self.pid, self.started)


@dataclass(kw_only=True)
class State:
    phase: str = STARTING
    error: str = ""
    detail: str = ""
    pid: int
    started: str
    started_at: str
    ports: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    programs: list[ProgramState] = field(default_factory=list)

    @property
    def is_supervised(self) -> bool:
        return processes.is_alive(self.pid, self.started)

    def write(self, home: Home) -> None:
        write_json(home.state, asdict(self))


def of_program(program: Program) -> ProgramState:
    return ProgramState(
        name=program.name,
        port=program.port,
        url=program.url,
        stop_signal=program.stop_signal,
        stop_deadline_s=program.stop_deadline_s,
        once=program.once,
        ready=program.ready,
    )


def read(home: Home) -> State | None:
    """None when nothing was started here."""
    content = read_json(home.state)
    if not content:
        return None
    return State(**{**content, "programs": [_of_json(each) for each in content["programs"]]})


def _of_json(content: dict[str, Any]) -> ProgramState:
    ready = content.pop("ready")
    return ProgramState(**content, ready=Ready(**{**ready, "command": tuple(ready["command"])}))
