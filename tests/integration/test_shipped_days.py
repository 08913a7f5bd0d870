"""Days of samples: a window that reads them has the numbers of its changes, whatever comes late."""

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import msgspec
import pytest

from metrics_svc.facts import Fact
from metrics_svc.question import Question
from metrics_svc.recompute import recompute
from metrics_svc.settings import Settings
from metrics_svc.store import shipped
from metrics_svc.store.samples import LEAD_CONFIDENCE
from metrics_svc.store.shipped import Shipped
from metrics_svc.window import Window
from shared.contracts.events import DeploymentStarted
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Version
from shared.db.pool import open_pool
from tests.shipping import CATALOG, at, commented, deployed, hand_over, merged, pushed, reviewed

pytestmark = pytest.mark.asyncio

DAYS = 9
# From noon to an early morning: both ends cut a day, which is told change by change.
WINDOW = Window(at(12), at(24 * (DAYS - 1) + 5))
ASKED = Question(services=("checkout", "search"), window=WINDOW)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def history(chance: random.Random) -> list[Fact]:
    return [pushed(-40, "base"), *deployed(1000, "base", -39), *(fact for each in _changes(chance) for fact in each)]


def _changes(chance: random.Random) -> Iterator[Sequence[Fact]]:
    """Every hour and a half one, of up to four commits, one of them dated after the deployment; some are reviewed."""
    for number in range(1, 16 * DAYS):
        ends = 1.5 * number
        authored = [ends - chance.uniform(1, 30) for _ in range(chance.randrange(1, 5))]
        yield merged(number, f"x{number}", ends, authored=authored)
        if chance.random() < 0.7:
            yield [reviewed(number, f"x{number}", ends - chance.random(), by=chance.choice(("ben", "cleo")))]
        yield deployed(number, f"m{number}", ends + chance.uniform(0.2, 1))


@pytest.mark.parametrize(
    ("grain", "zone"), [(None, "UTC"), (None, "Asia/Tokyo"), ("day", "UTC"), ("week", "UTC"), ("month", "UTC")]
)
async def test_days_hold_the_samples_of_their_changes(pool: Pool, grain: str | None, zone: str) -> None:
    await hand_over(pool, history(random.Random(1)))
    by_day = msgspec.structs.replace(ASKED, grain=grain, zone=zone)
    by_change = msgspec.structs.replace(by_day, min_confidence=LEAD_CONFIDENCE)

    found, listed = await _read(pool, by_day), await _read(pool, by_change)

    assert by_day.whole_days == Window(at(24), at(24 * (DAYS - 1))) and not by_change.whole_days.days
    assert [len(each) for each in found.values()] == [len(by_day.buckets)] * 3
    assert found == listed


async def test_what_days_cannot_tell_is_read_change_by_change(pool: Pool) -> None:
    await hand_over(pool, history(random.Random(2)))
    local = msgspec.structs.replace(ASKED, grain="day", zone="Europe/Berlin")

    found, whole = await _read(pool, local), await _read(pool, ASKED)

    assert not local.whole_days.days
    assert {name: _together(each) for name, each in found.items()} == {
        name: _together(each) for name, each in whole.items()
    }


LATE: Mapping[str, Sequence[Fact]] = {
    "a comment": [commented(40, 58.7, by="dora")],
    "a start": deployed(40, "m40", 60.2)[:1],
    "a commit": [pushed(59.5, "late", branch="x40", authored=[30])],
    "a deployment": deployed(2000, "m40", 60.05),
    "a failure": deployed(40, "m40", 61.2, outcome="failed"),
}


@pytest.mark.parametrize("late", LATE)
async def test_what_comes_late_is_in_the_days_that_it_moves(pool: Pool, late: str) -> None:
    started = [fact for fact in history(random.Random(3)) if _starts(fact, "40")]
    await hand_over(pool, [fact for fact in history(random.Random(3)) if fact not in started])
    before = await _read(pool, ASKED)

    await hand_over(pool, LATE[late])

    found = await _read(pool, ASKED)
    assert found == await _read(pool, msgspec.structs.replace(ASKED, min_confidence=LEAD_CONFIDENCE)) != before


async def test_so_is_what_a_new_catalog_says_of_reviewers(pool: Pool) -> None:
    await hand_over(pool, history(random.Random(4)))
    before = await _read(pool, ASKED)

    with_bot = msgspec.structs.replace(CATALOG, bots=("cleo",))
    async with pool.acquire() as tx, tx.transaction():
        await recompute(
            tx,
            Version(number=1, sha256="", content=CATALOG),
            Version(number=2, sha256="", content=with_bot),
        )

    found = await _read(pool, ASKED)
    assert found == await _read(pool, msgspec.structs.replace(ASKED, min_confidence=LEAD_CONFIDENCE)) != before


def _starts(fact: Fact, deployment: str) -> bool:
    return isinstance(fact, DeploymentStarted) and fact.deployment_id == deployment


async def _read(pool: Pool, question: Question) -> Mapping[str, list[Shipped]]:
    confidence = LEAD_CONFIDENCE if question.min_confidence is None else question.min_confidence
    async with pool.acquire() as tx:
        found = {
            "lead times": await shipped.lead_times(tx, question, confidence),
            "commit lead times": await shipped.commit_lead_times(tx, question, confidence),
            "stages": await shipped.stages(tx, question),
        }
    return {name: sorted(each, key=lambda part: (part.service, part.piece)) for name, each in found.items()}


def _together(found: Sequence[Shipped]) -> dict[str, list[float]]:
    return {
        column: sorted(seconds for part in found for seconds in part.samples[column]) for column in found[0].samples
    }
