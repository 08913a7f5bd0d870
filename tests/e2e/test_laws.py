"""Laws 5, 6 and 9 by name."""

import asyncpg
import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from shared.contracts.envelope import EM_ORIGIN, MESSAGE_ID, own_headers
from shared.contracts.services import SERVICES, Service
from shared.db.pool import server_settings
from tests.e2e.conftest import Theatre
from tests.e2e.test_line import settled, slice_of

WITH_SCHEMA = [service for service in SERVICES if service.schema]


@pytest.mark.parametrize("service", WITH_SCHEMA, ids=lambda service: service.name)
async def test_law_5_role_of_a_service_is_denied_every_foreign_schema(database_url: str, service: Service) -> None:
    connection = await asyncpg.connect(database_url, server_settings=server_settings(service))
    try:
        own = await connection.fetchval("SELECT count(*) FROM alembic_version")
        for other in WITH_SCHEMA:
            if other is not service:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT * FROM {other.schema}.alembic_version")
        for forbidden in (f"CREATE TABLE {service.schema}.mine ()", "CREATE TABLE public.mine ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
    finally:
        await connection.close()
    assert own == 1


def test_law_6_rules_import_no_io_and_services_never_import_each_other() -> None:
    assert lint_imports(cache_dir=None) == EXIT_STATUS_SUCCESS


async def test_law_9_replayed_deliveries_count_but_post_nothing_and_ask_nobody(theatre: Theatre) -> None:
    deliveries = [d for d in slice_of(theatre.story, 400) if d.source != "slack"]
    await theatre.line.start(SERVICES[0])
    await theatre.send(deliveries)
    await _make_replay(theatre)

    await theatre.line.start(*SERVICES[1:])
    await settled(theatre)

    line = theatre.line
    counts = await theatre.control("/slack/counts")
    assert isinstance(counts, dict)
    assert counts["posts"] == counts["updates"] == counts["ephemerals"] == 0
    assert await line.count("approvals.approval") == 0
    assert await line.count("metrics.deployment") > 0
    held = await line.fetch("SELECT DISTINCT reason FROM notifier.held")
    assert "origin" in {row["reason"] for row in held}
    assert await line.count("approvals.held") == sum(d.event == "deployment_protection_rule" for d in deliveries)


async def _make_replay(theatre: Theatre) -> None:
    """What `em replay` publishes: the same deliveries under the same ids, with another origin."""
    async with theatre.line.broker() as connection:
        js = connection.jetstream()
        stream = theatre.line.subjects.stream("RAW")
        last = (await js.stream_info(stream)).state.last_seq
        kept = [await js.get_msg(stream, sequence) for sequence in range(1, last + 1)]
        await js.purge_stream(stream)
        for message in kept:
            headers = {**own_headers(message.headers), EM_ORIGIN: "replay"}
            headers[MESSAGE_ID] = f"replay:{headers[MESSAGE_ID]}"
            await js.publish(message.subject or "", message.data or b"", headers=headers)
