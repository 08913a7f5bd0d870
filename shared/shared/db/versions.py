"""An operator's file as numbered versions in a service's own schema: reloaded while the service runs.

The file is the operator's; the newest row is what counts. A batch holds a shared lock from its first look to its
commit, and a new version takes it exclusively: so no batch goes by the old one what the new one has already moved.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from prometheus_client import Gauge

from shared.db import Connection, Pool
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS, allow_time
from shared.settings import InvalidConfiguration
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 2.0
_LOCK = "hashtextextended($1 || ':' || current_schema(), 0)"

T = TypeVar("T")


class Version(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`number` grows by one with each content that differs from the one before; 0 is no version at all."""

    number: int
    sha256: str
    content: T


class NotLoaded(TimeoutError):
    """No version stands in the schema yet: nobody's fault, a moment's matter."""


class Kind(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A sort of file and the SQL of its table: `look` answers the newest number, `newest` and `insert` speak of
    `number, sha256, content`. `read` says what a text means, or raises InvalidConfiguration."""

    name: str
    look: str
    newest: str
    insert: str
    read: Callable[[str], T]
    invalid: Gauge
    without_file: str


Recompute = Callable[[Connection, Version[T], Version[T]], Awaitable[None]]
Check = Callable[[str, T], None]


class Versions(Generic[T]):
    """`path` None: the empty text is the only version. `recompute` moves what a new version touches."""

    def __init__(
        self,
        pool: Pool,
        path: Path | None,
        kind: Kind[T],
        *,
        recompute: Recompute[T] | None = None,
        check: Check[T] | None = None,
    ) -> None:
        """`check` refuses what a file offers by what is known beside it. Raises InvalidConfiguration: a service must
        not start with a file that it can't read."""
        self._pool = pool
        self._path = path
        self._kind = kind
        self._recompute = recompute
        self._check = check
        self._known: Version[T] = Version(number=0, sha256="", content=self._parse(self._read()))
        self._offered: str | None = None
        self._invalid = ""

    @property
    def content(self) -> T:
        """Of the version seen last; the file's own until then."""
        return self._known.content

    @property
    def status(self) -> dict[str, object]:
        """For people, at /health."""
        path = str(self._path) if self._path else f"none: {self._kind.without_file}"
        problem = {"problem": self._invalid} if self._invalid else {}
        return {"version": self._known.number, "sha256": self._known.sha256[:12], "file": path, **problem}

    async def current(self, tx: Connection) -> Version[T]:
        """The newest version, which stays so until the transaction ends. Raises NotLoaded before there is one."""
        await tx.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})", self._kind.name)
        number = await tx.fetchval(self._kind.look)
        if number is None:
            raise NotLoaded(f"the {self._kind.name} is not loaded yet")
        if number != self._known.number:
            self._known = await _newest(tx, self._kind)
        return self._known

    async def watch(self, stop: asyncio.Event) -> None:
        """A loop of the service: offers the file at the start and whenever it changes."""
        while True:
            try:
                await self.look()
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("versions.stalled", file=self._kind.name, error=repr(error))
            if await pause(stop, LOOK_EVERY_S):
                return

    async def look(self) -> None:
        """Offer what the file holds now, if that is new; a bad file is told once and changes nothing."""
        content: T | None = None
        try:
            text = await asyncio.to_thread(self._read)
            content = self._parse(text) if text != self._offered else None
        except InvalidConfiguration as error:
            self._complain(str(error))
        else:
            self._invalid = ""
            self._kind.invalid.set(0)
        if content is None:
            await self._adopt()
        else:
            await self._offer(text, content)
            self._offered = text

    async def _adopt(self) -> None:
        """Another process may have offered a newer one: its file changed, ours did not."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self.current(connection)

    async def _offer(self, text: str, content: T) -> None:
        """One transaction: the version, and everything that it moves. What is the newest already is only adopted."""
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", self._kind.name)
            old = await _newest(connection, self._kind)
            if old.sha256 == sha256:
                self._known = old
                return
            number = await connection.fetchval(self._kind.insert, sha256, text)
            new = Version(number=number, sha256=sha256, content=content)
            await connection.fetchval(self._kind.look)
            if self._recompute and old.number:
                await allow_time(connection)
                await self._recompute(connection, old, new)
        self._known = new
        log.info("versions.loaded", file=self._kind.name, version=number, sha256=sha256[:12])

    def _complain(self, problem: str) -> None:
        self._kind.invalid.set(1)
        if problem != self._invalid:
            log.error("versions.invalid", file=self._kind.name, problem=problem, kept=self._known.number)
        self._invalid = problem

    def _read(self) -> str:
        """Raises InvalidConfiguration."""
        if self._path is None:
            return ""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfiguration(f"{self._path}: {getattr(error, 'strerror', None) or error}") from None

    def _parse(self, text: str) -> T:
        try:
            content = self._kind.read(text)
            if self._check:
                self._check(text, content)
        except InvalidConfiguration as error:
            raise type(error)(f"{self._path}: {error}") from None
        return content


async def newest(tx: Connection, kind: Kind[T]) -> Version[T]:
    """As it stays until the transaction ends, for who derives outside of a service."""
    await tx.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})", kind.name)
    return await _newest(tx, kind)


async def _newest(tx: Connection, kind: Kind[T]) -> Version[T]:
    row = await tx.fetchrow(kind.newest)
    if row is None:
        return Version(number=0, sha256="", content=kind.read(""))
    return Version(number=row["number"], sha256=row["sha256"], content=kind.read(row["content"]))
