"""The whole line as processes: order, duplication, restarts and crashes change nothing."""

import random

import pytest

from em.demo.facts import Delivery
from em.demo.outcome import dora_of
from em.demo.story import Story
from em.demo.truth import expected_dora
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER
from shared.contracts.streams import STREAMS
from tests.e2e.conftest import Theatre
from tests.provisioning import provisioned
from tests.waiting import until


def slice_of(story: Story, size: int) -> list[Delivery]:
    """The last deliveries of the story: history and the live part, handshakes aside."""
    return [delivery for delivery in story.deliveries if delivery.expect != "handshake"][-size:]


async def settled(theatre: Theatre) -> None:
    """The line is quiet, and Slack has been told everything."""
    await theatre.line.settled(timeout_s=120)
    await until(lambda: _told(theatre), timeout_s=90, what="Slack was not told everything")


async def _told(theatre: Theatre) -> bool:
    rows = await theatre.line.fetch("SELECT state FROM notifier.message UNION ALL SELECT state FROM notifier.ephemeral")
    return all(row["state"] == "shown" for row in rows)


async def test_metrics_are_the_storys_own(theatre: Theatre) -> None:
    await theatre.line.start(INGEST, NORMALIZER, METRICS_SVC)
    story = theatre.story

    await theatre.send([d for d in story.deliveries if d.expect != "handshake"], at_once=32)
    await theatre.line.settled(timeout_s=180)

    query = {"from": story.start.isoformat(), "to": story.end.isoformat(), "environment": "production"}
    answer = await theatre.line.http.get(theatre.line.url(METRICS_SVC, "/v1/dora"), params=query)
    assert dora_of(answer.json()) == pytest_approx(expected_dora(story))


def pytest_approx(expected: dict[str, dict[str, dict[str, float | int | None]]]) -> dict[str, object]:
    return {
        service: {
            name: {"n": metric["n"], "value": metric["value"] and pytest.approx(metric["value"], rel=1e-9)}
            for name, metric in metrics.items()
        }
        for service, metrics in expected.items()
    }


async def test_law_4_every_message_twice_and_shuffled_gives_equal_tables(theatre: Theatre, scale: int) -> None:
    deliveries = slice_of(theatre.story, 600 * scale)
    await theatre.line.start(INGEST, NORMALIZER, METRICS_SVC)
    await theatre.send(deliveries, at_once=1 if scale == 1 else 8)
    await theatre.line.settled()
    in_order = await theatre.line.dump("metrics"), await theatre.line.dump("normalizer")
    await _begin_anew(theatre)
    seed = random.randrange(10**6)
    twice = [*deliveries, *deliveries]
    random.Random(seed).shuffle(twice)

    await theatre.send(twice)
    await theatre.line.settled()

    assert (await theatre.line.dump("metrics"), await theatre.line.dump("normalizer")) == in_order, f"seed {seed}"


async def _begin_anew(theatre: Theatre) -> None:
    """Streams and tables as before the first delivery. A purged stream would still know the message ids."""
    line = theatre.line
    await line.stop()
    async with line.broker() as connection:
        for stream in STREAMS:
            await connection.jetstream().delete_stream(line.subjects.stream(stream.name))
    await provisioned(line.nats_url, line.subjects.prefix)
    for schema in ("metrics", "normalizer"):
        tables = ", ".join(f"{schema}.{name}" for name in await line.dump(schema, without=("alembic_version",)))
        await line.fetch(f"TRUNCATE {tables}")
    await line.start(INGEST, NORMALIZER, METRICS_SVC)
