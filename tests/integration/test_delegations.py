"""Delegation over REST, beside a real database: until when it holds, who ends it, and what the audit says of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.events import ApprovalVoted
from shared.contracts.services import APPROVALS_SVC
from tests.integration.test_approvals_cli import at, em
from tests.office import Office

pytestmark = pytest.mark.asyncio


async def asks(
    office: Office, method: str, path: str = "", *, person: str = "bo", role: str = "approver", **body: Any
) -> httpx.Response:
    url = office.line.url(APPROVALS_SVC, f"/v1/delegations{path}")
    return await office.line.http.request(method, url, json=body or None, headers=office.token(person, role))


async def delegates(office: Office, giver: str, to: str, **more: Any) -> int:
    ends_at = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    answer = await asks(office, "POST", person=giver, **{"delegate": to, "ends_at": ends_at, **more})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def test_delegate_votes_for_who_is_away_and_both_are_named(office: Office) -> None:
    number = await office.gate()
    await delegates(office, "bo", "di", groups=["release"], services=["checkout"])
    could = (await office.show(number))["who_may_decide"]

    voted, again = await office.vote(number, "di"), await office.vote(number, "di")
    decided = await office.vote(number, "cy")

    assert could == ["bo", "cy", "di"]
    assert (voted.json()["missing"], again.json()["replayed"], decided.json()["status"]) == (1, True, "approved")
    shown = await office.show(number)
    assert [(vote["person"], vote["on_behalf_of"]) for vote in shown["votes"]] == [("di", ["bo"]), ("cy", [])]
    [entry] = [entry for entry in shown["audit"] if entry["person"] == "di"]
    assert (entry["verb"], entry["detail"]["on_behalf_of"]) == ("approve", "bo")
    said = [event for event in await office.said() if isinstance(event, ApprovalVoted)]
    assert said[0].votes[0].on_behalf_of == ("bo",)
    assert (await office.callback())["state"] == "approved"


async def test_who_asked_neither_votes_for_others_nor_is_voted_for(office: Office) -> None:
    number = await office.gate()
    await delegates(office, "bo", "ana")
    await delegates(office, "ana", "di")

    answers = [await office.vote(number, person) for person in ("ana", "di")]

    assert [answer.status_code for answer in answers] == [403, 403]
    refused = [entry["person"] for entry in (await office.show(number))["audit"] if entry["verb"] == "refused"]
    assert refused == ["ana", "di"]


async def test_giver_and_delegate_take_one_seat(office: Office) -> None:
    number = await office.gate()
    await delegates(office, "bo", "di")

    first, second = await office.vote(number, "di"), await office.vote(number, "bo")

    assert (first.json()["missing"], second.json()["missing"], second.json()["status"]) == (1, 1, "pending")
    assert (await office.vote(number, "di", "reject")).status_code == 403


@pytest.mark.parametrize(
    "moved",
    ["ends_at = clock_timestamp()", "starts_at = clock_timestamp() + interval '1 hour'"],
    ids=["ended", "not begun"],
)
async def test_delegation_that_ends_between_page_and_click_does_not_count(office: Office, moved: str) -> None:
    number = await office.gate()
    await delegates(office, "bo", "di")
    assert "di" in (await office.show(number))["who_may_decide"]
    await office.line.fetch(f"UPDATE approvals.delegation SET {moved}")

    answer = await office.vote(number, "di")

    assert (answer.status_code, answer.json()["detail"]) == (403, "di is not in the group release")


@pytest.mark.parametrize(("person", "role"), [("bo", "approver"), ("root", "admin")], ids=["giver", "admin"])
async def test_revoked_delegation_is_over_at_once_with_the_votes_it_stood_for(
    office: Office, person: str, role: str
) -> None:
    number = await office.gate()
    given = await delegates(office, "bo", "di")
    await office.vote(number, "di")
    foreign = await asks(office, "DELETE", f"/{given}", person="di")

    revoked = await asks(office, "DELETE", f"/{given}", person=person, role=role)
    again = await asks(office, "DELETE", f"/{given}", person=person, role=role)

    assert [foreign.status_code, revoked.status_code, again.status_code] == [404, 200, 404]
    assert foreign.json()["type"] == "/problems/delegation-not-found"
    assert (await office.show(number))["missing"] == 2
    assert (await office.vote(number, "cy")).json()["status"] == "pending"
    assert (await office.vote(number, "di")).status_code == 403
    assert (await asks(office, "GET")).json() == {"items": []}
    [row] = await office.line.fetch("SELECT revoked_by FROM approvals.delegation")
    assert row["revoked_by"] == person


async def test_click_of_a_delegate_counts_as_any_vote(office: Office) -> None:
    number = await office.gate()
    await delegates(office, "bo", "di")

    await office.clicks(number, "di", "cy")

    assert (await office.show(number))["status"] in ("approved", "executing", "executed")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"delegate": "zoe"}, "delegation-not-possible"),
        ({"delegate": "bo"}, "delegation-not-possible"),
        ({"groups": ["relase"]}, "delegation-not-possible"),
        ({"ends_at": "2999-01-01T00:00:00Z"}, "delegation-not-possible"),
        ({"ends_at": "2999-01-01T00:00:00"}, "invalid-request"),
    ],
    ids=["nobody", "self", "no group", "too long", "without a zone"],
)
async def test_what_can_not_be_delegated_is_refused(office: Office, body: dict[str, Any], kind: str) -> None:
    ends_at = (datetime.now(UTC) + timedelta(days=3)).isoformat()

    answer = await asks(office, "POST", **{"delegate": "di", "ends_at": ends_at, **body})

    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{kind}")
    assert (await asks(office, "GET")).json() == {"items": []}


async def test_delegations_are_given_listed_and_ended_from_a_shell(office: Office, tmp_path: Path) -> None:
    scope = ("--group", "release", "--service", "checkout")
    given = await em(office, tmp_path, "delegate", "di", "--days", "3", *scope, "--as", "bo", *at(office))
    listed = await em(office, tmp_path, "delegations", "--as", "cy", *at(office))
    foreign = await em(office, tmp_path, "undelegate", "1", "--as", "cy", *at(office))
    ended = await em(office, tmp_path, "undelegate", "1", "--as", "bo", *at(office))
    none = await em(office, tmp_path, "delegations", "--as", "cy", *at(office))

    assert given == listed
    assert given[0] == 0
    assert given[1].startswith("#1 di votes for bo until ")
    assert given[1].endswith("UTC: group release, service checkout\n")
    assert foreign[0] == 1 and "refused (404)" in foreign[1]
    assert (ended, none) == ((0, "#1 is over\n"), (0, "no delegations\n"))
