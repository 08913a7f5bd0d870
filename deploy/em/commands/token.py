"""`em token`: an access token for the HTTP APIs, signed with the stack's own key."""

import os
import time
from typing import Annotated

import typer

from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

ROLE_DEFAULT = "viewer"


def token(
    subject: Annotated[str, typer.Option(help="Who the token speaks for (a person of the catalog).")] = "operator",
    role: Annotated[str, typer.Option(help="viewer, operator, approver or admin.")] = ROLE_DEFAULT,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long it is valid.")] = 60,
) -> None:
    """Print an access token."""
    adopt_stack()
    from shared.settings.oidc import ROLES

    if role not in ROLES:
        raise EmError(f"there is no role {role}", hint=f"roles: {', '.join(ROLES)}")
    SCREEN.out.out(mint(subject, role, lifetime_s=minutes * 60))


def mint(subject: str, role: str, *, lifetime_s: int) -> str:
    """Raises EmError where the key is not here."""
    from shared.identity.own import InvalidKey, SigningKey

    algorithm = os.environ.get("JWT_ALGORITHM") or "EdDSA"
    try:
        key = SigningKey.of(algorithm, _secret(algorithm))
    except InvalidKey as error:
        raise EmError(str(error)) from None
    return key.mint(subject=subject, role=role, lifetime_s=lifetime_s, now=int(time.time()))


def _secret(algorithm: str) -> str:
    from shared.settings.base import read_secret_file

    variable = "JWT_SECRET_KEY" if algorithm == "HS256" else "JWT_PRIVATE_KEY"
    path = os.environ.get(f"{variable}_FILE")
    key = os.environ.get(variable) or (read_secret_file(f"{variable}_FILE", path) if path else "")
    if not key:
        raise EmError(f"{variable} is not set", hint="set it, or start the embedded stack with: em up")
    return key
