"""`em credentials`: NATS users and database passwords, one file per service, for stacks that em does not run itself."""

import os
import secrets
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from em.errors import EmError
from em.home import SECRET
from em.screen import SCREEN

NKEY = "nkey"
DATABASE_URL = "database_url"
USERS_FILE = "users.conf"


def credentials(
    directory: Annotated[Path, typer.Argument(help="One folder per user is made in it, and `nats` for the server.")],
) -> None:
    """Make what is missing: DIRECTORY/<user>/nkey, DIRECTORY/<service>/database_url, DIRECTORY/nats/users.conf."""
    from em.credentials import new_seed
    from em.nats_users import users_file
    from shared.contracts.rights import USERS
    from shared.contracts.services import SERVICES
    from shared.contracts.subjects import Subjects

    seeds = {user: _kept(directory / user / NKEY, new_seed()) for user in USERS}
    admin = os.environ.get("DATABASE_URL", "")
    if not urlsplit(admin).hostname:
        raise EmError("DATABASE_URL names no host", hint="set it to the administrator's URL: services get one like it")
    for service in SERVICES:
        if service.schema:
            _kept(directory / service.name / DATABASE_URL, _like(admin, service.name, secrets.token_hex(16)))
    server = directory / "nats"
    server.mkdir(parents=True, exist_ok=True)
    text = users_file(seeds, Subjects(os.environ.get("NATS_PREFIX") or "em"))
    (server / USERS_FILE).write_text(text, encoding="utf-8")
    SCREEN.line(f"{len(seeds)} NATS users, {sum(bool(s.schema) for s in SERVICES)} database users in {directory}")


def _kept(path: Path, new: str) -> str:
    """What stands there already stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET), "w") as file:
            file.write(new)
    except FileExistsError:
        return path.read_text(encoding="utf-8")
    return new


def _like(admin: str, user: str, password: str) -> str:
    parts = urlsplit(admin)
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}{port}").geturl()
