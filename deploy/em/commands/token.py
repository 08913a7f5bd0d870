"""`em token`: an access token for the HTTP APIs, signed with the stack's own key."""

import os
import time
import uuid
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
    from shared.http.auth import ROLES

    if role not in ROLES:
        raise EmError(f"there is no role {role}", hint=f"roles: {', '.join(ROLES)}")
    SCREEN.out.out(_mint(subject, role, lifetime_s=minutes * 60))


def _mint(subject: str, role: str, *, lifetime_s: int) -> str:
    import jwt

    from shared.http.auth import AUDIENCE, ISSUER

    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "role": role,
        "typ": "access",
        "jti": str(uuid.uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_s,
    }
    algorithm = os.environ.get("JWT_ALGORITHM") or "EdDSA"
    return jwt.encode(claims, _key(algorithm), algorithm=algorithm)


def _key(algorithm: str) -> str:
    from shared.settings.base import read_secret_file

    variable = "JWT_SECRET_KEY" if algorithm == "HS256" else "JWT_PRIVATE_KEY"
    path = os.environ.get(f"{variable}_FILE")
    key = os.environ.get(variable) or (read_secret_file(f"{variable}_FILE", path) if path else "")
    if not key:
        raise EmError(f"{variable} is not set", hint="set it, or start the embedded stack with: em up")
    return key
