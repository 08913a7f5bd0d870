"""Somebody whom the catalog doesn't know by their Slack account says who they are, and people confirm it."""

from typing import Any

import httpx
import pytest

from shared.contracts.events import ApprovalRequested
from shared.contracts.services import APPROVALS_SVC
from tests.office import Office
from tests.waiting import until

NEW = "U0NEW"


async def says(office: Office, text: str, person: str = NEW) -> str:
    await office.publish(office.command(person, text))
    await office.settled()
    return (await office.replies())[-1]


async def linked(office: Office, person: str, confirmed_by: str) -> int:
    number = int((await says(office, f"link {person}")).split()[0].removeprefix("#"))
    await office.clicks(number, confirmed_by)
    await carried_out(office, number)
    return number


async def carried_out(office: Office, number: int) -> None:
    async def is_executed() -> bool:
        return bool((await office.show(number))["status"] == "executed")

    await until(is_executed, timeout_s=20, what=f"#{number} is not carried out")
    await office.settled()


async def ask(office: Office, method: str, path: str, role: str = "admin") -> httpx.Response:
    url = office.line.url(APPROVALS_SVC, path)
    return await office.line.http.request(method, url, headers=office.token("root", role))


async def test_who_is_not_known_has_no_vote_until_one_click_of_somebody_who_may_confirm(
    office: Office, replicas: list[Office]
) -> None:
    gate = await office.gate()
    await office.clicks(gate, NEW)
    refused = (await office.replies())[-1]
    number = await linked(office, "cy-m", "bo")

    known = await says(office, "link cy")
    await replicas[1].clicks(gate, NEW)

    assert "doesn't count" in refused and "/em link" in refused
    assert known == "You are cy already."
    assert [vote["person"] for vote in (await office.show(gate))["votes"]] == ["cy"]
    shown = await office.show(number)
    assert shown["subject"] == f"Slack account {NEW} (u0new) is cy"
    assert [row["verb"] for row in shown["audit"]] == ["requested", "approve", "decided", "claimed", "executed"]
    later = await office.gate()
    asked = [event for event in await office.said() if isinstance(event, ApprovalRequested)]
    assert NEW in next(event for event in asked if event.approval_id == later).approvers


async def test_whose_name_it_is_has_no_vote_about_it_and_what_is_theirs_is_not_decided_by_it(office: Office) -> None:
    number = int((await says(office, "link ana")).split()[0].removeprefix("#"))
    await office.clicks(number, "ana", NEW)
    refused = await office.show(number)
    await office.clicks(number, "bo")
    await carried_out(office, number)

    gate = await office.gate()  # ana asked for it
    await office.clicks(gate, NEW)

    assert (refused["status"], refused["votes"]) == ("pending", [])
    assert "ana" in (await office.replies())[-1]
    assert (await office.show(gate))["votes"] == []


@pytest.mark.parametrize(
    ("text", "person", "said"),
    [
        ("link", NEW, "Which one? Say: link <name>"),
        ("link nobody", NEW, "Nothing happened: nobody in the catalog is called nobody."),
        ("link bo", "ana", "You are ana already."),
    ],
)
async def test_what_asks_nobody_says_why(office: Office, text: str, person: str, said: str) -> None:
    assert await says(office, text, person) == said
    assert await office.line.count("approvals.approval") == 0


async def test_asked_again_it_is_the_same_question_and_with_another_name_another(office: Office) -> None:
    first, again, other = [await says(office, f"link {name}") for name in ("cy", "cy-m", "di")]

    assert first == again != other
    pending = await office.line.fetch("SELECT subject FROM approvals.approval WHERE status = 'pending'")
    assert len(pending) == 1


async def test_glass_that_is_broken_links_nobody_and_an_admin_takes_a_link_back(office: Office) -> None:
    number = await linked(office, "cy", "bo")
    listed = (await ask(office, "GET", "/v1/links", "operator")).json()["items"]

    gone = await ask(office, "DELETE", f"/v1/links/{NEW}")
    again = await ask(office, "DELETE", f"/v1/links/{NEW}")
    gate = await office.gate()
    await office.clicks(gate, NEW)

    link: dict[str, Any] = {"team": "T1", "account": NEW, "person": "cy", "approval": number}
    assert (listed, gone.json()["items"], again.status_code) == ([link], [link], 404)
    assert (await office.show(gate))["votes"] == []
    assert (await office.show(number))["audit"][-1]["verb"] == "unlinked"
