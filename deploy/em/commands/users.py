"""`em users`: the file of those who may log in. A password is typed or piped, never an argument: those are visible."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from em.errors import EmError
from em.screen import SCREEN

app = typer.Typer(help="Who may log in at /v1/auth/token.", no_args_is_help=True)

File = Annotated[Path | None, typer.Option("--file", envvar="USERS_PATH", help="Default: users in the state folder.")]
Name = Annotated[str, typer.Argument(help="A person of the catalog, or a machine.")]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer, operator, approver or admin.")] = "viewer",
    file: File = None,
) -> None:
    """Add somebody, or give a new password or role: sessions begun with an old password end."""
    from approvals_svc import users
    from shared.settings.oidc import ROLES

    if role not in ROLES:
        raise EmError(f"there is no role {role}", hint=f"roles: {', '.join(ROLES)}")
    if not users.NAME.fullmatch(name):
        raise EmError(f"{name} can't be a name", hint="1 to 64 letters, digits and . _ @ -")
    path = _path(file)
    known = _load(path)
    known.accounts[name] = users.Account(name=name, role=role, hash=users.hashed(_password()))
    users.save(path, known)
    SCREEN.line(f"{name} may log in as {role}")


@app.command(name="list")
def list_(file: File = None) -> None:
    """Names and roles."""
    for account in _load(_path(file)).accounts.values():
        SCREEN.out.out(f"{account.name} {account.role}")


@app.command()
def remove(name: Name, file: File = None) -> None:
    """Access tokens last until they expire; no new ones are given."""
    from approvals_svc import users

    path = _path(file)
    known = _load(path)
    if known.accounts.pop(name, None) is None:
        raise EmError(f"nobody is called {name}", hint="look with: em users list")
    users.save(path, known)
    SCREEN.line(f"{name} may log in no more")


def _path(file: Path | None) -> Path:
    from em.commands.environment import home

    return file or home().users


def _load(path: Path):  # type: ignore[no-untyped-def]  # its type would import the service for every command
    from approvals_svc import users

    try:
        return users.load(path) if path.exists() else users.Users()
    except users.InvalidUsers as error:
        raise EmError(str(error)) from None


def _password() -> str:
    from approvals_svc.users import PASSWORD_MAX_CHARACTERS, PASSWORD_MIN_CHARACTERS

    if sys.stdin.isatty():
        found: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        found = sys.stdin.readline().rstrip("\r\n")
    if not PASSWORD_MIN_CHARACTERS <= len(found) <= PASSWORD_MAX_CHARACTERS:
        raise EmError(f"a password has {PASSWORD_MIN_CHARACTERS} to {PASSWORD_MAX_CHARACTERS} characters")
    return found
