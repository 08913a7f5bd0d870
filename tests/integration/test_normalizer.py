"""normalizer over real servers: one disposition for every delivery, the same events however often it comes."""

import json
from typing import Any

import pytest

from em.sandbox.sender import slack_request
from shared.contracts.envelope import MESSAGE_ID, Outgoing
from shared.contracts.services import INGEST, NORMALIZER
from tests.line import SLACK_SECRET, Line

REPOSITORY = {"full_name": "acme/web", "default_branch": "main"}


def release(tag: str) -> bytes:
    published = {
        "tag_name": tag,
        "target_commitish": "main",
        "published_at": "2026-05-01T12:00:00Z",
        "prerelease": False,
        "draft": False,
        "author": {"login": "ana", "type": "User"},
    }
    body = {"action": "published", "release": published, "repository": REPOSITORY, "sender": {"login": "ana"}}
    return json.dumps(body).encode()


@pytest.fixture
async def started(line: Line) -> Line:
    await line.start(INGEST, NORMALIZER)
    return line


async def dispositions(line: Line) -> dict[str, Any]:
    answer: dict[str, Any] = (await line.http.get(line.url(NORMALIZER, "/v1/dispositions"))).json()
    return answer


async def events(line: Line) -> list[tuple[str, bytes]]:
    """(message id, body) of everything in EVENTS."""
    async with line.broker() as connection:
        js = connection.jetstream()
        stream = line.subjects.stream("EVENTS")
        last = (await js.stream_info(stream)).state.last_seq
        found = [await js.get_msg(stream, sequence) for sequence in range(1, last + 1)]
        return [((m.headers or {})[MESSAGE_ID], m.data or b"") for m in found]


async def test_law_2_every_delivery_ends_in_exactly_one_disposition(started: Line) -> None:
    await started.send_github("release", release("v1"))
    await started.send_github("ping", b'{"zen":"x","hook_id":1}')
    await started.send_github("watch", b'{"action":"started"}')
    await started.send_github("release", b'{"action":"published"}')
    await started.send_github("push", b"not json at all")
    await started.send_github("", b'{"who":"knows"}')
    await started.send_slack(b'{"type":null}')

    await started.settled()

    answer = await dispositions(started)
    assert (answer["deliveries"], answer["events"], answer["ignored"], answer["dead"]) == (7, 1, 3, 3)
    assert await started.messages("DEAD") == 3
    rows = await started.fetch(
        "SELECT event, reason FROM normalizer.delivery WHERE disposition = 'dead' ORDER BY event"
    )
    assert [row["event"] for row in rows] == ["push", "release", "unknown"]
    assert all(row["reason"] for row in rows)


async def test_law_3_delivery_that_comes_again_after_the_duplicate_window_changes_nothing(started: Line) -> None:
    await started.send_github("release", release("v1"), delivery="d-1")
    await started.settled()
    before = await started.dump("normalizer")
    async with started.broker() as connection:
        js = connection.jetstream()
        first = await js.get_msg(started.subjects.stream("RAW"), 1)
        again = {**(first.headers or {}), MESSAGE_ID: "the window has forgotten it"}
        await js.publish(started.subjects.raw(source="github", event="release"), first.data or b"", headers=again)

    await started.settled()

    assert await started.dump("normalizer") == before
    assert await started.messages("EVENTS") == 1


async def test_same_delivery_id_with_other_bytes_is_archived_twice_with_events_of_their_own(started: Line) -> None:
    await started.send_github("release", release("v1"), delivery="d-1")
    await started.send_github("release", release("v2"), delivery="d-1")

    await started.settled()

    assert await started.count("normalizer.delivery") == 2
    assert len({message_id for message_id, _ in await events(started)}) == 2


async def test_source_that_nobody_translates_is_dead_and_named(started: Line) -> None:
    async with started.broker() as connection:
        message = Outgoing(
            subject=started.subjects.raw(source="fax", event="page"),
            body=b"{}",
            headers={
                MESSAGE_ID: "fax:1:x",
                "Em-Source": "fax",
                "Em-Event": "page",
                "Em-Delivery": "1",
                "Em-Sha256": "x",
                "Em-Received": "2026-05-01T12:00:00Z",
            },
        )
        await connection.jetstream().publish(message.subject, message.body, headers=message.headers)

    await started.settled()

    [row] = await started.fetch("SELECT disposition, reason FROM normalizer.delivery")
    assert (row["disposition"], "fax" in row["reason"]) == ("dead", True)


async def test_message_in_raw_that_says_nothing_of_itself_has_a_disposition_too(started: Line) -> None:
    async with started.broker() as connection:
        subject = started.subjects.raw(source="github", event="push")
        await connection.jetstream().publish(subject, b"?", headers={MESSAGE_ID: "bare"})

    await started.settled()

    [row] = await started.fetch("SELECT source, delivery, disposition, reason FROM normalizer.delivery")
    assert tuple(row.values())[:3] == ("unknown", "sequence:1", "dead")
    assert "Em-Source" in row["reason"]


async def test_click_too_large_to_travel_twice_is_refused_at_the_door(started: Line) -> None:
    body = b"command=%2Fem&text=" + b"x" * 600_000

    answer = await started.send_slack(body)

    assert answer.status_code == 413


async def test_event_carries_where_it_came_from(started: Line) -> None:
    await started.send_github("release", release("v1"), delivery="d-1")

    await started.settled()

    [(message_id, body)] = await events(started)
    event = json.loads(body)
    assert event["id"] == message_id
    assert (event["kind"], event["source"], event["delivery"]) == ("release.published", "github", "d-1")
    assert event["occurred_at"].startswith("2026-05-01T12:00:00")


async def test_chat_that_is_neither_command_nor_mention_keeps_only_its_hash(started: Line) -> None:
    said = {"type": "message", "user": "U1", "channel": "C1", "ts": "1.1", "text": "salary of ana"}
    body = json.dumps({"type": "event_callback", "event_id": "Ev1", "event_time": 1, "event": said}).encode()

    await started.post("slack", body, slack_request(SLACK_SECRET, body, content_type="application/json"))
    await started.settled()

    [row] = await started.fetch("SELECT body, body_sha256 FROM normalizer.body")
    assert row["body"] is None
    assert len(row["body_sha256"]) == 64


async def test_body_is_archived_byte_for_byte_without_the_signature(started: Line) -> None:
    await started.send_github("release", release("v1"), delivery="d-1")
    await started.settled()

    [row] = await started.fetch(
        "SELECT * FROM normalizer.delivery JOIN normalizer.body ON body.delivery_id = delivery.id"
    )

    assert row["body"] == release("v1")
    assert not any("sha256=" in str(value) for value in row.values())
