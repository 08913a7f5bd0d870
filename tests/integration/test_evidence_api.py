"""Evidence, precedents and searches over HTTP: who sees what, as of when, and how often a day."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.contracts.services import APPROVALS_SVC
from tests.backends import own_database
from tests.deciding import CATALOG, Counter, open_counter
from tests.line import Line, open_line
from tests.office import TOKEN_KEY, bearer
from tests.provisioning import provisioned, removed
from tests.shipped import broke, deployed, merge, push, sha, tell
from tests.waiting import until

SECRET = "  - {name: vault, team: payments, repositories: [acme/vault], visible_to: [payments]}\n"
STRANGER = "  - {name: di, github: [di-n]}\n  - {name: eve, github: [eve-o]}\n"
SEARCHES_MAX = 5


class Desk:
    """The service, and the same database to ask and tell in."""

    def __init__(self, line: Line, counter: Counter) -> None:
        self.line = line
        self.counter = counter

    async def get(self, path: str, person: str = "ana", role: str = "viewer", **query: Any) -> httpx.Response:
        url = self.line.url(APPROVALS_SVC, path)
        return await self.line.http.get(url, params=query, headers=bearer(person, role))

    async def post(self, path: str, body: Any, person: str = "ana", role: str = "approver") -> httpx.Response:
        return await self.line.http.post(self.line.url(APPROVALS_SVC, path), json=body, headers=bearer(person, role))

    async def documents(self, count: int) -> None:
        async def are_embedded() -> bool:
            rows = await self.counter.fetch("SELECT count(*) AS n FROM document WHERE embedder <> ''")
            return bool(rows[0]["n"] == count)

        await until(are_embedded, timeout_s=30, what="documents have no vectors")


@pytest.fixture(scope="module")
async def desk(nats_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    directory: Path = tmp_path_factory.mktemp("evidence")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(own_database(postgres_url))
        counter = await stack.enter_async_context(
            open_counter(
                url,
                directory,
                catalog=CATALOG.replace("  - {name: di, github: [di-n]}\n", STRANGER).rstrip() + "\n" + SECRET,
            )
        )
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=url,
                prefix=prefix,
                directory=directory,
                environment={
                    "CATALOG_PATH": str(directory / "catalog.yaml"),
                    "POLICY_PATH": str(directory / "policy.yaml"),
                    "AUTH_ENABLED": "true",
                    "JWT_ALGORITHM": "HS256",
                    "JWT_SECRET_KEY": TOKEN_KEY,
                    "MAX_DAILY_RAG_SEARCHES": str(SEARCHES_MAX),
                },
            )
        )
        await line.start(APPROVALS_SVC)
        yield Desk(line, counter)
    await removed(nats_url, prefix)


async def test_evidence_and_precedents_of_a_question(desk: Desk) -> None:
    await tell(
        desk.counter.pool,
        push(1, "base"),
        deployed(2, "base", environment="staging"),
        push(3, "m"),
        merge(3, 1, "m", title="Retry the charge"),
    )
    for n in range(5):
        asked = await desk.counter.ask(sha=sha(f"c{n}"))
        await desk.counter.vote(asked.id, "bo")
    await desk.documents(6)
    number = (await desk.counter.ask(sha=sha("m"))).id
    hours = (datetime.now(UTC) - datetime(2026, 5, 1, tzinfo=UTC)).total_seconds() / 3600
    await tell(desk.counter.pool, broke(hours, "I1"))

    shown = (await desk.get(f"/v1/approvals/{number}")).json()["evidence"]
    now = (await desk.get(f"/v1/approvals/{number}/evidence")).json()
    found = (await desk.get(f"/v1/approvals/{number}/precedents")).json()
    earlier = (await desk.get(f"/v1/approvals/{number}/precedents", as_of="2026-01-01T00:00:00Z")).json()
    health = (await desk.line.http.get(desk.line.url(APPROVALS_SVC, "/health"))).json()

    assert [change["title"] for change in shown["changes"]] == ["Retry the charge"]
    assert (shown["incidents_n"], now["incidents_n"]) == (0, 1)
    assert now["changes"] == shown["changes"]
    assert (found["comparable"], len(found["precedents"]), found["summary"]) == (5, 5, {"n": 5, "known": 0})
    assert (earlier["comparable"], earlier["precedents"]) == (0, [])
    assert "too few" in earlier["note"]
    assert health["precedents"] == "by lexical-1"


async def test_what_somebody_may_not_see_is_not_there_for_them(desk: Desk) -> None:
    number = (await desk.counter.ask(service="vault", repository="acme/vault", subject="the vault")).id
    paths = [f"/v1/approvals/{number}{rest}" for rest in ("", "/evidence", "/precedents")]

    inside = [(await desk.get(path)).status_code for path in paths]
    outside = [(await desk.get(path, "eve")).status_code for path in paths]
    admin = [(await desk.get(path, "eve", "admin")).status_code for path in paths]
    listed = {person: (await desk.get("/v1/approvals", person)).json()["items"] for person in ("ana", "eve")}

    for person, status in (("ana", 200), ("eve", 404)):
        url, asked = desk.line.url(APPROVALS_SVC, "/v1/policy/simulate"), {"approval": number}
        assert (await desk.line.http.post(url, json=asked, headers=bearer(person, "viewer"))).status_code == status
    assert (inside, outside, admin) == ([200] * 3, [404] * 3, [200] * 3)
    assert number in [item["id"] for item in listed["ana"]]
    assert number not in [item["id"] for item in listed["eve"]]


async def test_what_somebody_may_not_see_they_do_not_act_on_either(desk: Desk) -> None:
    number = (await desk.counter.ask(service="vault", repository="acme/vault", subject="the vault")).id
    acts: dict[str, Any] = {
        "decision": {"decision": "approve"},
        "cancel": {},
        "revoke": {},
        "break-glass": {"reason": "nobody else is awake at this hour"},
        "notify": {},
    }

    for act, body in acts.items():
        answers = [await desk.post(f"/v1/approvals/{n}/{act}", body, "eve") for n in (number, 10**9)]
        assert [answer.status_code for answer in answers] == [404, 404], act
        hidden, absent = (answer.text.replace(str(n), "n") for answer, n in zip(answers, (number, 10**9), strict=True))
        assert _without_id(hidden) == _without_id(absent), act
    batch = await desk.post(
        "/v1/approvals/batch-decision", {"items": [{"approval": number, "decision": "approve"}]}, "eve"
    )
    assert [item["status"] for item in batch.json()["items"]] == [404]
    admin = await desk.post(f"/v1/approvals/{number}/decision", {"decision": "approve"}, "eve", "admin")
    assert (admin.status_code, admin.json()["type"]) == (403, "/problems/not-eligible")


def _without_id(problem: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(problem).items() if name != "request_id"}


async def test_searches_find_are_bounded_and_end_for_the_day(desk: Desk) -> None:
    await desk.counter.fetch("DELETE FROM searches")

    first = await desk.get("/v1/search", q="retry charge", limit=2)
    rest = [await desk.get("/v1/search", q="retry") for _ in range(SEARCHES_MAX)]
    refused = [(await desk.get("/v1/search", **query)).status_code for query in ({"q": ""}, {"q": "x" * 501}, {})]

    assert first.json()["items"][0]["title"] == "Retry the charge"
    assert [answer.status_code for answer in rest] == [200] * (SEARCHES_MAX - 1) + [429]
    assert rest[-1].json()["type"] == "/problems/searches-used-up"
    assert 0 < int(rest[-1].headers["Retry-After"]) <= 86_401
    assert refused == [422] * 3


async def test_proposal_is_checked_with_the_reasons_for_which_others_like_it_were_rejected(desk: Desk) -> None:
    body = {"subject": "Clean the cache of the shop", "action": "clean", "reason": "it is full"}
    numbers = []
    for n in range(5):
        asked = await desk.post("/v1/approvals/propose", {**body, "reason": f"it is full again, {n}"}, "di")
        numbers.append(asked.json()["action_id"])
        verb, reason = ("decline", "the night job does that") if n == 2 else ("approve", "")
        decided = await desk.post(f"/v1/approvals/{numbers[-1]}/decision", {"decision": verb, "reason": reason}, "bo")
        assert decided.is_success, decided.text

    async def are_known() -> bool:
        known = "SELECT 1 FROM document WHERE kind = 'decision' AND key = ANY($1::text[]) AND embedder <> ''"
        return len(await desk.counter.fetch(known, list(map(str, numbers)))) == len(numbers)

    await until(are_known, timeout_s=30, what="decisions have no vectors")
    before = await desk.counter.fetch("SELECT count(*) AS n FROM approval")

    checked = await desk.post("/v1/approvals/propose?check=true", body, "di")

    assert (checked.status_code, checked.json()["status"], checked.json()["rule"]) == (200, "pending", "rest")
    past = checked.json()["precedents"]
    assert [each["decision"] for each in past] == ["rejected", *["approved"] * 4]
    assert "the night job does that" in str(past[0]["reasons"])
    assert await desk.counter.fetch("SELECT count(*) AS n FROM approval") == before
    unfit = await desk.post("/v1/approvals/propose?check=true", {**body, "action": "label"}, "di")
    viewer = await desk.post("/v1/approvals/propose?check=true", body, role="viewer")
    assert (unfit.status_code, viewer.status_code) == (422, 403)
