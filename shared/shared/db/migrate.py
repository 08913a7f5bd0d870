"""One alembic history per schema, run by the owner under a lock; roles and schemas by the administrator before."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.contracts.services import METRICS_SVC, SERVICES, Service
from shared.db.pool import own_url, role_settings
from shared.db.url import normalise

MIGRATION_LOCK = 7_307_199_411  # any constant; one migration run at a time in a database
GRAFANA_ROLE = "grafana"
GRAFANA_SETTINGS = {
    "search_path": METRICS_SVC.schema or "",
    "default_transaction_read_only": "on",
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "5000",
}

Progress = Callable[[str], None]


async def bootstrap(admin_url: str, *, progress: Progress = print) -> None:
    """Roles, schemas and the extension `vector`, idempotently. Needs a superuser (`vector` is not trusted)."""
    connection = await asyncpg.connect(normalise(admin_url))
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        for service in _with_schema():
            await _make_role(connection, service.name)
            await _set_password(connection, service)
            await connection.execute(
                f"CREATE SCHEMA IF NOT EXISTS {service.schema};GRANT USAGE ON SCHEMA {service.schema} TO {service.name}"
            )
            await _pin(connection, service.name, role_settings(service))
            progress(f"role {service.name}, schema {service.schema}")
        await _make_role(connection, GRAFANA_ROLE)
        await _pin(connection, GRAFANA_ROLE, GRAFANA_SETTINGS)
        await connection.execute(f"GRANT USAGE ON SCHEMA {METRICS_SVC.schema} TO {GRAFANA_ROLE}")
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await _make_vector(connection, progress)
    finally:
        await connection.close()


async def _make_role(connection: asyncpg.Connection, name: str) -> None:
    """A login that is a member of no other role: what that one may, it could too."""
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    for row in await connection.fetch(
        "SELECT roleid::regrole::text AS role FROM pg_auth_members WHERE member = $1::text::regrole", name
    ):
        await connection.execute(f"REVOKE {row['role']} FROM {name}")


async def _pin(connection: asyncpg.Connection, role: str, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        await connection.execute(f"ALTER ROLE {role} SET {name} = {value}")


async def _set_password(connection: asyncpg.Connection, service: Service) -> None:
    """That of the service's own URL, where there is one: who connects by it is nobody else."""
    password = urlsplit(own_url(service)).password
    if password:
        literal = await connection.fetchval("SELECT quote_literal($1)", unquote(password))
        await connection.execute(f"ALTER ROLE {service.name} PASSWORD {literal}")


async def _make_vector(connection: asyncpg.Connection, progress: Progress) -> None:
    roles = ", ".join(service.name for service in _with_schema())
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS extensions; GRANT USAGE ON SCHEMA extensions TO {roles}")
    if await connection.fetchval("SELECT true FROM pg_available_extensions WHERE name = 'vector'"):
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA extensions")
    else:
        progress("extension vector is not available: features that need it stay off")


async def migrate(owner_url: str, *, progress: Progress = print) -> None:
    """Bring every schema to its newest revision. Idempotent; concurrent runs wait for each other."""
    url = normalise(owner_url).replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.commit()
            for service in _with_schema():
                await connection.run_sync(_upgrade, service)
                await connection.commit()
                progress(f"schema {service.schema} is at {_script(service).get_current_head()}")
    finally:
        await engine.dispose()


def newest_revisions() -> dict[str, str | None]:
    """By schema."""
    return {service.schema or "": _script(service).get_current_head() for service in _with_schema()}


def _upgrade(connection: Connection, service: Service) -> None:
    """Run one service's history inside its schema; its role gets rights on rows, not on tables."""
    script = _script(service)
    context = EnvironmentContext(Config(), script, fn=lambda revision, _: script._upgrade_revs("head", revision))
    connection.execute(text(f"SET search_path = {service.schema}, extensions"))
    connection.execute(text("SET lock_timeout = '2s'"))
    with context:
        context.configure(connection=connection, version_table="alembic_version", version_table_schema=service.schema)
        with context.begin_transaction():
            context.run_migrations()
    _complete(connection)
    for right in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE ON ALL SEQUENCES"):
        connection.execute(text(f"GRANT {right} IN SCHEMA {service.schema} TO {service.name}"))


def _complete(connection: Connection) -> None:
    """What a schema makes of extensions that the server may get later; its own function, idempotent."""
    if connection.execute(text("SELECT to_regprocedure('complete_schema()')")).scalar():
        connection.execute(text("SELECT complete_schema()"))


def _script(service: Service) -> ScriptDirectory:
    spec = importlib.util.find_spec(service.name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{service.folder} is not installed: its migrations can't be run")
    folder = Path(spec.submodule_search_locations[0]) / "migrations"
    return ScriptDirectory(str(folder), version_locations=[str(folder)])


def _with_schema() -> Sequence[Service]:
    return [service for service in SERVICES if service.schema]
