"""The catalog as numbered versions in a service's own schema: read once per batch, reloaded while the service runs.

The file is the operator's; the newest row is what counts. A batch holds a shared lock from its first look to its
commit, and a new version takes it exclusively: so no batch derives by the old one what the new one has already moved.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

from shared import catalog as catalogs
from shared.catalog import Catalog, InvalidCatalog
from shared.db import Connection, Pool
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

LOOK_EVERY_S = 2.0
_LOCK = "hashtextextended('catalog:' || current_schema(), 0)"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """`number` grows by one with each content that differs from the one before; 0 is no version at all."""

    number: int
    sha256: str
    catalog: Catalog


class NotLoaded(TimeoutError):
    """No version stands in the schema yet: nobody's fault, a moment's matter."""


class CurrentCatalog(Protocol):
    """Where handlers ask which catalog their batch goes by, and everybody else what is known now."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def status(self) -> dict[str, object]: ...

    async def current(self, tx: Connection) -> Version: ...


Recompute = Callable[[Connection, Version, Version], Awaitable[None]]


class Pinned:
    """Always the same one, whatever the schema holds: for derivations that must not follow a reload."""

    def __init__(self, catalog: Catalog) -> None:
        self._version = Version(number=0, sha256="", catalog=catalog)

    @property
    def catalog(self) -> Catalog:
        return self._version.catalog

    @property
    def status(self) -> dict[str, object]:
        return {"version": self._version.number}

    async def current(self, tx: Connection) -> Version:
        return self._version


class Catalogs:
    """`path` None: the empty catalog is the only version. `recompute` moves what a new version touches."""

    def __init__(self, pool: Pool, path: Path | None, *, recompute: Recompute | None = None) -> None:
        """Raises InvalidCatalog: a service must not start with a file that it can't read."""
        self._pool = pool
        self._path = path
        self._recompute = recompute
        self._known = Version(number=0, sha256="", catalog=_parse(path, _read(path)))
        self._offered: str | None = None
        self._invalid = ""

    @property
    def catalog(self) -> Catalog:
        """Of the version seen last; the file's own until then."""
        return self._known.catalog

    @property
    def status(self) -> dict[str, object]:
        """For people, at /health."""
        path = str(self._path) if self._path else "none: a service is a repository's name"
        problem = {"problem": self._invalid} if self._invalid else {}
        return {"version": self._known.number, "sha256": self._known.sha256[:12], "file": path, **problem}

    async def current(self, tx: Connection) -> Version:
        """The newest version, which stays so until the transaction ends. Raises NotLoaded before there is one."""
        await tx.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
        number = await tx.fetchval(
            """
            SELECT number FROM catalog_version, set_config('em.catalog_version', number::text, true)
            ORDER BY number DESC LIMIT 1
            """
        )
        if number is None:
            raise NotLoaded("the catalog is not loaded yet")
        if number != self._known.number:
            self._known = await _newest(tx)
        return self._known

    async def watch(self, stop: asyncio.Event) -> None:
        """A loop of the service: offers the file at the start and whenever it changes."""
        while True:
            try:
                await self.look()
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("catalog.stalled", error=repr(error))
            if await pause(stop, LOOK_EVERY_S):
                return

    async def look(self) -> None:
        """Offer what the file holds now, if that is new; a bad file is told once and changes nothing."""
        try:
            text = await asyncio.to_thread(_read, self._path)
            catalog = _parse(self._path, text) if text != self._offered else None
        except InvalidCatalog as error:
            self._complain(str(error))
            catalog = None
        else:
            self._invalid = ""
            metrics.catalog_invalid.set(0)
        if catalog is None:
            await self._adopt()
        else:
            await self._offer(text, catalog)
            self._offered = text

    async def _adopt(self) -> None:
        """Another process may have offered a newer one: its file changed, ours did not."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self.current(connection)

    async def _offer(self, text: str, catalog: Catalog) -> None:
        """One transaction: the version, and everything that it moves. What is the newest already is only adopted."""
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            old = await _newest(connection)
            if old.sha256 == sha256:
                self._known = old
                return
            number = await connection.fetchval(
                """
                INSERT INTO catalog_version (number, sha256, content)
                SELECT coalesce(max(number), 0) + 1, $1, $2 FROM catalog_version RETURNING number
                """,
                sha256,
                text,
            )
            new = Version(number=number, sha256=sha256, catalog=catalog)
            await connection.execute("SELECT set_config('em.catalog_version', $1, true)", str(number))
            if self._recompute and old.number:
                await self._recompute(connection, old, new)
        self._known = new
        log.info("catalog.loaded", version=number, sha256=sha256[:12])

    def _complain(self, problem: str) -> None:
        metrics.catalog_invalid.set(1)
        if problem != self._invalid:
            log.error("catalog.invalid", problem=problem, kept=self._known.number)
        self._invalid = problem


async def _newest(tx: Connection) -> Version:
    row = await tx.fetchrow("SELECT number, sha256, content FROM catalog_version ORDER BY number DESC LIMIT 1")
    if row is None:
        return Version(number=0, sha256="", catalog=Catalog())
    return Version(number=row["number"], sha256=row["sha256"], catalog=catalogs.read(row["content"]))


def _read(path: Path | None) -> str:
    """Raises InvalidCatalog."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCatalog(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _parse(path: Path | None, text: str) -> Catalog:
    try:
        return catalogs.read(text)
    except InvalidCatalog as error:
        raise InvalidCatalog(f"{path}: {error}") from None
