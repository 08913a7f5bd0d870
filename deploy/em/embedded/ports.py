"""Ports: which the stack wants, whether they are free, and who has them if not."""

import errno
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from em import processes
from em.errors import EmError, PortTaken
from shared.contracts.services import SERVICES

HOST = "127.0.0.1"
NATS = "nats"
NATS_MONITOR = "nats-monitor"
POSTGRES = "postgres"
SLACK_SANDBOX = "slack-sandbox"
SANDBOX_CONTROL = "sandbox-control"
GITHUB_SANDBOX = "github-sandbox"
GITLAB_SANDBOX = "gitlab-sandbox"
CI_SANDBOX = "ci-sandbox"

SERVICE_NAMES = tuple(service.folder for service in SERVICES)
SANDBOX_NAMES = (SLACK_SANDBOX, SANDBOX_CONTROL, GITHUB_SANDBOX, GITLAB_SANDBOX, CI_SANDBOX)

# With --port-base: base + offset.
OFFSETS = {name: offset for offset, name in enumerate(SERVICE_NAMES)} | {
    NATS: 10,
    NATS_MONITOR: 11,
    POSTGRES: 12,
    SLACK_SANDBOX: 20,
    SANDBOX_CONTROL: 21,
    GITHUB_SANDBOX: 22,
    GITLAB_SANDBOX: 23,
    CI_SANDBOX: 24,
}
# Without: the services' own; the rest beside the usual ports, where a NATS or PostgreSQL may already be.
DEFAULTS = {service.folder: service.port for service in SERVICES} | {
    NATS: 14222,
    NATS_MONITOR: 18222,
    POSTGRES: 15432,
    SLACK_SANDBOX: 8020,
    SANDBOX_CONTROL: 8021,
    GITHUB_SANDBOX: 8022,
    GITLAB_SANDBOX: 8023,
    CI_SANDBOX: 8024,
}
VARIABLES = {service.folder: f"{service.variable}_PORT" for service in SERVICES}

BASE_MIN = 1024
BASE_MAX = 65_535 - max(OFFSETS.values())
SUGGESTED_BASES = range(18_000, 31_000, 100)


@dataclass(frozen=True)
class Taken:
    """A port that is in use, who wants it, and who has it as far as we may see."""

    port: int
    wanted_by: str
    pid: int | None
    command: str

    def __str__(self) -> str:
        owner = f"pid {self.pid} ({self.command})" if self.pid else "another process"
        return f"port {self.port}, which {self.wanted_by} wants, is taken by {owner}"


def choose(names: Collection[str], *, base: int | None, environ: Mapping[str, str]) -> dict[str, int]:
    """A free port for each name: from the base if given, else from the environment, else the default.

    Raises PortTaken naming every port that is in use.
    """
    ports = {name: _port(name, base, environ) for name in names}
    in_use = taken(ports)
    if in_use:
        other = free_base(names)
        raise PortTaken(
            "\n".join(map(str, in_use)),
            hint=f"stop that process, or use other ports: --port-base {other} (with make: PORT_BASE={other})",
        )
    return ports


def taken(ports: Mapping[str, int]) -> list[Taken]:
    return [_describe(port, name) for name, port in ports.items() if not is_free(port)]


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise EmError(f"port {port} needs root's rights", hint="use a port above 1023") from error
            return False
    return True


def free_base(names: Iterable[str]) -> int:
    """A base whose whole range is free now."""
    offsets = [OFFSETS[name] for name in names]
    for base in SUGGESTED_BASES:
        if all(is_free(base + offset) for offset in offsets):
            return base
    raise EmError("no free range of ports between 18000 and 31000")


def free_ports(count: int) -> list[int]:
    """Ports of the operating system's choice, free at this moment."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _port(name: str, base: int | None, environ: Mapping[str, str]) -> int:
    if base is not None:
        if not BASE_MIN <= base <= BASE_MAX:
            raise EmError(f"--port-base {base} is outside {BASE_MIN} to {BASE_MAX}")
        return base + OFFSETS[name]
    variable = VARIABLES.get(name, "")
    value = environ.get(variable) or str(DEFAULTS[name])
    if not value.isdecimal() or not 0 < int(value) < 65_536:
        raise EmError(f"{variable}={value} is not a port", hint=f"set {variable} to a number from 1 to 65535")
    return int(value)


def _describe(port: int, name: str) -> Taken:
    pid = processes.listener_of(port)
    return Taken(port, name, pid, processes.command_of(pid) if pid else "")
