"""Database URLs: every common spelling is accepted, asyncpg's is used."""

import re

from shared.settings import InvalidConfiguration

_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+(?:psycopg|psycopg2|asyncpg))?://")


class InvalidDatabaseUrl(InvalidConfiguration):
    """Not a PostgreSQL URL; the text never holds the password."""


def normalise(url: str, *, variable: str = "DATABASE_URL") -> str:
    """`postgres://`, `postgresql+psycopg://` and the like become `postgresql://`."""
    if not url:
        raise InvalidDatabaseUrl(f"{variable} is not set")
    if not _SCHEME.match(url):
        raise InvalidDatabaseUrl(f"{variable} must start with postgresql:// (or postgres://, postgresql+asyncpg://)")
    return _SCHEME.sub("postgresql://", url)
