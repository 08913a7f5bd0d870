"""PagerDuty's deliveries become events."""

from typing import Any

import pytest

from tests.translations import delivery, fixtures, outcome

FIXTURES = fixtures("pagerduty")


def event(**fields: Any) -> dict[str, Any]:
    triggered = FIXTURES["incident.triggered"].body
    assert isinstance(triggered, dict)
    return {"event": {**triggered["event"], **fields}}


@pytest.mark.parametrize(
    "event_type",
    [
        "incident.unacknowledged",
        "incident.escalated",
        "incident.reassigned",
        "incident.delegated",
        "incident.priority_updated",
        "incident.responder.replied",
        "incident.status_update_published",
        "incident.service_updated",
        "incident.conference_bridge.updated",
        "incident.custom_field_values.updated",
        "incident.workflow.started",
        "service.updated",
    ],
)
def test_event_that_we_do_not_measure_is_no_fact_whatever_it_holds(event_type: str) -> None:
    assert outcome(delivery("pagerduty", event(event_type=event_type, data=None))) == {"ignored": "no_fact"}


def test_nulls_of_the_platform_are_no_trouble() -> None:
    data = {"id": "P1", "title": None, "number": None, "urgency": None, "service": None, "resolve_reason": None}

    [told] = outcome(delivery("pagerduty", event(data=data, agent=None)))["events"]

    assert (told["incident_id"], told["title"]) == ("P1", "")


def test_trigger_tells_when_the_incident_was_opened_only_where_the_incident_does_not() -> None:
    with_time = FIXTURES["incident.triggered"].becomes["events"][0]
    without = FIXTURES["incident.triggered.without_created_at"].becomes["events"][0]

    assert with_time["opened_at"] == "2026-02-28T09:05:00Z"
    assert without["opened_at"] == without["occurred_at"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"data": {}}, "id"),
        ({"data": None}, "event.data"),
        ({"occurred_at": None}, "event.occurred_at is missing"),
        ({"occurred_at": "noon"}, "event.occurred_at: 'noon' is not a time"),
        ({"event_type": 7}, "event.event_type"),
    ],
)
def test_dead_letter_names_the_field(fields: dict[str, Any], reason: str) -> None:
    assert reason in outcome(delivery("pagerduty", event(**fields)))["dead"]


@pytest.mark.parametrize("body", ["", "not json", "[]", "{}", '{"event": null}', '{"event":' + "[" * 100_000])
def test_body_that_is_no_webhook_is_dead(body: str) -> None:
    assert outcome(delivery("pagerduty", body))["dead"]


def test_nul_never_reaches_an_event() -> None:
    [told] = outcome(delivery("pagerduty", event(data={"id": "P1", "title": "a\x00b"})))["events"]

    assert told["title"] == "ab"
