"""The audit, lists, deadlines and decisions where there is much of them."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg

from approvals_svc.anchors import Anchors
from approvals_svc.audit import SYSTEM, Entry, genesis, sealed
from approvals_svc.deadlines import Deadlines
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from tests.backends import own_database
from tests.crowd import bearer
from tests.deciding import Counter, open_counter
from tests.line import Line, open_line
from tests.office import TOKEN_KEY
from tests.provisioning import provisioned

ROWS = 100_000
SHAPES = {"audit100k_s": 10_000, "audit100k_one_chain_s": 1}  # how many chains the rows are in
RUNS = 3
PENDING = 100_000
CLONED_AT_ONCE = 5_000
PAGES = 300
DUE = 10_000
DECISIONS, AT_ONCE = 2_000, 32
PREFIX = "sizes"


async def measure(nats_url: str, postgres_url: str, directory: Path) -> dict[str, float]:
    found = {}
    for name, chains in SHAPES.items():
        async with _counter(postgres_url, directory / name) as (url, counter):
            found[name] = await _audit(url, counter, chains)
    async with _counter(postgres_url, directory / "due") as (_, counter):
        found["sweep10k_s"] = await _sweep(counter)
    async with (
        _counter(postgres_url, directory / "line") as (url, counter),
        _line(nats_url, url, directory / "line") as line,
    ):
        await _clone(counter, PENDING)
        await counter.fetch("ANALYZE")
        await line.start(APPROVALS_SVC)
        found |= {"list100k_p95_ms": await _lists(line), "decisions_s": await _decisions(line, counter)}
    return found


@asynccontextmanager
async def _counter(postgres_url: str, directory: Path) -> AsyncIterator[tuple[str, Counter]]:
    directory.mkdir()
    async with own_database(postgres_url) as url, open_counter(url, directory, prefix=PREFIX) as counter:
        yield url, counter


async def _clone(counter: Counter, copies: int) -> None:
    """As many approvals like a new one, without audit."""
    like = await counter.ask()
    columns = await counter.fetch(
        "SELECT quote_ident(column_name) AS name FROM information_schema.columns WHERE table_schema = 'approvals'"
        " AND table_name = 'approval' AND column_name NOT IN ('id', 'public_id', 'external_key') ORDER BY 1"
    )
    names = ", ".join(column["name"] for column in columns)
    for first in range(1, copies + 1, CLONED_AT_ONCE):
        await counter.fetch(
            f"INSERT INTO approval (public_id, external_key, {names})"
            f" SELECT gen_random_uuid(), 'copy:' || n, {names}"
            " FROM approval, generate_series($1::integer, $2::integer) AS n WHERE id = $3",
            *(first, min(first + CLONED_AT_ONCE - 1, copies), like.id),
        )


# ---- audit ---------------------------------------------------------------------------------------------------------


async def _audit(url: str, counter: Counter, chains: int) -> float:
    """Seconds of `em approvals verify`, start of the interpreter included."""
    await _clone(counter, chains)
    connection = await asyncpg.connect(url, server_settings={"search_path": "approvals"})
    await _fill(connection, ROWS // chains)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    assert await Anchors(pool=counter.pool, subjects=Subjects(PREFIX), interval_s=0).anchor_if_due()
    return statistics.median([await _verified(url) for _ in range(RUNS)])


async def _fill(connection: asyncpg.Connection, rows: int) -> None:
    """Of each copy a chain of so many rows, as the service writes them."""
    copies = await connection.fetch(
        "SELECT id, public_id::text, created_at FROM approval WHERE external_key LIKE 'copy:%' ORDER BY id"
    )
    for first in range(0, len(copies), 1000):
        entries = [_chain(copy, rows) for copy in copies[first : first + 1000]]
        await connection.copy_records_to_table(
            "audit", records=[_record(entry) for chain in entries for entry in chain], schema_name="approvals"
        )
        await connection.executemany(
            "UPDATE approval SET audit_seq = $2, audit_head = $3, counted_seq = $2 WHERE id = $1",
            [(chain[-1].approval_id, chain[-1].seq, chain[-1].hash) for chain in entries],
        )


def _chain(copy: asyncpg.Record, rows: int) -> Sequence[Entry]:
    entries: list[Entry] = []
    head = genesis(copy["public_id"])
    for seq in range(1, rows + 1):
        entry = sealed(
            Entry(
                approval_id=copy["id"],
                seq=seq,
                at=copy["created_at"],
                actor=SYSTEM,
                verb="refused",
                before="pending",
                after="pending",
                detail={"asked": "approve", "reason": "di is not in the group release", "refusal": "not_eligible"},
                prev_hash=head,
            )
        )
        entries.append(entry)
        head = entry.hash
    return entries


def _record(entry: Entry) -> tuple[object, ...]:
    actor = {"person": entry.actor.person, "identity": entry.actor.identity, "surface": entry.actor.surface}
    return (
        *(entry.approval_id, entry.seq, entry.at, json.dumps(actor), entry.verb, entry.before, entry.after),
        *(json.dumps(entry.detail), entry.prev_hash, entry.hash),
    )


async def _verified(url: str) -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", "approvals", "verify", "--offline", "--json"),
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    took = time.perf_counter() - started
    found = json.loads(out)
    assert found["whole"], found
    assert found["rows"] > ROWS
    return took


# ---- deadlines -----------------------------------------------------------------------------------------------------


async def _sweep(counter: Counter) -> float:
    """Seconds until one replica has let all expire that is due."""
    await _clone(counter, DUE)
    await counter.fetch(
        "UPDATE approval SET expires_at = clock_timestamp(), audit_seq = 0,"
        " audit_head = encode(sha256(('approval:' || public_id)::bytea), 'hex') WHERE external_key LIKE 'copy:%'"
    )
    await counter.fetch("UPDATE deadline SET due_at = clock_timestamp() WHERE kind = 'expire' AND approval_id > 1")
    await counter.fetch("ANALYZE")
    timer = Deadlines(pool=counter.pool, desk=counter.desk)
    started = time.perf_counter()
    while await timer.fire_some():
        pass
    took = time.perf_counter() - started
    ended = await counter.fetch("SELECT count(*) AS number FROM audit WHERE after = 'expired' AND before = 'pending'")
    assert ended[0]["number"] == DUE
    return took


# ---- the service ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _line(nats_url: str, url: str, directory: Path) -> AsyncIterator[Line]:
    environment = {
        "CATALOG_PATH": str(directory / "catalog.yaml"),
        "POLICY_PATH": str(directory / "policy.yaml"),
        "AUTH_ENABLED": "true",
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": TOKEN_KEY,
        "DB_POOL_SIZE": "5",
    }
    await provisioned(nats_url, PREFIX)
    async with open_line(
        nats_url=nats_url, database_url=url, prefix=PREFIX, directory=directory, environment=environment
    ) as line:
        yield line


async def _lists(line: Line) -> float:
    """The 95th percentile of pages of 100, one after the other through what is pending."""
    url, headers = line.url(APPROVALS_SVC, "/v1/approvals?status=pending"), bearer("bo")
    took, place = [], ""
    for _ in range(PAGES):
        started = time.perf_counter()
        answer = await line.http.get(url + place, headers=headers)
        took.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
        place = f"&before={answer.json()['next']}"
    return statistics.quantiles(took, n=20)[-1]


async def _decisions(line: Line, counter: Counter) -> float:
    """Per second, over REST, by as many people at once, while all that is pending stays so."""
    waiting = iter([(await counter.ask()).id for _ in range(DECISIONS)])
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, headers=bearer("bo")) as http:

        async def decide() -> None:
            for number in waiting:
                url = line.url(APPROVALS_SVC, f"/v1/approvals/{number}/decision")
                async with http.post(url, json={"decision": "approve"}) as answer:
                    assert answer.status == 200, await answer.text()

        started = time.perf_counter()
        await asyncio.gather(*(decide() for _ in range(AT_ONCE)))
        return DECISIONS / (time.perf_counter() - started)
