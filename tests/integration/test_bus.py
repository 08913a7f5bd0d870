"""The consumer loop, the relay and dead letters against real servers."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from em.embedded import embedded_nats
from shared.bus import PublishUnknown, Reject, Relay, Retry, open_bus
from shared.contracts.envelope import Outgoing, encode_event, event_headers
from shared.contracts.events import IncidentOpened, ReleasePublished
from shared.contracts.services import METRICS_SVC
from shared.db import Connection, outbox
from shared.settings import ServiceSettings
from tests.provisioning import provisioned
from tests.waiting import until
from tests.workbench import DURABLE, Workbench, record


async def test_law_3_message_delivered_again_has_no_second_effect(bench: Workbench) -> None:
    await bench.publish("a", "b")
    async with bench.consuming(record):
        await bench.idle()
    # The same events again under other message ids, as after the duplicate window: only the inbox knows them.
    for name in ("a", "b"):
        again = bench.message(name)
        await bench.bus.js.publish(again.subject, again.body, headers={**again.headers, "Nats-Msg-Id": f"later-{name}"})

    async with bench.consuming(record):
        await bench.idle()

    assert await bench.effects() == ["a", "b"]


async def test_rejected_message_ends_in_dead_alone(bench: Workbench) -> None:
    async def refuse_b(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        for incident in incidents:
            if incident.incident_id == "b":
                raise Reject("b is not for us", of=incident)
        await record(incidents, tx)

    await bench.publish("a", "b", "c")
    async with bench.consuming(refuse_b):
        await bench.idle()

    assert await bench.effects() == ["a", "c"]
    stream = bench.bus.subjects.stream("EVENTS")
    assert await bench.dead() == [(f"{DURABLE.name}:{stream}:2", "b is not for us")]


async def test_reject_beside_a_failing_database_is_settled_once_and_the_rest_runs_again(bench: Workbench) -> None:
    failures = iter([asyncpg.ConnectionDoesNotExistError("gone"), TimeoutError()])

    async def refuse_b_then_fail(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        for incident in incidents:
            if incident.incident_id == "b":
                raise Reject("b is not for us", of=incident)
        if failure := next(failures, None):
            raise failure
        await record(incidents, tx)

    await bench.publish("a", "b", "c")
    async with bench.consuming(refuse_b_then_fail) as consumer:
        await bench.idle()
        assert await consumer.problem() is None

    assert await bench.effects() == ["a", "c"]
    assert len(await bench.dead()) == 1


async def test_value_that_the_database_cannot_hold_stops_only_its_own_message(bench: Workbench) -> None:
    await bench.pool.execute("ALTER TABLE effect ADD number integer")

    async def too_large_for_b(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        for incident in incidents:
            number = 2**40 if incident.incident_id == "b" else 1
            await tx.execute("INSERT INTO effect (name, number) VALUES ($1, $2)", incident.incident_id, number)

    await bench.publish("a", "b", "c")
    async with bench.consuming(too_large_for_b):
        await until(lambda: _has(bench, ["a", "c"]), timeout_s=10, what="the others were not handled")


async def test_event_too_large_for_the_broker_is_a_dead_letter_and_the_rest_is_published(bench: Workbench) -> None:
    async def shout(incidents: Sequence[IncidentOpened], _: Connection) -> list[Outgoing]:
        return [
            Outgoing(
                subject=bench.bus.subjects.event("release.published"),
                body=b"x" * (2_000_000 if incident.incident_id == "b" else 10),
                headers={"Nats-Msg-Id": f"said-{incident.incident_id}"},
            )
            for incident in incidents
        ]

    await bench.publish("a", "b", "c")
    async with bench.consuming(shout, once=False):
        await bench.idle()

    [(_, reason)] = await bench.dead()
    assert "2000" in reason
    assert (await bench.bus.js.stream_info(bench.bus.subjects.stream("EVENTS"))).state.messages == 3 + 2


async def test_publisher_survives_an_outage_with_all_its_slots(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(embedded_nats(tmp_path))
        await provisioned(server.url, "out")
        settings = ServiceSettings(nats_url=server.url, nats_prefix="out")
        bus = await stack.enter_async_context(open_bus(settings, METRICS_SVC))
        body = b"x" * 500_000
        messages = [
            Outgoing(subject="out.events.release.published", body=body, headers={"Nats-Msg-Id": str(n)})
            for n in range(200)  # more bytes than the client buffers
        ]
        await server.stop()

        lost = await asyncio.gather(
            *(bus.publisher.publish(message, timeout_s=0.3) for message in messages), return_exceptions=True
        )
        await server.start()
        await bus.publisher.publish_all(messages[:50], timeout_s=20)

        assert all(isinstance(answer, PublishUnknown) for answer in lost)
        await bus.publisher.publish(messages[0], timeout_s=5)


async def test_unreadable_message_is_a_dead_letter_and_stops_nobody(bench: Workbench) -> None:
    good = bench.message("a")
    await bench.bus.js.publish(good.subject, b"{not json", headers={**good.headers, "Nats-Msg-Id": "bad"})
    await bench.publish("b")

    async with bench.consuming(record):
        await bench.idle()

    assert await bench.effects() == ["b"]
    [(_, reason)] = await bench.dead()
    assert reason.startswith("unreadable")


async def test_kind_that_this_version_does_not_know_is_acknowledged(bench: Workbench) -> None:
    message = bench.message("a")
    subject = bench.bus.subjects.event("incident.escalated")
    await bench.bus.js.publish(subject, message.body, headers={"ce-type": "incident.escalated"})
    await bench.publish("b")

    async with bench.consuming(record):
        await bench.idle()

    assert await bench.effects() == ["b"]
    assert await bench.dead() == []


async def test_retry_sets_one_message_aside_and_the_rest_goes_on(bench: Workbench) -> None:
    tries: list[str] = []

    async def not_yet(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        for incident in incidents:
            if incident.incident_id == "b" and tries.count("b") == 0:
                tries.append("b")
                raise Retry("not yet", after=timedelta(milliseconds=200), of=incident)
        await record(incidents, tx)

    await bench.publish("a", "b", "c")
    async with bench.consuming(not_yet):
        await until(lambda: _has(bench, ["a", "b", "c"]), timeout_s=10, what="the retried message was not handled")

    assert await bench.waiting() == []


async def test_bug_met_by_one_message_does_not_stop_the_others(bench: Workbench) -> None:
    async def trip_on_b(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        if any(incident.incident_id == "b" for incident in incidents):
            raise ZeroDivisionError
        await record(incidents, tx)

    await bench.publish("a", "b", "c", "d")
    async with bench.consuming(trip_on_b):
        await until(lambda: _has(bench, ["a", "c", "d"]), timeout_s=10, what="the others were not handled")

    assert await bench.dead() == []


async def _has(bench: Workbench, names: list[str]) -> bool:
    return await bench.effects() == names


async def test_database_error_charges_nobody_and_the_same_batch_runs_again(bench: Workbench) -> None:
    failures = iter([asyncpg.SerializationError("could not serialize"), asyncpg.DeadlockDetectedError("deadlock")])

    async def fail_twice(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        await record(incidents, tx)
        if failure := next(failures, None):
            raise failure

    await bench.publish("a", "b")
    async with bench.consuming(fail_twice):
        await bench.idle()

    assert await bench.effects() == ["a", "b"]
    assert await bench.dead() == []


async def test_again_consumer_publishes_what_its_handler_returns_before_it_acknowledges(bench: Workbench) -> None:
    release = ReleasePublished(occurred_at=datetime.now(UTC), repository="acme/web", tag="v1").stamped(
        id="release-1", source="test", origin="live", received_at=None
    )

    async def answer(_: Sequence[IncidentOpened], __: Connection) -> list[Outgoing]:
        subject = bench.bus.subjects.event(release.kind)
        return [Outgoing(subject=subject, body=encode_event(release), headers=event_headers(release))]

    await bench.publish("a")

    async def is_said() -> bool:
        stream = bench.bus.subjects.stream("EVENTS")
        info = await bench.bus.js.stream_info(stream, subjects_filter=bench.bus.subjects.event(release.kind))
        return bool(info.state.subjects)

    async with bench.consuming(answer, once=False):
        await until(is_said, timeout_s=20, what="what the handler returned was not published")
        await bench.idle()

    stored = await bench.bus.js.get_last_msg(
        bench.bus.subjects.stream("EVENTS"), bench.bus.subjects.event(release.kind)
    )
    assert stored.headers is not None
    assert stored.headers["ce-id"] == "release-1"


async def test_relay_publishes_what_was_committed_and_nothing_else(bench: Workbench) -> None:
    async with bench.pool.acquire() as connection:
        async with connection.transaction():
            await outbox.add(connection, [bench.message("kept")])
            await outbox.add(connection, [bench.message("kept")])
        rolled_back = connection.transaction()
        await rolled_back.start()
        await outbox.add(connection, [bench.message("lost")])
        await rolled_back.rollback()

    stop = asyncio.Event()
    stop.set()
    await Relay(bus=bench.bus, pool=bench.pool, service="test").run(stop)

    info = await bench.bus.js.stream_info(bench.bus.subjects.stream("EVENTS"))
    assert info.state.messages == 1
    assert await bench.pool.fetchval("SELECT count(*) FROM outbox") == 0
