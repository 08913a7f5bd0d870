"""The policy over HTTP in the running service: what the page shows, versions, and the ends that people bring about."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from shared.contracts.events import Commit, CommitsPushed
from shared.contracts.services import APPROVALS_SVC
from tests.line import Line, open_line
from tests.office import CATALOG as PEOPLE
from tests.office import POLICY, TOKEN_KEY, Office
from tests.waiting import until

PAGE = (Path(__file__).parent.parent.parent / "docs/approvals.md").read_text()
EXAMPLE_POLICY, EXAMPLE_CATALOG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ASKING = PAGE.partition("## What would it ask?")[2]
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", ASKING, re.DOTALL)]
AUTH = {"AUTH_ENABLED": "true", "JWT_ALGORITHM": "HS256", "JWT_SECRET_KEY": TOKEN_KEY}


@pytest.fixture
async def line(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Line]:
    environment = {"CATALOG_PATH": str(tmp_path / "catalog.yaml"), "POLICY_PATH": str(tmp_path / "policy.yaml"), **AUTH}
    async with open_line(
        nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment=environment
    ) as opened:
        yield opened


@pytest.fixture
async def office(line: Line) -> AsyncIterator[Office]:
    """Nobody carries out what is decided here: without an App, effects wait."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as unused:
        unused.base_url = httpx.URL("http://unused")
        yield Office(line, "https://api.github.com", unused)


async def start(line: Line, *, policy: str, catalog: str) -> None:
    (line.directory / "catalog.yaml").write_text(catalog)
    (line.directory / "policy.yaml").write_text(policy)
    await line.start(APPROVALS_SVC)


async def post(office: Office, path: str, body: Any, person: str = "bo", role: str = "approver") -> httpx.Response:
    return await office.line.http.post(
        office.line.url(APPROVALS_SVC, path), json=body, headers=office.token(person, role)
    )


async def health(line: Line) -> dict[str, Any]:
    return dict((await line.http.get(line.url(APPROVALS_SVC, "/health"))).json()["policy"])


async def test_page_shows_what_the_service_answers(office: Office) -> None:
    await start(office.line, policy=EXAMPLE_POLICY, catalog=EXAMPLE_CATALOG)
    simulated, shown, evaluated, shown_evaluated = EXAMPLES

    simulation = (await post(office, "/v1/policy/simulate", simulated, role="viewer")).json()
    evaluation = (await post(office, "/v1/policy/evaluate", evaluated, role="viewer")).json()

    assert {name: simulation[name] for name in shown} == shown
    assert evaluation == shown_evaluated


async def test_simulation_of_an_approval_says_who_could_and_what_is_missing(office: Office) -> None:
    await start(office.line, policy=POLICY, catalog=PEOPLE)
    number = await office.gate()
    await office.vote(number, "bo")

    told = (await post(office, "/v1/policy/simulate", {"approval": number})).json()

    assert (told["outcome"], told["could_approve"], told["missing"]) == ("require", ["cy"], ["1 of release"])
    assert told["could_not"]["ana"] == "ana asked for it as ana-k, and who asks doesn't decide"
    assert (await office.show(number))["status"] == "pending"
    for body, status in (
        ({"approval": 4242}, 404),
        ({}, 422),
        ({"approval": number, "facts": {"action": "deploy"}}, 422),
        ({"facts": {"action": "deploy", "paths": ["../x"]}}, 422),
        ({"facts": {"action": "deploy", "colour": "red"}}, 422),
    ):
        assert (await post(office, "/v1/policy/simulate", body)).status_code == status
    unauthenticated = await office.line.http.post(office.line.url(APPROVALS_SVC, "/v1/policy/evaluate"), json={})
    assert unauthenticated.status_code == 401


async def test_running_service_follows_the_file_and_keeps_the_good_one(office: Office) -> None:
    line = office.line
    await start(line, policy=POLICY, catalog=PEOPLE)
    path = line.directory / "policy.yaml"

    async def is_at(version: int, problem: str = "") -> bool:
        status = await health(line)
        return status["version"] == version and problem in str(status.get("problem", ""))

    await until(lambda: is_at(1), timeout_s=10, what="the first policy is not loaded")
    path.write_text(POLICY.replace("outcome: require", "outcome: auto", 1))
    await until(lambda: is_at(1, "line 8, rules[0].requires"), timeout_s=10, what="nobody says what is wrong")
    evaluated = await post(office, "/v1/policy/evaluate", {"action": "deploy", "environment": "production"})
    assert (evaluated.json()["policy"], evaluated.json()["allow"]) == ("production-deploys", False)
    path.write_text(POLICY.replace("production-deploys", "prod"))
    await until(lambda: is_at(2), timeout_s=10, what="the new policy is not loaded")
    evaluated = await post(office, "/v1/policy/evaluate", {"action": "deploy", "environment": "production"})
    assert evaluated.json()["policy"] == "prod"
    assert (await line.http.get(line.url(APPROVALS_SVC, "/ready"))).status_code == 200


async def test_versions_are_listed_and_compared_with_what_waits(office: Office) -> None:
    line = office.line
    frozen = POLICY.replace("    expires: {after: 4h}\n", "    expires: {after: 4h}\n    freeze: [always]\n") + (
        "freezes: {always: {zone: Europe/Berlin, from: 2000-01-01 00:00, to: 2100-01-01 00:00}}\n"
    )
    await start(line, policy=POLICY, catalog=PEOPLE)
    production, staging = await office.gate(), await office.gate(environment="staging")
    (line.directory / "policy.yaml").write_text(frozen.replace("count: 2", "count: 3"))

    async def is_second() -> bool:
        return bool((await health(line))["version"] == 2)

    await until(is_second, timeout_s=10, what="the new policy is not loaded")
    versions, first = await get(office, "/v1/policies"), await get(office, "/v1/policies/1")
    of_first, of_second = await get(office, "/v1/policies/1/diff"), await get(office, "/v1/policies/2/diff")

    assert [(each["version"], each["rules"]) for each in versions["items"]] == [
        (2, ["production-deploys", "staging-deploys", "previews"]),
        (1, ["production-deploys", "staging-deploys", "previews"]),
    ]
    assert first["content"] == POLICY
    assert (of_first["compared"], of_first["items"]) == (2, [])
    [change] = of_second["items"]
    assert change["approval"] == production != staging
    assert (change["asks"]["requires"], change["would"]["requires"]) == ("2 of release", "3 of release")
    assert (change["asks"]["freezes"], change["would"]["freezes"]) == ([], ["always"])
    page = await get(office, "/v1/policies/2/diff?limit=1")
    assert (page["compared"], page["items"], page["next"]) == (1, [], staging)
    [freeze] = (await get(office, "/v1/freezes"))["items"]
    assert (freeze["name"], freeze["rules"], freeze["until"][:4]) == ("always", ["production-deploys"], "2099")
    assert (await office.show(production))["requirement"]["requires"] == "2 of release"
    missing = await line.http.get(line.url(APPROVALS_SVC, "/v1/policies/9"), headers=office.token("bo", "viewer"))
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/policy-version-not-found")


async def get(office: Office, path: str) -> dict[str, Any]:
    answer = await office.line.http.get(office.line.url(APPROVALS_SVC, path), headers=office.token("bo", "viewer"))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_people_cancel_revoke_and_edit_by_the_rules(office: Office) -> None:
    await start(office.line, policy=POLICY, catalog=PEOPLE)
    number = await office.gate(environment="staging")

    async def ends(how: str, person: str, role: str = "approver") -> httpx.Response:
        return await post(office, f"/v1/approvals/{number}/{how}", {"reason": "wrong build"}, person, role)

    early, foreign = await ends("revoke", "bo"), await ends("cancel", "bo")
    edited = await post(office, f"/v1/approvals/{number}/decision", {"decision": "modify", "patch": {"run_id": "2"}})
    voted = await office.vote(number, "bo")
    late, revoked, again = await ends("cancel", "ana"), await ends("revoke", "cy"), await ends("revoke", "cy")

    assert (early.status_code, early.json()["type"]) == (409, "/problems/too-late")
    assert (foreign.status_code, foreign.json()["detail"]) == (403, "only who asked for it may take it back")
    assert (edited.status_code, edited.json()["type"]) == (422, "/problems/not-editable")
    assert (voted.json()["status"], late.status_code, late.json()["approval_status"]) == ("approved", 409, "approved")
    assert (revoked.json()["status"], revoked.json()["decision"]) == ("revoked", "approved")
    assert again.status_code == 409
    shown = await office.show(number)
    assert [entry["verb"] for entry in shown["audit"]].count("refused") == 4

    other = await office.gate(environment="staging")
    cancelled = await post(office, f"/v1/approvals/{other}/cancel", {}, "ana", "viewer")
    assert (cancelled.json()["status"], [e["state"] for e in (await office.show(other))["effects"]]) == (
        "cancelled",
        ["pending"],
    )


async def test_who_wrote_what_ships_does_not_decide_about_it(office: Office) -> None:
    await start(office.line, policy=POLICY, catalog=PEOPLE)
    event = office.gate_event()
    commit = Commit(sha=event.sha, authored_at=event.occurred_at, author="bo-l", message="Retry once")
    push = CommitsPushed(
        occurred_at=event.occurred_at,
        repository=event.repository,
        ref="refs/heads/main",
        branch="main",
        before="0",
        after=event.sha,
        commits=(commit, msgspec.structs.replace(commit, sha="no\x00sha")),
        id=str(uuid4()),
        source="github",
        received_at=event.received_at,
    )
    await office.publish(push)
    number = await office.gate(environment="staging")

    author, other = await office.vote(number, "bo"), await office.vote(number, "cy")

    assert (author.status_code, "bo wrote some of it as bo-l" in author.json()["detail"]) == (403, True)
    assert other.json()["status"] == "approved"
