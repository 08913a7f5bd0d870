"""The audit: whatever somebody with every right on the database changes in it is found, and named."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from approvals_svc import audit_store
from approvals_svc.anchors import Anchors
from approvals_svc.verification import Verified, verify
from shared.contracts.subjects import Subjects
from tests.backends import own_database
from tests.deciding import Counter, open_counter

EXAMPLES = 5000 if os.environ.get("SCALE") == "full" else 300
COLUMNS = {
    "audit": ("approval_id", "seq", "at", "actor", "verb", "before", "after", "detail", "prev_hash", "hash"),
    "approval": ("public_id", "status", "audit_seq", "audit_head"),
    "anchor": ("number", "at", "approvals", "prev_hash", "hash"),
    "anchored": ("anchor", "approval_id", "seq", "head"),
}
# Digits are what hashes, numbers and times take; most others are refused there.
BYTES = st.sampled_from(b"0123456789abcdef") | st.integers(0, 255)
PLACES = [(table, column) for table, columns in COLUMNS.items() for column in columns]


class Tampered:
    """The database under an administrator's hands, without triggers and foreign keys, until the block ends."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._transaction = connection.transaction(isolation="repeatable_read")

    async def __aenter__(self) -> "Tampered":
        await self._transaction.start()
        await self.connection.execute("SET LOCAL session_replication_role = replica")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()

    async def changes(self, statement: str, *arguments: object) -> None:
        for each in statement.split(";"):
            await self.connection.execute(each, *arguments)

    async def verify(self, **options: Any) -> Verified:
        return await verify(self.connection, **options)


@pytest.fixture(scope="module")
async def history(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Four approvals, three of them under anchors: #1 decided by two, #2 rejected, #3 refused once, #4 pending."""
    async with own_database(postgres_url) as url, open_counter(url, tmp_path_factory.mktemp("audit")) as counter:
        anchors = Anchors(pool=counter.pool, subjects=Subjects("t"), interval_s=0)
        for environment in ("production", "staging"):
            await counter.ask(environment)
        await counter.vote(1, "bo", reason="café, Ω and 🚀 are fine")
        await counter.vote(2, "cy", "reject", reason="not on a Friday")
        assert await anchors.anchor_if_due()
        await counter.ask()
        await counter.vote(3, "ana")
        await counter.vote(1, "cy")
        assert await anchors.anchor_if_due()
        await counter.ask()
        yield url


@pytest.fixture(scope="module")
async def owner(history: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(history)
    await connection.execute("SET search_path = approvals")
    yield connection
    await connection.close()


async def test_audit_as_it_was_written_is_whole(owner: asyncpg.Connection) -> None:
    async with Tampered(owner) as untouched:
        found = await untouched.verify()

    assert found == Verified(rows=10, chains=4, anchors=2)


# Rows of #1: 1 requested, 2 approve (bo), 3 approve (cy), 4 decided. Of #2: 1 requested, 2 reject, 3 decided.
TAMPERINGS = {
    "UPDATE audit SET verb = 'approve' WHERE approval_id = 2 AND seq = 2": "#2, row 2 is not as it was written",
    "UPDATE audit SET hash = repeat('0', 64) WHERE approval_id = 1 AND seq = 4": "#1, row 4 is not as it was written",
    'UPDATE audit SET actor = actor || \'{"x": "y"}\' WHERE approval_id = 1 AND seq = 2': "#1, row 2 is not as it was",
    "UPDATE audit SET at = at + interval '1 us' WHERE approval_id = 4": "#4, row 1 is not as it was written",
    "DELETE FROM audit WHERE approval_id = 1 AND seq = 2": "#1, row 3 stands where row 2 must",
    "DELETE FROM audit WHERE approval_id = 1 AND seq = 4": "#1 says that its last row is 4 ",
    "DELETE FROM audit WHERE approval_id = 4": "#4 has no row",
    "DELETE FROM approval WHERE id = 4": "#4, row 1 belongs to no approval",
    # inserted
    "INSERT INTO audit SELECT 4, 2, at, actor, verb, before, after, detail, prev_hash, hash FROM audit"
    " WHERE approval_id = 1 AND seq = 2": "#4, row 2 does not follow the row before it",
    # reordered
    "UPDATE audit SET seq = -seq WHERE approval_id = 1 AND seq IN (2, 3);"
    "UPDATE audit SET seq = 5 + seq WHERE approval_id = 1 AND seq < 0": "#1, row 2 does not follow the row before it",
    # swapped between approvals
    "UPDATE audit SET approval_id = 3 - approval_id, seq = -seq WHERE seq = 1 AND approval_id IN (1, 2);"
    "UPDATE audit SET seq = 1 WHERE seq = -1": "#1, row 1 does not follow the row before it",
    "UPDATE approval SET public_id = gen_random_uuid() WHERE id = 3": "#3, row 1 does not follow the row before it",
    # cut off, with the head made to fit
    "DELETE FROM audit WHERE approval_id = 1 AND seq = 4; UPDATE approval SET audit_seq = 3, status = 'pending',"
    " decision = '', decided_at = NULL, audit_head = (SELECT hash FROM audit WHERE approval_id = 1 AND seq = 3)"
    " WHERE id = 1": "#1, row 4 is not what anchor 2 holds of it",
    # the whole approval
    "DELETE FROM audit WHERE approval_id = 2; DELETE FROM approval WHERE id = 2": "#2, row 3 is not what anchor 1",
    "UPDATE approval SET status = 'executed' WHERE id = 2": "#2 is executed, but its last row says rejected",
    # the anchors themselves
    "DELETE FROM anchor WHERE number = 2": "#1, row 4 is not what anchor 2 holds of it",
    "DELETE FROM anchored WHERE approval_id = 2": "anchor 1 is not as it was written",
    "DELETE FROM anchor WHERE number = 1; DELETE FROM anchored WHERE anchor = 1": "anchor 2 stands where anchor 1 must",
    "UPDATE anchor SET at = at - interval '1 hour' WHERE number = 1": "anchor 1 is not as it was written",
}


@pytest.mark.parametrize("statement", TAMPERINGS, ids=lambda statement: statement[:70])
async def test_tampering_is_found_and_named(owner: asyncpg.Connection, statement: str) -> None:
    async with Tampered(owner) as tampered:
        await tampered.changes(statement)

        found = await tampered.verify()

    assert TAMPERINGS[statement] in found.problem


async def test_newest_anchor_that_vanished_is_known_from_its_publication(owner: asyncpg.Connection) -> None:
    published = await audit_store.newest_anchor(owner)
    async with Tampered(owner) as tampered:
        await tampered.changes("DELETE FROM anchor WHERE number = 2; DELETE FROM anchored WHERE anchor = 2")

        alone, with_witness = await tampered.verify(), await tampered.verify(witness=published)

    assert (alone.problem, with_witness.problem) == ("", "anchor 2 is gone: it was published")


async def test_one_approval_or_the_latest_are_verified_alone(owner: asyncpg.Connection) -> None:
    [decided_at] = await owner.fetch("SELECT max(at) AS at FROM audit WHERE approval_id = 1")
    async with Tampered(owner) as tampered:
        await tampered.changes("UPDATE audit SET verb = 'x' WHERE approval_id = 2")

        two = await tampered.verify(approval_id=2)
        one = await tampered.verify(approval_id=1)
        latest = await tampered.verify(since=decided_at["at"])

    assert "approval #2, row 1" in two.problem
    assert one == Verified(rows=4, chains=1)
    assert (latest.chains, latest.anchors, latest.problem) == (3, 1, "")  # what anchor 2 holds, and #4


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(place=st.sampled_from(PLACES), row=st.integers(0, 20), at=st.integers(0, 500), byte=BYTES)
async def test_any_byte_that_is_another_is_found(
    owner: asyncpg.Connection, place: tuple[str, str], row: int, at: int, byte: int
) -> None:
    """Of every column that counts, as PostgreSQL would store it; what it refuses to store nobody has to find."""
    table, column = place
    async with Tampered(owner) as tampered:
        stored = [r["ctid"] for r in await owner.fetch(f"SELECT ctid::text FROM {table} ORDER BY ctid")]
        where = f"ctid = '{stored[row % len(stored)]}'"
        text = await owner.fetchval(f"SELECT {column}::text FROM {table} WHERE {where}")
        mutated = bytearray(text.encode())
        mutated[at % len(mutated)] = byte
        kept = await _store(owner, table, column, where, bytes(mutated))
        assume(kept not in (None, text))

        found = await tampered.verify()

    assert found.problem, (table, column, text, kept)


async def _store(owner: asyncpg.Connection, table: str, column: str, where: str, mutated: bytes) -> str | None:
    """What stands there now; None where PostgreSQL refuses it. The transaction goes on either way."""
    kind = await owner.fetchval(f"SELECT pg_typeof({column})::text FROM {table} LIMIT 1")
    try:
        async with owner.transaction():
            kept: str = await owner.fetchval(
                f"UPDATE {table} SET {column} = $1::text::{kind} WHERE {where} RETURNING {column}::text",
                mutated.decode(),
            )
    except (asyncpg.PostgresError, UnicodeDecodeError):
        return None
    return kept


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(data=st.data())
async def test_any_row_that_is_missing_or_elsewhere_is_found(owner: asyncpg.Connection, data: st.DataObject) -> None:
    rows = [(r["approval_id"], r["seq"]) for r in await owner.fetch("SELECT approval_id, seq FROM audit")]
    one, other = data.draw(st.lists(st.sampled_from(rows), min_size=2, max_size=2, unique=True))
    async with Tampered(owner) as deleted:
        await deleted.changes("DELETE FROM audit WHERE (approval_id, seq) = ($1, $2)", *one)
        without = await deleted.verify()
    async with Tampered(owner) as swapped:
        move = "UPDATE audit SET approval_id = $1, seq = $2 WHERE approval_id = $3 AND seq = $4"
        for place, moved in (((0, 0), one), (one, other), (other, (0, 0))):
            await swapped.changes(move, *place, *moved)
        exchanged = await swapped.verify()

    assert without.problem
    assert exchanged.problem


async def test_text_that_only_looks_the_same_is_found(owner: asyncpg.Connection) -> None:
    """U+2126 OHM is canonically the letter that was hashed: one byte of a width more, and equal after NFC."""
    async with Tampered(owner) as tampered:
        await tampered.changes(
            "UPDATE audit SET detail = replace(detail::text, 'Ω', U&'\\2126')::jsonb WHERE approval_id = 1"
        )

        found = await tampered.verify()

    assert "#1, row 2 is not as it was written" in found.problem


# ---- anchors -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def counter(database_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database_url, tmp_path) as opened:
        yield opened


async def test_anchor_holds_what_changed_since_the_one_before_and_is_said_once(counter: Counter) -> None:
    anchors = [Anchors(pool=counter.pool, subjects=Subjects("t"), interval_s=0) for _ in range(3)]
    for _ in range(3):
        await counter.ask()
    first = [await each.anchor_if_due() for each in anchors]
    await counter.vote(2, "bo")

    second = [await each.anchor_if_due() for each in anchors]

    assert [anchor.approvals if anchor else None for anchor in (*first, *second)] == [3, None, None, 1, None, None]
    said = await counter.fetch("SELECT body FROM outbox WHERE subject LIKE '%approval.anchored' ORDER BY sequence")
    events = [msgspec.json.decode(row["body"]) for row in said]
    assert [(event["anchor"], event["hash"]) for event in events] == [
        (anchor.number, anchor.hash) for anchor in (*first, *second) if anchor
    ]
    assert events[1]["prev_hash"] == events[0]["hash"]


async def test_anchor_waits_its_time_by_the_databases_clock_and_one_replica_sets_it(counter: Counter) -> None:
    anchors = [Anchors(pool=counter.pool, subjects=Subjects("t")) for _ in range(4)]
    await counter.ask()
    early = [await each.anchor_if_due() for each in anchors]
    await counter.fetch("UPDATE approval SET created_at = created_at - interval '1 hour'")

    at_once = await asyncio.gather(*(each.anchor_if_due() for each in anchors))

    assert early == [None] * 4
    assert [anchor.number for anchor in at_once if anchor] == [1]
