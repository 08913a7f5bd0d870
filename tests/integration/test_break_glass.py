"""Break-glass: two steps, one person of the policy's group, and a review by others that is opened with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.events import ApprovalDecided, ApprovalRequested
from shared.contracts.services import APPROVALS_SVC
from tests.line import Line, open_line
from tests.office import CATALOG, POLICY, TOKEN_KEY, Office

FROZEN = POLICY.replace("    expires: {after: 4h}\n", "    expires: {after: 4h}\n    freeze: [always]\n") + (
    "break_glass: {group: sre, review: release}\n"
    "freezes: {always: {zone: Europe/Berlin, from: 2000-01-01 00:00, to: 2100-01-01 00:00}}\n"
)
WITH_SRE = FROZEN.replace("[ana, bo, cy]}}", "[ana, bo, cy]}, sre: {people: [di, bo]}}")
REASON = "checkout is down and this is the fix"


@pytest.fixture
async def office(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Office]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "policy.yaml").write_text(WITH_SRE)
    environment = {
        "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
        "POLICY_PATH": str(tmp_path / "policy.yaml"),
        "AUTH_ENABLED": "true",
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": TOKEN_KEY,
    }
    async with (
        open_line(
            nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment=environment
        ) as line,
        httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as unused,
    ):
        unused.base_url = httpx.URL("http://unused")
        await line.start(APPROVALS_SVC)
        yield Office(line, "https://api.github.com", unused)


async def break_glass(office: Office, number: int, person: str, **body: str) -> httpx.Response:
    url = office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/break-glass")
    return await office.line.http.post(url, json=body, headers=office.token(person))


async def confirmation(office: Office, number: int, person: str = "di") -> str:
    return str((await break_glass(office, number, person, reason=REASON)).json()["confirm"])


async def age(line: Line, minutes: int) -> None:
    await line.fetch(f"UPDATE approvals.breaking SET asked_at = asked_at - interval '{minutes} minutes'")


async def test_one_person_lets_it_through_in_two_steps_and_others_review_it(office: Office) -> None:
    number = await office.gate()

    asked = await break_glass(office, number, "di", reason=REASON)
    before = await office.show(number)
    broken = await break_glass(office, number, "di", confirm=asked.json()["confirm"])
    await office.settled()

    assert asked.status_code == 202
    assert asked.json()["consequences"] == [
        "acme/checkout c0ffeec0ffee to production is let through at once",
        "without the votes of 2 of release",
        "in the freeze always",
        "release has to review it within 1440 min",
    ]
    assert before["status"] == "pending"
    assert (broken.json()["status"], broken.json()["broken_by"]) == ("approved", "di")
    shown, review = await office.show(number), await office.show(broken.json()["review"])
    [decided] = [entry for entry in shown["audit"] if entry["verb"] == "decided"]
    assert (decided["person"], decided["detail"]) == ("di", {"reason": REASON, "break_glass": "di"})
    assert (review["action"], review["status"], review["reason"]) == ("review_break_glass", "pending", REASON)
    assert review["who_may_decide"] == ["ana", "bo", "cy"]
    said = await office.said()
    assert [event.broken_by for event in said if isinstance(event, ApprovalDecided)] == ["di"]
    assert review["id"] in [event.approval_id for event in said if isinstance(event, ApprovalRequested)]


async def test_who_broke_the_glass_has_no_vote_in_its_review(office: Office) -> None:
    number = await office.gate()
    broken = await break_glass(office, number, "bo", confirm=await confirmation(office, number, "bo"))
    review = broken.json()["review"]

    own, other = await office.vote(review, "bo"), await office.vote(review, "cy")

    assert (own.status_code, other.json()["status"]) == (403, "approved")


@pytest.mark.parametrize(
    ("person", "body", "status", "kind"),
    [
        ("cy", {"reason": REASON}, 403, "not-eligible"),
        ("di", {"reason": "because"}, 422, "reason-required"),
        ("di", {"confirm": "guessed"}, 403, "not-eligible"),
        ("di", {}, 422, "one-of"),
        ("di", {"reason": REASON, "confirm": "x"}, 422, "one-of"),
    ],
    ids=["not in the group", "too short", "not asked", "nothing", "both"],
)
async def test_what_is_not_as_it_should_be_breaks_nothing(
    office: Office, person: str, body: dict[str, str], status: int, kind: str
) -> None:
    number = await office.gate()

    answer = await break_glass(office, number, person, **body)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert (await office.show(number))["status"] == "pending"


async def test_confirmation_is_one_persons_for_five_minutes_and_once(office: Office) -> None:
    number = await office.gate()
    foreign = await break_glass(office, number, "bo", confirm=await confirmation(office, number))
    late_one = await confirmation(office, number)
    await age(office.line, minutes=5)
    late = await break_glass(office, number, "di", confirm=late_one)
    confirm = await confirmation(office, number)

    first, second = [await break_glass(office, number, "di", confirm=confirm) for _ in range(2)]

    assert [foreign.status_code, late.status_code, first.status_code, second.status_code] == [403, 403, 200, 409]
    assert "ask again" in late.json()["detail"]
    refused: list[dict[str, Any]] = [e for e in (await office.show(number))["audit"] if e["verb"] == "refused"]
    assert [entry["person"] for entry in refused] == ["bo", "di", "di"]
