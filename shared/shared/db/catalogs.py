"""The catalog's versions: read once per batch, reloaded while the service runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from shared import catalog as catalogs
from shared.catalog import Catalog
from shared.db import Connection, Pool, versions
from shared.db.versions import NotLoaded, Versions
from shared.telemetry import metrics

__all__ = ["Catalogs", "CurrentCatalog", "NotLoaded", "Pinned", "Recompute", "Version", "newest"]

Version: TypeAlias = versions.Version[Catalog]
Recompute = Callable[[Connection, Version, Version], Awaitable[None]]

# Rows of metrics-svc note the version that they were derived by: a trigger reads the setting.
_LOOK = """
SELECT number FROM catalog_version, set_config('em.catalog_version', number::text, true)
ORDER BY number DESC LIMIT 1
"""
KIND = versions.Kind(
    name="catalog",
    look=_LOOK,
    newest="SELECT number, sha256, content FROM catalog_version ORDER BY number DESC LIMIT 1",
    insert="""
    INSERT INTO catalog_version (number, sha256, content)
    SELECT coalesce(max(number), 0) + 1, $1, $2 FROM catalog_version RETURNING number
    """,
    read=catalogs.read,
    invalid=metrics.catalog_invalid,
    without_file="a service is a repository's name",
)


class CurrentCatalog(Protocol):
    """Where handlers ask which catalog their batch goes by, and everybody else what is known now."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def status(self) -> dict[str, object]: ...

    async def current(self, tx: Connection) -> Version: ...


class Pinned:
    """Always the same one, whatever the schema holds: for derivations that must not follow a reload."""

    def __init__(self, catalog: Catalog) -> None:
        self._version = Version(number=0, sha256="", content=catalog)

    @property
    def catalog(self) -> Catalog:
        return self._version.content

    @property
    def status(self) -> dict[str, object]:
        return {"version": self._version.number}

    async def current(self, tx: Connection) -> Version:
        return self._version


class Catalogs(Versions[Catalog]):
    """`path` None: the empty catalog is the only version. `recompute` moves what a new version touches."""

    def __init__(self, pool: Pool, path: Path | None, *, recompute: Recompute | None = None) -> None:
        """Raises InvalidConfiguration."""
        super().__init__(pool, path, KIND, recompute=recompute)

    @property
    def catalog(self) -> Catalog:
        """Of the version seen last; the file's own until then."""
        return self.content


async def newest(tx: Connection) -> Version:
    """As it stays until the transaction ends, for who derives outside of a service."""
    return await versions.newest(tx, KIND)
