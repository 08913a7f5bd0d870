"""The catalog as numbered versions: what a new one touches is derived again, a bad one changes nothing (law 4)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from metrics_svc.handlers import Facts
from metrics_svc.recompute import recompute
from metrics_svc.settings import Settings
from shared.catalog import Catalog, Service
from shared.contracts.services import METRICS_SVC
from shared.db import Connection, Pool
from shared.db.catalogs import Catalogs, NotLoaded, Pinned
from shared.db.pool import open_pool
from tests.line import Line
from tests.shipping import CATALOG, deployed, hand_over, merged, story, write_catalog
from tests.waiting import until

DERIVED = ("repository", "production_deployment", "change_link", "incident_link")
CHECKOUT = CATALOG.services[0]

RENAMED = msgspec.structs.replace(CATALOG, services=(msgspec.structs.replace(CHECKOUT, name="till"),))
STAGING_COUNTS = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, production=("^(production|staging)$",)),)
)
NO_INCIDENTS = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, incident_services={"pagerduty": ("P9",)}),)
)
EMPTY = Catalog()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def derived(tx: Connection | Pool) -> dict[str, list[str]]:
    """Every derived row, but for the number of the version that it was derived by."""
    return {
        table: [
            json.dumps(json.loads(row["row"]), sort_keys=True)
            for row in await tx.fetch(f"SELECT to_jsonb(t) - 'catalog_version' AS row FROM {table} t ORDER BY 1")
        ]
        for table in DERIVED
    }


async def from_scratch(pool: Pool, catalog: Catalog) -> dict[str, list[str]]:
    async with pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        try:
            for table in await tables(tx):
                await tx.execute(f"DELETE FROM {table}")
            await Facts(Pinned(catalog)).on_facts(story(), tx)
            return await derived(tx)
        finally:
            await undone.rollback()


async def tables(tx: Connection) -> list[str]:
    rows = await tx.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'metrics'")
    return [row["tablename"] for row in rows if row["tablename"] not in ("alembic_version", "catalog_version")]


@pytest.mark.parametrize(
    "new", [RENAMED, STAGING_COUNTS, NO_INCIDENTS, EMPTY], ids=["renamed", "staging", "incidents", "empty"]
)
async def test_law_4_new_version_ends_where_it_would_have_begun(pool: Pool, tmp_path: Path, new: Catalog) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    catalogs = Catalogs(pool, path, recompute=recompute)
    await catalogs.look()
    await hand_over(pool, story())
    before = await derived(pool)

    write_catalog(path, new)
    await catalogs.look()
    after = await derived(pool)

    assert after == await from_scratch(pool, new)
    assert after != before
    async with pool.acquire() as tx, tx.transaction():
        assert (await catalogs.current(tx)).number == 2

    write_catalog(path, CATALOG)
    await catalogs.look()
    assert await derived(pool) == before


async def test_law_8_new_version_touches_only_what_it_gives_another_meaning(pool: Pool, tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    catalogs = Catalogs(pool, path, recompute=recompute)
    await catalogs.look()
    await hand_over(pool, story())
    others = [*merged(900, "x", 5, authored=[4]), *deployed(900, "m900", 6, repository="acme/ledger")]
    await hand_over(pool, others)
    places = "SELECT id, ctid::text, xmin::text FROM production_deployment WHERE service = 'checkout' ORDER BY id"
    before = await pool.fetch(places)

    books = Service(name="books", repositories=("acme/ledger",))
    write_catalog(path, msgspec.structs.replace(CATALOG, services=(CHECKOUT, books)))
    await catalogs.look()

    assert await pool.fetch(places) == before
    assert await pool.fetchval("SELECT service FROM repository WHERE name = 'acme/ledger'") == "books"
    assert await pool.fetchval("SELECT catalog_version FROM repository WHERE name = 'acme/ledger'") == 2


async def test_bad_file_is_told_once_and_the_good_version_stays(pool: Pool, tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    catalogs = Catalogs(pool, path, recompute=recompute)
    await catalogs.look()

    path.write_text("services:\n  - name: checkout\n    team: nobody\n")
    await catalogs.look()

    assert "line 3, services[0].team" in str(catalogs.status["problem"])
    assert catalogs.catalog == CATALOG
    assert await pool.fetchval("SELECT count(*) FROM catalog_version") == 1
    write_catalog(path, RENAMED)
    await catalogs.look()
    assert "problem" not in catalogs.status
    assert catalogs.catalog == RENAMED


async def test_no_file_is_a_version_too(pool: Pool) -> None:
    catalogs = Catalogs(pool, None)
    await catalogs.look()
    async with pool.acquire() as tx, tx.transaction():
        assert (await catalogs.current(tx)).catalog == Catalog()


async def test_two_processes_with_different_files_do_not_take_turns(pool: Pool, tmp_path: Path) -> None:
    """A rollout: the newer file was offered last, and the older process follows instead of offering its own again."""
    old = Catalogs(pool, write_catalog(tmp_path / "old.yaml", CATALOG))
    new = Catalogs(pool, write_catalog(tmp_path / "new.yaml", RENAMED))
    await old.look()
    for _ in range(3):
        await new.look()
        await old.look()

    assert await pool.fetchval("SELECT count(*) FROM catalog_version") == 2
    assert old.catalog == new.catalog == RENAMED


async def test_batch_waits_for_no_version_and_a_reload_waits_for_the_batch(pool: Pool, tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    catalogs = Catalogs(pool, path)
    async with pool.acquire() as tx, tx.transaction():
        with pytest.raises(NotLoaded):
            await catalogs.current(tx)
    await catalogs.look()
    write_catalog(path, RENAMED)
    async with pool.acquire() as tx, tx.transaction():
        assert (await catalogs.current(tx)).number == 1
        reload = asyncio.create_task(catalogs.look())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reload), 0.3)
        assert (await catalogs.current(tx)).number == 1
    await reload
    assert catalogs.catalog == RENAMED


async def test_running_service_follows_the_file(shop: Line) -> None:
    line = shop
    await line.start(METRICS_SVC)
    path = line.directory / "catalog.yaml"

    async def knows(service: str) -> bool:
        answer = await line.http.get(line.url(METRICS_SVC, "/v1/dora"))
        return [each["service"] for each in answer.json()["services"]] == [service]

    await until(lambda: knows("checkout"), timeout_s=10, what="the first catalog is not known")
    write_catalog(path, RENAMED)
    await until(lambda: knows("till"), timeout_s=10, what="the new catalog is not known")
    path.write_text("services: [")

    async def complains() -> bool:
        health = (await line.http.get(line.url(METRICS_SVC, "/health"))).json()
        return "line 1" in health["catalog"].get("problem", "") and health["catalog"]["version"] == 2

    await until(complains, timeout_s=10, what="nobody says what is wrong")
    assert await knows("till")
    assert (await line.http.get(line.url(METRICS_SVC, "/ready"))).status_code == 200
