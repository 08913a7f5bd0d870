"""The catalog as numbered versions: what a new one touches is derived again, a bad one changes nothing (law 4)."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from metrics_svc.question import Question
from metrics_svc.recompute import recompute
from metrics_svc.settings import Settings
from metrics_svc.store.excluded import excluded
from metrics_svc.window import Window
from shared.catalog import Catalog, Service, Team, Tenure
from shared.contracts.events import AlertFired, AlertResolved
from shared.contracts.services import METRICS_SVC
from shared.db import Connection, Pool
from shared.db.catalogs import Catalogs, NotLoaded, Pinned
from shared.db.pool import open_pool
from tests.line import Line
from tests.shipping import (
    CATALOG,
    REPOSITORY,
    WEB,
    alert,
    at,
    commented,
    deployed,
    hand_over,
    merged,
    reviewed,
    story,
    write_catalog,
)
from tests.waiting import until

DERIVED = (
    *("repository", "service", "production_deployment", "part", "set_aside", "change_link", "incident_link"),
    *("change_flow", "bucket", "shipped_day", "reviewed_day"),
)
# What depends on when, or in which batch, a fact came.
ARRIVAL = ["catalog_version", "known_from", "causes", "revision"]
CHECKOUT = CATALOG.services[0]

RENAMED = msgspec.structs.replace(CATALOG, services=(msgspec.structs.replace(CHECKOUT, name="till"),))
STAGING_COUNTS = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, production=("^(production|staging)$",)),)
)
NO_INCIDENTS = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, incident_services={"pagerduty": ("P9",)}),)
)
ARGO_COUNTS = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, authoritative="argocd", deployments={"argocd": ("web",)}),)
)
ALERTS_COUNT = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, alerts={"prometheus": ("Checkout.*",)}),)
)
ONE_OF_TWO = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, regions={"production": ("production", "production-us")}),)
)
MAIL = Service(name="mail", repositories=("acme/checkout",), paths=("mail/**",), production=("^mail$",))
SHARED = msgspec.structs.replace(CATALOG, services=(CHECKOUT, MAIL))
APART = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, paths=("web",)), msgspec.structs.replace(MAIL, paths=("api",)))
)
WITHOUT_WEB = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, repositories=(REPOSITORY,)), Service(name="checkout-web"))
)
WITH_TILL = msgspec.structs.replace(
    CATALOG, services=(msgspec.structs.replace(CHECKOUT, repositories=(REPOSITORY, WEB, "acme/till")),)
)
HANDED_OVER = msgspec.structs.replace(
    CATALOG,
    teams=(*CATALOG.teams, Team(name="books")),
    services=(msgspec.structs.replace(CHECKOUT, earlier_teams=(Tenure(team="books", until=at(24).date()),)),),
)
BOTS = msgspec.structs.replace(CATALOG, bots=("cleo",))
AGENTS = msgspec.structs.replace(CATALOG, ai_agents=("ana",))
EMPTY = Catalog()


def events() -> list[Fact]:
    """The story, of which another platform reports a part as well, under its own name, and which reaches another region
    once; alerts and reviews beside it. At the end two deployments bring several repositories."""
    alerts = [
        alert(AlertFired, "A1", 33, rule="CheckoutSlow"),
        alert(AlertResolved, "A1", 35, rule="CheckoutSlow"),
        alert(AlertFired, "A2", 33.5, rule="DiskFull"),
    ]
    talk = [reviewed(2, "feature/two", 5, by="cleo"), reviewed(2, "feature/two", 6), commented(7, 59.5, by="cleo")]
    told_by_checkout: dict[str, Any] = {"source": "heroku", "repository": "", "service_name": "checkout"}
    web: dict[str, Any] = {"source": "argocd", "repository": "", "service_name": "web"}
    return [
        *story(),
        *deployed(800, "m2", 12.5, environment="production-us"),
        *deployed(900, "m3", 16.1, **web),
        *deployed(901, "m4", 32.1, **web),
        *merged(30, "w", 61, authored=[60.5], repository=WEB),
        *merged(31, "w", 61, authored=[60.5], repository="acme/till"),
        *deployed(902, "m6", 62, said={"revisions": {WEB: "m30", "acme/till": "m31", "acme/unseen": "m32"}}),
        *deployed(903, "m30", 63, **told_by_checkout),
        *alerts,
        *talk,
    ]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def derived(tx: Connection | Pool) -> dict[str, list[str]]:
    """Every derived row, but for the number of the version that it was derived by."""
    return {
        table: [
            json.dumps(json.loads(row["row"]), sort_keys=True)
            for row in await tx.fetch(f"SELECT to_jsonb(t) - $1::text[] AS row FROM {table} t ORDER BY 1", ARRIVAL)
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
            await Facts(Pinned(catalog)).on_facts(events(), tx)
            return await derived(tx)
        finally:
            await undone.rollback()


async def tables(tx: Connection) -> list[str]:
    rows = await tx.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'metrics'")
    return [row["tablename"] for row in rows if row["tablename"] not in ("alembic_version", "catalog_version")]


@pytest.mark.parametrize(
    "new",
    [
        *(RENAMED, STAGING_COUNTS, NO_INCIDENTS, ARGO_COUNTS, ALERTS_COUNT, ONE_OF_TWO, SHARED, APART, HANDED_OVER),
        *(BOTS, AGENTS, EMPTY, WITHOUT_WEB, WITH_TILL),
    ],
    ids=[
        *("renamed", "staging", "incidents", "argo", "alerts", "regions", "shared", "apart", "handed over"),
        *("bots", "agents", "empty", "less", "more"),
    ],
)
async def test_law_4_new_version_ends_where_it_would_have_begun(pool: Pool, tmp_path: Path, new: Catalog) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    catalogs = Catalogs(pool, path, recompute=recompute)
    await catalogs.look()
    await hand_over(pool, events())
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


async def test_alerts_of_a_listed_rule_are_incidents_of_the_service(pool: Pool, tmp_path: Path) -> None:
    path = write_catalog(tmp_path / "catalog.yaml", ALERTS_COUNT)
    catalogs = Catalogs(pool, path, recompute=recompute)
    await catalogs.look()
    async with pool.acquire() as tx, tx.transaction():
        await Facts(catalogs).on_facts(events(), tx)

    links = await pool.fetch("SELECT incident, service, deployment FROM incident_link WHERE incident LIKE 'prom%'")
    told = {row["incident"]: (row["service"], row["deployment"]) for row in links}
    assert told == {
        "prometheus:alert:A1": ("checkout", "github:acme/checkout:105"),
        "prometheus:alert:A2": (None, None),
    }
    async with pool.acquire() as tx:
        left_out = await excluded(tx, Question(services=["checkout"], window=Window(at(0), at(70))))
    assert None not in left_out


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
        assert (await catalogs.current(tx)).content == Catalog()


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
        return {row["service"] for row in answer.json()["rows"]} == {service}

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
