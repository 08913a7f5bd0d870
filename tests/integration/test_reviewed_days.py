"""Days of reviews: a window that reads them has the numbers of its reviews, whatever comes late."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import msgspec
import pytest

from metrics_svc.facts import Fact
from metrics_svc.flow.pieces import piece_of
from metrics_svc.flow.reviews import Reviews
from metrics_svc.question import Question
from metrics_svc.recompute import recompute
from metrics_svc.settings import Settings
from metrics_svc.store import reviewed as reviewed_store
from metrics_svc.store.flow import reviews_done
from metrics_svc.store.paging import ALL
from metrics_svc.window import Window
from shared.catalog import Catalog
from shared.contracts.events import ChangeClosed
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Version
from shared.db.pool import open_pool
from tests.shipping import CATALOG, MONOREPO, WEB, at, change, commented, hand_over, merged, reviewed

pytestmark = pytest.mark.asyncio

DAYS = 14
# From noon to an early morning: both ends cut a day, which is told review by review.
WINDOW = Window(at(12), at(24 * (DAYS - 1) + 5))
ASKED = Question(services=("checkout", "search"), window=WINDOW)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def history(chance: random.Random) -> list[Fact]:
    return [fact for each in _changes(chance) for fact in each]


def _changes(chance: random.Random) -> Iterator[Sequence[Fact]]:
    """Every five hours one, reviewed by up to three while it is open and after, one of them its author."""
    for number in range(1, 5 * DAYS):
        ends, repository = 5.0 * number, chance.choice(("acme/checkout", WEB))
        yield merged(number, f"x{number}", ends, authored=[ends - 20], author="ana", repository=repository)
        for by in chance.sample(("ana", "ben", "cleo", "dora"), chance.randrange(4)):
            yield [reviewed(number, f"x{number}", ends + chance.uniform(-18, 30), by=by, repository=repository)]
        yield [commented(number, ends - 1, by="dora")]


@pytest.mark.parametrize(
    ("grain", "zone"), [(None, "UTC"), (None, "Asia/Tokyo"), ("day", "UTC"), ("week", "UTC"), ("month", "UTC")]
)
async def test_days_hold_the_reviews_that_were_done_on_them(pool: Pool, grain: str | None, zone: str) -> None:
    await hand_over(pool, history(random.Random(1)))
    by_day = msgspec.structs.replace(ASKED, grain=grain, zone=zone)

    found = await _read(pool, by_day)

    assert by_day.whole_days == Window(at(24), at(24 * (DAYS - 1)))
    assert {each.reviewer for each in found} == {"ben", "cleo", "dora"}
    assert found == await _listed(pool, by_day) == await _read(pool, _one_by_one(by_day))


LATE: Mapping[str, Sequence[Fact]] = {
    "a review": [reviewed(1000, "x1000", 299.5, by="dora")],
    "that it was on an earlier day": [reviewed(1000, "x1000", 250, by="ben", name="once")],
    "that it was on several": [reviewed(1000, "x1000", hours, by="ben", name="once") for hours in (275, 230, 251)],
    "that it was by somebody else": [reviewed(1000, "x1000", 300, by="cleo", state="dismissed", name="once")],
    "that the author wrote it": [reviewed(1000, "x1000", 301, by="ana", state="dismissed", name="once")],
    "who the author is": [change(ChangeClosed, 1001, "x1001", 310, state="closed", author="ben")],
    "that it had ended long before": [
        change(ChangeClosed, 1001, "x1001", 310, state="closed", closed_at=at(-800)),
    ],
}


@pytest.mark.parametrize("late", LATE)
async def test_what_comes_late_is_in_the_days_that_it_moves(pool: Pool, late: str) -> None:
    told = [reviewed(1000, "x1000", 300, by="ben", name="once"), reviewed(1001, "x1001", 299, by="ben", author="")]
    await hand_over(pool, [*history(random.Random(3)), *told])
    by_day = msgspec.structs.replace(ASKED, grain="day")
    before = await _read(pool, by_day)

    for fact in LATE[late]:
        await hand_over(pool, [fact])

    found = await _read(pool, by_day)
    assert found == await _listed(pool, by_day) != before


@pytest.mark.parametrize("catalog", [MONOREPO, msgspec.structs.replace(CATALOG, services=())])
async def test_a_new_catalog_moves_reviews_to_the_services_of_their_changes(pool: Pool, catalog: Catalog) -> None:
    await hand_over(pool, history(random.Random(4)))
    asked = msgspec.structs.replace(ASKED, services=("checkout", "search", "acme/checkout", WEB))
    before = await _read(pool, asked)

    async with pool.acquire() as tx, tx.transaction():
        await recompute(
            tx, Version(number=1, sha256="", content=CATALOG), Version(number=2, sha256="", content=catalog)
        )

    found = await _read(pool, asked)
    assert found == await _listed(pool, asked) != before


def _one_by_one(question: Question) -> Question:
    """The least confidence of links says nothing of reviews, but days don't tell of it."""
    asked = msgspec.structs.replace(question, min_confidence=0.0)
    assert not asked.whole_days.days
    return asked


async def _listed(pool: Pool, question: Question) -> list[Reviews]:
    """As its items tell."""
    async with pool.acquire() as tx:
        rows = await reviews_done(tx, question, CATALOG, ALL)
    done = Counter((row["service"], piece_of(row["at"], question.buckets), row["reviewer"]) for row in rows)
    return [Reviews(service=s, piece=p, reviewer=r, done=n) for (s, p, r), n in sorted(done.items())]


async def _read(pool: Pool, question: Question) -> list[Reviews]:
    async with pool.acquire() as tx:
        found = await reviewed_store.reviews(tx, question, CATALOG, WINDOW.end)
    return sorted(found, key=lambda each: (each.service, each.piece, each.reviewer))
