"""Many people, timers and an outage at once: what must not happen, counted."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from em.sandbox.gates import GithubSettings
from em.sandbox.server import sandbox
from shared.contracts.services import APPROVALS_SVC
from tests.backends import own_database
from tests.bench.metrics.asking import percentile
from tests.crowd import Wrong, forged, open_crowd, race, repeated
from tests.deciding import open_counter
from tests.expiring import CONFLICT, duels
from tests.identities import bypasses, graphs
from tests.line import open_line
from tests.office import APP_ID, Office, environment
from tests.outage import answers_taken
from tests.provisioning import provisioned

VOTES = 1000
CLICKS, ROUNDS = 500, 10
FORGED = 1000
GRAPHS = 10_000
DUELS = 2000
GATES = 10


async def measure(
    nats_url: str, postgres_url: str, directory: Path, *, seeds: int, outage_s: float
) -> dict[str, float]:
    """The outage lasts while the others race."""
    away = asyncio.create_task(_outage(nats_url, postgres_url, directory, outage_s))
    found = await _crowd(nats_url, postgres_url, directory, seeds)
    found["sod_bypass"] = sum(len(bypasses(graph, seed=seed)) for seed, graph in enumerate(graphs(GRAPHS, seed=1)))
    found["timer_conflicts"] = await _timers(postgres_url, directory)
    return {**found, "gate_effective_decisions": await away}


async def _crowd(nats_url: str, postgres_url: str, directory: Path, seeds: int) -> dict[str, float]:
    (own := directory / "crowd").mkdir()
    await provisioned(nats_url, "crowd")
    async with (
        own_database(postgres_url) as url,
        open_crowd(nats_url=nats_url, database_url=url, prefix="crowd", directory=own) as crowd,
    ):
        wrong = Wrong()
        for seed in range(seeds):
            wrong += await race(crowd, votes=VOTES, seed=seed)
            _tell(f"race {seed + 1} of {seeds}: {wrong}")
        took_s = list(crowd.took_s)
        for seed in range(ROUNDS):
            wrong += await repeated(crowd, clicks=CLICKS, seed=seed)
        return {
            "seeds": seeds,
            "double_terminal": wrong.double_terminal,
            "double_effect": wrong.double_effect,
            "lost_votes": wrong.lost_votes + wrong.unanswered,
            "quorum_errors": wrong.quorum_errors,
            "forged_votes_counted": await forged(crowd, votes=FORGED, seed=1),
            "race_answer_p99_ms": percentile(took_s, 0.99) * 1000,
            "race_told_to_try_again": crowd.busy,
        }


async def _timers(postgres_url: str, directory: Path) -> int:
    (own := directory / "timers").mkdir()
    async with own_database(postgres_url) as url, AsyncExitStack() as stack:
        counters = [await stack.enter_async_context(open_counter(url, own)) for _ in range(3)]
        ended = await duels(counters, DUELS, seed=1)
    _tell(f"votes against the timer: {dict(ended)}")
    return ended[CONFLICT]


async def _outage(nats_url: str, postgres_url: str, directory: Path, outage_s: float) -> int:
    """How many decisions a gate has: of all of them, the number that is furthest from one."""
    (own := directory / "outage").mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    await provisioned(nats_url, "outage")
    async with (
        own_database(postgres_url) as url,
        sandbox(github_settings=GithubSettings(app_id=APP_ID, public_key=public.decode())) as counterparts,
        httpx.AsyncClient(base_url=counterparts.control_url) as control,
        open_line(
            nats_url=nats_url,
            database_url=url,
            prefix="outage",
            directory=own,
            environment=environment(own, counterparts, key),
        ) as line,
    ):
        await line.start(APPROVALS_SVC)
        office = Office(line, counterparts.github_url, control)
        found = await answers_taken(office, gates=GATES, outage_s=outage_s, is_hurried=False)
    return max(found, key=lambda number: abs(number - 1))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
