"""`em rebuild metrics-svc`: the archive is translated again, beside what is served, and swapped in whole."""

import asyncio
from contextlib import suppress

import pytest

from em.errors import StartFailed
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER, SERVICES, Service
from tests.e2e.conftest import Theatre
from tests.e2e.test_ledger import em, em_process
from tests.e2e.test_line import settled, slice_of
from tests.line import BOOKKEEPING, Line
from tests.waiting import until

DELIVERIES = 150
# Not a projection: when it was told what, and where its own work stands.
WITHOUT = (*BOOKKEEPING, "catalog_version", "command", "attempt", "waiting")


@pytest.fixture
async def told(theatre: Theatre) -> Theatre:
    """The end of the story has been through the line."""
    await theatre.line.start(INGEST, NORMALIZER, METRICS_SVC)
    await theatre.send(slice_of(theatre.story, DELIVERIES))
    await theatre.line.settled()
    return theatre


async def mistranslate(line: Line) -> None:
    """As if a former version had taken production for staging, other shas, and half of the changes for nothing."""
    for statement in (
        "UPDATE metrics.deployment SET environment = 'staging', sha = repeat('0', 40)",
        "DELETE FROM metrics.production_deployment",
        "DELETE FROM metrics.change WHERE number % 2 = 0",
        "UPDATE metrics.change_link SET deployment = NULL",
    ):
        await line.fetch(statement)


async def dump(line: Line) -> object:
    return await line.dump("metrics", without=WITHOUT)


async def test_rebuild_corrects_what_a_wrong_translation_left_as_often_as_it_is_asked(told: Theatre) -> None:
    right = await dump(told.line)
    await told.line.send_github("release", b'{"action":"published"}')  # a dead letter, then and now
    await told.line.settled()
    for _ in range(2):
        await mistranslate(told.line)
        assert await dump(told.line) != right

        code, text = await em(told.line, "rebuild", "metrics-svc")

        assert code == 0, text
        assert " 1 deliveries can't be translated" in text
        assert await dump(told.line) == right
        assert await told.line.fetch("SELECT FROM pg_namespace WHERE nspname = 'metrics_rebuild'") == []


async def test_what_follows_from_the_facts_can_be_derived_again_alone(told: Theatre) -> None:
    right = await dump(told.line)
    for statement in (
        "DELETE FROM metrics.production_deployment",
        "UPDATE metrics.change_link SET deployment = NULL, lead_time_s = 7",
        "UPDATE metrics.bucket SET deployments = 99",
        "DELETE FROM metrics.service",
    ):
        await told.line.fetch(statement)
    assert await dump(told.line) != right

    code, text = await em(told.line, "rebuild", "metrics-svc", "--derived")

    assert code == 0, text
    assert "is rebuilt from its facts" in text
    assert await dump(told.line) == right
    past = "SELECT count(*) AS n FROM metrics.change_link_past"
    before = await told.line.fetch(past)
    assert (await em(told.line, "rebuild", "metrics-svc", "--derived"))[0] == 0
    assert await told.line.fetch(past) == before  # what was right is no news


async def test_law_4_what_comes_while_it_is_rebuilt_is_in_the_result(theatre: Theatre) -> None:
    line = theatre.line
    deliveries = slice_of(theatre.story, DELIVERIES)
    await line.start(INGEST, NORMALIZER, METRICS_SVC)
    await theatre.send(deliveries)
    await line.settled()
    right = await dump(line)
    await line.servers[METRICS_SVC.name].stop()  # who reads meanwhile would wait for what is truncated, and it for them
    await line.fetch("TRUNCATE " + ", ".join(f"metrics.{name}" for name in (*await tables(line), "inbox")))
    await line.start(METRICS_SVC)
    for table in ("body", "duplicate", "delivery"):
        await line.fetch(f"DELETE FROM normalizer.{table}")
    async with line.broker() as connection:
        js = connection.jetstream()
        for stream in ("RAW", "EVENTS"):
            name = line.subjects.stream(stream)
            await js.purge_stream(name)
            config = (await js.stream_info(name)).config
            config.duplicate_window = 0.2
            await js.update_stream(config)
    await asyncio.sleep(0.5)
    await theatre.send(deliveries[: DELIVERIES // 2])
    await line.settled()

    rebuilding = asyncio.create_task(em(line, "rebuild", "metrics-svc"))
    await theatre.send(deliveries[DELIVERIES // 2 :])
    code, text = await rebuilding
    await line.settled()

    assert code == 0, text
    assert await dump(line) == right


async def tables(line: Line) -> list[str]:
    rows = await line.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'metrics' AND table_type = 'BASE TABLE'"
    )
    return sorted({row["table_name"] for row in rows} - {*WITHOUT, "paused"})


async def test_law_3_killed_in_the_middle_it_goes_on_and_ends_the_same(told: Theatre) -> None:
    """normalizer between saying a page and noting it, metrics-svc within a batch, and the command itself."""
    line = told.line
    right = await dump(line)
    await mistranslate(line)
    for service in (METRICS_SVC, NORMALIZER):
        await line.servers[service.name].kill()
    line.arm(NORMALIZER, "rebuild.published:kill")
    line.arm(METRICS_SVC, "batch.handled:kill")

    command = await begun(line)
    for service in (NORMALIZER, METRICS_SVC):
        await dies(line, service)
    command.kill()
    await command.wait()
    for service in (NORMALIZER, METRICS_SVC):
        line.arm(service, "")
    await line.start(NORMALIZER, METRICS_SVC)
    code, text = await em(line, "rebuild", "metrics-svc")

    assert code == 0, text
    assert await dump(line) == right


async def begun(line: Line) -> asyncio.subprocess.Process:
    """A rebuild under way, and the command that waits for it."""
    command = await em_process(line, "rebuild", "metrics-svc")
    await until(lambda: is_in(line, "running", "said"), timeout_s=30, what="it did not begin")
    return command


async def is_in(line: Line, *states: str) -> bool:
    return bool(await line.fetch("SELECT FROM normalizer.rebuild WHERE state = ANY($1)", list(states)))


async def dies(line: Line, service: Service) -> None:
    """Of the failpoint that it is armed with; that may be before it was ever ready."""
    server = line.servers[service.name]
    with suppress(StartFailed):
        await server.start()

    async def is_dead() -> bool:
        return server.pid is None or server.crashed()

    await until(is_dead, timeout_s=30, what=f"{service.name} did not die")


async def test_law_4_catalog_that_changes_meanwhile_moves_what_is_being_built(told: Theatre) -> None:
    """All is said and taken when the new version comes, so that only what moves the shadow can be right."""
    line = told.line
    await line.servers[NORMALIZER.name].kill()
    command = await begun(line)
    command.kill()
    await command.wait()
    await line.start(NORMALIZER)
    await until(lambda: is_taken(line), timeout_s=30, what="it was not taken")

    path = line.directory / "catalog.yaml"
    path.write_text(path.read_text().replace("name: checkout", "name: till"))
    await until(lambda: has_versions(line, 2), timeout_s=20, what="the catalog was not loaded")
    right = await dump(line)
    code, text = await em(line, "rebuild", "metrics-svc")

    assert code == 0, text
    assert await dump(line) == right
    assert await line.fetch("SELECT FROM metrics.production_deployment WHERE service = 'till'")


async def is_taken(line: Line) -> bool:
    """All that a rebuild said stands in the shadow."""
    return bool(
        await line.fetch(
            """
            SELECT FROM normalizer.rebuild WHERE state = 'said'
               AND events = (SELECT count(*) FROM metrics.inbox WHERE consumer = 'metrics_svc:REPLAY')
            """
        )
    )


async def has_versions(line: Line, count: int) -> bool:
    return await line.count("metrics.catalog_version") == count


async def test_what_vanished_before_it_was_taken_is_never_swapped_in(told: Theatre) -> None:
    line = told.line
    before = await dump(line)
    await line.servers[METRICS_SVC.name].kill()
    command = await begun(line)
    await until(lambda: is_in(line, "said"), timeout_s=30, what="it was not said")
    async with line.broker() as connection:
        await connection.jetstream().purge_stream(line.subjects.stream("REPLAY"))
    await line.start(METRICS_SVC)
    _, err = await command.communicate()

    assert command.returncode == 1
    assert b"were gone from REPLAY" in err
    assert await dump(line) == before
    assert (await em(line, "rebuild", "metrics-svc", "--abandon"))[0] == 0
    assert (await em(line, "rebuild", "metrics-svc"))[0] == 0
    assert await dump(line) == before


async def test_law_9_a_rebuild_tells_nobody_and_asks_nobody(theatre: Theatre) -> None:
    line = theatre.line
    await line.start(INGEST, NORMALIZER, METRICS_SVC)
    await theatre.send([d for d in slice_of(theatre.story, DELIVERIES) if d.source != "slack"])
    await line.settled()
    async with line.broker() as connection:
        await connection.jetstream().purge_stream(line.subjects.stream("EVENTS"))
    await line.start(*[service for service in SERVICES if service not in (INGEST, NORMALIZER, METRICS_SVC)])

    code, text = await em(line, "rebuild", "metrics-svc")
    await settled(theatre)

    counts = await theatre.control("/slack/counts")
    assert code == 0, text
    assert isinstance(counts, dict)
    assert counts["posts"] == counts["updates"] == counts["ephemerals"] == 0
    assert await line.count("approvals.approval") == 0


async def test_abandoned_it_changes_nothing_and_another_may_begin(told: Theatre) -> None:
    line = told.line
    await line.servers[METRICS_SVC.name].kill()  # so that it can't end
    before = await dump(line)
    rebuilding = asyncio.create_task(em(line, "rebuild", "metrics-svc"))

    async def has_begun() -> bool:
        return bool(await line.fetch("SELECT FROM normalizer.rebuild"))

    await until(has_begun, timeout_s=30, what="it did not begin")
    code, text = await em(line, "rebuild", "metrics-svc", "--abandon")
    rebuilding.cancel()
    await line.start(METRICS_SVC)
    await line.settled()

    assert code == 0, text
    assert await dump(line) == before
    assert await em(line, "rebuild", "metrics-svc", "--abandon") == (1, "error: no rebuild is under way\n")
    assert (await em(line, "rebuild", "metrics-svc"))[0] == 0
    assert await dump(line) == before


async def test_a_rebuild_that_would_lose_facts_is_refused(told: Theatre) -> None:
    await told.line.fetch("UPDATE normalizer.body SET body = NULL")
    before = await dump(told.line)

    code, text = await em(told.line, "rebuild", "metrics-svc")

    assert code == 1
    assert "no body in the archive" in text
    assert await dump(told.line) == before
