"""The catalog with the Slack accounts that people confirmed, as this process read them last."""

from approvals_svc import link_store
from approvals_svc.links import Link, within
from shared.catalog import Catalog
from shared.db import Connection


class KnownLinks:
    """One per process."""

    def __init__(self) -> None:
        self._links: tuple[Link, ...] = ()
        self._made: tuple[Catalog, tuple[Link, ...], Catalog] | None = None

    async def look(self, tx: Connection) -> None:
        self._links = await link_store.links(tx)

    def within(self, catalog: Catalog) -> Catalog:
        """Made anew when something of it changed: a catalog has indexes of its own."""
        if not self._links:
            return catalog
        made = self._made
        if made is None or made[0] is not catalog or made[1] != self._links:
            made = self._made = (catalog, self._links, within(catalog, self._links))
        return made[2]
