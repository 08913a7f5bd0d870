"""What travels on the bus: kinds, ids, headers, subjects, and readers that are older than writers."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from shared.contracts import commands
from shared.contracts.envelope import (
    RawDelivery,
    UnreadableMessage,
    encode_event,
    event_headers,
    read_delivery,
    read_event,
    rfc3339,
)
from shared.contracts.events import EVENT_TYPES, KINDS, DeploymentFinished, IncidentOpened, kind_of
from shared.contracts.ids import body_delivery_id, caused_by_delivery, delivery_message_id
from shared.contracts.services import SERVICES
from shared.contracts.streams import DURABLES, STREAMS
from shared.contracts.subjects import InvalidToken, Subjects, event_token

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FINISHED = DeploymentFinished(
    occurred_at=NOON, repository="acme/web", deployment_id="7", environment="production", outcome="succeeded"
).stamped(id="i", source="github", origin="live", received_at=NOON)


def test_kinds_are_unique_and_past_tense_names_of_two_parts() -> None:
    assert len(KINDS) == len(EVENT_TYPES)
    assert all(len(kind.split(".")) == 2 for kind in KINDS)


def test_event_survives_the_wire() -> None:
    assert read_event(event_headers(FINISHED), encode_event(FINISHED)) == FINISHED


def test_reader_ignores_an_unknown_field_and_an_unknown_word() -> None:
    newer = msgspec.json.decode(encode_event(FINISHED)) | {"region": "eu", "outcome": "rolled_forward"}

    read = read_event(event_headers(FINISHED), msgspec.json.encode(newer))

    assert isinstance(read, DeploymentFinished)
    assert read.outcome == "rolled_forward"


def test_reader_leaves_an_unknown_kind_alone() -> None:
    assert read_event({"ce-type": "deployment.paused"}, b"{}") is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"kind":"deployment.finished"}', b"[" * 100_000])
def test_known_kind_with_an_unreadable_body_is_named_as_such(body: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        read_event({"ce-type": kind_of(DeploymentFinished)}, body)


def test_time_without_a_zone_is_not_readable() -> None:
    naive = msgspec.json.decode(encode_event(FINISHED)) | {"occurred_at": "2026-05-01T12:00:00"}

    with pytest.raises(UnreadableMessage):
        read_event(event_headers(FINISHED), msgspec.json.encode(naive))


def test_raw_delivery_survives_its_headers() -> None:
    delivery = RawDelivery(
        source="slack",
        event="block_actions",
        delivery="d",
        sha256="s",
        received_at=NOON,
        body=b"\x00\xff",
        timestamp="1",
        signature="v0=0",
    )

    assert read_delivery(delivery.headers(), delivery.body, sequence=0) == delivery


def test_raw_delivery_without_a_header_is_unreadable_and_names_it() -> None:
    with pytest.raises(UnreadableMessage, match="Em-Source"):
        read_delivery({}, b"", sequence=1)


def test_times_on_the_wire_are_utc_and_sort_as_text() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))

    assert rfc3339(east) == rfc3339(NOON) == "2026-05-01T12:00:00.000000Z"


def test_ids_differ_by_source_delivery_body_and_ordinal_and_repeat_for_the_same() -> None:
    facts = {"source": "github", "delivery": "d", "sha256": "s", "ordinal": 0}
    others = [{**facts, "source": "x"}, {**facts, "delivery": "e"}, {**facts, "sha256": "t"}, {**facts, "ordinal": 1}]

    ids = {caused_by_delivery(**f) for f in (facts, facts, *others)}  # type: ignore[arg-type]  # as declared above

    assert len(ids) == 5


def test_message_id_holds_the_bodys_hash_so_that_other_bytes_are_not_swallowed() -> None:
    assert (
        delivery_message_id(source="github", delivery="d", sha256="0123456789abcdef99") == "github:d:0123456789abcdef"
    )


def test_hash_of_a_body_is_not_shared_between_sources() -> None:
    assert body_delivery_id("a", b"b") != body_delivery_id("ab", b"")


@pytest.mark.parametrize("token", ["*", ">", "a.b", "", "A", "é", "a b", "x" * 49, "$JS", "a\r\nPUB"])
def test_nothing_but_a_plain_token_gets_into_a_subject(token: str) -> None:
    with pytest.raises(InvalidToken):
        Subjects().raw(source="github", event=token)


@pytest.mark.parametrize(
    ("original", "token"),
    [
        ("pull_request", "pull_request"),
        ("incident.triggered", "incident_triggered"),
        ("Pull-Request", "pull_request"),
        ("", "unknown"),
        ("***", "unknown"),
        ("x" * 60, "unknown"),
    ],
)
def test_event_name_of_a_platform_becomes_a_token_or_unknown(original: str, token: str) -> None:
    assert event_token(original) == token


def test_prefix_is_in_every_subject_and_stream() -> None:
    subjects = Subjects("team7")

    assert subjects.raw(source="github", event="push") == "team7.raw.github.push"
    assert subjects.stream("RAW") == "TEAM7_RAW"


def test_every_durable_belongs_to_a_service_and_reads_a_stream_that_exists() -> None:
    streams = {stream.name for stream in STREAMS}
    services = {service.name for service in SERVICES}

    assert all(durable.stream in streams and durable.name in services for durable in DURABLES)


def test_command_is_found_in_any_case_and_belongs_to_one_service() -> None:
    invocation = commands.parse("  APPROVE 7 looks good ")

    assert invocation.command is not None
    assert (invocation.command.name, invocation.arguments) == ("approve", ("7", "looks", "good"))
    assert [s.name for s in SERVICES if commands.owned_by(s.name, "approve 7")] == ["approvals_svc"]


def test_unknown_command_is_the_notifiers_and_names_the_nearest() -> None:
    invocation = commands.owned_by("notifier", "aprove 7")

    assert invocation is not None
    assert (invocation.command, invocation.nearest) == (None, "approve")


def test_incident_without_a_title_is_unreadable() -> None:
    with pytest.raises(UnreadableMessage, match="title"):
        read_event(
            {"ce-type": kind_of(IncidentOpened)},
            b'{"kind":"incident.opened","occurred_at":"2026-05-01T12:00:00Z","incident_id":"1"}',
        )
