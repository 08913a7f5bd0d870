"""`em migrate`: prepare the database."""

import asyncio
import os
from typing import Annotated

import typer

from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN


def migrate(
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Roles, schemas and extensions; DATABASE_URL is an administrator's.")
    ] = False,
) -> None:
    """Bring every schema of DATABASE_URL to its newest revision."""
    adopt_stack()
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise EmError("DATABASE_URL is not set", hint="set it, or start the embedded stack with: em up")
    import asyncpg

    from shared.db import migrate as migrations
    from shared.db.url import InvalidDatabaseUrl

    work = migrations.bootstrap if bootstrap else migrations.migrate
    try:
        asyncio.run(work(url, progress=SCREEN.line))
    except (OSError, InvalidDatabaseUrl, asyncpg.PostgresError) as error:
        raise EmError(f"cannot migrate: {error}", hint="check DATABASE_URL, and that PostgreSQL runs") from error
