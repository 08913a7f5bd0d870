"""What the operator can look up and put right: `em dead`, `em reconcile`, `em replay`, as typed in a shell."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from shared.bus import browse
from shared.bus.connection import open_operator
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER, SERVICES
from shared.settings import ServiceSettings
from tests.e2e.conftest import Theatre
from tests.e2e.test_line import settled, slice_of
from tests.line import Line
from tests.waiting import until


async def em(line: Line, *arguments: str) -> tuple[int, str]:
    """Exit code, and what it printed."""
    code, out, err = await _run(line, *arguments)
    return code, out + err


async def em_json(line: Line, *arguments: str) -> Any:
    _, out, _ = await _run(line, *arguments, "--json")
    return json.loads(out)


async def _run(line: Line, *arguments: str) -> tuple[int, str, str]:
    process = await em_process(line, *arguments)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def em_process(line: Line, *arguments: str) -> asyncio.subprocess.Process:
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "NATS_MONITOR_URL")},
        "NATS_URL": line.nats_url,
        "NATS_PREFIX": line.subjects.prefix,
        "DATABASE_URL": line.database_url,
        "EM_HOME": str(line.directory / "em"),
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def release(tag: str) -> bytes:
    return json.dumps(
        {
            "action": "published",
            "release": {"tag_name": tag, "published_at": "2026-03-02T10:00:00Z", "author": {"login": "ana"}},
            "repository": {"full_name": "acme/web", "default_branch": "main"},
        }
    ).encode()


@pytest.fixture
async def started(line: Line) -> Line:
    await line.start(INGEST, NORMALIZER, METRICS_SVC)
    return line


async def test_law_2_gap_in_the_archive_is_found_named_and_closed(started: Line) -> None:
    """Rows vanish behind the acknowledgement: nothing on the bus would ever bring them back."""
    line = started
    for number in range(12):
        await line.send_github("release", release(f"v{number}"))
    await line.settled()
    before = await line.dump("normalizer")
    assert await em_json(line, "reconcile") == {
        "raw_missing": 0,
        "raw_lost": 0,
        "deliveries_without_events": 0,
        "events_lost": 0,
        "handed": 0,
        "outbox_oldest_s": {"metrics-svc": 0.0, "approvals-svc": 0.0, "notifier": 0.0},
        "waiting": 0,
        "paused": 0,
        "clean": True,
    }

    await line.fetch("DELETE FROM normalizer.body WHERE delivery_id IN (SELECT id FROM normalizer.delivery LIMIT 3)")
    await line.fetch("DELETE FROM normalizer.delivery WHERE id NOT IN (SELECT delivery_id FROM normalizer.body)")
    code, text = await em(line, "reconcile")
    assert code == 1
    assert "em reconcile --repair" in text
    code, _ = await em(line, "reconcile", "--repair")
    assert code == 0

    async def is_whole() -> bool:
        return bool((await em_json(line, "reconcile"))["clean"])

    await until(is_whole, timeout_s=20, what="the archive was not repaired")
    assert await line.dump("normalizer") == before


async def test_law_2_watch_closes_gaps_by_itself_and_metrics_tell_how_many_there_were(started: Line) -> None:
    line = started
    for number in range(6):
        await line.send_github("release", release(f"v{number}"))
    await line.settled()
    before = await line.dump("normalizer")
    await line.fetch("DELETE FROM normalizer.body WHERE delivery_id IN (SELECT id FROM normalizer.delivery LIMIT 2)")
    await line.fetch("DELETE FROM normalizer.delivery WHERE id NOT IN (SELECT delivery_id FROM normalizer.body)")

    watch = await em_process(line, "watch")
    try:

        async def is_whole() -> bool:
            return await line.dump("normalizer") == before

        await until(is_whole, timeout_s=20, what="nobody repaired the archive")
    finally:
        watch.terminate()
        out, _ = await watch.communicate()
    assert watch.returncode == 0
    assert b"2 places of RAW" in out
    await line.servers[NORMALIZER.name].stop()
    await line.start(NORMALIZER)
    await until(lambda: _tells(line, 'em_ledger_mismatch{part="raw"} 2.0'), timeout_s=10, what="metrics do not tell")


async def _tells(line: Line, sample: str) -> bool:
    return sample in (await line.http.get(line.url(NORMALIZER, "/metrics"))).text


async def test_law_2_delivery_that_came_twice_is_no_gap(started: Line) -> None:
    """Outside the broker's window a repeat has a place of its own in RAW."""
    line = started
    await line.send_github("release", release("v1"), delivery="7a1f0c1e-0000-4000-8000-000000000001")
    await line.settled()
    async with open_operator(ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)) as bus:
        first = await browse.stored(bus, "RAW", 1)
        assert first is not None
        await bus.js.publish(first.subject, first.body, headers={**first.headers, "Nats-Msg-Id": "later"})
    await line.settled()

    assert await line.messages("RAW") == 2
    assert await line.count("normalizer.delivery") == 1
    assert (await em_json(line, "reconcile"))["clean"]


async def test_event_that_the_broker_lost_is_said_again_under_its_id(started: Line) -> None:
    line = started
    await line.send_github("release", release("v1"))
    await line.send_github("release", release("v2"))
    await line.settled()
    settings = ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)
    async with open_operator(settings) as bus:
        lost = await browse.stored(bus, "EVENTS", 1)
        assert lost is not None
        await bus.js.purge_stream(bus.subjects.stream("EVENTS"))
        # The duplicate window would swallow it for ten minutes more.
        config = (await bus.js.stream_info(bus.subjects.stream("EVENTS"))).config
        config.duplicate_window = 0.2
        await bus.js.update_stream(config)
        await asyncio.sleep(0.5)

        code, _ = await em(line, "reconcile", "--repair")
        assert code == 0

        async def is_back() -> bool:
            return lost.headers["ce-id"] in await browse.message_ids(bus, "EVENTS", since=lost.stored_at)

        await until(is_back, timeout_s=20, what="the event was not said again")
    assert (await em_json(line, "reconcile"))["clean"]


async def test_dead_letter_is_listed_shown_and_replayed_to_who_refused_it(started: Line) -> None:
    """The delivery's row says dead, and after the replay what it should have been."""
    line = started
    await line.send_github("release", b'{"action":"published","token":"ghp_0123456789abcdef"}')
    await line.settled()
    [letter] = await em_json(line, "dead", "list")
    assert letter["service"] == "normalizer"
    assert letter["subject"] == line.subjects.raw(source="github", event="release")
    code, text = await em(line, "dead", "show", str(letter["number"]))
    assert code == 0
    assert letter["reason"] in text
    assert "ghp_" not in text

    code, text = await em(line, "dead", "replay", str(letter["number"]))
    assert code == 0, text
    await until(lambda: _has_letters(line, 1, after=letter["number"]), timeout_s=20, what="it did not come back")
    await line.fetch("UPDATE normalizer.delivery SET disposition = 'dead'")  # as if a fixed version had to translate it
    await line.send_github("release", release("v9"), delivery="7a1f0c1e-0000-4000-8000-000000000009")
    await line.settled()
    [row] = await line.fetch("SELECT disposition FROM normalizer.delivery WHERE delivery LIKE '%09'")
    assert row["disposition"] == "events"


async def _has_letters(line: Line, count: int, *, after: int) -> bool:
    letters = await em_json(line, "dead", "list")
    return len(letters) == count and all(letter["number"] > after for letter in letters)


async def test_delivery_that_was_dead_takes_its_true_disposition_once_it_can_be_read(started: Line) -> None:
    line = started
    await line.send_github("release", release("v1"))
    await line.settled()
    await line.fetch("UPDATE normalizer.delivery SET disposition = 'dead', reason = 'an old bug', events = 0")

    code, text = await em(line, "replay", "--rate", "1000")
    assert code == 0
    assert "already there" in text  # within the duplicate window the broker keeps the first

    settings = ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)
    async with open_operator(settings) as bus:
        first = await browse.stored(bus, "RAW", 1)
        assert first is not None
        await bus.js.publish(first.subject, first.body, headers={**first.headers, "Nats-Msg-Id": "replayed"})
    await line.settled()

    [row] = await line.fetch("SELECT disposition, reason, events FROM normalizer.delivery")
    assert tuple(row) == ("events", "", 1)
    assert await line.count("normalizer.body") == 1


async def test_paused_subject_is_listed_and_resumed(started: Line) -> None:
    line = started
    subject = line.subjects.raw(source="github", event="release")
    await line.fetch("INSERT INTO normalizer.paused VALUES ('normalizer:RAW', $1, 'too many failures')", subject)
    await asyncio.sleep(1.5)  # a consumer looks once a second
    await line.send_github("release", release("v1"))
    await until(lambda: _waits(line, 1), timeout_s=10, what="it did not wait")

    [row] = await em_json(line, "dead", "resume")
    assert (row["consumer"], row["subject"], row["waiting"]) == ("normalizer:RAW", subject, 1)
    code, _ = await em(line, "dead", "resume", "normalizer", subject)
    assert code == 0
    await until(lambda: _waits(line, 0), timeout_s=30, what="what waited was not handled")
    assert await line.count("normalizer.delivery") == 1


async def _waits(line: Line, count: int) -> bool:
    return await line.count("normalizer.waiting") == count


async def test_law_9_em_replay_fills_gaps_and_acts_on_nothing(theatre: Theatre, scale: int) -> None:
    """The archive travels the line again with origin `replay`, into services that have never seen any of it."""
    line = theatre.line
    deliveries = [d for d in slice_of(theatre.story, 200 * min(scale, 10)) if d.source != "slack"]
    await line.start(INGEST, NORMALIZER)
    await theatre.send(deliveries)
    await line.settled()
    async with open_operator(ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)) as bus:
        for stream in ("EVENTS", "RAW"):
            name = bus.subjects.stream(stream)
            await bus.js.purge_stream(name)
            config = (await bus.js.stream_info(name)).config
            config.duplicate_window = 0.2
            await bus.js.update_stream(config)
    await asyncio.sleep(0.5)

    code, text = await em(line, "replay")
    assert code == 0, text
    await line.start(*[service for service in SERVICES if service not in (INGEST, NORMALIZER)])

    async def is_replayed() -> bool:
        return await line.count("metrics.deployment") > 0

    await until(is_replayed, timeout_s=60, what="metrics-svc heard nothing of the replay")
    await settled(theatre)

    counts = await theatre.control("/slack/counts")
    assert isinstance(counts, dict)
    assert counts["posts"] == counts["updates"] == counts["ephemerals"] == 0
    assert await line.count("approvals.approval") == 0
    held = await line.fetch("SELECT DISTINCT reason FROM notifier.held")
    assert {row["reason"] for row in held} == {"origin"}
    gates = sum(delivery.event == "deployment_protection_rule" for delivery in deliveries)
    assert await line.count("approvals.held") == gates
