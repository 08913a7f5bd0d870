"""Laws 3, 4 and 8 for metrics-svc: any order, any repetition, two at once, and no cost that grows."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from metrics_svc.rederive import parts as parts_of
from metrics_svc.rederive import rederive
from metrics_svc.settings import Settings
from metrics_svc.store import buckets, shipped
from shared.catalog import Catalog
from shared.contracts.events import (
    ChangeClosed,
    ChangeMerged,
    ChangeOpened,
    ChangeReady,
    ChangeUpdated,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
)
from shared.contracts.services import METRICS_SVC
from shared.db import Connection, Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.shipping import (
    CATALOG,
    MONOREPO,
    REGIONS,
    REPOSITORY,
    WEB,
    at,
    change,
    commented,
    deployed,
    hand_over,
    incident,
    merged,
    one_change,
    pushed,
    reviewed,
    story,
)

pytestmark = pytest.mark.asyncio

WORK = ("build", "ticket", "ticket_status", "quality", "work_origin")
FACTS = (
    *("change", "review", "commit", "deployment", "incident", "incident_transition", "carried", "incident_cause"),
    *WORK,
)
DERIVED = (
    *("repository", "service", "production_deployment", "part", "set_aside", "change_link", "incident_link"),
    *("change_flow", "bucket", "shipped_day", "reviewed_day"),
)
# What depends on when, or in which batch, a fact came.
ARRIVAL = ["known_from", "causes", "revision"]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


# ---- laws 3 and 4 ------------------------------------------------------------------------------------------------


async def test_any_order_and_repetition_of_the_story_gives_the_same_tables(pool: Pool, scale: int) -> None:
    for seed in range(8 * scale):
        await assert_order_free(pool, story(), random.Random(seed))


async def test_any_order_and_repetition_of_a_tangled_history_gives_the_same_tables(pool: Pool, scale: int) -> None:
    """Clocks that agree, shas that come back, branches that are used again, ends that are revised."""
    for seed in range(120 * scale):
        chance = random.Random(seed)
        await assert_order_free(pool, tangle(chance), chance)


async def test_so_does_one_of_several_regions(pool: Pool, scale: int) -> None:
    for seed in range(60 * scale):
        chance = random.Random(seed)
        await assert_order_free(pool, tangle(chance), chance, REGIONS)


async def test_so_does_one_of_a_shared_repository(pool: Pool, scale: int) -> None:
    for seed in range(60 * scale):
        chance = random.Random(seed)
        await assert_order_free(pool, tangle(chance), chance, MONOREPO)


async def test_so_does_one_of_a_service_with_several_repositories(pool: Pool, scale: int) -> None:
    for seed in range(120 * scale):
        chance = random.Random(seed)
        await assert_order_free(pool, tangle(chance, (REPOSITORY, WEB)), chance)


async def test_what_is_derived_once_more_from_the_facts_is_as_it_was(pool: Pool, scale: int) -> None:
    for seed in range(10 * scale):
        for catalog in (CATALOG, REGIONS, MONOREPO):
            async with pool.acquire() as tx:
                undone = tx.transaction()
                await undone.start()
                await Facts(Pinned(catalog)).on_facts(tangle(random.Random(seed), (REPOSITORY, WEB)), tx)
                before = await dump(tx, DERIVED)
                for table in DERIVED:
                    await tx.execute(f"DELETE FROM {table}")

                for part in await parts_of(tx, catalog):
                    await rederive(tx, part, catalog)
                await buckets.refresh_all(tx)

                assert await dump(tx, DERIVED) == before
                await undone.rollback()


async def test_services_that_share_a_repository_are_derived_together(pool: Pool) -> None:
    both = [*deployed(1, "a", 1), *deployed(2, "b", 1, environment="search-production")]
    await hand_over(
        pool, [*both, incident(IncidentOpened, "Q", 2), *deployed(3, "c", 1, repository="acme/x")], MONOREPO
    )

    async with pool.acquire() as tx:
        [part] = await parts_of(tx, MONOREPO)

    assert part.origins == {"acme/checkout": ("checkout", "search"), "acme/x": ("x",)}


async def assert_order_free(
    pool: Pool, events: Sequence[Fact], chance: random.Random, catalog: Catalog = CATALOG
) -> None:
    shuffled = [*events, *chance.choices(events, k=len(events) // 3)]
    chance.shuffle(shuffled)

    at_once = await tables_after(pool, [list(events)], catalog)
    in_parts = await tables_after(pool, parts(shuffled, chance), catalog)

    assert in_parts == at_once


def parts(events: Sequence[Fact], chance: random.Random) -> list[list[Fact]]:
    rest, cut = list(events), []
    while rest:
        size = chance.choice((1, 1, 1, 2, 5))
        cut.append(rest[:size])
        rest = rest[size:]
    return cut


async def tables_after(
    pool: Pool, batches: Sequence[Sequence[Fact]], catalog: Catalog = CATALOG
) -> dict[str, list[str]]:
    """What the tables hold after these batches; then everything is taken back."""
    facts = Facts(Pinned(catalog))
    async with pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        try:
            for batch in batches:
                await tx.execute("SELECT set_config('em.known_at', '', true)")  # as in a transaction of its own
                await facts.on_facts(batch, tx)
            return await dump(tx)
        finally:
            await undone.rollback()


REPORTS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"source": "argocd", "repository": "", "service_name": "checkout"},
    {"source": "flux"},
)


IMAGE_SHA = "a" * 40
FILES = (("services/checkout/a",), ("services/search/b",), ("libs/money/c", "services/search/b"), ("README.md",), ())
SAID: tuple[dict[str, Any], ...] = (
    {"rollback": True},
    {"config_only": True},
    {"changes": (0, 2)},
    {"commits": ("s1", "elsewhere")},
    {"images": (f"shop:main-{IMAGE_SHA}",)},
    {"ref": "release"},
)
OF_SEVERAL: tuple[dict[str, Any], ...] = (
    *({"revisions": {WEB: sha}} for sha in ("s0", "s1", IMAGE_SHA)),
    {"revisions": {WEB: "s2", "acme/elsewhere": "s1"}},
    {"images": (f"shop:{'b' * 40}", f"web:{IMAGE_SHA}")},
    {"images": (f"shop:{IMAGE_SHA}", f"web:{'b' * 40}")},
    {"other_changes": (f"{WEB}#1", f"{REPOSITORY}#2")},
    {"commits": ("s0", "s2")},
)


def tangle(chance: random.Random, repositories: Sequence[str] = (REPOSITORY,)) -> list[Fact]:
    """A day of few shas, branches, changes and incidents, many of them at the same time."""
    several = len(repositories) > 1
    shas = ["s0", "s1", *((IMAGE_SHA, "b" * 40) if several else ()), "s2", "s3", "elsewhere", ""]
    shas = shas[: chance.randrange(2, 7) + 2 * several]
    said_of_deployments = ({}, {}, {}, *SAID, *(2 * OF_SEVERAL if several else ()))
    branches = ["hotfix/x", "feature/y", "release", "main"]
    environments = chance.choice(
        (("production",) * 5 + ("staging",), ("production-eu", "production-us"), ("production", "search-production"))
    )

    def hour() -> float:
        return chance.randrange(24) / 2

    def pushes() -> Iterator[Fact]:
        listed = chance.sample(shas, chance.randrange(1, len(shas)))
        files = {sha: chance.choice(FILES) for sha in listed if chance.random() < 0.8}
        authored = [hour() - 2 for _ in listed]
        where: Any = {"branch": chance.choice(branches), "repository": chance.choice(repositories)}
        yield pushed(hour(), *listed, authored=authored, files=files, **where)

    def changes(number: int) -> Iterator[Fact]:
        branch, merged_at = chance.choice(branches), hour()
        title = chance.choice((f"Change {number}", "Change 0", 'Revert "Change 0"', 'Revert "Change 1"', "[Hotfix] it"))
        head = chance.choice((branch, branch, f"revert-{number - 1}-feature"))
        fields: dict[str, Any] = {"merge_sha": chance.choice(shas), "merged_at": at(merged_at), "title": title}
        fields["repository"] = chance.choice(repositories)
        yield change(ChangeMerged, number, head, merged_at, **fields)
        if chance.random() < 0.3:
            labels = chance.choice(((), ("hotfix",)))
            yield change(ChangeUpdated, number, branch, hour(), labels=labels, repository=fields["repository"])

    def talk(number: int) -> Iterator[Fact]:
        branch, who = chance.choice(branches), ["ben", "cleo", "ana", "review[bot]"]
        states = ("approved", "changes_requested", "commented", "dismissed")
        for _ in range(chance.randrange(5)):
            by, name = chance.choice(who), chance.choice(("", "r1"))
            yield reviewed(number, branch, hour(), by=by, state=chance.choice(states), name=name)
        for _ in range(chance.randrange(3)):
            yield commented(number, hour(), by=chance.choice(who), kind=chance.choice(("human", "human", "bot")))
        for kind in chance.choices((ChangeOpened, ChangeReady, ChangeClosed), k=chance.randrange(3)):
            fields = {"state": "closed"} if kind is ChangeClosed else {"draft": chance.random() < 0.3}
            yield change(kind, number, branch, hour(), **fields)

    def deployments(number: int) -> Iterator[Fact]:
        sha, tries = chance.choice(shas), chance.choice((1, 1, 1, 2))
        told_by = {"repository": chance.choice(repositories), **chance.choice(REPORTS)}
        for _ in range(tries):
            sha = chance.choice(shas) if chance.random() < 0.4 else sha
            outcome = chance.choice(("succeeded",) * 5 + ("failed",))
            environment = chance.choice(environments)
            said = chance.choice(said_of_deployments)
            ended_at = hour() + chance.choice((0, 0, 0.2))  # within a quarter of an hour of others, or not
            yield from deployed(number, sha, ended_at, environment=environment, outcome=outcome, said=said, **told_by)

    def incidents(number: int) -> Iterator[Fact]:
        for kind in (IncidentOpened, *chance.choices((IncidentResolved, IncidentReopened), k=chance.randrange(3))):
            caused_by = chance.choice(("", "", "", "elsewhere", "3", "s0"))
            yield incident(kind, f"Q{number}", hour(), caused_by=caused_by)

    return [
        *(event for _ in range(chance.randrange(6)) for event in pushes()),
        *(event for number in range(chance.randrange(5)) for event in changes(number)),
        *(event for number in range(chance.randrange(5)) for event in talk(number)),
        *(event for number in range(chance.randrange(2, 10)) for event in deployments(number)),
        *(event for number in range(chance.randrange(4)) for event in incidents(number)),
    ]


ARGO: dict[str, Any] = {"source": "argocd", "repository": "", "service_name": "checkout"}
LATE: dict[str, tuple[list[Fact], list[Fact]]] = {
    "another platform's report of the same rollout that counts instead": (
        [*deployed(1, "a", 1, **ARGO), *deployed(2, "b", 2, **ARGO)],
        deployed(3, "a", 0.9),
    ),
    "a commit corrected, beside another platform's report of the first one": (
        [*deployed(1, "a", 1), *deployed(2, "a", 1.2, **ARGO)],
        deployed(1, "b", 3),
    ),
    "the report between two others that ends their rollout": (
        [*deployed(1, "a", 1, **ARGO), *deployed(2, "a", 1.4, **ARGO)],
        deployed(3, "a", 1.2),
    ),
    "the report that counted failed after all, another platform's did not": (
        [*deployed(1, "a", 1), *deployed(2, "a", 1.2, **ARGO)],
        deployed(1, "a", 3, outcome="failed"),
    ),
    "a deployment right after the version that a rollback returns to": (
        [*deployed(1, "a", 1), *deployed(3, "c", 3), *deployed(4, "a", 4)],
        deployed(2, "b", 2),
    ),
    "a deployment that makes a redeploy a rollback, before a hotfix": (
        [*deployed(1, "a", 1), *deployed(3, "a", 3), *one_change(1, 4, branch="hotfix/x"), *deployed(4, "d", 5)],
        deployed(2, "b", 2),
    ),
    "a deployment between a hotfix and what it seemed to mend": (
        [*deployed(1, "a", 1), *one_change(1, 4, branch="hotfix/x"), *deployed(3, "c", 5)],
        deployed(2, "b", 3),
    ),
    "a rollback that failed after all": (
        [*deployed(1, "a", 1), *deployed(2, "b", 2), *deployed(3, "a", 3)],
        deployed(3, "a", 3.5, outcome="failed"),
    ),
    "another repository's deployment that failed after all, before an incident": (
        [*deployed(1, "a", 1, repository="acme/checkout-web"), *deployed(2, "b", 2), incident(IncidentOpened, "Q", 3)],
        deployed(1, "a", 1.5, outcome="failed", repository="acme/checkout-web"),
    ),
    "a deployment between an incident and what seemed its cause": (
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 3)],
        deployed(2, "b", 2),
    ),
    "the push that shows a hotfix was not in the deployment that followed it": (
        [
            *deployed(1, "a", 1),
            *one_change(1, 2, branch="hotfix/x"),
            *deployed(2, "b", 3),
            *deployed(3, "c", 6),
            pushed(5, "c"),
        ],
        [pushed(4, "m1")],
    ),
    "an earlier change of the same branch": (
        [pushed(5, "c1", branch="develop", authored=[1]), *one_change(2, 20, branch="develop")],
        one_change(1, 10, branch="develop"),
    ),
    "the push that shows a branch's commit was on the default branch": (
        [pushed(12, "old", "own", branch="feature/1", authored=[-90, 11]), *one_change(1, 13), pushed(13, "own", "m1")],
        [pushed(1, "old", authored=[-90])],
    ),
    "an incident's service, once it is known": (
        [*deployed(1, "a", 1), incident(IncidentOpened, "Q", 2, service_id="P2")],
        [incident(IncidentResolved, "Q", 3)],
    ),
}


EU: dict[str, Any] = {"environment": "production-eu"}
US: dict[str, Any] = {"environment": "production-us"}
LATE_REGIONS: dict[str, tuple[list[Fact], list[Fact]]] = {
    "the first region, after the last": (
        [*deployed(1, "a", 1, **EU), *deployed(2, "a", 2, **US), *deployed(4, "b", 4, **US)],
        deployed(3, "b", 3, **EU),
    ),
    "a commit corrected in the region that finished first": (
        [*deployed(1, "a", 1, **EU), *deployed(2, "a", 2, **US)],
        deployed(1, "b", 3, **EU),
    ),
    "a region that failed after all": (
        [*deployed(1, "a", 1, **EU), *deployed(2, "a", 2, **US)],
        deployed(1, "a", 3, outcome="failed", **EU),
    ),
    "a region corrected to another one": (
        [*deployed(1, "a", 1, **EU), *deployed(2, "a", 2, **EU)],
        deployed(1, "a", 3, **US),
    ),
}


@pytest.mark.parametrize("late", LATE_REGIONS)
async def test_what_comes_late_of_a_region_repairs_the_rollout(pool: Pool, late: str) -> None:
    before, after = LATE_REGIONS[late]

    at_once = await tables_after(pool, [[*before, *after]], REGIONS)
    in_two = await tables_after(pool, [before, after], REGIONS)

    assert in_two == at_once


@pytest.mark.parametrize("late", LATE)
async def test_what_comes_late_repairs_its_neighbourhood(pool: Pool, late: str) -> None:
    before, after = LATE[late]

    at_once = await tables_after(pool, [[*before, *after]])
    in_two = await tables_after(pool, [before, after])

    assert in_two == at_once


async def test_two_transactions_that_each_bring_half_of_a_pair_link_it(pool: Pool, scale: int) -> None:
    """Without the lock neither sees the other's half: reference nats-postgres.md, F13."""
    pairs = 10 * scale
    for number in range(pairs):
        halves = [
            [pushed(number, f"m{number}"), *one_change(number, number)],
            deployed(number, f"m{number}", number + 0.5),
        ]
        await in_the_same_moment(pool, halves)

    linked = await pool.fetchval("SELECT count(*) FROM change_link WHERE method = 'branch_position'")
    assert linked == pairs


async def test_an_incident_and_its_deployment_that_come_at_once_are_linked(pool: Pool) -> None:
    for number in range(10):
        halves = [
            deployed(number, f"s{number}", 30 * number),
            [incident(IncidentOpened, f"Q{number}", 30 * number + 1)],
        ]
        await in_the_same_moment(pool, halves)

    assert await pool.fetchval("SELECT count(*) FROM production_deployment WHERE failed") == 10


async def in_the_same_moment(pool: Pool, halves: Sequence[Sequence[Fact]]) -> None:
    """Both have written their facts before either derives, as far as the locks let them."""
    ready = asyncio.Barrier(len(halves))

    async def half(events: Sequence[Fact]) -> None:
        async with pool.acquire() as tx, tx.transaction():
            await ready.wait()
            await Facts(Pinned(CATALOG)).on_facts(events, tx)
            await asyncio.sleep(0.005)

    await asyncio.gather(*(half(events) for events in halves))


# ---- law 8 -------------------------------------------------------------------------------------------------------


async def test_a_late_event_costs_the_same_however_long_the_history_is(pool: Pool) -> None:
    costs = [await cost_of_late_events(pool, days) for days in (30, 300)]

    (short_statements, short_rows), (long_statements, long_rows) = costs
    assert short_statements == long_statements <= 34
    assert long_rows <= 1.2 * short_rows


async def test_packing_a_day_anew_reads_its_changes_however_long_the_history_is(pool: Pool) -> None:
    costs = [await cost_of_a_day(pool, days) for days in (30, 300)]

    assert 0 < costs[1] <= 1.2 * costs[0]


async def cost_of_a_day(pool: Pool, days: int) -> int:
    """Rows read, of tables that nobody analyzed."""
    async with pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        await tx.execute("SET LOCAL enable_seqscan = off")
        await Facts(Pinned(CATALOG)).on_facts(history(days), tx)
        before = await rows_read(tx)
        await shipped.refresh(tx, [("checkout", at(24.0 * (days // 2)).date())])
        rows = await rows_read(tx) - before
        await undone.rollback()
    return rows


async def cost_of_late_events(pool: Pool, days: int) -> tuple[int, int]:
    """(statements, rows read) of a late push, change, talk, deployment and incident in the middle of a history."""
    middle = 24.0 * (days // 2) + 6
    late = [
        *merged(10_000, "feature/late", middle, authored=[middle - 1]),
        reviewed(10_000, "feature/late", middle - 0.2),
        commented(10_000, middle - 0.1),
        *deployed(10_000, "m10000", middle + 1),
        incident(IncidentOpened, "late", middle + 2),
    ]
    async with pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        await tx.execute("SET LOCAL enable_seqscan = off")
        await Facts(Pinned(CATALOG)).on_facts(history(days), tx)
        statements: list[object] = []
        before = await rows_read(tx)
        with tx.query_logger(statements.append):
            await Facts(Pinned(CATALOG)).on_facts(late, tx)
        rows = await rows_read(tx) - before
        await undone.rollback()
    return len(statements), rows


def history(days: int) -> list[Fact]:
    """A change and a deployment a day, a rollback and an incident now and then."""
    events: list[Fact] = []
    for day in range(days):
        hours = 24.0 * day
        events += merged(day, f"feature/{day}", hours + 1, authored=[hours])
        events += [reviewed(day, f"feature/{day}", hours + 0.6), commented(day, hours + 0.7)]
        events += deployed(2 * day, f"m{day}", hours + 2)
        if day % 5 == 4:
            events.append(incident(IncidentOpened, f"Q{day}", hours + 3))
            events += deployed(2 * day + 1, f"m{day - 1}", hours + 4)
            events.append(incident(IncidentResolved, f"Q{day}", hours + 5))
    return events


async def rows_read(tx: Connection) -> int:
    """By this transaction so far, from tables and through indexes."""
    rows: int = await tx.fetchval(
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables"
    )
    return rows


async def dump(tx: Connection, tables: Sequence[str] = FACTS + DERIVED) -> dict[str, list[str]]:
    return {
        table: [
            row[0]
            for row in await tx.fetch(f"SELECT (to_jsonb(t) - $1::text[])::text FROM {table} AS t ORDER BY 1", ARRIVAL)
        ]
        for table in tables
    }
