"""Law 4 for messages: any order of the same events ends in the same content; and law 9: what may act."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from notifier.cards import ApprovalCard, DeploymentCard, IncidentCard, card
from notifier.living import Acting, Content, Posting, Thing, ThingEvent, absorb, decode, encode, key, merge
from notifier.routing import channel_of, concerns_people
from shared.catalog import Catalog, Service, Team
from shared.contracts.events import (
    ApprovalDecided,
    ApprovalExecuted,
    ApprovalNumbers,
    ApprovalRequested,
    ApprovalSummarized,
    ApprovalVoted,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    Gate,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    Vote,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ACTING = Acting(origins=frozenset({"live", "spool"}), fresh_for=timedelta(hours=1))
CATALOG = Catalog(
    teams=(Team(name="payments", slack_channel="#payments"),),
    services=(
        Service(
            name="checkout",
            team="payments",
            repositories=("acme/checkout",),
            incident_services={"pagerduty": ("PSVC1",)},
        ),
    ),
)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def deployment(kind: type, minutes: float, /, **fields: object) -> ThingEvent:
    given = {"repository": "acme/checkout", "deployment_id": "7", "environment": "production", **fields}
    event: ThingEvent = kind(occurred_at=at(minutes), id=f"{kind.__name__}-{minutes}", source="github", **given)
    return event


def incident(kind: type, minutes: float, /, **fields: object) -> ThingEvent:
    given = {"incident_id": "Q1", "title": "It is down", "service_id": "PSVC1", **fields}
    event: ThingEvent = kind(occurred_at=at(minutes), id=f"{kind.__name__}-{minutes}", source="pagerduty", **given)
    return event


def approval(kind: type, version: int, status: str, /, **fields: object) -> ThingEvent:
    given = {
        "approval_id": 4,
        "revision": 1,
        "version": version,
        "status": status,
        "action": "deploy",
        "subject": "acme/checkout@abc",
        "service": "checkout",
        "environment": "production",
        "expires_at": at(240),
        **fields,
    }
    event: ThingEvent = kind(occurred_at=at(version), id=f"approval-{version}", source="approvals_svc", **given)
    return event


ANA, BO = Vote(person="ana", verb="approve"), Vote(person="bo", verb="approve")
STORIES: dict[str, Sequence[ThingEvent]] = {
    "deployment": (
        deployment(DeploymentRequested, 0, sha="abc", creator="ana-k"),
        deployment(DeploymentRequested, 1),
        deployment(DeploymentStarted, 2),
        deployment(DeploymentFinished, 5, outcome="failed"),
        deployment(DeploymentStarted, 6),
        deployment(DeploymentFinished, 9, outcome="succeeded", url="https://example.com/7"),
    ),
    "incident": (
        incident(IncidentOpened, 0, urgency="high"),
        incident(IncidentAcknowledged, 3),
        incident(IncidentResolved, 8),
        incident(IncidentReopened, 9),
        incident(IncidentNoted, 10, title=""),
        incident(IncidentResolved, 20, title="It was down"),
    ),
    "approval": (
        approval(ApprovalRequested, 1, "pending"),
        approval(ApprovalVoted, 2, "pending", votes=(ANA,)),
        approval(ApprovalVoted, 3, "approved", votes=(ANA, BO)),
        approval(ApprovalDecided, 4, "approved", votes=(ANA, BO)),
        approval(ApprovalExecuted, 5, "executed", votes=(ANA, BO), effect="github"),
    ),
}


def content_of(events: Sequence[ThingEvent]) -> Content:
    content: Content = {}
    for event in events:
        content = merge(content, event)
    return content


@pytest.mark.parametrize("story", STORIES)
def test_every_order_of_the_same_events_ends_in_the_same_content(story: str) -> None:
    events = STORIES[story]
    expected = content_of(events)

    orders = permutations(events)

    assert all(content_of(order) == expected for order in orders)


@pytest.mark.parametrize("story", STORIES)
def test_a_repeated_event_changes_nothing_by_whichever_copy_it_comes(story: str) -> None:
    events = STORIES[story]
    copies = [
        msgspec.structs.replace(event, origin="replay", delivery="another", received_at=at(99)) for event in events
    ]
    mixed = [*events, *copies]
    random.Random(1).shuffle(mixed)

    assert content_of(mixed) == content_of(events)


@pytest.mark.parametrize("story", STORIES)
def test_content_survives_being_stored(story: str) -> None:
    content = content_of(STORIES[story])

    assert decode(encode(content)) == content


def test_a_deployment_card_says_when_it_began_how_it_ended_and_how_long_it_took() -> None:
    shown = card(content_of(STORIES["deployment"]), CATALOG)

    assert isinstance(shown, DeploymentCard)
    assert (shown.service, shown.state, shown.sha, shown.who) == ("checkout", "succeeded", "abc", "ana-k")
    assert shown.took == timedelta(minutes=7)


def test_an_incident_reopened_is_open_until_it_is_resolved_again() -> None:
    events = STORIES["incident"]

    reopened, resolved = card(content_of(events[:5]), CATALOG), card(content_of(events), CATALOG)

    assert isinstance(reopened, IncidentCard)
    assert (reopened.state, reopened.acknowledged_at, reopened.title) == ("open", None, "It is down")
    assert isinstance(resolved, IncidentCard)
    assert (resolved.state, resolved.resolved_at, resolved.title) == ("resolved", at(20), "It was down")


def test_an_older_version_of_an_approval_never_replaces_a_newer_one() -> None:
    requested, *_, executed = STORIES["approval"]

    shown = card(content_of([executed, requested]), CATALOG)

    assert isinstance(shown, ApprovalCard)
    assert shown.approval.status == "executed"
    assert shown.agreed == ("ana", "bo")


@pytest.mark.parametrize(
    ("origin", "minutes", "held"),
    [
        ("live", -59, None),
        ("spool", -59, None),
        ("live", -60, "stale"),
        ("replay", -1, "origin"),
        ("backfill", -1, "origin"),
        ("demo", -1, "origin"),
    ],
)
def test_only_fresh_facts_of_an_acting_origin_call_for_a_message(origin: str, minutes: float, held: str) -> None:
    event = msgspec.structs.replace(deployment(DeploymentStarted, minutes), origin=origin)

    absorbed = absorb(Thing(content={}), [event], acting=ACTING, now=NOW)

    assert [reason for _, reason in absorbed.held] == ([held] if held else [])
    assert (absorbed.acts_by is None) == bool(held)
    assert absorbed.changed


def test_a_demo_stack_acts_on_what_is_demo() -> None:
    event = msgspec.structs.replace(deployment(DeploymentStarted, -1), origin="demo")

    acting = msgspec.structs.replace(ACTING, origins=ACTING.origins | {"demo"})

    assert absorb(Thing(content={}), [event], acting=acting, now=NOW).acts_by == event


def test_a_request_for_a_decision_is_worth_telling_until_its_deadline() -> None:
    requested = approval(ApprovalRequested, 1, "pending")

    before = absorb(Thing(content={}), [requested], acting=ACTING, now=at(239))
    after = absorb(Thing(content={}), [requested], acting=ACTING, now=at(240))

    assert before.acts_by == requested
    assert after.held == ((requested, "stale"),)


def test_a_thing_that_people_were_told_of_is_told_to_its_end() -> None:
    late = msgspec.structs.replace(deployment(DeploymentFinished, -500, outcome="failed"), origin="replay")

    told = Thing(content={}, cards=(Posting(key="k", channel="#c", is_shown=True),))
    absorbed = absorb(told, [late], acting=ACTING, now=NOW)

    assert absorbed.changed
    assert not absorbed.held


def test_things_are_named_by_the_platforms_own_ids() -> None:
    keys = {key(event) for events in STORIES.values() for event in events}

    assert keys == {"deployment:github:acme/checkout:7", "incident:pagerduty:Q1", "approval:4"}


def test_a_deployment_is_no_news_while_a_gate_asks() -> None:
    gate = Gate(run_id="1", callback_url="https://api.example.com/")

    assert concerns_people(deployment(DeploymentStarted, 0))
    assert not concerns_people(deployment(DeploymentRequested, 0, gate=gate))


def test_a_thing_goes_to_its_services_channel_else_to_the_default() -> None:
    known = content_of(STORIES["incident"])
    unknown = content_of([incident(IncidentOpened, 0, service_id="PSVC9")])

    assert channel_of(known, CATALOG, named="team", default="#engineering") == "#payments"
    assert channel_of(unknown, CATALOG, named="team", default="#engineering") == "#engineering"


@pytest.mark.parametrize(
    ("team", "channel"), [("payments", "#payments"), ("", "#engineering"), ("gone", "#engineering")]
)
def test_week_of_a_team_is_told_in_its_channel(team: str, channel: str) -> None:
    numbers = ApprovalNumbers(asked=0, decided=0, declined=0, auto=0, expired=0, p50_s=None, p90_s=None, over_sla=0)
    told = ApprovalSummarized(occurred_at=NOW, id="1", team=team, week=NOW.date(), sla_s=1.0, numbers=numbers)

    assert channel_of(merge({}, told), CATALOG, named="team", default="#engineering") == channel
