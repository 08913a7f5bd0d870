"""Precedents and searches on a real database: documents, vectors, outcomes as of a moment, who may see them."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from approvals_svc import document_store, library, question_store, store
from approvals_svc.asking import Asking
from approvals_svc.document import Document
from approvals_svc.document_store import Seen
from approvals_svc.documents import Entry
from approvals_svc.embedding import Lexical
from approvals_svc.indexing import Indexing
from approvals_svc.lexical import vector
from approvals_svc.library import OFF
from approvals_svc.model import Approval
from approvals_svc.nudges import Nudges
from approvals_svc.replies import Asker
from approvals_svc.searching import SearchesUsedUp, Searching
from shared.contracts.events import Precedent
from shared.contracts.subjects import Subjects
from shared.db.migrate import migrate
from tests.deciding import CATALOG, Counter, open_counter
from tests.planted import FAMILIES, planted
from tests.shipped import broke, deployed, merge, push, recovered, sha, tell

SECRET = """
  - {name: vault, team: payments, repositories: [acme/vault], visible_to: [payments]}
"""
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def counter(database_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database_url, tmp_path) as opened:
        yield opened


async def index(counter: Counter, embedder: Any = None) -> Indexing:
    indexing = Indexing(pool=counter.pool, catalogs=counter.catalogs, embedder=embedder or Lexical())
    while await indexing.index_some():
        pass
    return indexing


async def decided(counter: Counter, name: str, *, verb: Any = "approve", reason: str = "", **changed: Any) -> Approval:
    """Asked and decided; `name` is its commit."""
    asked = await counter.ask(sha=sha(name), **changed)
    await counter.vote(asked.id, "bo", verb, reason=reason)
    async with counter.pool.acquire() as tx:
        found = await store.approval(tx, asked.id)
    assert found
    return found


async def precedents(counter: Counter, approval: Approval, **seen: Any) -> library.Precedents:
    catalog = counter.desk.catalog
    asked = library.question_of(approval, catalog)
    async with counter.pool.acquire() as tx, tx.transaction():
        return await library.precedents(
            tx,
            asked,
            vector(asked.fields),
            catalog,
            embedder=Lexical.name,
            seen=Seen(**{"as_of": await store.clock(tx), **seen}),
        )


async def test_five_decisions_like_it_are_shown_on_the_card_with_how_they_went(counter: Counter) -> None:
    for n in range(5):
        await decided(counter, f"c{n}", verb="reject" if n == 4 else "approve", reason="not on a Friday")
    now = datetime.now(UTC)
    hours = (now - datetime(2026, 5, 1, tzinfo=UTC)).total_seconds() / 3600
    await tell(counter.pool, deployed(hours + 0.01, "c0", environment="staging", outcome="failed"))
    await index(counter)

    asked = await counter.ask(sha=sha("new"))

    assert asked.evidence
    assert (asked.evidence.comparable, asked.evidence.precedents_note) == (5, "")
    shown = asked.evidence.precedents
    assert [each.approval_id for each in shown] == [5, 4, 3, 2, 1]  # as near as each other: the newest first
    assert shown[0].reasons == ("not on a Friday",)
    assert (shown[0].outcome, shown[1].outcome, shown[4].outcome) == ("not_shipped", "unknown", "unknown")
    assert shown[0].shared == ("service checkout",)
    assert shown[0].group == "release"


async def test_under_five_comparable_ones_none_are_shown_and_it_is_said(counter: Counter) -> None:
    for n in range(4):
        await decided(counter, f"c{n}")
    await decided(counter, "other", environment="qa")
    await index(counter)

    asked = await counter.ask(sha=sha("new"))

    assert asked.evidence
    assert asked.evidence.precedents == ()
    assert asked.evidence.precedents_note == "only 4 comparable were made before, too few to learn from"


async def test_decision_about_the_same_content_is_no_precedent_of_it(counter: Counter) -> None:
    for n in range(5):
        await decided(counter, f"c{n}")
    for _ in range(3):
        await decided(counter, "same")
    await index(counter)

    asked = await counter.ask(sha=sha("same"))

    assert asked.evidence
    assert sorted(each.approval_id for each in asked.evidence.precedents) == [1, 2, 3, 4, 5]


async def test_p4_no_outcome_is_of_after_the_moment_that_is_asked_about(counter: Counter) -> None:
    for n in range(5):
        await decided(counter, f"c{n}")
    [row] = await counter.fetch("SELECT decided_at FROM approval WHERE id = 1")
    hours = (row["decided_at"] - datetime(2026, 5, 1, tzinfo=UTC)).total_seconds() / 3600
    await tell(
        counter.pool,
        deployed(hours + 1, "c0", environment="staging"),
        broke(hours + 2),
        recovered(hours + 5),
    )
    await index(counter)
    approval = await counter.ask(sha=sha("new"))

    async def first(at: float) -> Precedent:
        found = await precedents(counter, approval, as_of=row["decided_at"] + timedelta(hours=at))
        [only] = [each for each in found.shown if each.approval_id == 1]
        return only

    told = [await first(at) for at in (0.5, 1.5, 3, 6)]
    assert [(each.outcome, each.recovery_s) for each in told] == [
        ("unknown", None),
        ("unknown", None),
        ("incident", None),
        ("incident", 3 * 3600),
    ]


async def test_p4_what_reached_us_later_was_not_known_before(counter: Counter) -> None:
    for n in range(5):
        await decided(counter, f"c{n}")
    [row] = await counter.fetch("SELECT decided_at FROM approval WHERE id = 1")
    hours = (row["decided_at"] - datetime(2026, 5, 1, tzinfo=UTC)).total_seconds() / 3600
    failed = deployed(hours + 1, "c0", environment="staging", outcome="failed")
    late = failed.stamped(
        id=failed.id, source="github", origin="backfill", received_at=row["decided_at"] + timedelta(hours=9)
    )
    await tell(counter.pool, late)
    await index(counter)
    approval = await counter.ask(sha=sha("new"))

    before = await precedents(counter, approval, as_of=row["decided_at"] + timedelta(hours=8))
    after = await precedents(counter, approval, as_of=row["decided_at"] + timedelta(hours=10))

    assert {each.outcome for each in before.shown} == {"unknown"}
    assert {each.outcome for each in after.shown if each.approval_id == 1} == {"failed"}


async def test_decision_after_the_moment_is_no_precedent(counter: Counter) -> None:
    for n in range(5):
        await decided(counter, f"c{n}")
    await index(counter)
    approval = await counter.ask(sha=sha("new"))

    found = await precedents(counter, approval, as_of=approval.created_at - timedelta(hours=1))

    assert found.comparable == 0


async def test_p4_no_search_crosses_what_somebody_may_not_see(database_url: str, tmp_path: Path, scale: int) -> None:
    async with open_counter(database_url, tmp_path, catalog=CATALOG.rstrip() + SECRET) as counter:
        for n, row in enumerate(planted(seed=4, per_family=4)):
            repository = "acme/vault" if n % 3 == 0 else "acme/checkout"
            await counter.fetch(
                "INSERT INTO change SELECT 'github', $1, $2, $3, 'ana', 'human', 'merged', '', '', NULL, 1, 1,"
                " '{}', '', now(), '1', now()",
                *(repository, n, row.document.title),
            )
        await tell(counter.pool, broke(1, "I1", title="Nobody's", service_name="unknown"))
        await decided(counter, "c", service="vault", repository="acme/vault")
        await index(counter)
        rng = random.Random(9)
        outsider, insider = counter.desk.catalog.hidden_from("eve"), counter.desk.catalog.hidden_from("ana")

        crossed, seen_inside = 0, 0
        for _ in range(100 * scale):
            words = " ".join(rng.sample(FAMILIES[rng.randrange(len(FAMILIES))][3].split(), 3))
            async with counter.pool.acquire() as tx, tx.transaction():
                for hidden in (outsider, insider):
                    seen = Seen(hidden=tuple(hidden), as_of=FOREVER)
                    found = await library.search(
                        tx,
                        words,
                        vector(Document(title=words)),
                        embedder=Lexical.name,
                        seen=seen,
                        limit=50,
                    )
                    vaults = sum(each.fields.service in ("vault", "unknown") for each in found)
                    crossed, seen_inside = (
                        (crossed + vaults, seen_inside) if hidden else (crossed, seen_inside + vaults)
                    )

        assert (crossed, seen_inside > 0) == (0, True)


async def test_new_catalog_takes_documents_out_of_sight_as_it_becomes_valid(counter: Counter, tmp_path: Path) -> None:
    await tell(counter.pool, push(1, "m"), merge(1, 7, "m", title="Rotate the root key"))
    await index(counter)
    search = Searching(pool=counter.pool, embedder=Lexical(), searches_max=100)

    async def found() -> list[str]:
        hidden = counter.desk.catalog.hidden_from("eve")
        searched = await search.search("root key", hidden=hidden, limit=5)
        return [each.fields.service for each in searched.found]

    assert await found() == ["checkout"]

    moved = CATALOG.replace("repositories: [acme/checkout]", "repositories: []").rstrip()
    (tmp_path / "catalog.yaml").write_text(
        f"{moved}\n  - {{name: vault, team: payments, repositories: [acme/checkout], visible_to: [payments]}}\n"
    )
    await counter.catalogs.look()

    assert await found() == []
    await index(counter)
    hidden = counter.desk.catalog.hidden_from("ana")
    inside = await search.search("root key", hidden=hidden, limit=5)
    assert [each.fields.service for each in inside.found] == ["vault"]


async def test_p1_index_finds_under_filters_what_comparing_one_by_one_finds(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_store, "EXACT_MAX_ROWS", -2)  # a table that was never counted has -1 rows
    documents = [row.document for row in planted(seed=6, per_family=50)]
    async with counter.pool.acquire() as tx, tx.transaction():
        await document_store.put(tx, [entry(n, document) for n, document in enumerate(documents)])
        while wanted := await document_store.unembedded(tx, embedder=Lexical.name, limit=100):
            embedded = [(number, fields, vector(fields)) for number, fields in wanted]
            await document_store.set_vectors(tx, embedded, embedder=Lexical.name)
        await tx.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        seen = Seen(hidden=("search",), as_of=datetime(2026, 1, 1, 2, tzinfo=UTC))
        right = 0
        for asked in documents[::20]:
            found = await document_store.nearest(
                tx, vector(asked), seen, embedder=Lexical.name, limit=10, kind="decision", environment="production"
            )
            mine = vector(asked)
            allowed = [
                (-sum(a * b for a, b in zip(mine, vector(each), strict=True)), str(n))
                for n, each in enumerate(documents)
                if n % 2 == 0 and n <= 120 and each.service != "search"
            ]
            right += len({each.key for each in found} & {key for _, key in sorted(allowed)[:10]})

    assert right >= 0.95 * 10 * len(documents[::20])


def entry(number: int, fields: Document) -> Entry:
    """One a minute; every other one in production."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    return Entry(
        kind="decision",
        key=str(number),
        services=(fields.service,),
        origin="",
        action="deploy",
        environment="staging" if number % 2 else "production",
        fields=fields,
        body=fields.words,
        url="",
        at=at,
        known_at=at,
    )


async def test_search_finds_by_words_and_by_nearness(counter: Counter) -> None:
    await tell(
        counter.pool,
        push(1, "m"),
        merge(1, 1, "m", title="Retry the card charge once"),
        merge(2, 2, "n", title="Describe the footer"),
        broke(3, title="Charges are declined"),
    )
    await index(counter)
    search = Searching(pool=counter.pool, embedder=Lexical(), searches_max=100)

    async def first(text: str) -> str:
        found = (await search.search(text, hidden=frozenset(), limit=3)).found
        return found[0].fields.title if found else ""

    assert await first("which incident had declined charges?") == "Charges are declined"
    assert await first("pagerduty") == ""
    assert await first("incident I1") == "Charges are declined"  # its number is not compared, but searched
    assert await first("rretry carddd") == "Retry the card charge once"  # no word of it is right
    assert await first("footers") == "Describe the footer"


async def test_searches_of_a_day_end_for_all_replicas(counter: Counter) -> None:
    replicas = [Searching(pool=counter.pool, embedder=Lexical(), searches_max=3) for _ in range(2)]

    for n in range(3):
        await replicas[n % 2].search("anything", hidden=frozenset(), limit=1)

    with pytest.raises(SearchesUsedUp):
        await replicas[1].search("anything", hidden=frozenset(), limit=1)
    await counter.fetch("UPDATE searches SET day = day - 1")
    await replicas[1].search("anything", hidden=frozenset(), limit=1)


async def test_question_is_answered_once_to_who_asked_with_what_they_may_see(database_url: str, tmp_path: Path) -> None:
    async with open_counter(database_url, tmp_path, catalog=CATALOG.rstrip() + SECRET) as counter:
        await tell(counter.pool, merge(1, 1, "m", title="Rotate the root key"))
        await decided(counter, "c", service="vault", repository="acme/vault", subject="root key of the vault")
        await index(counter)
        search = Searching(pool=counter.pool, embedder=Lexical(), searches_max=2)
        subjects = Subjects("t")
        nudges = Nudges(pool=counter.pool, subjects=subjects, wake=lambda: None)
        replicas = [
            Asking(pool=counter.pool, catalogs=counter.catalogs, searching=search, nudges=nudges, subjects=subjects)
            for _ in range(2)
        ]

        async with counter.pool.acquire() as tx:
            for n, person in enumerate(("ana", "", "ana")):
                asker = Asker(cause=f"c{n}", origin="live", received_at=FOREVER, team="T1", channel="C1", user=f"U{n}")
                await question_store.add(tx, question_store.Question(asker=asker, person=person, words="root key"))
        await asyncio.gather(*(replica.answer_some() for replica in replicas))

        rows = await counter.fetch(
            "SELECT said->>'user' AS to, said->>'text' AS text"
            " FROM (SELECT convert_from(body, 'UTF8')::jsonb AS said FROM outbox WHERE subject = 't.notify') AS o"
        )
        told = {row["to"]: row["text"] for row in rows}
        assert sorted(told) == ["U0", "U1", "U2"]
        assert sum("used up" in text for text in told.values()) == 1
        assert "vault" not in told["U1"]
        assert any("decision #1" in told[user] for user in ("U0", "U2"))
        assert await counter.fetch("SELECT 1 FROM question") == []


async def test_other_embedder_makes_all_vectors_anew_and_old_ones_are_never_compared(counter: Counter) -> None:
    class Other(Lexical):
        name = "other"

    for n in range(5):
        await decided(counter, f"c{n}")
    await index(counter)
    approval = await counter.ask(sha=sha("new"))
    assert (await precedents(counter, approval)).comparable == 5

    indexing = await index(counter, Other())

    assert indexing.state == "by other"
    assert [row["embedder"] for row in await counter.fetch("SELECT DISTINCT embedder FROM document")] == ["other"]
    assert (await precedents(counter, approval)).comparable == 0


async def test_change_of_a_title_makes_another_document_and_vector(counter: Counter) -> None:
    await tell(counter.pool, merge(1, 1, "m", title="Draft"))
    await index(counter)
    await tell(counter.pool, merge(2, 1, "m", title="Guard the ledger"))

    await index(counter)

    async with counter.pool.acquire() as tx, tx.transaction():
        seen = Seen(as_of=FOREVER)
        [found] = await document_store.nearest(
            tx, vector(Document(title="Guard the ledger")), seen, embedder=Lexical.name, limit=5
        )
    assert found.fields.title == "Guard the ledger"
    assert found.nearness > 0.5


async def test_without_the_extension_all_works_but_nearness_and_it_says_so(counter: Counter, database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    await admin.execute("DROP EXTENSION vector CASCADE")
    await decided(counter, "c")
    await tell(counter.pool, merge(1, 1, "m", title="Guard the ledger"))

    indexing = await index(counter)
    asked = await counter.ask(sha=sha("new"))
    searched = await Searching(pool=counter.pool, embedder=Lexical(), searches_max=9).search(
        "ledger", hidden=frozenset(), limit=3
    )

    assert indexing.state == OFF
    assert asked.evidence and asked.evidence.precedents_note == OFF
    assert ([each.fields.title for each in searched.found], searched.note) == (["Guard the ledger"], OFF)

    await admin.execute("CREATE EXTENSION vector SCHEMA extensions")
    await migrate(database_url, progress=lambda _: None)
    await admin.close()

    assert (await index(counter)).state == f"by {Lexical.name}"
    async with counter.pool.acquire() as connection:
        assert await document_store.has_vectors(connection)
