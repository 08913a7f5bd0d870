"""What bears a label of the catalog is seen by its teams alone, on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvals_svc import listing, store, summary_store
from approvals_svc.embedding import Lexical
from approvals_svc.indexing import Indexing
from approvals_svc.listing import Wanted
from approvals_svc.policy import Facts
from approvals_svc.searching import Searching
from approvals_svc.summary import Span
from approvals_svc.visibility import is_hidden
from tests.deciding import CATALOG, Counter, open_counter

pytestmark = pytest.mark.asyncio

LABELS = "labels: [{name: security, visible_to: [payments]}]\n"


async def seen_by(counter: Counter, person: str) -> tuple[list[int], list[int], list[int], int]:
    """In the list, by number, in the report; and how many a search finds."""
    hidden, now = counter.desk.catalog.hidden_from(person), datetime.now(UTC)
    async with counter.pool.acquire() as tx:
        page, _ = await listing.page(tx, Wanted(hidden=hidden), counter.desk.catalog, limit=10)
        every = [each for n in (1, 2, 3) if (each := await store.approval(tx, n))]
        span = Span(start=now - timedelta(days=1), end=now + timedelta(days=1))
        reported = await summary_store.rows(tx, span, hidden=hidden)
    searching = Searching(pool=counter.pool, embedder=Lexical(), searches_max=100)
    searched = await searching.search("checkout staging", hidden=hidden, limit=10)
    return (
        sorted(each.id for each in page),
        [each.id for each in every if not is_hidden(each.subject, hidden)],
        sorted(row.id for row in reported),
        len(searched.found),
    )


async def test_what_bears_a_hidden_label_is_found_nowhere(database_url: str, tmp_path: Path) -> None:
    async with open_counter(database_url, tmp_path, catalog=f"{CATALOG}{LABELS}") as counter:
        for labels in (("security", "api"), ("api",), None):
            facts = Facts(action="deploy", service="checkout", environment="staging", labels=labels)
            approval = await counter.ask(facts=facts)
            await counter.vote(approval.id, "bo")
        indexing = Indexing(pool=counter.pool, catalogs=counter.catalogs, embedder=Lexical())
        while await indexing.index_some():
            pass

        assert await seen_by(counter, "ana") == ([1, 2, 3], [1, 2, 3], [1, 2, 3], 3)
        assert await seen_by(counter, "eve") == ([2, 3], [2, 3], [2, 3], 2)

        moved = CATALOG.replace("repositories: [acme/checkout]", "repositories: []")
        (tmp_path / "catalog.yaml").write_text(f"{moved}{LABELS}")
        await counter.catalogs.look()

        assert (await seen_by(counter, "eve"))[3] == 2
