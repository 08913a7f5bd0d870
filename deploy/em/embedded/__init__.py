"""Real NATS and PostgreSQL servers from wheels: for tests, and for `em up`."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from em.embedded.nats import nats_program
from em.embedded.ports import HOST, free_ports
from em.embedded.postgres import postgres_program, prepare_cluster
from em.embedded.server import Server


class NatsServer(Server):
    """`url` and `monitor_url` stay the same through stop and start. `users`: see `em.nats_users`."""

    def __init__(self, directory: Path, *, users: str = "") -> None:
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        port, monitor_port = free_ports(2)
        self.url = f"nats://{HOST}:{port}"
        self.monitor_url = f"http://{HOST}:{monitor_port}"
        log = directory / "nats.log"
        super().__init__(nats_program(directory, port=port, monitor_port=monitor_port, log=log, users=users))


class PostgresServer(Server):
    """`dsn` is a superuser's on the database `em`; it stays the same through stop and start."""

    def __init__(self, directory: Path) -> None:
        directory = directory.absolute()
        cluster = prepare_cluster(directory)
        [port] = free_ports(1)
        self.dsn = cluster.dsn(port)
        super().__init__(postgres_program(cluster, port=port, log=directory / "postgres.log"))


@contextlib.asynccontextmanager
async def embedded_nats(directory: Path, *, users: str = "") -> AsyncIterator[NatsServer]:
    async with NatsServer(directory, users=users) as server:
        yield server


@contextlib.asynccontextmanager
async def embedded_postgres(directory: Path) -> AsyncIterator[PostgresServer]:
    async with PostgresServer(directory) as server:
        yield server
