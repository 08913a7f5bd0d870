"""Who hears of an approval, and who does not and why."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from notifier.about import about
from notifier.cards import card
from notifier.deciders import DIRECTLY_MAX, can_wait
from notifier.living import Content, Posting
from notifier.placing import Placed, joining, place
from notifier.render import render
from notifier.routes import DEFAULT, Condition, Manner, Route
from shared.catalog import Catalog, Person, Service
from shared.contracts.events import Approval, ApprovalDecided, ApprovalExecuted, ApprovalExpired, ApprovalVoted, Vote

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
CATALOG = Catalog(
    people=(
        Person(name="ana", github=("ana-k",), slack=("U0ANA",)),
        Person(name="ben", slack=("U0BEN", "U1BEN")),
        Person(name="cy", slack=("U0CY",)),
        Person(name="dee"),
    ),
    services=(Service(name="checkout", slack_channel="#payments"),),
)
CROWD = tuple(f"U{number:03}" for number in range(DIRECTLY_MAX + 1))
ANA, BEN = Vote(person="ana", verb="approve"), Vote(person="ben", verb="approve", slack_user="U1BEN")


def approval(kind: type[Approval] = ApprovalVoted, /, **fields: Any) -> Content:
    given: dict[str, Any] = {
        "approval_id": 7,
        "revision": 1,
        "version": 2,
        "status": "pending",
        "action": "deploy",
        "subject": "acme/checkout@1",
        "service": "checkout",
        "environment": "production",
        "requested_by": "ana",
        "required": 2,
        "approvers": ("U0BEN", "U0CY"),
        **fields,
    }
    event: Any = kind(occurred_at=NOW, id="a", source="approvals_svc", **given)
    return {"snapshot": event}


def placed(content: Content, root: Route = DEFAULT, **how: Any) -> Placed:
    return place(content, about(content, CATALOG), root, CATALOG, default="#all", now=NOW, **how)


def told(content: Content, root: Route = DEFAULT, **how: Any) -> list[str]:
    return [each.to for each in placed(content, root, **how).places if each.is_told]


def named(channel: str) -> Route:
    mine = Route(
        name="ours",
        when=(Condition(field="kind", globs=("approval",)),),
        manner=Manner(channel=channel),
    )
    return Route(name="routes", routes=(mine,))


@pytest.mark.parametrize(
    ("fields", "people"),
    [
        ({}, ["U0BEN", "U0CY"]),
        ({"approvers": ("U0BEN", "U0BEN", "U1BEN", "U0CY")}, ["U0BEN", "U0CY"]),
        ({"approvers": ("U0ANA", "U0CY")}, ["U0CY"]),
        ({"approvers": ("U0ANA", "U0CY"), "requested_by": "ana-k"}, ["U0CY"]),
        ({"approvers": ("U0ANA",)}, ["#payments"]),
        ({"approvers": ()}, ["#payments"]),
        ({"approvers": ("general", "#general", "C0GENERAL", "U0CY")}, ["U0CY"]),
        ({"approvers": CROWD[:-1]}, list(CROWD[:-1])),
        ({"approvers": CROWD}, ["#payments"]),
        ({"status": "auto_approved"}, ["#payments"]),
    ],
)
def test_what_waits_comes_to_those_who_can_decide(fields: dict[str, Any], people: list[str]) -> None:
    assert told(approval(**fields)) == people


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"approvers": ("U0ANA", "U0CY")}, ("U0ANA", "nobody", "who asks is not asked")),
        ({"approvers": ("U0BEN", "U1BEN")}, ("U1BEN", "nobody", "another account of ben")),
        ({"approvers": ("general", "U0CY")}, ("general", "nobody", "that is no id of a Slack user")),
        ({"approvers": ()}, ("#payments", "now", "at once; here, as nobody who may decide is known in Slack")),
        ({"approvers": CROWD}, ("#payments", "now", "at once; here, as 21 people may decide, more than 20")),
    ],
)
def test_whoever_is_left_out_has_a_reason(fields: dict[str, Any], why: tuple[str, str, str]) -> None:
    assert why in [(each.to, each.how, each.why) for each in placed(approval(**fields)).places]


def test_route_that_names_a_channel_shows_it_there_too_and_one_that_tells_nobody_asks_nobody() -> None:
    assert told(approval(), named("#deciding")) == ["#deciding", "U0BEN", "U0CY"]
    assert told(approval(), Route(name="routes", manner=Manner(tell="nobody"))) == []


def test_a_vote_is_shown_at_once_to_who_gave_it_and_its_end_to_all() -> None:
    cards = [Posting(key=f"approval:7@{to}", channel=to, is_shown=True) for to in ("U0BEN", "U0CY", "#payments")]
    asked, voted = approval(), approval(ApprovalVoted, votes=(BEN,))
    ended = approval(ApprovalDecided, status="approved", votes=(BEN,))

    assert can_wait(asked, voted, cards, CATALOG) == ("approval:7@U0CY",)
    assert can_wait(voted, ended, cards, CATALOG) == ()
    assert can_wait(voted, approval(revision=2), cards, CATALOG) == ()


def test_who_wants_no_direct_messages_gets_none_and_it_still_reaches_somebody() -> None:
    content, end = approval(), approval(ApprovalDecided, status="approved", votes=(BEN,))

    assert told(content, undisturbed={"U0BEN"}) == ["U0CY"]
    assert told(content, undisturbed={"U0BEN", "U0CY"}) == ["#payments"]
    assert "want no direct messages" in placed(content, undisturbed={"U0BEN", "U0CY"}).places[0].why
    assert not any(to.startswith("U0ANA") for to in told(end, undisturbed={"U0ANA"}))


def test_where_nobody_can_be_told_alone_the_channel_is() -> None:
    assert told(approval(), directly=False) == ["#payments"]


@pytest.mark.parametrize(
    ("kind", "fields", "hears"),
    [
        (ApprovalDecided, {"status": "approved", "votes": (BEN,)}, True),
        (ApprovalDecided, {"status": "approved", "votes": (BEN, ANA)}, False),
        (
            ApprovalDecided,
            {"status": "rejected", "votes": (Vote(person="x", verb="reject", slack_user="U0ANA"),)},
            False,
        ),
        (ApprovalDecided, {"status": "approved", "broken_by": "ana"}, False),
        (ApprovalDecided, {"status": "approved", "broken_by": "ben"}, True),
        (ApprovalDecided, {"status": "cancelled"}, False),
        (ApprovalDecided, {"status": "cancelled", "cause": "its run is over"}, True),
        (ApprovalDecided, {"status": "cancelled", "ended_by": "ana"}, False),
        (ApprovalDecided, {"status": "cancelled", "ended_by": "dee"}, True),
        (ApprovalDecided, {"status": "revoked", "ended_by": "ana", "votes": (BEN,)}, False),
        (ApprovalDecided, {"status": "revoked", "ended_by": "dee", "votes": (BEN,)}, True),
        (ApprovalDecided, {"status": "superseded"}, False),
        (ApprovalDecided, {"status": "auto_approved"}, False),
        (ApprovalExpired, {"status": "expired"}, True),
        (ApprovalExecuted, {"status": "dead", "effect": "github", "votes": (ANA,)}, True),
        (ApprovalExecuted, {"status": "dead", "effect": "github", "broken_by": "ana"}, True),
        (ApprovalDecided, {"status": "approved", "votes": (BEN,), "requested_by": "ana-k"}, True),
        (ApprovalDecided, {"status": "approved", "votes": (BEN,), "requested_by": "dee"}, False),
        (ApprovalDecided, {"status": "approved", "votes": (BEN,), "requested_by": ""}, False),
        (ApprovalVoted, {"votes": (BEN,)}, False),
    ],
)
def test_who_asked_hears_the_end_unless_they_made_it(kind: type[Approval], fields: dict[str, Any], hears: bool) -> None:
    assert any(to.startswith("U0ANA") for to in told(approval(kind, **fields))) == hears


@pytest.mark.parametrize(
    ("content", "standing", "joins"),
    [
        (approval(), ("U0BEN",), ["U0CY"]),
        (approval(), ("U0BEN", "U0CY"), []),
        (approval(), ("#payments",), ["U0BEN", "U0CY"]),
        (approval(ApprovalDecided, status="approved", votes=(BEN,)), ("U0BEN",), ["U0ANA"]),
        (approval(ApprovalDecided, status="approved", votes=(BEN,)), ("U0BEN", "U0ANA"), []),
    ],
)
def test_only_who_has_no_card_yet_joins(content: Content, standing: tuple[str, ...], joins: list[str]) -> None:
    cards = [Posting(key=f"approval:7@{to}", channel=to, is_shown=True) for to in standing]

    assert [each.to for each in joining("approval:7", cards, content, placed(content)).places] == joins


def test_a_card_that_was_sent_elsewhere_stands_for_its_own_place() -> None:
    content = approval(approvers=())
    redirected = Posting(key="approval:7@#payments", channel="#all", is_shown=True)

    assert joining("approval:7", [redirected], content, placed(content)).places == ()


@pytest.mark.parametrize(
    ("reader", "votes", "says"),
    [
        ("", (BEN,), "1 of 2: ben"),
        ("U0CY", (BEN,), "1 of 2: ben"),
        ("U0BEN", (BEN,), "1 of 2, you"),
        ("U1BEN", (msgspec.structs.replace(BEN, person="unmapped"),), "1 of 2, you"),
        ("U0CY", (BEN, Vote(person="cy", verb="approve")), "2 of 2, you and ben"),
        ("U0CY", (BEN, Vote(person="cy", verb="reject")), "1 of 2: ben; declined by you"),
    ],
)
def test_a_card_says_you_to_who_voted(reader: str, votes: tuple[Vote, ...], says: str) -> None:
    assert render(card(approval(votes=votes), CATALOG, reader=reader)).text.endswith(f"asks 2 of everybody · {says}")
