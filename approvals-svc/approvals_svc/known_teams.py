"""The catalog with the teams of GitHub that are known, as this process read them last."""

import time

from approvals_svc import github_team_store
from approvals_svc.github_team import Members, fresh, in_words, within
from shared.catalog import Catalog
from shared.db import Connection

STALE_AFTER_S = 3600.0


class KnownTeams:
    """One per process. Of a team that was read longer ago than `stale_after_s` nobody is known to be in it."""

    def __init__(self, stale_after_s: float = STALE_AFTER_S) -> None:
        self._stale_after_s = stale_after_s
        self._members: tuple[Members, ...] = ()
        self._looked_at = time.monotonic()
        self._made: tuple[Catalog, tuple[Members, ...], Catalog] | None = None

    async def look(self, tx: Connection) -> None:
        self._members, self._looked_at = await github_team_store.members(tx), time.monotonic()

    @property
    def status(self) -> dict[str, str]:
        since_s = time.monotonic() - self._looked_at
        return {each.team: in_words(each, since_s=since_s, stale_after_s=self._stale_after_s) for each in self._members}

    def within(self, catalog: Catalog) -> Catalog:
        """Made anew when something of it changed: a catalog has indexes of its own."""
        since_s = time.monotonic() - self._looked_at
        known = fresh(self._members, since_s=since_s, stale_after_s=self._stale_after_s)
        if not known:
            return catalog
        made = self._made
        if made is None or made[0] is not catalog or [each[:2] for each in made[1]] != [each[:2] for each in known]:
            made = self._made = (catalog, known, within(catalog, known))
        return made[2]
