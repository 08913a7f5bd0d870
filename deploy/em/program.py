"""What the supervisor runs: programs with a readiness rule, in waves. Plain values that travel as JSON."""

import json
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict


@dataclass(frozen=True, kw_only=True)
class Ready:
    """When a program counts as ready: GET `url` answers 200, `port` accepts, or `command` exits 0; else at once."""

    url: str = ""
    port: int = 0
    command: tuple[str, ...] = ()
    deadline_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whose rights a program runs with: a prefix command, or the uid and gid to take; neither = our own."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None


class SpawnOptions(TypedDict, total=False):
    """The options that `subprocess.Popen` and `asyncio.create_subprocess_exec` share."""

    env: Mapping[str, str]
    cwd: str
    start_new_session: bool
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """`env` is the whole environment. `once`: a step that must exit 0 before the next wave starts."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    log_path: str
    ready: Ready = field(default_factory=Ready)
    stop_signal: int = signal.SIGTERM
    stop_deadline_s: float = 15.0
    account: Account = field(default_factory=Account)
    once: bool = False
    port: int = 0
    url: str = ""

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.account.prefix, *self.argv)

    @property
    def spawn_options(self) -> SpawnOptions:
        options = SpawnOptions(env=self.env, cwd=self.cwd, start_new_session=True)
        uid = self.account.uid
        if uid is not None:
            options["user"], options["group"], options["extra_groups"] = uid, uid, []
        return options


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Waves start one after the other and stop in the reverse order; the programs of a wave go together."""

    waves: tuple[tuple[Program, ...], ...]
    ports: Mapping[str, int] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def programs(self) -> list[Program]:
        return [program for wave in self.waves for program in wave]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        content = json.loads(text)
        waves = tuple(tuple(map(_program, wave)) for wave in content["waves"])
        return cls(waves=waves, ports=content["ports"], urls=content["urls"])


def _program(content: dict[str, Any]) -> Program:
    ready, account = content.pop("ready"), content.pop("account")
    ready["command"], account["prefix"] = tuple(ready["command"]), tuple(account["prefix"])
    content["argv"] = tuple(content["argv"])
    return Program(**content, ready=Ready(**ready), account=Account(**account))
