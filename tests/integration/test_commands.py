"""What metrics-svc answers in chat, on a real PostgreSQL: the reports in short, to one person or for all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from metrics_svc.answering import Commands
from metrics_svc.settings import Settings
from shared.catalog import Catalog, Person, Service, Team, Thresholds
from shared.contracts.envelope import read_event
from shared.contracts.events import Bulletin, ChatCommand, Event, Reply, Section, SignedRequest
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool, outbox
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.reviewing import reviewing
from tests.shipping import CATALOG, at, deployed, hand_over, of_checkout, shifted

pytestmark = pytest.mark.asyncio

TEAMS = msgspec.structs.replace(
    CATALOG,
    teams=(Team(name="payments", members=("ana",)), Team(name="books", members=("bo",))),
    services=(
        msgspec.structs.replace(of_checkout().services[0], team="payments"),
        Service(name="ledger", team="books", visible_to=("books",)),
    ),
    people=(Person(name="ana", slack=("U0ANA",)), Person(name="bo", slack=("U0BO",))),
    thresholds=Thresholds(stale_change_h=40, unreviewed_h=12, wip_limit=1),
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        today = [*deployed(104, "late", 91), *deployed(105, "later", 92, outcome="failed")]
        await hand_over(opened, shifted([*reviewing(), *today], datetime.now(UTC) - at(96)))
        yield opened


async def said(pool: Pool, text: str, *, user: str = "U0ANA", catalog: Catalog = TEAMS) -> Event:
    """The one answer to a command."""
    now = datetime.now(UTC)
    signed = SignedRequest(body=b"", timestamp="", signature="")
    asked = ChatCommand(occurred_at=now, team="T1", user=user, channel="C1", command="/em", text=text, signed=signed)
    event = asked.stamped(id=str(uuid4()), source="slack", origin="live", received_at=now)
    async with pool.acquire() as tx, tx.transaction():
        commands = Commands(Pinned(catalog), Subjects("em"), acts_on_demo=False)
        await commands.on_command([event, event], tx)
        [message] = await outbox.oldest(tx, limit=10)
        await tx.execute("DELETE FROM outbox")
    answer = read_event(message.headers, message.body)
    assert message.subject == "em.notify" and answer is not None
    return answer


async def answered(pool: Pool, text: str, *, user: str = "U0ANA", catalog: Catalog = TEAMS) -> Reply:
    answer = await said(pool, text, user=user, catalog=catalog)
    assert isinstance(answer, Reply)
    return answer


def counted(sections: tuple[Section, ...]) -> dict[str, int | None]:
    return {section.title: section.n for section in sections}


async def test_standup_tells_a_person_of_their_own_teams(pool: Pool) -> None:
    mine = await answered(pool, "STANDUP 24")
    others = await answered(pool, "standup 24", user="U0BO")

    assert mine.text.startswith("Standup of payments, last 24 hours: ")
    assert counted(mine.sections)["Failed deployments"] == 1
    assert counted(mine.sections)["Deployed"] == 1
    assert (others.text, others.sections) == ("Standup of books, last 24 hours: 0 changes in progress", ())


async def test_who_is_in_no_team_is_told_of_all(pool: Pool) -> None:
    answer = await answered(pool, "standup", catalog=msgspec.structs.replace(TEAMS, people=()))
    mine = await answered(pool, "standup")

    assert answer.text.startswith("Standup, last 48 hours: ")
    assert answer.sections == mine.sections != ()


async def test_triage_and_signals_count_what_waits_too_long(pool: Pool) -> None:
    triage = await answered(pool, "triage")
    one = await answered(pool, "signals stale_pr")
    every = await answered(pool, "signals")

    assert set(counted(triage.sections)) == {"Untouched for long", "Waiting for a review"}
    assert counted(one.sections) == {"Untouched for long": counted(triage.sections)["Untouched for long"]}
    assert len(every.sections) == 4
    [waiting] = [section for section in triage.sections if section.title == "Waiting for a review"]
    assert waiting.n and all(line.subject.startswith("acme/checkout#") and line.at for line in waiting.items)
    assert "No signal is called slow" in (await answered(pool, "signals slow")).text


async def test_sprint_health_is_that_of_the_report(pool: Pool) -> None:
    answer = await answered(pool, "sprint 14")

    [section] = answer.sections
    told = {line.subject: line.detail for line in section.items}
    assert (section.title, told["Deployments"]) == ("payments", "5 (0.36 a day)")
    assert answer.text == "Sprint health of payments, last 14 days"


@pytest.mark.parametrize(("text", "about"), [("standup", "standup"), ("triage", "triage"), ("sprint", "sprint")])
async def test_post_says_the_same_to_all_and_remembers_who_asked(pool: Pool, text: str, about: str) -> None:
    posted = await said(pool, f"{text} post <#C024BE91L|payments>")

    assert isinstance(posted, Bulletin)
    assert (posted.about, posted.channel, posted.team) == (about, "C024BE91L", "payments")
    assert (posted.user, posted.asked_in) == ("U0ANA", "C1")
    assert counted(posted.sections) == counted((await answered(pool, text)).sections)


async def test_only_members_post_for_all(pool: Pool) -> None:
    stranger = await answered(pool, "standup post #payments", user="U0EVE")
    anybody = await said(pool, "standup post", user="U0EVE", catalog=msgspec.structs.replace(TEAMS, people=()))

    assert stranger.text.startswith("Only who is in the catalog")
    assert isinstance(anybody, Bulletin)


async def test_a_service_that_is_not_for_everybody_is_told_to_its_team_alone(pool: Pool) -> None:
    assert "No service is called ledger. There are: checkout" in (await answered(pool, "dora ledger")).text
    assert "*ledger*: no production deployment" in (await answered(pool, "dora ledger", user="U0BO")).text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("standup 200", "hours: must be a number from 1 to 168. Use `/em standup [hours]`"),
        ("triage post general", "#channel: must be a channel, such as #payments. Use `/em triage post [#channel]`"),
    ],
)
async def test_words_that_do_not_fit_are_answered_with_the_usage(pool: Pool, text: str, problem: str) -> None:
    assert (await answered(pool, text)).text == problem


async def test_an_answer_in_chat_shows_five_lines_of_a_section(pool: Pool) -> None:
    answer = await answered(pool, "standup 168")

    assert max(len(section.items) for section in answer.sections) == 5
